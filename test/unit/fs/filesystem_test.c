/* SPDX-License-Identifier: MIT */
/* core/fs/filesystem.c: types by name, the list of mounts, mounts on mounts, and failing allocations. */
#include "fs_test.h"

static bool count_one(struct filesystem *fs, void *argument)
{
    CHECK(fs->type != NULL);
    ++*(unsigned *)argument;
    return true;
}

static unsigned mounted(void)
{
    unsigned count = 0;

    filesystem_for_each(count_one, &count);
    return count;
}

static void mounts(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place *place = &user.place;
    unsigned before = mounted();

    CHECK(filesystem_type_find("tmpfs") == &tmpfs_type && filesystem_type_find("tmp") == NULL);
    CHECK(path_mkdir(place, "/m", 0755) == 0 && path_mount(place, "ramfs", "/m", NULL, 0) == 0);
    CHECK(path_mkdir(place, "/m/n", 0755) == 0 && path_mount(place, "tmpfs", "/m/n", "size=1m", 0) == 0);
    CHECK(path_mount(place, "tmpfs", "/m/n", NULL, 0) == 0); /* on top of the other */
    CHECK(mounted() == before + 3 && path_mount(place, "tmpfs", "/", NULL, 0) == -EBUSY);
    CHECK(make_file(place, "/m/f", "x") == 0 && path_mount(place, "tmpfs", "/m/f", NULL, 0) == -ENOTDIR);
    CHECK(path_unlink(place, "/m/f") == 0);
    struct name *top;

    CHECK(path_lookup(place, "/m/n", 0, &top) == 0);
    struct filesystem *fs = top->inode->fs;

    name_put(top);
    filesystem_forget(fs);
    fs_test_unmount("/m/n");
    fs_test_unmount("/m");
    CHECK(mounted() == before);
    fs_user_destroy(&user);
}

/* What boot has mounted, and may be mounted at no second place. */
static void usual(void)
{
    struct fs_user user = fs_user_create(0);
    struct path_place *place = &user.place;
    struct inode_stat stat;

    CHECK(mounted() == 6);
    CHECK(stat_of(place, "/dev/null", &stat) == 0 && stat.device == DEVICE(1, 3));
    CHECK(stat_of(place, "/proc", &stat) == 0 && stat.mode == (S_IFDIR | 0555));
    CHECK(stat_of(place, "/tmp", &stat) == 0 && stat.mode == (S_IFDIR | 01777));
    CHECK(stat_of(place, "/sys", &stat) == 0 && stat.mode == (S_IFDIR | 0555));
    CHECK(stat_of(place, "/dev/shm", &stat) == 0 && stat.mode == (S_IFDIR | 01777));
    CHECK(path_mount(place, "proc", "/tmp", NULL, 0) == -EBUSY);
    fs_user_destroy(&user);
}

static int try_mount(void *arg)
{
    struct fs_user *user = arg;

    return path_mount(&user->place, "tmpfs", "/m", NULL, 0);
}

static void memory(void)
{
    struct fs_user user = fs_user_create(0);

    CHECK(path_mkdir(&user.place, "/m", 0755) == 0);
    fail_each(try_mount, &user);
    fs_test_unmount("/m");
    fs_user_destroy(&user);
}

const struct kernel_test booted_tests[] = {{"mounts", mounts}, {"usual", usual}, {"memory", memory}, {NULL, NULL}};

BOOTED(file_systems_are_mounted_on_each_other, "mounts", 2)
BOOTED(boot_mounts_what_is_usual, "usual", 2)
BOOTED(without_memory_nothing_is_mounted, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(file_systems_are_mounted_on_each_other),
             cmocka_unit_test(boot_mounts_what_is_usual), cmocka_unit_test(without_memory_nothing_is_mounted))
