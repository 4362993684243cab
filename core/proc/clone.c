/* SPDX-License-Identifier: MIT */
/*
 * clone(2) and its relatives. Everything that can fail comes first: memory, process, thread, files, task, each undone
 * in reverse; then the child's registers are filled in and it starts. Locks: the tree lock, inside of what is called.
 */
#include <proc/clone.h>

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/fd.h>
#include <hal/context.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <proc/schedule.h>
#include <sched/sched.h>

#include "proc_priv.h"

#define FLAGS_KNOWN                                                                                                 \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PTRACE | CLONE_VFORK | CLONE_PARENT | CLONE_THREAD | \
     CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_UNTRACED |  \
     CLONE_CHILD_SETTID | CLONE_IO | CLONE_CLEAR_SIGHAND)

#define THREAD_NUMBER_USER 65 /* PRIORITY_USER_NORMAL */

/* One clone on its way. */
struct cloning {
    const struct clone_request *request;
    struct thread *maker;
    struct process *process; /* a reference if it is new */
    struct thread *thread;   /* a reference */
    struct task *task;       /* a reference */
    struct user_count *count; /* the new task's, until it has it */
    uint32_t shared_sends;   /* the maker's process's, when this began */
};

static bool has(const struct clone_request *request, uint64_t flag)
{
    return (request->flags & flag) != 0;
}

static int check(const struct clone_request *request)
{
    if ((request->flags & ~FLAGS_KNOWN) != 0)
        return -EINVAL;
    if (has(request, CLONE_THREAD) && !has(request, CLONE_SIGHAND))
        return -EINVAL;
    if (has(request, CLONE_SIGHAND) && (!has(request, CLONE_VM) || has(request, CLONE_CLEAR_SIGHAND)))
        return -EINVAL;
    /* The first process is nobody's child, so nobody could wait for a sibling of it. */
    if (has(request, CLONE_PARENT) && process_current() == process_init)
        return -EINVAL;
    return request->exit_signal < 0 || request->exit_signal > 64 ? -EINVAL : 0;
}

static void give_count(struct cloning *cloning, struct user_count **to)
{
    *to = cloning->count;
    cloning->count = NULL;
}

static int make_process(struct cloning *cloning)
{
    const struct clone_request *request = cloning->request;
    struct space *space = cloning->maker->process->space;
    int result = 0;

    if (has(request, CLONE_THREAD)) {
        cloning->process = cloning->maker->process;
        process_get(cloning->process);
        return 0;
    }
    if (has(request, CLONE_VM))
        space_get(space);
    else
        result = space_fork(space, &space);
    if (result != 0)
        return result;
    result = process_create_user(has(request, CLONE_PARENT) ? PROCESS_SIBLING : request->exit_signal,
                                 has(request, CLONE_SIGHAND), cloning->maker->process->name, space, 0,
                                 &cloning->process);
    if (result != 0)
        space_put(space);
    else
        give_count(cloning, &cloning->process->counted);
    return result;
}

/* A signal to a group, or to all, reaches maker and child or comes before the fork: who is killed with its group leaves
 * no child behind. Such a one that is there is taken first, and the call made anew. */
static bool is_signal_due(struct cloning *cloning)
{
    if (has(cloning->request, CLONE_THREAD))
        return false;
    cloning->shared_sends = load_acquire(&cloning->maker->process->shared_sends); /* PAIRS(shared_send) */
    return (load_relaxed(&current_task()->notices) & WAIT_INTERRUPTIBLE) != 0;
}

static bool has_missed_signal(const struct cloning *cloning)
{
    return !has(cloning->request, CLONE_THREAD) && cloning->process->sends_at_fork != cloning->shared_sends;
}

/* The opposite, once no thread is left of what was made. */
static void unmake_process(struct cloning *cloning)
{
    if (!has(cloning->request, CLONE_THREAD)) {
        int result = process_discard(cloning->process);

        ASSERT(result == 0 || result == -EBUSY); /* busy: it went with its one thread */
    }
    process_put(cloning->process);
}

static int make_thread(struct cloning *cloning)
{
    struct task_snapshot self;

    task_get_snapshot(current_task(), &self);
    const struct thread_spec spec = {
        .name = current_task()->name,
        .entry = thread_user_main,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority_number = THREAD_NUMBER_USER,
        .affinity = &self.affinity,
        .uses_fpu = HAL_FPU_BYTES != 0,
        .is_user = true,
    };

    return thread_create(cloning->process, &spec, &cloning->thread);
}

static int share_files(const struct cloning *cloning, struct fd_table **files, struct fs_context **paths)
{
    const struct thread_user *from = &cloning->maker->user;
    int result = 0;

    *files = from->files;
    *paths = from->paths;
    if (has(cloning->request, CLONE_FILES))
        fd_table_get(*files);
    else
        result = fd_table_copy(from->files, files);
    if (result != 0)
        return result;
    if (has(cloning->request, CLONE_FS))
        fs_context_get(*paths);
    else
        result = fs_context_copy(from->paths, paths);
    if (result != 0)
        fd_table_put(*files);
    return result;
}

/* What the user has: shared, or copied. The thread is in its process's list, so others look at it already: by /proc,
 * and to know who may send it a signal. */
static int give_user(struct cloning *cloning)
{
    const struct clone_request *request = cloning->request;
    const struct thread_user *from = &cloning->maker->user;
    struct thread_user *to = &cloning->thread->user;
    struct fd_table *files = NULL;
    struct fs_context *paths = NULL;
    int result = share_files(cloning, &files, &paths);

    if (result != 0)
        return result;
    if (has(request, CLONE_CLEAR_SIGHAND))
        signal_handlers_reset(cloning->process);
    cred_get(from->cred);
    spin_lock(&proc_tree_lock);
    /* vfork(2)'s child uses its maker's stack; other threads of the same memory have none yet. */
    thread_signals_init(cloning->thread, cloning->maker, !has(request, CLONE_VM) || has(request, CLONE_VFORK));
    if (has(request, CLONE_THREAD))
        give_count(cloning, &to->counted);
    to->files = files;
    to->paths = paths;
    to->cred = from->cred;
    spin_unlock(&proc_tree_lock);
    to->personality = from->personality;
    store_relaxed(&to->gains_nothing, load_relaxed(&from->gains_nothing));
    to->clear_tid = has(request, CLONE_CHILD_CLEARTID) ? request->child_tid : 0;
    to->set_tid = has(request, CLONE_CHILD_SETTID) ? request->child_tid : 0;
    store_relaxed(&to->is_lent, has(request, CLONE_VFORK));
    return 0;
}

/* Scheduled as its maker is. */
static void give_policy(struct cloning *cloning, const struct sched_params *params)
{
    if (params->policy == SCHED_POLICY_FAIR && params->nice == 0 && params->slice_ns == 0)
        return; /* what it is made with */
    int result = task_set_params(cloning->task, params);

    ASSERT(result == 0); /* they are valid, and no deadline task's, which might find no room */
    if (params->policy == SCHED_POLICY_FIFO || params->policy == SCHED_POLICY_RR)
        cpu_limit_policy_changed(cloning->thread);
}

/* The registers: the caller's, those of the floating-point unit from the unit itself. */
static void give_registers(struct cloning *cloning, const struct hal_trap *trap)
{
    const struct clone_request *request = cloning->request;
    struct hal_trap *own = task_user_trap(cloning->task);
    void *area = current_task()->fpu_area;

    if (area != NULL) {
        uintptr_t state = hal_irq_save();

        hal_fpu_switch(area, area);
        hal_irq_restore(state);
        (void)memcpy(cloning->task->fpu_area, area, HAL_FPU_BYTES);
        if (HAL_VECTOR_BYTES != 0)
            HAL_FPU_VECTOR(cloning->task->fpu_area) = NULL;
    }
    *own = *trap;
    HAL_USER_RESULT(own) = 0;
    if (request->stack != 0)
        HAL_USER_SP(own) = request->stack;
    if (has(request, CLONE_SETTLS))
        HAL_USER_TLS(own, cloning->task->fpu_area) = request->tls;
}

void thread_unmake(struct thread *thread, bool is_only)
{
    thread_drop_user(thread);
    if (is_only) {
        spin_lock(&proc_tree_lock);
        thread->process->is_orphan = true;
        spin_unlock(&proc_tree_lock);
    }
    int result = thread_discard(thread);

    ASSERT(result == 0);
    thread_put(thread);
}

static int make(struct cloning *cloning)
{
    int result = make_process(cloning);

    if (result != 0)
        return result;
    result = has_missed_signal(cloning) ? -ERESTARTNOINTR : make_thread(cloning);
    if (result != 0)
        goto no_thread;
    result = give_user(cloning);
    if (result != 0)
        goto no_task;
    result = task_create_from_thread(cloning->process->pid, cloning->thread->tid, cloning->thread, &cloning->task);
    if (result != 0)
        goto no_task;
    return 0;

no_task:
    thread_unmake(cloning->thread, !has(cloning->request, CLONE_THREAD));
no_thread:
    unmake_process(cloning);
    return result;
}

/* A kill lets the maker go on, and to its own end: the child keeps the memory alive. */
static void wait_for_memory(struct thread *child)
{
    (void)waitq_wait_until(&child->user.lent_wait, !load_acquire(&child->user.is_lent), /* PAIRS(thread_lent) */
                           TIME_NEVER, WAIT_KILLABLE);
}

/* SCHED_RESET_ON_FORK: the child is an ordinary thread, and does not say the same of its children. */
static void reset_policy(struct sched_params *params)
{
    if (params->policy != SCHED_POLICY_FAIR && params->policy != SCHED_POLICY_IDLE)
        *params = (struct sched_params){ .policy = SCHED_POLICY_FAIR };
    else if (params->nice < 0)
        params->nice = 0;
}

pid_t process_clone(const struct hal_trap *trap, const struct clone_request *request)
{
    struct cloning cloning = { .request = request, .maker = thread_current() };
    struct sched_params params;
    int result = check(request);

    uint32_t marks = load_relaxed(&cloning.maker->policy_marks);

    task_get_params(current_task(), &params); /* a deadline task promises for itself alone */
    if ((marks & THREAD_MARK_RESETS) != 0)
        reset_policy(&params);
    if (result == 0 && params.policy == SCHED_POLICY_DEADLINE)
        result = -EAGAIN;
    if (result == 0 && is_signal_due(&cloning))
        result = -ERESTARTNOINTR;
    /* A crowd of forks would take what those need that are there, and be killed for it one by one. Who borrows memory
     * until an exec is on the way to something smaller. */
    if (result == 0 && !has(request, CLONE_VFORK) && oom_is_short())
        result = -ENOMEM;
    if (result == 0)
        result = user_count_join(cloning.maker->user.cred->user.real, user_count_limit(cloning.maker), &cloning.count);
    if (result == 0)
        result = make(&cloning);
    if (result != 0) {
        user_count_leave(&cloning.count);
        return result;
    }
    cloning.maker->user.is_over_limit = false;

    /* Nothing fails from here on, but what the child can live without. */
    tid_t tid = cloning.thread->tid;

    give_registers(&cloning, trap);
    give_policy(&cloning, &params);
    store_relaxed(&cloning.thread->policy_marks, marks & ~THREAD_MARK_RESETS);
    if (has(request, CLONE_PARENT_SETTID))
        (void)user_copy_out(request->parent_tid, &tid, sizeof tid); /* as on Linux, a bad address is no error */
    result = task_start(cloning.task);
    ASSERT(result == 0); /* the affinity is one that the maker runs with */
    if (has(request, CLONE_VFORK))
        wait_for_memory(cloning.thread);
    task_put(cloning.task);
    thread_put(cloning.thread);
    process_put(cloning.process);
    return tid;
}
