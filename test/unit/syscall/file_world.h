/* SPDX-License-Identifier: MIT */
/* A world whose thread has paths, too: it begins in /world, an empty file system that goes with it, with umask 022. */
#pragma once

#include "call_world.h"
#include "fs_test.h"

#include <fs/abi.h>
#include <fs/context.h>
#include <fs/path.h>
#include <lib/string.h>

#define AT_CWD U(-100)
#define DATA PAGE0                               /* what calls read and write */
#define TEXT1 (PAGE0 + PAGE_BYTES)               /* where strings of paths lie */
#define TEXT2 (PAGE0 + PAGE_BYTES + PAGE_BYTES / 2)

static inline vaddr_t text_at(vaddr_t at, const char *text)
{
    CHECK(user_copy_out(at, text, strlen(text) + 1) == 0);
    return at;
}

#define PATH1(text) text_at(TEXT1, text)
#define PATH2(text) text_at(TEXT2, text)

static inline void files_begin(void)
{
    struct thread *self = thread_current();
    const struct process_limit room = { .soft = 64, .hard = 64 };

    CHECK(process_limit_change(process_current(), LIMIT_NOFILE, &room, true, NULL) == 0);
    CHECK(fs_context_create(&self->user.paths) == 0);
    CHECK(CALL(mkdir, PATH1("/world"), 0777) == 0);
    CHECK(CALL(mount, 0, PATH1("/world"), PATH2("tmpfs"), 0, 0) == 0 && CALL(chdir, PATH1("/world")) == 0);
}

/* A story that calls files_begin(). */
static inline void files_run(int (*story)(void))
{
    world_run(story);
    fs_test_unmount("/world");
}

/* run_NAME() for booted_tests. */
#define STORY(name) \
    static void run_##name(void) { files_run(name); }

/* A descriptor of a file with that text in it, open for reading and writing, at its begin. */
static inline int64_t file_with(const char *path, const char *text)
{
    int64_t fd = CALL(open, PATH1(path), O_RDWR | O_CREAT | O_TRUNC, 0644);

    CHECK(fd >= 0);
    (void)text_at(DATA, text);
    CHECK(CALL(write, U(fd), DATA, strlen(text)) == (int64_t)strlen(text));
    CHECK(CALL(lseek, U(fd), 0, SEEK_SET) == 0);
    return fd;
}

/* Does user memory hold that text? */
static inline bool text_is(vaddr_t at, const char *text)
{
    char bytes[256];

    return CHECK(strlen(text) <= sizeof bytes) && user_copy_in(bytes, at, strlen(text)) == 0 &&
           memcmp(bytes, text, strlen(text)) == 0;
}
