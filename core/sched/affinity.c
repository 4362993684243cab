/* SPDX-License-Identifier: MIT */
/*
 * Affinity of a task in any state, effective before the call returns: done under the run-queue lock that the task
 * names; a task that runs where it no longer may is asked to leave and waited for.
 */
#include "hotplug_priv.h"

#include <k/errno.h>

struct waitq affinity_moved = WAITQ_INIT(affinity_moved);

void affinity_notify_moved(void)
{
    (void)waitq_wake_all(&affinity_moved);
}

/* A CPU that goes off is none, whatever the mask says: its tasks are on their way. */
static bool may_stay(const struct runq *rq, const struct cpumask *mask)
{
    return cpumask_contains(mask, rq->cpu.id) && cpu_is_online(rq->cpu.id);
}

/* The affinity is new. */
static void set_flags(struct runq *rq, struct task *task)
{
    task->is_leaving = task->state == TASK_RUNNING && !may_stay(rq, &task->affinity);
    task->allowed_since_ticks = hal_clock_ticks();
    task_note_pinned(task);
}

void affinity_set_locked(struct runq *rq, struct task *task, const struct cpumask *mask)
{
    int error = anchor_change(task, mask);

    ASSERT(error == 0);
    set_flags(rq, task);
}

static void requeue(struct runq *rq, struct task *task, struct affinity_rest *out) REQUIRES(rq->lock)
{
    if (may_stay(rq, &task->affinity)) {
        runq_enqueue(rq, task, ENQUEUE_MOVED);
        out->is_queued = true;
    } else {
        runq_misplace(rq, task);
        out->push_from = rq;
    }
}

/* Under the lock: does the task run where it may not? Then somebody waits for it to leave. */
static bool must_leave(struct runq *rq, struct task *task)
{
    if (task->state != TASK_RUNNING || !task->is_leaving)
        return false;
    task->is_move_awaited = true;
    resched_cpu(rq);
    return true;
}

/* What follows from a new affinity: the last step under the lock. */
static void settle_locked(struct runq *rq, struct task *task, bool was_queued, struct affinity_rest *out)
    REQUIRES(rq->lock)
{
    if (was_queued)
        requeue(rq, task, out);
    out->must_wait = must_leave(rq, task) || task->is_misplaced;
}

void affinity_change_locked(struct runq *rq, struct task *task, const struct cpumask *mask, bool was_queued,
                            struct affinity_rest *out)
{
    affinity_set_locked(rq, task, mask);
    settle_locked(rq, task, was_queued, out);
}

void affinity_unlock(struct runq *rq, struct task *task, const struct affinity_rest *rest)
{
    if (rest->is_queued)
        runq_unlock_notice(rq, task);
    else
        runq_unlock(rq);
}

static bool is_settled(struct task *task) NO_LOCK_ANALYSIS
{
    struct runq *rq = runq_lock_of(task);
    bool settled = !must_leave(rq, task) && !task->is_misplaced; /* misplaced: on its way, and told of again */

    spin_unlock_irqoff(&rq->lock);
    return settled;
}

int affinity_settle(struct task *task, const struct affinity_rest *rest)
{
    uintptr_t state = hal_irq_save();

    if (rest->push_from != NULL)
        push_misplaced(rest->push_from);
    sched_irq_restore(state); /* if it was this task that must leave, it has left now */
    if (rest->must_wait && task != current_task())
        return waitq_wait_until(&affinity_moved, is_settled(task), TIME_NEVER, WAIT_UNINTERRUPTED);
    return 0;
}

/* -EAGAIN: a deadline task, which needs the admission lock. */
static int try_set(struct task *task, const struct cpumask *mask, struct affinity_rest *out) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_loose(task);
    int result = task->state == TASK_DEAD ? -ESRCH : task->is_admitted ? -EAGAIN : anchor_change(task, mask);

    if (result == 0) {
        bool was_queued = task_is_queued(task);

        if (was_queued)
            runq_dequeue(rq, task);
        set_flags(rq, task);
        settle_locked(rq, task, was_queued, out);
    }
    affinity_unlock(rq, task, out);
    hal_irq_restore(state); /* affinity_settle() follows, and looks whether to switch */
    return result;
}

int task_set_affinity(struct task *task, const struct cpumask *mask)
{
    struct affinity_rest rest = { 0 };
    int result;

    ASSERT(context_can_sleep());
    for (;;) {
        result = try_set(task, mask, &rest);
        if (result == 0)
            return affinity_settle(task, &rest);
        if (result == -EAGAIN)
            result = cpumask_intersects(mask, &cpu_online_mask) ? deadline_change(task, NULL, mask) : -EINVAL;
        if (result != -EAGAIN)
            return result;
    }
}
