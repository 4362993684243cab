/* SPDX-License-Identifier: MIT */
/* splice(2): between pipes and files. It is how grep(1) ends with a pipe whose output goes to /dev/null. */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define NONBLOCK 2u

static long splice_fd(int in, long long *in_at, int out, long long *out_at, size_t bytes, unsigned flags)
{
    return syscall(SYS_splice, in, in_at, out, out_at, bytes, flags);
}

CHECK(splice, takes_from_a_pipe)
{
    int ends[2], null = (int)GOOD(open("/dev/null", O_WRONLY)), file = check_file("f", "", 0);
    long long at = 2;
    char data[16];

    GOOD(pipe(ends));
    GOOD(write(ends[1], "0123456789", 10));
    EQUAL(splice_fd(ends[0], NULL, null, NULL, 3, 0), 3);
    EQUAL(splice_fd(ends[0], NULL, file, &at, 2, 1), 2);
    EQUAL(at, 4);
    GOOD(lseek(file, 6, SEEK_SET));
    EQUAL(splice_fd(ends[0], NULL, file, NULL, 100, 0), 5); /* what is there: it waits for the first byte only */
    EQUAL(lseek(file, 0, SEEK_CUR), 11);
    EQUAL(pread(file, data, 16, 0), 11);
    TRUE(memcmp(data, "\0\0" "34\0\0" "56789", 11) == 0);
    FAILS(EAGAIN, splice_fd(ends[0], NULL, null, NULL, 1, NONBLOCK));
    GOOD(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    FAILS(EAGAIN, splice_fd(ends[0], NULL, null, NULL, 1, 0));
    GOOD(close(ends[1]));
    EQUAL(splice_fd(ends[0], NULL, null, NULL, 1, 0), 0);
}

/* A file that takes nothing leaves the bytes where they are. */
CHECK(splice, loses_nothing)
{
    int ends[2], sealed = (int)GOOD(memfd_create("f", MFD_ALLOW_SEALING));
    char data[16];

    GOOD(pipe(ends));
    GOOD(write(ends[1], "abc", 3));
    GOOD(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
    FAILS(EPERM, splice_fd(ends[0], NULL, sealed, NULL, 3, 0));
    EQUAL(read(ends[0], data, 16), 3);
    TRUE(memcmp(data, "abc", 3) == 0);
}

CHECK(splice, gives_to_a_pipe)
{
    static char data[100000], back[100000];
    int ends[2], file, zero = (int)GOOD(open("/dev/zero", O_RDONLY)), pair[2];
    long long at = 99990;
    long moved, got = 0;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 + i / 4096);
    file = check_file("f", data, sizeof data);
    GOOD(lseek(file, 0, SEEK_SET));
    GOOD(pipe(ends));
    EQUAL(splice_fd(file, &at, ends[1], NULL, 100, 0), 10);
    EQUAL(at, 100000);
    EQUAL(splice_fd(file, &at, ends[1], NULL, 100, 0), 0);
    EQUAL(read(ends[0], back, sizeof back), 10);
    TRUE(memcmp(back, data + 99990, 10) == 0);
    EQUAL(lseek(file, 0, SEEK_CUR), 0);
    while ((moved = GOOD(splice_fd(file, NULL, ends[1], NULL, sizeof data, 0))) > 0) {
        for (long end = got + moved, part; got < end; got += part)
            part = GOOD(read(ends[0], back + got, (size_t)(end - got)));
    }
    EQUAL(got, 100000);
    TRUE(memcmp(back, data, sizeof data) == 0);
    GOOD(splice_fd(zero, NULL, ends[1], NULL, 1, 0));
    EQUAL(read(ends[0], back, 1), 1);
    EQUAL(back[0], 0);
    GOOD(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    EQUAL(write(pair[0], "sock", 4), 4);
    EQUAL(splice_fd(pair[1], NULL, ends[1], NULL, 100, 0), 4);
    EQUAL(splice_fd(ends[0], NULL, pair[1], NULL, 100, 0), 4);
    EQUAL(read(pair[0], back, 100), 4);
    TRUE(memcmp(back, "sock", 4) == 0);
}

CHECK(splice, moves_between_pipes)
{
    int one[2], two[2];
    char data[16];

    GOOD(pipe(one));
    GOOD(pipe(two));
    GOOD(write(one[1], "abcdef", 6));
    GOOD(write(two[1], "x", 1));
    EQUAL(splice_fd(one[0], NULL, two[1], NULL, 4, 0), 4);
    EQUAL(read(two[0], data, 16), 5);
    TRUE(memcmp(data, "xabcd", 5) == 0);
    EQUAL(splice_fd(one[0], NULL, two[1], NULL, 100, 0), 2);
    FAILS(EAGAIN, splice_fd(one[0], NULL, two[1], NULL, 100, NONBLOCK));
    FAILS(EINVAL, splice_fd(one[0], NULL, one[1], NULL, 1, 0));
    GOOD(write(one[1], "y", 1));
    GOOD(close(two[0]));
    TRUE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    FAILS(EPIPE, splice_fd(one[0], NULL, two[1], NULL, 1, 0));
    GOOD(close(one[1]));
    EQUAL(read(one[0], data, 16), 1);
}

CHECK(splice, refuses_what_is_wrong)
{
    int ends[2], file = check_file("f", "abc", 3), event = (int)GOOD(eventfd(0, 0));
    long long at = 0, below = -1;

    GOOD(pipe(ends));
    GOOD(write(ends[1], "abcdefgh", 8));
    EQUAL(splice_fd(500, NULL, 500, NULL, 0, 0), 0);
    FAILS(EINVAL, splice_fd(ends[0], NULL, file, NULL, 1, 16));
    FAILS(EBADF, splice_fd(500, NULL, ends[1], NULL, 1, 0));
    FAILS(EBADF, splice_fd(ends[0], NULL, 500, NULL, 1, 0));
    FAILS(EBADF, splice_fd(ends[1], NULL, file, NULL, 1, 0));
    FAILS(EBADF, splice_fd(ends[0], NULL, (int)GOOD(open("f", O_RDONLY)), NULL, 1, 0));
    FAILS(EINVAL, splice_fd(file, NULL, file, NULL, 1, 0));
    FAILS(ESPIPE, splice_fd(ends[0], &at, file, NULL, 1, 0));
    FAILS(ESPIPE, splice_fd(file, NULL, ends[1], &at, 1, 0));
    FAILS(EINVAL, splice_fd(ends[0], NULL, file, &below, 1, 0));
    FAILS(EINVAL, splice_fd(ends[0], NULL, (int)GOOD(open("f", O_WRONLY | O_APPEND)), NULL, 1, 0));
    FAILS(EINVAL, splice_fd(ends[0], NULL, event, NULL, 8, 0));
    BAD_SOURCES(sizeof(at), UNLESS_NULL(bad, splice_fd(file, bad, ends[1], NULL, 1l, 0)));
}

static int splices_from(void *arg)
{
    int *ends = arg;

    return splice_fd(ends[0], NULL, GOOD(open("/dev/null", O_WRONLY)), NULL, 5, 0) == 5 ? 0 : 1;
}

static int splices_to(void *arg)
{
    int *ends = arg;

    return splice_fd(GOOD(open("/dev/zero", O_RDONLY)), NULL, ends[1], NULL, 1, 0) == 1 ? 0 : 1;
}

CHECK(splice, waits)
{
    static char data[65536];
    int ends[2];

    GOOD(pipe(ends));
    int child = check_fork(splices_from, ends);

    while (!check_sleeps(child))
        continue;
    GOOD(write(ends[1], "abcde", 5));
    EQUAL(check_wait(child), 0);
    GOOD(write(ends[1], data, sizeof data));
    child = check_fork(splices_to, ends);
    while (!check_sleeps(child))
        continue;
    EQUAL(read(ends[0], data, sizeof data), sizeof data);
    EQUAL(check_wait(child), 0);
    EQUAL(read(ends[0], data, sizeof data), 1);
    child = check_fork(splices_from, ends);
    while (!check_sleeps(child))
        continue;
    GOOD(kill(child, SIGKILL));
    EQUAL(check_wait(child), SIGKILL);
}
