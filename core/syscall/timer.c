/* SPDX-License-Identifier: MIT */
/* Timers: timer_create(2) and timerfd_create(2) with their like, setitimer(2), alarm(2). No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/timerfd.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/clock.h>
#include <proc/signal.h>
#include <proc/timers.h>

#include "syscall_priv.h"

#define TIMER_ABSTIME 1u
#define ITIMER_REAL 0

struct user_sigevent {
    uint64_t value;
    int32_t number, notify, tid;
    uint8_t rest[44];
};
_Static_assert(sizeof(struct user_sigevent) == 64, "struct sigevent");

/* struct itimerspec: the interval first. */
static int setting_in(vaddr_t from, struct timer_setting *out)
{
    int result = timespec_copy_in(from, &out->period_ns);

    return result != 0 ? result : timespec_copy_in(from + 16, &out->value_ns);
}

static int setting_out(vaddr_t to, const struct timer_setting *setting)
{
    int result = timespec_copy_out(to, setting->period_ns);

    return result != 0 ? result : timespec_copy_out(to + 16, setting->value_ns);
}

SYSCALL(timer_create)
{
    struct user_sigevent user;
    int32_t id = 0;
    int result = args->arg[1] != 0 ? user_copy_in(&user, args->arg[1], sizeof user) : 0;

    if (result != 0)
        return result;
    const struct timer_event event = {
        .value = args->arg[1] != 0 ? user.value : 0,
        .number = args->arg[1] != 0 ? user.number : 0,
        .notify = args->arg[1] != 0 ? user.notify : 0,
        .tid = args->arg[1] != 0 ? user.tid : 0,
    };

    result = process_timer_create((int32_t)args->arg[0], args->arg[1] != 0 ? &event : NULL, &id);
    if (result != 0)
        return result;
    result = user_copy_out(args->arg[2], &id, sizeof id);
    if (result != 0)
        (void)process_timer_delete(id); /* nobody was told that it is there */
    return result;
}

SYSCALL(timer_settime)
{
    struct timer_setting setting, old;

    if (args->arg[2] == 0)
        return -EINVAL;
    int result = setting_in(args->arg[2], &setting);

    if (result == 0)
        result = process_timer_set((int32_t)args->arg[0], (args->arg[1] & TIMER_ABSTIME) != 0, &setting, &old);
    return result == 0 && args->arg[3] != 0 ? setting_out(args->arg[3], &old) : result;
}

SYSCALL(timer_gettime)
{
    struct timer_setting setting;
    int result = process_timer_get((int32_t)args->arg[0], &setting);

    return result != 0 ? result : setting_out(args->arg[1], &setting);
}

SYSCALL(timer_getoverrun)
{
    return process_timer_overrun((int32_t)args->arg[0]);
}

SYSCALL(timer_delete)
{
    return process_timer_delete((int32_t)args->arg[0]);
}

/* ---- Timers as files ---- */

SYSCALL(timerfd_create)
{
    int32_t clock = (int32_t)args->arg[0];
    uint32_t flags = (uint32_t)args->arg[1];
    struct file *file;

    if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0 ||
        (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME))
        return -EINVAL;
    int result = timerfd_create(clock == CLOCK_REALTIME, flags & O_NONBLOCK, &file);

    return result != 0 ? result : install_file(file, (flags & O_CLOEXEC) != 0);
}

SYSCALL(timerfd_settime)
{
    uint32_t flags = (uint32_t)args->arg[1];
    struct timer_setting setting, old;
    int result = setting_in(args->arg[2], &setting);

    if (result != 0)
        return result;
    if ((flags & ~(TIMERFD_ABSOLUTE | TIMERFD_CANCEL_ON_SET)) != 0)
        return -EINVAL;
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);

    if (fd.file == NULL)
        return -EBADF;
    result = timerfd_set(fd.file, flags, &setting, &old);
    fd_return(fd);
    return result == 0 && args->arg[3] != 0 ? setting_out(args->arg[3], &old) : result;
}

SYSCALL(timerfd_gettime)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct timer_setting setting;

    if (fd.file == NULL)
        return -EBADF;
    int result = timerfd_get(fd.file, &setting);

    fd_return(fd);
    return result != 0 ? result : setting_out(args->arg[1], &setting);
}

/* ---- Interval timers ---- */

struct timeval {
    int64_t seconds, us;
};
struct itimerval {
    struct timeval interval, value;
};

/* Whole seconds that are left, rounded, and never 0 for a timer that is armed. */
SYSCALL(alarm)
{
    uint64_t seconds = (uint32_t)args->arg[0];
    uint64_t old_ns;

    signal_timer_set(seconds * NS_PER_SEC, 0, &old_ns, NULL);
    if (old_ns == 0)
        return 0;
    return (int64_t)MAX((old_ns + NS_PER_SEC / 2) / NS_PER_SEC, UINT64_C(1));
}

static int timeval_check(const struct timeval *time, uint64_t *out_ns)
{
    if (time->seconds < 0 || time->us < 0 || time->us >= 1000000)
        return -EINVAL;
    *out_ns = (uint64_t)time->seconds >= INT64_MAX / NS_PER_SEC
                  ? INT64_MAX
                  : (uint64_t)time->seconds * NS_PER_SEC + (uint64_t)time->us * NS_PER_US;
    return 0;
}

/* Microseconds, rounded up: what is armed is not 0. */
static struct timeval timeval_of(uint64_t ns)
{
    uint64_t us = (ns + NS_PER_US - 1) / NS_PER_US;

    return (struct timeval){ .seconds = (int64_t)(us / 1000000), .us = (int64_t)(us % 1000000) };
}

static int timer_out(vaddr_t to, uint64_t value_ns, uint64_t period_ns)
{
    const struct itimerval timer = { .interval = timeval_of(period_ns), .value = timeval_of(value_ns) };

    return to == 0 ? 0 : user_copy_out(to, &timer, sizeof timer);
}

static int check_which(uint64_t which)
{
    return (uint32_t)which <= PROCESS_ITIMER_PROF ? 0 : -EINVAL;
}

static void get(unsigned which, struct timer_setting *out)
{
    if (which == ITIMER_REAL)
        signal_timer_get(&out->value_ns, &out->period_ns);
    else
        process_itimer_get((int)which, out);
}

static int set(unsigned which, const struct timer_setting *setting, struct timer_setting *out_old)
{
    if (which != ITIMER_REAL)
        return process_itimer_set((int)which, setting, out_old);
    signal_timer_set(setting->value_ns, setting->period_ns, &out_old->value_ns, &out_old->period_ns);
    return 0;
}

SYSCALL(getitimer)
{
    struct timer_setting setting;
    int result = check_which(args->arg[0]);

    if (result != 0)
        return result;
    get((unsigned)args->arg[0], &setting);
    return args->arg[1] == 0 ? -EFAULT : timer_out(args->arg[1], setting.value_ns, setting.period_ns);
}

SYSCALL(setitimer)
{
    struct itimerval user = { 0 };
    struct timer_setting setting = { 0 }, old = { 0 };
    int result = check_which(args->arg[0]);

    if (result == 0 && args->arg[1] != 0)
        result = user_copy_in(&user, args->arg[1], sizeof user);
    if (result == 0)
        result = timeval_check(&user.value, &setting.value_ns);
    if (result == 0)
        result = timeval_check(&user.interval, &setting.period_ns);
    if (result == 0)
        result = set((unsigned)args->arg[0], &setting, &old);
    return result != 0 ? result : timer_out(args->arg[2], old.value_ns, old.period_ns);
}
