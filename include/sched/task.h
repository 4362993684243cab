/* SPDX-License-Identifier: MIT */
/*
 * A task: one schedulable thread of control. proc makes it, sched runs it, proc's reaper frees it.
 * sched never allocates.
 *
 * States and the only legal edges ("own" = of the CPU it runs on, "target" = of the CPU it will run on):
 *
 *   from      to                          who                                     under
 *   NEW       READY                       task_start                              target run-queue lock
 *   READY     RUNNING                     schedule                                own run-queue lock
 *   RUNNING   READY                       schedule (preempted, yielded)           own run-queue lock
 *   RUNNING   BLOCKED, SLEEPING, STOPPED  schedule, after joining a queue         own run-queue lock
 *   BLOCKED.. READY                       the waker that finds it in that state   lock of its queue, and target
 *   RUNNING   DEAD                        task_exit, its last step                own run-queue lock
 *   DEAD      (freed)                     reaper: off its CPU, references gone, grace period passed
 *
 * A run-queue lock is held ACROSS the switch and released by the next task. So whoever holds the lock of the CPU that a
 * task names sees it either running or completely saved: a waker never waits for a switch to finish, and never
 * enqueues a task whose stack is in use.
 */
#pragma once

#include <k/atomic.h>
#include <k/cpumask.h>
#include <k/limits.h>
#include <k/list.h>
#include <lib/rbtree.h>
#include <sched/cputime.h>
#include <sched/params.h>
#include <sched/pi.h>
#include <sched/priority.h>
#include <sched/util.h>
#include <sched/waitq.h>
#include <smp/cpu.h>

enum task_state { TASK_NEW, TASK_READY, TASK_RUNNING, TASK_BLOCKED, TASK_SLEEPING, TASK_STOPPED, TASK_DEAD };

static inline bool task_state_is_blocked(enum task_state state)
{
    return state == TASK_BLOCKED || state == TASK_SLEEPING || state == TASK_STOPPED;
}

struct sched_class;
struct tlb_space;

struct task_stats {
    uint64_t run_ticks;     /* on a CPU */
    uint64_t wait_ticks;    /* ready, waiting for a CPU */
    uint64_t wake_to_run_ticks_max;
    uint64_t voluntary;     /* switches away by blocking, yielding, exiting */
    uint64_t involuntary;   /* switches away by preemption */
    uint64_t migrations;
    uint64_t deadline_misses;      /* deadlines at which it wanted to run and had not had its runtime */
    uint64_t deadline_overruns;    /* periods in which it wanted more than its runtime, and was throttled */
    uint64_t deadline_late_ns_max; /* worst: when it had its runtime, after the deadline */
};

/* What a task of the deadline class carries: class_deadline.c. Times are absolute, since boot. */
struct task_deadline {
    /* Guarded by the run-queue lock of base.cpu. */
    struct rb_node node;    /* among the ready ones by key_ns, or the throttled ones by next_ns */
    uint64_t key_ns;        /* what it is ordered by: due_ns, or the inherited deadline if that is earlier */
    uint64_t due_ns;        /* its deadline in this period */
    uint64_t release_ns;    /* when this period began */
    uint64_t next_ns;       /* it waits for this; 0: it does not */
    uint64_t inherited_ns;  /* is_inherited: a deadline of somebody who waits for it */
    int64_t left_ticks;     /* of its runtime; below 0: taken off the next period's */
    bool is_counted;        /* this period's deadline has been missed, and counted */
    uint64_t runtime_ticks; /* what each period brings */
    uint64_t deadline_ns;   /* after the beginning of a period */
    uint64_t period_ns;
    struct cpumask allowed; /* its own affinity, while `affinity` is the CPU that has room for it */

    /* Guarded by the admission lock: admit.c. */
    struct list_node home_link; /* of the run queue's admitted tasks */
    cpu_id_t home;
    uint64_t density_low; /* runtime / deadline, rounded down; 1 is 2^60 */
    bool density_is_cut;  /* and that is not exact */
    cpu_id_t evacuated_from;
};

struct task {
    struct task_base base; /* first: HAL context, CPU, preemption count */

    /* Guarded by the run-queue lock of base.cpu. */
    enum task_state state;
    union {
        struct {
            bool wake_pending;    /* a wake that found it running or ready: its next block returns at once */
            bool is_leaving;      /* RUNNING where its affinity no longer allows it */
            bool is_move_awaited; /* somebody waits for it to leave its CPU */
        };
        uint32_t attention; /* 0: none of these; one look for a task that blocks */
    };
    enum wait_mode wait_mode; /* of its last block: whether a kill ends it */
    /* Written with pi.lock held, too: either of the two guards a read of what follows, up to `class`. */
    struct sched_params params; /* its own: what was asked for */
    uint8_t priority;    /* 0..99, its own */
    /* What the queues go by; policy.c makes it from the above and from what the task inherits. */
    uint8_t rt_level;    /* 0..99, real-time only */
    uint8_t rank;        /* order over all classes, lower runs first */
    enum sched_policy policy;
    const struct sched_class *class;
    bool is_admitted;               /* to the deadline class; written with the admission lock held, too */
    bool is_throttled;              /* READY in the run queue's throttled tree, in no class queue, not in `queued` */
    bool is_inherited;              /* in the deadline class by inheritance; written with pi.lock held, too */
    /* Not cleared by task_init(), but set: the two links. */
    struct list_node queue_link;    /* real-time and idle queues, the fair lane and the unsorted */
    struct list_node movable_link;  /* run queue's list of tasks that other CPUs may take */
    /* Cleared. */
    bool is_woken;                  /* became READY by a wake, the last time but for moves */
    bool is_misplaced;              /* READY in runq.misplaced, not in a class queue */
    _Atomic(bool) is_user;          /* PAIRS(user_poke): it goes to user mode, and must be told of notices there */
    /* Not cleared: valid from the first enqueue on.
     * Fair: while it competes, that is, is queued or runs. Units: class_fair.c. */
    uint64_t fair_vruntime;
    uint64_t fair_deadline;
    /* While fair_node is in the tree, perhaps a little longer than the task is queued: the two when it came there. */
    struct rb_node fair_node;
    uint64_t fair_tree_vruntime;
    uint64_t fair_tree_deadline;
    uint64_t fair_least;            /* of the subtree below fair_node: the least fair_tree_vruntime */
    /* Cleared: and while it does not. */
    int64_t fair_lag;               /* what it was owed */
    int64_t fair_left_request;      /* what it had left of what it asked for */
    /* Not cleared: valid with a fair_lag that is not 0, and from the class's `adopt` on. */
    uint64_t fair_left_vtime;       /* the queue's clock when it left */
    uint32_t fair_left_period;
    uint32_t fair_weight;
    uint32_t fair_inverse_weight;   /* 2^32 / weight, rounded up */
    uint64_t fair_request;          /* slice_ticks on its virtual clock */
    uint64_t slice_ticks;           /* round robin and fair: its own, or the system's */
    /* Cleared, up to tid. */
    uint64_t slice_left_ticks;      /* round robin and idle class */
    uint64_t since_ticks;           /* when the present state began */
    uint64_t arrived_ticks;         /* when it came to its CPU from another; 0: it started there */
    uint64_t allowed_since_ticks;   /* when its affinity was set */
    bool is_pinned;                 /* affinity has one CPU */
    bool is_anchored;               /* anchor_link is in a list; guarded like it */
    struct cpu *pinned_cpu;         /* that one, if it exists; else NULL */
    struct task_stats stats;
    struct cputime cputime;
    struct waitq *waits_on;         /* while blocked in a wait queue: that one; stale otherwise */
    uint64_t start_ticks;           /* when it became READY for the first time */
    struct sched_util util;

    struct pi_task pi; /* guarded by pi.lock */

    /* Atomic. */
    _Atomic(uint32_t) refs;         /* PAIRS(task_ref) */
    _Atomic(uint32_t) notices;      /* PAIRS(task_notice): TASK_NOTICE_ bits, set before the wake that one causes */
    uint32_t mutexes_held;          /* owned by the task */

    /* Guarded by exit_waiters.lock. */
    struct waitq exit_waiters;
    bool has_exited;
    int exit_code;

    /* Immutable after task_init(). */
    tid_t tid;
    pid_t pid;
    tid_t parent_tid;
    char name[TASK_NAME_BYTES];
    void (*entry)(void *arg);
    void *arg;
    vaddr_t stack_base;
    size_t stack_bytes;
    /* Cleared: the two. */
    vaddr_t user_stack;  /* of a thread: for user mode */
    uintptr_t tls_base;  /* of a thread: for user mode */
    /* What tlb_switch() gets; sched knows no more of a space. NULL: the kernel's tables do. Owned by the running task:
     * exit leaves the space. */
    struct tlb_space *space;
    void *fpu_area;     /* NULL: no floating point */
    bool has_extras;    /* began with one of these two: a switch has more to do than the registers */

    /* What follows is not cleared by task_init(). */
    struct list_node anchor_link; /* valid if is_anchored; guarded by the lock of the anchors (core/sched/hotplug.c) */
    struct cpumask affinity; /* guarded by the run-queue lock of base.cpu */
    struct task_deadline deadline; /* valid if is_admitted, and as far as inheritance needs it if is_inherited */

    /* For a class of one's own, guarded by the run-queue lock of base.cpu: valid from its `adopt` and `join` on. */
    struct rb_node class_node;
    uint64_t class_word[2];
};
_Static_assert(offsetof(struct task, base) == 0, "hal_current() is a task_base");
_Static_assert(offsetof(struct task_base, context) == 0, "a task is its HAL context");

/* What task_init() needs; every pointer is the caller's to keep valid. */
struct task_params {
    tid_t tid;
    pid_t pid;
    tid_t parent_tid;
    const char *name; /* copied, cut at TASK_NAME_BYTES - 1 */
    void (*entry)(void *arg);
    void *arg;
    vaddr_t stack_base;
    size_t stack_bytes;
    size_t stack_reserved;          /* of these, at the top, left alone: a multiple of HAL_STACK_ALIGN */
    struct tlb_space *space;
    void *fpu_area;
    int priority;                   /* 0..99 */
    const struct cpumask *affinity; /* NULL: all */
};

/* Make a NEW task with one reference. Cannot fail: the caller has checked everything. Context: task. */
void task_init(struct task *task, const struct task_params *params);

static ALWAYS_INLINE struct task *current_task(void)
{
    return hal_current();
}

/* References keep the memory of a task, not the task, alive. */
void task_get(struct task *task);
/* 0 references: false, and the task may be freed at the end of this read section. Context: preemption disabled. */
bool task_try_get(struct task *task) MUST_USE;

/* Drop a reference; the last one hands the task to the `release` that proc registered. Context: any, no
 * lock of rank LOCK_TIMER or above held. */
void task_put(struct task *task);
void task_set_release(void (*release)(struct task *task));

const char *task_state_name(enum task_state state);
