/* SPDX-License-Identifier: MIT */
/*
 * Exit, in three steps: release while able to sleep; publish the code to thread, parent and joiners; leave for ever.
 * The task frees nothing that it stands on: the next task lists it, the reaper frees it.
 */
#include <hal/irq.h>
#include <k/errno.h>
#include <proc/id.h>
#include <sched/sched.h>
#include <smp/tlb.h>

#include "proc_priv.h"

/* Off the process's address space, which may go at once: what a program used must not wait for the reaper. */
static NOINLINE void leave_space(struct task *self)
{
    struct task_object *object = object_of(self);
    struct space *space = object->space;
    uintptr_t state = hal_irq_save();

    if (self->space != NULL) {
        self->space = NULL;
        tlb_switch(NULL);
    }
    hal_irq_restore(state);
    object->space = NULL;
    if (space != NULL)
        space_put(space);
}

void task_exit(int code)
{
    struct task *self = current_task();
    struct task_object *object = object_of(self);

    ASSERT(context_can_sleep());
    if (self->mutexes_held != 0)
        panic("task %d '%s' exits while it holds %u mutexes", self->tid, self->name, self->mutexes_held);

    object_count_exiting();
    if (object->space != NULL || self->space != NULL)
        leave_space(self);
    id_unpublish_task(self->tid);
    if (object->thread != NULL) {
        struct thread *thread = object->thread;

        object->thread = NULL;
        thread_exited(thread, code);
        thread_put(thread);
    }

    hal_irq_disable(); /* until the next task runs */
    spin_lock_irqoff(&self->exit_waiters.lock);
    self->exit_code = code;
    self->has_exited = true;
    (void)waitq_wake_locked(&self->exit_waiters, UINT32_MAX);
    spin_unlock_irqoff(&self->exit_waiters.lock);
    sched_exit();
}

int task_join(struct task *task, int *out_code, uint64_t deadline_ns) NO_LOCK_ANALYSIS
{
    int result = 0;

    if (task == current_task())
        return -EDEADLK;
    uintptr_t state = spin_lock_irqsave(&task->exit_waiters.lock);

    if (task->has_exited)
        spin_unlock_irqoff(&task->exit_waiters.lock);
    else
        result = waitq_wait_locked(&task->exit_waiters, deadline_ns, WAIT_KILLABLE); /* only its exit wakes */
    sched_irq_restore(state);
    if (result == 0 && out_code != NULL)
        *out_code = task->exit_code; /* written once, before has_exited or before it woke us, under the lock */
    return result;
}
