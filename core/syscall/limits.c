/* SPDX-License-Identifier: MIT */
/* Resource limits and what has been used. No state. */
#include <syscall/table.h>

#include <fs/cred.h>
#include <hal/clock.h>
#include <k/errno.h>
#include <k/limits.h>
#include <mm/user.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <time/clock.h>

#include "syscall_priv.h"

#define CLOCK_TICKS 100 /* USER_HZ */
#define NS_PER_CLOCK_TICK (NS_PER_SEC / CLOCK_TICKS)

static bool may_raise(void)
{
    return cred_can(thread_current()->user.cred, CAP_SYS_RESOURCE);
}

/* prlimit(2): of another process, all its ids must be the caller's. */
static int find(pid_t pid, struct process **out)
{
    const struct cred *own = thread_current()->user.cred;
    int result = 0;

    *out = pid == 0 ? process_current() : process_lookup(pid);
    if (*out == NULL)
        return -ESRCH;
    if (pid == 0)
        process_get(*out);
    if (*out != process_current() && !cred_can(own, CAP_SYS_RESOURCE))
        result = process_is_of(*out, own) ? 0 : -EPERM;
    if (result != 0)
        process_put(*out);
    return result;
}

static int64_t change(pid_t pid, unsigned which, vaddr_t wanted_at, vaddr_t old_at)
{
    struct process_limit wanted, old;
    struct process *process;
    int result = wanted_at != 0 ? user_copy_in(&wanted, wanted_at, sizeof wanted) : 0;

    if (result == 0)
        result = find(pid, &process);
    if (result != 0)
        return result;
    result = process_limit_change(process, which, wanted_at != 0 ? &wanted : NULL, may_raise(), &old);
    process_put(process);
    return result == 0 && old_at != 0 ? user_copy_out(old_at, &old, sizeof old) : result;
}

SYSCALL(prlimit64)
{
    return change((pid_t)args->arg[0], (unsigned)args->arg[1], args->arg[2], args->arg[3]);
}

SYSCALL(getrlimit)
{
    return args->arg[1] == 0 ? -EFAULT : change(0, (unsigned)args->arg[0], 0, args->arg[1]);
}

SYSCALL(setrlimit)
{
    return args->arg[1] == 0 ? -EFAULT : change(0, (unsigned)args->arg[0], args->arg[1], 0);
}

/* ---- Usage ---- */

struct rusage {
    int64_t user_seconds, user_microseconds, system_seconds, system_microseconds;
    int64_t resident_kib_max, unused_shared[3];
    int64_t faults, major_faults, swaps, blocks_in, blocks_out, messages_sent, messages_received, signals;
    int64_t voluntary, involuntary;
};

int usage_copy_out(vaddr_t to, const struct process_usage *usage)
{
    uint64_t user_ns = clock_ticks_to_ns(usage->user_ticks), system_ns = clock_ticks_to_ns(usage->system_ticks);
    const struct rusage out = {
        .user_seconds = (int64_t)(user_ns / NS_PER_SEC),
        .user_microseconds = (int64_t)(user_ns % NS_PER_SEC / NS_PER_US),
        .system_seconds = (int64_t)(system_ns / NS_PER_SEC),
        .system_microseconds = (int64_t)(system_ns % NS_PER_SEC / NS_PER_US),
        .resident_kib_max = (int64_t)(usage->resident_pages_max * (PAGE_BYTES >> 10)),
        .faults = (int64_t)usage->faults,
        .voluntary = (int64_t)usage->voluntary,
        .involuntary = (int64_t)usage->involuntary,
    };

    return user_copy_out(to, &out, sizeof out);
}

enum { RUSAGE_SELF = 0, RUSAGE_CHILDREN = -1, RUSAGE_THREAD = 1 };

SYSCALL(getrusage)
{
    struct process_usage usage;

    switch ((int)args->arg[0]) {
    case RUSAGE_SELF:
        process_usage_get(process_current(), &usage);
        break;
    case RUSAGE_CHILDREN:
        process_children_usage_get(process_current(), &usage);
        break;
    case RUSAGE_THREAD:
        thread_usage_get(&usage);
        break;
    default:
        return -EINVAL;
    }
    return usage_copy_out(args->arg[1], &usage);
}

static int64_t in_clock_ticks(uint64_t ticks)
{
    return (int64_t)(clock_ticks_to_ns(ticks) / NS_PER_CLOCK_TICK);
}

SYSCALL(times)
{
    struct process_usage own, children;

    process_usage_get(process_current(), &own);
    process_children_usage_get(process_current(), &children);
    const int64_t out[4] = {
        in_clock_ticks(own.user_ticks), in_clock_ticks(own.system_ticks),
        in_clock_ticks(children.user_ticks), in_clock_ticks(children.system_ticks),
    };

    if (args->arg[0] != 0 && user_copy_out(args->arg[0], out, sizeof out) != 0)
        return -EFAULT;
    return (int64_t)(clock_ns() / NS_PER_CLOCK_TICK);
}
