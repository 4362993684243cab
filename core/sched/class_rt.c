/* SPDX-License-Identifier: MIT */
/*
 * Real-time tasks: 100 levels, each a FIFO, found by a bitmap in O(1). FIFO tasks run until they block, yield or are
 * preempted; round-robin tasks also until their slice ends. A preempted task goes back to the head of its level and
 * keeps its slice, so a frequent interruption cannot make it lose its turn (hazard 18).
 */
#include "sched_priv.h"

/* A level has its first task. */
static ALWAYS_INLINE void level_filled(struct runq *rq, unsigned number)
{
    rq->rt.filled++;
    rq->rt.bitmap[number / 64] |= UINT64_C(1) << (number % 64);
    rq->rt.first = MIN(rq->rt.first, number);
    rq->ready_classes |= 1u << CLASS_RT;
}

/* Without a slice: FIFO tasks have none. */
ALWAYS_INLINE void class_rt_enqueue_fifo(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    unsigned number = task->rt_level;
    struct list_node *level = &rq->rt.level[number];
    bool was_empty = list_is_empty(level);

    DEBUG_ASSERT(task->class == &class_rt);
    if (kind == ENQUEUE_PREEMPTED)
        list_push_front(level, &task->queue_link);
    else
        list_push_back(level, &task->queue_link);
    if (was_empty)
        level_filled(rq, number);
}

static void rt_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    struct list_node *level = &rq->rt.level[task->rt_level];
    bool was_empty = list_is_empty(level);

    if (kind == ENQUEUE_PREEMPTED && task->slice_left_ticks != 0) {
        list_push_front(level, &task->queue_link);
    } else {
        list_push_back(level, &task->queue_link);
        if (task->slice_left_ticks == 0 || kind == ENQUEUE_YIELDED)
            task->slice_left_ticks = task->slice_ticks;
    }
    if (was_empty)
        level_filled(rq, task->rt_level);
}

/* By way of the table, whatever the policy. */
static void rt_enqueue_any(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    if (task->policy == SCHED_POLICY_FIFO)
        class_rt_enqueue_fifo(rq, task, kind);
    else
        rt_enqueue(rq, task, kind);
}

static unsigned first_level(const uint64_t bitmap[2])
{
    return bitmap[0] != 0 ? (unsigned)__builtin_ctzll(bitmap[0]) : 64 + (unsigned)__builtin_ctzll(bitmap[1]);
}

/* A level has lost its last task. */
static ALWAYS_INLINE void level_emptied(struct runq *rq, unsigned number)
{
    if (LIKELY(--rq->rt.filled == 0)) {
        rq->rt.bitmap[0] = rq->rt.bitmap[1] = 0;
        rq->rt.first = RT_LEVELS;
        rq->ready_classes &= ~(1u << CLASS_RT);
        return;
    }
    rq->rt.bitmap[number / 64] &= ~(UINT64_C(1) << (number % 64));
    if (number == rq->rt.first)
        rq->rt.first = first_level(rq->rt.bitmap);
}

static void rt_dequeue(struct runq *rq, struct task *task)
{
    list_remove(&task->queue_link);
    if (list_is_empty(&rq->rt.level[task->rt_level]))
        level_emptied(rq, task->rt_level);
}

ALWAYS_INLINE struct task *class_rt_pick(struct runq *rq)
{
    unsigned number = rq->rt.first;
    struct list_node *level = &rq->rt.level[number];
    struct list_node *node = level->next, *second = node->next;
    struct task *task = list_entry(node, struct task, queue_link);

    DEBUG_ASSERT(task->rt_level == number && number == first_level(rq->rt.bitmap));
    /* list_pop_front(), with the question whether it was the last one answered on the way. */
    level->next = second;
    second->prev = level;
    list_init(node);
    if (second == level)
        level_emptied(rq, number);
    __builtin_assume(task != NULL); /* the caller's check is for other classes */
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

static void rt_adopt(struct task *task, const struct sched_params *params)
{
    task->rt_level = params->rt_level;
}

static uint32_t rt_check(const struct runq *rq, runq_visit_fn visit)
{
    uint32_t count = 0;
    unsigned filled = 0;

    for (unsigned i = 0; i < RT_LEVELS; i++) {
        uint32_t here = runq_visit_list(&rq->rt.level[i], rq, visit);

        ASSERT((rq->rt.bitmap[i / 64] >> (i % 64) & 1) == (here != 0));
        count += here;
        filled += here != 0;
    }
    ASSERT(rq->rt.filled == filled);
    return count;
}

const struct sched_class class_rt = {
    .name = "real-time",
    .id = CLASS_RT,
    .rank = RANK_RT,
    .takes = TAKES_LEVEL | TAKES_SLICE,
    .enqueue = rt_enqueue_any,
    .dequeue = rt_dequeue,
    .pick = class_rt_pick,
    .account = rt_account,
    .slice = rt_slice,
    .check = rt_check,
    .adopt = rt_adopt,
};
