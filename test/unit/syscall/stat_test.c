/* SPDX-License-Identifier: MIT */
/* core/syscall/stat.c: what files are, in the layouts that programs expect. */
#include "file_world.h"

enum { NOFOLLOW = 0x100, EMPTY_PATH = 0x1000, SYNC_TYPE = 0x6000 };
#define TMPFS 0x01021994u
#define LONGEST 255

/* The generic struct stat. */
#define STAT_MODE 16
#define STAT_LINKS 20
#define STAT_BYTES 48
#define STAT_BLOCKS 64

static int stats(void)
{
    files_begin();
    int64_t fd = file_with("f", "0123456789");

    CHECK(CALL(stat, PATH1("f"), DATA) == 0 && get32(DATA + STAT_MODE) == (S_IFREG | 0644));
    CHECK(get64(DATA + STAT_BYTES) == 10 && get32(DATA + STAT_LINKS) == 1 && get64(DATA + STAT_BLOCKS) == 8);
    uint64_t number = get64(DATA + 8);

    CHECK(CALL(fstat, U(fd), DATA) == 0 && get64(DATA + 8) == number);
    CHECK(CALL(symlink, PATH1("f"), PATH2("s")) == 0);
    CHECK(CALL(stat, PATH1("s"), DATA) == 0 && get64(DATA + 8) == number);
    CHECK(CALL(lstat, PATH1("s"), DATA) == 0 && get32(DATA + STAT_MODE) == (S_IFLNK | 0777));
    CHECK(get64(DATA + STAT_BYTES) == 1);
    CHECK(CALL(newfstatat, AT_CWD, PATH1("s"), DATA, NOFOLLOW) == 0 && get32(DATA + STAT_MODE) == (S_IFLNK | 0777));
    CHECK(CALL(newfstatat, U(fd), PATH1(""), DATA, EMPTY_PATH) == 0 && get64(DATA + 8) == number);
    CHECK(CALL(newfstatat, U(fd), 0, DATA, EMPTY_PATH) == 0 && CALL(newfstatat, U(fd), PATH1(""), DATA, 0) == -ENOENT);
    CHECK(CALL(newfstatat, U(fd), PATH1("x"), DATA, 0) == -ENOTDIR);
    CHECK(CALL(newfstatat, AT_CWD, PATH1("f"), DATA, 1) == -EINVAL);
    CHECK(CALL(stat, PATH1("x"), DATA) == -ENOENT && CALL(stat, NOWHERE, DATA) == -EFAULT);
    CHECK(CALL(stat, PATH1("f"), NOWHERE) == -EFAULT && CALL(fstat, 40, DATA) == -EBADF);
    CHECK(CALL(stat, PATH1("/dev/null"), DATA) == 0 && get64(DATA + 32) == DEVICE(1, 3));
    CHECK((get32(DATA + STAT_MODE) & S_IFMT) == S_IFCHR);
    return 0;
}

static int statx(void)
{
    files_begin();
    int64_t fd = file_with("f", "0123456789");

    CHECK(CALL(statx, AT_CWD, PATH1("f"), 0, 0x7ff, DATA) == 0);
    CHECK((get32(DATA) & 0xfff) == 0xfff && get64(DATA + 40) == 10 && (get32(DATA + 28) & 0xffff) == (S_IFREG | 0644));
    CHECK(get32(DATA + 16) == 1);
    CHECK(CALL(statx, U(fd), PATH1(""), EMPTY_PATH, 0, DATA) == 0 && get64(DATA + 40) == 10);
    CHECK(CALL(statx, AT_CWD, PATH1("f"), SYNC_TYPE, 0, DATA) == -EINVAL);
    CHECK(CALL(statx, AT_CWD, PATH1("f"), 1, 0, DATA) == -EINVAL);
    CHECK(CALL(statx, AT_CWD, PATH1("f"), 0, 0x80000000u, DATA) == -EINVAL);
    CHECK(CALL(statx, AT_CWD, PATH1("x"), 0, 0, DATA) == -ENOENT && CALL(statx, 40, PATH1("f"), 0, 0, DATA) == -EBADF);
    CHECK(CALL(statx, AT_CWD, PATH1("f"), 0, 0, NOWHERE) == -EFAULT);
    CHECK(CALL(statx, AT_CWD, PATH1("/dev/null"), 0, 0, DATA) == 0 && get32(DATA + 128) == 1 && get32(DATA + 132) == 3);
    return 0;
}

static int statfs(void)
{
    files_begin();
    int64_t fd = file_with("f", "x");

    CHECK(CALL(statfs, PATH1("/world"), DATA) == 0 && get64(DATA) == TMPFS && get64(DATA + 8) == PAGE_BYTES);
    CHECK(get64(DATA + 64) == LONGEST && get64(DATA + 24) <= get64(DATA + 16));
    CHECK(CALL(fstatfs, U(fd), DATA) == 0 && get64(DATA) == TMPFS);
    CHECK(CALL(statfs, PATH1("/proc"), DATA) == 0 && get64(DATA) == 0x9fa0);
    CHECK(CALL(statfs, PATH1("/x"), DATA) == -ENOENT && CALL(statfs, PATH1("f"), NOWHERE) == -EFAULT);
    CHECK(CALL(statfs, NOWHERE, DATA) == -EFAULT && CALL(fstatfs, 40, DATA) == -EBADF);
    return 0;
}

/* struct linux_dirent64: number 8, position 8, length 2, type 1, name. */
static unsigned count_entries(vaddr_t at, int64_t bytes)
{
    unsigned count = 0;

    for (int64_t offset = 0; offset < bytes; count++) {
        uint32_t length = get32(at + (vaddr_t)offset + 16) & 0xffff;

        CHECK(length >= 24 && length % 8 == 0 && offset + length <= bytes);
        offset += length;
    }
    return count;
}

static int directories(void)
{
    files_begin();
    CHECK(CALL(mkdir, PATH1("w"), 0777) == 0 && CALL(chdir, PATH1("w")) == 0);
    CHECK(CALL(close, U(file_with("one", "1"))) == 0 && CALL(mkdir, PATH1("two"), 0777) == 0);
    int64_t dir = CALL(open, PATH1("."), O_RDONLY | syscall_abi.o_directory);
    int64_t all = CALL(getdents64, U(dir), DATA, PAGE_BYTES);

    CHECK(all > 0 && count_entries(DATA, all) == 4 && CALL(getdents64, U(dir), DATA, PAGE_BYTES) == 0);
    CHECK(CALL(lseek, U(dir), 0, SEEK_SET) == 0);
    unsigned count = 0;
    int64_t bytes;

    while ((bytes = CALL(getdents64, U(dir), DATA, 32)) > 0) /* one at a time */
        count += count_entries(DATA, bytes);
    CHECK(bytes == 0 && count == 4 && CALL(lseek, U(dir), 0, SEEK_SET) == 0);
    CHECK(CALL(getdents64, U(dir), DATA, 8) == -EINVAL && CALL(getdents64, U(dir), NOWHERE, 100) == -EFAULT);
    CHECK(CALL(getdents64, 40, DATA, 100) == -EBADF);
    int64_t fd = CALL(open, PATH1("one"), O_RDONLY);

    CHECK(CALL(getdents64, U(fd), DATA, 100) == -ENOTDIR);
    CHECK(CALL(unlink, PATH1("one")) == 0 && CALL(rmdir, PATH1("two")) == 0);
    CHECK(CALL(rmdir, PATH1("/world/w")) == 0);
    CHECK(CALL(getdents64, U(dir), DATA, 100) == -ENOENT);
    return 0;
}

STORY(stats)
STORY(statx)
STORY(statfs)
STORY(directories)

const struct kernel_test booted_tests[] = {
    { "stats", run_stats },   { "statx", run_statx }, { "statfs", run_statfs }, { "directories", run_directories },
    { NULL, NULL },
};

static void layouts_are_what_programs_expect(void **state)
{
    (void)state;
    booted_run("stats", 4);
    booted_run("statx", 4);
    booted_run("statfs", 4);
}

static void directories_are_listed(void **state)
{
    (void)state;
    booted_run("directories", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_what_programs_expect),
        cmocka_unit_test(directories_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
