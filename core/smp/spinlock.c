/* SPDX-License-Identifier: MIT */
/* The slow path and the debug bookkeeping of spinlocks. */
#include <smp/spinlock.h>

#include <k/trace.h>

void spin_wait(struct spinlock *lock)
{
    uint32_t self = spin_token();

    trace(TRACE_SPIN_ENTER, lock, lock->rank);
    for (;;) {
        uint32_t holder = load_relaxed(&lock->word);

        if (KERNEL_DEBUG && holder == self)
            panic("spinlock of rank %u: this CPU holds it already", lock->rank);
        if (holder == 0 && spin_attempt(lock))
            break;
        hal_cpu_relax();
    }
    trace(TRACE_SPIN_EXIT, lock, lock->rank);
}

bool spin_lock_bounded(struct spinlock *lock, unsigned looks)
{
    while (looks-- > 0) {
        uint32_t nobody = 0;

        /* PAIRS(spinlock) */
        if (load_relaxed(&lock->word) == 0 && cas_acquire(&lock->word, &nobody, SPIN_TOKEN_DYING))
            return true;
        hal_cpu_relax();
    }
    return false;
}

void spin_debug_acquire(struct spinlock *lock, bool tried)
{
    struct task_base *self = current_base();

    ASSERT(lock->rank > LOCK_NONE && lock->rank < LOCK_RANK_COUNT);
    ASSERT(self->lock_depth < ARRAY_COUNT(self->lock_held));
    /* A try never waits, so it cannot be part of a cycle of waiters: any order is legal for it. */
    for (uint32_t i = 0; i < self->lock_depth && !tried; i++) {
        const struct spinlock *held = self->lock_held[i];

        bool may_be_two = lock->rank == LOCK_RUNQ || lock->rank == LOCK_FUTEX;

        if (held->rank > lock->rank || (held->rank == lock->rank && !may_be_two))
            panic("lock order: rank %u taken while rank %u is held", lock->rank, held->rank);
    }
    self->lock_held[self->lock_depth++] = lock;
}

void spin_debug_release(struct spinlock *lock)
{
    struct task_base *self = current_base();

    for (uint32_t i = self->lock_depth; i-- > 0;) {
        if (self->lock_held[i] != lock)
            continue;
        for (uint32_t j = i + 1; j < self->lock_depth; j++)
            self->lock_held[j - 1] = self->lock_held[j];
        self->lock_depth--;
        return;
    }
    panic("spinlock of rank %u released by a task that does not hold it", lock->rank);
}
