/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's promise: a runnable task is never lost and never on two CPUs; no CPU idles while a task that may run
 * there waits, beyond one pass of the idle loop. What other rooms call. Errors are negative errno.
 */
#pragma once

#include <k/compiler.h>
#include <k/cpumask.h>
#include <sched/task.h>

/* Work conservation, in time of the machine: a CPU that sleeps beside work that it may do has been poked, and is awake
 * within this. On an emulator that shares real CPUs it is as late as those are. */
#define SCHED_IDLE_BESIDE_WORK_NS (UINT64_C(1000) * 1000)

/* Real-time order over all CPUs: a real-time task that may move, and waits, is looked after this often. */
#define SCHED_PUSH_NS (UINT64_C(1000) * 1000)

/* Boot: before any CPU's run queue exists. Converts slices to ticks. */
void sched_init(void);

/* How long a fair task runs while others of its class wait. Up to so much, virtual run times stay comparable on every
 * clock. Boot: after sched_init(), before the tables are sealed. */
#define FAIR_SLICE_NS_MAX (100 * NS_PER_SEC)
void sched_set_fair_slice(uint64_t ns);

/* How much of a CPU real-time tasks may use together in a second in which a task of a lower class waits behind them;
 * 100: all of it. How much of a CPU may be promised to deadline tasks; they may use it, whoever waits. 1 to 100. Boot:
 * as above. */
void sched_set_rt_percent(unsigned percent);
void sched_set_deadline_percent(unsigned percent);

/* Does a CPU that runs out of work look for some for a bounded time before it waits for an interrupt? Who wakes it then
 * need not poke it. Not by default. Boot: as above. */
void sched_set_idle_poll(bool polls);

/* Before a CPU goes, it is online still: its deadline tasks are promised, and moved to, other CPUs of their affinity.
 * -EBUSY: they do not all fit there (first come, first served: not every order is tried); nothing has changed. Else
 * nobody is admitted there until deadline_admit_again() says that the CPU is back, or stays. Tasks that run there have
 * been asked to leave. Context: task; of the second: any but irq. */
int deadline_evacuate(cpu_id_t cpu) MUST_USE;
void deadline_admit_again(cpu_id_t cpu);

/* Bytes of a CPU's run queue, which begins with its struct cpu; zeroed, cache-aligned memory. */
size_t sched_cpu_bytes(void);

/* Make that memory CPU `id`, with `idle` (a NEW task, pinned) as what runs when nothing else does. Boot CPU. */
struct cpu *sched_cpu_init(void *memory, cpu_id_t id, uint64_t hw_id, struct task *idle);

/* The running idle task of this CPU says: I schedule from now on, for the first time or again. Context: interrupts
 * disabled, this CPU, which is STARTING. */
void sched_cpu_online(struct cpu *cpu);

/* The idle task's body. Interrupts disabled on entry. */
[[noreturn]] void sched_idle_loop(void);

/* A NEW task will be started: from here on an online CPU of its affinity stays online. For callers for which a failure
 * of task_start() would come too late. -EINVAL: there is none. Context: task. */
int task_admit(struct task *task) MUST_USE;
void task_dismiss(struct task *task); /* it will not be started; also if it was not admitted */

/* Put a NEW task into the run queue of the least loaded ONLINE CPU of its affinity and poke that CPU if
 * it should run it now. -EINVAL: no online CPU in the affinity (the task stays NEW). Context: task. */
int task_start(struct task *task) MUST_USE;
void task_start_admitted(struct task *task); /* the same after task_admit(): it cannot fail */

/* Let others of the same or a higher priority run. A deadline task gives up the rest of its runtime and goes on in its
 * next period. Context: task, not the idle task; preemption and interrupts enabled. */
void task_yield(void);

/* Sleep until the clock passes deadline_ns. 0; -EINTR if killed (at once if killed before). Context: task. */
int task_sleep_until(uint64_t deadline_ns) MUST_USE;
int task_sleep_for(uint64_t ns) MUST_USE;

/* Block until task_wake() (or a wake that came since the last block). May return without one: callers re-check.
 * Context: task, interrupts disabled; returns with interrupts disabled. */
void sched_block(enum task_state state, enum wait_mode mode);

/* Make a blocked task ready; remembered if it is running or ready; ignored if NEW or DEAD. True if this call made it
 * ready. The caller holds a reference or is inside a read section. Context: any, no run-queue lock held. */
bool task_wake(struct task *task);
/* The same for callers that have interrupts disabled, and look with sched_check() when they are enabled again. */
bool task_wake_irqoff(struct task *task);

/* How urgent the running task is, what it inherits included: less is more. Context: preemption disabled. */
uint8_t task_own_rank(void);

/* Ask a task to end: killable waits return -EINTR, now and from now on. It ends when its entry function returns or it
 * exits. -ESRCH if it is dead already. Context: any. */
int task_kill(struct task *task) MUST_USE;
bool task_is_killed(void); /* the running task */

/* The same of any TASK_NOTICE_ (sched/waitq.h): a wait of a mode that listens to one of them ends with -EINTR, now and
 * until it is taken back, and a task that runs in user mode on another CPU comes into the kernel. What the notice
 * stands for was stored before. -ESRCH if it is dead already. Context: any, no run-queue lock held. Order: release. */
int task_notify(struct task *task, uint32_t notices) MUST_USE;
void task_notice_clear(uint32_t notices); /* of the running task. Order: acquire. */

/* Last step of a task's life: DEAD, switch away for ever. exit code and joiners are proc's and already settled.
 * Context: task, interrupts disabled, no locks. */
[[noreturn]] void sched_exit(void);

/* Dead tasks that no CPU stands on any more, oldest first, linked by queue_link; appended to `out`. Context: task. */
void sched_take_dead(struct list_node *out);
/* Called (interrupts disabled, no lock held) when a dead task was listed. Set by proc at boot. */
void sched_set_dead_notify(void (*notify)(void));

/* Allowed CPUs. Effective on return: the task does not run elsewhere after this. -EINVAL: no online CPU in it. -ESRCH:
 * dead. -EBUSY: a deadline task, and no CPU of it has room; nothing has changed. Context: task (waits for another CPU
 * if the task runs there). */
int task_set_affinity(struct task *task, const struct cpumask *mask) MUST_USE;

/* Priority and with it class and policy. -EINVAL: out of range. -ESRCH: dead. Context: task. */
int task_set_priority(struct task *task, int priority) MUST_USE;

/* FIFO or RR for a real-time task; -EINVAL for others. */
int task_set_policy(struct task *task, enum sched_policy policy) MUST_USE;

/* Is the running task where its affinity allows it, or asked to leave? False would be a broken promise: for checks.
 * Context: task. */
bool sched_is_well_placed(void);

/* A copy of the numbers at one moment. */
struct task_snapshot {
    enum task_state state;
    int priority;           /* its own */
    int effective_priority; /* the same, or more urgent while it is boosted: the nearest number of the scale */
    bool is_boosted;        /* it inherits the urgency of somebody who waits for a mutex that it owns */
    enum sched_policy policy; /* that it is scheduled by */
    cpu_id_t cpu;
    struct task_stats stats; /* of a running or ready task: up to now; missed deadlines among them */
    uint64_t user_ticks, system_ticks; /* of stats.run_ticks, exactly: sched/cputime.h */
    uint64_t run_count;      /* times dispatched */
    uint64_t start_ticks;    /* the clock at task_start() */
    uint64_t lifetime_ticks; /* since task_start(), to now or to its death: run + wait + sleep */
    uint64_t sleep_ticks;    /* neither on a CPU nor waiting for one */
    uint32_t utilisation;    /* of UTIL_ONE: sched/util.h */
    const char *class_name;
    uint64_t slice_ticks;    /* round robin, fair and idle class: it runs so long in one go while others wait */
    struct cpumask affinity; /* its own: of a deadline task not only the CPU that has room for it */
    const void *waits_on;    /* of a blocked task: the wait queue, or NULL; to be shown, not to be used */
};
void task_get_snapshot(struct task *task, struct task_snapshot *out);

struct sched_cpu_stats {
    uint64_t switches;
    uint64_t preemptions; /* switches that the running task did not ask for */
    uint64_t steals;
    uint64_t migrations_in;
    uint64_t idle_ticks;
    uint64_t run_ticks;
    uint64_t user_ticks, system_ticks; /* of these, exactly */
    uint64_t pushes;        /* tasks sent away from behind more urgent ones */
    uint64_t pulls;         /* real-time tasks fetched when the last one here was through */
    uint64_t balance_moves; /* fair tasks sent away to even shares out */
    uint64_t active_moves;  /* running tasks sent to an idle core */
    uint64_t idle_beside_work; /* times that SCHED_IDLE_BESIDE_WORK_NS was exceeded, seen by this CPU */
    uint64_t idle_beside_work_ticks_max; /* the longest time, */
    cpu_id_t idle_beside_work_on;        /* and the CPU and the task that waited */
    tid_t idle_beside_work_tid;
    uint64_t elapsed_ticks; /* since it is online: run + idle, exactly */
    unsigned queued; /* READY tasks, the running one not counted */
    uint32_t utilisation;   /* of UTIL_ONE */
    uint32_t ready_classes; /* bit i: the class of sched_class_name(i) has queued tasks */
    tid_t running_tid;      /* 0: it idles */
    char running_name[TASK_NAME_BYTES];
};
const char *sched_class_name(unsigned index); /* in the order of precedence; NULL: there are no more */
void sched_cpu_stats_get(cpu_id_t cpu, struct sched_cpu_stats *out);

/* Let panic describe CPUs and know stack bounds. Boot. */
void sched_register_panic_hooks(void);

/* Sum over CPUs and states, for conservation checks: one moment of the whole machine. */
struct sched_census {
    uint64_t started;  /* NEW -> READY, ever */
    uint64_t died;     /* RUNNING -> DEAD, ever */
    uint64_t queued;
    uint64_t running;  /* idle tasks not counted */
    uint64_t blocked;  /* BLOCKED, SLEEPING, STOPPED */
};
void sched_census_get(struct sched_census *out);
