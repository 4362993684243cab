/* SPDX-License-Identifier: MIT */
/* Pairs of sockets; and what programs find in /dev/shm and /sys. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int pair[2];

static void make_pair(int flags)
{
    GOOD(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | flags, 0, pair));
}

CHECK(socketpair, arguments_are_checked)
{
    struct stat status;

    FAILS(EFAULT, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL));
    FAILS(EPROTONOSUPPORT, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 6, pair));
    FAILS(ESOCKTNOSUPPORT, syscall(SYS_socketpair, AF_UNIX, 7, 0, pair));
    FAILS(EINVAL, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | 0x10000, 0, pair));
    EACH_BAD(BAD_TARGET, 8, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, bad));
    make_pair(SOCK_CLOEXEC | SOCK_NONBLOCK);
    EQUAL(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(pair[1], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
    GOOD(fstat(pair[0], &status));
    TRUE(S_ISSOCK(status.st_mode));
    FAILS(ESPIPE, lseek(pair[0], 0, SEEK_CUR));
}

CHECK(socketpair, carries_bytes_both_ways_until_closed)
{
    struct pollfd poll_one = { .events = POLLIN | POLLOUT | POLLRDHUP };
    char bytes[8];

    signal(SIGPIPE, SIG_IGN);
    make_pair(SOCK_NONBLOCK);
    FAILS(EAGAIN, read(pair[0], bytes, 8));
    EQUAL(write(pair[0], "abc", 3), 3);
    EQUAL(write(pair[1], "xy", 2), 2);
    EQUAL(syscall(SYS_recvfrom, pair[1], bytes, 8, MSG_PEEK, NULL, NULL), 3);
    EQUAL(read(pair[1], bytes, 2), 2);
    EQUAL(read(pair[0], bytes, 8), 2);
    TRUE(memcmp(bytes, "xy", 2) == 0);
    GOOD(syscall(SYS_shutdown, pair[0], SHUT_WR));
    FAILS(EPIPE, write(pair[0], "z", 1));
    EQUAL(write(pair[1], "q", 1), 1);
    poll_one.fd = pair[1];
    EQUAL(poll(&poll_one, 1, 0), 1);
    EQUAL(poll_one.revents, POLLIN | POLLOUT | POLLRDHUP);
    EQUAL(read(pair[1], bytes, 8), 1);
    EQUAL(read(pair[1], bytes, 8), 0);
    GOOD(close(pair[1]));
    poll_one.fd = pair[0];
    EQUAL(poll(&poll_one, 1, 0), 1);
    TRUE((poll_one.revents & (POLLIN | POLLHUP)) == (POLLIN | POLLHUP));
    EQUAL(read(pair[0], bytes, 8), 1);
    EQUAL(read(pair[0], bytes, 8), 0);
}

CHECK(sendto, sends_to_the_other_end_only)
{
    struct sockaddr name = { .sa_family = AF_UNIX };
    socklen_t room = sizeof name;
    char bytes[8];

    make_pair(0);
    FAILS(EISCONN, syscall(SYS_sendto, pair[0], "a", 1, 0, &name, sizeof name));
    FAILS(ENOTSOCK, syscall(SYS_sendto, open("/dev/null", O_RDWR), "a", 1, 0, NULL, 0));
    FAILS(EBADF, syscall(SYS_sendto, -1, "a", 1, 0, NULL, 0));
    FAILS(EFAULT, syscall(SYS_sendto, pair[0], NULL, 8, MSG_DONTWAIT, NULL, 0));
    EQUAL(syscall(SYS_sendto, pair[0], "abc", 3, 0, NULL, 0), 3);
    EQUAL(syscall(SYS_recvfrom, pair[1], bytes, 8, 0, &name, &room), 3);
    EQUAL(room, 0);
    room = sizeof name;
    GOOD(syscall(SYS_getpeername, pair[0], &name, &room));
    TRUE(room == 2 && name.sa_family == AF_UNIX);
    GOOD(close(pair[1]));
    FAILS(EPIPE, syscall(SYS_sendto, pair[0], "a", 1, MSG_NOSIGNAL, NULL, 0));
}

CHECK(sendmsg, gathers_and_scatters)
{
    char first[2], second[8];
    struct iovec out[] = { { "ab", 2 }, { "cdef", 4 } }, in[] = { { first, 2 }, { second, 8 } };
    struct msghdr message = { .msg_iov = out, .msg_iovlen = 2 }, got = { .msg_iov = in, .msg_iovlen = 2,
                                                                        .msg_namelen = 5 };
    struct sockaddr name;

    make_pair(0);
    got.msg_name = &name;
    EQUAL(syscall(SYS_sendmsg, pair[0], &message, 0), 6);
    EQUAL(syscall(SYS_recvmsg, pair[1], &got, 0), 6);
    TRUE(memcmp(first, "ab", 2) == 0 && memcmp(second, "cdef", 4) == 0);
    EQUAL(got.msg_namelen, 0);
    EACH_BAD(BAD_SOURCE, sizeof message, syscall(SYS_sendmsg, pair[0], bad, 0));
    FAILS(EAGAIN, syscall(SYS_recvmsg, pair[1], &got, MSG_DONTWAIT));
}

CHECK(getsockopt, says_what_it_is)
{
    socklen_t bytes = sizeof(int);
    int value = -1;

    make_pair(0);
    GOOD(syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, &value, &bytes));
    TRUE(value == SOCK_STREAM && bytes == sizeof value);
    GOOD(syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_ERROR, &value, &bytes));
    EQUAL(value, 0);
    GOOD(syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_DOMAIN, &value, &bytes));
    EQUAL(value, AF_UNIX);
    FAILS(ENOPROTOOPT, syscall(SYS_getsockopt, pair[0], SOL_SOCKET, 999, &value, &bytes));
    FAILS(EFAULT, syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, &value, NULL));
}

CHECK(openat, shared_memory_has_a_place)
{
    int fd = GOOD(open("/dev/shm/verdant-check", O_RDWR | O_CREAT | O_EXCL, 0600));
    char *at;

    GOOD(unlink("/dev/shm/verdant-check"));
    GOOD(ftruncate(fd, 8192));
    at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRUE(at != MAP_FAILED);
    at[8191] = 1;
}

CHECK(openat, the_cpus_are_in_sysfs)
{
    unsigned first, last;
    FILE *file = fopen("/sys/devices/system/cpu/possible", "r");

    TRUE(file != NULL);
    int found = fscanf(file, "%u-%u", &first, &last);

    TRUE(found >= 1 && first == 0);
    EQUAL(sysconf(_SC_NPROCESSORS_CONF), found == 2 ? last + 1 : 1);
    TRUE(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && sysconf(_SC_NPROCESSORS_ONLN) <= sysconf(_SC_NPROCESSORS_CONF));
}
