/* SPDX-License-Identifier: MIT */
/* Opening what is open, by its link in /proc: what /dev/stdin and /dev/stdout are. */
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int again(int fd, int flags)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* As a shell does with >/dev/stdout. */
CHECK(openat, creates_nothing_behind_a_link_of_proc)
{
    int fd = check_file("file", "text", 4), pipes[2], other;
    struct stat status;
    char byte = 0;

    other = (int)GOOD(again(fd, O_WRONLY | O_CREAT | O_APPEND));
    EQUAL(write(other, "s", 1), 1);
    GOOD(fstat(fd, &status));
    EQUAL(status.st_size, 5);
    GOOD(again(fd, O_WRONLY | O_CREAT | O_TRUNC));
    GOOD(fstat(fd, &status));
    EQUAL(status.st_size, 0);
    FAILS(EEXIST, again(fd, O_WRONLY | O_CREAT | O_EXCL));
    FAILS(ELOOP, again(fd, O_WRONLY | O_CREAT | O_NOFOLLOW));
    FAILS(EISDIR, again((int)GOOD(open(".", O_RDONLY)), O_RDONLY | O_CREAT));
    FAILS(ENOENT, again(999, O_WRONLY | O_CREAT));

    GOOD(pipe(pipes));
    other = (int)GOOD(again(pipes[1], O_WRONLY | O_CREAT | O_TRUNC));
    EQUAL(write(other, "a", 1), 1);
    EQUAL(read(pipes[0], &byte, 1), 1);
    EQUAL(byte, 'a');
}

/* A pipe that has no writer any more is read to its end: nobody waits for another one. */
CHECK(openat, a_pipe_again_without_a_wait)
{
    int pipes[2], other;
    char bytes[4];

    GOOD(pipe(pipes));
    EQUAL(write(pipes[1], "ab", 2), 2);
    GOOD(close(pipes[1]));
    other = (int)GOOD(again(pipes[0], O_RDONLY));
    EQUAL(read(other, bytes, sizeof(bytes)), 2);
    EQUAL(read(other, bytes, sizeof(bytes)), 0);
    GOOD(pipe(pipes));
    other = (int)GOOD(again(pipes[0], O_WRONLY));
    GOOD(close(pipes[0]));
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, write(other, "a", 1));
    GOOD(again(other, O_WRONLY | O_NONBLOCK));
}
