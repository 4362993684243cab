/* SPDX-License-Identifier: MIT */
/* For class_fair.c alone: the summaries of its tree, and what it asserts of a queue: order, summaries and sums. */
#pragma once

#include "sched_priv.h"

/* So many tasks may stand unsorted for long. Who may leave them there for somebody else, be it a waker or who has
 * loosened a task, adds none to so many. Everybody else sorts next, a switch and a move included: one more for each CPU
 * that is on its way to do so. */
#define UNSORTED_MAX 4u

static ALWAYS_INLINE bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static ALWAYS_INLINE struct task *task_of(struct rb_node *node)
{
    return container_of(node, struct task, fair_node);
}

/* Summary of a node: the least vruntime of its subtree. */
static inline bool update_least(struct rb_node *node)
{
    struct task *task = task_of(node);
    uint64_t least = task->fair_tree_vruntime;

    if (node->left != NULL && before(task_of(node->left)->fair_least, least))
        least = task_of(node->left)->fair_least;
    if (node->right != NULL && before(task_of(node->right)->fair_least, least))
        least = task_of(node->right)->fair_least;
    bool changed = task->fair_least != least;

    task->fair_least = least;
    return changed;
}

static inline void check_node(struct rb_node *node)
{
    const struct rb_node *next = rb_next(node);

    ASSERT(!update_least(node));
    ASSERT(next == NULL || !before(container_of(next, struct task, fair_node)->fair_tree_deadline,
                                   task_of(node)->fair_tree_deadline));
}

/* The sums over those who compete, and how many of them are queued. */
struct fair_check {
    const struct runq *rq;
    runq_visit_fn visit;
    uint64_t weights, moment;
    uint32_t count;
};

static inline void check_sum(struct fair_check *sum, const struct task *task)
{
    sum->weights += task->fair_weight;
    sum->moment += (task->fair_vruntime - sum->rq->fair.vtime) * task->fair_weight;
}

static inline void check_queued(struct fair_check *sum, const struct task *task)
{
    check_sum(sum, task);
    sum->count++;
    if (sum->visit != NULL)
        sum->visit(task, sum->rq);
}

static inline void check_tree(const struct fair_queue *fair, struct fair_check *sum)
{
    ASSERT(rb_check(&fair->tree) >= 0);
    for (struct rb_node *node = rb_first(&fair->tree); node != NULL; node = rb_next(node)) {
        const struct task *task = task_of(node);

        check_node(node);
        if (task == fair->ghost)
            continue;
        ASSERT(!list_is_linked(&task->queue_link) && task->fair_tree_vruntime == task->fair_vruntime &&
               task->fair_tree_deadline == task->fair_deadline);
        check_queued(sum, task);
    }
}

static inline uint32_t fair_check(const struct runq *rq, runq_visit_fn visit)
{
    const struct fair_queue *fair = &rq->fair;
    struct fair_check sum = { .rq = rq, .visit = visit };
    const struct task *last = NULL;

    check_tree(fair, &sum);
    uint32_t sorted = sum.count;

    list_for_each(node, &fair->unsorted)
        check_queued(&sum, list_entry(node, struct task, queue_link));
    ASSERT(sum.count - sorted <= UNSORTED_MAX + load_relaxed(&cpu_started_count));
    list_for_each(node, &fair->lane) {
        const struct task *task = list_entry(node, struct task, queue_link);

        ASSERT(last == NULL || (!before(task->fair_deadline, last->fair_deadline) &&
                                !before(task->fair_vruntime, last->fair_vruntime)));
        check_queued(&sum, task);
        last = task;
    }
    if (rq->running->class == &class_fair)
        check_sum(&sum, rq->running);
    ASSERT(sum.weights == fair->weights && sum.weights == load_relaxed(&fair->shown_weights));
    ASSERT(sum.moment == fair->excess && (fair->excess == 0 || fair->excess < fair->weights));
    return sum.count;
}
