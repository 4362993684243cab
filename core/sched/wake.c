/* SPDX-License-Identifier: MIT */
/*
 * Start and wake: a task becomes READY, on the CPU that suits it. The waker holds the lock of the run queue that the
 * task names; because that lock is held across switches, a task found BLOCKED has left its stack.
 */
#include "sched_priv.h"

#include <k/errno.h>

void resched_cpu(struct runq *rq)
{
    if (load_relaxed(&rq->cpu.need_resched))
        return; /* whoever set it has poked, and the target has not looked yet: it clears the flag under its lock */
    /* PAIRS(resched): set under the run-queue lock, or by an offer after the enqueue it speaks of. */
    if (!xchg_acq_rel(&rq->cpu.need_resched, true) && &rq->cpu != this_cpu())
        cpu_request(&rq->cpu, IPI_RESCHEDULE);
}

/* A READY task that names `rq` joins its queue; the CPU hears of it if that changes what it should run. */
static void enqueue_and_poke(struct runq *rq, struct task *task, enum enqueue_kind kind) REQUIRES(rq->lock)
{
    runq_enqueue(rq, task, kind);
    if (runq_should_preempt(rq, task))
        resched_cpu(rq);
    /* Whoever does not run now waits, be it the new task or the one it preempts: an idle CPU may want it. */
    if (UNLIKELY(load_relaxed(&rq->movable_count) != 0) && !is_idle_task(rq, rq->running))
        balance_offer(rq);
}

static bool is_blocked(const struct task *task)
{
    return task->state == TASK_BLOCKED || task->state == TASK_SLEEPING || task->state == TASK_STOPPED;
}

/* `rq`, which the NEW or blocked task names, is locked; the task becomes READY on `target`. Releases all locks.
 * False: a lock had to be dropped on the way and something about the task changed; the caller looks again. */
static bool make_ready(struct runq *rq, struct runq *target, struct task *task) NO_LOCK_ANALYSIS
{
    enum task_state from = task->state;

    if (target != rq && !runq_lock_second(rq, target) &&
        (load_relaxed(&task->base.cpu) != &rq->cpu || task->state != from ||
         !cpumask_contains(&task->affinity, target->cpu.id))) {
        spin_unlock_irqoff(&target->lock);
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
    if (from == TASK_NEW)
        rq->started++;
    else
        rq->blocked--;
    task_set_state(task, from, TASK_READY);
    task->is_killable = false;
    task->is_woken = true;
    task->since_ticks = hal_clock_ticks();
    if (target != rq) {
        task_change_cpu(task, rq, target);
        if (from != TASK_NEW) {
            task->stats.migrations++;
            target->stats.migrations_in++;
        }
    }
    enqueue_and_poke(target, task, ENQUEUE_WOKEN);
    spin_unlock_irqoff(&target->lock);
    if (target != rq)
        spin_unlock_irqoff(&rq->lock);
    return true;
}

int task_start(struct task *task) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    bool started = false;

    do {
        struct runq *rq = runq_lock_of(task);
        struct runq *target = balance_choose_start(task);

        ASSERT(task->state == TASK_NEW);
        if (target == NULL) {
            spin_unlock_irqoff(&rq->lock);
            hal_irq_restore(state);
            return -EINVAL;
        }
        started = make_ready(rq, target, task);
    } while (!started);
    sched_irq_restore(state);
    return 0;
}

enum wake_result { WAKE_DONE, WAKE_LATCHED, WAKE_DEAD };

/* Wake the task if it is blocked and (only_killable) its wait may be killed. Interrupts are disabled. */
static enum wake_result wake(struct task *task, bool only_killable) NO_LOCK_ANALYSIS
{
    for (;;) {
        struct runq *rq = runq_lock_of(task);

        if (is_blocked(task) && (!only_killable || task->is_killable)) {
            if (make_ready(rq, balance_choose_wake(task, rq), task))
                return WAKE_DONE;
            continue;
        }
        enum wake_result result = task->state == TASK_DEAD ? WAKE_DEAD : WAKE_LATCHED;

        /* Latched: a task on its way to block finds it and goes on. */
        if (!only_killable && (task->state == TASK_RUNNING || task->state == TASK_READY))
            task->wake_pending = true;
        spin_unlock_irqoff(&rq->lock);
        return result;
    }
}

bool task_wake(struct task *task)
{
    uintptr_t state = hal_irq_save();
    bool woke = wake(task, false) == WAKE_DONE;

    sched_irq_restore(state);
    return woke;
}

int task_kill(struct task *task)
{
    uintptr_t state = hal_irq_save();

    /* PAIRS(task_kill): set before the look at the task's state under its run-queue lock. */
    store_release(&task->kill_pending, true);
    enum wake_result result = wake(task, true);

    sched_irq_restore(state);
    return result == WAKE_DEAD ? -ESRCH : 0;
}

bool task_is_killed(void)
{
    return load_relaxed(&current_task()->kill_pending);
}
