/* SPDX-License-Identifier: MIT */
/* core/fs/remove.c: what may be removed; open files live on; makers and removers of one directory race. */
#include "fs_test.h"

#include <k/atomic.h>
#include <lib/fmt.h>
#include <vm/object.h>

static void rules(void)
{
    struct fs_user root = fs_user_create(0), user = fs_user_create(7), other = fs_user_create(8);
    struct path_place *place = &root.place;

    CHECK(path_mkdir(place, "/d", 01777) == 0 && path_mkdir(&user.place, "/d/e", 0777) == 0);
    CHECK(make_file(&user.place, "/d/f", "") == 0 && make_file(&user.place, "/d/e/g", "") == 0);
    CHECK(path_unlink(&other.place, "/d/f") == -EPERM && path_rmdir(&other.place, "/d/e") == -EPERM);
    CHECK(path_unlink(&user.place, "/d/e") == -EISDIR && path_rmdir(&user.place, "/d/f") == -ENOTDIR);
    CHECK(path_rmdir(&user.place, "/d/e") == -ENOTEMPTY && path_unlink(&user.place, "/d/f/") == -ENOTDIR);
    CHECK(path_rmdir(place, "/d/.") == -EINVAL && path_rmdir(place, "/d/e/..") == -ENOTEMPTY);
    CHECK(path_unlink(place, "/d/.") == -EISDIR && path_rmdir(place, "/") == -EBUSY);
    CHECK(path_unlink(place, "/d/none") == -ENOENT);
    CHECK(path_unlink(&other.place, "/d/e/g") == 0); /* no sticky bit there */
    CHECK(path_rmdir(&user.place, "/d/e/") == 0 && path_unlink(&user.place, "/d/f") == 0);
    CHECK(path_rmdir(&user.place, "/d") == -EACCES && path_rmdir(place, "/d") == 0);
    fs_user_destroy(&root);
    fs_user_destroy(&user);
    fs_user_destroy(&other);
}

static void open_lives(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file = NULL, *dir = NULL;
    struct inode_stat stat;
    char text[8];

    CHECK(path_mkdir(&user.place, "/d", 0755) == 0 && make_file(&user.place, "/d/f", "alive") == 0);
    CHECK(path_open(&user.place, "/d/f", O_RDWR, 0, &file) == 0 && path_open(&user.place, "/d", 0, 0, &dir) == 0);
    CHECK(path_unlink(&user.place, "/d/f") == 0 && path_rmdir(&user.place, "/d") == 0);
    CHECK(read_into(file, text, sizeof text) == 5 && write_text(file, " still") == 6);
    inode_stat_get(file->inode, &stat);
    CHECK(stat.links == 0 && stat.bytes == 11);
    inode_stat_get(dir->inode, &stat);
    CHECK(stat.links == 0 && vm_object_page_count(file->inode->object) == 1);
    file_put(file);
    file_put(dir);
    fs_user_destroy(&user);
}

static _Atomic(int) made;

static int make_and_remove(void *arg)
{
    struct fs_user user = fs_user_create(0);
    char path[16];

    (void)fmt_print(path, sizeof path, "/d/%u", (unsigned)(uintptr_t)arg % 2);
    for (unsigned i = 0; i < 20; i++) {
        (void)path_mkdir(&user.place, "/d", 0755);
        if (path_mknod(&user.place, path, 0644, 0) == 0)
            (void)fetch_add_relaxed(&made, 1);
        if (path_unlink(&user.place, path) == 0)
            (void)fetch_sub_relaxed(&made, 1);
        (void)path_rmdir(&user.place, "/d");
    }
    fs_user_destroy(&user);
    return 0;
}

static void races(void)
{
    struct fs_user user = fs_user_create(0);
    struct task *task[4];

    for (uintptr_t i = 0; i < 4; i++)
        task[i] = spawn("maker", make_and_remove, (void *)i, 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&made) == 0); /* what was made was removed by somebody, or is not there */
    CHECK(path_rmdir(&user.place, "/d") == -ENOENT);
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"rules", rules}, {"open", open_lives}, {"races", races}, {NULL, NULL}};

BOOTED(what_may_not_go_stays, "rules", 2)
BOOTED(an_open_file_lives_on_without_a_name, "open", 2)
BOOTED(nothing_comes_into_a_removed_directory, "races", 60)

FS_TEST_MAIN(cmocka_unit_test(what_may_not_go_stays), cmocka_unit_test(an_open_file_lives_on_without_a_name),
             cmocka_unit_test(nothing_comes_into_a_removed_directory))
