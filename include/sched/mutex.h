/* SPDX-License-Identifier: MIT */
/*
 * A sleeping lock. FIFO hand-over under contention: the unlocker gives it to the oldest waiter, so nobody starves.
 * Context of all: task, preemption enabled. A task that ends while it holds one panics.
 */
#pragma once

#include <sched/waitq.h>

struct task;

struct CAPABILITY("mutex") mutex {
    _Atomic(uintptr_t) owner; /* PAIRS(mutex): task, bit 0: there are waiters */
    struct waitq waiters;     /* its lock guards the slow paths */
};

#define MUTEX_INIT(name) { .owner = 0, .waiters = WAITQ_INIT((name).waiters) }

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) ACQUIRES(mutex);
bool mutex_try_lock(struct mutex *mutex) TRY_ACQUIRES(true, mutex);
void mutex_unlock(struct mutex *mutex) RELEASES(mutex);
bool mutex_is_held(const struct mutex *mutex); /* by the running task */
