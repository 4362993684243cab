/* SPDX-License-Identifier: MIT */
/*
 * What a CPU has to do at a time for bandwidth: replenish throttled deadline tasks, and limit real-time tasks. One
 * timer for each CPU, armed only while there is something. A timer's lock ranks before a run queue's, and only the CPU
 * itself arms its timers; so whoever wants something leaves the time in the run queue and asks the CPU to pass through
 * a switch, after which no lock is held (AFTER_AGENDA).
 */
#include "sched_priv.h"

#include <time/clock.h>

static void agenda_fire(struct timer *timer) NO_LOCK_ANALYSIS
{
    struct runq *rq = container_of(timer, struct runq, agenda);
    bool is_more = true;
    uint64_t at_ns = TIME_NEVER;

    DEBUG_ASSERT(&rq->cpu == this_cpu());
    /* A task at a time: nobody waits for this lock for longer than that takes. */
    while (is_more) {
        spin_lock_irqoff(&rq->lock);
        is_more = deadline_replenish_one(rq, clock_ns());
        if (!is_more) {
            at_ns = rt_limit_event(rq, clock_ns());
            at_ns = MIN(at_ns, deadline_next_ns(rq));
            rq->agenda_ns = at_ns;
        }
        runq_unlock(rq);
    }
    if (at_ns != TIME_NEVER)
        timer_arm(timer, at_ns);
}

void agenda_init(struct runq *rq)
{
    rq->agenda_ns = TIME_NEVER;
    rq->rt_limit.event_ns = TIME_NEVER;
    timer_init(&rq->agenda, agenda_fire);
}

void agenda_want(struct runq *rq, uint64_t at_ns)
{
    if (at_ns >= rq->agenda_ns)
        return;
    rq->agenda_ns = at_ns;
    rq->after_switch |= AFTER_AGENDA;
    resched_cpu(rq);
}

NOINLINE void agenda_arm(struct runq *rq)
{
    spin_lock_irqoff(&rq->lock);
    uint64_t at_ns = rq->agenda_ns;

    spin_unlock_irqoff(&rq->lock);
    (void)timer_cancel(&rq->agenda);
    if (at_ns != TIME_NEVER)
        timer_arm(&rq->agenda, at_ns);
}

/* The timer must not go to another CPU with the others: its callback is for this one's queues. */
void agenda_close(struct runq *rq)
{
    spin_lock_irqoff(&rq->lock);
    ASSERT(rq->throttled == 0);
    rt_limit_forget(rq);
    rq->agenda_ns = TIME_NEVER;
    rq->after_switch &= ~AFTER_AGENDA;
    spin_unlock_irqoff(&rq->lock);
    (void)timer_cancel(&rq->agenda);
}
