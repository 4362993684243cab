/* SPDX-License-Identifier: MIT */
/*
 * Idle CPUs take waiting tasks, and CPUs that have waiting tasks tell idle ones. The order of the two looks is at the
 * head of place.c. A search for a victim holds no run-queue lock, so that none is held for longer the more CPUs there
 * are; the one in a switch looks at a few near CPUs only, and leaves the rest to the idle loop.
 */
#include <smp/topology.h>

#include "sched_priv.h"

#define STEAL_SCAN_MAX 24 /* tasks looked at under one hold of the victim's lock */
#define NEAR_SCAN_MAX 8   /* CPUs looked at in a switch */
#define OFFER_SCAN_MAX 8  /* waiting tasks for which an idle CPU is looked for at a time */

/* Of the next `scan` CPUs of `group` from `from` on, in ring order: the one with the most movable tasks. CPU_NONE if
 * none has any. One that goes off may still have some; and what has ever started stays as it is. */
static cpu_id_t busiest(const struct cpumask *group, cpu_id_t from, unsigned scan)
{
    cpu_id_t best = CPU_NONE;
    uint32_t most = 0;
    cpu_id_t id = from;

    for (; scan > 0; scan--) {
        id = cpumask_next_ring(group, id + 1);
        if (id == CPU_NONE || id == from)
            break;
        uint32_t count = cpumask_contains(&cpu_started_mask, id) ? load_relaxed(&runq_by_id(id)->movable_count) : 0;

        if (count > most) {
            best = id;
            most = count;
        }
    }
    return best;
}

void steal_offer(struct runq *rq)
{
    unsigned scanned = 0;

    fence_seq_cst(); /* PAIRS(idle_offer) */
    if (!place_has_idle())
        return;
    monitor_overlooked(rq);
    /* One free CPU for each waiting task, as far as they go; a poked CPU is no longer free. The newest first: the older
     * ones have been offered before, and a CPU that became idle since has looked at all of them. */
    list_for_each_reverse(node, &rq->movable) {
        const struct task *task = list_entry(node, struct task, movable_link);

        if (!place_has_idle() || ++scanned > OFFER_SCAN_MAX)
            return;
        cpu_id_t idle = place_find_idle(&task->affinity, &rq->cpu);

        if (idle == CPU_NONE || idle == rq->cpu.id)
            continue;
        store_relaxed(&runq_by_id(idle)->is_offered, true);
        resched_cpu(runq_by_id(idle));
    }
}

void steal_pass_on(struct runq *rq) NO_LOCK_ANALYSIS
{
    if (!load_relaxed(&rq->is_offered))
        return;
    store_relaxed(&rq->is_offered, false);
    cpu_id_t id = busiest(&cpu_started_mask, rq->cpu.id, CPU_MAX);

    if (id == CPU_NONE)
        return;
    struct runq *victim = runq_by_id(id);

    if (spin_try_lock_irqoff(&victim->lock)) {
        steal_offer(victim);
        spin_unlock_irqoff(&victim->lock);
        return;
    }
    /* Whoever holds it may be past its own look for idle CPUs: let some free CPU look; a look in vain is harmless. */
    cpu_id_t idle = place_find_idle(&cpu_started_mask, &rq->cpu);

    if (idle != CPU_NONE && idle != rq->cpu.id)
        resched_cpu(runq_by_id(idle));
}

/* What comes after `last` comes first from now on: the next look sees others. */
static void turn_list(struct list_node *head, struct list_node *last)
{
    list_remove(head);
    list_push_front(last, head);
}

struct task *steal_find(struct runq *victim, cpu_id_t thief)
{
    struct task *best = NULL;
    unsigned scanned = 0;

    list_for_each(node, &victim->movable) {
        struct task *task = list_entry(node, struct task, movable_link);

        if (cpumask_contains(&task->affinity, thief) && (best == NULL || task->rank < best->rank))
            best = task;
        if (++scanned >= STEAL_SCAN_MAX) {
            if (best == NULL)
                turn_list(&victim->movable, node);
            break;
        }
    }
    return best;
}

static bool steal_from(struct runq *rq, struct runq *victim, bool *out_contended) NO_LOCK_ANALYSIS
{
    if (load_relaxed(&victim->movable_count) == 0)
        return false;
    /* Only ever a try: this CPU holds its own lock, and the victim's may rank before it. */
    if (!spin_try_lock_irqoff(&victim->lock)) {
        *out_contended = true;
        return false;
    }
    struct task *task = steal_find(victim, rq->cpu.id);

    if (task != NULL) {
        monitor_stolen(rq, victim, task);
        rq->stats.steals++;
        runq_move(victim, rq, task);
    }
    spin_unlock_irqoff(&victim->lock);
    return task != NULL;
}

bool steal_near(struct runq *rq, bool *out_contended)
{
    const struct cpumask *cache = topology_near(&rq->cpu, TOPOLOGY_CACHE);
    cpu_id_t id = busiest(cache != NULL ? cache : &cpu_started_mask, rq->cpu.id, NEAR_SCAN_MAX);

    return id != CPU_NONE && steal_from(rq, runq_by_id(id), out_contended);
}

/* All that waits on the victim, STEAL_SCAN_MAX at a time: in between both locks are free. */
static bool steal_all_looks(struct runq *rq, struct runq *victim, bool *out_contended) NO_LOCK_ANALYSIS
{
    unsigned looks = 1 + load_relaxed(&victim->movable_count) / STEAL_SCAN_MAX;
    bool found = false;

    for (; looks > 0 && !found && load_relaxed(&victim->movable_count) != 0; looks--) {
        spin_lock_irqoff(&rq->lock);
        found = rq->ready_classes != 0 || steal_from(rq, victim, out_contended);
        spin_unlock_irqoff(&rq->lock);
    }
    return found;
}

/* The busiest of the group first, then the others in ring order. */
static bool steal_in(struct runq *rq, const struct cpumask *group, bool *out_contended)
{
    cpu_id_t first = busiest(group, rq->cpu.id, CPU_MAX);
    cpu_id_t id = first;

    if (first == CPU_NONE)
        return false;
    do {
        if (id != rq->cpu.id && cpumask_contains(&cpu_started_mask, id) &&
            steal_all_looks(rq, runq_by_id(id), out_contended))
            return true;
        id = cpumask_next_ring(group, id + 1);
    } while (id != first);
    return false;
}

bool steal_idle(struct runq *rq, bool *out_contended)
{
    for (unsigned level = TOPOLOGY_CORE; level < TOPOLOGY_LEVELS; level++) {
        const struct cpumask *group = topology_near(&rq->cpu, (enum topology_level)level);

        if (group != NULL && steal_in(rq, group, out_contended))
            return true;
    }
    return steal_in(rq, &cpu_started_mask, out_contended);
}
