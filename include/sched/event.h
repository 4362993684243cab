/* SPDX-License-Identifier: MIT */
/*
 * An event that wakes one: signal hands it to the oldest waiter, or leaves it set for the next one to come.
 * So n signals let n waits through, except that signals beyond the first, with nobody waiting, are one.
 */
#pragma once

#include <sched/waitq.h>

struct event {
    struct waitq waiters;
    uint8_t is_set; /* guarded by waiters.lock; 0 or 1, and no bool: compilers test those with one instruction more */
};

#define EVENT_INIT(name) { .waiters = WAITQ_INIT((name).waiters), .is_set = 0 }

void event_init(struct event *event);

/* Context: any. */
void event_signal(struct event *event);

/* 0: it was signalled, and is ours alone; -ETIMEDOUT; -EINTR (WAIT_KILLABLE). Context: task,
 * preemption and interrupts enabled. */
int event_wait(struct event *event, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;
