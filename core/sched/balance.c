/* SPDX-License-Identifier: MIT */
/*
 * Shares of fair tasks over CPUs. A CPU on which fair tasks wait for each other looks from time to time for a CPU that
 * carries less weight, and gives tasks to it. Nobody else does: a CPU with one task takes no interrupt for it, and one
 * with none steals (steal.c).
 *
 * Two kinds of move. One makes the weights more equal; it waits until two looks in a row have found it, since queues
 * that fill and drain are no imbalance. The other only trades places: where three equal tasks share two CPUs, no move
 * makes anything more equal, but whoever shares a CPU all the time gets half of one and the third a whole. So every
 * ROTATE_SLICES the task that has been longest on the fuller CPU moves, which makes the other the fuller one. Each is
 * then alone for a third of the time, and all get two thirds. Weights are those of the moment: an average over time
 * would have to be kept up at every switch, and what it is for, not to be fooled by a moment, the second look does too.
 *
 * There is no coming and going: a trade needs ROTATE_SLICES on both CPUs since the last one, a move makes the
 * difference smaller by a quarter at least or is of a task that is light beside it, and differences below an eighth are
 * left alone. CPUs that share a cache are looked at each time, those of the node every second time, all others every
 * fourth.
 */
#include <smp/topology.h>

#include "sched_priv.h"

#define LOOK_SLICES 2u    /* between two looks */
#define ROTATE_SLICES 8u  /* between two trades of places */
#define TASK_SCAN_MAX 6u  /* waiting tasks looked at */
#define ACTIVE_MISSES_MAX 8u /* doublings of the time until a core is asked again for what it did not give */
#define MOVES_MAX 4u      /* tasks moved in one look */

void balance_after_pick(struct runq *rq, const struct task *next)
{
    uint64_t now = hal_clock_ticks();

    /* What is queued here and does not run now may run elsewhere. */
    fence_seq_cst(); /* PAIRS(idle_offer) */
    if (place_has_idle())
        rq->after_switch |= AFTER_OFFER;
    if (next->rank == RANK_FAIR && (int64_t)(now - rq->balance_next_ticks) >= 0)
        rq->after_switch |= AFTER_BALANCE;
    push_after_pick(rq, next, now);
}

static uint64_t slices(unsigned count)
{
    return count * sched_tunables.fair_slice_ticks;
}

/* Whom to look at this time: near CPUs more often than far ones. */
static const struct cpumask *choose_group(struct runq *rq)
{
    static const uint8_t first_level[4] = { TOPOLOGY_LEVELS, TOPOLOGY_CACHE, TOPOLOGY_NODE, TOPOLOGY_CACHE };
    enum topology_level level = (enum topology_level)first_level[rq->balance_looks++ % 4];

    for (; level < TOPOLOGY_LEVELS; level++)
        if (topology_near(&rq->cpu, level) != NULL)
            return topology_near(&rq->cpu, level);
    return &cpu_started_mask;
}

static uint64_t stay(const struct task *task, uint64_t now)
{
    return elapsed_ticks(task->arrived_ticks, now);
}

/* For whom to look: a CPU that is light because nobody from here may use it is no help. The one that has been here for
 * longest, and every other time the next in the queue, since their affinities may differ. */
static const struct task *find_lead(struct runq *rq, uint64_t now) REQUIRES(rq->lock)
{
    const struct task *lead = NULL;
    unsigned scanned = 0;

    list_for_each(node, &rq->movable) {
        const struct task *task = list_entry(node, struct task, movable_link);

        if (task->rank == RANK_FAIR && (lead == NULL || stay(task, now) > stay(lead, now)))
            lead = task;
        if (++scanned >= TASK_SCAN_MAX || (lead != NULL && rq->balance_looks / 4 % 2 != 0))
            break;
    }
    return lead;
}

/* Of the CPUs looked at that are `allowed`, the one with the least weight; not one where something more urgent than
 * fair tasks runs. */
static struct runq *find_lightest(struct runq *rq, const struct cpumask *allowed)
{
    const struct cpumask *group = choose_group(rq);
    struct runq *best = NULL;
    cpu_id_t id = rq->balance_from;

    for (unsigned scanned = 0; scanned < PLACE_SCAN_MAX; scanned++) {
        id = cpumask_next_ring(group, id + 1);
        if (id == CPU_NONE)
            break;
        struct runq *other = runq_by_id(id);

        if (other != rq && cpu_is_online(id) && cpumask_contains(allowed, id) &&
            load_relaxed(&other->running_rank) >= RANK_FAIR &&
            (best == NULL || runq_fair_weight(other) < runq_fair_weight(best)))
            best = other;
        if (id == rq->balance_from)
            break; /* once around, it was the last one */
    }
    rq->balance_from = id == CPU_NONE ? rq->cpu.id : id;
    return best;
}

/* By how much would the difference of the weights shrink if a task of weight w went over? Negative: it would grow. */
static int64_t gain(uint64_t difference, uint64_t weight)
{
    int64_t after = (int64_t)(difference - 2 * weight);

    return (int64_t)difference - (after < 0 ? -after : after);
}

/* A quarter of the difference at least, so that nothing comes and goes; or all of it that a light task can do: of many
 * light tasks none does much by itself. */
static bool is_help(uint64_t difference, uint64_t weight)
{
    return gain(difference, weight) * 4 >= (int64_t)difference || weight * 8 <= difference;
}

/* The waiting task whose move to `target` helps most, or, where none does, the one that has been here longest and may
 * trade places. The queue is in no order that matters here. */
static struct task *find_mover(struct runq *rq, const struct runq *target, uint64_t difference, uint64_t now)
    REQUIRES(rq->lock)
{
    struct task *helper = NULL;
    struct task *trader = NULL;
    unsigned scanned = 0;

    list_for_each(node, &rq->movable) {
        struct task *task = list_entry(node, struct task, movable_link);

        if (++scanned > TASK_SCAN_MAX)
            break;
        if (task->rank != RANK_FAIR || !cpumask_contains(&task->affinity, target->cpu.id))
            continue;
        if (is_help(difference, task->fair_weight) &&
            (helper == NULL || gain(difference, task->fair_weight) > gain(difference, helper->fair_weight)))
            helper = task;
        if (task->fair_weight * UINT64_C(2) <= 3 * difference &&
            (trader == NULL || stay(task, now) > stay(trader, now)))
            trader = task;
    }
    if (helper != NULL) {
        rq->imbalance_looks++;
        return rq->imbalance_looks >= 2 ? helper : NULL;
    }
    rq->imbalance_looks = 0;
    if (trader == NULL || (int64_t)(now - rq->rotate_next_ticks) < 0 ||
        (int64_t)(now - load_relaxed(&target->rotate_next_ticks)) < 0)
        return NULL;
    if (!rq->running->is_pinned && stay(rq->running, now) > stay(trader, now)) {
        rq->balance_next_ticks = now; /* it is the turn of the one that runs: look again at the next switch */
        return NULL;
    }
    store_relaxed(&rq->rotate_next_ticks, now + slices(ROTATE_SLICES));
    return trader;
}

static bool may_still_move(struct task *task, struct runq *rq, const struct runq *target)
{
    return load_relaxed(&task->base.cpu) == &rq->cpu && task_is_queued(task) && task->rank == RANK_FAIR &&
           cpumask_contains(&task->affinity, target->cpu.id) && cpu_is_online(target->cpu.id);
}

/* The lock is let go meanwhile if there is something to do. False: the task may not move any more. */
static bool loosen(struct task *task, struct runq *rq, const struct runq *target) REQUIRES(rq->lock)
{
    if (!may_still_move(task, rq, target))
        return false;
    if (!runq_is_loose(task)) {
        runq_loosen(rq, task);
        spin_unlock_irqoff(&rq->lock);
        spin_lock_irqoff(&rq->lock);
    }
    return may_still_move(task, rq, target) && runq_is_loose(task);
}

/* A look is in three steps, each with the lock for itself: for whom, where to (without any), and who. */
static bool look_for_whom(struct runq *rq, struct cpumask *out)
{
    spin_lock_irqoff(&rq->lock);
    uint64_t now = hal_clock_ticks();
    const struct task *lead = find_lead(rq, now);

    rq->balance_next_ticks = now + slices(LOOK_SLICES);
    if (lead != NULL)
        place_copy_mask(&lead->affinity, out);
    spin_unlock_irqoff(&rq->lock);
    return lead != NULL;
}

static struct task *look_who(struct runq *rq, const struct runq *target, unsigned round)
{
    spin_lock_irqoff(&rq->lock);
    uint64_t mine = runq_fair_weight(rq);
    uint64_t theirs = target != NULL ? runq_fair_weight(target) : mine;
    struct task *task = NULL;

    if (mine > theirs && (mine - theirs) * 8 > mine)
        task = find_mover(rq, target, mine - theirs, hal_clock_ticks());
    else if (round == 0)
        rq->imbalance_looks = 0;
    spin_unlock_irqoff(&rq->lock);
    return task;
}

static bool balance_one(struct runq *rq, unsigned round) NO_LOCK_ANALYSIS
{
    struct cpumask allowed;
    bool has_lead = look_for_whom(rq, &allowed);
    struct runq *target = has_lead ? find_lightest(rq, &allowed) : NULL;
    struct task *task = look_who(rq, target, round);

    if (task == NULL)
        return false;
    /* It was there a moment ago. Until interrupts are enabled it stays a task, dead or alive. */
    spin_lock_irqoff(&rq->lock);
    if (!loosen(task, rq, target)) {
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
    if (!runq_lock_second(rq, target) && !(may_still_move(task, rq, target) && runq_is_loose(task)))
        task = NULL;
    if (task != NULL) {
        uint64_t now = hal_clock_ticks();

        rq->stats.balance_moves++;
        /* It is the fuller one now. Others that have been so for longer look before it does, else two CPUs whose looks
         * fall at the right moments would trade with each other for ever. */
        store_relaxed(&target->rotate_next_ticks, now + slices(ROTATE_SLICES + LOOK_SLICES));
        target->balance_next_ticks = now + slices(LOOK_SLICES);
        runq_move(rq, target, task);
    }
    spin_unlock_irqoff(&rq->lock);
    if (task != NULL)
        runq_unlock_notice(target, task);
    else
        runq_unlock(target);
    return task != NULL;
}

void balance_fair(struct runq *rq)
{
    for (unsigned round = 0; round < MOVES_MAX && balance_one(rq, round); round++)
        continue;
}

/* ---- A thread beside a busy one, and a whole core idle ---- */

/* Do two threads of the core run something? */
static bool is_crowded(const struct cpumask *core)
{
    unsigned busy = 0;

    for_each_cpu_of(id, core)
        busy += cpu_is_in(&cpu_started_mask, id) && load_relaxed(&runq_by_id(id)->running_rank) != RANK_NOTHING;
    return busy >= 2;
}

/* On the stopper of the busy CPU: what it ran is queued now, at the end of the list. */
static void send_running(void *arg) NO_LOCK_ANALYSIS
{
    struct runq *rq = this_runq();
    struct runq *thief = arg;

    if (!is_crowded(topology_near(&rq->cpu, TOPOLOGY_CORE)))
        return; /* the other one has left: two idle CPUs have asked both of them */
    uintptr_t state = spin_lock_irqsave(&rq->lock);
    struct task *task = list_is_empty(&rq->movable) ? NULL
                                                    : list_entry(rq->movable.prev, struct task, movable_link);

    /* Each time that the lock was let go it is looked at again. That the thief idles is a hint: if it finds work at
     * this moment, the task waits there, and idle CPUs are told of it as of any other. */
    if (task == NULL || !loosen(task, rq, thief) || load_relaxed(&thief->running_rank) != RANK_NOTHING) {
        spin_unlock_irqrestore(&rq->lock, state);
        return;
    }
    bool moves = runq_lock_second(rq, thief) || (may_still_move(task, rq, thief) && runq_is_loose(task));

    if (moves) {
        rq->stats.active_moves++;
        store_relaxed(&thief->active_misses, 0);
        runq_move(rq, thief, task);
    }
    spin_unlock_irqoff(&rq->lock);
    if (moves)
        runq_unlock_notice(thief, task);
    else
        runq_unlock(thief);
    sched_irq_restore(state);
}

void balance_idle_core(struct runq *rq)
{
    uint64_t now = hal_clock_ticks();
    cpu_id_t id = rq->balance_from;

    if (!place_is_core_idle(rq->cpu.id) || (int64_t)(now - rq->active_next_ticks) < 0)
        return;
    rq->active_next_ticks = now + slices(LOOK_SLICES << load_relaxed(&rq->active_misses));
    for (unsigned scanned = 0; scanned < PLACE_SCAN_MAX; scanned++) {
        id = cpumask_next_ring(topology_node_cpus(rq->cpu.node), id + 1);
        struct runq *other = runq_by_id(id);
        const struct cpumask *core = topology_near(&other->cpu, TOPOLOGY_CORE);

        if (core != NULL && cpu_is_online(id) &&
            load_relaxed(&other->running_rank) == RANK_FAIR && is_crowded(core)) {
            rq->active.fn = send_running;
            rq->active.arg = rq;
            /* Whether the task may come here is known over there only; where it may not, we ask ever more seldom. */
            store_relaxed(&rq->active_misses, MIN(load_relaxed(&rq->active_misses) + 1, ACTIVE_MISSES_MAX));
            if (!list_is_linked(&rq->active.link))
                (void)stop_request(other, &rq->active);
            break;
        }
    }
    rq->balance_from = id;
}
