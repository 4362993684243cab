/* SPDX-License-Identifier: MIT */
/*
 * Deadline tasks: earliest deadline first, each inside a constant-bandwidth server (Abeni and Buttazzo, RTSS 1998) with
 * hard reservations: what it may use is runtime_ns in each period, by deadline_ns after the period's beginning, and no
 * more. A task that has used it up is throttled until its next period, whoever else is idle. So the others are promised
 * theirs whatever this one does, and admit.c promises no more than there is.
 *
 * A period's runtime is for a task that is there to use it. One that wakes up in the middle of its period goes on with
 * what is left of it only if that is no more than its share of the time up to its deadline; otherwise it would ask for
 * more than its bandwidth there. Then an implicit deadline (that of the period's end) is put off: a new period begins
 * with the wake-up. A constrained one keeps its deadline and gets so much runtime as its share of the time up to it is:
 * a new period would let it have more than its runtime in its own. After its deadline it waits for the next period.
 *
 * What a task runs too long (interrupts were off when its runtime ended) is taken off its next period. Times are
 * nanoseconds since boot, so that periods do not drift against the clock; runtime is in ticks, so that many short runs
 * do not add up to an error.
 */
#include "sched_priv.h"

#include <time/clock.h>

uint64_t deadline_runtime_ticks(uint64_t ns)
{
    uint64_t ticks = clock_ns_to_ticks(ns);

    while (ticks > 0 && clock_ticks_to_ns(ticks) > ns)
        ticks--;
    return ticks;
}

static bool is_earlier(const struct rb_node *a, const struct rb_node *b)
{
    return container_of(a, struct task, deadline.node)->deadline.key_ns <
           container_of(b, struct task, deadline.node)->deadline.key_ns;
}

static bool is_sooner(const struct rb_node *a, const struct rb_node *b)
{
    return container_of(a, struct task, deadline.node)->deadline.next_ns <
           container_of(b, struct task, deadline.node)->deadline.next_ns;
}

/* a * b / c for a <= c < 2^34, rounded down: there is no 128-bit division. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)((a << 30) / c) * b >> 30);
}

static uint64_t left_ns(const struct task_deadline *own)
{
    return own->left_ticks > 0 ? clock_ticks_to_ns((uint64_t)own->left_ticks) : 0;
}

static void set_key(struct task *task)
{
    struct task_deadline *own = &task->deadline;

    own->key_ns = task->is_admitted ? own->due_ns : TIME_NEVER;
    if (task->is_inherited)
        own->key_ns = MIN(own->key_ns, own->inherited_ns);
}

static void begin_period(struct task *task, uint64_t release_ns)
{
    struct task_deadline *own = &task->deadline;

    own->release_ns = release_ns;
    own->due_ns = release_ns + own->deadline_ns;
    own->next_ns = 0;
    own->is_counted = false;
    set_key(task);
}

void deadline_begin(struct task *task, uint64_t now_ns)
{
    task->deadline.left_ticks = (int64_t)task->deadline.runtime_ticks;
    begin_period(task, now_ns);
}

void deadline_begin_at(struct task *task, uint64_t start_ns, uint64_t now_ns)
{
    if (start_ns <= now_ns) {
        deadline_begin(task, now_ns);
        return;
    }
    /* As if the period before that had been used up. */
    begin_period(task, start_ns - task->deadline.period_ns);
    task->deadline.left_ticks = 0;
    task->deadline.next_ns = start_ns;
}

/* When has the task had no more than its share? Its due time, less the time that its rest of the runtime is worth. */
uint64_t deadline_free_ns(const struct task *task, uint64_t now_ns)
{
    const struct task_deadline *own = &task->deadline;
    uint64_t runtime_ns = clock_ticks_to_ns(own->runtime_ticks);
    uint64_t rest_ns = MIN(left_ns(own), runtime_ns);
    uint64_t free_ns = own->due_ns - (runtime_ns != 0 ? scale(rest_ns, own->deadline_ns, runtime_ns) : 0);

    return MAX(free_ns, now_ns);
}

/* So many periods have begun since its runtime was last filled up. Each pays off some of what was run too long. */
static void fill_up(struct task_deadline *own, uint64_t periods)
{
    if (own->left_ticks < 0) {
        uint64_t debt = (uint64_t)-own->left_ticks;
        uint64_t paying = MIN(periods, debt / own->runtime_ticks + 1);

        own->left_ticks += (int64_t)(paying * own->runtime_ticks);
    } else {
        own->left_ticks = (int64_t)own->runtime_ticks;
    }
}

/* The task has used up its period, or has come too late for it: it enters the newest one that has begun. False: none
 * has, and next_ns is when one does. */
static bool enter_next_period(struct task *task, uint64_t now_ns)
{
    struct task_deadline *own = &task->deadline;
    uint64_t next_ns = own->release_ns + own->period_ns;

    if ((int64_t)(now_ns - next_ns) < 0) {
        own->next_ns = next_ns;
        return false;
    }
    uint64_t periods = (now_ns - own->release_ns) / own->period_ns; /* those missed are skipped */

    fill_up(own, periods);
    begin_period(task, own->release_ns + periods * own->period_ns);
    if (own->left_ticks > 0 && now_ns < own->due_ns)
        return true;
    own->next_ns = own->release_ns + own->period_ns;
    return false;
}

/* More than its share of the time up to its deadline? */
static bool is_too_much(const struct task_deadline *own, uint64_t now_ns)
{
    return (unsigned __int128)own->left_ticks * own->deadline_ns >
           (unsigned __int128)(own->due_ns - now_ns) * own->runtime_ticks;
}

/* The rule for those that come back. True: it may run. */
static bool wake(struct task *task, uint64_t now_ns)
{
    struct task_deadline *own = &task->deadline;

    if ((int64_t)(now_ns - own->release_ns) < 0)
        now_ns = own->release_ns; /* clocks of two CPUs may be a tick apart */
    if (now_ns - own->release_ns >= own->period_ns) {
        /* It was away. Its periods begin anew with it: it is late for the one that has begun by the old count. */
        fill_up(own, (now_ns - own->release_ns) / own->period_ns);
        begin_period(task, now_ns);
        return own->left_ticks > 0 || enter_next_period(task, now_ns);
    }
    if (own->left_ticks <= 0 || now_ns >= own->due_ns)
        return enter_next_period(task, now_ns);
    if (!is_too_much(own, now_ns))
        return true;
    if (own->deadline_ns == own->period_ns) {
        deadline_begin(task, now_ns);
        return true;
    }
    uint64_t share_ns = scale(own->due_ns - now_ns, clock_ticks_to_ns(own->runtime_ticks), own->deadline_ns);

    own->left_ticks = MIN(own->left_ticks, (int64_t)deadline_runtime_ticks(share_ns));
    return own->left_ticks > 0 || enter_next_period(task, now_ns);
}

void deadline_rehome(struct task *task, uint64_t now_ns)
{
    struct task_deadline *own = &task->deadline;

    if (own->next_ns != 0 || own->left_ticks <= 0)
        return; /* it waits for its next period there as here */
    if (now_ns >= own->due_ns || is_too_much(own, now_ns))
        deadline_begin(task, now_ns);
}

/* May the task run in its period? */
static bool is_eligible(struct task *task, enum enqueue_kind kind, uint64_t now_ns)
{
    struct task_deadline *own = &task->deadline;

    if (kind == ENQUEUE_STARTED || kind == ENQUEUE_WOKEN)
        return wake(task, now_ns);
    if (kind == ENQUEUE_YIELDED)
        own->left_ticks = MIN(own->left_ticks, 0);
    else if (kind == ENQUEUE_PREEMPTED && own->left_ticks <= 0 && own->next_ns == 0 && !task->is_inherited)
        task->stats.deadline_overruns++;
    if (own->next_ns == 0 && own->left_ticks > 0)
        return true;
    return enter_next_period(task, now_ns);
}

/* Of an operation of the class: under the run queue's lock. */
static void throttle(struct runq *rq, struct task *task) NO_LOCK_ANALYSIS
{
    task->is_throttled = true;
    rb_insert(&rq->deadline.throttled, &task->deadline.node, is_sooner, NULL);
    rq->throttled++;
    agenda_want(rq, task->deadline.next_ns);
}

static void deadline_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    if (task->is_admitted && !is_eligible(task, kind, clock_ns()) && !task->is_inherited) {
        throttle(rq, task);
        return;
    }
    set_key(task);
    rb_insert(&rq->deadline.ready, &task->deadline.node, is_earlier, NULL);
    rq->ready_classes |= 1u << CLASS_DEADLINE;
}

static void deadline_dequeue(struct runq *rq, struct task *task)
{
    if (task->is_throttled) {
        rb_remove(&rq->deadline.throttled, &task->deadline.node, NULL);
        task->is_throttled = false;
        rq->throttled--;
        return;
    }
    rb_remove(&rq->deadline.ready, &task->deadline.node, NULL);
    if (rb_is_empty(&rq->deadline.ready))
        rq->ready_classes &= ~(1u << CLASS_DEADLINE);
}

static struct task *deadline_pick(struct runq *rq)
{
    struct task *task = container_of(rb_first(&rq->deadline.ready), struct task, deadline.node);

    deadline_dequeue(rq, task);
    return task;
}

/* Up to now it has run for ran_ticks, `had` of which it had left. Was that too late? */
static void look_at_deadline(struct task *task, uint64_t now_ticks, uint64_t ran_ticks, uint64_t had_ticks)
{
    struct task_deadline *own = &task->deadline;
    uint64_t until_ns = clock_ticks_to_ns(now_ticks - (ran_ticks > had_ticks ? ran_ticks - had_ticks : 0));

    if (LIKELY(until_ns <= own->due_ns))
        return;
    task->stats.deadline_misses += !own->is_counted;
    own->is_counted = true;
    task->stats.deadline_late_ns_max = MAX(task->stats.deadline_late_ns_max, until_ns - own->due_ns);
}

static void deadline_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    int64_t left = task->deadline.left_ticks;

    (void)rq;
    if (!task->is_admitted)
        return;
    task->deadline.left_ticks -= (int64_t)ran_ticks;
    if (left > 0 && task->deadline.next_ns == 0)
        look_at_deadline(task, task->since_ticks, ran_ticks, (uint64_t)left);
}

static bool deadline_preempts(struct runq *rq, const struct task *woken, const struct task *running)
{
    (void)rq;
    return woken->deadline.key_ns < running->deadline.key_ns;
}

static uint64_t deadline_slice(struct runq *rq, struct task *task)
{
    (void)rq;
    if (!task->is_admitted || task->is_inherited)
        return TIME_NEVER;
    /* One that was changed while it ran may have to wait for its new period. */
    if (task->deadline.next_ns != 0 || task->deadline.left_ticks <= 0)
        return 0;
    return (uint64_t)task->deadline.left_ticks;
}

uint64_t deadline_next_ns(const struct runq *rq)
{
    struct rb_node *node = rb_first(&rq->deadline.throttled);

    return node != NULL ? container_of(node, struct task, deadline.node)->deadline.next_ns : TIME_NEVER;
}

bool deadline_replenish_one(struct runq *rq, uint64_t now_ns)
{
    if (deadline_next_ns(rq) > now_ns)
        return false;
    struct task *task = container_of(rb_first(&rq->deadline.throttled), struct task, deadline.node);

    deadline_dequeue(rq, task);
    task->since_ticks = hal_clock_ticks(); /* it did not wait for a CPU until now */
    runq_enqueue(rq, task, ENQUEUE_MOVED);
    runq_notice(rq, task);
    return true;
}

void deadline_inherit(struct task *task, uint64_t deadline_ns)
{
    task->is_inherited = true;
    task->deadline.inherited_ns = deadline_ns;
    task->class = &class_deadline;
    task->policy = SCHED_POLICY_DEADLINE;
    task->rank = RANK_DEADLINE;
    set_key(task);
}

void deadline_end_inherited(struct task *task)
{
    task->is_inherited = false;
    if (task->is_admitted)
        set_key(task);
}

static void deadline_adopt(struct task *task, const struct sched_params *params)
{
    task->deadline.runtime_ticks = deadline_runtime_ticks(params->runtime_ns);
    task->deadline.deadline_ns = params->deadline_ns;
    task->deadline.period_ns = params->period_ns != 0 ? params->period_ns : params->deadline_ns;
}

static uint32_t deadline_check(const struct runq *rq, runq_visit_fn visit)
{
    int count = rb_check(&rq->deadline.ready);

    ASSERT(count >= 0);
    for (struct rb_node *node = rb_first(&rq->deadline.ready); visit != NULL && node != NULL; node = rb_next(node))
        visit(container_of(node, struct task, deadline.node), rq);
    return (uint32_t)count;
}

const struct sched_class class_deadline = {
    .name = "deadline",
    .id = CLASS_DEADLINE,
    .rank = RANK_DEADLINE,
    .takes = TAKES_DEADLINE,
    .enqueue = deadline_enqueue,
    .dequeue = deadline_dequeue,
    .pick = deadline_pick,
    .account = deadline_account,
    .preempts = deadline_preempts,
    .slice = deadline_slice,
    .check = deadline_check,
    .adopt = deadline_adopt,
};
