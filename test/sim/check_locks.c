/* SPDX-License-Identifier: MIT */
/*
 * Locks. At a switch, and where a task blocks, yields or ends, it holds its run queue's lock and nothing else, in no
 * read section and in no interrupt handler, with interrupts disabled. And no CPUs wait for each other in a circle: core
 * checks ranks, this looks at what is. The ranks themselves, and a lock taken twice, are core's own assertions.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

static const struct spinlock *waits_for[CPU_MAX];
/* What the task waits for that a handler has interrupted: it holds up nobody whose lock the handler takes. */
static const struct spinlock *interrupted_wait[CPU_MAX];

static void locks_reset(const struct host_config *config)
{
    (void)config;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        waits_for[id] = interrupted_wait[id] = NULL;
}

static void require_switchable(const char *what)
{
    const struct task *task = sim_now.task;
    struct runq *rq = sim_now.rq;

    if (rq == NULL)
        return;
    if (UNLIKELY(sim_now.is_irq_on))
        sim_broken(PROMISE_LOCKS, "'%s' %s with interrupts enabled", task->name, what);
    if (UNLIKELY(task->base.preempt_count != 0))
        sim_broken(PROMISE_LOCKS, "'%s' %s with preemption disabled", task->name, what);
    if (UNLIKELY(rq->cpu.irq_depth != 0))
        sim_broken(PROMISE_LOCKS, "'%s' %s in an interrupt handler", task->name, what);
    if (UNLIKELY(task->base.lock_depth != 1 || task->base.lock_held[0] != &rq->lock)) {
        unsigned depth = task->base.lock_depth;

        sim_broken(PROMISE_LOCKS, "'%s' %s with %u locks held, the last a %s lock", task->name, what, depth,
                   depth > 0 ? sim_lock_name(task->base.lock_held[depth - 1]->rank) : "missing");
    }
}

/* This CPU waits for `lock` from here on: does its holder wait, and for whom? */
static void wait_begins(const struct spinlock *lock)
{
    cpu_id_t self = sim_now.cpu;

    waits_for[self] = lock;
    for (unsigned hops = 0; lock != NULL && hops < sim_cpus; hops++) {
        uint32_t word = sim_peek(&lock->word);

        if (word == 0 || word > sim_cpus)
            return;
        if (UNLIKELY(word == self + 1 && hops > 0))
            sim_broken(PROMISE_LOCKS, "CPU %u waits for a %s lock, whose holder waits for a %s lock that CPU %u holds",
                       self, sim_lock_name(waits_for[self]->rank), sim_lock_name(lock->rank), self);
        lock = waits_for[word - 1];
    }
}

static void locks_event(enum trace_event event, const void *object, uint64_t value)
{
    (void)value;
    switch (event) {
    case TRACE_TASK_RUN:
        require_switchable("switches");
        break;
    case TRACE_TASK_REQUEUE:
        require_switchable("gives its CPU away");
        break;
    case TRACE_TASK_BLOCK:
        require_switchable("blocks");
        break;
    case TRACE_TASK_EXIT:
        require_switchable("ends");
        break;
    case TRACE_SPIN_ENTER:
        wait_begins(object);
        break;
    case TRACE_SPIN_EXIT:
        waits_for[sim_now.cpu] = NULL;
        break;
    case TRACE_IRQ_ENTER:
        interrupted_wait[sim_now.cpu] = waits_for[sim_now.cpu];
        waits_for[sim_now.cpu] = NULL;
        break;
    case TRACE_IRQ_EXIT:
        if (interrupted_wait[sim_now.cpu] != NULL)
            wait_begins(interrupted_wait[sim_now.cpu]);
        interrupted_wait[sim_now.cpu] = NULL;
        break;
    default:
        break;
    }
}

const struct sim_checker checker_locks = {
    .promise = PROMISE_LOCKS,
    .name = "locks",
    .reset = locks_reset,
    .event = locks_event,
};
