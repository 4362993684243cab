/* SPDX-License-Identifier: MIT */
/* The inside of the process room: the object around a task, and the tree lock. */
#pragma once

#include <mm/kstack.h>
#include <mm/slab.h>
#include <vm/space.h>
#include <parse/elf.h>
#include <proc/exec.h>
#include <proc/process.h>
#include <proc/task.h>
#include <proc/vdso.h>
#include <smp/quiesce.h>

/* What proc keeps with a task. Freed by the reaper after the last reference and a grace period. */
struct task_object {
    struct task task; /* first */
    struct quiesce_head reclaim;
    struct kstack stack;
    struct space *space;     /* a reference, or NULL */
    void *fpu_area;
    int (*entry)(void *arg);
    void *arg;
    struct thread *thread;   /* a reference, or NULL; cleared by exit; tree lock, but for the task itself */
};

static inline struct task_object *object_of(struct task *task)
{
    return container_of(task, struct task_object, task);
}

/* One lock for the process tree, threads' links and exit records. LOCK_PROC_TREE, task context only. */
extern struct spinlock proc_tree_lock;

/* create.c: what task_create() and task_create_from_thread() share. The object is complete, NEW and unpublished. */
struct object_spec {
    const struct task_spec *task;
    tid_t tid;
    pid_t pid;
    struct space *space;   /* taken by reference; NULL: kernel tasks */
    struct thread *thread; /* taken by reference, or NULL */
    bool is_user;          /* room for its user's registers at the top of the stack */
};
int task_spec_check(const struct task_spec *spec) MUST_USE;
int object_create(const struct object_spec *spec, struct task_object **out) MUST_USE;
/* Undo object_create() of a task that never ran and that nobody else has seen. */
void object_discard(struct task_object *object);

/* object.c */
void object_cache_init(void);
struct task_object *object_alloc(void) MUST_USE;
void object_free(struct task_object *object);
int fpu_area_alloc(void **out) MUST_USE;
void fpu_area_free(void *area);

/* vector.c. The running task's vector area becomes `vector`, or none; returns what it was, up to date, which is the
 * caller's now. It has a floating-point area. vector_read_frame() brings the one of a signal frame of `bytes` bytes at
 * va into the running task's, or zeros if the frame has none. -EFAULT, -ENOMEM: it is zeros, or there is none. Context:
 * task. */
void vector_cache_init(void);
void vector_free(void *vector);
void *vector_swap(void *vector);
int vector_read_frame(const void *frame, size_t bytes, vaddr_t va) MUST_USE;
void object_count_created(void);
void object_count_exiting(void);
void object_count_buried(void);
uint64_t object_dying_count(void); /* tasks that began their exit and are not buried; 0: all have left their CPUs */

/* futex.c */
void futex_init(void);

/* user.c: may the running thread look into this one's memory? ptrace(2), "Ptrace access mode checking":
 * PTRACE_MODE_READ_REALCREDS, or PTRACE_MODE_READ_FSCREDS. A thread of the kernel's may. */
bool thread_may_read_locked(const struct thread *thread, bool by_real_ids) REQUIRES(proc_tree_lock);

/* reaper.c */
void reaper_init(void);
void reaper_notify(void);
/* Who makes tasks waits here while too many dead ones are not buried. Context: task, may sleep. */
void reaper_keep_pace(void);

/* thread.c, process.c */
void process_cache_init(void);
void thread_exited(struct thread *thread, int code);
/* A reference to the thread that the task, which is not an idle one, runs; NULL: none, or it has ended. */
struct thread *thread_get_of_task(struct task *task) MUST_USE;
/* One thread fewer, in one section with its leaving the list, so that all agree on who was the last; with has_status it
 * ran and this is its status. The last one turns the process into a record for its parent, or into nothing if nobody
 * will ask: such processes go to `gone`, and process_put_all() drops them after the section, in which the space that is
 * returned (or NULL) is put. */
struct space *process_thread_ended_locked(struct process *process, bool has_status, int wait_status,
                                          struct list_node *gone) MUST_USE REQUIRES(proc_tree_lock);
void process_put_all(struct list_node *gone);
void thread_cache_init(void);

/* signal.c: what the files about signals share. A process's signals are locked with interrupts disabled; unlock may
 * switch, if something here woke a task. */
uintptr_t signals_lock(struct process_signals *signals) ACQUIRES(signals->lock);
void signals_unlock(struct process_signals *signals, uintptr_t state) RELEASES(signals->lock);

struct signal_action signals_action(struct process_signals *signals, unsigned number) REQUIRES(signals->lock);
void signals_set_action(struct process_signals *signals, unsigned number, const struct signal_action *action)
    REQUIRES(signals->lock);

/* Take these out of the process's or a thread's; their records go in front of *chain, which signal_records_free()
 * gives back without the lock. */
void signals_drop(struct process_signals *signals, struct signal_pending *pending, uint64_t set,
                  struct signal_record **chain) REQUIRES(signals->lock);
void signal_records_free(struct signal_record *chain);
/* Take that one, which is there, as signal_pending_take(). */
void signals_take(struct process_signals *signals, struct signal_pending *pending, unsigned number,
                  struct signal_info *out, struct signal_record **chain) REQUIRES(signals->lock);
struct signal_record *signal_record_alloc(void) MUST_USE;

/* What the thread does not block, or waits for. */
static inline uint64_t thread_wanted_signals(const struct thread_signals *thread)
{
    return ~thread->mask | thread->awaited;
}

/* Is there something for the thread to do on its way to the user? The running one's notice says so afterwards. */
bool signals_are_due(const struct process_signals *signals, const struct thread_signals *thread);
void signals_update_notice(struct process_signals *signals, struct thread_signals *self) REQUIRES(signals->lock);

/* Threads other than `but` may have to take what is pending for the process. */
void signals_retarget(struct process_signals *signals, const struct thread_signals *but, uint64_t set)
    REQUIRES(signals->lock);

/* signal_send.c: the parent's SIGCHLD about a stop or a continuation (CLD_...). */
void signal_tell_parent_locked(struct process *child, int code, int status) REQUIRES(proc_tree_lock);
void signals_end(struct process_signals *signals, int status) REQUIRES(signals->lock);
/* A timer's signal, to one thread or (NULL) the process, from any context. False: it was discarded. */
bool signals_send_record(struct process_signals *signals, struct thread_signals *only, struct signal_record *record)
    REQUIRES(signals->lock);
/* The kernel's signal to all members; is one of them stopped, or about to? */
void signal_members_locked(const struct process_group *group, int number) REQUIRES(proc_tree_lock);
bool signal_has_stopped_locked(const struct process_group *group) REQUIRES(proc_tree_lock);
/* The process after this one in the tree, in an order in which parents come first; the kernel's own ends it. */
struct process *process_next_locked(struct process *process) REQUIRES(proc_tree_lock);

/* timers.c. A timer's signal was taken (*info gets its overrun), or dropped; a thread has left the list; the running
 * process looks at CPU time if it was asked to. end: of all but, if so, interval timers. */
void timers_cache_init(void);
void timers_init(struct process_signals *signals);
void timers_end(struct process *process, bool keeps_interval);
void timers_taken(struct signal_record *record, struct signal_info *info);
void timers_dropped(struct signal_record *record);
void timers_thread_ended(struct process_signals *signals, const struct thread_signals *thread)
    REQUIRES(signals->lock);
void timers_look(struct process *process);

/* cpu_limit.c. All threads are asked to look at what was used, and the first on its way to its user does; after which
 * time that is worth while, with so much left to use. Context: any. */
void cpu_look_ask_locked(struct process_signals *signals) REQUIRES(signals->lock);
uint64_t cpu_look_pause_ns(struct process_signals *signals, uint64_t left_ns) REQUIRES(signals->lock);
/* RLIMIT_CPU or RLIMIT_RTTIME was set, or is a new process's; a thread has become a real-time one. The running process
 * looks. No thread is left; the timer's memory goes. */
void cpu_limit_changed_locked(struct process *process) REQUIRES(proc_tree_lock);
void cpu_limit_policy_changed(struct thread *thread);
void cpu_limit_look(struct process *process);
void cpu_limit_stop_locked(struct process_signals *signals) REQUIRES(signals->lock);
void cpu_limit_fini(struct process_signals *signals);

/* clock.c: the id of a thread's CPU time; is it a process's own, or its threads'? */
int32_t clock_of_thread(tid_t tid);
int32_t clock_of_user_time(void); /* of the running process */
bool clock_is_own(int32_t id);

/* signal_timer.c */
void signal_timer_init(struct process_signals *signals);
void signal_timer_fini(struct process_signals *signals);

/* By default a signal ends the process; but these are nothing, stop it, or are about a fault and logged. */
#define SIGNALS_IGNORED (signal_bit(SIGCHLD) | signal_bit(SIGCONT) | signal_bit(SIGURG) | signal_bit(SIGWINCH))
#define SIGNALS_STOPPING (signal_bit(SIGSTOP) | signal_bit(SIGTSTP) | signal_bit(SIGTTIN) | signal_bit(SIGTTOU))
#define SIGNALS_DUMPING                                                                                              \
    (signal_bit(SIGQUIT) | signal_bit(SIGILL) | signal_bit(SIGTRAP) | signal_bit(SIGABRT) | signal_bit(SIGBUS) |    \
     signal_bit(SIGFPE) | signal_bit(SIGSEGV) | signal_bit(SIGXCPU) | signal_bit(SIGXFSZ) | signal_bit(SIGSYS))
#define SIGNALS_UNBLOCKABLE (signal_bit(SIGKILL) | signal_bit(SIGSTOP))

/* By this action nothing happens. */
bool signal_is_ignored(const struct signal_action *action, unsigned number);
/* A child has changed: its parent's waits look again. */
void process_tell_parent_locked(struct process *process) REQUIRES(proc_tree_lock);
void process_kill_threads_locked(struct process *process, const struct thread *except) REQUIRES(proc_tree_lock);
/* All threads are to end, with this status if nobody was first; `except`, which may be NULL, sees to it itself. */
void process_begin_exit_locked(struct process *process, int wait_status, const struct thread *except)
    REQUIRES(proc_tree_lock);
/* Out of the tree and the id table; the caller drops the existence reference. wait.c */
void process_retire_locked(struct process *process) REQUIRES(proc_tree_lock);

/* The first process: pid 1, or NULL until there is one. Written once. */
extern struct process *process_init;

/* user.c: the running thread lets go of what it has for its user, while its memory is still there. Its parts: */
void thread_leave_user(struct thread *thread);
void thread_clear_tid(struct thread *thread);
void thread_drop_user(struct thread *thread); /* files, paths, credentials; also of a thread that never ran */
/* The memory is no longer lent: vfork(2)'s caller goes on. */
void thread_return_memory(struct thread *thread);
/* The first function of a thread that runs a program: off to the user. */
int thread_user_main(void *arg);

/* clone.c: a thread that was counted in and never ran goes, with what it has for its user, and the caller's reference;
 * its process, if it is the only one, without a record for anybody. */
void thread_unmake(struct thread *thread, bool is_only);

/* group.c */
void group_cache_init(void);
void group_join_locked(struct process *process, struct process_group *group) REQUIRES(proc_tree_lock);
void group_leave_locked(struct process *process) REQUIRES(proc_tree_lock);
bool group_is_orphaned_locked(const struct process_group *group) REQUIRES(proc_tree_lock);
/* A member that had this parent has ended, or got another one. If nobody is left who could continue the group, its
 * stopped ones are told so, by SIGHUP and SIGCONT to all. */
void group_parent_gone_locked(const struct process_group *group, const struct process *parent)
    REQUIRES(proc_tree_lock);

/* futex.c: which word. */
struct futex_key {
    struct vm_object *object; /* counted, or NULL */
    uintptr_t place;          /* the space or the object */
    uint64_t at;              /* address, or offset in the object */
};
int futex_key_get(struct futex_word word, struct futex_key *out) MUST_USE;
void futex_key_put(const struct futex_key *key);
static inline bool futex_key_is_equal(const struct futex_key *a, const struct futex_key *b)
{
    return a->at == b->at && a->place == b->place;
}
static inline unsigned futex_key_hash(const struct futex_key *key) /* 32 good bits */
{
    /* Places are aligned, words too; the multiplier is 2^64 / golden ratio. */
    uint64_t mixed = ((uint64_t)key->place / CACHE_LINE_BYTES ^ key->at >> 2) * UINT64_C(0x9e3779b97f4a7c15);

    return (unsigned)(mixed >> 32);
}
/* futex_pi.c */
void futex_pi_init(void);

/* oom.c: the process's last thread has put its space. Context: task. */
void oom_memory_returned(struct process *process);
/* Is there too little memory to begin something new (phys_is_short()), also when those that are ending have ended? */
bool oom_is_short(void);

/* limits.c */
void limits_start(void); /* boot */
void limits_init(struct process_limit limit[PROCESS_LIMITS]);
/* What the limits say to others than those who look at them. */
void limits_apply_locked(struct process *process) REQUIRES(proc_tree_lock);
/* The running thread's own numbers, and those of the space that goes, are added to its process's. */
void usage_add_self_locked(struct process *process) REQUIRES(proc_tree_lock);
void usage_add_space_locked(struct process *process, struct space *space) REQUIRES(proc_tree_lock);

/* user_count.c: tasks of a real user, by RLIMIT_NPROC of getrlimit(2): threads that live, and processes until they are
 * reaped. A process counts for its first thread, whatever becomes of that, so the number of zombies is bounded, too. */
struct user_count {
    struct rb_node node;
    uint32_t user;
    uint64_t tasks; /* guarded by the tree lock */
};
/* One more, of at most `max`. -EAGAIN: that many are there. -ENOMEM. */
int user_count_join(uint32_t user, uint64_t max, struct user_count **out) MUST_USE;
/* One less, if *count is not NULL; it is afterwards. */
void user_count_leave(struct user_count **count);
void user_count_leave_locked(struct user_count **count) REQUIRES(proc_tree_lock);
/* Where the thread's is kept. */
struct user_count **user_count_of_locked(struct thread *thread) REQUIRES(proc_tree_lock);
/* How many tasks its user may have, as far as it is concerned. */
uint64_t user_count_limit(const struct thread *thread);

/* first.c: the first process has ended, and with it the machine's work. */
void init_ended(int wait_status);

/* ---- exec ---- */

struct exec_request;
struct script;
struct cred;

/* args.c: the strings of a new program. */
struct exec_args {
    struct vm_object *object;   /* argv's strings, then envp's; or NULL */
    uint64_t bytes;             /* of them */
    uint64_t argv_bytes;        /* of argv's */
    uint64_t limit;
    uint64_t first_bytes;       /* of argv[0], */
    uint64_t skipped;           /* which front[] stands for if there are scripts */
    unsigned argc, envc;
    const char *front[2 * EXEC_SCRIPTS_MAX + 1];
    unsigned front_count;
    uint64_t front_bytes;
};
/* The auxiliary vector: pairs, the last one of AT_NULL. */
#define AUX_WORDS_MAX 48
struct aux {
    uint64_t word[AUX_WORDS_MAX];
    unsigned count;
};

/* program.c: what a process executes. Counted. */
struct image;
struct program {
    _Atomic(uint32_t) refs; /* PAIRS(program_ref) */
    struct name *file;      /* counted */
    struct vm_object *strings; /* counted; NULL: none. The environment, as it was given: */
    uint64_t environ_start, environ_end;
    struct aux aux;
    vaddr_t stack;          /* where its stack pointer began; 0: nobody has said */
    size_t line_bytes;
    char line[];            /* the arguments, each with its NUL; a long one ends somewhere */
};
/* `image` has been built, or is NULL. NULL: no memory. */
struct program *program_create(struct name *file, const struct exec_args *args, const struct image *image) MUST_USE;
void program_get(struct program *program);
void program_put(struct program *program); /* may sleep */
/* A process that is alive executes its program's file, which nobody may write to then. Somebody else does, too, when it
 * begins: the exec, or who is forked. */
void program_enter_locked(struct process *process) REQUIRES(proc_tree_lock);
void program_leave_locked(struct process *process) REQUIRES(proc_tree_lock);
struct program *process_program_get(struct process *process) MUST_USE; /* counted, or NULL */

int args_begin(struct exec_args *args, uint64_t stack_limit) MUST_USE; /* args_end() in any case */
void args_end(struct exec_args *args);
int args_add_all(struct exec_args *args, const struct exec_request *request) MUST_USE;
/* `shown` is the first script's own name. Both must live as long as `args`. */
int args_add_script(struct exec_args *args, const struct script *script, const char *shown) MUST_USE;
uint64_t args_bytes(const struct exec_args *args); /* of all strings */
/* Into the running task's memory: the strings at `at`, pointers and the zeros behind either vector at `table`. */
int args_put(const struct exec_args *args, vaddr_t at, vaddr_t table) MUST_USE;

/* image.c: a new program's memory. The caller fills in the first part. */
struct image {
    struct space *space; /* new, and the running task's */
    const struct elf_file *elf, *interpreter; /* the latter may be NULL */
    struct vm_object *object, *interpreter_object;
    const struct exec_args *args;
    const struct cred *cred;
    const char *shown;
    uint64_t stack_limit;
    bool is_secure;

    vaddr_t base, interpreter_base;
    struct vdso_place vdso;
    vaddr_t stack_top;
    vaddr_t entry, sp;   /* where the program begins */
    struct aux aux;      /* what it finds there */
};
int image_build(struct image *image) MUST_USE;
/* How much the stack may grow to by that RLIMIT_STACK: what it begins with is its in any case. */
size_t image_stack_bytes_max(uint64_t limit);
