/* SPDX-License-Identifier: MIT */
/* Old calls that only x86_64 has, beside those that replaced them. On other machines this file has no checks. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <utime.h>

#ifdef SYS_open
CHECK(open, names_are_used_as_the_newer_calls_use_them)
{
    struct stat status;
    char data[4];
    int fd = (int)GOOD(syscall(SYS_creat, "f", 0644));

    EQUAL(write(fd, "abc", 3), 3);
    fd = (int)GOOD(syscall(SYS_open, "f", O_RDONLY));
    EQUAL(read(fd, data, 4), 3);
    GOOD(syscall(SYS_stat, "f", &status));
    EQUAL(status.st_size, 3);
    GOOD(syscall(SYS_link, "f", "g"));
    GOOD(syscall(SYS_symlink, "f", "s"));
    GOOD(syscall(SYS_lstat, "s", &status));
    EQUAL(status.st_mode & S_IFMT, S_IFLNK);
    EQUAL(syscall(SYS_readlink, "s", data, 4l), 1);
    GOOD(syscall(SYS_rename, "g", "h"));
    GOOD(syscall(SYS_chmod, "h", 0600));
    GOOD(syscall(SYS_access, "h", R_OK));
    FAILS(EACCES, syscall(SYS_access, "h", X_OK));
    GOOD(syscall(SYS_mkdir, "d", 0755));
    FAILS(EISDIR, syscall(SYS_unlink, "d"));
    GOOD(syscall(SYS_rmdir, "d"));
    GOOD(syscall(SYS_unlink, "h"));
    FAILS(ENOENT, syscall(SYS_open, "h", O_RDONLY));
    BAD_SOURCES(1, syscall(SYS_open, bad, O_RDONLY));
    BAD_SOURCES(1, syscall(SYS_stat, bad, &status));
    BAD_TARGETS(sizeof(status), syscall(SYS_stat, "f", bad));
}

CHECK(utime, sets_times)
{
    struct utimbuf times = {.actime = 5, .modtime = 6};
    struct stat status;

    close(check_file("f", "", 0));
    GOOD(syscall(SYS_utime, "f", &times));
    GOOD(stat("f", &status));
    EQUAL(status.st_mtime, 6);
    BAD_SOURCES(sizeof(times), UNLESS_NULL(bad, syscall(SYS_utime, "f", bad)));
}

CHECK(pipe, dup2_and_poll)
{
    struct pollfd polled = {.events = POLLIN};
    fd_set set;
    int ends[2];

    GOOD(syscall(SYS_pipe, ends));
    EQUAL(syscall(SYS_dup2, ends[0], 30), 30);
    EQUAL(syscall(SYS_dup2, 30, 30), 30); /* unlike dup3() */
    FAILS(EBADF, syscall(SYS_dup2, 500, 500));
    polled.fd = 30;
    EQUAL(syscall(SYS_poll, &polled, 1, 0), 0);
    EQUAL(syscall(SYS_poll, &polled, 1, 1), 0); /* a time that passes */
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(syscall(SYS_poll, &polled, 1, -1), 1);
    FD_ZERO(&set);
    FD_SET(30, &set);
    EQUAL(syscall(SYS_select, 31, &set, NULL, NULL, NULL), 1);
    TRUE(FD_ISSET(30, &set));
    BAD_TARGETS(2 * sizeof(int), syscall(SYS_pipe, bad));
}

CHECK(fork, and_vfork)
{
    volatile int shared = 0;
    long pid = syscall(SYS_fork);

    if (pid == 0)
        _exit(4);
    EQUAL(check_wait((int)pid), 4 << 8);
    pid = vfork(); /* the library's: a child must not return from the function that the call is in */
    if (pid == 0) {
        shared = 1;
        _exit(5);
    }
    EQUAL(check_wait((int)pid), 5 << 8);
    EQUAL(shared, 1); /* the memory was the parent's */
}

/* struct linux_dirent of getdents(2). */
struct old_entry {
    unsigned long number, next;
    unsigned short bytes;
    char name[];
};

CHECK(getdents, has_the_type_in_the_last_byte)
{
    char buffer[1024] __attribute__((aligned(8)));
    unsigned files = 0, others = 0;
    int folder;

    GOOD(mkdir("d", 0755));
    GOOD(close(check_file("d/file", "", 0)));
    GOOD(close(check_file("d/another-file", "", 0)));
    folder = (int)GOOD(open("d", O_RDONLY));
    FAILS(EINVAL, syscall(SYS_getdents, folder, buffer, 8));
    long bytes = GOOD(syscall(SYS_getdents, folder, buffer, sizeof buffer));

    for (long at = 0; at < bytes;) {
        struct old_entry *entry = (struct old_entry *)(buffer + at);
        char type = buffer[at + entry->bytes - 1];

        EQUAL(entry->bytes % 8, 0);
        files += (strcmp(entry->name, "file") == 0 || strcmp(entry->name, "another-file") == 0) && type == DT_REG;
        others += entry->name[0] == '.' && type == DT_DIR;
        at += entry->bytes;
    }
    TRUE(files == 2 && others == 2);
    EQUAL(syscall(SYS_getdents, folder, buffer, sizeof buffer), 0);
    FAILS(ENOTDIR, syscall(SYS_getdents, check_file("f", "", 0), buffer, sizeof buffer));
    FAILS(EBADF, syscall(SYS_getdents, 500, buffer, sizeof buffer));
    EQUAL(lseek(folder, 0, SEEK_SET), 0);
    BAD_TARGETS(1, syscall(SYS_getdents, folder, bad, 24));
}

static void on_alarm(int number)
{
    (void)number;
}

CHECK(alarm, interrupts_a_pause)
{
    signal(SIGALRM, on_alarm);
    TRUE(syscall(SYS_alarm, 1) > 0); /* what was left of this check's own */
    FAILS(EINTR, syscall(SYS_pause));
    EQUAL(syscall(SYS_alarm, 100), 0);
    TRUE(syscall(SYS_alarm, 0) > 0);
}

CHECK(time, is_the_real_time_clock)
{
    struct timespec before, after;
    time_t stored = 0, got;

    GOOD(clock_gettime(CLOCK_REALTIME_COARSE, &before));
    got = (time_t)GOOD(syscall(SYS_time, &stored));
    GOOD(clock_gettime(CLOCK_REALTIME, &after));
    EQUAL(got, stored);
    TRUE(got >= before.tv_sec && got <= after.tv_sec);
    EQUAL(syscall(SYS_getpgrp), getpgid(0));
}
#endif
