/* SPDX-License-Identifier: MIT */
/*
 * Which CPU: placement of new and woken tasks, stealing by idle CPUs, and moving tasks off CPUs they may no longer use.
 * Owns the set of idle CPUs, which is a hint read without a lock; correctness is in the order of its uses:
 *
 *   idle CPU                        CPU that queues a movable task
 *   mark idle                       movable_count++ (under its lock)
 *   fence          PAIRS(idle_offer)   fence
 *   look at movable_count           look at the idle set, poke one
 *
 * so at least one of them sees the other, and no CPU sleeps while a task that it may run waits.
 */
#include "sched_priv.h"

#define STEAL_SCAN_MAX 64 /* tasks looked at for a better one, once one that may move here was found */
#define OFFER_SCAN_MAX 16 /* waiting tasks for which an idle CPU is looked for at a time */
#define WAKE_SCAN_MAX 16  /* CPUs compared for a woken task when none is idle */

static struct {
    CACHE_ALIGNED _Atomic(uint64_t) mask[CPUMASK_WORDS];
    CACHE_ALIGNED _Atomic(uint32_t) count;
} idle_cpus;

void balance_mark_idle(struct cpu *cpu, bool is_idle)
{
    uint64_t bit = UINT64_C(1) << (cpu->id % 64);

    if (is_idle) {
        (void)fetch_or_relaxed(&idle_cpus.mask[cpu->id / 64], bit);
        (void)fetch_add_relaxed(&idle_cpus.count, 1);
        fence_seq_cst(); /* PAIRS(idle_offer) */
    } else {
        (void)fetch_sub_relaxed(&idle_cpus.count, 1);
        (void)fetch_and_relaxed(&idle_cpus.mask[cpu->id / 64], ~bit);
    }
}

/* Idle, and nobody has given it work that it has not looked at yet. */
static bool is_free(cpu_id_t id)
{
    struct runq *rq = runq_by_id(id);

    return load_relaxed(&rq->queued) == 0 && !load_relaxed(&rq->cpu.need_resched);
}

/* A free CPU of `affinity`, the first at or after `from` in ring order, or CPU_NONE. */
static cpu_id_t find_idle(const struct cpumask *affinity, cpu_id_t from)
{
    cpu_id_t first = CPU_NONE;

    if (load_relaxed(&idle_cpus.count) == 0)
        return CPU_NONE;
    for (cpu_id_t word = 0; word < CPUMASK_WORDS; word++) {
        uint64_t bits = load_relaxed(&idle_cpus.mask[word]) & affinity->word[word] & cpu_online_mask.word[word];

        for (; bits != 0; bits &= bits - 1) {
            cpu_id_t id = word * 64 + (cpu_id_t)__builtin_ctzll(bits);

            if ((id < from && first != CPU_NONE) || !is_free(id))
                continue;
            if (id >= from)
                return id;
            first = id;
        }
    }
    return first;
}

/* The next CPU at or after `from` that is online and allowed, wrapping once at CPU_MAX; CPU_NONE if there is none. */
static cpu_id_t next_allowed(const struct cpumask *affinity, cpu_id_t from)
{
    for (unsigned round = 0; round < 2; round++) {
        for (cpu_id_t word = from / 64; word < CPUMASK_WORDS; word++) {
            uint64_t bits = affinity->word[word] & cpu_online_mask.word[word];

            if (word == from / 64)
                bits &= ~UINT64_C(0) << (from % 64);
            if (bits != 0)
                return word * 64 + (cpu_id_t)__builtin_ctzll(bits);
        }
        from = 0;
    }
    return CPU_NONE;
}

/* How long would the task wait here? Lower is better. */
static uint32_t load_for(const struct runq *rq, const struct task *task)
{
    uint32_t running = load_relaxed(&rq->running_rank);
    uint32_t load = load_relaxed(&rq->queued) + (running != RANK_NOTHING);

    /* A real-time task cares whom it displaces: where something as urgent runs, it would wait. */
    if (task->class->id == CLASS_RT && running <= task->rank)
        load += TID_MAX;
    return load;
}

/* The least loaded of up to `scan` allowed CPUs, starting at `from`. */
static struct runq *least_loaded(const struct task *task, cpu_id_t from, unsigned scan)
{
    cpu_id_t first = next_allowed(&task->affinity, from);
    struct runq *best = NULL;
    uint32_t best_load = UINT32_MAX;

    if (first == CPU_NONE)
        return NULL;
    cpu_id_t id = first;

    do {
        struct runq *rq = runq_by_id(id);
        uint32_t load = load_for(rq, task);

        if (load < best_load) {
            best = rq;
            best_load = load;
        }
        id = next_allowed(&task->affinity, id + 1 < CPU_MAX ? id + 1 : 0);
    } while (id != first && --scan != 0);
    return best;
}

struct runq *balance_choose_start(struct task *task)
{
    struct cpu *here = this_cpu();

    if (load_relaxed(&cpu_online_count) == 1)
        return cpumask_contains(&task->affinity, here->id) ? runq_of(here) : NULL;
    return least_loaded(task, here->id, CPU_MAX);
}

struct runq *balance_search_wake(struct task *task, struct runq *last)
{
    bool allowed = cpumask_contains(&task->affinity, last->cpu.id);

    if (allowed && load_relaxed(&last->running_rank) == RANK_NOTHING && load_relaxed(&last->queued) == 0)
        return last;
    cpu_id_t idle = find_idle(&task->affinity, last->cpu.id);

    if (idle != CPU_NONE)
        return runq_by_id(idle);
    struct runq *best = least_loaded(task, last->cpu.id, allowed ? WAKE_SCAN_MAX : CPU_MAX);

    ASSERT(best != NULL); /* affinity always has an online CPU: checked when it is set */
    return best;
}

/* Where to begin: the CPU with the most movable tasks. CPU_NONE if nobody has any. */
static cpu_id_t busiest(cpu_id_t self)
{
    cpu_id_t best = CPU_NONE;
    uint32_t most = 0;

    for_each_online_cpu(id) {
        uint32_t count = load_relaxed(&runq_by_id(id)->movable_count);

        if (id != self && count > most) {
            best = id;
            most = count;
        }
    }
    return best;
}

void balance_offer(struct runq *rq)
{
    unsigned scanned = 0;

    fence_seq_cst(); /* PAIRS(idle_offer) */
    /* One free CPU for each waiting task, as far as they go; a poked CPU is no longer free. The newest first: the older
     * ones have been offered before, and a CPU that became idle since has looked at all of them. */
    list_for_each_reverse(node, &rq->movable) {
        const struct task *task = list_entry(node, struct task, movable_link);

        if (load_relaxed(&idle_cpus.count) == 0 || ++scanned > OFFER_SCAN_MAX)
            return;
        cpu_id_t idle = find_idle(&task->affinity, rq->cpu.id + 1);

        if (idle == CPU_NONE || idle == rq->cpu.id)
            continue;
        store_relaxed(&runq_by_id(idle)->is_offered, true);
        resched_cpu(runq_by_id(idle));
    }
}

void balance_pass_on(struct runq *rq) NO_LOCK_ANALYSIS
{
    if (!load_relaxed(&rq->is_offered))
        return;
    store_relaxed(&rq->is_offered, false);
    cpu_id_t id = busiest(rq->cpu.id);

    if (id == CPU_NONE)
        return;
    struct runq *victim = runq_by_id(id);

    if (spin_try_lock_irqoff(&victim->lock)) {
        balance_offer(victim);
        spin_unlock_irqoff(&victim->lock);
        return;
    }
    /* Whoever holds it may be past its own look for idle CPUs: let some free CPU look; a look in vain is harmless. */
    cpu_id_t idle = find_idle(&cpu_online_mask, rq->cpu.id + 1);

    if (idle != CPU_NONE && idle != rq->cpu.id)
        resched_cpu(runq_by_id(idle));
}

/* The most urgent queued task of `victim` that may run on `thief`, or NULL. */
static struct task *find_stealable(struct runq *victim, cpu_id_t thief)
{
    struct task *best = NULL;
    unsigned scanned = 0;

    list_for_each(node, &victim->movable) {
        struct task *task = list_entry(node, struct task, movable_link);

        if (cpumask_contains(&task->affinity, thief) && (best == NULL || task->rank < best->rank))
            best = task;
        if (++scanned >= STEAL_SCAN_MAX && best != NULL)
            break;
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
    struct task *task = find_stealable(victim, rq->cpu.id);

    if (task != NULL) {
        runq_dequeue(victim, task);
        task_change_cpu(task, victim, rq);
        task->stats.migrations++;
        rq->stats.steals++;
        rq->stats.migrations_in++;
        runq_enqueue(rq, task, ENQUEUE_MOVED);
    }
    spin_unlock_irqoff(&victim->lock);
    return task != NULL;
}

bool balance_steal(struct runq *rq, bool *out_contended)
{
    cpu_id_t first = busiest(rq->cpu.id);
    cpu_id_t id = first;

    if (first == CPU_NONE)
        return false;
    do {
        if (id != rq->cpu.id && steal_from(rq, runq_by_id(id), out_contended))
            return true;
        id = cpumask_next(&cpu_online_mask, id + 1);
        if (id == CPU_NONE)
            id = cpumask_next(&cpu_online_mask, 0);
    } while (id != first);
    return false;
}

/* The first misplaced task moves to an allowed CPU. True if there was one. */
static bool push_one(struct runq *rq) NO_LOCK_ANALYSIS
{
    spin_lock_irqoff(&rq->lock);
    if (list_is_empty(&rq->misplaced)) {
        spin_unlock_irqoff(&rq->lock);
        return false;
    }
    struct task *task = list_first(&rq->misplaced, struct task, queue_link);
    struct runq *target = balance_choose_start(task);

    ASSERT(target != NULL);
    if (target != rq && !runq_lock_second(rq, target) &&
        (!task_is_misplaced_on(task, rq) || !cpumask_contains(&task->affinity, target->cpu.id))) {
        spin_unlock_irqoff(&target->lock); /* somebody else changed it meanwhile: look again */
        spin_unlock_irqoff(&rq->lock);
        return true;
    }
    runq_dequeue(rq, task);
    if (target != rq) {
        task_change_cpu(task, rq, target);
        task->stats.migrations++;
        target->stats.migrations_in++;
    }
    runq_enqueue(target, task, ENQUEUE_MOVED);
    runq_notice(target, task);
    spin_unlock_irqoff(&target->lock);
    if (target != rq)
        spin_unlock_irqoff(&rq->lock);
    return true;
}

void balance_push_misplaced(struct runq *rq)
{
    while (push_one(rq))
        affinity_notify_moved();
}
