/* SPDX-License-Identifier: MIT */
/* The running thread and its user: how it gets there, notices, faults, and what it leaves behind. */
#include <proc/user.h>

#include <fs/context.h>
#include <fs/cred.h>
#include <fs/fd.h>
#include <hal/upcall.h>
#include <hal/usermode.h>
#include <k/errno.h>
#include <k/log.h>
#include <k/panic.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <proc/oom.h>
#include <proc/signo.h>
#include <sched/sched.h>

#include "proc_priv.h"

static void (*user_begin_hook)(struct hal_trap *trap); /* written at boot */

void proc_set_user_begin(void (*begin)(struct hal_trap *trap))
{
    user_begin_hook = begin;
}

struct hal_trap *task_user_trap(const struct task *task)
{
    return (struct hal_trap *)(task->stack_base + task->stack_bytes) - 1;
}

int thread_user_main(void *arg)
{
    (void)arg;
    struct thread *self = thread_current();
    tid_t tid = self->tid;

    /* CLONE_CHILD_SETTID, in memory that may be the child's alone. As on Linux a bad address is no error. */
    if (self->user.set_tid != 0)
        (void)user_copy_out(self->user.set_tid, &tid, sizeof tid);
    user_begin_hook(task_user_trap(current_task()));
    panic("task %d '%s': its user returned", current_task()->tid, current_task()->name);
}

/* What a page fault that nobody could repair is. */
static struct signal_info of_page(const struct fault_info *fault, int error)
{
    struct signal_info info = { .number = SIGSEGV, .code = SEGV_MAPERR, .address = fault->address };

    if (error == -EACCES) {
        info.code = SEGV_ACCERR;
    } else if (error == -ENXIO) { /* beyond a file's end */
        info.number = SIGBUS;
        info.code = BUS_ADRERR;
    }
    return info;
}

/* What any other fault is: Linux's choice, which differs between the machines. */
static struct signal_info of_fault(const struct hal_trap *trap, const struct fault_info *fault)
{
    const struct hal_fault_signal *signal = &hal_fault_signals[fault->kind];

    return (struct signal_info){
        .number = signal->number,
        .code = signal->code,
        .address = signal->code == SI_KERNEL ? 0 : fault->address != 0 ? fault->address : HAL_TRAP_PC(trap),
    };
}

void proc_user_fault(struct hal_trap *trap, const struct fault_info *fault, int error)
{
    const struct task *self = current_task();

    if (error == -ENOMEM) {
        if (oom_relieve(TIME_NEVER) != -ENOMEM)
            return; /* to the same place: there is memory, or it is killed on the way */
        log_error("out of memory: no victim but %s[%d] itself", self->name, self->tid);
        process_end(process_current(), WAIT_STATUS_SIGNALED(SIGKILL)); /* no memory, and no handler would have any */
        return;
    }
    struct signal_info info = fault->kind == FAULT_PAGE ? of_page(fault, error) : of_fault(trap, fault);

    signal_force(&info);
}

void thread_return_memory(struct thread *thread)
{
    if (!load_relaxed(&thread->user.is_lent))
        return;
    store_release(&thread->user.is_lent, false); /* PAIRS(thread_lent) */
    (void)waitq_wake_all(&thread->user.lent_wait);
}

/* What it leaves behind in memory: its robust locks, and for set_tid_address(2) a 0, which nobody sees if the memory
 * goes with it. */
void thread_clear_tid(struct thread *thread)
{
    struct space *space = space_current();
    vaddr_t at = thread->user.clear_tid;

    thread->user.clear_tid = 0;
    /* The thread and its process have one reference each. */
    if (space != NULL)
        futex_thread_exit(&thread->futex, thread->tid, load_relaxed(&space->refs) > 2 ? at : 0);
    futex_owner_end(thread); /* behind the robust list: who is refused from here on finds the word as it stays */
}

void thread_drop_user(struct thread *thread)
{
    spin_lock(&proc_tree_lock); /* others that look, do so under it */
    struct thread_user *user = &thread->user;
    struct fd_table *files = user->files;
    struct fs_context *paths = user->paths;
    struct cred *cred = user->cred;

    if (cred != NULL)
        thread->process->last_user = cred->user.real;
    user->files = NULL;
    user->paths = NULL;
    user->cred = NULL;
    user_count_leave_locked(&user->counted);
    spin_unlock(&proc_tree_lock);
    if (files != NULL)
        fd_table_put(files);
    if (paths != NULL)
        fs_context_put(paths);
    if (cred != NULL)
        cred_put(cred);
}

void thread_leave_user(struct thread *thread)
{
    thread_clear_tid(thread);
    thread_return_memory(thread);
    thread_drop_user(thread);
}

void thread_set_name(const char *name)
{
    struct thread *self = thread_current();

    spin_lock(&proc_tree_lock);
    (void)str_copy(current_task()->name, name, sizeof current_task()->name);
    (void)str_copy(self->name, name, sizeof self->name);
    if (self->tid == self->process->pid)
        (void)str_copy(self->process->name, name, sizeof self->process->name);
    spin_unlock(&proc_tree_lock);
}

/* More than the limit is no error here: programs do not expect one, and would go on as who they were. execve(2) is. */
int thread_set_cred(struct cred *cred)
{
    struct thread *self = thread_current();
    struct cred *old = self->user.cred;
    bool changes_user = cred->user.real != old->user.real;
    struct user_count *count = NULL;

    if (changes_user && user_count_join(cred->user.real, UINT64_MAX, &count) != 0)
        return -EAGAIN;
    uint64_t max = changes_user ? process_limit_get(self->process, LIMIT_NPROC) : 0;

    spin_lock(&proc_tree_lock);
    if (changes_user) {
        struct user_count **own = user_count_of_locked(self);

        user_count_leave_locked(own);
        *own = count;
        self->user.is_over_limit = cred->user.real != 0 && count->tasks > max;
    }
    self->user.cred = cred;
    spin_unlock(&proc_tree_lock);
    cred_put(old);
    return 0;
}

int thread_cred_get(tid_t tid, struct cred **out)
{
    struct task *task = task_lookup(tid);
    struct process *process = task != NULL ? process_lookup(task->pid) : NULL;
    int result = -ESRCH;

    if (task != NULL)
        task_put(task);
    if (process == NULL)
        return result;
    spin_lock(&proc_tree_lock);
    list_for_each(node, &process->threads) {
        struct thread *thread = list_entry(node, struct thread, link);

        if (thread->tid != tid || thread->user.cred == NULL)
            continue;
        *out = thread->user.cred;
        cred_get(*out);
        result = 0;
    }
    spin_unlock(&proc_tree_lock);
    process_put(process);
    return result;
}

void process_set_subreaper(struct process *process, bool is_subreaper)
{
    spin_lock(&proc_tree_lock);
    process->is_subreaper = is_subreaper;
    spin_unlock(&proc_tree_lock);
}

bool process_is_subreaper(struct process *process)
{
    spin_lock(&proc_tree_lock);
    bool is_subreaper = process->is_subreaper;

    spin_unlock(&proc_tree_lock);
    return is_subreaper;
}

static bool is_all(const struct cred_ids *ids, uint32_t id)
{
    return ids->real == id && ids->effective == id && ids->saved == id;
}

bool thread_may_read_locked(const struct thread *thread, bool by_real_ids)
{
    const struct thread *self = thread_current();
    const struct cred *own = self != NULL ? self->user.cred : NULL, *theirs = thread->user.cred;

    if (own == NULL || self->process == thread->process || cred_can(own, CAP_SYS_PTRACE))
        return true;
    uint64_t caps = by_real_ids ? own->caps_permitted : own->caps_effective;

    return theirs != NULL && is_all(&theirs->user, by_real_ids ? own->user.real : own->user.fs) &&
           is_all(&theirs->group, by_real_ids ? own->group.real : own->group.fs) &&
           (theirs->caps_permitted & ~caps) == 0;
}

bool process_is_of(struct process *process, const struct cred *cred)
{
    bool result = true;

    spin_lock(&proc_tree_lock);
    list_for_each(node, &process->threads) {
        const struct cred *theirs = list_entry(node, struct thread, link)->user.cred;

        result = result && theirs != NULL && is_all(&theirs->user, cred->user.real) &&
                 is_all(&theirs->group, cred->group.real);
    }
    spin_unlock(&proc_tree_lock);
    return result;
}
