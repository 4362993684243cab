/* SPDX-License-Identifier: MIT */
/*
 * Real-time tasks: 100 levels, each a FIFO, found by a bitmap in O(1). FIFO tasks run until they block, yield or are
 * preempted; round-robin tasks also until their slice ends. A preempted task goes back to the head of its level and
 * keeps its slice, so a frequent interruption cannot make it lose its turn (hazard 18).
 */
#include "sched_priv.h"

static void rt_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    struct list_node *level = &rq->rt.level[task->rt_level];
    bool keeps_turn = kind == ENQUEUE_PREEMPTED && (task->policy == SCHED_POLICY_FIFO || task->slice_left_ticks != 0);

    if (keeps_turn) {
        list_push_front(level, &task->queue_link);
    } else {
        list_push_back(level, &task->queue_link);
        if (task->slice_left_ticks == 0 || kind == ENQUEUE_YIELDED)
            task->slice_left_ticks = sched_tunables.rr_slice_ticks;
    }
    rq->rt.bitmap[task->rt_level / 64] |= UINT64_C(1) << (task->rt_level % 64);
    rq->ready_classes |= 1u << CLASS_RT;
}

static void rt_dequeue(struct runq *rq, struct task *task)
{
    struct list_node *level = &rq->rt.level[task->rt_level];

    list_remove(&task->queue_link);
    if (!list_is_empty(level))
        return;
    rq->rt.bitmap[task->rt_level / 64] &= ~(UINT64_C(1) << (task->rt_level % 64));
    if ((rq->rt.bitmap[0] | rq->rt.bitmap[1]) == 0)
        rq->ready_classes &= ~(1u << CLASS_RT);
}

static struct task *rt_pick(struct runq *rq)
{
    unsigned level = rq->rt.bitmap[0] != 0 ? (unsigned)__builtin_ctzll(rq->rt.bitmap[0])
                                           : 64 + (unsigned)__builtin_ctzll(rq->rt.bitmap[1]);
    struct task *task = list_first(&rq->rt.level[level], struct task, queue_link);

    DEBUG_ASSERT(task->rt_level == level);
    rt_dequeue(rq, task);
    return task;
}

static void rt_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    (void)rq;
    task->slice_left_ticks -= MIN(task->slice_left_ticks, ran_ticks); /* round robin: FIFO tasks have no slice */
}

static uint64_t rt_slice(struct runq *rq, struct task *task)
{
    if (task->policy != SCHED_POLICY_RR || list_is_empty(&rq->rt.level[task->rt_level]))
        return TIME_NEVER;
    return task->slice_left_ticks;
}

const struct sched_class class_rt = {
    .name = "real-time",
    .id = CLASS_RT,
    .enqueue = rt_enqueue,
    .dequeue = rt_dequeue,
    .pick = rt_pick,
    .account = rt_account,
    .slice = rt_slice,
};
