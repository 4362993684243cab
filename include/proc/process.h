/* SPDX-License-Identifier: MIT */
/*
 * Processes and threads. A process owns an address space, ids and an exit record; a thread is what a
 * task runs on behalf of a process. Task and process die separately: the parent needs only the record.
 *
 *   process: ALIVE -> ZOMBIE (last thread's exit, tree lock) -> REAPED (the parent's wait, tree lock)
 *   thread:  CREATED -> SCHEDULED (task_create_from_thread, tree lock) -> DEAD (its exit, tree lock)
 *
 * A process that runs programs has more: its threads carry what their user shares with whom (struct thread_user), it is
 * in a group and a session (proc/group.h), and its children who lose it go to the nearest subreaper or to the first
 * process. exec and the end of all threads go by two facts, both under the tree lock: `executing`, the thread that
 * waits until it is alone, and `is_exiting`, after which every thread ends and exit_status is the process's. While
 * either holds, the process gets no more threads.
 */
#pragma once

#include <k/atomic.h>
#include <k/cpumask.h>
#include <k/limits.h>
#include <k/list.h>
#include <k/types.h>
#include <proc/futex.h>
#include <proc/signal.h>
#include <sched/waitq.h>
#include <smp/quiesce.h>

struct cred;
struct fd_table;
struct fs_context;
struct hal_trap;
struct process_group;
struct space;
struct task;
struct thread;
struct user_count;

enum process_state { PROCESS_ALIVE, PROCESS_ZOMBIE, PROCESS_REAPED };
enum thread_state { THREAD_CREATED, THREAD_SCHEDULED, THREAD_DEAD };

/* Options and status words of Linux's wait4(2). */
#define WNOHANG 1u
#define WUNTRACED 2u
#define WCONTINUED 8u
#define WAIT_STATUS_EXITED(code) (((code) & 0xff) << 8)
#define WAIT_STATUS_SIGNALED(sig) ((sig) & 0x7f)

#define PROCESS_SIGKILL 9
#define PROCESS_SIGCHLD 17

#define PROCESS_LIMITS 16 /* getrlimit(2): RLIM_NLIMITS */
struct process_limit {
    uint64_t soft, hard; /* UINT64_MAX: none */
};

/* What its threads, or its children that were waited for, have used. */
struct process_usage {
    uint64_t user_ticks, system_ticks; /* the sum is exact: sched/cputime.h */
    uint64_t faults;
    uint64_t resident_pages_max; /* of the last address space at its end; of children: the largest of them */
    uint64_t voluntary, involuntary;
};

/* What happened to a process that goes on, until its parent hears of it. */
struct program;

enum process_news { PROCESS_NEWS_NONE, PROCESS_NEWS_STOPPED, PROCESS_NEWS_CONTINUED };

struct process {
    /* Immutable. */
    pid_t pid; /* 0: the kernel's own process */
    bool has_user; /* it runs programs */

    /* Written by its one thread (exec, prctl); who reads it elsewhere may see a part of each. */
    char name[TASK_NAME_BYTES];

    /* Guarded by the tree lock; its threads read it without. One reference, given back when its last thread ends, and
     * NULL then; of a process without a user, with the last reference to this. NULL for the kernel's own. */
    struct space *space;

    /* Atomic. */
    _Atomic(uint32_t) refs; /* PAIRS(process_ref) */

    /* Guarded by the tree lock. */
    enum process_state state;
    struct process *parent;
    _Atomic(pid_t) parent_pid; /* written with it; read without the lock. 0: the kernel's, or none */
    struct list_node children;
    struct list_node sibling;
    struct list_node threads;
    unsigned threads_alive;  /* created and not dead */
    bool had_thread;
    bool is_orphan;          /* its parent died: nobody will wait for it */
    bool is_exiting;         /* all threads end, with exit_status */
    bool is_subreaper;       /* prctl(2): PR_SET_CHILD_SUBREAPER */
    bool has_executed;       /* since it was forked */
    int exit_status;         /* if is_exiting */
    int exit_signal;         /* what its end is to its parent: SIGCHLD, another, or 0 */
    struct thread *executing; /* this one waits until it is the only one; or NULL */
    struct waitq alone_wait; /* there, for */
    _Atomic(bool) is_alone;  /* this; written under the tree lock */
    struct process_group *group; /* NULL: it has no user */
    struct list_node group_link; /* group->members */
    _Atomic(uint32_t) shared_sends; /* PAIRS(shared_send): signals that were sent to it as one of several */
    uint32_t sends_at_fork;  /* its maker's shared_sends, when it joined the tree and the maker's group */
    enum process_news news;
    int news_signal;         /* of PROCESS_NEWS_STOPPED */
    struct program *program;     /* counted: what it executes; NULL: nothing yet. program.c */
    struct user_count *counted;  /* its first thread, with its user's tasks; NULL: it has no user, or is reaped */
    struct process_usage usage, children_usage;
    struct process_limit limit[PROCESS_LIMITS];
    int16_t oom_adjust, oom_adjust_least; /* proc/oom.h; who has no right may not go below the second */
    bool is_oom_victim;
    _Atomic(bool) is_private; /* PR_SET_DUMPABLE of 0: its files in /proc are root's; until it executes a program */
    uint64_t start_ticks;
    uint32_t last_user;      /* real user id of the thread that ended last */
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
    bool is_user;            /* it runs a program: the top of its stack is for the user's registers */
};

/* What a thread has for its user. Owned by the thread itself; what it points to is counted, and given back when it
 * ends. Others that want it take the tree lock and find the thread SCHEDULED: it is cleared under that lock. */
struct thread_user {
    struct fd_table *files;   /* NULL: none, as of threads of the kernel's */
    struct fs_context *paths;
    struct cred *cred;
    struct user_count *counted; /* with its user's tasks; NULL: its process is instead. Guarded by the tree lock */
    bool is_over_limit;       /* it has become a user that has more tasks than RLIMIT_NPROC: execve(2) looks again */
    vaddr_t clear_tid;        /* set_tid_address(2), or 0 */
    vaddr_t set_tid;          /* CLONE_CHILD_SETTID, or 0 */
    uint32_t personality;
    _Atomic(int) parent_death_signal; /* prctl(2); written by it alone, as is the next */
    _Atomic(bool) gains_nothing; /* PR_SET_NO_NEW_PRIVS: no program gives it ids; never taken back, and inherited */
    /* vfork(2): it runs on memory that its maker waits for. Written by it alone. */
    _Atomic(bool) is_lent;    /* PAIRS(thread_lent) */
    struct waitq lent_wait;
    uint64_t oom_seen; /* its own: how many victims' memory was back when it last tried to get some (proc/oom.h) */
};

/* RLIMIT_RTTIME: what was found when somebody looked last, at a thread of which nobody had found a pause since. */
struct thread_run {
    bool is_rt;
    uint64_t pauses, begin_ticks; /* of its task's stats: voluntary, run_ticks */
};

struct thread {
    /* Immutable. */
    struct process *process; /* one reference */
    tid_t tid;               /* but for an exec by another than the first: it becomes the pid */
    struct thread_spec spec; /* affinity points at `affinity` below; name at `name` */
    struct cpumask affinity;
    char name[TASK_NAME_BYTES];

    struct thread_user user;
    _Atomic(uint32_t) policy_marks; /* proc/schedule.h */

    _Atomic(uint32_t) refs;  /* PAIRS(thread_ref) */

    /* Guarded by the tree lock. */
    enum thread_state state;
    struct task *task;       /* while SCHEDULED; no reference: the task unlinks itself before it dies */
    struct list_node link;   /* process->threads */
    _Atomic(int) exit_code;  /* PAIRS(thread_exit): stored before state is DEAD */
    struct thread_run run;

    struct thread_futex futex;
    struct thread_signals signals; /* proc/signal.h */
};

/* The kernel's own process: parent of all that have no other. */
extern struct process process_kernel;

/* A process without threads, child of `parent`, with its own address space and one reference for the caller; found by
 * process_lookup() at once. -EINVAL (name), -EAGAIN, -ENOMEM. Context: task. */
int process_create(struct process *parent, const char *name, struct process **out) MUST_USE;
/* The same, of a process that runs programs: a child of the running task's process, whose end is that signal to it (0:
 * none), or with PROCESS_SIBLING a child of its parent, as the running one is; in its group and with its limits, and
 * with its signal handlers or a copy of them. The reference to `space` becomes its own; on failure it is still the
 * caller's. `pid` is 0, or PID_INIT. */
#define PROCESS_SIBLING (-1)
int process_create_user(int exit_signal, bool shares_handlers, const char *name, struct space *space, pid_t pid,
                        struct process **out) MUST_USE;
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

/* ---- wait4(2), waitid(2) ---- */

#define WEXITED 4u
#define WNOWAIT 0x01000000u
#define WNOTHREAD 0x20000000u /* accepted: children belong to all threads here */
#define WALL 0x40000000u
#define WCLONE 0x80000000u

enum wait_which { WAIT_ANY, WAIT_PID, WAIT_GROUP };
struct wait_request {
    enum wait_which which;
    pid_t id;         /* of the process, or the group (0: that of the waiting process) */
    unsigned options; /* one of WEXITED, WUNTRACED (WSTOPPED), WCONTINUED at least */
};
struct wait_result {
    pid_t pid;
    uint32_t user;     /* real user id */
    int status;        /* as wait4(2) has it */
    struct process_usage usage; /* of it and its children */
};

/* Wait for a child in one of the wanted states. Returns its pid, 0 with WNOHANG, -ECHILD, -EINTR (a signal, too), as
 * waitpid(2) says. Without WNOWAIT what is reported is consumed. Context: task. */
pid_t process_wait_for(struct process *parent, const struct wait_request *request, struct wait_result *out);

/* Kill every thread of the process. -ESRCH if it is no longer ALIVE. Context: task. */
int process_kill(struct process *process) MUST_USE;

/* The running task's process, or process_kernel. */
struct process *process_current(void);

/* The running task's thread, or NULL: it is the kernel's. */
struct thread *thread_current(void);

/* End all threads of the running task's process, this one at once, with that status; the first such call decides it.
 * Context: task, no mutex held. */
[[noreturn]] void process_exit_all(int wait_status);

/* Where a task that runs a program has its user's registers. */
struct hal_trap *task_user_trap(const struct task *task);

/* Boot: what takes a new thread to its user. In entry, right of here. */
void proc_set_user_begin(void (*begin)(struct hal_trap *trap));

/* A look at a process from outside: its parent's pid (0: the kernel), group and session, its space with a reference (or
 * NULL). Context: task. */
static inline pid_t process_parent_pid(const struct process *process)
{
    return load_relaxed(&process->parent_pid);
}

struct space *process_space_get(struct process *process) MUST_USE;

/* prctl(2): does it get the orphans below it? */
void process_set_subreaper(struct process *process, bool is_subreaper);
bool process_is_subreaper(struct process *process);

/* Do all its ids belong to whom `cred` stands for? Then that one may limit it: prlimit(2). */
bool process_is_of(struct process *process, const struct cred *cred);

/* Of the running thread: PR_SET_NAME; other credentials, whose reference becomes its own. -EAGAIN: there is no memory
 * to count it with its new user's tasks, and nothing has changed. */
void thread_set_name(const char *name);
int thread_set_cred(struct cred *cred) MUST_USE;
/* Those of any thread of a program, counted. -ESRCH. Context: task. */
int thread_cred_get(tid_t tid, struct cred **out) MUST_USE;

/* What all its threads, the living too, have used so far. */
void process_usage_get(struct process *process, struct process_usage *out);

unsigned process_count(void);
