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

static void set_mask(struct runq *rq, struct task *task, const struct cpumask *mask)
{
    task->is_leaving = task->state == TASK_RUNNING && !cpumask_contains(mask, rq->cpu.id);
    task->affinity = *mask;
    task_note_pinned(task);
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

static bool is_settled(struct task *task) NO_LOCK_ANALYSIS
{
    struct runq *rq = runq_lock_of(task);
    bool settled = !must_leave(rq, task) && !task->is_misplaced; /* misplaced: on its way, and told of again */

    spin_unlock_irqoff(&rq->lock);
    return settled;
}

int task_set_affinity(struct task *task, const struct cpumask *mask) NO_LOCK_ANALYSIS
{
    bool misplaced = false;
    bool leaving;

    ASSERT(context_can_sleep());
    if (!cpumask_intersects(mask, &cpu_online_mask))
        return -EINVAL;
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);

    if (task->state == TASK_DEAD) {
        spin_unlock_irqoff(&rq->lock);
        hal_irq_restore(state);
        return -ESRCH;
    }
    if (task->state == TASK_READY && !task->is_misplaced) {
        runq_dequeue(rq, task);
        set_mask(rq, task, mask);
        if (cpumask_contains(mask, rq->cpu.id)) {
            runq_enqueue(rq, task, ENQUEUE_MOVED);
            runq_notice(rq, task);
        } else {
            runq_misplace(rq, task);
            misplaced = true;
        }
    } else {
        set_mask(rq, task, mask);
    }
    leaving = must_leave(rq, task) || task->is_misplaced;
    spin_unlock_irqoff(&rq->lock);
    if (misplaced)
        balance_push_misplaced(rq);
    sched_irq_restore(state); /* if it was this task that must leave, it has left now */
    if (leaving && task != current_task())
        return waitq_wait_until(&moved, is_settled(task), TIME_NEVER, WAIT_UNINTERRUPTED);
    return 0;
}
