/* SPDX-License-Identifier: MIT */
/*
 * Idle CPUs take waiting tasks, and CPUs that have waiting tasks tell idle ones. The order of the two looks is at the
 * head of place.c. No search for a CPU, be it a victim or a thief, holds a run-queue lock, so that none is held for
 * longer the more CPUs there are.
 */
#include <smp/topology.h>

#include "sched_priv.h"

#define STEAL_SCAN_MAX 24 /* tasks looked at under one hold of the victim's lock */

/* Of the CPUs of `group`, `from` not included, in ring order: the one with the most movable tasks. CPU_NONE if none has
 * any. One that goes off may still have some; and what has ever started stays as it is. */
static cpu_id_t busiest(const struct cpumask *group, cpu_id_t from)
{
    cpu_id_t best = CPU_NONE;
    uint32_t most = 0;
    cpu_id_t id = from;

    for (unsigned scan = CPU_MAX; scan > 0; scan--) {
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

/* Copies what the newest movable tasks of `rq` may use; how many. */
static unsigned copy_newest(struct runq *rq, struct cpumask out[OFFER_SCAN_MAX])
{
    unsigned count = 0;

    spin_lock_irqoff(&rq->lock);
    rq->due &= ~DUE_OFFER;
    list_for_each_reverse(node, &rq->movable) {
        place_copy_mask(&list_entry(node, struct task, movable_link)->affinity, &out[count]);
        if (++count == OFFER_SCAN_MAX)
            break;
    }
    spin_unlock_irqoff(&rq->lock);
    return count;
}

/* False: the CPU was on its way out of its idle loop, and has perhaps not heard of it. */
static bool offer_to(struct runq *target)
{
    store_relaxed(&target->is_offered, true);
    resched_cpu(target);
    fence_seq_cst(); /* PAIRS(offer_taken) */
    return place_is_idle(target->cpu.id);
}

/* One free CPU that may run what may run on `allowed` hears of it, if there is one. */
static void offer_one(struct runq *rq, const struct cpumask *allowed)
{
    bool is_told = false;

    while (!is_told) {
        cpu_id_t idle = place_find_idle(allowed, &rq->cpu);

        is_told = idle == CPU_NONE || idle == rq->cpu.id || offer_to(runq_by_id(idle));
    }
}

void steal_offer(struct runq *rq)
{
    struct cpumask *wanted = this_runq()->offers;

    fence_seq_cst(); /* PAIRS(idle_offer) */
    if (!place_has_idle() || load_relaxed(&rq->movable_count) == 0)
        return;
    monitor_overlooked(rq);
    /* One free CPU for each waiting task, as far as they go; a poked CPU is no longer free. The newest first: the older
     * ones have been offered before, and a CPU that became idle since has looked at all of them. All are copied at one
     * moment: who is taken by a thief meanwhile must not hide the next one. */
    unsigned count = copy_newest(rq, wanted);

    for (unsigned i = 0; i < count && place_has_idle(); i++)
        offer_one(rq, &wanted[i]);
}

void steal_pass_on(struct runq *rq)
{
    cpu_id_t first = busiest(&cpu_started_mask, rq->cpu.id);

    if (first == CPU_NONE)
        return;
    /* Whose offer it was is not known: all who have tasks waiting make theirs again. */
    cpu_id_t id = first;

    do {
        if (id != rq->cpu.id)
            steal_offer(runq_by_id(id));
        id = cpumask_next_ring(&cpu_started_mask, id + 1);
    } while (id != first && place_has_idle());
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

/* `task` was found on `victim`, whose lock has been let go since; until interrupts are enabled it stays a task. True:
 * the CPU has work, be it this one or some of its own. */
static bool take(struct runq *rq, struct runq *victim, struct task *task, bool *out_contended) NO_LOCK_ANALYSIS
{
    spin_lock_irqoff(&rq->lock);
    bool has_work = rq->ready_classes != 0;

    /* Only ever a try: this CPU holds its own lock, and the victim's may rank before it. */
    if (!has_work && spin_try_lock_irqoff(&victim->lock)) {
        if (load_relaxed(&task->base.cpu) == &victim->cpu && list_is_linked(&task->movable_link) &&
            runq_is_loose(task) && cpumask_contains(&task->affinity, rq->cpu.id)) {
            monitor_stolen(rq, victim, task);
            rq->stats.steals++;
            runq_move(victim, rq, task);
            has_work = true;
        }
        spin_unlock_irqoff(&victim->lock);
    }
    spin_unlock_irqoff(&rq->lock);
    *out_contended |= !has_work; /* another one may be left there: look again */
    return has_work;
}

/* False: the victim's lock is taken. A hold may do something else first, for which it is too long: the next one. */
static bool loosen(struct runq *victim, struct task *task) NO_LOCK_ANALYSIS
{
    bool is_done = false;

    for (unsigned hold = 0; hold < 2 && !is_done; hold++) {
        if (!spin_try_lock_irqoff(&victim->lock))
            return false;
        bool is_there = load_relaxed(&task->base.cpu) == &victim->cpu && list_is_linked(&task->movable_link);

        if (is_there)
            runq_loosen(victim, task);
        is_done = !is_there || runq_is_loose(task);
        spin_unlock_irqoff(&victim->lock);
    }
    return true;
}

/* The look, the work on the victim's queue, and the theft hold its lock one after the other, none of them for long. */
static bool steal_from(struct runq *rq, struct runq *victim, bool *out_contended) NO_LOCK_ANALYSIS
{
    if (!spin_try_lock_irqoff(&victim->lock)) {
        *out_contended = true;
        return false;
    }
    struct task *task = steal_find(victim, rq->cpu.id);
    bool is_loose = task != NULL && runq_is_loose(task);

    spin_unlock_irqoff(&victim->lock);
    if (task == NULL)
        return false;
    if (!is_loose && !loosen(victim, task)) {
        *out_contended = true;
        return false;
    }
    return take(rq, victim, task, out_contended);
}

/* All that waits on the victim, STEAL_SCAN_MAX at a time: in between its lock is free. */
static bool steal_all_looks(struct runq *rq, struct runq *victim, bool *out_contended)
{
    unsigned looks = 1 + load_relaxed(&victim->movable_count) / STEAL_SCAN_MAX;

    for (; looks > 0 && load_relaxed(&victim->movable_count) != 0; looks--)
        if (steal_from(rq, victim, out_contended))
            return true;
    return false;
}

/* The busiest of the group first, then the others in ring order. */
static bool steal_in(struct runq *rq, const struct cpumask *group, bool *out_contended)
{
    cpu_id_t first = busiest(group, rq->cpu.id);
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
