/* SPDX-License-Identifier: MIT */
/*
 * A counting semaphore, first come first served: an up that finds waiters is given to the oldest, so nobody who comes
 * later can take it. It has no owner: a task need not return what it took, and nothing is inherited.
 *
 * Order: what was done before an up is visible after the down that it lets through. The last touch of a semaphore by
 * semaphore_up() comes before the down returns that it lets through: its caller may free it, if nobody else can come.
 */
#pragma once

#include <sched/waitq.h>

struct semaphore {
    struct waitq waiters;
    uint32_t count; /* guarded by waiters.lock; 0 while there are waiters */
};

#define SEMAPHORE_INIT(name, n) { .waiters = WAITQ_INIT((name).waiters), .count = (n) }

void semaphore_init(struct semaphore *semaphore, uint32_t count);

/* Take one, or wait for one. 0: taken; -ETIMEDOUT; -EINTR (WAIT_KILLABLE); after an error nothing is taken.
 * Context: task. */
int semaphore_down(struct semaphore *semaphore, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;
bool semaphore_try_down(struct semaphore *semaphore) MUST_USE; /* Context: any. */

/* Give one. More than UINT32_MAX of them is a panic. Context: any. */
void semaphore_up(struct semaphore *semaphore);
