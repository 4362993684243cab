/* SPDX-License-Identifier: MIT */
/*
 * Looking at what a process has used of the CPUs: when, and who; and RLIMIT_CPU. The limit is guarded by the tree lock,
 * the machine's timer for it by the process's signal lock: as timers.c's, it is only a hint to look.
 */
#include <proc/timers.h>

#include <proc/clock.h>
#include <proc/limits.h>
#include <proc/signo.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "proc_priv.h"

#define LOOK_NS (50 * NS_PER_US) /* looks come no more often than that */

void cpu_look_ask_locked(struct process_signals *signals)
{
    store_relaxed(&signals->timers.is_cpu_due, true); /* task_notify() releases it */
    list_for_each(node, &signals->threads)
        (void)task_notify(list_entry(node, struct thread_signals, link)->task, TASK_NOTICE_WORK);
}

uint64_t cpu_look_pause_ns(struct process_signals *signals, uint64_t left_ns)
{
    signals->timers.is_counting = true;
    return MAX(left_ns / MAX(signals->thread_count, 1u), LOOK_NS);
}

/* ---- RLIMIT_CPU ---- */

static void fired(struct timer *timer)
{
    struct process_signals *signals = container_of(timer, struct process_signals, timers.limit_timer);
    uintptr_t state = signals_lock(signals);

    cpu_look_ask_locked(signals);
    signals_unlock(signals, state);
}

void cpu_limit_changed_locked(struct process *process)
{
    struct process_signals *signals = &process->signals;

    if (process->limit[LIMIT_CPU].soft == LIMIT_NONE) /* a look that was asked for before finds it so */
        return;
    uintptr_t state = signals_lock(signals);

    if (!load_relaxed(&signals->timers.is_limited)) {
        timer_init(&signals->timers.limit_timer, fired);
        store_relaxed(&signals->timers.is_limited, true);
    }
    signals->timers.is_counting = true;
    cpu_look_ask_locked(signals);
    signals_unlock(signals, state);
}

static uint64_t ns_of(uint64_t seconds)
{
    return seconds < TIME_NEVER / NS_PER_SEC ? seconds * NS_PER_SEC : TIME_NEVER;
}

/* The signal for what was used; 0: none. As on Linux the soft limit goes up with each SIGXCPU, for all to see. */
static int look_locked(struct process_limit *limit, uint64_t used_ns)
{
    if (used_ns >= ns_of(limit->hard))
        return SIGKILL;
    if (used_ns < ns_of(limit->soft))
        return 0;
    limit->soft++;
    return SIGXCPU;
}

static void hint_locked(struct process *process, uint64_t used_ns)
{
    struct process_signals *signals = &process->signals;
    uint64_t soft_ns = ns_of(process->limit[LIMIT_CPU].soft);
    uintptr_t state = signals_lock(signals);

    (void)timer_try_cancel(&signals->timers.limit_timer); /* a callback that runs meanwhile asks for one look more */
    if (soft_ns != TIME_NEVER) {
        uint64_t pause = cpu_look_pause_ns(signals, soft_ns > used_ns ? soft_ns - used_ns : 0), now = clock_ns();

        timer_arm(&signals->timers.limit_timer, pause < TIME_NEVER - now ? now + pause : TIME_NEVER - 1);
    }
    signals_unlock(signals, state);
}

void cpu_limit_look(struct process *process)
{
    struct signal_info info = { .code = SI_KERNEL };
    uint64_t used_ns = 0;

    if (clock_get(CLOCK_PROCESS_CPUTIME_ID, &used_ns) != 0)
        return;
    spin_lock(&proc_tree_lock);
    if (load_relaxed(&process->signals.timers.is_limited)) {
        info.number = look_locked(&process->limit[LIMIT_CPU], used_ns);
        hint_locked(process, used_ns);
    }
    spin_unlock(&proc_tree_lock);
    if (info.number != 0)
        (void)signal_send_process(process, &info);
}

void cpu_limit_stop_locked(struct process_signals *signals)
{
    if (load_relaxed(&signals->timers.is_limited))
        (void)timer_try_cancel(&signals->timers.limit_timer);
}

void cpu_limit_fini(struct process_signals *signals)
{
    if (load_relaxed(&signals->timers.is_limited))
        (void)timer_cancel(&signals->timers.limit_timer);
}
