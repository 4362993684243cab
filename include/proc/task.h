/* SPDX-License-Identifier: MIT */
/*
 * The life of a task: create, exit, join, reclaim. Creation does every step that can fail first, each
 * undone in reverse; exit publishes the code, leaves, and is reclaimed by the reaper once its CPU has
 * left its stack, nobody holds a reference, and a grace period has passed.
 */
#pragma once

#include <k/cpumask.h>
#include <sched/task.h>

struct space;

/* A kernel task. `entry` returns the exit code, or calls task_exit(). */
struct task_spec {
    const char *name;               /* not empty */
    int (*entry)(void *arg);        /* not NULL */
    void *arg;
    size_t stack_bytes;             /* rounded up to pages; 1..STACK_BYTES_MAX */
    int priority;                   /* 0..99; class and policy follow */
    const struct cpumask *affinity; /* NULL: all CPUs */
    bool uses_fpu;                  /* it may use floating-point and vector registers */
};

/* Boot: caches and the reaper's task. */
void proc_init(void);

/* Create, register and start a task. Returns its tid (> 0), and in *out (if not NULL) a counted reference.
 * -EINVAL: name, entry, stack, priority, or no online CPU in the affinity. -EAGAIN: no id left. -ENOMEM: also after the
 * reaper made one pass. On failure nothing is left behind. Context: task, may sleep. */
tid_t task_create(const struct task_spec *spec, struct task **out);

/* The same without the second try after a pass of the reaper. */
tid_t task_try_create(const struct task_spec *spec, struct task **out);

/* End the running task. The code is visible to joiners before they are woken. Context: task, no mutex held. */
[[noreturn]] void task_exit(int code);

/* Wait until `task` has exited; *out_code (if not NULL) is its code. The caller's reference stays its own.
 * -EDEADLK: itself. -ETIMEDOUT, -EINTR as for any wait. Context: task. */
int task_join(struct task *task, int *out_code, uint64_t deadline_ns) MUST_USE;

/* Wait until the reaper has finished a pass that began after this call: everything that was dead and unreferenced
 * before is free. Context: task. */
void reaper_wait_pass(void);
/* The same, for who waits for nothing but that: CPUs that hold a grace period up are poked at once. */
void reaper_hurry_pass(void);

/* How long a few dead tasks may wait for a pass, which begins by itself when there are many. TIME_NEVER: so long, or
 * until somebody waits for one. For runs whose order must not depend on time. Context: any. */
void reaper_set_patience(uint64_t ns);

/* Repeat passes and empty the reuse caches until nothing is left to free: for checks of counts. Context: task. */
void proc_reclaim_all(void);
/* The same of what is dead already, in a bounded time, however many die meanwhile. Context: task. */
void proc_reclaim_now(void);

struct proc_stats {
    uint64_t tasks_created;
    uint64_t tasks_reclaimed;
    uint64_t tasks_alive; /* objects that exist */
};
void proc_stats_get(struct proc_stats *out);
