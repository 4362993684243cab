/* SPDX-License-Identifier: MIT */
/*
 * Wait queues: the one blocking primitive. A task joins under the queue's lock, so a condition that is guarded by that
 * lock, or re-checked after joining, cannot change unseen; each waiter has a record that exactly one of waker, timeout
 * and kill settles.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>
#include <smp/spinlock.h>

/* Switch now if something asked for it while interrupts or preemption were disabled. Context: any. */
static ALWAYS_INLINE void sched_check(void)
{
    struct task_base *self = current_base();

    if (UNLIKELY(load_relaxed(&this_cpu()->need_resched)) && self->preempt_count == 0 && hal_irq_is_enabled())
        sched_preempt();
}

/* End of a section with interrupts disabled in which a wake may have asked this CPU to switch. */
static ALWAYS_INLINE void sched_irq_restore(uintptr_t state)
{
    hal_irq_restore(state);
    sched_check();
}

/* Of a waiter's record; TRACE_WAIT_SETTLE and TRACE_WAIT_END say it. From WAITER_WOKEN on it is settled. */
enum waiter_status {
    WAITER_QUEUED,
    WAITER_CLAIMED,
    WAITER_WOKEN,
    WAITER_TIMED_OUT,
    WAITER_KILLED,
    WAITER_REFUSED, /* of a mutex: it would have waited for itself */
};
const char *waiter_status_name(uint64_t status);

struct waitq {
    struct spinlock lock; /* LOCK_WAITQ, interrupts off */
    struct list_node waiters; /* guarded by lock, FIFO */
};

#define WAITQ_INIT(name) { .lock = SPINLOCK_INIT(LOCK_WAITQ), .waiters = LIST_INIT((name).waiters) }

/* What a task is to look at soon: task_notify(). A wait mode is the set of those that end the wait. */
#define TASK_NOTICE_KILL 0x1u   /* it is to end; never taken back */
#define TASK_NOTICE_SIGNAL 0x2u /* a signal for its user */
#define TASK_NOTICE_WORK 0x4u   /* something else to do before it goes back to its user; ends no wait */

enum wait_mode {
    WAIT_UNINTERRUPTED = 0,                            /* a notice is remembered and does not end the wait */
    WAIT_KILLABLE = TASK_NOTICE_KILL,                  /* a kill ends the wait with -EINTR */
    WAIT_INTERRUPTIBLE = TASK_NOTICE_KILL | TASK_NOTICE_SIGNAL, /* so does a signal */
};

void waitq_init(struct waitq *queue);

/* Join the queue and sleep. The caller holds queue->lock with interrupts disabled by spin_lock_irqsave(); the lock is
 * released while asleep and NOT held on return; interrupts are still disabled on return: the caller restores its state.
 * 0: woken; -ETIMEDOUT: deadline_ns passed; -EINTR: killed. Exactly one of them is true.
 * Context: task, preemption enabled. */
int waitq_wait_locked(struct waitq *queue, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;

/* The same, for callers whose cost counts: they need to call sched_check() only if *out_check, which this sets. */
int waitq_wait_inline(struct waitq *queue, uint64_t deadline_ns, enum wait_mode mode, bool *out_check) MUST_USE;

/* The first again, on another list of waiters that queue->lock guards, for objects with two kinds of them. */
int waitq_wait_on_locked(struct waitq *queue, struct list_node *list, uint64_t deadline_ns, enum wait_mode mode)
    MUST_USE;

/* Wake up to `count` waiters, oldest first; returns how many. Context: any. */
unsigned waitq_wake(struct waitq *queue, unsigned count);
unsigned waitq_wake_locked(struct waitq *queue, unsigned count) REQUIRES(queue->lock);
void waitq_wake_all_locked(struct waitq *queue) REQUIRES(queue->lock);

/* The two halves of a wake, for objects that their waiter may free as soon as it is woken: the waker's
 * last touch of the queue is the unlock between them. Claim the oldest waiter (NULL: none); then,
 * interrupts still disabled, finish it. */
struct waiter;
struct waiter *waitq_claim_locked(struct waitq *queue) REQUIRES(queue->lock);
void waitq_finish(struct waiter *waiter);
/* The same for a list `from` that the lock of their queue guards: the first waiter, which there is, or all, into `out`;
 * returns how many. */
void waitq_claim_first_locked(struct list_node *from, struct list_node *out);
unsigned waitq_claim_all_locked(struct list_node *from, struct list_node *out);
void waitq_finish_all(struct list_node *claimed);

static inline unsigned waitq_wake_one(struct waitq *queue)
{
    return waitq_wake(queue, 1);
}

static inline unsigned waitq_wake_all(struct waitq *queue)
{
    return waitq_wake(queue, UINT32_MAX);
}

/* The lock of a wait, for waitq_wait_until() alone: the analysis cannot follow a lock that a loop gives
 * up and retakes. */
static inline uintptr_t waitq_enter(struct waitq *queue) NO_LOCK_ANALYSIS
{
    return spin_lock_irqsave(&queue->lock);
}

static inline void waitq_relock(struct waitq *queue) NO_LOCK_ANALYSIS
{
    spin_lock_irqoff(&queue->lock);
}

static inline void waitq_leave(struct waitq *queue, bool is_locked, uintptr_t state) NO_LOCK_ANALYSIS
{
    if (is_locked)
        spin_unlock_irqoff(&queue->lock);
    sched_irq_restore(state);
}

/* Wait until `condition`, evaluated under the queue's lock, is true. Whoever makes it true does so under that lock, or
 * before its waitq_wake(). Evaluates to 0, -ETIMEDOUT or -EINTR. */
#define waitq_wait_until(queue, condition, deadline_ns, mode)                     \
    ({                                                                            \
        struct waitq *queue_ = (queue);                                           \
        uint64_t deadline_ = (deadline_ns);                                       \
        int result_ = 0;                                                          \
        uintptr_t state_ = waitq_enter(queue_);                                   \
        while (!(condition)) {                                                    \
            result_ = waitq_wait_locked(queue_, deadline_, (mode));               \
            if (result_ != 0)                                                     \
                break;                                                            \
            waitq_relock(queue_);                                                 \
        }                                                                         \
        waitq_leave(queue_, result_ == 0, state_);                                \
        result_;                                                                  \
    })
