/* SPDX-License-Identifier: MIT */
/*
 * Events. A signal that finds a waiter is given to it under the queue's lock: there is nothing left to check on waking.
 */
#include <sched/event.h>

#include "sched_priv.h"

void event_init(struct event *event)
{
    waitq_init(&event->waiters);
    event->is_set = 0;
}

void event_signal(struct event *event) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&event->waiters.lock);

    struct waiter *waiter = waitq_claim_locked(&event->waiters);

    if (UNLIKELY(waiter == NULL))
        event->is_set = 1;
    spin_unlock_irqoff(&event->waiters.lock);
    if (LIKELY(waiter != NULL))
        waitq_finish(waiter); /* the event may be gone with its waiter from here on */
    sched_irq_restore(state);
}

int event_wait(struct event *event, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    int result = 0;
    bool check = false;

    DEBUG_ASSERT(context_can_sleep());
    hal_irq_disable();
    spin_lock_irqoff(&event->waiters.lock);
    if (event->is_set != 0) {
        event->is_set = 0;
        spin_unlock_irqoff(&event->waiters.lock);
    } else {
        result = waitq_wait_inline(&event->waiters, deadline_ns, mode, &check);
    }
    hal_irq_enable();
    if (UNLIKELY(check))
        sched_check();
    return result;
}
