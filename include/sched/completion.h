/* SPDX-License-Identifier: MIT */
/*
 * A completion: somebody says that something is done, and others wait for that, before or after. completion_done() lets
 * one wait through, the oldest, and counts; completion_done_all() lets all through, now and from then on.
 *
 * Order: what was done before the completion is visible after the wait. The last touch by completion_done() and
 * completion_done_all() comes before a wait returns that they let through: the last waiter may free the completion, and
 * it may lie on its stack. If there are several, they must agree on who is the last.
 */
#pragma once

#include <sched/waitq.h>

struct completion {
    struct waitq waiters;
    uint32_t done; /* guarded by waiters.lock: waits that will not block; COMPLETION_ALL: none will */
};

#define COMPLETION_ALL UINT32_MAX
#define COMPLETION_INIT(name) { .waiters = WAITQ_INIT((name).waiters), .done = 0 }

void completion_init(struct completion *completion);

/* Nothing is done yet, again. Nobody waits, and no completion_done() runs. Context: any. */
void completion_reset(struct completion *completion);

/* Context: any. */
void completion_done(struct completion *completion);
void completion_done_all(struct completion *completion);

/* 0: done, and one completion_done() is used up by this; -ETIMEDOUT; -EINTR (WAIT_KILLABLE). Context: task. */
int completion_wait(struct completion *completion, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;
bool completion_try_wait(struct completion *completion) MUST_USE; /* Context: any. */
