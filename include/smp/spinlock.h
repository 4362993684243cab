/* SPDX-License-Identifier: MIT */
/*
 * Spinlocks: test-and-set with a read spin. FIFO locks (ticket, MCS) hand over to one chosen CPU; where virtual CPUs
 * outnumber real ones that CPU is usually not running, and throughput falls a hundredfold. This file is the one place
 * to choose otherwise.
 *
 * spin_lock() disables preemption. Locks of ranks from LOCK_MUTEX on, which interrupt handlers take or which are held
 * around those, are always taken with interrupts disabled: spin_lock_irqsave(), or spin_lock_irqoff() by a caller that
 * has disabled them already.
 */
#pragma once

#include <hal/irq.h>
#include <k/assert.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <smp/lockrank.h>
#include <smp/preempt.h>

struct CAPABILITY("spinlock") spinlock {
    _Atomic(uint32_t) word; /* PAIRS(spinlock): 0 free, else spin_token() of the holder, or SPIN_TOKEN_DYING */
    uint32_t rank;          /* enum lock_rank */
};

#define SPIN_TOKEN_DYING UINT32_MAX /* taken by spin_lock_bounded(): no CPU's token */

#define SPINLOCK_INIT(lock_rank) { .word = 0, .rank = (lock_rank) }

static inline void spin_init(struct spinlock *lock, enum lock_rank rank)
{
    store_relaxed(&lock->word, 0);
    lock->rank = rank;
}

/* Debug builds: 1 + the holder's CPU id, so that a self-deadlock is found and a panic names the holder. Release: 1. */
static ALWAYS_INLINE uint32_t spin_token(void)
{
    return KERNEL_DEBUG ? this_cpu_id() + 1 : 1;
}

/* Slow path: spins until it has the lock; a debug build panics when this CPU holds it already. */
void spin_wait(struct spinlock *lock);

/* Debug builds: rank and depth bookkeeping. */
void spin_debug_acquire(struct spinlock *lock, bool tried);
void spin_debug_release(struct spinlock *lock);

static ALWAYS_INLINE bool spin_is_held_here(struct spinlock *lock)
{
    return load_relaxed(&lock->word) == spin_token();
}

/* One attempt. Debug builds leave a holder's token alone; release builds swap, which is one instruction on most CPUs.
 * PAIRS(spinlock): everything the last holder stored is visible after it. */
static ALWAYS_INLINE bool spin_attempt(struct spinlock *lock)
{
    uint32_t expected = 0;

    return KERNEL_DEBUG ? cas_acquire(&lock->word, &expected, spin_token())
                        : xchg_acquire(&lock->word, spin_token()) == 0; /* PAIRS(spinlock) */
}

static ALWAYS_INLINE void spin_lock_irqoff(struct spinlock *lock) ACQUIRES(lock) NO_LOCK_ANALYSIS
{
    DEBUG_ASSERT(!hal_irq_is_enabled() || current_base()->preempt_count > 0);
    if (KERNEL_DEBUG)
        spin_debug_acquire(lock, false);
    if (UNLIKELY(!spin_attempt(lock)))
        spin_wait(lock);
}

static ALWAYS_INLINE bool spin_try_lock_irqoff(struct spinlock *lock) TRY_ACQUIRES(true, lock) NO_LOCK_ANALYSIS
{
    if (load_relaxed(&lock->word) != 0 || UNLIKELY(!spin_attempt(lock)))
        return false;
    if (KERNEL_DEBUG)
        spin_debug_acquire(lock, true);
    return true;
}

static ALWAYS_INLINE void spin_unlock_irqoff(struct spinlock *lock) RELEASES(lock) NO_LOCK_ANALYSIS
{
    DEBUG_ASSERT(spin_is_held_here(lock));
    if (KERNEL_DEBUG)
        spin_debug_release(lock);
    /* PAIRS(spinlock): everything stored under the lock is visible to the next holder. */
    store_release(&lock->word, 0);
}

/* Without the debug record, for the one place that takes every run-queue lock at once, in CPU order; and for the end of
 * spin_lock_bounded(). */
static inline void spin_lock_untracked(struct spinlock *lock) NO_LOCK_ANALYSIS
{
    if (!spin_attempt(lock))
        spin_wait(lock);
}

static inline void spin_unlock_untracked(struct spinlock *lock) NO_LOCK_ANALYSIS
{
    store_release(&lock->word, 0); /* PAIRS(spinlock) */
}

/* For a kernel that is dying: looks at the lock so many times at most, and says whether it has got it. Asks nothing of
 * this CPU or its task, which may be what is broken, and keeps no debug record. Interrupts are disabled by the caller;
 * spin_unlock_untracked() ends it. */
bool spin_lock_bounded(struct spinlock *lock, unsigned looks);

static ALWAYS_INLINE void spin_lock(struct spinlock *lock) ACQUIRES(lock) NO_LOCK_ANALYSIS
{
    preempt_disable();
    spin_lock_irqoff(lock);
}

static ALWAYS_INLINE void spin_unlock(struct spinlock *lock) RELEASES(lock) NO_LOCK_ANALYSIS
{
    spin_unlock_irqoff(lock);
    preempt_enable();
}

static ALWAYS_INLINE uintptr_t spin_lock_irqsave(struct spinlock *lock) ACQUIRES(lock) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();

    spin_lock_irqoff(lock);
    return state;
}

static ALWAYS_INLINE void spin_unlock_irqrestore(struct spinlock *lock, uintptr_t state) RELEASES(lock) NO_LOCK_ANALYSIS
{
    spin_unlock_irqoff(lock);
    hal_irq_restore(state);
}
