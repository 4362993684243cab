/* SPDX-License-Identifier: MIT */
/* A file of /proc as a text, for tests of those that are no process's; show_world.h has those of a process. */
#pragma once

#include "booted.h"
#include "unit.h"

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/path.h>

static char text[4096];

/* Its bytes, or what its open says. */
static inline int64_t show(const char *path)
{
    struct fs_context *context = NULL;
    struct file *file = NULL;
    struct io_span span;
    int64_t bytes = 0;

    CHECK(fs_context_create(&context) == 0);
    const struct path_place place = { .context = context, .cred = &cred_root };
    int error = path_open(&place, path, O_RDONLY, 0, &file);

    text[0] = '\0';
    if (error == 0) {
        io_span_kernel(&span, text, sizeof text - 1);
        bytes = file_read(file, &span);
        text[MAX(bytes, 0)] = '\0';
        file_put(file);
    }
    fs_context_put(context);
    return error != 0 ? error : bytes;
}

/* The same, "": it is not there. */
static inline const char *shown(const char *path)
{
    (void)show(path);
    return text;
}
