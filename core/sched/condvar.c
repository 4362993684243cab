/* SPDX-License-Identifier: MIT */
/*
 * Condition variables. A waiter joins the queue before it lets go of the mutex, so a signaller that comes after that
 * finds it; a wake that comes before the waiter is asleep is kept, as everywhere.
 */
#include <sched/condvar.h>

#include "sched_priv.h"

void condvar_init(struct condvar *condvar)
{
    waitq_init(&condvar->waiters);
}

int condvar_wait(struct condvar *condvar, struct mutex *mutex, uint64_t deadline_ns,
                 enum wait_mode mode) NO_LOCK_ANALYSIS
{
    struct waiter waiter;

    DEBUG_ASSERT(context_can_sleep() && mutex_is_held(mutex));
    uintptr_t state = spin_lock_irqsave(&condvar->waiters.lock);

    waiter_join(&waiter, &condvar->waiters);
    mutex_unlock(mutex);
    int result = waiter_sleep(&waiter, deadline_ns, mode);

    sched_irq_restore(state);
    mutex_lock(mutex);
    return result;
}

void condvar_signal(struct condvar *condvar)
{
    uintptr_t state = spin_lock_irqsave(&condvar->waiters.lock);
    struct waiter *waiter = waitq_claim_locked(&condvar->waiters);

    spin_unlock_irqoff(&condvar->waiters.lock);
    if (waiter != NULL)
        waitq_finish(waiter); /* the condition variable may be gone with its waiter from here on */
    sched_irq_restore(state);
}

void condvar_broadcast(struct condvar *condvar)
{
    struct list_node claimed = LIST_INIT(claimed);
    uintptr_t state = spin_lock_irqsave(&condvar->waiters.lock);

    (void)waitq_claim_all_locked(&condvar->waiters.waiters, &claimed);
    spin_unlock_irqoff(&condvar->waiters.lock);
    waitq_finish_all(&claimed); /* the condition variable may be gone with its waiters from here on */
    sched_irq_restore(state);
}
