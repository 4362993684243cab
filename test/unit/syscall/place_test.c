/* SPDX-License-Identifier: MIT */
/* core/syscall/place.c: where paths begin, and what is mounted. */
#include "file_world.h"

static bool here_is(const char *path)
{
    return CALL(getcwd, DATA, 256) == (int64_t)strlen(path) + 1 && text_is(DATA, path);
}

static int changing(void)
{
    files_begin();
    CHECK(here_is("/world") && CALL(mkdir, PATH1("d"), 0700) == 0 && CALL(chdir, PATH1("d")) == 0);
    CHECK(here_is("/world/d") && CALL(chdir, PATH1("..")) == 0 && here_is("/world"));
    int64_t fd = file_with("f", "abc"), dir = CALL(open, PATH1("d"), O_RDONLY | syscall_abi.o_directory);

    CHECK(CALL(chdir, PATH1("f")) == -ENOTDIR && CALL(chdir, PATH1("x")) == -ENOENT && CALL(chdir, NOWHERE) == -EFAULT);
    CHECK(CALL(fchdir, U(dir)) == 0 && here_is("/world/d") && CALL(fchdir, U(fd)) == -ENOTDIR);
    CHECK(CALL(fchdir, 40) == -EBADF && CALL(pipe, DATA) == 0 && CALL(fchdir, get32(DATA)) == -ENOTDIR);
    CHECK(CALL(getcwd, DATA, 9) == 9 && CALL(getcwd, DATA, 8) == -ERANGE && CALL(getcwd, NOWHERE, 256) == -EFAULT);
    CHECK(CALL(getcwd, DATA, 0) == -ERANGE);
    CHECK(CALL(rmdir, PATH1("/world/d")) == 0 && CALL(getcwd, DATA, 256) == -ENOENT);

    CHECK(CALL(mkdir, PATH1("/world/e"), 0700) == 0 && CALL(chroot, PATH1("/world")) == 0);
    CHECK(CALL(chdir, PATH1("/e")) == 0 && here_is("/e") && CALL(chdir, PATH1("../../..")) == 0 && here_is("/"));
    CHECK(CALL(chroot, PATH1("/f")) == -ENOTDIR && CALL(chroot, NOWHERE) == -EFAULT);
    world_become(1000);
    CHECK(CALL(chroot, PATH1("/")) == -EPERM && CALL(chdir, PATH1("/e")) == -EACCES);
    return 0;
}

static int mounting(void)
{
    files_begin();
    CHECK(CALL(mkdir, PATH1("d"), 0777) == 0 && text_at(DATA, "tmpfs") == DATA && text_at(DATA + 32, "size=8k") != 0);
    CHECK(CALL(mount, 0, PATH1("d"), text_at(DATA + 64, "nofs"), 0, 0) == -ENODEV);
    CHECK(CALL(mount, 0, PATH1("x"), DATA, 0, 0) == -ENOENT && CALL(mount, 0, NOWHERE, DATA, 0, 0) == -EFAULT);
    CHECK(CALL(mount, 0, PATH1("d"), NOWHERE, 0, 0) == -EFAULT);
    CHECK(CALL(mount, 0, PATH1("d"), DATA, 0, NOWHERE) == -EFAULT);
    CHECK(CALL(mount, 0, PATH1("d"), DATA, 0x1000, 0) == -EINVAL);
    CHECK(CALL(mount, 0, PATH1("d"), DATA, 0x20, 0) == -EINVAL);
    CHECK(CALL(mount, 0, PATH1("d"), text_at(DATA + 64, "a name longer than any type's"), 0, 0) == -ENODEV);
    CHECK(CALL(mount, 0, PATH1("d"), text_at(DATA + 64, "a name longer than any type of files"), 0, 0) == -EINVAL);

    CHECK(CALL(mount, 0, PATH1("d"), DATA, 0, DATA + 32) == 0);
    int64_t fd = CALL(open, PATH1("d/f"), O_RDWR | O_CREAT, 0600);

    CHECK(fd >= 0 && CALL(pwrite64, U(fd), PAGE0, 2 * PAGE_BYTES, 0) == 2 * PAGE_BYTES);
    CHECK(CALL(pwrite64, U(fd), PAGE0, 1, 2 * PAGE_BYTES) == -ENOSPC);
    CHECK(CALL(rmdir, PATH1("d")) == -EBUSY && CALL(umount2, PATH1("d"), 0) == -EBUSY && CALL(close, U(fd)) == 0);
    CHECK(CALL(umount2, PATH1("d"), 4) == -EINVAL && CALL(umount2, NOWHERE, 0) == -EFAULT);
    CHECK(CALL(umount2, PATH1("d"), 0) == 0 && CALL(umount2, PATH1("d"), 0) == -EINVAL);
    CHECK(CALL(mount, 0, PATH1("d"), DATA, 1, 0) == 0 && CALL(mkdir, PATH1("d/e"), 0777) == -EROFS);
    CHECK(CALL(mount, 0, PATH1("d"), DATA, 0x20, 0) == 0 && CALL(mkdir, PATH1("d/e"), 0777) == 0);
    CHECK(CALL(mount, 0, PATH1("d"), DATA, 0x20, DATA + 32) == -EINVAL); /* options stay */
    world_become(1000);
    CHECK(CALL(umount2, PATH1("d"), 0) == -EPERM);
    CHECK(CALL(mount, 0, PATH1("d"), PATH2("tmpfs"), 0, 0) == -EPERM);
    return 0;
}

STORY(changing)

static void run_mounting(void)
{
    world_run(mounting);
    fs_test_unmount("/world/d");
    fs_test_unmount("/world");
}

const struct kernel_test booted_tests[] = {
    { "changing", run_changing }, { "mounting", run_mounting }, { NULL, NULL },
};

static void paths_begin_where_they_are_told(void **state)
{
    (void)state;
    booted_run("changing", 4);
}

static void file_systems_are_mounted(void **state)
{
    (void)state;
    booted_run("mounting", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_begin_where_they_are_told),
        cmocka_unit_test(file_systems_are_mounted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
