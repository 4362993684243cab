/* SPDX-License-Identifier: MIT */
/* Watching files. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define MASK_BYTES 8

static int new_epoll(void)
{
    return (int)GOOD(syscall(SYS_epoll_create1, 0));
}

static long control(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};

    return syscall(SYS_epoll_ctl, epoll, operation, fd, &event);
}

/* At once. */
static int look(int epoll, struct epoll_event *events, int max)
{
    return (int)syscall(SYS_epoll_pwait, epoll, events, max, 0, NULL, MASK_BYTES);
}

static void look_is(int epoll, uint32_t events, uint64_t data)
{
    struct epoll_event got[2];

    EQUAL(look(epoll, got, 2), events == 0 ? 0 : 1);
    if (events == 0)
        return;
    EQUAL(got[0].events, events);
    EQUAL(got[0].data.u64, data);
}

CHECK(epoll_create1, flags)
{
    FAILS(EINVAL, syscall(SYS_epoll_create1, 1));
    int fd = (int)GOOD(syscall(SYS_epoll_create1, EPOLL_CLOEXEC));

    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(new_epoll(), F_GETFD), 0);
    FAILS(EINVAL, read(fd, &fd, sizeof fd));
#ifdef SYS_epoll_create
    FAILS(EINVAL, syscall(SYS_epoll_create, 0));
    FAILS(EINVAL, syscall(SYS_epoll_create, -1));
    EQUAL(fcntl((int)GOOD(syscall(SYS_epoll_create, 1)), F_GETFD), 0);
#endif
}

CHECK(epoll_ctl, errors)
{
    int epoll = new_epoll(), pipes[2], file = check_file("file", "x", 1);

    GOOD(pipe(pipes));
    FAILS(EBADF, control(-1, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 0));
    FAILS(EBADF, control(epoll, EPOLL_CTL_ADD, -1, EPOLLIN, 0));
    FAILS(EBADF, control(epoll, EPOLL_CTL_ADD, (int)GOOD(open(".", O_PATH)), EPOLLIN, 0));
    FAILS(EINVAL, control(pipes[0], EPOLL_CTL_ADD, pipes[1], EPOLLIN, 0));
    FAILS(EINVAL, control(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN, 0));
    FAILS(EPERM, control(epoll, EPOLL_CTL_ADD, file, EPOLLIN, 0));
    FAILS(EPERM, control(epoll, EPOLL_CTL_DEL, file, EPOLLIN, 0));
    FAILS(EPERM, control(epoll, EPOLL_CTL_ADD, (int)GOOD(open(".", O_RDONLY)), EPOLLIN, 0));
    FAILS(EINVAL, control(epoll, 0, pipes[0], EPOLLIN, 0));
    FAILS(EINVAL, control(epoll, 4, pipes[0], EPOLLIN, 0));
    FAILS(ENOENT, control(epoll, EPOLL_CTL_MOD, pipes[0], EPOLLIN, 0));
    FAILS(ENOENT, control(epoll, EPOLL_CTL_DEL, pipes[0], EPOLLIN, 0));
    FAILS(EINVAL, control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0));
    BAD_SOURCES(sizeof(struct epoll_event), syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, pipes[0], bad));
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 0));
    FAILS(EEXIST, control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 0));
    FAILS(EINVAL, control(epoll, EPOLL_CTL_MOD, pipes[0], EPOLLIN, 0));
    GOOD(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, pipes[0], NULL));
}

CHECK(epoll_pwait, errors)
{
    int epoll = new_epoll(), pipes[2];
    struct epoll_event events[2];

    GOOD(pipe(pipes));
    FAILS(EBADF, look(-1, events, 1));
    FAILS(EINVAL, look(pipes[0], events, 1));
    FAILS(EINVAL, look(epoll, events, 0));
    FAILS(EINVAL, look(epoll, events, -1));
    FAILS(EINVAL, look(epoll, events, INT32_MAX));
    FAILS(EINVAL, syscall(SYS_epoll_pwait, epoll, events, 1, 0, events, 1));
    EQUAL(look(epoll, events, 2), 0);
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[1], EPOLLOUT, 0));
    BAD_TARGETS(sizeof(struct epoll_event), look(epoll, bad, 1));
    BAD_SOURCES(MASK_BYTES, UNLESS_NULL(bad, syscall(SYS_epoll_pwait, epoll, events, 1, 0, bad, MASK_BYTES)));
    look_is(epoll, EPOLLOUT, 0); /* what could not be stored is still there */
}

CHECK(epoll_pwait, tells_levels)
{
    int epoll = new_epoll(), pipes[2];
    char byte;

    GOOD(pipe(pipes));
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN, UINT64_C(0x123456789abcdef0)));
    look_is(epoll, 0, 0);
    EQUAL(write(pipes[1], "ab", 2), 2);
    look_is(epoll, EPOLLIN, UINT64_C(0x123456789abcdef0));
    EQUAL(read(pipes[0], &byte, 1), 1);
    look_is(epoll, EPOLLIN, UINT64_C(0x123456789abcdef0));
    EQUAL(read(pipes[0], &byte, 1), 1);
    look_is(epoll, 0, 0);
    GOOD(control(epoll, EPOLL_CTL_MOD, pipes[0], 0, 3));
    EQUAL(write(pipes[1], "a", 1), 1);
    look_is(epoll, 0, 0);
    GOOD(close(pipes[1]));
    look_is(epoll, EPOLLHUP, 3);
}

CHECK(epoll_pwait, tells_edges_and_once)
{
    int epoll = new_epoll(), pipes[2];
    char bytes[8];

    GOOD(pipe(pipes));
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN | EPOLLET, 1));
    EQUAL(write(pipes[1], "a", 1), 1);
    look_is(epoll, EPOLLIN, 1);
    look_is(epoll, 0, 0);
    EQUAL(read(pipes[0], bytes, sizeof bytes), 1);
    EQUAL(write(pipes[1], "b", 1), 1);
    look_is(epoll, EPOLLIN, 1);
    look_is(epoll, 0, 0);
    GOOD(control(epoll, EPOLL_CTL_MOD, pipes[0], EPOLLIN | EPOLLONESHOT, 2));
    look_is(epoll, EPOLLIN, 2);
    GOOD(close(pipes[1]));
    look_is(epoll, 0, 0);
    GOOD(control(epoll, EPOLL_CTL_MOD, pipes[0], EPOLLIN | EPOLLONESHOT, 2));
    look_is(epoll, EPOLLIN | EPOLLHUP, 2);
}

/* In a stream each piece that comes is a change, also if the one before is still there. */
CHECK(epoll_pwait, tells_each_piece)
{
    int ends[2];
    char byte;

    for (int i = 0; i < 2; i++) {
        int epoll = new_epoll();

        GOOD(i == 0 ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
        GOOD(control(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN | EPOLLET, 1));
        for (int piece = 0; piece < 3; piece++) {
            EQUAL(write(ends[1], "ab", 2), 2);
            look_is(epoll, EPOLLIN, 1);
            look_is(epoll, 0, 0);
            EQUAL(read(ends[0], &byte, 1), 1);
            look_is(epoll, 0, 0);
        }
    }
}

/* A watch is of the open file: it ends with the last descriptor. */
CHECK(epoll_ctl, ends_with_the_file)
{
    int epoll = new_epoll(), pipes[2], copy;

    GOOD(pipe(pipes));
    copy = (int)GOOD(dup(pipes[0]));
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 1));
    GOOD(control(epoll, EPOLL_CTL_ADD, copy, EPOLLIN, 2));
    EQUAL(write(pipes[1], "a", 1), 1);

    struct epoll_event events[4];

    EQUAL(look(epoll, events, 4), 2);
    GOOD(close(pipes[0]));
    EQUAL(look(epoll, events, 4), 2);
    GOOD(close(copy));
    EQUAL(look(epoll, events, 4), 0);
    FAILS(EBADF, control(epoll, EPOLL_CTL_DEL, copy, 0, 0));
}

CHECK(epoll_pwait, is_itself_polled)
{
    int epoll = new_epoll(), pipes[2];
    struct pollfd fd = {.fd = epoll, .events = POLLIN};

    GOOD(pipe(pipes));
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 1));
    EQUAL(poll(&fd, 1, 0), 0);
    EQUAL(write(pipes[1], "a", 1), 1);
    EQUAL(poll(&fd, 1, -1), 1);
    EQUAL(fd.revents, POLLIN);
    fd.events = POLLOUT; /* which it never is: the time ends it */
    EQUAL(poll(&fd, 1, 2), 0);
    EQUAL(fd.revents, 0);
}

static uint64_t now_ns(void)
{
    struct timespec time;

    GOOD(clock_gettime(CLOCK_MONOTONIC, &time));
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

CHECK(epoll_pwait, waits_until_its_time)
{
    int epoll = new_epoll();
    struct epoll_event event;
    uint64_t begun = now_ns();

    EQUAL(syscall(SYS_epoll_pwait, epoll, &event, 1, 3, NULL, MASK_BYTES), 0);
    TRUE(now_ns() - begun >= 3000000);
}

CHECK(epoll_pwait2, waits_until_its_time)
{
    int epoll = new_epoll(), pipes[2];
    struct epoll_event event;
    struct timespec time = {.tv_nsec = 1500000}, bad_time = {.tv_nsec = 1000000000};
    uint64_t begun = now_ns();

    EQUAL(syscall(SYS_epoll_pwait2, epoll, &event, 1, &time, NULL, MASK_BYTES), 0);
    TRUE(now_ns() - begun >= 1500000);
    FAILS(EINVAL, syscall(SYS_epoll_pwait2, epoll, &event, 1, &bad_time, NULL, MASK_BYTES));
    BAD_SOURCES(sizeof time,
                UNLESS_NULL(bad, syscall(SYS_epoll_pwait2, epoll, &event, 1, bad, NULL, MASK_BYTES)));
    GOOD(pipe(pipes));
    GOOD(control(epoll, EPOLL_CTL_ADD, pipes[1], EPOLLOUT, 1));
    EQUAL(syscall(SYS_epoll_pwait2, epoll, &event, 1, NULL, NULL, MASK_BYTES), 1);
}

static void nothing(int number)
{
    (void)number;
}

static volatile int sent_to;

static bool it_sleeps(void *arg)
{
    (void)arg;
    return check_sleeps(sent_to);
}

static void *send_when_it_sleeps(void *arg)
{
    check_until(it_sleeps, NULL);
    GOOD(syscall(SYS_tgkill, getpid(), sent_to, SIGUSR1));
    return arg;
}

/* A signal that is let in for the length of the call ends it, and is not let in behind it. */
CHECK(epoll_pwait, has_a_mask)
{
    int epoll = new_epoll();
    struct epoll_event event;
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigset_t blocked, now;
    uint64_t none = 0;
    pthread_t thread;

    GOOD(sigaction(SIGUSR1, &action, NULL));
    check_block(&blocked, SIGUSR1);
    sent_to = (int)syscall(SYS_gettid);
    EQUAL(pthread_create(&thread, NULL, send_when_it_sleeps, NULL), 0);
    FAILS(EINTR, syscall(SYS_epoll_pwait, epoll, &event, 1, -1, &none, MASK_BYTES));
    EQUAL(pthread_join(thread, NULL), 0);
    GOOD(sigprocmask(SIG_BLOCK, NULL, &now));
    EQUAL(sigismember(&now, SIGUSR1), 1);
}

#define BYTES 2000

static int pipes_of_bytes[2][2];

static void *write_bytes(void *arg)
{
    const int *pipes = arg;

    for (int i = 0; i < BYTES; i++)
        EQUAL(write(pipes[1], "a", 1), 1);
    GOOD(close(pipes[1]));
    return NULL;
}

/* An edge for each change: who reads all that is there misses nothing. */
CHECK(epoll_pwait, loses_no_edge)
{
    int epoll = new_epoll(), open_pipes = 2;
    long bytes = 0;
    pthread_t thread[2];

    for (int i = 0; i < 2; i++) {
        GOOD(pipe2(pipes_of_bytes[i], 0));
        GOOD(fcntl(pipes_of_bytes[i][0], F_SETFL, O_NONBLOCK));
        GOOD(control(epoll, EPOLL_CTL_ADD, pipes_of_bytes[i][0], EPOLLIN | EPOLLET, (uint64_t)i));
        EQUAL(pthread_create(&thread[i], NULL, write_bytes, pipes_of_bytes[i]), 0);
    }
    while (open_pipes > 0) {
        struct epoll_event event;
        char buffer[64];
        long got;

        EQUAL(syscall(SYS_epoll_pwait, epoll, &event, 1, -1, NULL, MASK_BYTES), 1);
        while ((got = read(pipes_of_bytes[event.data.u64][0], buffer, sizeof buffer)) > 0)
            bytes += got;
        if (got == 0) {
            GOOD(close(pipes_of_bytes[event.data.u64][0]));
            open_pipes--;
        }
    }
    EQUAL(bytes, 2L * BYTES);
    for (int i = 0; i < 2; i++)
        EQUAL(pthread_join(thread[i], NULL), 0);
}
