/* SPDX-License-Identifier: MIT */
/* Clocks, and sleeping by them. Owns the time zone that settimeofday(2) lets programs leave for each other. */
#include <syscall/table.h>

#include <fs/cred.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/clock.h>
#include <proc/process.h>
#include <proc/signal.h>
#include <time/clock.h>
#include <time/wall.h>

#include "syscall_priv.h"

#define TIMER_ABSTIME 1u
#define ZONE_MINUTES_MAX (15 * 60) /* Linux's */

struct timespec {
    int64_t seconds, nanoseconds;
};

struct timeval {
    int64_t seconds, microseconds;
};

struct timezone {
    int32_t minutes_west, dst_kind;
};

static _Atomic(uint64_t) zone; /* a struct timezone */

/* ---- Formats ---- */

static int ns_of_parts(int64_t seconds, int64_t part, uint64_t part_ns, uint64_t *out_ns)
{
    if (seconds < 0 || part < 0 || (uint64_t)part >= NS_PER_SEC / part_ns)
        return -EINVAL;
    uint64_t most = (TIME_NEVER - 1) / NS_PER_SEC - 1;

    *out_ns = (uint64_t)seconds > most ? TIME_NEVER - 1 : (uint64_t)seconds * NS_PER_SEC + (uint64_t)part * part_ns;
    return 0;
}

int timespec_copy_in(vaddr_t from, uint64_t *out_ns)
{
    struct timespec time;
    int result = user_copy_in(&time, from, sizeof time);

    return result != 0 ? result : ns_of_parts(time.seconds, time.nanoseconds, 1, out_ns);
}

int timespec_copy_out(vaddr_t to, uint64_t ns)
{
    const struct timespec time = { (int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC) };

    return user_copy_out(to, &time, sizeof time);
}

static bool may_set_time(void)
{
    return cred_can(thread_current()->user.cred, CAP_SYS_TIME);
}

/* ---- Clocks ---- */

SYSCALL(clock_gettime)
{
    uint64_t ns = 0;
    int result = clock_get((int32_t)args->arg[0], &ns);

    return result != 0 ? result : timespec_copy_out(args->arg[1], ns);
}

SYSCALL(clock_getres)
{
    uint64_t ns = 0;
    int result = clock_get((int32_t)args->arg[0], &ns);

    return result != 0 || args->arg[1] == 0 ? result : timespec_copy_out(args->arg[1], 1);
}

SYSCALL(clock_settime)
{
    uint64_t ns = 0;
    int result = timespec_copy_in(args->arg[1], &ns);

    if (result != 0)
        return result;
    if ((int32_t)args->arg[0] == CLOCK_REALTIME && !may_set_time())
        return -EPERM;
    return clock_set((int32_t)args->arg[0], ns);
}

SYSCALL(gettimeofday)
{
    uint64_t ns = wall_ns();
    const struct timeval now = { (int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / NS_PER_US) };
    uint64_t own_zone = load_relaxed(&zone);
    int result = args->arg[0] != 0 ? user_copy_out(args->arg[0], &now, sizeof now) : 0;

    if (result == 0 && args->arg[1] != 0)
        result = user_copy_out(args->arg[1], &own_zone, sizeof own_zone);
    return result;
}

SYSCALL(settimeofday)
{
    struct timeval time;
    union {
        struct timezone parts;
        uint64_t word;
    } wanted = { .word = 0 };
    uint64_t ns = 0;
    int result = args->arg[0] != 0 ? user_copy_in(&time, args->arg[0], sizeof time) : 0;

    if (result == 0 && args->arg[0] != 0)
        result = ns_of_parts(time.seconds, time.microseconds, NS_PER_US, &ns);
    if (result == 0 && args->arg[1] != 0)
        result = user_copy_in(&wanted.parts, args->arg[1], sizeof wanted.parts);
    if (result != 0)
        return result;
    if (!may_set_time())
        return -EPERM;
    if (wanted.parts.minutes_west > ZONE_MINUTES_MAX || wanted.parts.minutes_west < -ZONE_MINUTES_MAX)
        return -EINVAL;
    if (args->arg[1] != 0)
        store_relaxed(&zone, wanted.word);
    return args->arg[0] != 0 ? clock_set(CLOCK_REALTIME, ns) : 0;
}

SYSCALL(time)
{
    int64_t seconds = (int64_t)(wall_ns() / NS_PER_SEC);

    if (args->arg[0] != 0 && user_copy_out(args->arg[0], &seconds, sizeof seconds) != 0)
        return -EFAULT;
    return seconds;
}

/* ---- Sleeping ---- */

static int64_t sleep_for(int32_t id, uint64_t ns, vaddr_t left_at);

static int64_t sleep_again(struct signal_restart *restart)
{
    uint64_t now = clock_ns();
    uint64_t ns = restart->word[0] > now ? restart->word[0] - now : 0;

    return sleep_for(CLOCK_MONOTONIC, ns, restart->word[1]);
}

/* Made anew only if no handler was entered, as after a stop, and then ends when it would have. No clock that one can
 * sleep by for a while goes unlike the monotonic one. */
static int64_t sleep_for(int32_t id, uint64_t ns, vaddr_t left_at)
{
    uint64_t begin = clock_ns();
    uint64_t left_ns = 0;
    int result = clock_sleep(id, false, ns, &left_ns);

    if (result != -EINTR)
        return result;
    if (left_at != 0 && timespec_copy_out(left_at, left_ns) != 0)
        return -EFAULT;
    struct signal_restart *restart = signal_restart_current();

    restart->again = sleep_again;
    restart->word[0] = clock_later(begin, ns);
    restart->word[1] = left_at;
    return -ERESTART_RESTARTBLOCK;
}

static int64_t sleep_by(int32_t id, bool is_absolute, vaddr_t wanted_at, vaddr_t left_at)
{
    uint64_t ns = 0, left_ns = 0;
    int result = timespec_copy_in(wanted_at, &ns);

    if (result != 0)
        return result;
    return is_absolute ? clock_sleep(id, true, ns, &left_ns) : sleep_for(id, ns, left_at);
}

SYSCALL(nanosleep)
{
    return sleep_by(CLOCK_MONOTONIC, false, args->arg[0], args->arg[1]);
}

SYSCALL(clock_nanosleep)
{
    return sleep_by((int32_t)args->arg[0], (args->arg[1] & TIMER_ABSTIME) != 0, args->arg[2], args->arg[3]);
}
