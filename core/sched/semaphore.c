/* SPDX-License-Identifier: MIT */
/* Counting semaphores. The count and the waiters are never both there: whoever gives one looks for a waiter first. */
#include <sched/semaphore.h>

#include "sched_priv.h"

void semaphore_init(struct semaphore *semaphore, uint32_t count)
{
    waitq_init(&semaphore->waiters);
    semaphore->count = count;
}

int semaphore_down(struct semaphore *semaphore, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&semaphore->waiters.lock);
    int result = 0;

    DEBUG_ASSERT(current_base()->preempt_count == 0);
    if (semaphore->count != 0) {
        semaphore->count--;
        spin_unlock_irqoff(&semaphore->waiters.lock);
    } else {
        result = waitq_wait_locked(&semaphore->waiters, deadline_ns, mode);
    }
    sched_irq_restore(state);
    return result;
}

bool semaphore_try_down(struct semaphore *semaphore)
{
    uintptr_t state = spin_lock_irqsave(&semaphore->waiters.lock);
    bool is_taken = semaphore->count != 0;

    semaphore->count -= is_taken;
    spin_unlock_irqrestore(&semaphore->waiters.lock, state);
    return is_taken;
}

void semaphore_up(struct semaphore *semaphore)
{
    uintptr_t state = spin_lock_irqsave(&semaphore->waiters.lock);
    struct waiter *waiter = waitq_claim_locked(&semaphore->waiters);

    if (waiter == NULL) {
        ASSERT(semaphore->count != UINT32_MAX);
        semaphore->count++;
    }
    spin_unlock_irqoff(&semaphore->waiters.lock);
    if (waiter != NULL)
        waitq_finish(waiter); /* the semaphore may be gone with its waiter from here on */
    sched_irq_restore(state);
}
