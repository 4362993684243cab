/* SPDX-License-Identifier: MIT */
/*
 * The example of docs/SCHEDULING-CLASS.md: stride scheduling (Waldspurger and Weihl, MIT/LCS/TM-528, 1995).
 *
 * A task of nice n has 20 - n tickets, and its share of the CPU is its part of all tickets. Its stride is 1 / tickets;
 * its pass goes on by the time it ran times its stride; the task with the least pass runs, for a slice. So of two
 * tasks that want the CPU all the time, neither is ever further ahead in pass than a slice of its own.
 *
 * A task competes while it is queued or runs, and has an absolute pass then. While it does not, it carries what the
 * paper calls `remain`: how far its pass was ahead of the queue's. That is no number of any CPU, so it can move as it
 * is (no `rebase`), and does not age, so a clock that wraps meanwhile does no harm. The queue's pass is the least of
 * those who compete, as of the last time that somebody was charged or picked.
 *
 * Passes are ticks * STRIDE_ONE / tickets, compared by signed difference, and may wrap.
 */
#include "sched_priv.h"

#define STRIDE_ONE (UINT64_C(1) << 20)

/* Charged at once: more has run only who was alone, and then the queue's pass is its own, whatever that is. */
#define CHARGE_MAX_TICKS (UINT64_C(1) << 40)

struct stride_queue {
    struct rb_tree tree; /* queued tasks by pass; among equals, first come, first served */
    uint64_t pass;
};
_Static_assert(sizeof(struct stride_queue) <= sizeof(((struct runq *)0)->stride_queue), "say so in sched/classes.h");

static struct stride_queue *queue_of(const struct runq *rq)
{
    return (struct stride_queue *)(uintptr_t)rq->stride_queue;
}

static struct task *task_of(const struct rb_node *node)
{
    return container_of(node, struct task, class_node);
}

static uint64_t *pass_of(struct task *task) /* or what remains of it */
{
    return &task->class_word[0];
}

static uint64_t stride_of(const struct task *task)
{
    return task->class_word[1];
}

static bool is_before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static bool is_less(const struct rb_node *a, const struct rb_node *b)
{
    return is_before(task_of(a)->class_word[0], task_of(b)->class_word[0]);
}

/* It competes from now on. Whoever runs is charged first: the queue's pass is only as new as that. */
static void compete(struct runq *rq, struct task *task) NO_LOCK_ANALYSIS
{
    if (rq->running->class == &class_stride && rq->running->state == TASK_RUNNING && rq->running != task)
        runq_account(rq, hal_clock_ticks());
    *pass_of(task) += queue_of(rq)->pass;
    task->slice_left_ticks = task->slice_ticks;
}

/* It competes no more, and takes along what remains. */
static void withdraw(struct runq *rq, struct task *task)
{
    *pass_of(task) -= queue_of(rq)->pass;
}

static void stride_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    struct stride_queue *queue = queue_of(rq);
    struct rb_node *first = rb_first(&queue->tree);

    if (kind != ENQUEUE_PREEMPTED && kind != ENQUEUE_YIELDED)
        compete(rq, task);
    if (kind == ENQUEUE_YIELDED && first != NULL && is_before(*pass_of(task), *pass_of(task_of(first))))
        *pass_of(task) = *pass_of(task_of(first)); /* behind that one, at the price of what it was owed */
    if (kind == ENQUEUE_YIELDED || task->slice_left_ticks == 0)
        task->slice_left_ticks = task->slice_ticks;
    rb_insert(&queue->tree, &task->class_node, is_less, NULL);
    rq->ready_classes |= 1u << CLASS_STRIDE;
}

static void take_out(struct runq *rq, struct task *task)
{
    rb_remove(&queue_of(rq)->tree, &task->class_node, NULL);
    if (rb_is_empty(&queue_of(rq)->tree))
        rq->ready_classes &= ~(1u << CLASS_STRIDE);
}

static void stride_dequeue(struct runq *rq, struct task *task)
{
    take_out(rq, task);
    withdraw(rq, task);
}

static struct task *stride_pick(struct runq *rq)
{
    struct task *task = task_of(rb_first(&queue_of(rq)->tree));

    take_out(rq, task);
    queue_of(rq)->pass = *pass_of(task);
    return task;
}

static void stride_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    struct stride_queue *queue = queue_of(rq);
    struct rb_node *first = rb_first(&queue->tree);

    *pass_of(task) += MIN(ran_ticks, CHARGE_MAX_TICKS) * stride_of(task);
    task->slice_left_ticks -= MIN(task->slice_left_ticks, ran_ticks);
    queue->pass = first != NULL && is_before(*pass_of(task_of(first)), *pass_of(task)) ? *pass_of(task_of(first))
                                                                                      : *pass_of(task);
}

static uint64_t stride_slice(struct runq *rq, struct task *task)
{
    return rb_is_empty(&queue_of(rq)->tree) ? TIME_NEVER : task->slice_left_ticks;
}

static uint32_t stride_check(const struct runq *rq, runq_visit_fn visit)
{
    const struct stride_queue *queue = queue_of(rq);
    int count = rb_check(&queue->tree);

    ASSERT(count >= 0);
    for (struct rb_node *node = rb_first(&queue->tree); node != NULL; node = rb_next(node)) {
        ASSERT(!is_before(*pass_of(task_of(node)), queue->pass));
        ASSERT(rb_next(node) == NULL || !is_less(rb_next(node), node));
        if (visit != NULL)
            visit(task_of(node), rq);
    }
    return (uint32_t)count;
}

static void stride_adopt(struct task *task, const struct sched_params *params)
{
    task->class_word[1] = STRIDE_ONE / (uint64_t)(NICE_MAX + 1 - params->nice);
}

/* It begins with nothing that remains, and at once if it runs. */
static void stride_join(struct runq *rq, struct task *task)
{
    *pass_of(task) = 0;
    if (task->state == TASK_RUNNING)
        compete(rq, task);
}

const struct sched_class class_stride = {
    .name = "stride",
    .id = CLASS_STRIDE,
    .rank = RANK_FAIR + 32,
    .takes = TAKES_NICE | TAKES_SLICE,
    .enqueue = stride_enqueue,
    .dequeue = stride_dequeue,
    .pick = stride_pick,
    .account = stride_account,
    .slice = stride_slice,
    .check = stride_check,
    .adopt = stride_adopt,
    .block = withdraw,
    .join = stride_join,
};
