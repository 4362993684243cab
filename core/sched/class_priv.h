/* SPDX-License-Identifier: MIT */
/* The part of sched_priv.h, which includes it, that is the interface of a scheduling class, and their table. */
#pragma once

/* Why a task joins a queue: classes order by it. */
enum enqueue_kind {
    ENQUEUE_STARTED,   /* it is new */
    ENQUEUE_WOKEN,     /* it was blocked */
    ENQUEUE_PREEMPTED, /* it was running and wants to go on */
    ENQUEUE_YIELDED,   /* it was running and steps behind its peers */
    ENQUEUE_MOVED,     /* it was queued: another CPU, class or priority */
};

/* CLASS_BELOW has no tasks of its own: rt_limit.c. */
#define CLASS_ID(id, name, bytes) CLASS_##id,
enum class_id { SCHED_CLASSES(CLASS_ID, SCHED_LIST_NOTHING) CLASS_COUNT };
#undef CLASS_ID

/* Which of the parameters that not every class has a use for does a class take? The others must be 0. */
#define TAKES_LEVEL 0x1u
#define TAKES_NICE 0x2u
#define TAKES_SLICE 0x4u
#define TAKES_DEADLINE 0x8u /* runtime, deadline and period */

struct runq;
typedef void (*runq_visit_fn)(const struct task *task, const struct runq *rq);

/* A scheduling class. All operations run under rq->lock; none sleeps, switches or wakes. A running task is in no queue.
 * A class that has queued tasks has its bit in rq->ready_classes: enqueue sets it, dequeue and pick clear it. */
struct sched_class {
    const char *name;
    enum class_id id; /* its place in sched_classes[]: lower runs first */
    uint8_t rank;     /* of its tasks, less rt_level; between those of its neighbours */
    uint8_t takes;    /* TAKES_..; with all of them 0, parameters are valid, and what a waiting task lends at most */

    void (*enqueue)(struct runq *rq, struct task *task, enum enqueue_kind kind);
    void (*dequeue)(struct runq *rq, struct task *task);
    /* Remove and return the task to run next. The class has at least one; only CLASS_BELOW may find none: NULL. */
    struct task *(*pick)(struct runq *rq);
    /* `task` has run for ran_ticks since it was last accounted. */
    void (*account)(struct runq *rq, struct task *task, uint64_t ran_ticks);
    /* Should `woken` run instead of `running`, both of this class and equal rank? NULL: never. Not yet: false, and
     * rq->is_slice_shorter. */
    bool (*preempts)(struct runq *rq, const struct task *woken, const struct task *running);
    /* Ticks that `task`, about to run, may run before others must be considered; TIME_NEVER if nobody
     * waits for that. */
    uint64_t (*slice)(struct runq *rq, struct task *task);
    /* Debug and simulator, between two operations: assert what holds of the queue, call `visit`, unless it is NULL, for
     * each queued task, and return how many there are. */
    uint32_t (*check)(const struct runq *rq, runq_visit_fn visit);
    /* These are NULL where a class has nothing to do.
     * `task` is queued, and queue_link is in no list: put it where `dequeue` takes no search and no balancing, and
     * queue_link is in a list. Where that would make this hold too long, something else is done first, and the task
     * stays where it is: the caller looks, and tries again or lets it be. */
    void (*loosen)(struct runq *rq, struct task *task);
    /* For these `task` is in no queue.
     * It is to be scheduled by these parameters, of this class, from now on: what it carries that is not relative to a
     * queue. `slice_ticks` is set: to what was asked for, or else to that of round robin. It still competes in the
     * class that it leaves, if any. */
    void (*adopt)(struct task *task, const struct sched_params *params);
    /* The same task.
     * It changes its run queue: what it carries relative to one. */
    void (*rebase)(struct task *task, struct runq *from, struct runq *to);
    /* It ran, has been accounted, and goes without being queued: it blocks, exits, or must leave the CPU. Not called
     * for FIFO tasks. */
    void (*block)(struct runq *rq, struct task *task);
    /* It becomes one of this class, or stops being one, running, queued or blocked here; its parameters are set. */
    void (*join)(struct runq *rq, struct task *task);
    void (*leave)(struct runq *rq, struct task *task);
    /* It runs, and its weight or slice has changed within the class; `weight` is what it was. A queued task is taken
     * out and put back instead. */
    void (*reweigh)(struct runq *rq, struct task *task, uint32_t weight);
};

extern const struct sched_class *const sched_classes[CLASS_COUNT];
extern const struct sched_class *const sched_policy_class[SCHED_POLICY_COUNT];
#define CLASS_DECLARE(id, name, bytes) extern const struct sched_class class_##name;
SCHED_CLASSES(CLASS_DECLARE, SCHED_LIST_NOTHING)
#undef CLASS_DECLARE

/* The class whose latency counts is called directly, so that link-time optimisation can inline it; the others through
 * the table. Beside the first class that has tasks, the fair one's pick is found without it. */
void class_rt_enqueue_fifo(struct runq *rq, struct task *task, enum enqueue_kind kind);
struct task *class_rt_pick(struct runq *rq);
void class_fair_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind);
struct task *class_fair_pick(struct runq *rq);

/* Work on the tree left for later, an insertion or removal for each hold of the lock. Context: interrupts disabled. */
void class_fair_sort(struct runq *rq);

/* So many ticks on the CPU on the task's virtual clock. */
uint64_t class_fair_virtual(const struct task *task, uint64_t ticks);
