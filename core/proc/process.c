/* SPDX-License-Identifier: MIT */
/*
 * Processes: the tree, the exit record, wait. The tree lock guards links and states; it is never held across anything
 * that sleeps or allocates.
 */
#include <proc/process.h>

#include <k/errno.h>
#include <lib/string.h>
#include <proc/id.h>
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

static struct slab_cache processes;

void process_init(void)
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
    (void)memset(process, 0, sizeof *process);
    result = process_signals_init(process, NULL, false);
    if (result != 0)
        goto free_process;
    result = space_create(&space);
    if (result != 0)
        goto fini_signals;
    result = id_alloc(&pid);
    if (result != 0)
        goto put_space;

    process->pid = pid;
    (void)str_copy(process->name, name, sizeof process->name);
    process->space = space;
    process->state = PROCESS_ALIVE;
    store_relaxed(&process->refs, 2); /* its existence until it is waited for, and the caller's */
    list_init(&process->children);
    list_init(&process->sibling);
    list_init(&process->threads);
    waitq_init(&process->child_wait);

    spin_lock(&proc_tree_lock);
    process->parent = parent->state == PROCESS_ALIVE ? parent : &process_kernel;
    process->is_orphan = process->parent != parent;
    list_push_back(&process->parent->children, &process->sibling);
    spin_unlock(&proc_tree_lock);
    id_publish_process(pid, process);
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
        /* Its memory does not wait for a grace period: whoever still finds the process gets no reference, and looks at
         * nothing else. */
        space_put(process->space);
        process->space = NULL;
        process_signals_fini(process);
        quiesce_call(&process->reclaim, process_free);
    }
}

/* The record is consumed: out of the tree and of the id table. The caller drops the existence reference. */
static void retire_locked(struct process *process) REQUIRES(proc_tree_lock)
{
    ASSERT(process->state == PROCESS_ZOMBIE);
    process->state = PROCESS_REAPED;
    list_remove(&process->sibling);
    process->parent = NULL;
    id_unpublish_process(process->pid);
}

/* Children of a dying process go to the kernel's; those that are zombies already are collected in `gone`. */
static void orphan_children_locked(struct process *process, struct list_node *gone) REQUIRES(proc_tree_lock)
{
    list_for_each_safe(node, &process->children) {
        struct process *child = list_entry(node, struct process, sibling);

        list_remove(&child->sibling);
        child->parent = &process_kernel;
        child->is_orphan = true;
        list_push_back(&process_kernel.children, &child->sibling);
        if (child->state == PROCESS_ZOMBIE) {
            retire_locked(child);
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
    orphan_children_locked(process, gone);
    /* Whoever waits for a child of this process waits in vain now. */
    (void)fetch_add_acq_rel(&process->child_events, 1); /* PAIRS(child_event) */
    (void)waitq_wake_all(&process->child_wait);
    if (process->is_orphan) {
        retire_locked(process);
        list_push_back(gone, &process->sibling);
        return;
    }
    struct process *parent = process->parent;

    if (signal_child_ended_locked(process)) {
        retire_locked(process);
        list_push_back(gone, &process->sibling);
    }
    /* Under the tree lock the parent cannot go away, and it looks again when it is woken. */
    (void)fetch_add_acq_rel(&parent->child_events, 1); /* PAIRS(child_event) */
    (void)waitq_wake_all(&parent->child_wait);
}

void process_thread_ended_locked(struct process *process, bool has_status, int wait_status, struct list_node *gone)
{
    ASSERT(process->state == PROCESS_ALIVE && process->threads_alive > 0);
    if (has_status)
        process->wait_status = process_end_status(process, wait_status);
    /* In one section with the count: nobody may join a process that has no thread left. */
    if (--process->threads_alive == 0 && process->had_thread)
        end_locked(process, gone);
}

int process_discard(struct process *process)
{
    struct list_node gone = LIST_INIT(gone);
    int result = -EBUSY;

    spin_lock(&proc_tree_lock);
    if (process->state == PROCESS_ALIVE && !process->had_thread) {
        process->is_orphan = true; /* nobody shall wait for it */
        end_locked(process, &gone);
        result = 0;
    }
    spin_unlock(&proc_tree_lock);
    process_put_all(&gone);
    return result;
}

/* Look for a child to report. 0 and *out: found, retired. -ECHILD: none matches. -EAGAIN: none has ended. */
static int find_ended(struct process *parent, pid_t pid, struct process **out)
{
    int result = -ECHILD;

    spin_lock(&proc_tree_lock);
    list_for_each(node, &parent->children) {
        struct process *child = list_entry(node, struct process, sibling);

        if ((pid != -1 && child->pid != pid) || child->is_orphan)
            continue;
        result = -EAGAIN;
        if (child->state == PROCESS_ZOMBIE) {
            retire_locked(child);
            *out = child;
            result = 0;
            break;
        }
    }
    spin_unlock(&proc_tree_lock);
    return result;
}

pid_t process_wait(struct process *parent, pid_t pid, unsigned options, int *out_status)
{
    struct process *child = NULL;
    int found = 0;

    if ((options & ~(WNOHANG | WUNTRACED | WCONTINUED)) != 0 || (pid <= 0 && pid != -1))
        return -EINVAL;
    for (;;) {
        /* Read before the look, so that a child that ends after the look is an event we do not sleep through. */
        uint64_t seen = load_acquire(&parent->child_events); /* PAIRS(child_event) */

        found = find_ended(parent, pid, &child);
        if (found != -EAGAIN)
            break;
        if (options & WNOHANG)
            return 0;
        int result = waitq_wait_until(&parent->child_wait, load_relaxed(&parent->child_events) != seen, TIME_NEVER,
                                      WAIT_KILLABLE);

        if (result != 0)
            return result;
    }
    if (found != 0)
        return found;
    pid_t ended = child->pid;

    if (out_status != NULL)
        *out_status = child->wait_status;
    process_put(child);
    return ended;
}

int process_kill(struct process *process)
{
    int result = 0;

    spin_lock(&proc_tree_lock);
    if (process->state != PROCESS_ALIVE)
        result = -ESRCH;
    list_for_each(node, &process->threads) {
        struct thread *thread = list_entry(node, struct thread, link);

        if (thread->state == THREAD_SCHEDULED)
            (void)task_kill(thread->task); /* linked: it has not exited, and unlinks under this lock */
    }
    spin_unlock(&proc_tree_lock);
    return result;
}
