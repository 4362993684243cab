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

/* `task` has waited on `from` beside the idle CPU of `rq` until now. */
static void note(struct runq *rq, const struct runq *from, const struct task *task, uint64_t idle_since)
{
    uint64_t waits_since = task->since_ticks;

    if ((int64_t)(task->allowed_since_ticks - waits_since) > 0)
        waits_since = task->allowed_since_ticks; /* until then it was not this CPU's */
    if ((int64_t)(idle_since - waits_since) > 0)
        waits_since = idle_since;
    uint64_t both = elapsed_ticks(waits_since, hal_clock_ticks());

    if (both > rq->stats.idle_beside_work_ticks_max) {
        rq->stats.idle_beside_work_ticks_max = both;
        rq->stats.idle_beside_work_on = from->cpu.id;
        rq->stats.idle_beside_work_tid = task->tid;
    }
    rq->stats.idle_beside_work += both > monitor.bound_ticks;
}

void monitor_stolen(struct runq *rq, const struct runq *from, const struct task *task)
{
    /* A thief in the middle of its switch has only just run out of work. */
    if (is_idle_task(rq, rq->running))
        note(rq, from, task, load_relaxed(&rq->idle_since_ticks));
}

void monitor_overlooked(struct runq *rq)
{
    const struct task *task = list_first(&rq->movable, struct task, movable_link);
    cpu_id_t idle = place_find_idle(&task->affinity, &rq->cpu);

    /* A hint without that CPU's lock: it is counted here, on the CPU where the task waits. */
    if (idle != CPU_NONE && idle != rq->cpu.id && load_relaxed(&runq_by_id(idle)->running_rank) == RANK_NOTHING)
        note(rq, rq, task, load_relaxed(&runq_by_id(idle)->idle_since_ticks));
}
