/* SPDX-License-Identifier: MIT */
/*
 * A process's real-time interval timer: alarm(2), ITIMER_REAL of setitimer(2). The process's signal lock guards what it
 * is set to; timer_due_ns is what counts, so a callback that comes too late for a timer that was set anew does nothing.
 */
#include <proc/signo.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "proc_priv.h"

/* Is it due? Then the next time is set: periods that were missed are one signal, and times stay multiples. */
static bool take_due(struct process_signals *signals)
{
    uint64_t now = clock_ns();
    uint64_t due = signals->timer_due_ns, period = signals->timer_period_ns;

    if (due == 0 || due > now)
        return false;
    signals->timer_due_ns = 0;
    if (period != 0 && signals->thread_count > 0) { /* nobody hears it when the last thread is gone */
        signals->timer_due_ns = due + ((now - due) / period + 1) * period;
        timer_arm(&signals->timer, signals->timer_due_ns);
    }
    return true;
}

static void fired(struct timer *timer)
{
    struct process_signals *signals = container_of(timer, struct process_signals, timer);
    struct process *process = container_of(signals, struct process, signals);
    const struct signal_info info = { .number = SIGALRM, .code = SI_KERNEL };
    uintptr_t state = signals_lock(signals);
    bool is_due = take_due(signals);

    signals_unlock(signals, state);
    if (is_due)
        signal_send_standard(process, &info);
}

void signal_timer_init(struct process_signals *signals)
{
    timer_init(&signals->timer, fired);
}

/* What is left of it; armed is never 0. */
static uint64_t left_ns(const struct process_signals *signals)
{
    uint64_t now = clock_ns();

    if (signals->timer_due_ns == 0)
        return 0;
    return signals->timer_due_ns > now ? signals->timer_due_ns - now : 1;
}

void signal_timer_get(uint64_t *value_ns, uint64_t *period_ns)
{
    struct process_signals *signals = &process_current()->signals;
    uintptr_t state = signals_lock(signals);

    *value_ns = left_ns(signals);
    *period_ns = signals->timer_period_ns;
    signals_unlock(signals, state);
}

/* The lock is held, and held again on return; the timer is neither armed nor being fired then. */
static void disarm(struct process_signals *signals, uintptr_t *state) NO_LOCK_ANALYSIS
{
    do {
        signals->timer_due_ns = 0;
        signals_unlock(signals, *state);
        (void)timer_cancel(&signals->timer); /* the callback takes the lock */
        *state = signals_lock(signals);
    } while (signals->timer_due_ns != 0); /* another thread has set it meanwhile */
}

void signal_timer_set(uint64_t value_ns, uint64_t period_ns, uint64_t *old_value_ns, uint64_t *old_period_ns)
{
    struct process_signals *signals = &process_current()->signals;
    uintptr_t state = signals_lock(signals);

    if (old_value_ns != NULL)
        *old_value_ns = left_ns(signals);
    if (old_period_ns != NULL)
        *old_period_ns = signals->timer_period_ns;
    disarm(signals, &state);
    signals->timer_period_ns = period_ns;
    uint64_t now = clock_ns();

    if (value_ns != 0 && value_ns < TIME_NEVER - now) {
        signals->timer_due_ns = now + value_ns;
        timer_arm(&signals->timer, signals->timer_due_ns);
    }
    signals_unlock(signals, state);
}

void signal_timer_fini(struct process_signals *signals)
{
    uintptr_t state = signals_lock(signals);

    disarm(signals, &state);
    signals_unlock(signals, state);
}
