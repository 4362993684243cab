/* SPDX-License-Identifier: MIT */
/* Timers as files. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#define SECOND 1000000000ll
#define MILLISECOND 1000000ll

static long long now(clockid_t clock)
{
    struct timespec time;

    GOOD(clock_gettime(clock, &time));
    return time.tv_sec * SECOND + time.tv_nsec;
}

static struct itimerspec setting(long long value, long long period)
{
    return (struct itimerspec){.it_value = {value / SECOND, value % SECOND},
                               .it_interval = {period / SECOND, period % SECOND}};
}

static long set(int fd, int flags, long long value, long long period)
{
    struct itimerspec new = setting(value, period);

    return syscall(SYS_timerfd_settime, fd, flags, &new, NULL);
}

static int new_timer(int flags)
{
    return (int)GOOD(syscall(SYS_timerfd_create, CLOCK_MONOTONIC, flags));
}

CHECK(timerfd_create, errors)
{
    FAILS(EINVAL, syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 1));
    FAILS(EINVAL, syscall(SYS_timerfd_create, -1, 0));
    FAILS(EINVAL, syscall(SYS_timerfd_create, CLOCK_PROCESS_CPUTIME_ID, 0));
    int fd = new_timer(TFD_CLOEXEC | TFD_NONBLOCK);

    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
    EQUAL(fcntl(new_timer(0), F_GETFD), 0);
    GOOD(syscall(SYS_timerfd_create, CLOCK_REALTIME, 0));
    GOOD(syscall(SYS_timerfd_create, CLOCK_BOOTTIME, 0));
}

CHECK(timerfd_settime, errors)
{
    int fd = new_timer(TFD_NONBLOCK), file = check_file("file", "x", 1);
    struct itimerspec new = setting(SECOND, 0), wrong = setting(SECOND, 0), old;
    uint64_t taken;

    FAILS(EBADF, set(-1, 0, 1, 0));
    FAILS(EINVAL, set(file, 0, 1, 0));
    FAILS(EINVAL, set(fd, 4, 1, 0));
    wrong.it_interval.tv_nsec = SECOND;
    FAILS(EINVAL, syscall(SYS_timerfd_settime, fd, 0, &wrong, NULL));
    wrong.it_interval.tv_nsec = 0;
    wrong.it_value.tv_sec = -1;
    FAILS(EINVAL, syscall(SYS_timerfd_settime, fd, 0, &wrong, NULL));
    BAD_SOURCES(sizeof new, syscall(SYS_timerfd_settime, fd, 0, bad, NULL));
    BAD_TARGETS(sizeof new, UNLESS_NULL(bad, syscall(SYS_timerfd_settime, fd, 0, &new, bad)));
    FAILS(EBADF, syscall(SYS_timerfd_gettime, -1, &old));
    FAILS(EINVAL, syscall(SYS_timerfd_gettime, file, &old));
    BAD_TARGETS(sizeof old, syscall(SYS_timerfd_gettime, fd, bad));
    FAILS(EINVAL, read(fd, &taken, 7));
    FAILS(EINVAL, write(fd, &taken, sizeof taken));
    FAILS(EAGAIN, read(fd, &taken, sizeof taken));
    FAILS(ESPIPE, pread(fd, &taken, sizeof taken, 0));
}

CHECK(timerfd_gettime, tells_what_is_left)
{
    int fd = new_timer(TFD_NONBLOCK);
    struct itimerspec old = setting(1, 1), new = setting(100 * SECOND, SECOND);
    uint64_t taken;

    GOOD(syscall(SYS_timerfd_gettime, fd, &old));
    EQUAL(old.it_value.tv_sec + old.it_value.tv_nsec + old.it_interval.tv_sec + old.it_interval.tv_nsec, 0);
    GOOD(set(fd, 0, 1000 * SECOND, 7));
    GOOD(syscall(SYS_timerfd_settime, fd, 0, &new, &old));
    TRUE(old.it_value.tv_sec >= 900 && old.it_value.tv_sec <= 1000);
    EQUAL(old.it_interval.tv_nsec, 7);
    GOOD(syscall(SYS_timerfd_gettime, fd, &old));
    TRUE(old.it_value.tv_sec >= 1 && old.it_value.tv_sec <= 100);
    EQUAL(old.it_interval.tv_sec, 1);
    GOOD(set(fd, 0, 0, 0));
    GOOD(syscall(SYS_timerfd_gettime, fd, &old));
    EQUAL(old.it_value.tv_sec + old.it_value.tv_nsec, 0);
    FAILS(EAGAIN, read(fd, &taken, sizeof taken));
}

CHECK(timerfd_settime, counts_how_often_it_was_due)
{
    int fd = new_timer(0);
    long long begun = now(CLOCK_MONOTONIC);
    uint64_t taken = 0, total = 0;

    GOOD(set(fd, 0, 2 * MILLISECOND, 0));
    EQUAL(read(fd, &taken, sizeof taken), 8);
    EQUAL(taken, 1);
    TRUE(now(CLOCK_MONOTONIC) - begun >= 2 * MILLISECOND);
    GOOD(fcntl(fd, F_SETFL, O_NONBLOCK));
    FAILS(EAGAIN, read(fd, &taken, sizeof taken));
    GOOD(fcntl(fd, F_SETFL, 0));

    begun = now(CLOCK_MONOTONIC);
    GOOD(set(fd, TFD_TIMER_ABSTIME, begun, MILLISECOND));
    while (total < 20) {
        long long least = (now(CLOCK_MONOTONIC) - begun) / MILLISECOND;

        EQUAL(read(fd, &taken, sizeof taken), 8);
        TRUE(taken >= 1);
        total += taken;
        TRUE((long long)total > least && (long long)total <= (now(CLOCK_MONOTONIC) - begun) / MILLISECOND + 1);
    }
    GOOD(set(fd, TFD_TIMER_ABSTIME, 1, 0)); /* past */
    EQUAL(read(fd, &taken, sizeof taken), 8);
    EQUAL(taken, 1);
}

CHECK(timerfd_settime, ends_polls)
{
    int fd = new_timer(0), epoll = (int)GOOD(epoll_create1(0));
    struct pollfd item = {.fd = fd, .events = POLLIN | POLLOUT};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 5};
    uint64_t taken;

    EQUAL(poll(&item, 1, 0), 0);
    GOOD(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    GOOD(set(fd, 0, MILLISECOND, 0));
    EQUAL(poll(&item, 1, -1), 1);
    EQUAL(item.revents, POLLIN);
    EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
    EQUAL(event.data.u64, 5);
    EQUAL(epoll_wait(epoll, &event, 1, 0), 0);
    EQUAL(read(fd, &taken, sizeof taken), 8);
    EQUAL(poll(&item, 1, 0), 0);
    GOOD(set(fd, 0, MILLISECOND, 0));
    EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
}

static int take(void *arg)
{
    uint64_t taken;

    EQUAL(read(*(int *)arg, &taken, sizeof taken), 8);
    EQUAL(taken, 1);
    return 0;
}

/* It is the open file's: a child that has it reads it, and a close of one descriptor does not end it. */
CHECK(timerfd_create, is_shared)
{
    int fd = new_timer(0), copy = (int)GOOD(dup(fd)), child = check_fork(take, &copy);

    GOOD(close(fd));
    GOOD(set(copy, 0, 3 * MILLISECOND, 0));
    EQUAL(check_wait(child), 0);
}

CHECK(timerfd_settime, goes_by_the_time_of_day)
{
    int fd = (int)GOOD(syscall(SYS_timerfd_create, CLOCK_REALTIME, TFD_NONBLOCK));
    struct pollfd item = {.fd = fd, .events = POLLIN};
    long long until = now(CLOCK_REALTIME) + 2 * MILLISECOND;
    uint64_t taken;

    GOOD(set(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, until, 0));
    EQUAL(poll(&item, 1, -1), 1);
    EQUAL(read(fd, &taken, sizeof taken), 8);
    EQUAL(taken, 1);
    TRUE(now(CLOCK_REALTIME) >= until);
}
