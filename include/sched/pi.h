/* SPDX-License-Identifier: MIT */
/*
 * Priority inheritance: what a task carries of it. A task is at least as urgent as the most urgent of those who wait
 * for a mutex that it owns, and so on along the chain. docs/SCHEDULER.md has the protocol.
 */
#pragma once

#include <stdint.h>

#include <lib/rbtree.h>
#include <smp/spinlock.h>

/* How urgent a task is, over all classes: what it lends to the owner of the mutex that it waits for. */
struct sched_urgency {
    uint8_t rank;         /* core/sched/sched_priv.h: lower is more urgent */
    uint64_t deadline_ns; /* of the deadline class: absolute, orders equal ranks; else 0 */
};
#define SCHED_URGENCY_NONE ((struct sched_urgency){ .rank = UINT8_MAX })

struct mutex_waiter;

struct pi_task {
    struct spinlock lock; /* LOCK_PI, interrupts off */

    /* Guarded by lock. */
    struct rb_tree donors;           /* of each mutex that it owns, the most urgent waiter; most urgent first */
    struct mutex_waiter *blocked_on; /* its own record, or NULL; written with that mutex's lock held, too */
    uint64_t blocks;                 /* how often it has begun to wait for a mutex */
    uint64_t due_ns;                 /* of a deadline task: its own deadline when it began to wait; that it lends */
    struct sched_urgency inherited;  /* of the first donor, or SCHED_URGENCY_NONE */

    uint64_t blocks_seen; /* guarded by the lock of deadlock checks (core/sched/pi.c) */
};
