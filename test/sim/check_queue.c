/* SPDX-License-Identifier: MIT */
/*
 * Run queues: what a CPU runs, runs there and nowhere else; what it has queued is READY there and listed once; counts
 * equal the lists that they count; and over all CPUs no task is missing, by core's own sums and by those of the events.
 * Owns nothing.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

static void queue_running(struct runq *rq)
{
    struct task *task = rq->running;
    const struct task *told = sim_runs(rq->cpu.id);

    if (task->state != TASK_RUNNING || sim_peek(&task->base.cpu) != &rq->cpu)
        sim_broken(PROMISE_ONE_CPU, "what CPU %u runs, '%s', is %s", rq->cpu.id, task->name,
                   task_state_name(task->state));
    if (task != (told != NULL ? told : rq->cpu.idle_task))
        sim_broken(PROMISE_ONE_CPU, "CPU %u says that it runs '%s', but it switched to '%s'", rq->cpu.id, task->name,
                   told != NULL ? told->name : "its idle task");
}

static void queue_task(const struct task *task, const struct runq *rq)
{
    if (task->state != TASK_READY || sim_peek(&task->base.cpu) != &rq->cpu)
        sim_broken(PROMISE_CENSUS, "'%s' is queued on CPU %u, but is %s", task->name, rq->cpu.id,
                   task_state_name(task->state));
    /* One that waits to be moved away may have been allowed again meanwhile. */
    if (!task->is_misplaced && !cpumask_contains(&task->affinity, rq->cpu.id))
        sim_broken(PROMISE_AFFINITY, "'%s' is queued on CPU %u, where it may not run", task->name, rq->cpu.id);
}

/* Lists that were damaged may have no end. */
static void queue_bound(const struct runq *rq, uint32_t count)
{
    if (UNLIKELY(count > TID_MAX))
        sim_broken(PROMISE_COUNTS, "a list of CPU %u has no end", rq->cpu.id);
}

static uint32_t queue_list(const struct list_node *head, const struct runq *rq)
{
    uint32_t count = 0;

    list_for_each(node, head) {
        queue_task(list_entry(node, struct task, queue_link), rq);
        queue_bound(rq, ++count);
    }
    return count;
}

/* The tree's own walk, for core's is compiled with whatever sanitizer watches core. */
static const struct rb_node *leftmost(const struct rb_node *node)
{
    while (node != NULL && node->left != NULL)
        node = node->left;
    return node;
}

static const struct rb_node *parent_of(const struct rb_node *node)
{
    return (const struct rb_node *)(node->parent_color & ~(uintptr_t)1);
}

static const struct rb_node *next_of(const struct rb_node *node)
{
    if (node->right != NULL)
        return leftmost(node->right);
    const struct rb_node *parent = parent_of(node);

    while (parent != NULL && parent->right == node) {
        node = parent;
        parent = parent_of(node);
    }
    return parent;
}

/* What the fair tasks of a CPU that compete add up to: those that are queued, and the one that runs. */
struct fair_sum {
    const struct runq *rq;
    const struct task *last;
    uint64_t weights, moment;
};

static void fair_add(struct fair_sum *sum, const struct task *task)
{
    sum->weights += task->fair_weight;
    sum->moment += (task->fair_vruntime - sum->rq->fair.vtime) * task->fair_weight;
}

static void fair_add_queued(struct fair_sum *sum, const struct task *task)
{
    queue_task(task, sum->rq);
    if (sum->last != NULL && (int64_t)(task->fair_deadline - sum->last->fair_deadline) < 0)
        sim_broken(PROMISE_COUNTS, "fair '%s' is queued on CPU %u behind '%s', which is due later", task->name,
                   sum->rq->cpu.id, sum->last->name);
    fair_add(sum, task);
    sum->last = task;
}

/* The least vruntime below a node, by its children's summaries. */
static uint64_t fair_least(const struct rb_node *node)
{
    const struct rb_node *const below[] = { node->left, node->right };
    uint64_t least = container_of(node, struct task, fair_node)->fair_tree_vruntime;

    for (unsigned i = 0; i < ARRAY_COUNT(below); i++) {
        uint64_t there = below[i] == NULL ? least : container_of(below[i], struct task, fair_node)->fair_least;

        if ((int64_t)(there - least) < 0)
            least = there;
    }
    return least;
}

static uint32_t queue_fair(const struct runq *rq)
{
    const struct rb_node *node = leftmost(rq->fair.tree.root);
    struct fair_sum sum = { .rq = rq };
    uint32_t count = 0;

    if (rb_first(&rq->fair.tree) != node)
        sim_broken(PROMISE_COUNTS, "the first fair task of CPU %u is another", rq->cpu.id);
    for (; node != NULL; node = next_of(node)) {
        const struct task *task = container_of(node, struct task, fair_node);

        if (task->fair_least != fair_least(node))
            sim_broken(PROMISE_COUNTS, "the summary of fair '%s' on CPU %u is wrong", task->name, rq->cpu.id);
        if (task == rq->fair.ghost)
            continue; /* picked */
        if (task->fair_tree_vruntime != task->fair_vruntime || task->fair_tree_deadline != task->fair_deadline)
            sim_broken(PROMISE_COUNTS, "fair '%s' on CPU %u was sorted by other keys", task->name, rq->cpu.id);
        fair_add_queued(&sum, task);
        queue_bound(rq, ++count);
    }
    list_for_each(link, &rq->fair.unsorted) {
        sum.last = NULL;
        fair_add_queued(&sum, list_entry(link, struct task, queue_link));
        queue_bound(rq, ++count);
    }
    sum.last = NULL;
    list_for_each(link, &rq->fair.lane) {
        const struct task *task = list_entry(link, struct task, queue_link);

        if (sum.last != NULL && (int64_t)(task->fair_vruntime - sum.last->fair_vruntime) < 0)
            sim_broken(PROMISE_COUNTS, "fair '%s' of CPU %u does not belong into the lane", task->name, rq->cpu.id);
        fair_add_queued(&sum, task);
        queue_bound(rq, ++count);
    }
    if (rq->running->class == &class_fair)
        fair_add(&sum, rq->running);
    if (sum.weights != rq->fair.weights || sum.moment != rq->fair.excess ||
        (sum.moment != 0 && sum.moment >= sum.weights))
        sim_broken(PROMISE_COUNTS, "virtual time of CPU %u is not the mean of its fair tasks' clocks", rq->cpu.id);
    return count;
}

/* The ready deadline tasks, or those that wait for their next period: in order, and none in the wrong tree. */
static uint32_t queue_deadline(const struct runq *rq, const struct rb_tree *tree, bool is_throttled)
{
    const struct rb_node *node = leftmost(tree->root);
    uint64_t last_ns = 0;
    uint32_t count = 0;

    if (rb_first(tree) != node)
        sim_broken(PROMISE_COUNTS, "the first deadline task of CPU %u is another", rq->cpu.id);
    for (; node != NULL; node = next_of(node)) {
        const struct task *task = container_of(node, struct task, deadline.node);
        uint64_t key_ns = is_throttled ? task->deadline.next_ns : task->deadline.key_ns;

        queue_task(task, rq);
        if (task->is_throttled != is_throttled)
            sim_broken(PROMISE_COUNTS, "'%s' is %squeued to run on CPU %u, and thought otherwise", task->name,
                       is_throttled ? "not " : "", rq->cpu.id);
        if (key_ns < last_ns)
            sim_broken(PROMISE_ORDER, "deadline tasks of CPU %u are out of order", rq->cpu.id);
        last_ns = key_ns;
        queue_bound(rq, ++count);
    }
    return count;
}

static uint32_t queue_rt(const struct runq *rq)
{
    unsigned first = RT_LEVELS;
    uint32_t count = 0;

    for (unsigned i = RT_LEVELS; i-- > 0;) {
        bool is_marked = (rq->rt.bitmap[i / 64] >> (i % 64) & 1) != 0;

        if (is_marked == list_is_empty(&rq->rt.level[i]))
            sim_broken(PROMISE_COUNTS, "real-time level %u of CPU %u is marked wrongly", i, rq->cpu.id);
        if (!is_marked)
            continue;
        first = i;
        count += queue_list(&rq->rt.level[i], rq);
    }
    if (rq->rt.first != first)
        sim_broken(PROMISE_COUNTS, "the first real-time level of CPU %u is %u, not %u", rq->cpu.id, first,
                   rq->rt.first);
    return count;
}

static void queue_class(const struct runq *rq, enum class_id class, uint32_t count)
{
    if ((count != 0) != ((rq->ready_classes >> class & 1) != 0))
        sim_broken(PROMISE_COUNTS, "class %u of CPU %u has %u queued tasks, and is marked otherwise", (unsigned)class,
                   rq->cpu.id, count);
}

/* Classes that this checker knows nothing of say themselves what they have queued, and check their order. */
static uint32_t queue_others(const struct runq *rq)
{
    static const uint32_t known = 1u << CLASS_STOP | 1u << CLASS_DEADLINE | 1u << CLASS_BELOW | 1u << CLASS_RT |
                                  1u << CLASS_FAIR | 1u << CLASS_IDLE;
    uint32_t all = 0;

    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        if ((known >> i & 1) != 0)
            continue;
        uint32_t count = sched_classes[i]->check(rq, queue_task);

        queue_class(rq, (enum class_id)i, count);
        all += count;
    }
    return all;
}

static uint32_t queue_movable(const struct runq *rq)
{
    uint32_t count = 0;

    list_for_each(node, &rq->movable) {
        const struct task *task = list_entry(node, struct task, movable_link);

        if (task->is_pinned || task->state != TASK_READY || sim_peek(&task->base.cpu) != &rq->cpu)
            sim_broken(PROMISE_COUNTS, "'%s' is listed as movable on CPU %u, but is %s%s", task->name, rq->cpu.id,
                       task->is_pinned ? "pinned and " : "", task_state_name(task->state));
        queue_bound(rq, ++count);
    }
    return count;
}

static void queue_look(cpu_id_t cpu)
{
    struct runq *rq = sim_runq(cpu);

    if (rq->running == NULL)
        return;
    queue_running(rq);
    uint32_t idle = queue_list(&rq->idle_tasks, rq);
    uint32_t fair = queue_fair(rq);
    uint32_t rt = queue_rt(rq);
    uint32_t stop = queue_list(&rq->stop.queue, rq);
    uint32_t deadline = queue_deadline(rq, &rq->deadline.ready, false);
    uint32_t throttled = queue_deadline(rq, &rq->deadline.throttled, true);
    uint32_t count = idle + fair + rt + deadline + stop + queue_others(rq) + queue_list(&rq->misplaced, rq);
    uint32_t movable = queue_movable(rq);

    queue_class(rq, CLASS_IDLE, idle);
    queue_class(rq, CLASS_FAIR, fair);
    queue_class(rq, CLASS_RT, rt);
    queue_class(rq, CLASS_STOP, stop);
    queue_class(rq, CLASS_DEADLINE, deadline);
    if (throttled != rq->throttled)
        sim_broken(PROMISE_COUNTS, "CPU %u has %u throttled tasks, and counts %u", cpu, throttled, rq->throttled);
    if (count != sim_peek(&rq->queued))
        sim_broken(PROMISE_COUNTS, "CPU %u has %u queued tasks, and counts %u", cpu, count, sim_peek(&rq->queued));
    if (movable != sim_peek(&rq->movable_count))
        sim_broken(PROMISE_COUNTS, "CPU %u has %u movable tasks, and counts %u", cpu, movable,
                   sim_peek(&rq->movable_count));
    sim_cost(16 + count + throttled + movable);
}

static void census_quiet(void)
{
    struct sim_sums sums = { 0 };
    int64_t blocked = 0;

    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        struct runq *rq = sim_runq(id);

        if (rq == NULL)
            continue;
        sums.started += rq->started;
        sums.died += rq->died;
        sums.ready += sim_peek(&rq->queued) + rq->throttled;
        sums.running += !is_idle_task(rq, rq->running);
        blocked += rq->blocked;
    }
    sums.blocked = (uint64_t)blocked;
    if (sums.started != sums.died + sums.ready + sums.running + sums.blocked)
        sim_broken(PROMISE_CENSUS, "%llu started, but %llu died, %llu queued, %llu running, %lld blocked",
                   (unsigned long long)sums.started, (unsigned long long)sums.died, (unsigned long long)sums.ready,
                   (unsigned long long)sums.running, (long long)blocked);
    if (sums.started != sim_sums.started || sums.died != sim_sums.died)
        sim_broken(PROMISE_COUNTS, "CPUs count %llu started and %llu dead tasks; there were %llu and %llu",
                   (unsigned long long)sums.started, (unsigned long long)sums.died,
                   (unsigned long long)sim_sums.started, (unsigned long long)sim_sums.died);
    if (sums.ready != sim_sums.ready || sums.running != sim_sums.running || sums.blocked != sim_sums.blocked)
        sim_broken(PROMISE_CENSUS,
                   "CPUs have %llu queued, %llu running, %llu blocked tasks; there are %llu, %llu, %llu",
                   (unsigned long long)sums.ready, (unsigned long long)sums.running, (unsigned long long)sums.blocked,
                   (unsigned long long)sim_sums.ready, (unsigned long long)sim_sums.running,
                   (unsigned long long)sim_sums.blocked);
}

const struct sim_checker checker_queue = { .promise = PROMISE_COUNTS, .name = "queues", .queue = queue_look };
const struct sim_checker checker_census = { .promise = PROMISE_CENSUS, .name = "census", .quiet = census_quiet };
