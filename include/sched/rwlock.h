/* SPDX-License-Identifier: MIT */
/*
 * A reader-writer lock, phase-fair: while both wait, phases of readers and single writers take turns. A reader that
 * comes while a writer holds the lock or waits for it waits, too. When a writer lets go, all readers that wait at that
 * moment come in at once, else the next writer; when the last of them leaves, the oldest writer comes in. So a reader
 * waits for the readers inside and one writer at most, however many writers come; a writer waits for those inside, for
 * the writers before it, and for a phase of readers before each of those and itself, however many readers come.
 *
 * It does not inherit priorities: a lock with many owners would have to lift all of them, and who they are is not
 * recorded. What needs a bound on inversion uses a mutex. A reader must not lock again while it reads: a writer that
 * came in between would wait for it, and it for the writer.
 *
 * Context of all: task, preemption enabled. A task that ends while it holds one panics. Order: what was done before an
 * unlock is visible after the next lock. The last touch by an unlocker comes before a lock returns that it let through.
 */
#pragma once

#include <sched/waitq.h>

struct rwlock {
    struct waitq readers;     /* its lock guards all of this */
    struct list_node writers; /* waiters, oldest first */
    int32_t holders;          /* readers inside; RWLOCK_WRITER: a writer */
};

#define RWLOCK_WRITER (-1)
#define RWLOCK_INIT(name) { .readers = WAITQ_INIT((name).readers), .writers = LIST_INIT((name).writers), .holders = 0 }

void rwlock_init(struct rwlock *rwlock);

/* 0: held; -ETIMEDOUT; -EINTR (WAIT_KILLABLE); after an error nothing is held. */
int rwlock_read_lock_until(struct rwlock *rwlock, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;
int rwlock_write_lock_until(struct rwlock *rwlock, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;

void rwlock_read_lock(struct rwlock *rwlock);
void rwlock_write_lock(struct rwlock *rwlock);
/* Not at once: false. A reader does not pass a writer that waits. */
bool rwlock_try_read_lock(struct rwlock *rwlock) MUST_USE;
bool rwlock_try_write_lock(struct rwlock *rwlock) MUST_USE;

void rwlock_read_unlock(struct rwlock *rwlock);
void rwlock_write_unlock(struct rwlock *rwlock);
