/* SPDX-License-Identifier: MIT */
/*
 * Wait queues. A waiter's record lives on its stack and is settled exactly once, under the queue's
 * lock, by a waker, its timeout or its own kill. The settler's last touch of the record is the release
 * store of `status`; after it the record may vanish. The task itself cannot: whoever wakes runs with
 * interrupts disabled, which is a read section, and a task's memory outlives those (smp/quiesce.h).
 */
#include <sched/waitq.h>

#include <k/errno.h>
#include <time/timer.h>

#include "sched_priv.h"

const char *waiter_status_name(uint64_t status)
{
    static const char *const names[] = { "queued", "claimed", "woken", "timed out", "killed", "refused" };

    return status < ARRAY_COUNT(names) ? names[status] : "?";
}

void waitq_init(struct waitq *queue)
{
    spin_init(&queue->lock, LOCK_WAITQ);
    list_init(&queue->waiters);
}

/* Take the record off the queue and tell its task. The record is not touched after the store. */
static ALWAYS_INLINE void settle_locked(struct waiter *waiter, enum waiter_status status)
{
    struct task *task = waiter->task;

    DEBUG_ASSERT(load_relaxed(&waiter->status) == WAITER_QUEUED);
    list_remove(&waiter->link);
    trace(TRACE_WAIT_SETTLE, waiter, status);
    store_release(&waiter->status, status); /* PAIRS(waiter) */
    (void)task_wake_irqoff(task);
}

static void waiter_timeout(struct timer *timer)
{
    struct waiter *waiter = container_of(timer, struct waiter, timer);
    struct waitq *queue = waiter->task->waits_on;

    /* The record is valid here: its owner does not return before timer_cancel() has seen this callback end. */
    spin_lock_irqoff(&queue->lock);
    if (load_relaxed(&waiter->status) == WAITER_QUEUED)
        settle_locked(waiter, WAITER_TIMED_OUT);
    spin_unlock_irqoff(&queue->lock);
}

/* Killed while queued: settle our own record. */
static NOINLINE void settle_if_killed(struct waiter *waiter)
{
    struct task *self = waiter->task;
    struct waitq *queue = self->waits_on;

    spin_lock_irqoff(&queue->lock);
    if (load_relaxed(&waiter->status) == WAITER_QUEUED && (load_relaxed(&self->notices) & self->wait_mode) != 0) {
        list_remove(&waiter->link);
        store_relaxed(&waiter->status, WAITER_KILLED);
        trace(TRACE_WAIT_SETTLE, waiter, WAITER_KILLED);
    }
    spin_unlock_irqoff(&queue->lock);
}

static ALWAYS_INLINE void join(struct waitq *queue, struct list_node *list, struct waiter *waiter, struct task *self)
    NO_LOCK_ANALYSIS
{
    waiter->task = self;
    self->waits_on = queue;
    store_relaxed(&waiter->status, WAITER_QUEUED);
    list_push_back(list, &waiter->link);
    trace(TRACE_WAIT_BEGIN, waiter, (uintptr_t)waiter->task);
    spin_unlock_irqoff(&queue->lock);
}

/* It was woken and nobody has settled the record: by a kill, or by a wake for something else. */
static NOINLINE enum waiter_status sleep_again(struct waiter *waiter, enum task_state state)
{
    enum wait_mode mode = current_task()->wait_mode; /* of the block that has just ended */
    enum waiter_status status;

    for (;;) {
        if ((mode & load_relaxed(&current_task()->notices)) != 0)
            settle_if_killed(waiter);
        status = load_acquire(&waiter->status); /* PAIRS(waiter) */
        if (status > WAITER_CLAIMED)
            return status;
        sched_block(state, mode);
    }
}

/* Sleep until somebody has settled the record. */
static ALWAYS_INLINE int sleep_on(struct waiter *waiter, struct task *self, enum wait_mode mode,
                                  enum task_state state, bool *out_check)
{
    /* Not for long, if somebody has settled it already: a wake is remembered. */
    *out_check = sched_block_self(self, state, mode);
    enum waiter_status status = load_acquire(&waiter->status); /* PAIRS(waiter) */

    if (UNLIKELY(status != WAITER_WOKEN)) {
        if (status <= WAITER_CLAIMED)
            status = sleep_again(waiter, state);
        *out_check = true;
        trace(TRACE_WAIT_END, waiter, status);
        return status == WAITER_WOKEN ? 0 : status == WAITER_TIMED_OUT ? -ETIMEDOUT : -EINTR;
    }
    trace(TRACE_WAIT_END, waiter, status);
    return 0;
}

/* The order of arguments is that of event_wait(). */
static NOINLINE int wait_with_deadline(struct waitq *queue, uint64_t deadline_ns, enum wait_mode mode,
                                       struct list_node *list, enum task_state state)
{
    struct waiter waiter;

    join(queue, list, &waiter, current_task());
    timer_init(&waiter.timer, waiter_timeout);
    timer_arm(&waiter.timer, deadline_ns);
    bool check; /* the callers do so in any case */
    int result = sleep_on(&waiter, current_task(), mode, state, &check);

    (void)timer_cancel(&waiter.timer);
    return result;
}

ALWAYS_INLINE int waitq_wait_inline(struct waitq *queue, uint64_t deadline_ns, enum wait_mode mode, bool *out_check)
    NO_LOCK_ANALYSIS
{
    struct waiter waiter; /* without a deadline its timer is never looked at */

    DEBUG_ASSERT(!hal_irq_is_enabled() && spin_is_held_here(&queue->lock));
    if (deadline_ns != TIME_NEVER) {
        *out_check = true;
        return wait_with_deadline(queue, deadline_ns, mode, &queue->waiters, TASK_BLOCKED);
    }
    struct task *self = current_task();

    join(queue, &queue->waiters, &waiter, self);
    return sleep_on(&waiter, self, mode, TASK_BLOCKED, out_check);
}

int waitq_wait_locked(struct waitq *queue, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    bool check; /* the callers do so in any case */

    return waitq_wait_inline(queue, deadline_ns, mode, &check);
}

int waitq_wait_on_locked(struct waitq *queue, struct list_node *list, uint64_t deadline_ns,
                         enum wait_mode mode) NO_LOCK_ANALYSIS
{
    struct waiter waiter;
    bool check; /* the callers do so in any case */

    DEBUG_ASSERT(!hal_irq_is_enabled() && spin_is_held_here(&queue->lock));
    if (deadline_ns != TIME_NEVER)
        return wait_with_deadline(queue, deadline_ns, mode, list, TASK_BLOCKED);
    join(queue, list, &waiter, current_task());
    return sleep_on(&waiter, current_task(), mode, TASK_BLOCKED, &check);
}

void waiter_join(struct waiter *waiter, struct waitq *queue) NO_LOCK_ANALYSIS
{
    join(queue, &queue->waiters, waiter, current_task());
}

int waiter_sleep(struct waiter *waiter, uint64_t deadline_ns, enum wait_mode mode)
{
    bool check; /* the callers do so in any case */

    if (deadline_ns == TIME_NEVER)
        return sleep_on(waiter, current_task(), mode, TASK_BLOCKED, &check);
    timer_init(&waiter->timer, waiter_timeout);
    timer_arm(&waiter->timer, deadline_ns);
    int result = sleep_on(waiter, current_task(), mode, TASK_BLOCKED, &check);

    (void)timer_cancel(&waiter->timer);
    return result;
}

struct waiter *waitq_claim_locked(struct waitq *queue)
{
    struct list_node *node = list_drop_front(&queue->waiters);

    if (node == NULL)
        return NULL;
    struct waiter *waiter = list_entry(node, struct waiter, link);

    store_relaxed(&waiter->status, WAITER_CLAIMED); /* neither timeout nor kill settles it now */
    return waiter;
}

ALWAYS_INLINE void waitq_finish(struct waiter *waiter)
{
    struct task *task = waiter->task;

    trace(TRACE_WAIT_SETTLE, waiter, WAITER_WOKEN);
    store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(waiter) */
    (void)task_wake_irqoff(task);
}

void waitq_claim_first_locked(struct list_node *from, struct list_node *out)
{
    struct waiter *waiter = list_first(from, struct waiter, link);

    list_remove(&waiter->link);
    store_relaxed(&waiter->status, WAITER_CLAIMED);
    list_push_back(out, &waiter->link);
}

unsigned waitq_claim_all_locked(struct list_node *from, struct list_node *out)
{
    unsigned claimed = 0;

    list_for_each(node, from) {
        store_relaxed(&list_entry(node, struct waiter, link)->status, WAITER_CLAIMED);
        claimed++;
    }
    list_splice_back(out, from);
    return claimed;
}

void waitq_finish_all(struct list_node *claimed)
{
    struct list_node *node;

    while ((node = list_pop_front(claimed)) != NULL)
        waitq_finish(list_entry(node, struct waiter, link)); /* a claimed record is nobody's but ours until then */
}

unsigned waitq_wake_locked(struct waitq *queue, unsigned count)
{
    unsigned woken = 0;

    while (woken < count && !list_is_empty(&queue->waiters)) {
        settle_locked(list_first(&queue->waiters, struct waiter, link), WAITER_WOKEN);
        woken++;
    }
    return woken;
}

/* Inline in an exit, whose one joiner this wakes nearly always: no counting, and no registers saved. */
ALWAYS_INLINE void waitq_wake_all_locked(struct waitq *queue)
{
    while (!list_is_empty(&queue->waiters))
        settle_locked(list_first(&queue->waiters, struct waiter, link), WAITER_WOKEN);
}

unsigned waitq_wake(struct waitq *queue, unsigned count)
{
    uintptr_t state = spin_lock_irqsave(&queue->lock);
    unsigned woken = waitq_wake_locked(queue, count);

    spin_unlock_irqoff(&queue->lock);
    sched_irq_restore(state);
    return woken;
}

int task_sleep_until(uint64_t deadline_ns) NO_LOCK_ANALYSIS
{
    /* A queue of its own that nobody wakes: what remains is the timeout and the kill. */
    struct waitq queue = WAITQ_INIT(queue);
    uintptr_t state = spin_lock_irqsave(&queue.lock);
    int result = wait_with_deadline(&queue, MIN(deadline_ns, TIME_NEVER - 1), WAIT_KILLABLE, &queue.waiters,
                                    TASK_SLEEPING);

    sched_irq_restore(state);
    return result == -ETIMEDOUT ? 0 : result;
}
