/* SPDX-License-Identifier: MIT */
/*
 * Processes and threads. A process owns an address space, ids and an exit record; a thread is what a
 * task runs on behalf of a process. Task and process die separately: the parent needs only the record.
 *
 *   process: ALIVE -> ZOMBIE (last thread's exit, tree lock) -> REAPED (the parent's wait, tree lock)
 *   thread:  CREATED -> SCHEDULED (task_create_from_thread, tree lock) -> DEAD (its exit, tree lock)
 */
#pragma once

#include <k/atomic.h>
#include <k/cpumask.h>
#include <k/limits.h>
#include <k/list.h>
#include <k/types.h>
#include <proc/signal.h>
#include <sched/waitq.h>
#include <smp/quiesce.h>

struct space;
struct task;

enum process_state { PROCESS_ALIVE, PROCESS_ZOMBIE, PROCESS_REAPED };
enum thread_state { THREAD_CREATED, THREAD_SCHEDULED, THREAD_DEAD };

/* Options and status words of Linux's wait4(2). */
#define WNOHANG 1u
#define WUNTRACED 2u
#define WCONTINUED 8u
#define WAIT_STATUS_EXITED(code) (((code) & 0xff) << 8)
#define WAIT_STATUS_SIGNALED(sig) ((sig) & 0x7f)

struct process {
    /* Immutable. */
    pid_t pid; /* 0: the kernel's own process */
    char name[TASK_NAME_BYTES];
    struct space *space; /* one reference, given back with the last one to this; NULL for the kernel's own */

    /* Atomic. */
    _Atomic(uint32_t) refs; /* PAIRS(process_ref) */

    /* Guarded by the tree lock. */
    enum process_state state;
    struct process *parent;
    struct list_node children;
    struct list_node sibling;
    struct list_node threads;
    unsigned threads_alive;  /* created and not dead */
    bool had_thread;
    bool is_orphan;          /* its parent died: nobody will wait for it */
    int wait_status;         /* of the thread that ended last; the process's once ZOMBIE */
    struct waitq child_wait; /* its waiters wait for child_events to change */
    _Atomic(uint64_t) child_events; /* PAIRS(child_event): children that became ZOMBIE, ever */
    struct quiesce_head reclaim;

    struct process_signals signals; /* proc/signal.h */
};

struct thread_spec {
    const char *name;
    int (*entry)(void *arg); /* runs in kernel mode on the process's address space */
    void *arg;
    size_t stack_bytes;
    int priority_number;     /* the thread scale: priority_from_thread_number() */
    const struct cpumask *affinity;
    vaddr_t user_stack;      /* kept for user mode */
    uintptr_t tls_base;
    bool uses_fpu;
};

struct thread {
    /* Immutable. */
    struct process *process; /* one reference */
    tid_t tid;
    struct thread_spec spec; /* affinity points at `affinity` below; name at `name` */
    struct cpumask affinity;
    char name[TASK_NAME_BYTES];

    _Atomic(uint32_t) refs;  /* PAIRS(thread_ref) */

    /* Guarded by the tree lock. */
    enum thread_state state;
    struct task *task;       /* while SCHEDULED; no reference: the task unlinks itself before it dies */
    struct list_node link;   /* process->threads */
    _Atomic(int) exit_code;  /* PAIRS(thread_exit): stored before state is DEAD */

    struct thread_signals signals; /* proc/signal.h */
};

/* The kernel's own process: parent of all that have no other. */
extern struct process process_kernel;

/* A process without threads, child of `parent`, with its own address space and one reference for the caller; found by
 * process_lookup() at once. -EINVAL (name), -EAGAIN, -ENOMEM. Context: task. */
int process_create(struct process *parent, const char *name, struct process **out) MUST_USE;
void process_get(struct process *process);
/* The last one gives the process's reference to its space back at once, and the object after a grace period.
 * Context: task, may sleep. */
void process_put(struct process *process);

/* A thread of an ALIVE process (not the kernel's), with one reference for the caller. The first one's
 * tid is the pid. -EINVAL: name, entry or stack (the affinity is looked at when it is scheduled),
 * -ESRCH: the process is dead, -EAGAIN, -ENOMEM. Context: task. */
int thread_create(struct process *process, const struct thread_spec *spec, struct thread **out) MUST_USE;
void thread_get(struct thread *thread);
void thread_put(struct thread *thread);

/* Make the NEW task of a thread: entry, stack, priority, class, affinity, space from the thread; both linked;
 * registered under the thread's tid; *out holds a reference. -EINVAL: pid or tid are not the thread's.
 * -EEXIST: it has a task. -ESRCH: it is dead. -ENOMEM. Context: task. */
int task_create_from_thread(pid_t pid, tid_t tid, struct thread *thread, struct task **out) MUST_USE;

/* Create the thread's task and put it into the run queue of the least loaded online CPU of its affinity.
 * -EINVAL: no such CPU, and then there is no task. Otherwise as task_create_from_thread(). Context: task. */
int thread_schedule(pid_t pid, tid_t tid, struct thread *thread) MUST_USE;

/* A process that never had a thread is taken back; drops its existence. -EBUSY: it has or had one. */
int process_discard(struct process *process) MUST_USE;

/* A thread that was never scheduled is taken back; drops the list's reference. -EBUSY: it has a task or had one. */
int thread_discard(struct thread *thread) MUST_USE;

/* Wait for a child: pid > 0 that one, -1 any. Returns its pid with *out_status set and its record gone; 0 with WNOHANG
 * if there is a child but none has ended. -ECHILD: no such child. -EINVAL: pid or options. -EINTR. Context: task. */
pid_t process_wait(struct process *parent, pid_t pid, unsigned options, int *out_status);

/* Kill every thread of the process. -ESRCH if it is no longer ALIVE. Context: task. */
int process_kill(struct process *process) MUST_USE;

/* The running task's process, or process_kernel. */
struct process *process_current(void);

/* The running task's thread, or NULL: it is the kernel's. */
struct thread *thread_current(void);

unsigned process_count(void);
