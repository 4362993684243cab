/* SPDX-License-Identifier: MIT */
/*
 * The sleeping lock. The owner word holds the task and, in bit 0, "there are waiters". Without waiters both operations
 * are one compare-and-swap; with them the inner lock serialises, and the unlocker hands the mutex to the oldest waiter,
 * which finds itself the owner when it wakes.
 */
#include <sched/mutex.h>

#include "sched_priv.h"

#define MUTEX_WAITERS ((uintptr_t)1)

void mutex_init(struct mutex *mutex)
{
    store_relaxed(&mutex->owner, 0);
    waitq_init(&mutex->waiters);
}

bool mutex_is_held(const struct mutex *mutex)
{
    return (load_relaxed(&((struct mutex *)mutex)->owner) & ~MUTEX_WAITERS) == (uintptr_t)current_task();
}

static NOINLINE void lock_slow(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    uintptr_t self = (uintptr_t)current_task();
    uintptr_t state = spin_lock_irqsave(&mutex->waiters.lock);

    if (mutex_is_held(mutex))
        panic("mutex locked again by its owner, task %d '%s'", current_task()->tid, current_task()->name);
    for (;;) {
        uintptr_t owner = load_relaxed(&mutex->owner);

        if (owner == 0) {
            if (cas_acquire(&mutex->owner, &owner, self)) { /* PAIRS(mutex) */
                spin_unlock_irqoff(&mutex->waiters.lock);
                break;
            }
        } else if ((owner & MUTEX_WAITERS) || cas_relaxed(&mutex->owner, &owner, owner | MUTEX_WAITERS)) {
            /* Handed over: the unlocker has stored us as owner, and its lock released the protected data to us. */
            int result = waitq_wait_locked(&mutex->waiters, TIME_NEVER, WAIT_UNINTERRUPTED);

            ASSERT(result == 0 && (load_acquire(&mutex->owner) & ~MUTEX_WAITERS) == self); /* PAIRS(mutex) */
            break;
        }
    }
    sched_irq_restore(state);
}

void mutex_lock(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    uintptr_t expected = 0;
    struct task *self = current_task();

    DEBUG_ASSERT(context_can_sleep());
    self->mutexes_held++;
    if (UNLIKELY(!cas_acquire(&mutex->owner, &expected, (uintptr_t)self))) /* PAIRS(mutex) */
        lock_slow(mutex);
}

bool mutex_try_lock(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    uintptr_t expected = 0;

    if (!cas_acquire(&mutex->owner, &expected, (uintptr_t)current_task())) /* PAIRS(mutex) */
        return false;
    current_task()->mutexes_held++;
    return true;
}

static NOINLINE void unlock_slow(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&mutex->waiters.lock);

    if (!mutex_is_held(mutex))
        panic("mutex unlocked by task %d '%s', which does not hold it", current_task()->tid, current_task()->name);
    struct task *heir = waitq_first_locked(&mutex->waiters);

    /* The bit is set only under the inner lock, by a task that then waits: so there is an heir. */
    ASSERT(heir != NULL);
    bool more = waitq_has_more_than_one_locked(&mutex->waiters);

    store_release(&mutex->owner, (uintptr_t)heir | (more ? MUTEX_WAITERS : 0)); /* PAIRS(mutex) */
    struct waiter *waiter = waitq_claim_locked(&mutex->waiters);

    spin_unlock_irqoff(&mutex->waiters.lock);
    waitq_finish(waiter); /* the new owner may free the mutex from here on */
    sched_irq_restore(state);
}

void mutex_unlock(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    struct task *self = current_task();
    uintptr_t expected = (uintptr_t)self;

    self->mutexes_held--;
    if (UNLIKELY(!cas_release(&mutex->owner, &expected, 0))) /* PAIRS(mutex) */
        unlock_slow(mutex);
}
