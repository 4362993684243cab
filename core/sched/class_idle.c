/* SPDX-License-Identifier: MIT */
/* The idle class: tasks that run only when nothing else wants the CPU, in turn, a slice each. */
#include "sched_priv.h"

static void idle_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    rq->ready_classes |= 1u << CLASS_IDLE;
    if (kind == ENQUEUE_PREEMPTED && task->slice_left_ticks != 0) {
        list_push_front(&rq->idle_tasks, &task->queue_link);
        return;
    }
    task->slice_left_ticks = task->slice_ticks;
    list_push_back(&rq->idle_tasks, &task->queue_link);
}

static void idle_dequeue(struct runq *rq, struct task *task)
{
    list_remove(&task->queue_link);
    if (list_is_empty(&rq->idle_tasks))
        rq->ready_classes &= ~(1u << CLASS_IDLE);
}

static struct task *idle_pick(struct runq *rq)
{
    struct task *task = list_first(&rq->idle_tasks, struct task, queue_link);

    idle_dequeue(rq, task);
    return task;
}

static void idle_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    rq->below_rt_ticks += ran_ticks;
    task->slice_left_ticks -= MIN(task->slice_left_ticks, ran_ticks);
}

static uint64_t idle_slice(struct runq *rq, struct task *task)
{
    return list_is_empty(&rq->idle_tasks) ? TIME_NEVER : task->slice_left_ticks;
}

static uint32_t idle_check(const struct runq *rq, runq_visit_fn visit)
{
    return runq_visit_list(&rq->idle_tasks, rq, visit);
}

const struct sched_class class_idle = {
    .name = "idle",
    .id = CLASS_IDLE,
    .rank = RANK_IDLE_CLASS,
    .enqueue = idle_enqueue,
    .dequeue = idle_dequeue,
    .pick = idle_pick,
    .account = idle_account,
    .slice = idle_slice,
    .check = idle_check,
};
