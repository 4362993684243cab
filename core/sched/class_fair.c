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
#include "fair_check_priv.h"

#define UNIT_SHIFT 20

/* What a task may be charged at once: 2^60 in units of lag. One that ran for longer without a look at the clock was
 * alone, and then its clock is the queue's whatever it is charged. */
#define CHARGE_MAX_TICKS (UINT64_C(1) << 40)

/* TID_MAX tasks that are owed so much sum up to 2^62: no sum of lags overflows. */
#define LAG_MAX_TICKS ((UINT64_C(1) << (62 - UNIT_SHIFT)) / TID_MAX)

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

static NOINLINE void tree_remove(struct fair_queue *fair, struct task *task)
{
    rb_remove(&fair->tree, &task->fair_node, update_least);
}

static NOINLINE void remove_ghost(struct fair_queue *fair)
{
    struct task *ghost = fair->ghost;

    fair->ghost = NULL;
    tree_remove(fair, ghost);
}

static NOINLINE void tree_insert(struct fair_queue *fair, struct task *task)
{
    struct rb_node *parent = NULL;
    struct rb_node **link = &fair->tree.root;
    uint64_t deadline = task->fair_deadline;

    if (UNLIKELY(fair->ghost == task))
        remove_ghost(fair); /* it has run since, and nobody has sorted: not where a CPU switches */
    while (*link != NULL) {
        parent = *link;
        /* Here and not on the way up, where it is a call for each level: rb_insert_at() finds the rest in order. */
        if (before(task->fair_vruntime, task_of(parent)->fair_least))
            task_of(parent)->fair_least = task->fair_vruntime;
        link = before(deadline, task_of(parent)->fair_tree_deadline) ? &parent->left : &parent->right;
    }
    task->fair_tree_deadline = deadline;
    task->fair_tree_vruntime = task->fair_vruntime;
    rb_insert_at(&fair->tree, parent, link, &task->fair_node, update_least);
}

/* Somebody is in the tree, and not only the ghost. */
static bool tree_is_inhabited(const struct fair_queue *fair)
{
    const struct rb_node *root = fair->tree.root;

    return root != NULL &&
           (fair->ghost == NULL || root != &fair->ghost->fair_node || root->left != NULL || root->right != NULL);
}

/* Those who come with the latest deadline and the greatest v stand in the lane, in their order: of them only the first
 * can be the one to run. So equal tasks that take turns are never sorted. All others belong into the tree. */
static ALWAYS_INLINE bool fits_lane(const struct fair_queue *fair, const struct task *task)
{
    if (list_is_empty(&fair->lane))
        return true;
    const struct task *last = list_entry(fair->lane.prev, struct task, queue_link);

    return !before(task->fair_deadline, last->fair_deadline) && !before(task->fair_vruntime, last->fair_vruntime);
}

/* It does not fit. If that was because of the last one alone, which is far ahead, it is the last one that goes to the
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

static void sort_first(struct fair_queue *fair)
{
    struct task *task = list_entry(list_pop_front(&fair->unsorted), struct task, queue_link);

    if (fits_lane(fair, task))
        list_push_back(&fair->lane, &task->queue_link);
    else
        put_in_tree(fair, task);
}

static void leave_for_later(struct runq *rq)
{
    rq->after_switch |= AFTER_SORT;
    rq->due |= DUE_SORT;
}

static bool is_full(const struct list_node *list)
{
    unsigned count = 0;

    for (const struct list_node *node = list->next; node != list && count < UNSORTED_MAX; node = node->next)
        count++;
    return count == UNSORTED_MAX;
}

/* It does not fit the lane. To sort it in is left for later. */
static NOINLINE void put_aside(struct runq *rq, struct task *task)
{
    list_push_back(&rq->fair.unsorted, &task->queue_link);
    leave_for_later(rq);
}

static ALWAYS_INLINE void put_in(struct runq *rq, struct task *task)
{
    rq->ready_classes |= 1u << CLASS_FAIR;
    if (LIKELY(fits_lane(&rq->fair, task)))
        list_push_back(&rq->fair.lane, &task->queue_link);
    else
        put_aside(rq, task);
}

static ALWAYS_INLINE void note_taken(struct runq *rq)
{
    if (list_is_empty(&rq->fair.lane) && list_is_empty(&rq->fair.unsorted) && !tree_is_inhabited(&rq->fair))
        rq->ready_classes &= ~(1u << CLASS_FAIR);
}

static void take_out(struct runq *rq, struct task *task)
{
    if (LIKELY(list_is_linked(&task->queue_link)))
        list_remove(&task->queue_link);
    else
        tree_remove(&rq->fair, task);
    note_taken(rq);
}

static void fair_loosen(struct runq *rq, struct task *task)
{
    if (UNLIKELY(is_full(&rq->fair.unsorted))) {
        sort_first(&rq->fair); /* who loosened that one has not come for it, and may not ever */
        return;
    }
    tree_remove(&rq->fair, task);
    put_aside(rq, task); /* the last to be sorted in again */
}

/* True: there is more. */
static bool sort_one(struct runq *rq)
{
    struct fair_queue *fair = &rq->fair;

    rq->after_switch &= ~AFTER_SORT;
    rq->due &= ~DUE_SORT;
    if (fair->ghost != NULL)
        remove_ghost(fair);
    else if (!list_is_empty(&fair->unsorted))
        sort_first(fair);
    return !list_is_empty(&fair->unsorted);
}

void class_fair_sort(struct runq *rq)
{
    bool is_more = true;

    for (unsigned i = 0; i <= UNSORTED_MAX && is_more; i++) {
        spin_lock_irqoff(&rq->lock);
        is_more = sort_one(rq);
        spin_unlock_irqoff(&rq->lock);
    }
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
    /* After any other enqueue the same CPU sorts, before it takes a lock again. After a wake nobody need do so: where
     * it has not been done for others yet, it is their turn, one for one. */
    if (kind == ENQUEUE_WOKEN && UNLIKELY(is_full(&rq->fair.unsorted)))
        sort_first(&rq->fair);
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

/* NULL: nobody in the tree is eligible. There is no ghost. */
static struct task *best_of_tree(const struct fair_queue *fair)
{
    if (rb_is_empty(&fair->tree) || before(fair->vtime, task_of(fair->tree.root)->fair_least))
        return NULL;
    struct task *first = task_of(rb_first(&fair->tree));

    return is_eligible(fair, first) ? first : search(fair);
}

static ALWAYS_INLINE struct task *better(const struct fair_queue *fair, struct task *best, struct task *task)
{
    return is_eligible(fair, task) && (best == NULL || before(task->fair_deadline, best->fair_deadline)) ? task : best;
}

/* Somebody is not in the lane. */
static struct task *best_of_all(const struct fair_queue *fair)
{
    struct task *best = best_of_tree(fair);

    if (!list_is_empty(&fair->lane))
        best = better(fair, best, list_first(&fair->lane, struct task, queue_link));
    list_for_each(node, &fair->unsorted)
        best = better(fair, best, list_entry(node, struct task, queue_link));
    if (LIKELY(best != NULL))
        return best;
    /* V is exact, so somebody was eligible; but whatever happens, somebody runs. */
    return list_is_empty(&fair->unsorted) ? task_of(rb_first(&fair->tree))
                                          : list_first(&fair->unsorted, struct task, queue_link);
}

static ALWAYS_INLINE struct task *picked(struct fair_queue *fair, struct task *task)
{
    fair->began = task->fair_vruntime;
    fair->is_deferred = false;
    return task;
}

static NOINLINE struct task *pick_of_all(struct runq *rq)
{
    struct fair_queue *fair = &rq->fair;

    if (UNLIKELY(fair->ghost != NULL))
        remove_ghost(fair); /* after each switch somebody has done it already */
    struct task *task = best_of_all(fair);

    if (list_is_linked(&task->queue_link)) {
        list_remove(&task->queue_link);
    } else if (!rb_try_remove_last(&fair->tree, &task->fair_node)) {
        fair->ghost = task;
        leave_for_later(rq);
    }
    note_taken(rq);
    return picked(fair, task);
}

struct task *class_fair_pick(struct runq *rq)
{
    struct fair_queue *fair = &rq->fair;

    if (UNLIKELY(!rb_is_empty(&fair->tree)) || UNLIKELY(!list_is_empty(&fair->unsorted)))
        return pick_of_all(rq);
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
    .loosen = fair_loosen,
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
