/* SPDX-License-Identifier: MIT */
/* Locks of ranges of files: fcntl(2), of processes and of open files. */
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/wait.h>

static long lock(int fd, int command, int type, long start, long bytes)
{
    struct flock range = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = bytes};

    return syscall(SYS_fcntl, fd, command, &range);
}

/* What a lock for writing of these bytes would meet. */
static struct flock met(int fd, int command, long start, long bytes)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = bytes};

    GOOD(syscall(SYS_fcntl, fd, command, &range));
    return range;
}

/* The parent has 10 to 19 for writing, and 30 to 39 for reading. */
static int meets_the_parent(void *arg)
{
    int fd = (int)GOOD(open("f", O_RDWR));
    struct flock range = met(fd, F_GETLK, 15, 100);

    (void)arg;
    EQUAL(range.l_type, F_WRLCK);
    EQUAL(range.l_whence, SEEK_SET);
    EQUAL(range.l_start, 10);
    EQUAL(range.l_len, 10);
    EQUAL(range.l_pid, getppid());
    EQUAL(met(fd, F_GETLK, 20, 10).l_type, F_UNLCK);
    FAILS(EAGAIN, lock(fd, F_SETLK, F_RDLCK, 19, 1));
    FAILS(EAGAIN, lock(fd, F_SETLK, F_WRLCK, 39, 0));
    GOOD(lock(fd, F_SETLK, F_RDLCK, 20, 0));
    GOOD(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    return 0;
}

CHECK(fcntl, locks_ranges)
{
    int fd = check_file("f", "", 0);

    GOOD(lock(fd, F_SETLK, F_WRLCK, 10, 10));
    GOOD(lock(fd, F_SETLK, F_RDLCK, 30, 10));
    check_child(meets_the_parent, NULL);
    EQUAL(met(fd, F_GETLK, 0, 0).l_type, F_UNLCK); /* what the child had went with it, and one's own is no hindrance */
    GOOD(close(GOOD(open("f", O_RDONLY)))); /* any close gives all back */
    EQUAL(met(fd, F_OFD_GETLK, 0, 0).l_type, F_UNLCK);
}

CHECK(fcntl, cuts_and_joins_locks)
{
    int fd = check_file("f", "", 0);

    GOOD(lock(fd, F_SETLK, F_WRLCK, 0, 10));
    GOOD(lock(fd, F_SETLK, F_WRLCK, 10, 10));
    EQUAL(met(fd, F_OFD_GETLK, 15, 1).l_start, 0);
    EQUAL(met(fd, F_OFD_GETLK, 15, 1).l_len, 20);
    GOOD(lock(fd, F_SETLK, F_UNLCK, 5, 5));
    EQUAL(met(fd, F_OFD_GETLK, 5, 5).l_type, F_UNLCK);
    EQUAL(met(fd, F_OFD_GETLK, 4, 1).l_len, 5);
    GOOD(lock(fd, F_SETLK, F_RDLCK, 12, 2));
    EQUAL(met(fd, F_OFD_GETLK, 12, 1).l_type, F_RDLCK);
    EQUAL(met(fd, F_OFD_GETLK, 14, 1).l_type, F_WRLCK);
    EQUAL(met(fd, F_OFD_GETLK, 14, 1).l_len, 6);
    GOOD(lock(fd, F_SETLK, F_WRLCK, 4, LONG_MAX - 3));
    EQUAL(met(fd, F_OFD_GETLK, LONG_MAX, 1).l_len, 0); /* to the end */
}

CHECK(fcntl, refuses_wrong_ranges)
{
    int fd = check_file("f", "0123456789", 10), input = (int)GOOD(open("f", O_RDONLY));
    struct flock range = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    FAILS(EBADF, lock(500, F_SETLK, F_RDLCK, 0, 0));
    FAILS(EBADF, lock(input, F_SETLK, F_WRLCK, 0, 0));
    FAILS(EBADF, lock((int)GOOD(open("f", O_WRONLY)), F_SETLK, F_RDLCK, 0, 0));
    FAILS(EBADF, lock((int)GOOD(open("f", O_PATH)), F_SETLK, F_RDLCK, 0, 0));
    FAILS(EINVAL, lock(fd, F_SETLK, 3, 0, 0));
    FAILS(EINVAL, lock(fd, F_GETLK, F_UNLCK, 0, 0));
    FAILS(EINVAL, lock(fd, F_SETLK, F_RDLCK, -1, 0));
    FAILS(EINVAL, lock(fd, F_SETLK, F_RDLCK, 1, -2));
    FAILS(EOVERFLOW, lock(fd, F_SETLK, F_RDLCK, 2, LONG_MAX));
    GOOD(lock(fd, F_SETLK, F_RDLCK, 2, -2));
    range.l_whence = 5;
    FAILS(EINVAL, syscall(SYS_fcntl, fd, F_SETLK, &range));
    range.l_whence = SEEK_SET;
    range.l_pid = 1;
    FAILS(EINVAL, syscall(SYS_fcntl, fd, F_OFD_SETLK, &range));
    BAD_SOURCES(sizeof(range), syscall(SYS_fcntl, fd, F_SETLK, bad));
    BAD_TARGETS(sizeof(range), syscall(SYS_fcntl, fd, F_GETLK, bad));
}

CHECK(fcntl, locks_for_open_files)
{
    int one = check_file("f", "", 0), two = (int)GOOD(open("f", O_RDWR)), copy = (int)GOOD(dup(one));

    GOOD(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
    FAILS(EAGAIN, lock(two, F_OFD_SETLK, F_RDLCK, 9, 1));
    FAILS(EAGAIN, lock(one, F_SETLK, F_RDLCK, 9, 1)); /* not of the process */
    GOOD(lock(copy, F_OFD_SETLK, F_WRLCK, 5, 10));    /* the same open file */
    EQUAL(met(two, F_OFD_GETLK, 0, 0).l_pid, -1);
    EQUAL(met(two, F_OFD_GETLK, 0, 0).l_len, 15);
    GOOD(close(one));
    FAILS(EAGAIN, lock(two, F_OFD_SETLK, F_RDLCK, 0, 1));
    GOOD(close(copy));
    GOOD(lock(two, F_OFD_SETLKW, F_WRLCK, 0, 0));
}

/* ---- Waiting ---- */

static int waits_for_byte_0(void *arg)
{
    int *fd = arg;

    GOOD(lock((int)GOOD(open("f", O_RDWR)), F_SETLKW, F_WRLCK, 0, 1));
    GOOD(write(fd[1], "x", 1));
    return 0;
}

CHECK(fcntl, waits_for_a_lock)
{
    int fd[2], own = check_file("f", "", 0);
    char byte;

    GOOD(pipe2(fd, O_NONBLOCK));
    GOOD(lock(own, F_SETLK, F_RDLCK, 0, 0));
    int child = check_fork(waits_for_byte_0, fd);

    while (!check_sleeps(child))
        continue;
    GOOD(lock(own, F_SETLK, F_UNLCK, 1, 0)); /* not that byte */
    FAILS(EAGAIN, read(fd[0], &byte, 1));
    GOOD(lock(own, F_SETLK, F_UNLCK, 0, 1));
    EQUAL(check_wait(child), 0);
    EQUAL(read(fd[0], &byte, 1), 1);
    GOOD(lock(own, F_SETLK, F_WRLCK, 0, 0)); /* the child's end gave it back */
}

static void nothing(int number)
{
    (void)number;
}

static int is_interrupted(void *arg)
{
    struct sigaction action = {.sa_handler = nothing};

    GOOD(sigaction(SIGUSR1, &action, NULL));
    (void)arg;
    FAILS(EINTR, lock((int)GOOD(open("f", O_RDWR)), F_SETLKW, F_WRLCK, 0, 1));
    return 0;
}

CHECK(fcntl, a_signal_ends_the_wait)
{
    int own = check_file("f", "", 0);

    GOOD(lock(own, F_SETLK, F_WRLCK, 0, 0));
    int child = check_fork(is_interrupted, NULL);

    while (!check_sleeps(child))
        continue;
    GOOD(kill(child, SIGUSR1));
    EQUAL(check_wait(child), 0);
}

static int takes_1_then_0(void *arg)
{
    int fd = (int)GOOD(open("f", O_RDWR)), *ends = arg;

    GOOD(lock(fd, F_SETLK, F_WRLCK, 1, 1));
    GOOD(write(ends[1], "x", 1));
    GOOD(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
    return 0;
}

CHECK(fcntl, refuses_a_circle)
{
    int fd[2], own = check_file("f", "", 0);
    char byte;

    GOOD(pipe(fd));
    GOOD(lock(own, F_SETLK, F_WRLCK, 0, 1));
    int child = check_fork(takes_1_then_0, fd);

    EQUAL(read(fd[0], &byte, 1), 1);
    while (!check_sleeps(child))
        continue;
    FAILS(EDEADLK, lock(own, F_SETLKW, F_RDLCK, 1, 1));
    GOOD(lock(own, F_SETLK, F_UNLCK, 0, 1));
    EQUAL(check_wait(child), 0);
    GOOD(lock(own, F_SETLKW, F_RDLCK, 1, 1));
}
