/* SPDX-License-Identifier: MIT */
/*
 * Real-time order over all CPUs: a real-time task that may move does not wait for long while a CPU that it may use runs
 * something less urgent. (On one CPU that is check_place.c's.)
 *
 * Core looks after such a task when its CPU switches, and every SCHED_PUSH_NS from then on; a look sees
 * PLACE_SCAN_MAX CPUs, so on a larger machine it takes several. The timer, the lock and the poke may be late by as long
 * as CPUs are deaf, as in check_idle.c. Time counts in which the very task waits, with one mask and one rank, and the
 * very CPU runs what is of one rank. A CPU that has been asked to switch, and has not yet, does not look: while the
 * task's own is such a one, nothing is judged.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

#define WALKED_MAX 256u

static struct {
    unsigned rank;
    uint64_t since_ns;
} runs[CPU_MAX];

static void urgent_reset(const struct host_config *config)
{
    (void)config;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        runs[id].since_ns = 0;
}

static uint64_t bound_ns(void)
{
    uint64_t looks = 1 + (sim_cpus + PLACE_SCAN_MAX - 1) / PLACE_SCAN_MAX;

    return looks * SCHED_PUSH_NS + sim_cpus * (sim_ipi_delay_ns() + sim_deaf_ns_max());
}

static void waiter_look(const struct task *task, const struct runq *rq)
{
    uint64_t since_ns = sim_waits_since_ns(task);

    if (LIKELY(sim_now.ns - since_ns <= SCHED_PUSH_NS))
        return;
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        if (sim_runq(id) == NULL || id == rq->cpu.id || runs[id].rank <= task->rank ||
            !cpumask_contains(&task->affinity, id) || !cpumask_contains(&cpu_online_mask, id))
            continue;
        uint64_t both_ns = sim_now.ns - MAX(since_ns, runs[id].since_ns);

        if (UNLIKELY(both_ns > bound_ns()))
            sim_broken(PROMISE_ORDER,
                       "'%s' of rank %u waits on CPU %u for %llu ns, while CPU %u runs rank %u; the bound is %llu ns",
                       task->name, task->rank, rq->cpu.id, (unsigned long long)both_ns, id, runs[id].rank,
                       (unsigned long long)bound_ns());
    }
    sim_cost(sim_cpus);
}

static void urgent_quiet(void)
{
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        const struct runq *rq = sim_runq(id);
        unsigned rank = rq != NULL ? sim_peek(&rq->running_rank) : RANK_NOTHING;

        if (rank != runs[id].rank || runs[id].since_ns == 0 || !cpumask_contains(&cpu_online_mask, id)) {
            runs[id].rank = rank;
            runs[id].since_ns = MAX(sim_now.ns, UINT64_C(1));
        }
    }
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        const struct runq *rq = sim_runq(id);
        unsigned walked = 0;

        if (rq == NULL || runs[id].rank >= RANK_FAIR || sim_peek(&rq->cpu.need_resched))
            continue;
        list_for_each(node, &rq->movable) {
            const struct task *task = list_entry(node, struct task, movable_link);

            if (task->rank < RANK_FAIR && runs[id].rank <= task->rank)
                waiter_look(task, rq);
            if (++walked >= WALKED_MAX)
                break;
        }
        sim_cost(walked);
    }
}

const struct sim_checker checker_urgent = {
    .promise = PROMISE_ORDER,
    .name = "urgent",
    .reset = urgent_reset,
    .quiet = urgent_quiet,
};
