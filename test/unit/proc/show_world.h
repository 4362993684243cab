/* SPDX-License-Identifier: MIT */
/* What the tests of /proc/NUMBER share: a file of it as a text, and looks at that. */
#pragma once

#include "booted.h"
#include "program.h"
#include "unit.h"

#include <fs/path.h>
#include <lib/fmt.h>

static struct fs_context *context;
static char text[4096]; /* one task of a test reads at a time, but in the race */

static inline struct path_place place_of(void)
{
    return (struct path_place){ .context = context, .cred = &cred_root };
}

static inline const char *path_of(pid_t pid, const char *name, char to[64])
{
    (void)fmt_print(to, 64, "/proc/%d/%s", pid, name);
    return to;
}

static inline int64_t read_all(struct file *file, char *to, size_t room)
{
    struct io_span span;

    io_span_kernel(&span, to, room - 1);
    int64_t bytes = file_read(file, &span);

    to[MAX(bytes, 0)] = '\0';
    return bytes;
}

/* The file's text, or "" if it does not open. */
static inline const char *shown(pid_t pid, const char *name)
{
    const struct path_place place = place_of();
    struct file *file = NULL;
    char path[64];

    text[0] = '\0';
    if (path_open(&place, path_of(pid, name, path), O_RDONLY, 0, &file) == 0) {
        CHECK(read_all(file, text, sizeof text) >= 0);
        file_put(file);
    }
    return text;
}

static inline bool link_leads(pid_t pid, const char *name, const char *to)
{
    const struct path_place place = place_of();
    char path[64], target[64];
    int64_t bytes = path_read_link(&place, path_of(pid, name, path), target, sizeof target);

    return bytes == (int64_t)strlen(to) && memcmp(target, to, strlen(to)) == 0;
}

static inline bool has_line(const char *line)
{
    size_t bytes = strlen(line);

    for (const char *at = text; *at != '\0'; at++)
        if ((at == text || at[-1] == '\n') && memcmp(at, line, MIN(bytes, strlen(at))) == 0 && strlen(at) >= bytes)
            return true;
    return false;
}

static inline bool has_text(const char *part)
{
    size_t bytes = strlen(part);

    for (const char *at = text; strlen(at) >= bytes; at++)
        if (memcmp(at, part, bytes) == 0)
            return true;
    return false;
}

static inline bool begins(const char *of, const char *with)
{
    return strlen(of) >= strlen(with) && memcmp(of, with, strlen(with)) == 0;
}

static inline void begin(void)
{
    CHECK(fs_context_create(&context) == 0);
}

static inline void end(void)
{
    fs_context_put(context);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
}
