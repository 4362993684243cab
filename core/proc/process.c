/* SPDX-License-Identifier: MIT */
/*
 * Processes: the tree, the exit record, wait. The tree lock guards links and states; it is never held across anything
 * that sleeps or allocates.
 */
#include <proc/process.h>

#include <hal/clock.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/id.h>
#include <proc/signo.h>
#include <proc/vdso.h>
#include <sched/sched.h>

#include "proc_priv.h"

struct spinlock proc_tree_lock = SPINLOCK_INIT(LOCK_PROC_TREE);

struct process process_kernel = {
    .name = "kernel",
    .refs = 1,
    .state = PROCESS_ALIVE,
    .children = LIST_INIT(process_kernel.children),
    .sibling = LIST_INIT(process_kernel.sibling),
    .threads = LIST_INIT(process_kernel.threads),
    .child_wait = WAITQ_INIT(process_kernel.child_wait),
};

struct process *process_init;

static struct slab_cache processes;

void process_cache_init(void)
{
    slab_cache_init(&processes, "process", sizeof(struct process), alignof(struct process));
    thread_cache_init();
    signal_init();
    vdso_init();
}

unsigned process_count(void)
{
    return (unsigned)slab_used(&processes);
}

struct thread *thread_current(void)
{
    struct task *self = current_task();

    return self->tid == 0 ? NULL : object_of(self)->thread; /* idle tasks have no object */
}

struct process *process_current(void)
{
    struct thread *thread = thread_current();

    return thread == NULL ? &process_kernel : thread->process;
}

/* All that can fail has been done: `space` and `pid` are the process's. */
static void init_process(struct process *process, const char *name, struct space *space, pid_t pid)
{
    (void)memset(process, 0, offsetof(struct process, signals)); /* which have been seen to */
    process->pid = pid;
    (void)str_copy(process->name, name, sizeof process->name);
    process->space = space;
    process->state = PROCESS_ALIVE;
    process->exit_signal = PROCESS_SIGCHLD;
    process->start_ticks = hal_clock_ticks();
    store_relaxed(&process->refs, 2); /* its existence until it is waited for, and the caller's */
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->threads);
    list_init(&process->group_link);
    waitq_init(&process->child_wait);
    waitq_init(&process->alone_wait);
}

static void set_parent_locked(struct process *process, struct process *parent) REQUIRES(proc_tree_lock)
{
    process->parent = parent;
    store_relaxed(&process->parent_pid, parent != NULL ? parent->pid : 0);
}

static void link_locked(struct process *process, struct process *parent) REQUIRES(proc_tree_lock)
{
    set_parent_locked(process, parent);
    list_push_back(&parent->children, &process->sibling);
}

static void link_process(struct process *process, struct process *parent)
{
    spin_lock(&proc_tree_lock);
    process->is_orphan = parent->state != PROCESS_ALIVE;
    link_locked(process, process->is_orphan ? &process_kernel : parent);
    spin_unlock(&proc_tree_lock);
    id_publish_process(process->pid, process);
}

/* The maker runs, so it lives, and so does its parent: that of a dead one's children is another in the same section.
 * -EINTR: the maker is to end. */
static int link_user_process(struct process *process, struct process *maker, int exit_signal)
{
    bool is_sibling = exit_signal == PROCESS_SIBLING;

    spin_lock(&proc_tree_lock);
    /* Whoever kills a crowd, as kill(-1) does, finds everybody who is not refused here. */
    if (maker->has_user && process_end_status(maker, -1) != -1) {
        spin_unlock(&proc_tree_lock);
        return -EINTR;
    }
    process->exit_signal = is_sibling ? maker->exit_signal : exit_signal;
    process->is_orphan = is_sibling && maker->is_orphan;
    link_locked(process, is_sibling ? maker->parent : maker);
    if (maker->group != NULL)
        group_join_locked(process, maker->group);
    process->sends_at_fork = load_relaxed(&maker->shared_sends);
    process->program = maker->program;
    if (process->program != NULL)
        program_get(process->program);
    program_enter_locked(process);
    process->oom_adjust = maker->oom_adjust;
    process->oom_adjust_least = maker->oom_adjust_least;
    store_relaxed(&process->is_private, load_relaxed(&maker->is_private));
    if (maker->has_user)
        (void)memcpy(process->limit, maker->limit, sizeof process->limit);
    limits_apply_locked(process);
    cpu_limit_changed_locked(process);
    spin_unlock(&proc_tree_lock);
    id_publish_process(process->pid, process);
    return 0;
}

int process_create(struct process *parent, const char *name, struct process **out)
{
    struct space *space = NULL;
    pid_t pid = 0;
    int result = -ENOMEM;

    if (name == NULL || name[0] == '\0')
        return -EINVAL;
    struct process *process = slab_alloc(&processes);

    if (process == NULL)
        return -ENOMEM;
    result = process_signals_init(process, NULL, false);
    if (result != 0)
        goto free_process;
    result = space_create(&space);
    if (result != 0)
        goto fini_signals;
    result = id_alloc(&pid);
    if (result != 0)
        goto put_space;

    init_process(process, name, space, pid);
    link_process(process, parent);
    *out = process;
    return 0;

put_space:
    space_put(space);
fini_signals:
    process_signals_fini(process);
free_process:
    slab_free(&processes, process);
    return result;
}

int process_create_user(int exit_signal, bool shares_handlers, const char *name, struct space *space, pid_t pid,
                        struct process **out)
{
    struct process *process = slab_alloc(&processes);

    if (process == NULL)
        return -ENOMEM;
    struct process *maker = process_current();
    int result = process_signals_init(process, maker == &process_kernel ? NULL : maker, shares_handlers);

    if (result != 0)
        goto free_process;
    result = pid == PID_INIT ? id_alloc_init() : id_alloc(&pid);
    if (result != 0)
        goto fini_signals;
    init_process(process, name, space, pid);
    process->has_user = true;
    process->signals.is_protected = pid == PID_INIT;
    if (process_current() == &process_kernel)
        limits_init(process->limit);
    result = link_user_process(process, maker, exit_signal);
    if (result != 0)
        goto free_id;
    *out = process;
    return 0;

free_id:
    id_release(pid);
fini_signals:
    process_signals_fini(process);
free_process:
    slab_free(&processes, process);
    return result;
}

void process_get(struct process *process)
{
    uint32_t before = fetch_add_relaxed(&process->refs, 1);

    ASSERT(before != 0);
}

static void process_free(struct quiesce_head *head)
{
    struct process *process = container_of(head, struct process, reclaim);

    id_release(process->pid);
    slab_free(&processes, process);
}

void process_put(struct process *process)
{
    uint32_t before = fetch_sub_acq_rel(&process->refs, 1); /* PAIRS(process_ref) */

    ASSERT(before != 0);
    if (before == 1) {
        ASSERT(process->state == PROCESS_REAPED && list_is_empty(&process->children) && process->threads_alive == 0);
        ASSERT(process->group == NULL);
        /* Its memory does not wait for a grace period: whoever still finds the process gets no reference, and looks at
         * nothing else. */
        if (process->space != NULL)
            space_put(process->space);
        process->space = NULL;
        if (process->program != NULL)
            program_put(process->program);
        process->program = NULL;
        process_signals_fini(process);
        quiesce_call(&process->reclaim, process_free);
    }
}

/* The record is consumed: out of the tree and of the id table. The caller drops the existence reference. */
void process_retire_locked(struct process *process)
{
    ASSERT(process->state == PROCESS_ZOMBIE);
    process->state = PROCESS_REAPED;
    list_remove(&process->sibling);
    set_parent_locked(process, NULL);
    user_count_leave_locked(&process->counted);
    if (process->group != NULL)
        group_leave_locked(process);
    id_unpublish_process(process->pid);
}

/* Under the tree lock the parent cannot go away, and it looks again when it is woken. */
void process_tell_parent_locked(struct process *process)
{
    (void)fetch_add_acq_rel(&process->parent->child_events, 1); /* PAIRS(child_event) */
    (void)waitq_wake_all(&process->parent->child_wait);
}

/* Who gets the children of a process: the nearest ancestor that wants them, or the first process, or the kernel. The
 * walk is as long as the tree is deep. */
static struct process *heir_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    if (!process->has_user)
        return &process_kernel;
    for (struct process *above = process->parent; above != &process_kernel; above = above->parent)
        if (above->is_subreaper && above->state == PROCESS_ALIVE)
            return above;
    return process_init != NULL && process_init != process && process_init->state == PROCESS_ALIVE ? process_init
                                                                                                    : &process_kernel;
}

/* prctl(2): PR_SET_PDEATHSIG, of any of the child's threads. */
static void tell_of_death_locked(struct process *child) REQUIRES(proc_tree_lock)
{
    list_for_each(node, &child->threads) {
        int number = load_relaxed(&list_entry(node, struct thread, link)->user.parent_death_signal);
        const struct signal_info info = signal_info_sent((unsigned)number, SI_USER);

        if (number != 0)
            (void)signal_send_process(child, &info);
    }
}

/* Children of a dying process go to its heir; if that is the kernel, those that are zombies already are collected in
 * `gone`. */
static void orphan_children_locked(struct process *process, struct list_node *gone) REQUIRES(proc_tree_lock)
{
    struct process *heir = list_is_empty(&process->children) ? NULL : heir_locked(process);

    list_for_each_safe(node, &process->children) {
        struct process *child = list_entry(node, struct process, sibling);

        list_remove(&child->sibling);
        tell_of_death_locked(child);
        set_parent_locked(child, heir);
        child->is_orphan = heir == &process_kernel;
        child->exit_signal = PROCESS_SIGCHLD;
        list_push_back(&heir->children, &child->sibling);
        if (child->group != NULL)
            group_parent_gone_locked(child->group, process);
        if (child->state != PROCESS_ZOMBIE)
            continue;
        if (!child->is_orphan)
            process_tell_parent_locked(child);
        if (child->is_orphan || signal_child_ended_locked(child)) { /* an heir may ignore its children, too */
            process_retire_locked(child);
            list_push_back(gone, &child->sibling);
        }
    }
}

void process_put_all(struct list_node *gone)
{
    for (struct list_node *node = list_pop_front(gone); node != NULL; node = list_pop_front(gone))
        process_put(list_entry(node, struct process, sibling));
}

/* No thread is left: a record for the parent, or nothing if nobody will ask. */
static void end_locked(struct process *process, struct list_node *gone) REQUIRES(proc_tree_lock)
{
    process->state = PROCESS_ZOMBIE;
    if (process->group != NULL)
        group_parent_gone_locked(process->group, process->parent);
    orphan_children_locked(process, gone);
    /* Whoever waits for a child of this process waits in vain now. */
    (void)fetch_add_acq_rel(&process->child_events, 1); /* PAIRS(child_event) */
    (void)waitq_wake_all(&process->child_wait);
    /* Also of one that is discarded, half made: somebody may have seen it, and wait for it. */
    process_tell_parent_locked(process);
    if (process->is_orphan || signal_child_ended_locked(process)) {
        process_retire_locked(process); /* a parent that is woken looks under the tree lock, and finds none */
        list_push_back(gone, &process->sibling);
    }
}

/* A record needs no memory. Without a user it is its maker's, as long as that one has a reference. */
static struct space *take_space_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    struct space *space = process->has_user ? process->space : NULL;

    if (space != NULL) {
        process->space = NULL;
        program_leave_locked(process); /* whoever hears of its end may write to the file */
    }
    return space;
}

struct space *process_thread_ended_locked(struct process *process, bool has_status, int wait_status,
                                          struct list_node *gone)
{
    struct space *space = NULL;

    ASSERT(process->state == PROCESS_ALIVE && process->threads_alive > 0);
    if (has_status)
        process->wait_status = process->is_exiting ? process->exit_status : process_end_status(process, wait_status);
    process->threads_alive--;
    if (process->executing != NULL && process->threads_alive == 1) {
        store_relaxed(&process->is_alone, true); /* who waits takes the tree lock before it relies on it */
        (void)waitq_wake_all(&process->alone_wait);
    }
    /* In one section with the count: nobody may join a process that has no thread left. */
    if (process->threads_alive == 0 && process->had_thread) {
        space = take_space_locked(process);
        end_locked(process, gone);
    }
    return space;
}

int process_discard(struct process *process)
{
    struct list_node gone = LIST_INIT(gone);
    struct space *space = NULL;
    int result = -EBUSY;

    spin_lock(&proc_tree_lock);
    if (process->state == PROCESS_ALIVE && !process->had_thread) {
        process->is_orphan = true; /* nobody shall wait for it */
        space = take_space_locked(process);
        end_locked(process, &gone);
        result = 0;
    }
    spin_unlock(&proc_tree_lock);
    if (space != NULL)
        space_put(space);
    process_put_all(&gone);
    return result;
}

/* All threads but `except`. Linked and SCHEDULED: it has not exited, and unlinks under this lock. One that is CREATED
 * finds is_exiting or `executing` when it is to be scheduled. */
void process_kill_threads_locked(struct process *process, const struct thread *except)
{
    list_for_each(node, &process->threads) {
        struct thread *thread = list_entry(node, struct thread, link);

        if (thread != except && thread->state == THREAD_SCHEDULED)
            (void)task_kill(thread->task);
    }
}

void process_begin_exit_locked(struct process *process, int wait_status, const struct thread *except)
{
    if (!process->is_exiting) {
        process->is_exiting = true;
        process->exit_status = wait_status;
    }
    process_kill_threads_locked(process, except);
}

int process_kill(struct process *process)
{
    int result = 0;

    spin_lock(&proc_tree_lock);
    if (process->state != PROCESS_ALIVE)
        result = -ESRCH;
    else if (process->has_user)
        process_begin_exit_locked(process, WAIT_STATUS_SIGNALED(PROCESS_SIGKILL), NULL);
    else
        process_kill_threads_locked(process, NULL);
    spin_unlock(&proc_tree_lock);
    return result;
}

void process_exit_all(int wait_status)
{
    struct thread *self = thread_current();

    spin_lock(&proc_tree_lock);
    process_begin_exit_locked(self->process, wait_status, self);
    spin_unlock(&proc_tree_lock);
    task_exit(wait_status >> 8 & 0xff);
}

struct space *process_space_get(struct process *process)
{
    spin_lock(&proc_tree_lock);
    struct space *space = process->space;

    if (space != NULL)
        space_get(space);
    spin_unlock(&proc_tree_lock);
    return space;
}
