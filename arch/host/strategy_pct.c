/* SPDX-License-Identifier: MIT */
/*
 * HOST_PCT: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler
 * with probabilistic guarantees of finding bugs", ASPLOS 2010). CPUs have distinct random priorities and the highest
 * one that is runnable is stepped; at d - 1 random steps the stepped one falls below all that never fell. The paper's
 * programs do not spin: here a CPU that relaxes falls below all others, so that who it waits for gets on, and so does
 * the stepped one each HOST_FAIR_STEPS steps, so that loops without a relax starve nobody for ever.
 *
 * Owns the priorities and a heap of the runnable CPUs, highest first: the usual step looks at its root. No lock.
 */
#include "host_priv.h"

#include <string.h>

/* Between two levels there is room for change points that fall to the same level and keep the order of their ranks. */
#define LEVEL INT64_C(0x10000)
#define SLOT_NONE UINT32_MAX
static_assert(HOST_PCT_DEPTH_MAX < LEVEL);

struct change {
    uint64_t at; /* the machine's step */
    unsigned rank;
};

static struct {
    int64_t priority[CPU_MAX];
    uint32_t slot[CPU_MAX]; /* in the heap, or SLOT_NONE */
    cpu_id_t heap[CPU_MAX];
    uint32_t heap_count;
    int64_t floor;             /* the lowest level that was given */
    bool is_floor_of_changes;  /* by change points: they share it */
    struct change change[HOST_PCT_DEPTH_MAX];
    unsigned change_count, change_next;
    uint64_t fair_at; /* when the stepped one falls, for fairness */
    uint64_t due;     /* the next step at which anything but a relax falls */
} pct;

static bool is_above(cpu_id_t a, cpu_id_t b)
{
    return pct.priority[a] > pct.priority[b];
}

static void heap_put(uint32_t slot, cpu_id_t cpu)
{
    pct.heap[slot] = cpu;
    pct.slot[cpu] = slot;
}

static void heap_rise(uint32_t slot)
{
    cpu_id_t cpu = pct.heap[slot];

    while (slot > 0 && is_above(cpu, pct.heap[(slot - 1) / 2])) {
        heap_put(slot, pct.heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    heap_put(slot, cpu);
}

static void heap_sink(uint32_t slot)
{
    cpu_id_t cpu = pct.heap[slot];

    for (;;) {
        uint32_t child = 2 * slot + 1;

        if (child >= pct.heap_count)
            break;
        if (child + 1 < pct.heap_count && is_above(pct.heap[child + 1], pct.heap[child]))
            child++;
        if (!is_above(pct.heap[child], cpu))
            break;
        heap_put(slot, pct.heap[child]);
        slot = child;
    }
    heap_put(slot, cpu);
}

static void pct_added(struct host_cpu *cpu)
{
    heap_put(pct.heap_count++, cpu->id);
    heap_rise(pct.heap_count - 1);
}

static void pct_removed(struct host_cpu *cpu)
{
    uint32_t slot = pct.slot[cpu->id];
    cpu_id_t last = pct.heap[--pct.heap_count];

    pct.slot[cpu->id] = SLOT_NONE;
    if (last == cpu->id)
        return;
    heap_put(slot, last);
    heap_rise(slot);
    heap_sink(pct.slot[last]);
}

static void priority_lower(const struct host_cpu *cpu, int64_t priority)
{
    pct.priority[cpu->id] = priority;
    if (pct.slot[cpu->id] != SLOT_NONE)
        heap_sink(pct.slot[cpu->id]);
}

static void fall_below_all(const struct host_cpu *cpu)
{
    pct.floor -= LEVEL;
    pct.is_floor_of_changes = false;
    priority_lower(cpu, pct.floor);
}

/* The ranks do not follow the steps, as in the paper: a later change may leave its CPU above an earlier one's. */
static void fall_for_change(const struct host_cpu *cpu, const struct change *change)
{
    if (!pct.is_floor_of_changes)
        pct.floor -= LEVEL;
    pct.is_floor_of_changes = true;
    priority_lower(cpu, pct.floor + change->rank);
}

static void due_set(void)
{
    pct.due = pct.fair_at;
    if (pct.change_next < pct.change_count)
        pct.due = MIN(pct.due, pct.change[pct.change_next].at);
}

static void due_fall(const struct host_cpu *self)
{
    while (pct.change_next < pct.change_count && host.steps >= pct.change[pct.change_next].at)
        fall_for_change(self, &pct.change[pct.change_next++]);
    if (host.steps >= pct.fair_at) {
        fall_below_all(self);
        pct.fair_at = host.steps + HOST_FAIR_STEPS;
    }
    due_set();
}

static struct host_cpu *pct_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    (void)word;
    if (why == HOST_WHY_RELAX)
        fall_below_all(self);
    if (UNLIKELY(host.steps >= pct.due))
        due_fall(self);
    return &host_cpus[pct.heap[0]];
}

/* Distinct steps are not needed; sorted they are, by insertion. */
static void changes_draw(unsigned count, uint64_t steps)
{
    for (unsigned i = 0; i < count; i++) {
        struct change change = { .at = 1 + host_choose_below(steps), .rank = i };
        unsigned slot = i;

        for (; slot > 0 && pct.change[slot - 1].at > change.at; slot--)
            pct.change[slot] = pct.change[slot - 1];
        pct.change[slot] = change;
    }
    pct.change_count = count;
}

static void pct_reset(void)
{
    memset(&pct, 0, sizeof pct);
    for (cpu_id_t id = 0; id < host.config.cpus; id++)
        pct.slot[id] = SLOT_NONE;
    /* A random order (Fisher and Yates), on levels above 0. */
    for (cpu_id_t id = 0; id < host.config.cpus; id++) {
        cpu_id_t other = (cpu_id_t)host_choose_below(id + 1);

        pct.priority[id] = pct.priority[other];
        pct.priority[other] = LEVEL * ((int64_t)id + 1);
    }
    changes_draw(host.config.pct_depth - 1, host.config.pct_steps);
    pct.fair_at = 1 + host_choose_below(HOST_FAIR_STEPS);
    due_set();
}

const struct host_strategy_ops host_strategy_pct = {
    .name = "pct",
    .next = pct_next,
    .reset = pct_reset,
    .added = pct_added,
    .removed = pct_removed,
};
