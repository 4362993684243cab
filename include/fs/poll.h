/* SPDX-License-Identifier: MIT */
/*
 * Waiting for files. What a file's readers or writers wait on is a poll_queue: a wait queue, for tasks that wait for
 * this one thing, and a list of pollers, who wait for several. Both are guarded by the wait queue's lock, so a wake
 * costs one look more than without pollers.
 *
 * A poller enters itself at each queue, then looks at the state; whoever changes the state does so first and calls
 * poll_wake() then. Of the two one comes second at the queue's lock, and sees the other.
 */
#pragma once

#include <sched/task.h>

/* How every wait of a program for a file, a pipe or a terminal sleeps: a kill or a signal ends it with -EINTR. */
#define FILE_WAIT WAIT_INTERRUPTIBLE

/* Would such a wait of the running task end at once? */
static inline bool file_wait_is_interrupted(void)
{
    return (load_relaxed(&current_task()->notices) & FILE_WAIT) != 0;
}

struct file;

struct poll_queue {
    struct waitq wait;
    struct list_node pollers; /* guarded by wait.lock */
};

#define POLL_QUEUE_INIT(name) { .wait = WAITQ_INIT((name).wait), .pollers = LIST_INIT((name).pollers) }

void poll_queue_init(struct poll_queue *queue);

/* Wake all who wait, and tell all pollers. Context: any. _locked: queue->wait.lock is held. */
void poll_wake(struct poll_queue *queue);
void poll_wake_locked(struct poll_queue *queue);

/* A poller's entry at one queue. */
struct poll_entry {
    struct list_node link; /* guarded by queue->wait.lock */
    struct poll_queue *queue;
    struct poll_wait *wait;
};

/* One poll of several files, or one that watches a file for long. Files have up to POLL_QUEUES_MAX queues each. */
#define POLL_QUEUES_MAX 2u
struct poll_wait {
    void (*told)(struct poll_wait *wait); /* called under the queue's lock; NULL: the task is woken */
    struct task *task;
    _Atomic(bool) is_told; /* PAIRS(poll_told) */
    bool enters;           /* false: only look */
    unsigned used, room;
    struct poll_entry *entries;
};

/* For a file's poll(): enter the poller at a queue, before the state is looked at. wait NULL: nothing. At most
 * POLL_QUEUES_MAX times a call, and the queue lives as long as the file. */
void poll_enter(struct poll_wait *wait, struct poll_queue *queue);

/* Out of all queues; nobody tells it any more on return. */
void poll_leave(struct poll_wait *wait);

struct poll_item {
    struct file *file; /* NULL: skipped, `got` is the caller's */
    uint32_t wanted;   /* POLL..; ERR and HUP are always reported */
    uint32_t got;
};

/* poll(2): wait until one of the files is ready, or the deadline; 0 looks once and does not wait. Returns how many
 * items have something in `got`, those that the caller has set included; such an item ends the wait at once. -EINTR,
 * -ENOMEM. The caller holds references to the files. Context: task. */
int poll_wait_for(struct poll_item *items, unsigned count, uint64_t deadline_ns) MUST_USE;
