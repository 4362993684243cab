/* SPDX-License-Identifier: MIT */
/*
 * Affinity of a task in any state, effective before the call returns: done under the run-queue lock that the task
 * names; a task that runs where it no longer may is asked to leave and waited for.
 */
#include "sched_priv.h"

#include <k/errno.h>

static struct waitq moved = WAITQ_INIT(moved);

void affinity_notify_moved(void)
{
    (void)waitq_wake_all(&moved);
}

void affinity_set_locked(struct runq *rq, struct task *task, const struct cpumask *mask)
{
    task->is_leaving = task->state == TASK_RUNNING && !cpumask_contains(mask, rq->cpu.id);
    task->affinity = *mask;
    task->allowed_since_ticks = hal_clock_ticks();
    task_note_pinned(task);
}

static void requeue(struct runq *rq, struct task *task, struct affinity_rest *out) REQUIRES(rq->lock)
{
    if (cpumask_contains(&task->affinity, rq->cpu.id)) {
        runq_enqueue(rq, task, ENQUEUE_MOVED);
        runq_notice(rq, task);
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

void affinity_change_locked(struct runq *rq, struct task *task, const struct cpumask *mask, bool was_queued,
                            struct affinity_rest *out)
{
    affinity_set_locked(rq, task, mask);
    if (was_queued)
        requeue(rq, task, out);
    out->must_wait = must_leave(rq, task) || task->is_misplaced;
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
        return waitq_wait_until(&moved, is_settled(task), TIME_NEVER, WAIT_UNINTERRUPTED);
    return 0;
}

/* -EAGAIN: a deadline task, which needs the admission lock. */
static int try_set(struct task *task, const struct cpumask *mask, struct affinity_rest *out) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);
    int result = task->state == TASK_DEAD ? -ESRCH : task->is_admitted ? -EAGAIN : 0;

    if (result == 0) {
        bool was_queued = task_is_queued(task);

        if (was_queued)
            runq_dequeue(rq, task);
        affinity_change_locked(rq, task, mask, was_queued, out);
    }
    runq_unlock(rq);
    hal_irq_restore(state); /* affinity_settle() follows, and looks whether to switch */
    return result;
}

int task_set_affinity(struct task *task, const struct cpumask *mask)
{
    struct affinity_rest rest = { 0 };
    int result;

    ASSERT(context_can_sleep());
    if (!cpumask_intersects(mask, &cpu_online_mask))
        return -EINVAL;
    for (;;) {
        result = try_set(task, mask, &rest);
        if (result == 0)
            return affinity_settle(task, &rest);
        if (result == -EAGAIN)
            result = deadline_change(task, NULL, mask);
        if (result != -EAGAIN)
            return result;
    }
}
