/* SPDX-License-Identifier: MIT */
/*
 * Signals, as signal(7), sigaction(2) and the pages that they name have them.
 *
 * What is whose:
 *
 *   handlers   one table for a process, or for several (CLONE_SIGHAND without CLONE_THREAD); counted
 *   process    signals sent to it as a whole, until a thread takes them; stop state; how it ends
 *   thread     signals sent to it alone; mask; what sigtimedwait() waits for; alternate stack; restart of a call
 *
 * A standard signal (below SIGNAL_REALTIME) is pending once: a place for its information is part of process and thread,
 * so that none is lost for lack of memory. Real-time signals queue with their information in the order of their
 * sending; the records of a process are counted and bounded (RLIMIT_SIGPENDING). A POSIX timer brings its own record,
 * counted while the timer is there, which queues whatever the number is.
 *
 * A signal's life:
 *
 *   from      to         who                                                   under
 *   -         pending    sender: signal_send_*(), signal_force()               the receiving process's lock
 *   -         discarded  sender: ignored and not blocked; nobody is left       the same
 *   pending   discarded  sender of SIGCONT (stop signals), of a stop signal    the same
 *                        (SIGCONT); signal_action_set() to "ignore"
 *   pending   taken      the thread itself: signal_attend(), signal_wait()     the same
 *   taken     acted on   the thread, on its way to user mode                   none
 *
 * The stop state of a process, under its lock:
 *
 *   RUNNING   STOPPING   a thread that took a stop signal with its default action; not for a terminal's in an orphaned
 *                        group, whom nobody could continue
 *   STOPPING  STOPPED    the last thread that stops, or that ends beside stopped ones; tells the parent
 *   STOPPING, STOPPED  RUNNING   sender of SIGCONT, or the end of the process; a thread then tells the parent
 *
 * A stopped thread is TASK_STOPPED, and only there: in signal_attend(), where it holds nothing.
 *
 * The end of a process (`is_ending`) is set once, by SIGKILL, by a signal that ends it, or by process_end(): all
 * threads have TASK_NOTICE_KILL from then on, those that come later, too.
 *
 * TASK_NOTICE_SIGNAL of a thread's task is set, under the lock, if it has something to take or is to stop. Its thread
 * clears it under the lock. So an interruptible wait ends for a reason, and none is overlooked.
 *
 * Order of locks: tree lock, a process's signal lock (irqs off), a handlers' lock (irqs off), run queues. Two signal
 * locks are never held together. Nothing is allocated or freed under them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <hal/clock.h>
#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>
#include <proc/timers.h>
#include <smp/spinlock.h>
#include <time/timer.h>

struct hal_trap;
struct process;
struct task;
struct thread;

#define SIGNAL_REALTIME 32 /* the first of those that queue */
#define SIGNAL_MAX 64

/* What Linux keeps of a siginfo_t: what follows it up to 128 bytes is zero. Alike on all 64-bit machines. */
struct signal_info {
    int32_t number, error, code, unused;
    union {
        uint64_t word[4];
        struct {
            uint32_t pid, uid;
            uint64_t value;
        } sent; /* kill(2), sigqueue(3) */
        struct {
            uint32_t pid, uid;
            int32_t status, unused;
            uint64_t user_ticks, system_ticks;
        } child;
        struct {
            uint32_t id, overrun;
            uint64_t value;
        } timer;
        uint64_t address; /* of a fault */
    };
};
_Static_assert(sizeof(struct signal_info) == 48, "siginfo_t");

static inline uint64_t signal_bit(unsigned number)
{
    return UINT64_C(1) << (number - 1);
}

/* ---- Pending signals: signal_queue.c. Guarded by the lock of their process. ---- */

struct signal_record {
    struct signal_record *next;
    struct signal_info info;
    bool is_timers; /* part of a timer (proc/timers.h): never freed as a record */
};

struct signal_pending {
    uint64_t set;
    uint64_t placed;                                  /* of `set`: standard[] has one */
    struct signal_info standard[SIGNAL_REALTIME - 1]; /* valid where `placed` has it */
    struct signal_record *last[SIGNAL_MAX];           /* of a ring, by number; NULL: none */
};

/* `pending` is all zero at first. A standard signal without a record that is there already so: nothing. A real-time
 * one, or a timer's, is queued with `record`, which holds its information; NULL: there is no memory for it, and a
 * real-time one is pending once without. A record of no timer's is of no use to a standard signal. True: the record is
 * in use. */
bool signal_pending_add(struct signal_pending *pending, const struct signal_info *info, struct signal_record *record);

/* The lowest signal of the set `wanted`, synchronous ones first; 0: none. */
unsigned signal_pending_first(const struct signal_pending *pending, uint64_t wanted);

/* Take that one, which is there. Its record, if it had one, is the caller's. */
struct signal_record *signal_pending_take(struct signal_pending *pending, unsigned number, struct signal_info *out);

/* Take this one out, which is there. */
void signal_pending_remove(struct signal_pending *pending, struct signal_record *record);

/* Take all of a set. A chain of records, NULL at its end, is the caller's. */
struct signal_record *signal_pending_flush(struct signal_pending *pending, uint64_t set);

/* ---- State ---- */

struct signal_action {
    uint64_t handler, flags, restorer, mask;
};

struct signal_handlers {
    _Atomic(uint32_t) refs; /* PAIRS(handlers_ref) */
    struct spinlock lock;   /* LOCK_HANDLERS, irqs off */
    struct signal_action action[SIGNAL_MAX] GUARDED_BY(lock);
};

enum signal_stop { SIGNAL_RUNNING, SIGNAL_STOPPING, SIGNAL_STOPPED };

struct process_signals {
    struct spinlock lock; /* LOCK_SIGNAL, irqs off */

    /* Guarded by lock. */
    struct signal_handlers *handlers; /* a reference; NULL: the kernel's process */
    struct signal_pending shared;
    struct list_node threads;         /* thread_signals.link: those that have tasks, the oldest first */
    unsigned thread_count;
    unsigned queued_count, queued_max; /* records: RLIMIT_SIGPENDING */
    enum signal_stop stop;
    unsigned stopped_count;
    int stop_number;
    bool has_taken_stop;              /* a thread is about to stop the process, and no SIGCONT has come since */
    int untold;                       /* CLD_STOPPED or CLD_CONTINUED that a thread has yet to tell; 0: none */
    bool is_protected;                /* init: no signal that it does not handle reaches it */
    bool is_ending;
    int end_status;                   /* in wait(2)'s form */

    /* Owned by the process while it has one thread; immutable otherwise. */
    vaddr_t return_code;              /* where handlers return to without SA_RESTORER; 0: nowhere */

    /* Guarded by lock: ITIMER_REAL. */
    struct timer timer;
    uint64_t timer_due_ns;            /* 0: not armed */
    uint64_t timer_period_ns;

    struct process_timers timers;     /* proc/timers.h; guarded by lock */
};

/* What a system call leaves for being made anew: signal_restart_note(). */
struct signal_restart {
    int64_t kind;        /* -ERESTART...; 0: none */
    uintptr_t number;    /* of the call; of restart_syscall(2) for ERESTART_RESTARTBLOCK */
    uintptr_t argument;
    /* restart_syscall(2): set by a call that returns -ERESTART_RESTARTBLOCK. */
    int64_t (*again)(struct signal_restart *restart);
    uint64_t word[4];
};

struct thread_signals {
    /* Guarded by the process's lock. */
    struct list_node link;
    struct task *task;     /* while linked: it unlinks itself before it dies */
    struct signal_pending own;
    uint64_t mask;         /* blocked; written by the thread itself alone */
    uint64_t awaited;      /* blocked, but sigtimedwait() waits for it */
    bool is_stopped;

    /* Owned by the thread. */
    bool has_saved_mask;   /* saved_mask comes back when the call is over: sigsuspend() and its like */
    uint64_t saved_mask;
    vaddr_t stack;
    uint64_t stack_bytes;  /* 0: no alternate stack */
    uint32_t stack_flags;
    struct signal_restart restart;
};

/* Boot. */
void signal_init(void);

/* For process_create() and what is like it; -ENOMEM. With `from` its handlers are shared or copied, its limit and
 * return code taken over; NULL: all default. fini: no thread is left, and nobody reaches it any more. Context: task. */
int process_signals_init(struct process *process, struct process *from, bool shares_handlers) MUST_USE;
void process_signals_fini(struct process *process);

/* The mask and, with `keeps_stack`, the alternate stack of `from`; NULL: none. Nobody reaches the thread yet. */
void thread_signals_init(struct thread *thread, const struct thread *from, bool keeps_stack);

/* The thread's task can be notified from now on, and no longer. Context: task, the tree lock held. detach: others take
 * what it would have taken. */
void signal_attach_locked(struct thread *thread, struct task *task);
void signal_detach_locked(struct thread *thread);

/* exec: the process, which has one thread, gets a table of its own in which caught signals are default ones; no
 * alternate stack. prepare can fail (-ENOMEM), the rest cannot; one of commit and cancel follows. Context: task. */
int signal_exec_prepare(struct process *process, struct signal_handlers **out) MUST_USE;
void signal_exec_commit(struct thread *thread, struct signal_handlers *handlers);
void signal_exec_cancel(struct signal_handlers *handlers);

/* CLONE_CLEAR_SIGHAND: caught signals are default ones, in a table that nobody shares. */
void signal_handlers_reset(struct process *process);

/* ---- Sending ---- */

/* What kill(2) and tkill(2) send from the running task. */
struct signal_info signal_info_sent(unsigned number, int code);

/* To a process: any of its threads takes it. 0: sent, or discarded as its rules say. -EAGAIN: no record for a
 * real-time signal that is queued (code SI_QUEUE and below). The caller holds a reference, and has checked the number
 * (1..SIGNAL_MAX) and rights. Context: task, no lock above LOCK_PROC_TREE held. */
int signal_send_process(struct process *process, const struct signal_info *info);

/* To one thread, which the caller holds a reference to. */
int signal_send_thread(struct thread *thread, const struct signal_info *info);
/* A standard signal to the running thread for what it tried, as if it had sent it to itself. Context: task, no lock
 * above LOCK_PROC_TREE held. */
void signal_send_self(unsigned number);

/* A standard signal from the kernel to a process that cannot go away meanwhile. Context: any, no lock from LOCK_SIGNAL
 * on held. */
void signal_send_standard(struct process *process, const struct signal_info *info);

/* The running thread did what it may not: it takes this signal, blocked or ignored or not; then with its default
 * action. Context: task. */
void signal_force(const struct signal_info *info);

/* kill(2): by its meaning of pid; number 0 only checks. tgkill(2): tgid -1: tkill(2). -EINVAL, -ESRCH, -EPERM, -EAGAIN.
 * Context: task. */
int signal_kill(pid_t pid, unsigned number);
int signal_tgkill(pid_t tgid, tid_t tid, const struct signal_info *info);
int signal_queue(pid_t pid, const struct signal_info *info);

/* From the kernel to all processes of a group, if there is one: the terminal's. Context: task, no lock. */
void signal_send_group(pid_t group, const struct signal_info *info);

/* End the process with that status (wait(2)'s form), unless its end was decided before: exit_group(2), SIGKILL.
 * Returns at once; its threads go as soon as they can. Context: task, no lock from LOCK_SIGNAL on held. */
void process_end(struct process *process, int status);

/* The status of a process whose last thread has ended with `status`. Context: as above. */
int process_end_status(struct process *process, int status);

/* A child is a zombie: its exit signal goes to its parent. True: the parent wants no zombies (SIGCHLD ignored,
 * SA_NOCLDWAIT). Context: task, tree lock held. */
bool signal_child_ended_locked(struct process *child);

/* ---- Taking ---- */

/* The running thread is about to go to its user: stop, take signals, enter handlers, restart the call that was
 * interrupted. Does not return if it is to end. Context: task, interrupts enabled, no lock held. */
void signal_attend(struct hal_trap *trap);

/* rt_sigreturn(2): the registers before the handler, and the mask. A frame that is none: SIGSEGV. */
void signal_return(struct hal_trap *trap);

/* A system call of the running thread returned -ERESTART...: `number` and `argument` (its first) make it anew. What its
 * user sees is signal_attend()'s decision; -EINTR until then. */
void signal_restart_note(int64_t kind, uintptr_t number, uintptr_t argument);
struct signal_restart *signal_restart_current(void);

/* Is `code` one of -ERESTART...? */
static inline bool signal_is_restart(int64_t code)
{
    return code <= -512 && code >= -516;
}

/* ---- What the calls of the running thread do. Context: task. ---- */

/* sigaction(2) but for the memory: `action` and `old` may be NULL. -EINVAL: number, or KILL or STOP with an action. */
int signal_action_set(unsigned number, const struct signal_action *action, struct signal_action *old) MUST_USE;

uint64_t signal_mask_get(void);
void signal_mask_set(uint64_t mask); /* KILL and STOP are left out of it */
uint64_t signal_pending_get(void);   /* sigpending(2) */

/* Block `mask` until the end of this call: sigsuspend(), ppoll(), pselect(). The old mask comes back in
 * signal_attend(), after a handler if there is one; or by signal_mask_restore() if the call was not interrupted. */
void signal_mask_borrow(uint64_t mask);
void signal_mask_restore(void);

/* Sleep until there is something for signal_attend(): -ERESTARTNOHAND. pause(2), sigsuspend(2). */
int64_t signal_pause(void) MUST_USE;

/* sigtimedwait(2): the number, and *out. -EAGAIN: deadline_ns passed. -EINTR. */
int signal_wait(uint64_t set, uint64_t deadline_ns, struct signal_info *out) MUST_USE;

/* sigaltstack(2), at a moment when the user's stack pointer is `sp`. -EPERM: it is in use. -EINVAL: flags. -ENOMEM: too
 * small. */
struct signal_stack {
    uint64_t base;
    uint32_t flags, unused;
    uint64_t bytes;
};
int signal_stack_set(const struct signal_stack *stack, vaddr_t sp) MUST_USE;
void signal_stack_get(vaddr_t sp, struct signal_stack *out);

/* alarm(2), setitimer(2) of ITIMER_REAL: SIGALRM after value_ns (0: never) and then each period_ns (0: once). Old
 * values go to the pointers, if not NULL: what is left, at least 1 ns if it is armed. */
void signal_timer_set(uint64_t value_ns, uint64_t period_ns, uint64_t *old_value_ns, uint64_t *old_period_ns);
void signal_timer_get(uint64_t *value_ns, uint64_t *period_ns);

/* Records that exist: for checks of counts. */
uint64_t signal_record_count(void);
