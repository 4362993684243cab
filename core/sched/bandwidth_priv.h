/* SPDX-License-Identifier: MIT */
/*
 * The part of sched_priv.h, which includes it, that is about time promised and limited: the deadline class, its
 * admission, the limit of real-time tasks, and the timer of both.
 */
#pragma once

/* agenda.c: what a CPU has to do at a time, for bandwidth. `rq`'s CPU will look at ns_at or soon after. Callable from
 * any CPU: only the CPU itself can arm a timer, and no timer can be armed under a run-queue lock. */
void agenda_init(struct runq *rq);
void agenda_want(struct runq *rq, uint64_t at_ns) REQUIRES(rq->lock);
void agenda_arm(struct runq *rq); /* own CPU, interrupts disabled, no lock: AFTER_AGENDA */
void agenda_close(struct runq *rq); /* the CPU goes off, and has no tasks: the same context */

/* rt_limit.c. A task of another class than the real-time one was queued while one of those runs or is queued, or the
 * other way round. */
void rt_limit_look(struct runq *rq) REQUIRES(rq->lock);
void rt_limit_forget(struct runq *rq) REQUIRES(rq->lock); /* nobody is here to be limited */
uint64_t rt_limit_event(struct runq *rq, uint64_t now_ns) REQUIRES(rq->lock); /* when to come again, or TIME_NEVER */

/* class_deadline.c */
uint64_t deadline_runtime_ticks(uint64_t ns); /* rounded down */
uint64_t deadline_next_ns(const struct runq *rq) REQUIRES(rq->lock); /* the first replenishment; TIME_NEVER: none */
/* One throttled task whose time has come becomes ready. False: there is none. */
bool deadline_replenish_one(struct runq *rq, uint64_t now_ns) REQUIRES(rq->lock);
/* The task, in no queue, begins a period now, or when what it has used of its last one is no more than its share, by
 * its old numbers: with them still in place. */
void deadline_begin(struct task *task, uint64_t now_ns);
void deadline_begin_at(struct task *task, uint64_t start_ns, uint64_t now_ns);
uint64_t deadline_free_ns(const struct task *task, uint64_t now_ns);
/* It has come to another CPU, whose admission knows it from now on. */
void deadline_rehome(struct task *task, uint64_t now_ns);

/*
 * Priority inheritance: the task, in no queue, whoever it is, competes in the deadline class with this absolute
 * deadline, or with its own if that is earlier and it has one. Until the end of it, it is not throttled; a deadline
 * task of its own goes on using up its runtime meanwhile, and pays later. Its CPU and affinity stay. Again with another
 * deadline: that one counts. deadline_end_inherited() ends it: the task, in no queue, is a deadline task again if it
 * is_admitted; otherwise policy_apply() must follow at once. Under the lock of the run queue that it names; the caller
 * dequeues and enqueues, or tells a running one's CPU (running_rank, resched_cpu()).
 */
void deadline_inherit(struct task *task, uint64_t deadline_ns);
void deadline_end_inherited(struct task *task);

/* admit.c: the books. The lock is taken before any run queue's, in task context or where a dead task is listed. */
#define ADMITTED_MAX 256u /* deadline tasks of one CPU */
extern struct spinlock admit_books;
struct density {
    uint64_t low; /* with 60 bits after the point, rounded down */
    bool is_cut;  /* it is more than that */
};
struct density admit_density(uint64_t runtime_ns, uint64_t deadline_ns);
/* A CPU of `allowed`, but not `except`, with room for the task with these numbers, whatever the task has now: `prefer`
 * among equals, else the fullest. CPU_NONE: there is none. */
cpu_id_t admit_find_locked(const struct task *task, const struct sched_params *params, const struct cpumask *allowed,
                           cpu_id_t prefer, cpu_id_t except) REQUIRES(admit_books);
bool admit_fits_locked(const struct task *task, const struct sched_params *params, cpu_id_t cpu) REQUIRES(admit_books);
/* Book the task there, instead of where it was booked. What it leaves on another CPU is free at free_ns. */
void admit_take_locked(struct task *task, const struct sched_params *params, cpu_id_t cpu, uint64_t free_ns)
    REQUIRES(admit_books);
void admit_give_locked(struct task *task, uint64_t free_ns) REQUIRES(admit_books);
void admit_init_runq(struct runq *rq);

/* deadline.c */
/* The task becomes, or stays, a deadline task: with these parameters (NULL: as they are), on these CPUs (NULL: as they
 * are). -EBUSY: no room; -ESRCH: dead; -EAGAIN: without params, and it is none any more. Nothing has changed then.
 * Context: task, may sleep. */
int deadline_change(struct task *task, const struct sched_params *params, const struct cpumask *mask);
/* It stops being one; in no queue. */
void deadline_leave_locked(struct runq *rq, struct task *task) REQUIRES(admit_books) REQUIRES(rq->lock);
void deadline_release_dead(struct task *task); /* DEAD, off its CPU; no lock held */
