/* SPDX-License-Identifier: MIT */
/*
 * Fair tasks: weighted virtual run time, least first (weighted fair queueing as in Linux's CFS). A task's virtual clock
 * runs at 1/weight; one that slept is placed at most half a slice before the queue's clock, so that it is served soon
 * but cannot cash in its whole absence. All comparisons are by signed difference: the clocks may wrap.
 */
#include "sched_priv.h"

#define SLICE_VIRTUAL (sched_tunables.fair_slice_ticks << 10) /* a slice of a nice 0 task, in units of fair_vruntime */

#define CHARGE_MAX_TICKS (64 * sched_tunables.fair_slice_ticks)

static bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

/* What `ticks` on the CPU are on the task's virtual clock: ticks * 1024 / weight, in 1/1024 ticks,
 * because a heavy task's share of a short run is less than a tick. Nice 0 weighs 1024. */
static uint64_t weighted(const struct task *task, uint64_t ticks)
{
    return (uint64_t)((((unsigned __int128)ticks << 20) * task->fair_inverse_weight) >> 32);
}

static bool fair_less(const struct rb_node *a, const struct rb_node *b)
{
    return before(container_of(a, struct task, fair_node)->fair_vruntime,
                  container_of(b, struct task, fair_node)->fair_vruntime);
}

static struct task *fair_first(struct runq *rq)
{
    struct rb_node *node = rb_first(&rq->fair.tree);

    return node == NULL ? NULL : container_of(node, struct task, fair_node);
}

/* The queue's clock follows the least virtual run time of queued and running tasks, forward only. */
static void advance_clock(struct runq *rq, const struct task *running)
{
    struct task *first = fair_first(rq);
    uint64_t least = rq->fair.vruntime_min;
    bool runs_fair = running != NULL && running->class == &class_fair;

    if (runs_fair)
        least = running->fair_vruntime;
    if (first != NULL && (!runs_fair || before(first->fair_vruntime, least)))
        least = first->fair_vruntime;
    if (before(rq->fair.vruntime_min, least))
        rq->fair.vruntime_min = least;
}

static void fair_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    if (kind == ENQUEUE_STARTED) {
        /* Behind those who wait already: a stream of short-lived tasks must not overtake them for ever. */
        task->fair_vruntime = rq->fair.vruntime_min + weighted(task, sched_tunables.fair_slice_ticks);
    } else if (kind == ENQUEUE_WOKEN) {
        uint64_t earliest = rq->fair.vruntime_min - SLICE_VIRTUAL / 2;

        if (before(task->fair_vruntime, earliest))
            task->fair_vruntime = earliest;
    } else if (kind == ENQUEUE_YIELDED) {
        struct task *first = fair_first(rq);

        /* Equal keys queue behind each other, so the first one now runs before this task. */
        if (first != NULL && before(task->fair_vruntime, first->fair_vruntime))
            task->fair_vruntime = first->fair_vruntime;
    }
    rb_insert(&rq->fair.tree, &task->fair_node, fair_less, NULL);
    rq->ready_classes |= 1u << CLASS_FAIR;
}

static void fair_dequeue(struct runq *rq, struct task *task)
{
    rb_remove(&rq->fair.tree, &task->fair_node, NULL);
    if (rb_is_empty(&rq->fair.tree))
        rq->ready_classes &= ~(1u << CLASS_FAIR);
}

static struct task *fair_pick(struct runq *rq)
{
    struct task *task = fair_first(rq);

    fair_dequeue(rq, task);
    advance_clock(rq, task);
    return task;
}

static void fair_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    /* Capped: only the order counts, and a tickless run of days must not jump over half the range of the clock. */
    task->fair_vruntime += weighted(task, MIN(ran_ticks, CHARGE_MAX_TICKS));
    advance_clock(rq, task);
}

static bool fair_preempts(struct runq *rq, const struct task *woken, const struct task *running)
{
    (void)rq;
    /* A margin keeps two tasks that wake each other from switching at every wake. */
    return before(woken->fair_vruntime + SLICE_VIRTUAL / 4, running->fair_vruntime);
}

static uint64_t fair_slice(struct runq *rq, struct task *task)
{
    (void)task;
    return rb_is_empty(&rq->fair.tree) ? TIME_NEVER : sched_tunables.fair_slice_ticks;
}

static void fair_rebase(struct task *task, struct runq *from, struct runq *to)
{
    task->fair_vruntime += to->fair.vruntime_min - from->fair.vruntime_min;
}

static void fair_join(struct runq *rq, struct task *task)
{
    task->fair_vruntime = rq->fair.vruntime_min;
}

const struct sched_class class_fair = {
    .name = "fair",
    .id = CLASS_FAIR,
    .enqueue = fair_enqueue,
    .dequeue = fair_dequeue,
    .pick = fair_pick,
    .account = fair_account,
    .preempts = fair_preempts,
    .slice = fair_slice,
    .rebase = fair_rebase,
    .join = fair_join,
};
