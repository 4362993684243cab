/* SPDX-License-Identifier: MIT */
/*
 * Work conservation, watched in every build: no CPU idles for longer than SCHED_IDLE_BESIDE_WORK_NS while a task that
 * it may run waits. Looked at where an idle CPU and a waiting task meet at last, which is on no fast path: when an idle
 * CPU steals, and when a CPU that leaves tasks waiting finds one idle. Both halves of the time are known there: since
 * when the task has been ready, and since when the CPU has had nothing to run. Guarded by the lock of the run queue
 * whose numbers are written.
 */
#include <time/clock.h>

#include "sched_priv.h"

static struct {
    uint64_t bound_ticks;
} monitor RO_AFTER_INIT;

void monitor_init(void)
{
    monitor.bound_ticks = clock_ns_to_ticks(SCHED_IDLE_BESIDE_WORK_NS);
}

/* Since when `task` has been ready for the CPUs that it may use now. */
static uint64_t ready_since(const struct task *task)
{
    return (int64_t)(task->allowed_since_ticks - task->since_ticks) > 0 ? task->allowed_since_ticks : task->since_ticks;
}

/* A task has waited on `from` beside an idle CPU; the numbers are `rq`'s. */
static void note(struct runq *rq, const struct runq *from, tid_t tid, uint64_t waits_since, uint64_t idle_since,
                 uint64_t now)
{
    if ((int64_t)(idle_since - waits_since) > 0)
        waits_since = idle_since;
    uint64_t both = elapsed_ticks(waits_since, now);

    if (both > rq->stats.idle_beside_work_ticks_max) {
        rq->stats.idle_beside_work_ticks_max = both;
        rq->stats.idle_beside_work_on = from->cpu.id;
        rq->stats.idle_beside_work_tid = tid;
    }
    rq->stats.idle_beside_work += both > monitor.bound_ticks;
}

void monitor_stolen(struct runq *rq, const struct runq *from, const struct task *task)
{
    /* A thief in the middle of its switch has only just run out of work. */
    if (is_idle_task(rq, rq->running))
        note(rq, from, task->tid, ready_since(task), load_relaxed(&rq->idle_since_ticks), hal_clock_ticks());
}

void monitor_overlooked(struct runq *rq)
{
    struct cpumask allowed;
    tid_t tid = 0;
    uint64_t waits_since = 0;

    spin_lock_irqoff(&rq->lock);
    uint64_t now = hal_clock_ticks(); /* what happens to the task after that is no wait */

    if (!list_is_empty(&rq->movable)) {
        const struct task *task = list_first(&rq->movable, struct task, movable_link);

        place_copy_mask(&task->affinity, &allowed);
        tid = task->tid;
        waits_since = ready_since(task);
    }
    spin_unlock_irqoff(&rq->lock);
    cpu_id_t idle = tid == 0 ? CPU_NONE : place_find_idle(&allowed, &rq->cpu);

    /* A hint without that CPU's lock: it is counted here, on the CPU where the task waits. */
    if (idle == CPU_NONE || idle == rq->cpu.id || load_relaxed(&runq_by_id(idle)->running_rank) != RANK_NOTHING)
        return;
    uint64_t idle_since = load_relaxed(&runq_by_id(idle)->idle_since_ticks);

    spin_lock_irqoff(&rq->lock);
    note(rq, rq, tid, waits_since, idle_since, now);
    spin_unlock_irqoff(&rq->lock);
}
