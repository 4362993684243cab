/* SPDX-License-Identifier: MIT */
/*
 * Priority, policy and affinity of a task in any state, effective before the call returns. Everything is done under the
 * run-queue lock that the task names; a task that runs where it no longer may is asked to leave and waited for.
 */
#include "sched_priv.h"

#include <k/errno.h>

/* Weight of nice -20..19: 1024 * 1.25^-nice, so one step is a tenth of the CPU between two tasks (as Linux's). */
static const uint32_t fair_weight[40] = {
    88818, 71054, 56843, 45475, 36380, 29104, 23283, 18626, 14901, 11921,
    9537, 7629, 6104, 4883, 3906, 3125, 2500, 2000, 1600, 1280,
    1024, 819, 655, 524, 419, 336, 268, 215, 172, 137,
    110, 88, 70, 56, 45, 36, 29, 23, 18, 15,
};

static struct waitq moved = WAITQ_INIT(moved);

void policy_notify_moved(void)
{
    (void)waitq_wake_all(&moved);
}

void policy_apply_priority(struct task *task, int priority)
{
    task->priority = (uint8_t)priority;
    task->slice_left_ticks = 0;
    if (priority <= PRIORITY_REALTIME_LOW) {
        task->class = &class_rt;
        task->policy = SCHED_POLICY_RR;
        task->rt_level = (uint8_t)priority_rt_level(priority);
        task->rank = task->rt_level;
    } else if (priority < PRIORITY_IDLE) {
        task->class = &class_fair;
        task->policy = SCHED_POLICY_FAIR;
        task->rank = RANK_FAIR;
        task->fair_weight = fair_weight[priority_nice(priority) + 20];
        task->fair_inverse_weight = (uint32_t)((UINT64_C(1) << 32) / task->fair_weight);
    } else {
        task->class = &class_idle;
        task->policy = SCHED_POLICY_IDLE;
        task->rank = RANK_IDLE_CLASS;
    }
}

/* The class's own numbers start afresh where the task is now. */
static void apply_on(struct runq *rq, struct task *task, int priority, enum sched_policy policy)
{
    bool was_fair = task->class == &class_fair;

    policy_apply_priority(task, priority);
    if (task->class == &class_rt)
        task->policy = policy;
    if (!was_fair)
        task->fair_vruntime = rq->fair.vruntime_min;
}

static void apply_locked(struct runq *rq, struct task *task, int priority, enum sched_policy policy)
    REQUIRES(rq->lock)
{
    if (task->state == TASK_READY && !task->is_misplaced) {
        runq_dequeue(rq, task);
        apply_on(rq, task, priority, policy);
        runq_enqueue(rq, task, ENQUEUE_MOVED);
        runq_notice(rq, task);
        return;
    }
    if (task->state != TASK_RUNNING) {
        apply_on(rq, task, priority, policy);
        return;
    }
    runq_account(rq, hal_clock_ticks());
    apply_on(rq, task, priority, policy);
    store_relaxed(&rq->running_rank, task->rank);
    resched_cpu(rq); /* somebody queued may be more urgent now, and its slice is another */
}

static int change(struct task *task, int priority, bool has_policy, enum sched_policy policy) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);
    int result = task->state == TASK_DEAD ? -ESRCH : 0;

    if (result == 0 && has_policy) {
        priority = task->priority;
        if (task->class != &class_rt)
            result = -EINVAL;
    } else if (result == 0) {
        policy = task->class == &class_rt ? task->policy : SCHED_POLICY_RR;
    }
    if (result == 0)
        apply_locked(rq, task, priority, policy);
    spin_unlock_irqoff(&rq->lock);
    sched_irq_restore(state);
    return result;
}

int task_set_priority(struct task *task, int priority)
{
    return priority_is_valid(priority) ? change(task, priority, false, SCHED_POLICY_RR) : -EINVAL;
}

int task_set_policy(struct task *task, enum sched_policy policy)
{
    if (policy != SCHED_POLICY_FIFO && policy != SCHED_POLICY_RR)
        return -EINVAL;
    return change(task, 0, true, policy);
}

static void set_mask(struct runq *rq, struct task *task, const struct cpumask *mask)
{
    task->is_leaving = task->state == TASK_RUNNING && !cpumask_contains(mask, rq->cpu.id);
    task->affinity = *mask;
    task->is_pinned = cpumask_is_single(mask);
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
