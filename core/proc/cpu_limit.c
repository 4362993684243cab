/* SPDX-License-Identifier: MIT */
/*
 * Looking at what a process has used of the CPUs: when, and who; RLIMIT_CPU, RLIMIT_RTTIME. The limits are guarded by
 * the tree lock, the machine's timer for them by the process's signal lock: as timers.c's, it is only a hint to look.
 */
#include <proc/timers.h>

#include <proc/clock.h>
#include <proc/limits.h>
#include <proc/signo.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "proc_priv.h"

#define LOOK_NS (50 * NS_PER_US) /* looks come no more often than that */
#define RUN_LOOKS 16             /* while a real-time thread may run for so long, or each */
#define RUN_LOOK_NS NS_PER_MS

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

/* ---- The limits ---- */

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

    /* Without any a look that was asked for before finds it so. */
    if (process->limit[LIMIT_CPU].soft == LIMIT_NONE && process->limit[LIMIT_RTTIME].soft == LIMIT_NONE)
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

void cpu_limit_policy_changed(struct thread *thread)
{
    struct process_signals *signals = &thread->process->signals;
    uintptr_t state = signals_lock(signals);

    if (load_relaxed(&signals->timers.is_limited))
        cpu_look_ask_locked(signals);
    signals_unlock(signals, state);
}

static uint64_t ns_of(uint64_t limit, uint64_t unit_ns)
{
    return limit < TIME_NEVER / unit_ns ? limit * unit_ns : TIME_NEVER;
}

/* The signal for what was used; 0: none. As on Linux the soft limit goes up with each SIGXCPU, for all to see. */
static int look_locked(struct process_limit *limit, uint64_t unit_ns, uint64_t used_ns)
{
    if (used_ns >= ns_of(limit->hard, unit_ns))
        return SIGKILL;
    if (used_ns < ns_of(limit->soft, unit_ns))
        return 0;
    limit->soft += NS_PER_SEC / unit_ns;
    return SIGXCPU;
}

/* ---- RLIMIT_RTTIME: what a real-time thread runs without a pause ---- */

/* As far as looks tell: a pause that came since the last one is taken for one that ends now. So they come as often as
 * the error may be large. */
static uint64_t run_of_locked(struct thread *thread)
{
    struct thread_run *run = &thread->run;
    struct task_snapshot snapshot;

    if (thread->state != THREAD_SCHEDULED)
        return 0;
    task_get_snapshot(thread->task, &snapshot);
    bool is_rt = snapshot.policy == SCHED_POLICY_FIFO || snapshot.policy == SCHED_POLICY_RR;

    if (!is_rt || !run->is_rt || run->pauses != snapshot.stats.voluntary)
        *run = (struct thread_run){ is_rt, snapshot.stats.voluntary, snapshot.stats.run_ticks };
    return clock_ticks_to_ns(snapshot.stats.run_ticks - run->begin_ticks);
}

static uint64_t longest_run_locked(struct process *process)
{
    uint64_t longest = 0;

    list_for_each(node, &process->threads)
        longest = MAX(longest, run_of_locked(list_entry(node, struct thread, link)));
    return longest;
}

static bool has_rt_locked(const struct process *process)
{
    list_for_each(node, &process->threads)
        if (list_entry(node, struct thread, link)->run.is_rt)
            return true;
    return false;
}

static uint64_t run_pause_locked(const struct process *process, uint64_t run_ns)
{
    uint64_t soft_ns = ns_of(process->limit[LIMIT_RTTIME].soft, NS_PER_US);

    if (soft_ns == TIME_NEVER || !has_rt_locked(process))
        return TIME_NEVER;
    uint64_t left = soft_ns > run_ns ? soft_ns - run_ns : 0;

    return MAX(MIN(left, MAX(soft_ns / RUN_LOOKS, RUN_LOOK_NS)), LOOK_NS);
}

/* ---- The look ---- */

static void hint_locked(struct process *process, uint64_t used_ns, uint64_t run_ns)
{
    struct process_signals *signals = &process->signals;
    uint64_t soft_ns = ns_of(process->limit[LIMIT_CPU].soft, NS_PER_SEC);
    uint64_t pause = run_pause_locked(process, run_ns);
    uintptr_t state = signals_lock(signals);

    (void)timer_try_cancel(&signals->timers.limit_timer); /* a callback that runs meanwhile asks for one look more */
    if (soft_ns != TIME_NEVER)
        pause = MIN(pause, cpu_look_pause_ns(signals, soft_ns > used_ns ? soft_ns - used_ns : 0));
    if (pause != TIME_NEVER) {
        uint64_t now = clock_ns();

        timer_arm(&signals->timers.limit_timer, pause < TIME_NEVER - now ? now + pause : TIME_NEVER - 1);
    }
    signals_unlock(signals, state);
}

void cpu_limit_look(struct process *process)
{
    struct signal_info info = { .code = SI_KERNEL };
    uint64_t used_ns = 0, run_ns = 0;

    if (clock_get(CLOCK_PROCESS_CPUTIME_ID, &used_ns) != 0)
        return;
    spin_lock(&proc_tree_lock);
    if (process->limit[LIMIT_RTTIME].soft != LIMIT_NONE) {
        run_ns = longest_run_locked(process);
        if (has_rt_locked(process))
            info.number = look_locked(&process->limit[LIMIT_RTTIME], NS_PER_US, run_ns);
    }
    if (info.number != SIGKILL) {
        int number = look_locked(&process->limit[LIMIT_CPU], NS_PER_SEC, used_ns);

        info.number = number != 0 ? number : info.number;
    }
    hint_locked(process, used_ns, run_ns);
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
