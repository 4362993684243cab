/* SPDX-License-Identifier: MIT */
/* core/syscall/lock.c: locks of files and of ranges by Linux's rules and errors. */
#include "file_world.h"

#define CLOSED U(40) /* no such descriptor */

#define F_GETLK 5
#define F_SETLK 6
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

static int whole_files(void)
{
    files_begin();
    int64_t one = file_with("a", "x"), two = CALL(open, PATH1("a"), O_RDONLY);

    CHECK(CALL(flock, U(one), 2) == 0 && CALL(flock, U(two), 4 | 1) == -EAGAIN);
    CHECK(CALL(flock, U(one), 8) == 0 && CALL(flock, U(two), 4 | 1) == 0);
    CHECK(CALL(flock, U(one), 0) == -EINVAL && CALL(flock, U(one), 3) == -EINVAL && CALL(flock, CLOSED, 1) == -EBADF);
    int64_t path = CALL(open, PATH1("a"), O_PATH);

    CHECK(CALL(flock, U(path), 1) == -EBADF);
    return 0;
}

/* A struct flock at DATA. */
static vaddr_t range(int type, int whence, int64_t start, int64_t bytes)
{
    put64(DATA, (uint64_t)(uint16_t)type | (uint64_t)(uint16_t)whence << 16);
    put64(DATA + 8, (uint64_t)start);
    put64(DATA + 16, (uint64_t)bytes);
    put64(DATA + 24, 0);
    return DATA;
}

static bool range_is(int type, int64_t start, int64_t bytes, int pid)
{
    return (get32(DATA) & 0xffff) == (uint32_t)type && get64(DATA + 8) == (uint64_t)start &&
           get64(DATA + 16) == (uint64_t)bytes && get32(DATA + 24) == (uint32_t)pid;
}

static int ranges(void)
{
    files_begin();
    int64_t one = file_with("a", "0123456789"), two = CALL(open, PATH1("a"), O_RDONLY);

    CHECK(CALL(lseek, U(one), 4, SEEK_SET) == 4);
    CHECK(CALL(fcntl, U(one), F_SETLK, range(F_WRLCK, SEEK_CUR, -1, 2)) == 0); /* 3, 4 */
    CHECK(CALL(fcntl, U(two), F_SETLK, range(F_WRLCK, 0, 0, 1)) == -EBADF);    /* not open for writing */
    CHECK(CALL(fcntl, U(two), F_GETLK, range(F_WRLCK, 0, 0, 0)) == 0 && range_is(F_UNLCK, 0, 0, 0)); /* its own */
    CHECK(CALL(fcntl, U(two), F_OFD_SETLK, range(F_RDLCK, SEEK_END, 0, -6)) == -EAGAIN);
    CHECK(CALL(fcntl, U(two), F_OFD_SETLK, range(F_RDLCK, SEEK_END, 0, -5)) == 0); /* 5 to 9 */
    CHECK(CALL(fcntl, U(two), F_OFD_GETLK, range(F_RDLCK, 0, 1, 0)) == 0);
    CHECK(range_is(F_WRLCK, 3, 2, process_current()->pid));
    CHECK(CALL(fcntl, U(one), F_GETLK, range(F_WRLCK, 0, 9, 0)) == 0 && range_is(F_RDLCK, 5, 5, -1));
    CHECK(CALL(fcntl, U(one), F_SETLK, range(F_WRLCK, 0, 10, 0)) == 0); /* to the end */
    CHECK(CALL(fcntl, U(two), F_OFD_GETLK, range(F_WRLCK, 0, 100, 1)) == 0);
    CHECK(range_is(F_WRLCK, 10, 0, process_current()->pid));
    int64_t copy = CALL(dup, U(two));

    CHECK(CALL(close, U(copy)) == 0); /* a close of the file, and the process's locks are gone */
    CHECK(CALL(fcntl, U(two), F_OFD_SETLKW, range(F_RDLCK, 0, 0, 0)) == 0);
    CHECK(CALL(fcntl, U(one), F_SETLK, range(F_WRLCK, 0, 0, 1)) == -EAGAIN);
    CHECK(CALL(close, U(two)) == 0 && CALL(fcntl, U(one), F_SETLK, range(F_WRLCK, 0, 0, 1)) == 0);
    return 0;
}

static int refusals(void)
{
    files_begin();
    int64_t fd = file_with("a", "0123456789"), path = CALL(open, PATH1("a"), O_PATH);

    CHECK(CALL(fcntl, CLOSED, F_SETLK, range(F_RDLCK, 0, 0, 0)) == -EBADF);
    CHECK(CALL(fcntl, U(path), F_SETLK, range(F_RDLCK, 0, 0, 0)) == -EBADF);
    CHECK(CALL(fcntl, U(fd), F_SETLK, NOWHERE) == -EFAULT && CALL(fcntl, U(fd), F_GETLK, NOWHERE) == -EFAULT);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(3, 0, 0, 0)) == -EINVAL);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(-1, 0, 0, 0)) == -EINVAL);
    CHECK(CALL(fcntl, U(fd), F_GETLK, range(F_UNLCK, 0, 0, 0)) == -EINVAL);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(F_RDLCK, 3, 0, 0)) == -EINVAL);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(F_RDLCK, 0, -1, 0)) == -EINVAL);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(F_RDLCK, 0, 1, -2)) == -EINVAL);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(F_RDLCK, 0, 2, INT64_MAX)) == -EOVERFLOW);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(F_RDLCK, 0, 1, INT64_MAX)) == 0);
    CHECK(CALL(fcntl, U(fd), F_SETLK, range(F_RDLCK, SEEK_END, INT64_MAX, 1)) == -EOVERFLOW);
    (void)range(F_RDLCK, 0, 0, 0);
    put64(DATA + 24, 1);
    CHECK(CALL(fcntl, U(fd), F_OFD_SETLK, DATA) == -EINVAL);
    return 0;
}

STORY(whole_files)
STORY(ranges)
STORY(refusals)

const struct kernel_test booted_tests[] = {
    { "whole_files", run_whole_files }, { "ranges", run_ranges }, { "refusals", run_refusals }, { NULL, NULL },
};

static void locks_go_by_the_manual(void **state)
{
    (void)state;
    booted_run("whole_files", 4);
    booted_run("ranges", 4);
    booted_run("refusals", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(locks_go_by_the_manual) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
