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

enum class_id { CLASS_RT, CLASS_FAIR, CLASS_IDLE, CLASS_COUNT };

struct runq;

/* A scheduling class. All operations run under rq->lock; none sleeps, switches or wakes. A running task is in no queue.
 * A class that has queued tasks has its bit in rq->ready_classes: enqueue sets it, dequeue and pick clear it. */
struct sched_class {
    const char *name;
    enum class_id id; /* its place in sched_classes[]: lower runs first */

    void (*enqueue)(struct runq *rq, struct task *task, enum enqueue_kind kind);
    void (*dequeue)(struct runq *rq, struct task *task);
    /* Remove and return the task to run next. The class has at least one. */
    struct task *(*pick)(struct runq *rq);
    /* `task` has run for ran_ticks since it was last accounted. */
    void (*account)(struct runq *rq, struct task *task, uint64_t ran_ticks);
    /* Should `woken` run instead of `running`, both of this class and equal rank? NULL: never. */
    bool (*preempts)(struct runq *rq, const struct task *woken, const struct task *running);
    /* Ticks that `task`, about to run, may run before others must be considered; TIME_NEVER if nobody
     * waits for that. */
    uint64_t (*slice)(struct runq *rq, struct task *task);
    /* These are NULL where a class has nothing to do. `task` is in no queue.
     * It changes its run queue: what it carries relative to one. */
    void (*rebase)(struct task *task, struct runq *from, struct runq *to);
    /* It ran, has been accounted, and blocks or exits. Not called for FIFO tasks. */
    void (*block)(struct runq *rq, struct task *task);
    /* It becomes one of this class, or stops being one, running, queued or blocked here; its parameters are set. */
    void (*join)(struct runq *rq, struct task *task);
    void (*leave)(struct runq *rq, struct task *task);
};

extern const struct sched_class *const sched_classes[CLASS_COUNT];
extern const struct sched_class class_rt, class_fair, class_idle;

/* The class whose latency counts is called directly, so that link-time optimisation can inline it; the others through
 * the table. */
void class_rt_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind);
struct task *class_rt_pick(struct runq *rq);

/* Slices in ticks, from nanoseconds, once. */
struct sched_tunables {
    uint64_t rr_slice_ticks;
    uint64_t fair_slice_ticks;
    uint64_t util_unit_ticks;
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
    struct list_node level[RT_LEVELS];
};

struct fair_queue {
    struct rb_tree tree;   /* by fair_vruntime */
    uint64_t vruntime_min; /* never goes back */
};

/* What remains to be done after a switch, by the next task: bits of runq.after_switch. */
#define AFTER_DEAD 0x1u      /* the previous task is dead: list it */
#define AFTER_MISPLACED 0x2u /* tasks in runq.misplaced must move to a CPU of their affinity */
#define AFTER_MOVED 0x4u     /* somebody waits for the previous task to have left the CPU */

struct runq {
    struct cpu cpu; /* first: a struct cpu is its run queue */

    CACHE_ALIGNED struct spinlock lock;

    /* Guarded by lock. */
    struct task *running;
    struct task *switched_from; /* set before a switch, read by finish_switch */
    uint32_t after_switch;
    uint32_t ready_classes;     /* bit per class that has queued tasks */
    struct fair_queue fair;
    struct list_node idle_tasks; /* of the idle class; the CPU's own idle task is in no queue */
    struct list_node movable;    /* queued tasks whose affinity has other CPUs, oldest first */
    struct list_node misplaced;  /* READY, not allowed here, in no class queue */
    uint64_t started, died;      /* census */
    uint64_t online_ticks;       /* when the CPU began to schedule */
    int64_t blocked;             /* tasks that name this CPU while blocked */
    struct sched_cpu_stats stats;
    struct sched_util util; /* of the CPU: time not idle */

    /* Atomic, written under lock, read by anybody as a hint. */
    _Atomic(uint32_t) queued;        /* READY tasks here, misplaced ones included */
    _Atomic(uint32_t) movable_count;
    _Atomic(bool) is_offered;        /* poked, while idle, to take a task from elsewhere */
    _Atomic(uint32_t) running_rank;  /* rank of `running`, RANK_NOTHING when idle */

    /* Guarded by lock. The last one, because of its size: a load reaches 2 KiB from its base on some machines. */
    struct rt_queue rt;
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

/* One number orders tasks of all classes, lower runs first. Real-time tasks have one for each level. Tasks of one class
 * and rank are ordered by the class's `preempts`. */
#define RANK_RT 2u /* + level; those below are for classes that come before it */
#define RANK_FAIR 128u
#define RANK_IDLE_CLASS 192u
#define RANK_NOTHING 255u

/* State edges: asserts that the task is in `from`. */
static ALWAYS_INLINE void task_set_state(struct task *task, enum task_state from, enum task_state to)
{
    ASSERT(task->state == from);
    task->state = to;
}

/* runq.c: queues of one CPU, all under rq->lock. */
void runq_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind) REQUIRES(rq->lock);
void runq_dequeue(struct runq *rq, struct task *task) REQUIRES(rq->lock);
void runq_misplace(struct runq *rq, struct task *task) REQUIRES(rq->lock); /* READY, in no queue, not allowed here */
void runq_account(struct runq *rq, uint64_t now_ticks) REQUIRES(rq->lock); /* charge the running task */
/* A task was queued here: the CPU hears of it if that changes what it should run or when its slice ends. */
void runq_notice_slow(struct runq *rq, struct task *queued) REQUIRES(rq->lock);
static ALWAYS_INLINE void runq_notice(struct runq *rq, struct task *queued) REQUIRES(rq->lock)
{
    /* The commonest case of an event between real-time tasks: no more urgent, no slice, nobody else could take it. */
    if (LIKELY(queued->rank >= load_relaxed(&rq->running_rank) && rq->running->policy == SCHED_POLICY_FIFO &&
               load_relaxed(&rq->movable_count) == 0))
        return;
    runq_notice_slow(rq, queued);
}

/* The task has left its class queue: everything else that counts it. */
static ALWAYS_INLINE void runq_uncount(struct runq *rq, struct task *task) REQUIRES(rq->lock)
{
    store_relaxed(&rq->queued, load_relaxed(&rq->queued) - 1);
    if (list_is_linked(&task->movable_link)) {
        list_remove(&task->movable_link);
        store_relaxed(&rq->movable_count, load_relaxed(&rq->movable_count) - 1);
    }
}

struct task *runq_pick_by_table(struct runq *rq) REQUIRES(rq->lock); /* some class has a task */

/* Take the task to run next out of its queue; NULL: nothing queued. */
static ALWAYS_INLINE struct task *runq_pick(struct runq *rq) REQUIRES(rq->lock)
{
    if (rq->ready_classes == 0)
        return NULL;
    uint32_t up_to_rt = rq->ready_classes & ((2u << CLASS_RT) - 1);
    struct task *task;

    if (LIKELY(up_to_rt == 1u << CLASS_RT))
        task = class_rt_pick(rq);
    else
        task = runq_pick_by_table(rq);

    DEBUG_ASSERT(cpumask_contains(&task->affinity, rq->cpu.id));
    runq_uncount(rq, task);
    return task;
}

/* `running` starts or goes on: program the end of its slice, if somebody waits for that. Own CPU. */
static ALWAYS_INLINE void runq_arm_slice(struct runq *rq, struct task *running, uint64_t now_ticks) REQUIRES(rq->lock)
{
    uint64_t deadline = TIME_NEVER;

    if (running->policy != SCHED_POLICY_FIFO) {
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
void runq_check(struct runq *rq) REQUIRES(rq->lock); /* debug: counts equal lists */

/* stat.c */
/* `prev` was preempted, or is the idle task and gives way: a moment to look at utilisation. */
void stat_note_preempted(struct runq *rq, struct task *prev, uint64_t now_ticks) REQUIRES(rq->lock);

/* switch.c */
enum switch_reason { SWITCH_PREEMPTED, SWITCH_YIELDED, SWITCH_BLOCKED, SWITCH_EXITED };
void schedule(struct runq *rq, enum switch_reason reason) RELEASES(rq->lock) NO_LOCK_ANALYSIS;
/* Make `rq`'s CPU look at its queue again soon. Context: interrupts disabled. */
void resched_cpu(struct runq *rq);

/* balance.c */
struct runq *balance_choose_start(struct task *task);              /* least loaded; NULL: no online CPU allowed */
struct runq *balance_search_wake(struct task *task, struct runq *last);
/* Does a blocked task that names `last` wake there, without a look at other CPUs? */
static ALWAYS_INLINE bool balance_stays(const struct task *task, const struct runq *last)
{
    return (task->is_pinned || load_relaxed(&cpu_online_count) == 1) && cpumask_contains(&task->affinity, last->cpu.id);
}

/* Where a blocked task that names `last` should run. */
static inline struct runq *balance_choose_wake(struct task *task, struct runq *last)
{
    return balance_stays(task, last) ? last : balance_search_wake(task, last);
}
bool balance_steal(struct runq *rq, bool *out_contended) REQUIRES(rq->lock); /* one task moved into rq */
/* `rq` has movable tasks that it does not run: tell idle CPUs that may take them. */
void balance_offer(struct runq *rq) REQUIRES(rq->lock);
/* `rq`'s CPU leaves idle with work of its own: if it was poked to take other work, another CPU must hear of that. */
void balance_pass_on(struct runq *rq) REQUIRES(rq->lock);
void balance_mark_idle(struct cpu *cpu, bool is_idle);
void balance_push_misplaced(struct runq *rq);

static inline bool task_is_misplaced_on(const struct task *task, const struct runq *rq)
{
    return load_relaxed(&task->base.cpu) == &rq->cpu && task->is_misplaced; /* in this order: the lock guards it then */
}

/* wake.c: task_wake() for callers that have interrupts disabled and call sched_irq_restore() later. */
bool task_wake_irqoff(struct task *task);

/* policy.c: what the queues go by, from parameters that are valid. The task is in no queue. `priority` is for show. */
void policy_apply(struct task *task, const struct sched_params *params, int priority);

/* affinity.c */
void affinity_notify_moved(void);

/* A READY task in no queue changes its CPU; both locks held. */
static inline void task_change_cpu(struct task *task, struct runq *from, struct runq *to)
{
    if (task->class->rebase != NULL)
        task->class->rebase(task, from, to);
    store_relaxed(&task->base.cpu, &to->cpu);
    trace(TRACE_TASK_MIGRATE, task, to->cpu.id);
}
