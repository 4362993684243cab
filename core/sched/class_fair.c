/* SPDX-License-Identifier: MIT */
/*
 * Fair tasks: earliest eligible virtual deadline first (EEVDF; Stoica and Abdel-Wahab, 1995). docs/SCHEDULER.md has the
 * definitions, the bound and the decisions; in short:
 *
 *   A task competes while it is queued or runs. Its clock, fair_vruntime (v), goes on by what it ran over its weight w.
 *   The queue's clock V is the mean of the competitors' v, by weight. A task's lag is w * (V - v): what it is owed.
 *   It asks for a slice at a time, due at the virtual deadline v + slice / w. Of those who are owed (v <= V), the one
 *   with the earliest deadline runs.
 *
 * V is kept exactly, as vtime + excess / weights with sum of w * (v - vtime) = excess and 0 <= excess < weights. So
 * "eligible" is one comparison, and whenever all competitors are queued, at least one is eligible. The price is a
 * division of 64 bits when the running task is charged.
 *
 * Units: v, V and deadlines in ticks * 2^20 / weight; lag and the rest of a request, w times that, in ticks * 2^20.
 * Clocks are compared by signed difference and may wrap.
 */
#include "sched_priv.h"

#define UNIT_SHIFT 20

/* What a task may be charged at once: 2^60 in units of lag. One that ran for longer without a look at the clock was
 * alone, and then its clock is the queue's whatever it is charged. */
#define CHARGE_MAX_TICKS (UINT64_C(1) << 40)

/* TID_MAX tasks that are owed so much sum up to 2^62: no sum of lags overflows. */
#define LAG_MAX_TICKS ((UINT64_C(1) << (62 - UNIT_SHIFT)) / TID_MAX)

static ALWAYS_INLINE bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static ALWAYS_INLINE struct task *task_of(struct rb_node *node)
{
    return container_of(node, struct task, fair_node);
}

/* a * 2^32 / weight / 2^32, rounded down. */
static ALWAYS_INLINE int64_t over_weight(const struct task *task, int64_t amount)
{
    return (int64_t)(((__int128)amount * task->fair_inverse_weight) >> 32);
}

/* The least weight is 15, so an inverse is below 2^29, and the product of 2^35 ticks fits 64 bits. */
static ALWAYS_INLINE bool are_many(uint64_t ticks)
{
    return ticks >> 35 != 0;
}

static ALWAYS_INLINE uint64_t virtual_of_few(const struct task *task, uint64_t ticks)
{
    return ticks * task->fair_inverse_weight >> (32 - UNIT_SHIFT);
}

uint64_t class_fair_virtual(const struct task *task, uint64_t ticks)
{
    if (UNLIKELY(are_many(ticks)))
        return (uint64_t)over_weight(task, (int64_t)(MIN(ticks, CHARGE_MAX_TICKS) << UNIT_SHIFT));
    return virtual_of_few(task, ticks);
}

static ALWAYS_INLINE bool is_eligible(const struct fair_queue *fair, const struct task *task)
{
    return !before(fair->vtime, task->fair_vruntime);
}

/* The clock of `task`, which competes and is in no queue, goes on. */
static ALWAYS_INLINE void go_on(struct fair_queue *fair, struct task *task, uint64_t by)
{
    uint64_t moment = fair->excess + by * task->fair_weight;
    uint64_t units = moment / fair->weights;

    fair->vtime += units;
    fair->excess = moment - units * fair->weights;
    task->fair_vruntime += by;
}

/* `moment` is the sum of w * (v - vtime): move vtime to the mean. Somebody competes. */
static ALWAYS_INLINE void settle(struct fair_queue *fair, int64_t moment)
{
    int64_t weights = (int64_t)fair->weights;
    int64_t units = moment / weights;
    int64_t rest = moment - units * weights;

    if (rest < 0) {
        units--;
        rest += weights;
    }
    fair->vtime += (uint64_t)units;
    fair->excess = (uint64_t)rest;
}

/* The lag that a task which does not compete has by now, over its weight. A debt shrinks while the others go on, as if
 * the task had stayed among them unserved; and when the queue runs dry, everybody has got what they wanted. */
static int64_t kept_lag(const struct fair_queue *fair, const struct task *task)
{
    int64_t lag = over_weight(task, task->fair_lag);

    if (lag == 0 || task->fair_left_period != fair->period)
        return 0;
    if (lag > 0)
        return lag;
    int64_t gone = (int64_t)(fair->vtime - task->fair_left_vtime);

    return gone <= 0 ? lag : MIN(lag + gone, 0);
}

/* A new task is owed nothing. Nor does it profit from a debt that another took with it, by which V stepped back: else a
 * stream of short-lived tasks would run in front of a patient one for ever, each in the place of the one before. */
static int64_t newcomers_lag(const struct fair_queue *fair, const struct task *task)
{
    int64_t lag = (int64_t)(fair->vtime - fair->newcomer_vtime);

    return MAX(MIN(lag, 0), -2 * (int64_t)task->fair_request);
}

static ALWAYS_INLINE void set_weights(struct fair_queue *fair, uint64_t weights)
{
    fair->weights = weights;
    store_relaxed(&fair->shown_weights, weights);
}

/* The task competes from now on, with the lag that it has kept: v such that V - v is that lag once its own weight is
 * part of the mean, which it moves by lag * w / W. */
static void compete(struct fair_queue *fair, struct task *task, enum enqueue_kind kind)
{
    int64_t weight = task->fair_weight;
    uint64_t request = task->fair_request;

    if (fair->weights == 0) {
        set_weights(fair, (uint64_t)weight);
        fair->excess = 0; /* alone it is the mean, and nobody owes it anything */
        fair->newcomer_vtime = fair->vtime;
        task->fair_vruntime = fair->vtime;
    } else {
        int64_t lag = kind == ENQUEUE_STARTED ? newcomers_lag(fair, task) : kept_lag(fair, task);
        int64_t others = (int64_t)fair->weights;
        int64_t step = lag * weight / others;

        set_weights(fair, fair->weights + (uint64_t)weight);
        task->fair_vruntime = fair->vtime - (uint64_t)(lag + step);
        fair->vtime -= (uint64_t)step;
        settle(fair, (int64_t)fair->excess - (lag * weight - step * others));
    }
    if (kind == ENQUEUE_MOVED && task->fair_left_request != 0)
        request = MIN(request, (uint64_t)over_weight(task, task->fair_left_request));
    task->fair_deadline = task->fair_vruntime + MAX(request, UINT64_C(1));
}

/* The task, in no tree, competes no more. `weight` is what it competed with. */
static void withdraw(struct fair_queue *fair, struct task *task, uint32_t weight)
{
    int64_t bound = (int64_t)(MIN(2 * task->slice_ticks, LAG_MAX_TICKS) << UNIT_SHIFT);
    int64_t lag = (int64_t)(fair->vtime - task->fair_vruntime) * weight;

    DEBUG_ASSERT(fair->weights >= weight);
    if (lag < 0 && before(fair->newcomer_vtime, fair->vtime))
        fair->newcomer_vtime = fair->vtime;
    set_weights(fair, fair->weights - weight);
    if (fair->weights == 0)
        fair->excess = 0;
    else
        settle(fair, (int64_t)fair->excess + lag);
    task->fair_lag = MAX(MIN(lag, bound), -bound);
    task->fair_left_request = (int64_t)(task->fair_deadline - task->fair_vruntime) * weight;
    task->fair_left_vtime = fair->vtime;
    task->fair_left_period = fair->period;
}

/* Summary of a node: the least vruntime of its subtree. */
static bool update_least(struct rb_node *node)
{
    struct task *task = task_of(node);
    uint64_t least = task->fair_vruntime;

    if (node->left != NULL && before(task_of(node->left)->fair_least, least))
        least = task_of(node->left)->fair_least;
    if (node->right != NULL && before(task_of(node->right)->fair_least, least))
        least = task_of(node->right)->fair_least;
    bool changed = task->fair_least != least;

    task->fair_least = least;
    return changed;
}

static NOINLINE void tree_insert(struct fair_queue *fair, struct task *task)
{
    struct rb_node *parent = NULL;
    struct rb_node **link = &fair->tree.root;

    while (*link != NULL) {
        parent = *link;
        link = before(task->fair_deadline, task_of(parent)->fair_deadline) ? &parent->left : &parent->right;
    }
    rb_insert_at(&fair->tree, parent, link, &task->fair_node, update_least);
}

static NOINLINE void tree_remove(struct fair_queue *fair, struct task *task)
{
    rb_remove(&fair->tree, &task->fair_node, update_least);
}

/* Those who come with the latest deadline and the greatest v stand in the lane, in their order: of them only the first
 * can be the one to run. So equal tasks that take turns are never sorted. All others are in the tree. */
static ALWAYS_INLINE bool fits_lane(const struct fair_queue *fair, const struct task *task)
{
    if (list_is_empty(&fair->lane))
        return true;
    const struct task *last = list_entry(fair->lane.prev, struct task, queue_link);

    return !before(task->fair_deadline, last->fair_deadline) && !before(task->fair_vruntime, last->fair_vruntime);
}

/* It does not fit. If that is because of the last one alone, which is far ahead, it is the last one that goes to the
 * tree: else it would send there everybody who comes until its turn, which may be a slice of each of them away. So or
 * so it is one insertion. */
static NOINLINE void put_in_tree(struct fair_queue *fair, struct task *task)
{
    struct task *last = list_entry(fair->lane.prev, struct task, queue_link);

    list_remove(&last->queue_link);
    if (before(task->fair_deadline, last->fair_deadline) && before(task->fair_vruntime, last->fair_vruntime) &&
        fits_lane(fair, task)) {
        list_push_back(&fair->lane, &task->queue_link);
        tree_insert(fair, last);
    } else {
        list_push_back(&fair->lane, &last->queue_link);
        tree_insert(fair, task);
    }
}

static ALWAYS_INLINE void put_in(struct runq *rq, struct task *task)
{
    rq->ready_classes |= 1u << CLASS_FAIR;
    if (LIKELY(fits_lane(&rq->fair, task)))
        list_push_back(&rq->fair.lane, &task->queue_link);
    else
        put_in_tree(&rq->fair, task);
}

static ALWAYS_INLINE void take_out(struct runq *rq, struct task *task)
{
    if (LIKELY(list_is_linked(&task->queue_link)))
        list_remove(&task->queue_link);
    else
        tree_remove(&rq->fair, task);
    if (list_is_empty(&rq->fair.lane) && rb_is_empty(&rq->fair.tree))
        rq->ready_classes &= ~(1u << CLASS_FAIR);
}

/* Just behind the mean of the others, so that one of them is eligible and `task`, which is now, is not. */
static NOINLINE void stand_behind_mean(struct fair_queue *fair, struct task *task)
{
    uint64_t weight = task->fair_weight;
    uint64_t others = fair->weights - weight;

    if (others == 0)
        return;
    uint64_t moment = fair->excess + weight * (fair->vtime - task->fair_vruntime); /* of the others */
    uint64_t units = moment / others;

    fair->vtime += units;
    fair->excess = moment - units * others + weight;
    task->fair_vruntime = fair->vtime + 1;
}

/* A task that yields gives up what it is owed, and what is left of its request: it stands where it is not eligible, so
 * that another runs. */
static NOINLINE void enqueue_behind_mean(struct runq *rq, struct task *task)
{
    if (is_eligible(&rq->fair, task))
        stand_behind_mean(&rq->fair, task);
    task->fair_deadline = task->fair_vruntime + task->fair_request;
    put_in(rq, task);
}

/* Behind the last one of the lane, if that costs no more than a whole request. */
static ALWAYS_INLINE void enqueue_yielded(struct runq *rq, struct task *task)
{
    struct fair_queue *fair = &rq->fair;
    struct list_node *end = fair->lane.prev;
    const struct task *last = list_entry(end, struct task, queue_link);

    if (UNLIKELY(end == &fair->lane)) {
        enqueue_behind_mean(rq, task);
        return;
    }
    if (!before(last->fair_vruntime, task->fair_vruntime)) {
        uint64_t by = last->fair_vruntime - task->fair_vruntime + 1;

        if (UNLIKELY(by > task->fair_request)) {
            enqueue_behind_mean(rq, task);
            return;
        }
        go_on(fair, task, by);
    }
    uint64_t deadline = task->fair_vruntime + task->fair_request;

    if (UNLIKELY(is_eligible(fair, task)) || UNLIKELY(before(deadline, last->fair_deadline))) {
        enqueue_behind_mean(rq, task);
        return;
    }
    task->fair_deadline = deadline;
    list_insert_between(&task->queue_link, end, &fair->lane); /* nor was the lane empty: the class's bit is set */
}

static NOINLINE void enqueue_newly(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    compete(&rq->fair, task, kind);
    put_in(rq, task);
}

void class_fair_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    if (LIKELY(kind == ENQUEUE_YIELDED))
        enqueue_yielded(rq, task);
    else if (kind == ENQUEUE_PREEMPTED)
        put_in(rq, task);
    else
        enqueue_newly(rq, task, kind);
}

static void fair_dequeue(struct runq *rq, struct task *task)
{
    take_out(rq, task);
    withdraw(&rq->fair, task, task->fair_weight);
}

/* The eligible task of the tree with the earliest deadline, or NULL. Where the left side has an eligible one, it has
 * the earliest, too. */
static struct task *search(const struct fair_queue *fair)
{
    struct rb_node *node = fair->tree.root;

    while (node != NULL) {
        if (node->left != NULL && !before(fair->vtime, task_of(node->left)->fair_least))
            node = node->left;
        else if (is_eligible(fair, task_of(node)))
            return task_of(node);
        else
            node = node->right;
    }
    return NULL;
}

/* Somebody is in the tree. */
static struct task *best_of_both(const struct fair_queue *fair)
{
    struct task *lane = list_is_empty(&fair->lane) ? NULL : list_first(&fair->lane, struct task, queue_link);
    struct task *first = task_of(rb_first(&fair->tree));
    struct task *tree = is_eligible(fair, first) ? first : search(fair);

    if (lane != NULL && is_eligible(fair, lane) && (tree == NULL || before(lane->fair_deadline, tree->fair_deadline)))
        return lane;
    return tree != NULL ? tree : first; /* V is exact, so somebody was eligible; but whatever happens, somebody runs */
}

static ALWAYS_INLINE struct task *picked(struct fair_queue *fair, struct task *task)
{
    fair->began = task->fair_vruntime;
    fair->is_deferred = false;
    return task;
}

static NOINLINE struct task *pick_of_both(struct runq *rq)
{
    struct fair_queue *fair = &rq->fair;
    struct task *task;

    if (before(fair->vtime, task_of(fair->tree.root)->fair_least) && !list_is_empty(&fair->lane))
        task = list_first(&fair->lane, struct task, queue_link); /* nobody in the tree is eligible, so it is */
    else
        task = best_of_both(fair);
    take_out(rq, task);
    return picked(fair, task);
}

struct task *class_fair_pick(struct runq *rq)
{
    struct fair_queue *fair = &rq->fair;

    if (UNLIKELY(!rb_is_empty(&fair->tree)))
        return pick_of_both(rq);
    struct list_node *first = fair->lane.next, *second = first->next;

    second->prev = &fair->lane;
    fair->lane.next = second;
    list_init(first);
    if (second == &fair->lane)
        rq->ready_classes &= ~(1u << CLASS_FAIR);
    return picked(fair, list_entry(first, struct task, queue_link));
}

static ALWAYS_INLINE void charge(struct fair_queue *fair, struct task *task, uint64_t ran)
{
    go_on(fair, task, ran);
    if (UNLIKELY(!before(task->fair_vruntime, task->fair_deadline)))
        task->fair_deadline = task->fair_vruntime + task->fair_request; /* it has had what it asked for */
}

static NOINLINE void charge_many(struct fair_queue *fair, struct task *task, uint64_t ran_ticks)
{
    charge(fair, task, class_fair_virtual(task, ran_ticks));
}

static void fair_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    rq->below_rt_ticks += ran_ticks;
    if (UNLIKELY(are_many(ran_ticks)))
        charge_many(&rq->fair, task, ran_ticks);
    else
        charge(&rq->fair, task, virtual_of_few(task, ran_ticks));
}

/* Where the running task may be preempted by `woken`: a quarter of the shorter of their slices after it began. So two
 * that wake each other do not switch at every wake, and one with a short slice does not wait for long. */
static uint64_t protected_until(const struct fair_queue *fair, const struct task *woken, const struct task *running)
{
    return fair->began + class_fair_virtual(running, MIN(running->slice_ticks, woken->slice_ticks) / 4);
}

static bool fair_preempts(struct runq *rq, const struct task *woken, const struct task *running)
{
    struct fair_queue *fair = &rq->fair;

    if (!is_eligible(fair, woken) || !before(woken->fair_deadline, running->fair_deadline))
        return false;
    uint64_t until = protected_until(fair, woken, running);

    if (!before(running->fair_vruntime, until))
        return true;
    if (!fair->is_deferred || before(until, fair->deferred_until))
        fair->deferred_until = until; /* the slice ends there */
    fair->is_deferred = true;
    rq->is_slice_shorter = true;
    return false;
}

/* It runs until it has had what it asked for, also beyond where it is eligible: else two equal tasks would switch all
 * the time. */
static uint64_t fair_slice(struct runq *rq, struct task *task)
{
    const struct fair_queue *fair = &rq->fair;
    uint64_t end = task->fair_deadline;

    if ((rq->ready_classes & 1u << CLASS_FAIR) == 0)
        return TIME_NEVER;
    if (UNLIKELY(fair->is_deferred) && before(fair->deferred_until, end)) {
        end = fair->deferred_until;
        if (!before(task->fair_vruntime, end))
            return 1;
    }
    DEBUG_ASSERT(before(task->fair_vruntime, end)); /* charge() sees to it */
    return (((end - task->fair_vruntime) * task->fair_weight) >> UNIT_SHIFT) + 1;
}

static void fair_rebase(struct task *task, struct runq *from, struct runq *to)
{
    task->fair_lag = kept_lag(&from->fair, task) * task->fair_weight;
    task->fair_left_vtime = to->fair.vtime;
    task->fair_left_period = to->fair.period;
}

static void fair_block(struct runq *rq, struct task *task)
{
    withdraw(&rq->fair, task, task->fair_weight);
    rq->fair.period += rq->fair.weights == 0;
}

static void begin_running(struct fair_queue *fair, struct task *task, enum enqueue_kind kind)
{
    compete(fair, task, kind);
    fair->began = task->fair_vruntime;
    fair->is_deferred = false;
}

static void fair_join(struct runq *rq, struct task *task)
{
    task->fair_lag = 0;
    if (task->state == TASK_RUNNING)
        begin_running(&rq->fair, task, ENQUEUE_WOKEN);
}

static void fair_leave(struct runq *rq, struct task *task)
{
    if (task->state == TASK_RUNNING)
        withdraw(&rq->fair, task, task->fair_weight);
}

static void fair_reweigh(struct runq *rq, struct task *task, uint32_t weight)
{
    withdraw(&rq->fair, task, weight);
    begin_running(&rq->fair, task, ENQUEUE_MOVED);
}

static void check_node(struct rb_node *node)
{
    const struct rb_node *next = rb_next(node);

    ASSERT(!list_is_linked(&task_of(node)->queue_link) && !update_least(node));
    ASSERT(next == NULL || !before(container_of(next, struct task, fair_node)->fair_deadline,
                                   task_of(node)->fair_deadline));
}

static void check_sum(const struct fair_queue *fair, const struct task *task, uint64_t *weights, uint64_t *moment)
{
    *weights += task->fair_weight;
    *moment += (task->fair_vruntime - fair->vtime) * task->fair_weight;
}

static uint32_t fair_check(const struct runq *rq, runq_visit_fn visit)
{
    const struct fair_queue *fair = &rq->fair;
    const struct task *last = NULL;
    uint64_t weights = 0, moment = 0;
    int in_tree = rb_check(&fair->tree);
    uint32_t count = (uint32_t)in_tree;

    ASSERT(in_tree >= 0);
    for (struct rb_node *node = rb_first(&fair->tree); node != NULL; node = rb_next(node)) {
        check_node(node);
        check_sum(fair, task_of(node), &weights, &moment);
        if (visit != NULL)
            visit(task_of(node), rq);
    }
    list_for_each(node, &fair->lane) {
        const struct task *task = list_entry(node, struct task, queue_link);

        ASSERT(last == NULL || (!before(task->fair_deadline, last->fair_deadline) &&
                                !before(task->fair_vruntime, last->fair_vruntime)));
        check_sum(fair, task, &weights, &moment);
        last = task;
    }
    count += runq_visit_list(&fair->lane, rq, visit);
    if (rq->running->class == &class_fair)
        check_sum(fair, rq->running, &weights, &moment);
    ASSERT(weights == fair->weights && weights == load_relaxed(&fair->shown_weights) && moment == fair->excess);
    ASSERT(fair->excess == 0 || fair->excess < fair->weights);
    return count;
}

/* Weight of nice -20..19: 1024 * 1.25^-nice, so one step is a tenth of the CPU between two tasks (as Linux's). */
static const uint32_t fair_weight[NICE_MAX - NICE_MIN + 1] = {
    88818, 71054, 56843, 45475, 36380, 29104, 23283, 18626, 14901, 11921,
    9537, 7629, 6104, 4883, 3906, 3125, 2500, 2000, 1600, 1280,
    1024, 819, 655, 524, 419, 336, 268, 215, 172, 137,
    110, 88, 70, 56, 45, 36, 29, 23, 18, 15,
};

static void fair_adopt(struct task *task, const struct sched_params *params)
{
    task->fair_weight = fair_weight[params->nice - NICE_MIN];
    task->fair_inverse_weight = (uint32_t)(((UINT64_C(1) << 32) + task->fair_weight - 1) / task->fair_weight);
    if (params->slice_ns == 0)
        task->slice_ticks = sched_tunables.fair_slice_ticks;
    task->fair_request = class_fair_virtual(task, task->slice_ticks);
}

const struct sched_class class_fair = {
    .name = "fair",
    .id = CLASS_FAIR,
    .rank = RANK_FAIR,
    .takes = TAKES_NICE | TAKES_SLICE,
    .enqueue = class_fair_enqueue,
    .dequeue = fair_dequeue,
    .pick = class_fair_pick,
    .account = fair_account,
    .preempts = fair_preempts,
    .slice = fair_slice,
    .check = fair_check,
    .adopt = fair_adopt,
    .rebase = fair_rebase,
    .block = fair_block,
    .join = fair_join,
    .leave = fair_leave,
    .reweigh = fair_reweigh,
};
