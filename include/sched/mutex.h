/* SPDX-License-Identifier: MIT */
/*
 * A sleeping lock with priority inheritance. Under contention the unlocker gives it to the most urgent waiter, the
 * oldest among equals; fair tasks are equals. Meanwhile its owner is at least as urgent as every waiter, and so is
 * whoever owns the mutex that the owner waits for (docs/SCHEDULER.md).
 *
 * Context of all: task, preemption enabled. A task that ends while it holds one panics. Order: what was done before an
 * unlock is visible after the next lock. The last touch of a mutex by an unlocker comes before its heir returns: the
 * heir may free it, if nobody else can come.
 */
#pragma once

#include <lib/rbtree.h>
#include <sched/waitq.h>

struct task;

struct CAPABILITY("mutex") mutex {
    _Atomic(uintptr_t) owner; /* PAIRS(mutex): task, bit 0: there are waiters */
    struct spinlock lock;     /* LOCK_MUTEX: guards the slow paths and the tree */
    struct rb_tree waiters;   /* most urgent first */
};

#define MUTEX_INIT(name) { .owner = 0, .lock = SPINLOCK_INIT(LOCK_MUTEX), .waiters = { NULL, NULL } }

void mutex_init(struct mutex *mutex);
/* Waits for ever. A circle of owners and waiters that this lock would close is a panic that names all of them. */
void mutex_lock(struct mutex *mutex) ACQUIRES(mutex);
bool mutex_try_lock(struct mutex *mutex) TRY_ACQUIRES(true, mutex);
/* 0: held. -ETIMEDOUT: deadline_ns passed. -EINTR: killed (WAIT_KILLABLE). -EDEADLK: the running task holds it, or the
 * lock would close a circle. After an error nothing is held, and nobody is more urgent because of this wait. */
int mutex_lock_until(struct mutex *mutex, uint64_t deadline_ns, enum wait_mode mode) TRY_ACQUIRES(0, mutex) MUST_USE;
void mutex_unlock(struct mutex *mutex) RELEASES(mutex);
bool mutex_is_held(const struct mutex *mutex); /* by the running task */

/* ---- Locks of user programs ---- */

/* A mutex that the first who waits makes for an owner that knows nothing of it: what a program's lock is in the kernel
 * (proc/futex.h). The same mutex with the same inheritance, used by these alone. Its owner may end: whoever keeps the
 * mutex sees to it that it has let go before. Locks that the caller has keep owner, heir and mutex as they are. */
struct mutex_waiter;

/* Owned by `owner`, which has not ended and waits for nobody who waits for this mutex. */
void mutex_init_owned(struct mutex *mutex, struct task *owner);
/* As mutex_lock_until(). */
int mutex_lock_lent(struct mutex *mutex, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;
/* The owner, who calls this, lets go. NULL: nobody waits, and nobody is the owner. Otherwise the heir's record: the
 * heir is the owner now and sleeps, whatever comes, until mutex_heir_wake(). Context of this and the next: task, locks
 * below LOCK_MUTEX may be held. */
struct mutex_waiter *mutex_hand_over(struct mutex *mutex) MUST_USE;
/* The same, if somebody waits and `tell`, which is told of the heir, agrees: 0. What else it returns is the result, and
 * nothing has changed. It is called with interrupts disabled and the inner lock held. */
int mutex_hand_over_if(struct mutex *mutex, int (*tell)(struct task *heir, void *arg), void *arg,
                       struct mutex_waiter **out_heir) MUST_USE;
struct task *mutex_heir_task(const struct mutex_waiter *heir);
/* Context: task. The heir may free the mutex from here on. */
void mutex_heir_wake(struct mutex_waiter *heir);
