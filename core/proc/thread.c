/* SPDX-License-Identifier: MIT */
/* Threads of processes, and the tasks that run them. Links and states are under the tree lock. */
#include <fs/tty.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/group.h>
#include <proc/id.h>
#include <sched/sched.h>

#include "proc_priv.h"

static struct slab_cache threads;

void thread_cache_init(void)
{
    slab_cache_init(&threads, "thread", sizeof(struct thread), alignof(struct thread));
}

static struct task_spec task_spec_of(const struct thread *thread)
{
    return (struct task_spec){
        .name = thread->name,
        .entry = thread->spec.entry,
        .arg = thread->spec.arg,
        .stack_bytes = thread->spec.stack_bytes,
        .priority = priority_from_thread_number(thread->spec.priority_number),
        .affinity = &thread->affinity,
        .uses_fpu = thread->spec.uses_fpu,
    };
}

/* Count the new thread in, if the process still lives; the first one shares the pid's number. */
static int adopt(struct process *process, bool *out_is_first)
{
    int result = 0;

    spin_lock(&proc_tree_lock);
    if (process->state != PROCESS_ALIVE) {
        result = -ESRCH;
    } else if (process->executing != NULL || process->is_exiting) {
        result = -EINTR;
    } else {
        *out_is_first = !process->had_thread;
        process->had_thread = true;
        process->threads_alive++;
    }
    spin_unlock(&proc_tree_lock);
    return result;
}

/* A thread that was counted in and never linked is taken back. Others may have come and gone meanwhile: then it was the
 * last one, and the process ends. */
static void disown(struct process *process, bool was_first)
{
    struct list_node gone = LIST_INIT(gone);

    spin_lock(&proc_tree_lock);
    if (was_first)
        process->had_thread = process->threads_alive > 1; /* alone again: as if it had never had one */
    struct space *space = process_thread_ended_locked(process, false, 0, &gone);

    spin_unlock(&proc_tree_lock);
    if (space != NULL)
        space_put(space);
    process_put_all(&gone);
}

int thread_create(struct process *process, const struct thread_spec *spec, struct thread **out)
{
    bool is_first = false;

    if (spec->name == NULL || spec->name[0] == '\0' || spec->entry == NULL || spec->stack_bytes == 0 ||
        spec->stack_bytes > STACK_BYTES_MAX || process == &process_kernel)
        return -EINVAL;
    struct thread *thread = slab_alloc(&threads);

    if (thread == NULL)
        return -ENOMEM;
    int result = adopt(process, &is_first);

    if (result != 0)
        goto free_thread;
    (void)memset(thread, 0, sizeof *thread);
    if (is_first) {
        thread->tid = process->pid;
        id_hold(thread->tid);
    } else {
        result = id_alloc(&thread->tid);
        if (result != 0)
            goto disown_thread;
    }
    process_get(process);
    thread->process = process;
    thread->spec = *spec;
    (void)str_copy(thread->name, spec->name, sizeof thread->name);
    thread->spec.name = thread->name;
    if (spec->affinity != NULL)
        thread->affinity = *spec->affinity;
    else
        cpumask_set_all(&thread->affinity);
    thread->spec.affinity = &thread->affinity;
    thread_signals_init(thread, NULL, false);
    thread_futex_init(&thread->futex);
    waitq_init(&thread->user.lent_wait);
    store_relaxed(&thread->refs, 2); /* the process's list, and the caller's */
    spin_lock(&proc_tree_lock);
    list_push_back(&process->threads, &thread->link);
    spin_unlock(&proc_tree_lock);
    *out = thread;
    return 0;

disown_thread:
    disown(process, is_first);
free_thread:
    slab_free(&threads, thread);
    return result;
}

int thread_discard(struct thread *thread)
{
    struct list_node gone = LIST_INIT(gone);

    spin_lock(&proc_tree_lock);
    if (thread->state != THREAD_CREATED) {
        spin_unlock(&proc_tree_lock);
        return -EBUSY;
    }
    thread->state = THREAD_DEAD;
    list_remove(&thread->link);
    struct space *space = process_thread_ended_locked(thread->process, false, 0, &gone);

    spin_unlock(&proc_tree_lock);
    if (space != NULL)
        space_put(space);
    process_put_all(&gone);
    thread_put(thread);
    return 0;
}

void thread_get(struct thread *thread)
{
    uint32_t before = fetch_add_relaxed(&thread->refs, 1);

    ASSERT(before != 0);
}

struct thread *thread_get_of_task(struct task *task)
{
    spin_lock(&proc_tree_lock);
    struct thread *thread = object_of(task)->thread;

    if (thread != NULL)
        thread_get(thread);
    spin_unlock(&proc_tree_lock);
    return thread;
}

void thread_put(struct thread *thread)
{
    uint32_t before = fetch_sub_acq_rel(&thread->refs, 1); /* PAIRS(thread_ref) */

    ASSERT(before != 0);
    if (before != 1)
        return;
    ASSERT(thread->state == THREAD_DEAD && thread->task == NULL);
    struct process *process = thread->process;

    id_release(thread->tid);
    slab_free(&threads, thread); /* reached only by reference, never by look-up: no grace period */
    process_put(process);
}

int task_create_from_thread(pid_t pid, tid_t tid, struct thread *thread, struct task **out)
{
    struct process *process = thread->process;
    const struct task_spec task = task_spec_of(thread);
    struct object_spec spec = {
        .task = &task, .tid = tid, .pid = pid, .thread = thread, .is_user = thread->spec.is_user,
    };
    struct task_object *object = NULL;

    if (process->pid != pid || thread->tid != tid)
        return -EINVAL;
    int result = task_spec_check(&task);

    if (result != 0)
        return result;
    reaper_keep_pace();
    spec.space = process_space_get(process); /* of our own: the last thread may end meanwhile */
    if (spec.space == NULL)
        return -ESRCH;
    result = object_create(&spec, &object);
    space_put(spec.space);
    if (result != 0)
        return result;
    result = task_admit(&object->task);
    if (result != 0) {
        object_discard(object);
        return result;
    }
    spin_lock(&proc_tree_lock);
    if (thread->state == THREAD_DEAD)
        result = -ESRCH;
    else if (thread->state == THREAD_SCHEDULED)
        result = -EEXIST;
    if (result != 0) {
        spin_unlock(&proc_tree_lock);
        object_discard(object);
        return result;
    }
    object->task.user_stack = thread->spec.user_stack;
    object->task.tls_base = thread->spec.tls_base;
    object_count_created();
    id_hold(tid); /* the task's own use of the number, until it is reclaimed */
    thread->state = THREAD_SCHEDULED;
    thread->task = &object->task;
    task_get(&object->task);
    signal_attach_locked(thread, &object->task);
    if (process->is_exiting || process->executing != NULL) /* who ends the threads has been here, and saw no task */
        store_relaxed(&object->task.notices, TASK_NOTICE_KILL);
    id_publish_task(tid, &object->task);
    spin_unlock(&proc_tree_lock);
    *out = &object->task;
    return 0;
}

int thread_schedule(pid_t pid, tid_t tid, struct thread *thread)
{
    struct task *task = NULL;
    int result = task_create_from_thread(pid, tid, thread, &task);

    if (result != 0)
        return result;
    task_start_admitted(task);
    task_put(task);
    return 0;
}

void thread_exited(struct thread *thread, int code)
{
    struct list_node gone = LIST_INIT(gone);

    store_release(&thread->exit_code, code); /* PAIRS(thread_exit): before anybody can see DEAD */
    spin_lock(&proc_tree_lock);
    ASSERT(thread->state == THREAD_SCHEDULED);
    thread->state = THREAD_DEAD;
    object_of(thread->task)->thread = NULL;
    thread->task = NULL;
    signal_detach_locked(thread);
    list_remove(&thread->link);
    struct process *process = thread->process;

    if (process->has_user)
        usage_add_self_locked(process);
    pid_t session = process->group != NULL ? process->group->session->id : 0;
    struct space *space = process_thread_ended_locked(process, true, WAIT_STATUS_EXITED(code), &gone);
    bool has_ended = process->state != PROCESS_ALIVE;
    bool is_end_of_init = process == process_init && process->state == PROCESS_ZOMBIE;

    if (space != NULL && process->has_user)
        usage_add_space_locked(process, space);
    spin_unlock(&proc_tree_lock);
    if (space != NULL) {
        space_put(space);
        oom_memory_returned(process);
    }
    if (has_ended && session == process->pid)
        tty_session_ended(session);
    if (is_end_of_init)
        init_ended(process->wait_status);
    process_put_all(&gone);
    thread_put(thread); /* the list's */
}
