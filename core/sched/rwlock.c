/* SPDX-License-Identifier: MIT */
/*
 * The phase-fair reader-writer lock. Whoever ends a phase makes the next ones holders before it wakes them: there is
 * nothing left to check on waking. Two rules say who may come in:
 *
 *   readers wait   only while a writer holds the lock or waits
 *   writers wait   only while somebody holds the lock
 *
 * They hold whenever the lock is free. So a writer that gives up may have to let in the readers that waited for it.
 */
#include <sched/rwlock.h>

#include "sched_priv.h"

void rwlock_init(struct rwlock *rwlock)
{
    waitq_init(&rwlock->readers);
    list_init(&rwlock->writers);
    rwlock->holders = 0;
}

static void admit_readers(struct rwlock *rwlock, struct list_node *out) REQUIRES(rwlock->readers.lock)
{
    rwlock->holders += (int32_t)waitq_claim_all_locked(&rwlock->readers.waiters, out);
}

static void admit_writer(struct rwlock *rwlock, struct list_node *out) REQUIRES(rwlock->readers.lock)
{
    rwlock->holders = RWLOCK_WRITER;
    waitq_claim_first_locked(&rwlock->writers, out);
}

/* Release the lock, and wake those who were admitted: from here on the rwlock may be gone with them. */
static void leave(struct rwlock *rwlock, struct list_node *admitted, uintptr_t state) NO_LOCK_ANALYSIS
{
    spin_unlock_irqoff(&rwlock->readers.lock);
    waitq_finish_all(admitted);
    sched_irq_restore(state);
}

static bool can_read(const struct rwlock *rwlock)
{
    return rwlock->holders >= 0 && list_is_empty(&rwlock->writers);
}

int rwlock_read_lock_until(struct rwlock *rwlock, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);
    int result = 0;

    DEBUG_ASSERT(current_base()->preempt_count == 0);
    if (can_read(rwlock)) {
        rwlock->holders++;
        spin_unlock_irqoff(&rwlock->readers.lock);
    } else {
        result = waitq_wait_locked(&rwlock->readers, deadline_ns, mode);
    }
    current_task()->mutexes_held += result == 0;
    sched_irq_restore(state);
    return result;
}

/* A writer has given up: the readers behind it need not wait for it any more. */
static void pass_on(struct rwlock *rwlock) NO_LOCK_ANALYSIS
{
    struct list_node admitted = LIST_INIT(admitted);
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);

    if (can_read(rwlock))
        admit_readers(rwlock, &admitted);
    leave(rwlock, &admitted, state);
}

int rwlock_write_lock_until(struct rwlock *rwlock, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);
    int result = 0;

    DEBUG_ASSERT(current_base()->preempt_count == 0);
    if (rwlock->holders == 0) {
        rwlock->holders = RWLOCK_WRITER;
        spin_unlock_irqoff(&rwlock->readers.lock);
    } else {
        result = waitq_wait_on_locked(&rwlock->readers, &rwlock->writers, deadline_ns, mode);
        if (result != 0)
            pass_on(rwlock);
    }
    current_task()->mutexes_held += result == 0;
    sched_irq_restore(state);
    return result;
}

void rwlock_read_lock(struct rwlock *rwlock)
{
    int result = rwlock_read_lock_until(rwlock, TIME_NEVER, WAIT_UNINTERRUPTED);

    ASSERT(result == 0);
}

void rwlock_write_lock(struct rwlock *rwlock)
{
    int result = rwlock_write_lock_until(rwlock, TIME_NEVER, WAIT_UNINTERRUPTED);

    ASSERT(result == 0);
}

bool rwlock_try_read_lock(struct rwlock *rwlock)
{
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);
    bool is_held = can_read(rwlock);

    rwlock->holders += is_held;
    spin_unlock_irqrestore(&rwlock->readers.lock, state);
    current_task()->mutexes_held += is_held;
    return is_held;
}

bool rwlock_try_write_lock(struct rwlock *rwlock)
{
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);
    bool is_held = rwlock->holders == 0;

    if (is_held)
        rwlock->holders = RWLOCK_WRITER;
    spin_unlock_irqrestore(&rwlock->readers.lock, state);
    current_task()->mutexes_held += is_held;
    return is_held;
}

void rwlock_read_unlock(struct rwlock *rwlock) NO_LOCK_ANALYSIS
{
    struct list_node admitted = LIST_INIT(admitted);
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);

    if (rwlock->holders <= 0)
        panic("rwlock released by reader '%s', but no reader holds it", current_task()->name);
    current_task()->mutexes_held--;
    if (--rwlock->holders == 0) {
        if (!list_is_empty(&rwlock->writers))
            admit_writer(rwlock, &admitted);
        else
            admit_readers(rwlock, &admitted); /* who waited for a writer that has given up just now */
    }
    leave(rwlock, &admitted, state);
}

void rwlock_write_unlock(struct rwlock *rwlock) NO_LOCK_ANALYSIS
{
    struct list_node admitted = LIST_INIT(admitted);
    uintptr_t state = spin_lock_irqsave(&rwlock->readers.lock);

    if (rwlock->holders != RWLOCK_WRITER)
        panic("rwlock released by writer '%s', but no writer holds it", current_task()->name);
    current_task()->mutexes_held--;
    rwlock->holders = 0;
    if (!list_is_empty(&rwlock->readers.waiters))
        admit_readers(rwlock, &admitted);
    else if (!list_is_empty(&rwlock->writers))
        admit_writer(rwlock, &admitted);
    leave(rwlock, &admitted, state);
}
