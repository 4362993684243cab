/* SPDX-License-Identifier: MIT */
/* core/fs/open.c: flags of open(2), one at a time; of several who create with O_EXCL one succeeds. */
#include "fs_test.h"

#include <k/atomic.h>

static int open_error(const struct path_place *place, const char *path, uint32_t flags)
{
    struct file *file;
    int error = path_open(place, path, flags, 0600, &file);

    if (error == 0)
        file_put(file);
    return error;
}

static void flags(void)
{
    struct fs_user root = fs_user_create(0), user = fs_user_create(7);
    struct path_place *place = &root.place;

    CHECK(path_mkdir(place, "/d", 0755) == 0 && make_file(place, "/d/f", "text") == 0);
    CHECK(path_symlink(place, "f", "/d/s") == 0 && path_symlink(place, "new", "/d/n") == 0);
    CHECK(open_error(place, "/d/x", O_RDONLY) == -ENOENT && open_error(place, "/d", O_WRONLY) == -EISDIR);
    CHECK(open_error(place, "/d", O_RDONLY) == 0 && open_error(place, "/d/f", O_DIRECTORY) == -ENOTDIR);
    CHECK(open_error(place, "/d/s", O_NOFOLLOW) == -ELOOP && open_error(place, "/d/s", O_NOFOLLOW | O_PATH) == 0);
    CHECK(open_error(place, "/d/s", O_CREAT | O_EXCL | O_WRONLY) == -EEXIST);
    CHECK(open_error(place, "/d/f", O_CREAT | O_EXCL | O_WRONLY) == -EEXIST);
    CHECK(open_error(place, "/d/", O_CREAT | O_WRONLY) == -EISDIR && open_error(place, "/d", O_CREAT) == -EISDIR);
    CHECK(open_error(place, "/d/y/", O_CREAT | O_WRONLY) == -EISDIR);
    CHECK(open_error(place, "/d/y", O_CREAT | O_DIRECTORY) == -EINVAL);
    CHECK(open_error(place, "/d", O_TMPFILE | O_DIRECTORY | O_RDWR) == -EOPNOTSUPP);
    CHECK(open_error(&user.place, "/d/f", O_RDWR) == -EACCES && open_error(&user.place, "/d/f", O_RDONLY) == 0);
    CHECK(open_error(&user.place, "/d/f", O_NOATIME) == -EPERM && open_error(&user.place, "/d/f", O_TRUNC) == -EACCES);
    CHECK(open_error(&user.place, "/d/y", O_CREAT | O_WRONLY) == -EACCES && number_of(place, "/d/y") == 0);
    CHECK(open_error(&user.place, "/d/f", O_CREAT | O_RDONLY) == 0);
    CHECK(open_error(place, "/d/n", O_CREAT | O_WRONLY) == 0 && number_of(place, "/d/new") != 0);
    CHECK(holds(place, "/d/f", "text") && open_error(place, "/d/f", O_TRUNC | O_WRONLY) == 0);
    CHECK(holds(place, "/d/f", ""));
    struct file *file; /* who makes it may write, whatever the mode says */

    CHECK(path_open(place, "/d/r", O_CREAT | O_WRONLY, 0400, &file) == 0 && write_text(file, "once") == 4);
    file_put(file);
    CHECK(path_truncate(place, "/d/r", 2) == 0 && holds(place, "/d/r", "on"));
    CHECK(path_truncate(place, "/d", 0) == -EISDIR);
    CHECK(path_truncate(&user.place, "/d/f", 0) == -EACCES && path_truncate(place, "/d/r", -1) == -EINVAL);
    static const char *const all[] = {"/d/f", "/d/s", "/d/n", "/d/new", "/d/r"};

    for (unsigned i = 0; i < ARRAY_COUNT(all); i++)
        CHECK(path_unlink(place, all[i]) == 0);
    CHECK(path_rmdir(place, "/d") == 0);
    fs_user_destroy(&root);
    fs_user_destroy(&user);
}

static _Atomic(int) winners;

static int create_once(void *arg)
{
    struct fs_user user = fs_user_create(0);

    (void)arg;
    if (open_error(&user.place, "/lock", O_CREAT | O_EXCL | O_WRONLY) == 0)
        (void)fetch_add_relaxed(&winners, 1);
    CHECK(open_error(&user.place, "/lock", O_CREAT | O_WRONLY) == 0);
    fs_user_destroy(&user);
    return 0;
}

static void exclusive(void)
{
    struct fs_user user = fs_user_create(0);
    struct task *task[4];

    for (unsigned i = 0; i < 4; i++)
        task[i] = spawn("creator", create_once, NULL, 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&winners) <= 1 && path_unlink(&user.place, "/lock") == 0);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"flags", flags}, {"exclusive", exclusive}, {NULL, NULL}};

BOOTED(each_flag_does_what_the_manual_says, "flags", 2)
BOOTED(at_most_one_creates_exclusively, "exclusive", 60)

FS_TEST_MAIN(cmocka_unit_test(each_flag_does_what_the_manual_says), cmocka_unit_test(at_most_one_creates_exclusively))
