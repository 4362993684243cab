/* SPDX-License-Identifier: MIT */
/*
 * Policy, priority, nice and slice of a task in any state, and what it inherits, effective before the call returns.
 * What was asked for is task->params. What the queues go by is made from that and from the inherited urgency: the more
 * urgent of the two. Everything is done with the task's pi.lock and under it the run-queue lock that the task names.
 */
#include "sched_priv.h"

#include <k/errno.h>
#include <time/clock.h>

void sched_params_of_priority(int priority, struct sched_params *out)
{
    *out = (struct sched_params){ 0 };
    if (priority <= PRIORITY_REALTIME_LOW) {
        out->policy = SCHED_POLICY_RR;
        out->rt_level = (uint8_t)priority_rt_level(priority);
    } else if (priority < PRIORITY_IDLE) {
        out->policy = SCHED_POLICY_FAIR;
        out->nice = (int8_t)priority_nice(priority);
    } else {
        out->policy = SCHED_POLICY_IDLE;
    }
}

int sched_params_priority(const struct sched_params *params)
{
    const struct sched_class *class = sched_policy_class[params->policy];

    if (class == &class_rt)
        return priority_of_rt_level(params->rt_level);
    if (class->rank < RANK_RT)
        return PRIORITY_REALTIME_HIGH; /* before all of the scale */
    return class == &class_idle ? PRIORITY_IDLE : priority_of_nice(params->nice);
}

static bool slice_is_valid(uint64_t ns)
{
    return ns == 0 || (ns >= SCHED_SLICE_NS_MIN && ns <= SCHED_SLICE_NS_MAX);
}

static bool is_span(uint64_t ns)
{
    return ns >= SCHED_DEADLINE_NS_MIN && ns <= SCHED_DEADLINE_NS_MAX;
}

static bool deadline_is_valid(const struct sched_params *params)
{
    uint64_t period_ns = params->period_ns != 0 ? params->period_ns : params->deadline_ns;

    return params->runtime_ns >= SCHED_DEADLINE_RUNTIME_NS_MIN && params->runtime_ns <= params->deadline_ns &&
           params->deadline_ns <= period_ns && is_span(params->deadline_ns) && is_span(period_ns) &&
           deadline_runtime_ticks(params->runtime_ns) > 0;
}

/* Each field is in its range if the class takes it, and 0 if not. Of the real-time class, a FIFO task has no slice. */
static bool params_are_valid(const struct sched_params *params)
{
    if ((unsigned)params->policy >= SCHED_POLICY_COUNT)
        return false;
    unsigned takes = sched_policy_class[params->policy]->takes;
    bool has_times = params->runtime_ns != 0 || params->deadline_ns != 0 || params->period_ns != 0;

    if (params->policy == SCHED_POLICY_FIFO)
        takes &= ~TAKES_SLICE;
    return ((takes & TAKES_LEVEL) != 0 ? params->rt_level < RT_LEVELS : params->rt_level == 0) &&
           ((takes & TAKES_NICE) != 0 ? params->nice >= NICE_MIN && params->nice <= NICE_MAX : params->nice == 0) &&
           ((takes & TAKES_SLICE) != 0 ? slice_is_valid(params->slice_ns) : params->slice_ns == 0) &&
           ((takes & TAKES_DEADLINE) != 0 ? deadline_is_valid(params) : !has_times);
}

static unsigned rank_of(const struct sched_params *params)
{
    return sched_policy_class[params->policy]->rank + params->rt_level;
}

/* Of the class behind the real-time one that has tasks of that rank, what a task without wishes would ask for. */
static struct sched_params plain_params(unsigned rank)
{
    unsigned policy = 0;

    while (sched_policy_class[policy]->rank != rank)
        policy++;
    return (struct sched_params){ .policy = (enum sched_policy)policy };
}

/*
 * What the task is scheduled by while it inherits: at the level of a real-time task as its peer, first in, first out
 * unless it is round robin itself; lent by a task of a class behind that, as one of that class, of nice 0. A fair task
 * lends another nothing.
 * What a deadline task lends is not in parameters: deadline_inherit().
 */
static NOINLINE struct sched_params effective_params(const struct task *task)
{
    const struct sched_params *own = &task->params;
    unsigned rank = task->pi.inherited.rank;

    if (LIKELY(rank >= rank_of(own)) || rank == RANK_DEADLINE)
        return *own;
    ASSERT(rank >= RANK_RT);
    if (rank >= RANK_FAIR)
        return plain_params(rank);
    if (own->policy == SCHED_POLICY_RR)
        return (struct sched_params){ .policy = SCHED_POLICY_RR,
                                      .rt_level = (uint8_t)(rank - RANK_RT),
                                      .slice_ns = own->slice_ns };
    return (struct sched_params){ .policy = SCHED_POLICY_FIFO, .rt_level = (uint8_t)(rank - RANK_RT) };
}

/* The task's own parameters or what it inherits has changed: what the queues go by. */
static void go_by(struct task *task, const struct sched_params *params)
{
    const struct sched_class *class = sched_policy_class[params->policy];

    task->policy = params->policy;
    task->class = class;
    task->rank = (uint8_t)(class->rank + params->rt_level);
    task->slice_ticks = params->slice_ns != 0 ? clock_ns_to_ticks(params->slice_ns) : sched_tunables.rr_slice_ticks;
    if (class->adopt != NULL)
        class->adopt(task, params);
}

void policy_init(struct task *task, int priority)
{
    sched_params_of_priority(priority, &task->params);
    task->priority = (uint8_t)priority;
    go_by(task, &task->params);
}

void policy_apply(struct task *task, const struct sched_params *params, int priority)
{
    bool keeps_slice = task->policy == SCHED_POLICY_RR && task->params.slice_ns == params->slice_ns;

    /* What is the same is not even written: with the admission lock alone it is read. No call, under the lock. */
    if (params != &task->params)
        __builtin_memcpy_inline(&task->params, params, sizeof *params);
    task->priority = (uint8_t)priority;
    if (LIKELY(task->pi.inherited.rank == SCHED_URGENCY_NONE.rank) && LIKELY(!task->is_inherited)) {
        go_by(task, params);
    } else {
        const struct sched_params effective = effective_params(task);

        if (task->is_inherited)
            deadline_end_inherited(task);
        go_by(task, &effective);
        if (task->pi.inherited.rank == RANK_DEADLINE)
            deadline_inherit(task, task->pi.inherited.deadline_ns);
    }
    if (!keeps_slice || task->policy != SCHED_POLICY_RR)
        task->slice_left_ticks = 0; /* else it keeps its turn */
}

bool policy_is_boosted(const struct task *task)
{
    return task->is_inherited || task->rank < rank_of(&task->params);
}

int policy_effective_priority(const struct task *task)
{
    if (task->rank < RANK_RT)
        return PRIORITY_REALTIME_HIGH;
    if (task->rank < RANK_FAIR)
        return priority_of_rt_level(task->rt_level);
    return task->rank < RANK_IDLE_CLASS ? PRIORITY_DEFAULT : PRIORITY_IDLE; /* by inheritance: nice 0 */
}

/* What a task is to become. Two priorities can mean the same parameters; the one asked for is what is shown. */
struct change {
    struct sched_params params;
    int priority;
    bool leaves_deadline; /* it is admitted, and no more after this */
    bool keeps_params;    /* only what it inherits is new */
};

/* The class's own numbers start afresh where the task is now. */
void policy_apply_on(struct runq *rq, struct task *task, const struct sched_params *params, int priority)
{
    const struct sched_class *before = task->class;
    uint32_t weight = task->fair_weight;

    policy_apply(task, params, priority);
    if (task->class == before) {
        if (task->state == TASK_RUNNING && before->reweigh != NULL)
            before->reweigh(rq, task, weight);
        return;
    }
    if (before->leave != NULL)
        before->leave(rq, task);
    if (task->class->join != NULL)
        task->class->join(rq, task);
}

/* Does a change of the running task leave its CPU nothing to decide? It was as urgent as all who wait, is so now, and
 * has no slice. */
static bool is_lifted(const struct task *task, unsigned rank_before)
{
    return task->rank <= rank_before && task->policy == SCHED_POLICY_FIFO;
}

/* Also of a deadline task that stops being one: the admission lock is held then. */
static void apply_on(struct runq *rq, struct task *task, const struct change *change) NO_LOCK_ANALYSIS
{
    if (change->leaves_deadline)
        deadline_leave_locked(rq, task);
    policy_apply_on(rq, task, change->keeps_params ? &task->params : &change->params, change->priority);
}

/* True: somebody queued may be more urgent now, and its slice is another. */
static bool apply_to_running(struct runq *rq, struct task *task, const struct change *change) REQUIRES(rq->lock)
{
    unsigned rank_before = task->rank;

    runq_account(rq, hal_clock_ticks());
    apply_on(rq, task, change);
    runq_rerank_running(rq, task);
    rt_limit_look(rq);
    return !is_lifted(task, rank_before);
}

/* The last step under the lock. A CPU on which the task is queued notices that in a hold of its own; one that runs it
 * is asked after the hold, and looks at what is there then. */
static void apply_and_unlock(struct runq *rq, struct task *task, const struct change *change) RELEASES(rq->lock)
    NO_LOCK_ANALYSIS
{
    if (task_is_queued(task)) {
        runq_dequeue(rq, task);
        apply_on(rq, task, change);
        runq_enqueue(rq, task, ENQUEUE_MOVED);
        runq_unlock_notice(rq, task);
        return;
    }
    bool must_look = task->state == TASK_RUNNING && apply_to_running(rq, task, change);

    if (task->state != TASK_RUNNING)
        apply_on(rq, task, change);
    runq_unlock(rq);
    if (must_look)
        resched_cpu(rq);
}

/* Does that make a task with parameters of rank `own` more urgent? Of two deadlines the earlier one counts. */
static bool lifts(struct sched_urgency urgency, unsigned own)
{
    return urgency.rank < own || urgency.rank == RANK_DEADLINE;
}

bool policy_inherit(struct task *task, struct sched_urgency inherited) NO_LOCK_ANALYSIS
{
    if (urgency_is_equal(task->pi.inherited, inherited))
        return false;
    struct sched_urgency before = task_urgency(task);
    unsigned own = rank_of(&task->params);
    bool was_lifted = lifts(task->pi.inherited, own);

    task->pi.inherited = inherited;
    if (!was_lifted && !lifts(inherited, own))
        return false; /* less than it has itself, before and now */
    const struct change same = { .priority = task->priority, .keeps_params = true };
    struct runq *rq = runq_lock_loose(task);

    apply_and_unlock(rq, task, &same);
    return !urgency_is_equal(task_urgency(task), before);
}

/* Fill in what the task is to become, from what it is: 0, or why it may not. Under its pi.lock, without which nobody
 * changes its parameters; the run queue's lock is not held for this. */
typedef int change_fn(struct change *change, const void *argument);

/* -EAGAIN: it is a deadline task, and the admission lock is not held. */
static int try_change(struct task *task, change_fn *make, const void *argument, bool has_books, bool *out_is_waiter)
    NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&task->pi.lock);
    struct change change = { .params = task->params, .priority = task->priority };
    int result = make(&change, argument);
    struct runq *rq = runq_lock_loose(task);

    change.leaves_deadline = task->is_admitted;
    if (task->state == TASK_DEAD)
        result = -ESRCH;
    else if (task->class == &class_stop)
        result = -EINVAL;
    else if (result == 0 && UNLIKELY(task->is_admitted) && !has_books)
        result = -EAGAIN;
    if (result == 0)
        apply_and_unlock(rq, task, &change);
    else
        runq_unlock(rq);
    *out_is_waiter = task->pi.blocked_on != NULL;
    spin_unlock_irqoff(&task->pi.lock);
    sched_irq_restore(state);
    return result;
}

static int apply_change(struct task *task, change_fn *make, const void *argument)
{
    bool is_waiter;

    trace(TRACE_PI_CHANGE, task, 1);
    int result = try_change(task, make, argument, false, &is_waiter);

    if (result == -EAGAIN) {
        spin_lock(&admit_books);
        result = try_change(task, make, argument, true, &is_waiter);
        spin_unlock(&admit_books);
    }
    if (is_waiter)
        pi_walk(task);
    trace(TRACE_PI_CHANGE, task, 0);
    return result;
}

static int take_params(struct change *change, const void *argument)
{
    change->params = *(const struct sched_params *)argument;
    change->priority = sched_params_priority(&change->params);
    return 0;
}

int task_set_params(struct task *task, const struct sched_params *params)
{
    if (!params_are_valid(params))
        return -EINVAL;
    if (params->policy == SCHED_POLICY_DEADLINE)
        return deadline_change(task, params, NULL);
    return apply_change(task, take_params, params);
}

void task_get_params(struct task *task, struct sched_params *out) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);

    *out = task->params;
    spin_unlock_irqoff(&rq->lock);
    hal_irq_restore(state);
}

/* Within the real-time class the policy stays. */
static int take_priority(struct change *change, const void *argument)
{
    bool was_fifo = change->params.policy == SCHED_POLICY_FIFO;

    change->priority = *(const int *)argument;
    sched_params_of_priority(change->priority, &change->params);
    if (was_fifo && change->params.policy == SCHED_POLICY_RR)
        change->params.policy = SCHED_POLICY_FIFO;
    return 0;
}

int task_set_priority(struct task *task, int priority)
{
    return priority_is_valid(priority) ? apply_change(task, take_priority, &priority) : -EINVAL;
}

static int take_policy(struct change *change, const void *argument)
{
    if (change->params.policy != SCHED_POLICY_FIFO && change->params.policy != SCHED_POLICY_RR)
        return -EINVAL;
    change->params.policy = *(const enum sched_policy *)argument;
    if (change->params.policy == SCHED_POLICY_FIFO)
        change->params.slice_ns = 0;
    return 0;
}

int task_set_policy(struct task *task, enum sched_policy policy)
{
    if (policy != SCHED_POLICY_FIFO && policy != SCHED_POLICY_RR)
        return -EINVAL;
    return apply_change(task, take_policy, &policy);
}
