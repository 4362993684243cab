/* SPDX-License-Identifier: MIT */
/*
 * The inside of the scheduler: the run queue and the interface of a scheduling class.
 *
 * Serialization. Everything about a task's scheduling is guarded by the lock of the run queue that
 * task->base.cpu names; that pointer changes only with the locks of both run queues held. The lock is taken with
 * interrupts disabled; of two, the lower CPU number first, or the second by try. It is held across a context
 * switch and released by the next task (switch.c, finish_switch). No callback into another room runs under it.
 */
#pragma once

#include <hal/clock.h>
#include <k/trace.h>
#include <sched/mutex.h>
#include <sched/sched.h>
#include <smp/spinlock.h>
#include <time/timer.h>

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
     * queue_link is in a list. */
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
    bool is_watching;
    bool is_serving;
    uint64_t window_ns;   /* when the window began */
    uint64_t event_ns;    /* when to look again; TIME_NEVER: not watching */
    uint64_t below_ticks; /* runq.below_rt_ticks then */
};

/* class_fair.c has the meaning and the units. The running task competes, if it is fair, and is in no tree. */
struct fair_queue {
    struct list_node lane;   /* queued tasks, by fair_deadline and by fair_vruntime */
    struct rb_tree tree;     /* others, by fair_tree_deadline; fair_least is the least of a subtree */
    struct list_node unsorted; /* the rest: those that have just come. class_fair_sort() */
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
    uint32_t throttled;  /* guarded by lock: READY tasks that wait for their next period */
    uint32_t unchecked;  /* guarded by lock: runq_check_switch() */

    struct list_node anchored;       /* guarded by the lock of the anchors (hotplug.c) */

    /* Guarded by lock. Queues of classes of one's own, then the last one, because of its size: a load reaches 2 KiB
     * from its base on some machines. */
#define CLASS_QUEUE(id, name, bytes) ALIGNED(8) char name##_queue[bytes];
    SCHED_CLASSES(CLASS_QUEUE, SCHED_LIST_NOTHING)
#undef CLASS_QUEUE
    struct rt_queue rt;

    /* Not guarded: of this CPU, interrupts disabled. Words beyond cpu_mask_words are 0. */
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
/* For class.check: a list of tasks by queue_link. */
uint32_t runq_visit_list(const struct list_node *head, const struct runq *rq, runq_visit_fn visit);
void runq_check(struct runq *rq) REQUIRES(rq->lock); /* debug: counts equal lists */
/* The same at each switch; of a long queue at every n-th, so that its length does not count for what a switch costs. */
void runq_check_switch(struct runq *rq) REQUIRES(rq->lock);

/* stat.c */
/* `prev` was preempted, or is the idle task and gives way: a moment to look at utilisation. */
void stat_note_preempted(struct runq *rq, struct task *prev, uint64_t now_ticks) REQUIRES(rq->lock);

/* switch.c */
enum switch_reason { SWITCH_PREEMPTED, SWITCH_YIELDED, SWITCH_BLOCKED, SWITCH_EXITED };
/* sched_block(); false: nothing here has asked this CPU to switch, and the caller can do without sched_check(). */
bool sched_block_self(struct task *self, enum task_state state, enum wait_mode mode);
void schedule(struct runq *rq, enum switch_reason reason) RELEASES(rq->lock) NO_LOCK_ANALYSIS;
/* Make `rq`'s CPU look at its queue again soon. Context: interrupts disabled. */
void resched_cpu(struct runq *rq);

/* place.c */
#define PLACE_SCAN_MAX 16 /* CPUs compared in one look */
/* What decides where a task may go, copied under its run queue's lock: the search for a CPU holds none. Whoever moves
 * the task then looks again whether it still may. */
struct place_wish {
    uint32_t rank;
    struct cpumask affinity; /* words beyond cpu_mask_words are not set */
};
void place_wish_of(const struct task *task, struct place_wish *out);
static inline void place_copy_mask(const struct cpumask *from, struct cpumask *out)
{
    for (cpu_id_t word = 0; word < cpu_mask_words; word++)
        out->word[word] = from->word[word];
}
void place_mark_idle(struct cpu *cpu, bool is_idle);
bool place_has_idle(void);                   /* a hint */
bool place_is_idle(cpu_id_t id);             /* the same of one */
bool place_is_core_idle(cpu_id_t id);        /* no thread of its core runs anything: a hint */
/* A free CPU of `affinity`, the nearest to `near`, whole cores before threads of busy ones; or CPU_NONE. */
cpu_id_t place_find_idle(const struct cpumask *affinity, const struct cpu *near);
/* The least loaded of up to PLACE_SCAN_MAX allowed CPUs from `from` on; NULL: none is online. */
struct runq *place_least_loaded(const struct place_wish *wish, cpu_id_t from);
/* Does something run there that would not give way to a task of that rank? */
bool place_would_wait(const struct runq *rq, uint32_t rank);
/* Idle or least loaded, for a new task and for one that names `last`. NULL: no CPU of the wish is online any more. A
 * task's affinity always has one, so it is another one by now. */
struct runq *place_choose_start(const struct place_wish *wish);
struct runq *place_search_wake(const struct place_wish *wish, struct runq *last);
/* Does a blocked task that names `last` wake there, without a look at other CPUs? */
static ALWAYS_INLINE bool place_stays(const struct task *task, const struct runq *last)
{
    if (LIKELY(task->pinned_cpu == &last->cpu))
        return true; /* it is online: as long as there is such a task, the CPU cannot go off (hotplug.c) */
    return load_relaxed(&cpu_started_count) == 1 && cpumask_contains(&task->affinity, last->cpu.id);
}

/* The same, also because nobody else wants that CPU. */
static inline bool place_is_free_for(const struct task *task, const struct runq *last)
{
    return place_stays(task, last) ||
           (cpumask_contains(&task->affinity, last->cpu.id) && cpu_is_online(last->cpu.id) &&
            load_relaxed(&last->running_rank) == RANK_NOTHING && load_relaxed(&last->queued) == 0);
}

/* steal.c */
/* One task moved into rq, which idles. */
bool steal_idle(struct runq *rq, bool *out_contended) EXCLUDES(rq->lock);
/* Of the next 24 queued tasks of `victim`, which is locked, the most urgent that may run on `thief`. NULL: none of them
 * may; a further call looks at the next ones. */
struct task *steal_find(struct runq *victim, cpu_id_t thief);
/* `rq` may have movable tasks that it does not run: tell idle CPUs that may take them. Interrupts are disabled. */
void steal_offer(struct runq *rq) EXCLUDES(rq->lock);
/* `rq`'s CPU does not idle, and has said so: was it poked to take other work? Then steal_pass_on() must follow. */
static inline bool steal_was_offered(struct runq *rq)
{
    if (LIKELY(!load_relaxed(&rq->is_offered)))
        return false;
    store_relaxed(&rq->is_offered, false);
    return true;
}
/* Another CPU must hear of what `rq`'s was poked for. The same context as steal_offer(). */
void steal_pass_on(struct runq *rq) EXCLUDES(rq->lock);
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

/* push.c. Those after a switch hold no lock, interrupts are disabled. */
void push_misplaced(struct runq *rq);
void push_waiting(struct runq *rq);
void push_pull_urgent(struct runq *rq);
void push_forget(struct runq *rq) REQUIRES(rq->lock); /* nothing waits here any more: the CPU goes off */
bool push_is_wanted(void); /* a real-time task waits somewhere: a hint */
/* It does, and a task that is none is picked here: is there reason to try and pull it? Only if real-time work has just
 * ended here, or if a CPU has looked in vain since the last try: each of those looks once in SCHED_PUSH_NS. */
bool push_may_pull(struct runq *rq) REQUIRES(rq->lock);
void push_after_pick(struct runq *rq, const struct task *next, uint64_t now) REQUIRES(rq->lock);
/* Somebody waits behind a task that has no slice: look again in a while. Own CPU. */
void push_arm(struct runq *rq, uint64_t now) REQUIRES(rq->lock);

/* balance.c */
/* `next` runs, and tasks that may move wait. Own CPU. */
void balance_after_pick(struct runq *rq, const struct task *next) REQUIRES(rq->lock);
void balance_fair(struct runq *rq);      /* after a switch: no lock, interrupts disabled */
void balance_idle_core(struct runq *rq); /* idle, nothing to steal: a task on a crowded core may come here */

/* class_stop.c. stop_request(): ask the stopper; false if it has been asked already. Context: any, no lock held. */
void stop_init_cpu(struct runq *rq);
bool stop_request(struct runq *rq, struct stop_work *work);

/* monitor.c: both run-queue locks are held, or none. */
void monitor_init(void);
void monitor_stolen(struct runq *rq, const struct runq *from, const struct task *task);
void monitor_overlooked(struct runq *rq) EXCLUDES(rq->lock); /* tasks may wait, and a CPU may be idle */

static inline bool task_is_misplaced_on(const struct task *task, const struct runq *rq)
{
    return load_relaxed(&task->base.cpu) == &rq->cpu && task->is_misplaced; /* in this order: the lock guards it then */
}

/* policy.c: what the queues go by, from parameters that are valid and from what the task inherits. The task is in no
 * queue. `priority` is for show. Locks: both that guard them, or the task is nobody else's yet. */
void policy_apply(struct task *task, const struct sched_params *params, int priority);
void policy_init(struct task *task, int priority); /* of a task that is all zero but for what inherits nothing */
/* `task`, in any state, inherits that much urgency, and no more. True: it is more or less urgent than before. */
bool policy_inherit(struct task *task, struct sched_urgency inherited) REQUIRES(task->pi.lock);
/* Is it more urgent than it is by itself? Then how much, on the scale of priorities. Locks: as task_urgency(). */
bool policy_is_boosted(const struct task *task);
int policy_effective_priority(const struct task *task);

/* How urgent the task is now. Locks: its pi.lock or its run queue's. */
static inline struct sched_urgency task_urgency(const struct task *task)
{
    if (LIKELY(task->rank != RANK_DEADLINE))
        return (struct sched_urgency){ .rank = task->rank };
    uint64_t own_ns = task->is_admitted ? task->pi.due_ns : TIME_NEVER;

    return (struct sched_urgency){ .rank = task->rank,
                                   .deadline_ns = task->is_inherited ? MIN(own_ns, task->deadline.inherited_ns)
                                                                     : own_ns };
}

static inline bool urgency_is_before(struct sched_urgency a, struct sched_urgency b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.deadline_ns < b.deadline_ns;
}

static inline bool urgency_is_equal(struct sched_urgency a, struct sched_urgency b)
{
    return a.rank == b.rank && a.deadline_ns == b.deadline_ns;
}

/* A waiter's record. waitq.c: */
struct waiter {
    struct list_node link; /* guarded by queue->lock */
    struct task *task; /* task->waits_on is the queue, as long as the record is valid; of a mutex: NULL */
    _Atomic(enum waiter_status) status; /* PAIRS(waiter): written under queue->lock, or the mutex's */
    struct timer timer;
};

/* The two halves of waitq_wait_locked(), for who has something to do between joining, which releases the lock, and
 * sleeping; interrupts stay disabled. */
void waiter_join(struct waiter *waiter, struct waitq *queue);
int waiter_sleep(struct waiter *waiter, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;

/* pi.c. A waiter of a mutex: a record on its stack, in the tree from pi_join() to its settlement under mutex->lock. */
struct mutex_waiter {
    struct waiter waiter;
    struct mutex *mutex;
    struct rb_node node;          /* in mutex->waiters; guarded by mutex->lock */
    struct rb_node donor_node;    /* while it is the first there, in the owner's donors; guarded by owner->pi.lock */
    struct sched_urgency urgency; /* by which it stands in both; of a first one, changed under both locks */
    _Atomic(bool) is_expired;     /* its deadline has passed: it settles itself */
    uintptr_t irq_state;          /* of its task, before it began to wait */
};

static inline struct task *mutex_owner(const struct mutex *mutex)
{
    return (struct task *)(load_relaxed(&((struct mutex *)mutex)->owner) & ~(uintptr_t)1);
}

/* All under mutex->lock, which keeps the owner of a mutex with waiters from letting go. True: the owner waits, too, so
 * pi_walk() from it must follow; after a join also pi_waits_for_itself(). */
bool pi_join(struct mutex_waiter *waiter, struct mutex *mutex, struct task *task);
bool pi_leave(struct mutex_waiter *waiter);
/* The mutex passes from `owner`, who runs or is dead, to its most urgent waiter, which is returned, claimed. */
struct mutex_waiter *pi_hand_over(struct mutex *mutex, struct task *owner);

/* The urgency of `task`, of which the caller has a reference, has changed: so may the order of waiters of the mutex
 * that it waits for, and the urgency of that one's owner, and so on. Context: task, no lock held. */
void pi_walk(struct task *task);
/* Does `task`, in a tree of waiters, wait for itself? The same context. */
bool pi_waits_for_itself(struct task *task);
[[noreturn]] void pi_panic_of_circle(struct task *task);
/* The same for a task of `rq`, with the classes that it leaves and joins told. */
void policy_apply_on(struct runq *rq, struct task *task, const struct sched_params *params, int priority)
    REQUIRES(rq->lock);

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

/* A move holds two locks, so what it takes to get the queued task out of its queue is done before: is it, and do it. */
static inline bool runq_is_loose(const struct task *task)
{
    return list_is_linked(&task->queue_link);
}
static inline void runq_loosen(struct runq *rq, struct task *task) REQUIRES(rq->lock)
{
    if (!runq_is_loose(task) && task->class->loosen != NULL)
        task->class->loosen(rq, task);
}

/* Of the fair tasks that run or wait here. A hint without the lock. */
static inline uint64_t runq_fair_weight(const struct runq *rq)
{
    return load_relaxed(&rq->fair.shown_weights);
}

#include "bandwidth_priv.h"
