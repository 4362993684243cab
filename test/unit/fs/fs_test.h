/* SPDX-License-Identifier: MIT */
/* What the tests of fs share: somebody who uses paths, files by name, and an operation tried with each allocation
 * failing. */
#pragma once

#include "booted.h"
#include "unit.h"

#include <fs/cred.h>
#include <fs/filesystem.h>
#include <fs/path.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/fail.h>
#include <time/clock.h>

struct fs_user {
    struct fs_context *context;
    struct cred *cred;
    struct path_place place;
};

/* User `id`, with no group but its own of the same number; 0: root. */
static inline struct fs_user fs_user_create(uint32_t id)
{
    struct fs_user user = {.cred = NULL};

    CHECK(fs_context_create(&user.context) == 0);
    CHECK(cred_copy(&cred_root, &user.cred) == 0);
    if (id != 0) {
        CHECK(cred_set_all_groups(user.cred, &cred_root, id, id, id) == 0);
        CHECK(cred_set_all_users(user.cred, &cred_root, id, id, id) == 0);
    }
    (void)fs_context_set_umask(user.context, 0);
    user.place = (struct path_place){.context = user.context, .cred = user.cred};
    return user;
}

static inline void fs_user_destroy(struct fs_user *user)
{
    fs_context_put(user->context);
    cred_put(user->cred);
}

static inline int64_t read_into(struct file *file, void *to, size_t bytes)
{
    struct io_span span;

    io_span_kernel(&span, to, bytes);
    return file_read(file, &span);
}

static inline int64_t write_from(struct file *file, const void *from, size_t bytes)
{
    struct io_span span;

    io_span_kernel(&span, (void *)(uintptr_t)from, bytes);
    return file_write(file, &span);
}

static inline int64_t write_text(struct file *file, const char *text)
{
    return write_from(file, text, strlen(text));
}

/* Make a file with that text; its error. */
static inline int make_file(const struct path_place *place, const char *path, const char *text)
{
    struct file *file;
    int error = path_open(place, path, O_CREAT | O_TRUNC | O_WRONLY, 0644, &file);

    if (error != 0)
        return error;
    CHECK(write_text(file, text) == (int64_t)strlen(text));
    file_put(file);
    return 0;
}

/* Does the file hold that text? */
static inline bool holds(const struct path_place *place, const char *path, const char *text)
{
    char buffer[128];
    struct file *file;

    if (path_open(place, path, O_RDONLY, 0, &file) != 0)
        return false;
    int64_t bytes = read_into(file, buffer, sizeof buffer);

    file_put(file);
    return bytes == (int64_t)strlen(text) && memcmp(buffer, text, (size_t)bytes) == 0;
}

static inline int stat_of(const struct path_place *place, const char *path, struct inode_stat *out)
{
    struct name *name;
    int error = path_lookup(place, path, 0, &name);

    if (error != 0)
        return error;
    inode_stat_get(name->inode, out);
    name_put(name);
    return 0;
}

/* Does `path` lead to a file of that number? */
static inline uint64_t number_of(const struct path_place *place, const char *path)
{
    struct inode_stat stat;

    return stat_of(place, path, &stat) == 0 ? stat.number : 0;
}

/* What is mounted there goes, and the directory under it. */
static inline void fs_test_unmount(const char *path)
{
    struct fs_user user = fs_user_create(0);
    struct name *name = NULL;

    if (CHECK(path_lookup(&user.place, path, 0, &name) == 0)) {
        struct filesystem *fs = name->inode->fs;

        name_put(name);
        filesystem_forget(fs);
        CHECK(path_rmdir(&user.place, path) == 0);
    }
    fs_user_destroy(&user);
}

/* Do `attempt` with its first, second, ... allocation failing, until none does. It returns an error, and has done
 * nothing then; after a success it undoes what it did. */
static inline void fail_each(int (*attempt)(void *arg), void *arg)
{
    for (uint32_t nth = 1;; nth++) {
        mm_fail_at(nth);
        int error = attempt(arg);
        bool fired = mm_fail_fired();

        if (!fired) {
            CHECK(error == 0);
            CHECK(nth > 1);
            return;
        }
        CHECK(error == -ENOMEM);
        if (!CHECK(nth < 100))
            return;
    }
}

#define FS_TEST_MAIN(...)                                                                       \
    int main(void)                                                                              \
    {                                                                                           \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                        \
                                                                                                \
        return cmocka_run_group_tests(tests, NULL, NULL);                                       \
    }

/* A cmocka test that is a booted one. */
#define BOOTED(sentence, name, seeds)           \
    static void sentence(void **state)          \
    {                                           \
        (void)state;                            \
        booted_run(name, seeds);                \
    }
