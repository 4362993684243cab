/* SPDX-License-Identifier: MIT */
/* Completions. A waiter is let through under the queue's lock: there is nothing left to check on waking. */
#include <sched/completion.h>

#include "sched_priv.h"

void completion_init(struct completion *completion)
{
    waitq_init(&completion->waiters);
    completion->done = 0;
}

void completion_reset(struct completion *completion)
{
    uintptr_t state = spin_lock_irqsave(&completion->waiters.lock);

    ASSERT(list_is_empty(&completion->waiters.waiters));
    completion->done = 0;
    spin_unlock_irqrestore(&completion->waiters.lock, state);
}

void completion_done(struct completion *completion)
{
    uintptr_t state = spin_lock_irqsave(&completion->waiters.lock);
    struct waiter *waiter = waitq_claim_locked(&completion->waiters);

    if (waiter == NULL && completion->done != COMPLETION_ALL) {
        ASSERT(completion->done < COMPLETION_ALL - 1);
        completion->done++;
    }
    spin_unlock_irqoff(&completion->waiters.lock);
    if (waiter != NULL)
        waitq_finish(waiter); /* the completion may be gone with its waiter from here on */
    sched_irq_restore(state);
}

void completion_done_all(struct completion *completion)
{
    struct list_node claimed = LIST_INIT(claimed);
    uintptr_t state = spin_lock_irqsave(&completion->waiters.lock);

    completion->done = COMPLETION_ALL;
    (void)waitq_claim_all_locked(&completion->waiters.waiters, &claimed);
    spin_unlock_irqoff(&completion->waiters.lock);
    waitq_finish_all(&claimed); /* the completion may be gone with its waiters from here on */
    sched_irq_restore(state);
}

static bool take_locked(struct completion *completion) REQUIRES(completion->waiters.lock)
{
    if (completion->done == 0)
        return false;
    completion->done -= completion->done != COMPLETION_ALL;
    return true;
}

int completion_wait(struct completion *completion, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&completion->waiters.lock);
    int result = 0;

    DEBUG_ASSERT(current_base()->preempt_count == 0);
    if (take_locked(completion))
        spin_unlock_irqoff(&completion->waiters.lock);
    else
        result = waitq_wait_locked(&completion->waiters, deadline_ns, mode);
    sched_irq_restore(state);
    return result;
}

bool completion_try_wait(struct completion *completion)
{
    uintptr_t state = spin_lock_irqsave(&completion->waiters.lock);
    bool is_taken = take_locked(completion);

    spin_unlock_irqrestore(&completion->waiters.lock, state);
    return is_taken;
}
