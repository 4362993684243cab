/* SPDX-License-Identifier: MIT */
/* Clocks and sleeping by them. Owns the queue of those who sleep until a time of day: its lock orders them with a
 * change. */
#include <proc/clock.h>

#include <fs/timerfd.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <sched/sched.h>
#include <time/clock.h>
#include <time/wall.h>

#include "proc_priv.h"

static struct {
    struct waitq sleepers;
    _Atomic(uint64_t) changes; /* of the time of day; written under sleepers.lock */
} wall = { .sleepers = WAITQ_INIT(wall.sleepers) };

/* ---- CPU time ---- */

/* A negative id: bits 0 and 1 say what is counted, bit 2 that it is a thread's, the rest is the inverted id. Of what is
 * counted, 0 is user and system time and 2 what the scheduler says, which are the same here. */
#define CPU_CLOCK_KIND 3u
#define CPU_CLOCK_USER 1u
#define CPU_CLOCK_NONE 3u
#define CPU_CLOCK_THREAD 4u

static uint64_t run_ns(struct process *process, bool is_user_only)
{
    struct process_usage usage;

    process_usage_get(process, &usage);
    return clock_ticks_to_ns(usage.user_ticks + (is_user_only ? 0 : usage.system_ticks));
}

static uint64_t task_run_ns(struct task *task, bool is_user_only)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return clock_ticks_to_ns(is_user_only ? snapshot.user_ticks : snapshot.stats.run_ticks);
}

static int thread_time(tid_t tid, bool is_user_only, uint64_t *out_ns)
{
    struct task *task = tid == 0 ? NULL : task_lookup(tid);
    int result = tid == 0 || (task != NULL && task->pid == current_task()->pid) ? 0 : -EINVAL;

    if (result == 0)
        *out_ns = task_run_ns(task != NULL ? task : current_task(), is_user_only);
    if (task != NULL)
        task_put(task);
    return result;
}

static int process_time(pid_t pid, bool is_user_only, uint64_t *out_ns)
{
    struct process *process = pid == 0 ? NULL : process_lookup(pid);

    if (pid != 0 && process == NULL)
        return -EINVAL;
    *out_ns = run_ns(process != NULL ? process : process_current(), is_user_only);
    if (process != NULL)
        process_put(process);
    return 0;
}

static int cpu_time(int32_t id, uint64_t *out_ns)
{
    unsigned bits = (unsigned)id;
    int32_t whose = (int32_t)(~bits >> 3);
    bool is_user_only = (bits & CPU_CLOCK_KIND) == CPU_CLOCK_USER;

    if ((bits & CPU_CLOCK_KIND) == CPU_CLOCK_NONE)
        return -EINVAL;
    if ((bits & CPU_CLOCK_THREAD) != 0)
        return thread_time(whose, is_user_only, out_ns);
    return process_time(whose, is_user_only, out_ns);
}

int32_t clock_of_thread(tid_t tid)
{
    return (int32_t)(~(unsigned)tid << 3 | CPU_CLOCK_THREAD | 2);
}

int32_t clock_of_user_time(void)
{
    return (int32_t)(~0u << 3 | CPU_CLOCK_USER);
}

bool clock_is_own(int32_t id)
{
    int32_t whose = (int32_t)(~(unsigned)id >> 3);

    return (id & CPU_CLOCK_THREAD) != 0 || whose == 0 || whose == process_current()->pid;
}

/* ---- Reading and setting ---- */

int clock_get(int32_t id, uint64_t *out_ns)
{
    if (id < 0)
        return cpu_time(id, out_ns);
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI: /* nobody has told the kernel of leap seconds: Linux's offset is 0 then, too */
        *out_ns = wall_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME: /* the machine is never suspended */
    case CLOCK_BOOTTIME_ALARM:
        *out_ns = clock_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        return process_time(0, false, out_ns);
    case CLOCK_THREAD_CPUTIME_ID:
        return thread_time(0, false, out_ns);
    default:
        return -EINVAL;
    }
}

int clock_set(int32_t id, uint64_t ns)
{
    if (id != CLOCK_REALTIME || ns < clock_ns())
        return -EINVAL;
    uintptr_t state = spin_lock_irqsave(&wall.sleepers.lock);

    wall_set(ns);
    vdso_wall_was_set();
    store_relaxed(&wall.changes, load_relaxed(&wall.changes) + 1);
    (void)waitq_wake_locked(&wall.sleepers, UINT32_MAX);
    spin_unlock_irqoff(&wall.sleepers.lock);
    sched_irq_restore(state);
    timers_wall_was_set();
    timerfd_wall_was_set();
    return 0;
}

uint64_t clock_deadline(enum clock_id id, uint64_t ns)
{
    uint64_t offset = id == CLOCK_REALTIME ? load_relaxed(&wall_offset_ns) : 0;

    return ns > offset ? MIN(ns - offset, TIME_NEVER - 1) : 0;
}

/* ---- Sleeping ---- */

static int sleep_until(uint64_t deadline_ns)
{
    struct waitq queue = WAITQ_INIT(queue); /* nobody wakes it */
    int result = waitq_wait_until(&queue, false, MIN(deadline_ns, TIME_NEVER - 1), WAIT_INTERRUPTIBLE);

    return result == -ETIMEDOUT ? 0 : result;
}

static int sleep_until_wall(uint64_t ns)
{
    for (;;) {
        uint64_t seen = load_relaxed(&wall.changes);
        int result = waitq_wait_until(&wall.sleepers, load_relaxed(&wall.changes) != seen,
                                      clock_deadline(CLOCK_REALTIME, ns), WAIT_INTERRUPTIBLE);

        if (result == -EINTR)
            return result;
        if (wall_ns() >= ns)
            return 0;
    }
}

/* The clock that sleeping by `id` means, or an error. */
static int base_of(int32_t id)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        return CLOCK_REALTIME;
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        return CLOCK_MONOTONIC;
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_PROCESS_CPUTIME_ID:
    case CLOCK_THREAD_CPUTIME_ID:
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
}

int clock_sleep(int32_t id, bool is_absolute, uint64_t ns, uint64_t *out_left_ns)
{
    int base = base_of(id);

    if (base < 0)
        return base;
    if (is_absolute) {
        int result = base == CLOCK_REALTIME ? sleep_until_wall(ns) : sleep_until(ns);

        return result == -EINTR ? -ERESTARTNOHAND : result;
    }
    uint64_t begin = clock_ns();
    uint64_t deadline = clock_later(begin, ns);
    int result = sleep_until(deadline);
    uint64_t now = clock_ns();

    *out_left_ns = result != 0 && deadline > now ? deadline - now : 0;
    return result;
}
