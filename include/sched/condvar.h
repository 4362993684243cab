/* SPDX-License-Identifier: MIT */
/*
 * A condition variable, for a condition that a mutex guards. Letting go of the mutex and beginning to wait are one step
 * for whoever holds the mutex: a signal by one who took it after the waiter had let go is not lost. Signals go to the
 * oldest waiter; those that find nobody are forgotten. The mutex inherits as always, the wait for a signal does not.
 *
 * Who signals need not hold the mutex; what was done before the signal is visible after the wait that it ends, and what
 * was done under the mutex anyway. The last touch by a signal comes before a wait returns that it ends: the last waiter
 * may free the condition variable.
 */
#pragma once

#include <sched/mutex.h>
#include <sched/waitq.h>

struct condvar {
    struct waitq waiters;
};

#define CONDVAR_INIT(name) { .waiters = WAITQ_INIT((name).waiters) }

void condvar_init(struct condvar *condvar);

/* Wait for a signal. The running task holds `mutex`, gives it up while it waits, and holds it again on return, whatever
 * the result; to have it again takes as long as it takes, also after the deadline or a kill. 0: signalled; -ETIMEDOUT;
 * -EINTR (WAIT_KILLABLE). Who waits for a condition looks at it again in each case. All waiters at a time use the same
 * mutex. Context: task, preemption enabled. */
int condvar_wait(struct condvar *condvar, struct mutex *mutex, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;

/* Context: any. */
void condvar_signal(struct condvar *condvar);
void condvar_broadcast(struct condvar *condvar);
