/* SPDX-License-Identifier: MIT */
/*
 * The inside of the scheduler: the run queue, and what is done under its lock. It includes its parts: the interface of
 * a scheduling class (class_priv.h), tasks over CPUs (spread_priv.h), waiting and inheritance (inherit_priv.h), time
 * promised and limited (bandwidth_priv.h).
 *
 * Everything about a task's scheduling is guarded by the lock of the run queue that task->base.cpu names, which changes
 * only with the locks of both run queues held. The lock is taken with interrupts disabled; of two, the lower CPU number
 * first, or the second by try. It is held across a switch, and released by the next task. No other room runs under it.
 */
#pragma once

#include <hal/clock.h>
#include <k/trace.h>
#include <sched/mutex.h>
#include <sched/sched.h>
#include <smp/spinlock.h>

#include "cputime_priv.h"

#include "class_priv.h"

/* Slices in ticks, from nanoseconds, once. */
struct sched_tunables {
    uint64_t rr_slice_ticks;
    uint64_t fair_slice_ticks;
    uint64_t push_ticks; /* SCHED_PUSH_NS */
    unsigned rt_percent;       /* of each RT_WINDOW_NS, for real-time tasks while others wait; 100: no limit */
    unsigned deadline_percent; /* of each CPU, for deadline tasks */
    uint64_t util_unit_ticks;
    unsigned idle_poll_turns;  /* looks of an idle CPU before it waits for an interrupt; 0: none */
};
extern struct sched_tunables sched_tunables;

/* Clocks of two CPUs may be a tick apart, and a read of the clock is not ordered by a lock: never less than 0. */
static ALWAYS_INLINE uint64_t elapsed_ticks(uint64_t since, uint64_t now)
{
    return (int64_t)(now - since) > 0 ? now - since : 0;
}

struct rt_queue {
    uint64_t bitmap[2]; /* level i has tasks */
    unsigned first;     /* lowest level that has tasks; RT_LEVELS if none */
    unsigned filled;    /* levels that have tasks */
    struct list_node level[RT_LEVELS];
};

/* Something for a stopper to do. Asked for again only after `fn` has been called. */
struct event;
struct stop_work {
    struct list_node link; /* guarded by the stop queue's wake.lock */
    void (*fn)(void *arg);
    void *arg;
    struct event *done;    /* NULL: nobody waits */
};

struct stop_queue {
    struct task *task;      /* the stopper; immutable once it is set */
    struct list_node queue; /* the stopper, when it is queued: under the run-queue lock */
    struct waitq wake;      /* its lock guards works */
    struct list_node works;
};

/* The deadline tasks that name this CPU and are READY. */
struct deadline_queue {
    struct rb_tree ready;     /* by key_ns */
    struct rb_tree throttled; /* by next_ns */
};

/* Guarded by the admission lock, admit.c: what has been promised to deadline tasks of this CPU. Densities are runtime /
 * deadline as numbers of 60 bits after the point. */
struct admission {
    struct list_node tasks;
    bool is_closed;           /* the CPU goes off, or is off: nobody is admitted */
    unsigned count;
    unsigned cut_count;       /* of tasks whose density is a little more than its number says */
    uint64_t low;             /* the sum of the numbers */
    uint64_t fading;          /* given back, rounded up, but perhaps used already */
    uint64_t fading_until_ns; /* from then on it is free */
};

/* Real-time tasks and those that wait behind them: rt_limit.c. */
struct rt_limit {
    bool is_watching, is_serving;
    uint64_t window_ns;   /* when the window began */
    uint64_t event_ns;    /* when to look again; TIME_NEVER: not watching */
    uint64_t below_ticks; /* runq.below_rt_ticks then */
};

/* class_fair.c has the meaning and the units. The running task competes, if it is fair, and is in no tree. */
struct fair_queue {
    struct list_node lane;   /* queued tasks, by fair_deadline and by fair_vruntime */
    struct rb_tree tree;     /* others, by fair_tree_deadline; fair_least is the least of a subtree */
    struct list_node unsorted; /* the rest, a few: those that have just come or are about to go. class_fair_sort() */
    struct task *ghost;      /* was picked, and its node is still in the tree; NULL: there is none */
    uint64_t weights;        /* sum over those who compete */
    _Atomic(uint64_t) shown_weights; /* the same, for others to look at without the lock */
    uint64_t vtime;          /* their mean fair_vruntime, by weight, rounded down; may step back as they come and go */
    uint64_t excess;         /* sum of weight * (fair_vruntime - vtime), in [0, weights) */
    uint64_t newcomer_vtime; /* how far vtime had got when somebody left with a debt */
    uint64_t began;          /* the running task's fair_vruntime when it was picked */
    uint64_t deferred_until; /* ... and where a woken one may preempt it, if is_deferred */
    bool is_deferred;
    uint32_t period;         /* how often the last one blocked */
};

/* What remains to be done after a switch, by the next task: bits of runq.after_switch. */
#define AFTER_DEAD 0x1u      /* the previous task is dead: list it */
#define AFTER_MISPLACED 0x2u /* tasks in runq.misplaced must move to a CPU of their affinity */
#define AFTER_MOVED 0x4u     /* somebody waits for the previous task to have left the CPU */
#define AFTER_PUSH 0x8u      /* tasks wait behind a more urgent one: look for another CPU */
#define AFTER_PULL 0x10u     /* real-time tasks wait elsewhere, and none runs here */
#define AFTER_BALANCE 0x20u  /* fair tasks wait for each other, and it is time to look */
#define AFTER_AGENDA 0x40u   /* runq.agenda must fire earlier than it is armed for */
#define AFTER_OFFER 0x80u    /* tasks wait that may move, and some CPU idles */
#define AFTER_PASS_ON 0x100u /* the CPU has work of its own, and was poked to take other work */
#define AFTER_SORT 0x200u    /* class_fair_sort() has something to do */
#define AFTER_SAMPLER 0x400u /* a task with a user runs, and the sampler is off: cputime.c */

/* What remains to be done after a section that may have queued a task: bits of runq.due, for runq_unlock(). */
#define DUE_OFFER 0x1u /* a movable task waits that nobody has been told of */
#define DUE_SORT 0x2u  /* as AFTER_SORT */

#define OFFER_SCAN_MAX 8  /* waiting tasks for which an idle CPU is looked for at a time */

struct runq {
    struct cpu cpu; /* first: a struct cpu is its run queue */

    CACHE_ALIGNED struct spinlock lock;

    /* Guarded by lock. */
    struct task *running;
    struct task *switched_from; /* set before a switch, read by finish_switch */
    uint32_t after_switch;
    uint32_t ready_classes;     /* bit per class that has queued tasks */
    uint32_t quiet_from;        /* what `running` does is not changed by a queued task of this rank or a higher one */
    bool is_slice_shorter;      /* preempts() said "not yet": what slice() says of the running task has changed */
    struct deadline_queue deadline;
    struct rt_limit rt_limit;
    uint64_t below_rt_ticks;    /* run time of classes behind the real-time one, which count it in `account` */
    uint64_t agenda_ns;         /* when there is something to do for bandwidth: agenda.c; TIME_NEVER: nothing */
    struct fair_queue fair;
    struct list_node idle_tasks; /* of the idle class; the CPU's own idle task is in no queue */
    struct list_node movable;    /* queued tasks whose affinity has other CPUs, the oldest first but for steal_find() */
    struct list_node misplaced;  /* READY, not allowed here, in no class queue */
    uint64_t started, died;      /* census */
    uint64_t online_ticks;       /* when the CPU began to schedule; the time that it was off is added */
    uint64_t left_ticks;         /* when it went off */
    int64_t blocked;             /* tasks that name this CPU while blocked */
    struct sched_cpu_stats stats;
    struct stop_queue stop;
    struct stop_work active;     /* asks a busy CPU for the task that it runs: balance_idle_core() */
    bool is_urgent_listed;       /* push.c */
    uint32_t due;                /* DUE_..: runq_unlock() */
    uint32_t pull_seen;          /* the news after which nothing could be pulled from others */
    uint64_t push_next_ticks;    /* no place was found: do not look again before */
    uint64_t balance_next_ticks; /* the same for fair tasks */
    uint64_t active_next_ticks;  /* the same of an idle CPU for crowded cores */
    unsigned balance_looks, imbalance_looks;
    cpu_id_t place_from, push_from, balance_from; /* where the next look begins, where it cannot see all CPUs */
    struct sched_util util; /* of the CPU: time not idle */

    /* Atomic, written under lock, read by anybody as a hint. */
    _Atomic(uint32_t) queued;        /* READY tasks here, misplaced ones included, throttled ones not */
    _Atomic(uint32_t) movable_count;
    _Atomic(bool) is_offered;        /* poked, while idle, to take a task from elsewhere */
    _Atomic(uint32_t) running_rank;  /* rank of `running`, RANK_NOTHING when idle */
    _Atomic(uint32_t) next_rank;     /* of whom the CPU was asked to switch to; means nothing without need_resched */
    _Atomic(uint64_t) idle_since_ticks;    /* when it ran out of work, if it idles */
    _Atomic(uint32_t) active_misses;       /* in a row: balance_idle_core() */
    _Atomic(uint64_t) rotate_next_ticks;   /* fair tasks trade no places with it before */

    struct admission admission;
    struct timer agenda; /* owned by this CPU, interrupts off */
    struct sampler sampler;
    uint32_t throttled;  /* guarded by lock: READY tasks that wait for their next period */
    uint32_t unchecked;  /* guarded by lock: runq_check_switch() */

    struct list_node anchored;       /* guarded by the lock of the anchors (hotplug.c) */

    /* Guarded by lock. Queues of classes of one's own, then the last one, because of its size: a load reaches 2 KiB
     * from its base on some machines. */
#define CLASS_QUEUE(id, name, bytes) ALIGNED(8) char name##_queue[bytes];
    SCHED_CLASSES(CLASS_QUEUE, SCHED_LIST_NOTHING)
#undef CLASS_QUEUE
    struct rt_queue rt;

    /* Not guarded: of this CPU, interrupts disabled. Words beyond cpu_mask_words mean nothing. */
    struct cpumask offers[OFFER_SCAN_MAX]; /* steal_offer() */
};
_Static_assert(offsetof(struct runq, cpu) == 0, "a struct cpu is its run queue");

static ALWAYS_INLINE struct runq *runq_of(struct cpu *cpu)
{
    return (struct runq *)cpu;
}

static ALWAYS_INLINE struct runq *this_runq(void)
{
    return runq_of(this_cpu());
}

static inline struct runq *runq_by_id(cpu_id_t id)
{
    return runq_of(cpu_table[id]);
}

static ALWAYS_INLINE bool is_idle_task(const struct runq *rq, const struct task *task)
{
    return task == rq->cpu.idle_task;
}

/* One number orders tasks of all classes, lower runs first. Real-time tasks have one for each level, another class has
 * one, in the order of the classes. Tasks of one class and rank are ordered by the class's `preempts`. */
#define RANK_STOP 0u
#define RANK_DEADLINE 1u
#define RANK_RT 2u /* + level */
#define RANK_FAIR 128u
#define RANK_IDLE_CLASS 192u
#define RANK_NOTHING 255u
#define RANK_UNKNOWN 256u /* of runq.quiet_from: whoever is queued must be looked at */

/* State edges: asserts that the task is in `from`. */
static ALWAYS_INLINE void task_set_state(struct task *task, enum task_state from, enum task_state to)
{
    ASSERT(task->state == from);
    task->state = to;
}

/* In a class queue, or throttled? Locks: its run queue's. */
static inline bool task_is_queued(const struct task *task)
{
    return task->state == TASK_READY && !task->is_misplaced;
}

/* runq.c: queues of one CPU, all under rq->lock. */
void runq_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind) REQUIRES(rq->lock);
void runq_dequeue(struct runq *rq, struct task *task) REQUIRES(rq->lock);
void runq_misplace(struct runq *rq, struct task *task) REQUIRES(rq->lock); /* READY, in no queue, not allowed here */
/* `task`, which is not the idle task, has run here until now. */
static ALWAYS_INLINE void runq_charge(struct runq *rq, struct task *task, uint64_t now_ticks) REQUIRES(rq->lock)
{
    uint64_t ran = elapsed_ticks(task->since_ticks, now_ticks);

    task->since_ticks = now_ticks;
    task->stats.run_ticks += ran;
    if (task->policy != SCHED_POLICY_FIFO)
        task->class->account(rq, task, ran);
}
void runq_account(struct runq *rq, uint64_t now_ticks) REQUIRES(rq->lock); /* charge the running task */
/* The rank of the running task has changed under way. */
static inline void runq_rerank_running(struct runq *rq, const struct task *task) REQUIRES(rq->lock)
{
    store_relaxed(&rq->running_rank, task->rank);
    rq->quiet_from = RANK_UNKNOWN;
}
/* A task was queued here: the CPU hears of it if that changes what it should run or when its slice ends. Idle CPUs
 * hear of who waits in runq_unlock(). */
void runq_notice_slow(struct runq *rq, struct task *queued) REQUIRES(rq->lock);
/* The commonest case of an event between real-time tasks: no more urgent than what runs, which has no slice. */
static ALWAYS_INLINE bool runq_is_unchanged_by(struct runq *rq, const struct task *queued) REQUIRES(rq->lock)
{
    return LIKELY(queued->rank >= rq->quiet_from);
}
static ALWAYS_INLINE void runq_notice(struct runq *rq, struct task *queued) REQUIRES(rq->lock)
{
    /* ... and nobody else could take it. */
    if (runq_is_unchanged_by(rq, queued) && LIKELY(load_relaxed(&rq->movable_count) == 0))
        return;
    /* ... and it waits behind what is more urgent, whether that has a slice or not. */
    if (queued->rank > load_relaxed(&rq->running_rank) && queued->class != &class_rt &&
        load_relaxed(&rq->movable_count) == 0)
        return;
    runq_notice_slow(rq, queued);
}

/* The task has left its class queue: everything else that counts it. */
static ALWAYS_INLINE void runq_uncount(struct runq *rq, struct task *task) REQUIRES(rq->lock)
{
    store_relaxed(&rq->queued, load_relaxed(&rq->queued) - 1);
    if (UNLIKELY(load_relaxed(&rq->movable_count) != 0) && list_is_linked(&task->movable_link)) {
        list_remove(&task->movable_link);
        store_relaxed(&rq->movable_count, load_relaxed(&rq->movable_count) - 1);
    }
}

NOINLINE void runq_enqueue_by_table(struct runq *rq, struct task *task, enum enqueue_kind kind) REQUIRES(rq->lock);

/* The class's part of it. False: throttled, and not counted. */
static ALWAYS_INLINE bool runq_enqueue_in_class(struct runq *rq, struct task *task, enum enqueue_kind kind)
    REQUIRES(rq->lock)
{
    DEBUG_ASSERT(task->state == TASK_READY && load_relaxed(&task->base.cpu) == &rq->cpu);
    DEBUG_ASSERT(cpumask_contains(&task->affinity, rq->cpu.id));
    if (UNLIKELY(task->policy != SCHED_POLICY_FIFO)) {
        runq_enqueue_by_table(rq, task, kind);
        return !task->is_throttled; /* it counts as one of those */
    }
    class_rt_enqueue_fifo(rq, task, kind);
    return true;
}

/* runq_enqueue() where what it costs is measured, in a switch: only what real-time tasks pass through is inline. */
static ALWAYS_INLINE void runq_enqueue_inline(struct runq *rq, struct task *task, enum enqueue_kind kind)
    REQUIRES(rq->lock)
{
    if (!runq_enqueue_in_class(rq, task, kind))
        return;
    store_relaxed(&rq->queued, load_relaxed(&rq->queued) + 1);
    if (!task->is_pinned && load_relaxed(&cpu_started_count) > 1) { /* there is another CPU for it */
        list_push_back(&rq->movable, &task->movable_link);
        store_relaxed(&rq->movable_count, load_relaxed(&rq->movable_count) + 1);
    }
}

NOINLINE struct task *runq_pick_by_table(struct runq *rq) REQUIRES(rq->lock); /* NULL: only CLASS_BELOW's bit was set */

/* Take the task to run next out of its queue; NULL: nothing queued. */
static ALWAYS_INLINE struct task *runq_pick(struct runq *rq) REQUIRES(rq->lock)
{
    uint32_t up_to_rt = rq->ready_classes & ((2u << CLASS_RT) - 1);
    struct task *task;

    if (LIKELY(up_to_rt == 1u << CLASS_RT))
        task = class_rt_pick(rq);
    else if (rq->ready_classes == 0 || (task = runq_pick_by_table(rq)) == NULL)
        return NULL;

    DEBUG_ASSERT(cpumask_contains(&task->affinity, rq->cpu.id));
    runq_uncount(rq, task);
    return task;
}

/* `running` starts or goes on: program the end of its slice, if somebody waits for that. Own CPU. */
static ALWAYS_INLINE void runq_arm_slice(struct runq *rq, struct task *running, uint64_t now_ticks) REQUIRES(rq->lock)
{
    uint64_t deadline = TIME_NEVER;

    if (LIKELY(running->policy == SCHED_POLICY_FIFO)) { /* so is the idle task, whom everybody changes */
        rq->quiet_from = load_relaxed(&rq->running_rank);
    } else {
        rq->quiet_from = RANK_UNKNOWN;
        uint64_t slice = running->class->slice(rq, running);

        if (slice != TIME_NEVER) {
            deadline = now_ticks + slice;
            timer_program(&rq->cpu, deadline);
        }
    }
    store_relaxed(&rq->cpu.slice_deadline_ticks, deadline);
}
/* Lock the run queue that a task names; interrupts are disabled. */
static ALWAYS_INLINE struct runq *runq_lock_of(struct task *task) NO_LOCK_ANALYSIS
{
    for (;;) {
        struct cpu *cpu = load_relaxed(&task->base.cpu);
        struct runq *rq = runq_of(cpu);

        spin_lock_irqoff(&rq->lock);
        if (LIKELY(load_relaxed(&task->base.cpu) == cpu))
            return rq;
        spin_unlock_irqoff(&rq->lock); /* it moved between the look and the lock */
    }
}

/* `held` is locked; lock `other`, too. False: had to let go of `held` on the way, and the caller must look again. */
bool runq_lock_second(struct runq *held, struct runq *other) NO_LOCK_ANALYSIS;
/* The end of a section that may have called runq_notice(): `rq` is the last run queue that is locked. */
void runq_unlock_due(struct runq *rq, uint32_t due);
static inline void runq_unlock(struct runq *rq) RELEASES(rq->lock) NO_LOCK_ANALYSIS
{
    uint32_t due = rq->due;

    rq->due = 0;
    spin_unlock_irqoff(&rq->lock);
    if (UNLIKELY(due != 0))
        runq_unlock_due(rq, due);
}
/* For class.check: a list of tasks by queue_link. */
uint32_t runq_visit_list(const struct list_node *head, const struct runq *rq, runq_visit_fn visit);
void runq_check(struct runq *rq) REQUIRES(rq->lock); /* debug: counts equal lists */
/* The same at each switch; of a long queue at every n-th, so that its length does not count for what a switch costs. */
void runq_check_switch(struct runq *rq) REQUIRES(rq->lock);

/* stat.c. `prev` was preempted, or is the idle task and gives way: a moment to look at utilisation. */
void stat_note_preempted(struct runq *rq, struct task *prev, uint64_t now_ticks) REQUIRES(rq->lock);

/* switch.c */
enum switch_reason { SWITCH_PREEMPTED, SWITCH_YIELDED, SWITCH_BLOCKED, SWITCH_EXITED };
/* sched_block(); false: nothing here has asked this CPU to switch, and the caller can do without sched_check(). */
bool sched_block_self(struct task *self, enum task_state state, enum wait_mode mode);
void schedule(struct runq *rq, enum switch_reason reason) RELEASES(rq->lock) NO_LOCK_ANALYSIS;
/* Make `rq`'s CPU look at its queue again soon. Context: interrupts disabled. */
void resched_cpu(struct runq *rq);

static inline bool task_is_misplaced_on(const struct task *task, const struct runq *rq)
{
    return load_relaxed(&task->base.cpu) == &rq->cpu && task->is_misplaced; /* in this order: the lock guards it then */
}

/* From an affinity that was just set. */
static inline void task_note_pinned(struct task *task)
{
    task->is_pinned = cpumask_is_single(&task->affinity);
    task->pinned_cpu = task->is_pinned ? cpu_table[cpumask_next(&task->affinity, 0)] : NULL;
}

void affinity_notify_moved(void); /* affinity.c: whoever waits for a task to have left a CPU looks again */

/* A READY task in no queue changes its CPU; both locks held. */
static inline void task_change_cpu(struct task *task, struct runq *from, struct runq *to)
{
    if (task->class->rebase != NULL)
        task->class->rebase(task, from, to);
    store_relaxed(&task->base.cpu, &to->cpu);
    task->arrived_ticks = hal_clock_ticks();
    trace(TRACE_TASK_MIGRATE, task, to->cpu.id);
}

/* A queued task of `from` is queued on `to` from now on; both locks held. The caller notices it there. */
void runq_move(struct runq *from, struct runq *to, struct task *task) NO_LOCK_ANALYSIS;

/* The end of a section that has moved `task` to `to`, whose lock alone is held: `to` notices it in one of its own.
 * Context: interrupts disabled, so it stays a task. */
void runq_unlock_notice(struct runq *to, struct task *task) RELEASES(to->lock) NO_LOCK_ANALYSIS;

/* A move holds two locks, so what it takes to get the queued task out of its queue is done before: is it, and do it. A
 * class without `loosen` takes its tasks out at once. */
static inline bool runq_is_loose(const struct task *task)
{
    return task->class->loosen == NULL || list_is_linked(&task->queue_link);
}
static inline void runq_loosen(struct runq *rq, struct task *task) REQUIRES(rq->lock)
{
    if (!runq_is_loose(task))
        task->class->loosen(rq, task);
}
/* runq_lock_of() for who may take the task out of its queue and put it back: loosened in a hold of its own, if it had
 * to be and nobody has undone that. Interrupts are disabled. */
struct runq *runq_lock_loose(struct task *task) NO_LOCK_ANALYSIS;

/* Of the fair tasks that run or wait here. A hint without the lock. */
static inline uint64_t runq_fair_weight(const struct runq *rq)
{
    return load_relaxed(&rq->fair.shown_weights);
}

#include "spread_priv.h"
#include "inherit_priv.h"
#include "bandwidth_priv.h"
