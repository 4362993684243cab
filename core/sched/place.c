/* SPDX-License-Identifier: MIT */
/*
 * Which CPU for a new or a woken task: an idle one, the nearest by topology; else the least loaded by the task's class.
 * Owns the set of idle CPUs, which is a hint read without a lock; correctness is in the order of its uses:
 *
 *   idle CPU                        CPU that queues a movable task
 *   mark idle                       movable_count++ (under its lock)
 *   fence          PAIRS(idle_offer)   fence
 *   look at movable_count           look at the idle set, poke one
 *
 * so at least one of them sees the other, and no CPU sleeps while a task that it may run waits. Nor is it forgotten if
 * the one that is poked has just found work of its own:
 *
 *   idle CPU that leaves            CPU that offers it a task
 *   mark not idle                   is_offered = true
 *   fence          PAIRS(offer_taken)  fence
 *   look at is_offered: pass it on  look whether it idles: if not, poke another one
 */
#include <smp/topology.h>

#include "sched_priv.h"

void place_wish_of(const struct task *task, struct place_wish *out)
{
    out->rank = task->rank;
    place_copy_mask(&task->affinity, &out->affinity);
}

static struct {
    CACHE_ALIGNED _Atomic(uint64_t) mask[CPUMASK_WORDS];
    CACHE_ALIGNED _Atomic(uint32_t) count;
} idle_cpus;

void place_mark_idle(struct cpu *cpu, bool is_idle)
{
    uint64_t bit = UINT64_C(1) << (cpu->id % 64);

    if (is_idle) {
        (void)fetch_or_relaxed(&idle_cpus.mask[cpu->id / 64], bit);
        (void)fetch_add_relaxed(&idle_cpus.count, 1);
        fence_seq_cst(); /* PAIRS(idle_offer) */
    } else {
        (void)fetch_sub_relaxed(&idle_cpus.count, 1);
        (void)fetch_and_relaxed(&idle_cpus.mask[cpu->id / 64], ~bit);
        fence_seq_cst(); /* PAIRS(offer_taken) */
    }
}

bool place_is_idle(cpu_id_t id)
{
    return (load_relaxed(&idle_cpus.mask[id / 64]) >> id % 64 & 1) != 0;
}

bool place_has_idle(void)
{
    return load_relaxed(&idle_cpus.count) != 0;
}

/* Idle, and nobody has given it work that it has not looked at yet. */
static bool is_free(cpu_id_t id)
{
    struct runq *rq = runq_by_id(id);

    return load_relaxed(&rq->queued) == 0 && load_relaxed(&rq->cpu.need_resched) != RESCHED_ASKED;
}

/* Does no thread of the CPU's core run anything? */
bool place_is_core_idle(cpu_id_t id)
{
    const struct cpumask *core = topology_near(cpu_table[id], TOPOLOGY_CORE);

    if (core == NULL)
        return true;
    for_each_cpu_of(other, core)
        if ((cpumask_word(&cpu_online_mask, other / 64) & ~load_relaxed(&idle_cpus.mask[other / 64])) >> other % 64 & 1)
            return false;
    return true;
}

/* A free CPU of `affinity` in `group`, the first at or after `from` in ring order, or CPU_NONE. Looks only at the words
 * of the masks that have a bit in `words`. */
static cpu_id_t find_in(const struct cpumask *affinity, const struct cpumask *group, cpu_id_t from, bool whole_core,
                        uint32_t words)
{
    cpu_id_t first = CPU_NONE;

    for (; words != 0; words &= words - 1) {
        cpu_id_t word = (cpu_id_t)__builtin_ctz(words);
        uint64_t bits = load_relaxed(&idle_cpus.mask[word]) & affinity->word[word] & group->word[word] &
                        cpumask_word(&cpu_online_mask, word);

        for (; bits != 0; bits &= bits - 1) {
            cpu_id_t id = word * 64 + (cpu_id_t)__builtin_ctzll(bits);

            if ((id < from && first != CPU_NONE) || !is_free(id) || (whole_core && !place_is_core_idle(id)))
                continue;
            if (id >= from)
                return id;
            first = id;
        }
    }
    return first;
}

/* Inside one node, seen from `near` (in that node or not): those that share its cache before others. */
static cpu_id_t find_in_node(const struct cpumask *affinity, const struct cpu *near, const struct cpumask *node,
                             bool whole_core, uint32_t words)
{
    const struct cpumask *cache = topology_near(near, TOPOLOGY_CACHE);

    if (cache != NULL && cpumask_contains(node, near->id)) {
        cpu_id_t id = find_in(affinity, cache, near->id, whole_core, words);

        if (id != CPU_NONE)
            return id;
    }
    return find_in(affinity, node, near->id, whole_core, words);
}

_Static_assert(CPUMASK_WORDS <= 32, "a bit for each word of a mask");

/* Bit i: some CPU of word i of the mask idles. One look at each word, so that a machine of many nodes is searched only
 * where there is something to find. */
static uint32_t words_with_idle(const struct cpumask *affinity)
{
    uint32_t words = 0;

    for (cpu_id_t word = 0; word < cpu_mask_words; word++)
        if ((load_relaxed(&idle_cpus.mask[word]) & affinity->word[word]) != 0)
            words |= 1u << word;
    return words;
}

cpu_id_t place_find_idle(const struct cpumask *affinity, const struct cpu *near)
{
    unsigned nodes = topology_nodes();

    if (!place_has_idle())
        return CPU_NONE;
    uint32_t idle_words = words_with_idle(affinity);

    for (unsigned i = 0; idle_words != 0 && i < MAX(nodes, 1u); i++) {
        unsigned nearest = nodes > 1 ? topology_nearest(near->node, i) : 0;
        const struct cpumask *node = nodes > 1 ? topology_node_cpus(nearest) : &cpu_started_mask;
        uint32_t words = nodes > 1 ? idle_words & topology_node_words(nearest) : idle_words;

        if (words == 0)
            continue;

        /* A thread beside a busy one has half a core; it is taken before the task goes to another node. */
        for (unsigned pass = topology_has_threads() ? 0 : 1; pass < 2; pass++) {
            cpu_id_t id = find_in_node(affinity, near, node, pass == 0, words);

            if (id != CPU_NONE)
                return id;
        }
    }
    return CPU_NONE;
}

/* The next CPU at or after `from` that is online and allowed, wrapping once at CPU_MAX; CPU_NONE if there is none. */
static cpu_id_t next_allowed(const struct cpumask *affinity, cpu_id_t from)
{
    for (unsigned round = 0; round < 2; round++) {
        for (cpu_id_t word = from / 64; word < cpu_mask_words; word++) {
            uint64_t bits = affinity->word[word] & cpumask_word(&cpu_online_mask, word);

            if (word == from / 64)
                bits &= ~UINT64_C(0) << (from % 64);
            if (bits != 0)
                return word * 64 + (cpu_id_t)__builtin_ctzll(bits);
        }
        from = 0;
    }
    return CPU_NONE;
}

/* What runs there, or is about to: whoever has been queued and asked the CPU to switch counts as running. */
static uint32_t rank_soon(const struct runq *rq)
{
    uint32_t running = load_relaxed(&rq->running_rank);

    return load_relaxed(&rq->cpu.need_resched) == RESCHED_ASKED ? MIN(running, load_relaxed(&rq->next_rank)) : running;
}

bool place_would_wait(const struct runq *rq, uint32_t rank)
{
    uint32_t running = rank_soon(rq);

    return rank < RANK_FAIR ? running <= rank : running < RANK_FAIR;
}

/* How long would the task wait here? Lower is better. A real-time task cares whom it displaces: the least urgent, and
 * where something as urgent runs, it would wait. A fair one cares for the weights that it would share the CPU with, and
 * waits for as long as something more urgent runs. Others count heads. */
static uint64_t load_for(const struct runq *rq, uint32_t rank)
{
    uint32_t running = rank_soon(rq);
    uint64_t heads = load_relaxed(&rq->queued) + (running != RANK_NOTHING);
    uint64_t waits = place_would_wait(rq, rank) ? UINT64_C(1) << 62 : 0;

    if (rank < RANK_FAIR)
        return waits | (uint64_t)(RANK_NOTHING - running) << 32 | heads;
    if (rank > RANK_FAIR)
        return heads;
    return waits | runq_fair_weight(rq) << 8 | MIN(heads, UINT64_C(255));
}

struct runq *place_least_loaded(const struct place_wish *wish, cpu_id_t from)
{
    unsigned scan = PLACE_SCAN_MAX;
    cpu_id_t first = next_allowed(&wish->affinity, from < CPU_MAX ? from : from - CPU_MAX);
    struct runq *best = NULL;
    uint64_t best_load = UINT64_MAX;

    if (first == CPU_NONE)
        return NULL;
    cpu_id_t id = first;

    do {
        struct runq *rq = runq_by_id(id);
        uint64_t load = load_for(rq, wish->rank);

        if (load < best_load) {
            best = rq;
            best_load = load;
        }
        id = next_allowed(&wish->affinity, id + 1 < CPU_MAX ? id + 1 : 0);
    } while (id != first && id != CPU_NONE && --scan != 0); /* a CPU may leave the set meanwhile, the first one, too */
    return best;
}

struct runq *place_choose_start(const struct place_wish *wish)
{
    struct cpu *here = this_cpu();

    if (load_relaxed(&cpu_started_count) == 1)
        return cpumask_contains(&wish->affinity, here->id) ? runq_of(here) : NULL;
    cpu_id_t idle = place_find_idle(&wish->affinity, here);

    if (idle != CPU_NONE)
        return runq_by_id(idle);
    /* Where there are more CPUs than are compared, the next one to start a task begins elsewhere. */
    struct runq *mine = runq_of(here);

    mine->place_from = mine->place_from + PLACE_SCAN_MAX < CPU_MAX ? mine->place_from + PLACE_SCAN_MAX : 0;
    return place_least_loaded(wish, load_relaxed(&cpu_started_count) <= PLACE_SCAN_MAX ? here->id : mine->place_from);
}

struct runq *place_search_wake(const struct place_wish *wish, struct runq *last)
{
    cpu_id_t idle = place_find_idle(&wish->affinity, &last->cpu);

    if (idle != CPU_NONE)
        return runq_by_id(idle);
    return place_least_loaded(wish, last->cpu.id);
}
