/* SPDX-License-Identifier: MIT */
/*
 * HOST_PARALLEL: CPUs that run at the same time, as on hardware. Each has its own next turn, a step later than its last
 * one; the earliest comes next, and the clock follows it. An event that is due before that comes first. So time never
 * goes back, a step of one CPU takes nothing from another's, and nothing is left to chance. A CPU that computes or
 * idles has no turn and costs the host nothing. Owns the turns, in a heap. No lock.
 */
#include "host_priv.h"

/* Who relaxes waits for somebody else: the pause of a real CPU is longer than its other instructions, too. */
#define RELAX_STEPS 5u

static struct {
    unsigned count;
    cpu_id_t heap[CPU_MAX];  /* runnable CPUs, the earliest turn first */
    unsigned slot[CPU_MAX];  /* where a runnable CPU is in the heap */
    uint64_t turn[CPU_MAX];  /* ps */
    uint64_t order[CPU_MAX]; /* of equal turns the older one first */
    uint64_t turns;
} queue;

static bool is_before(cpu_id_t a, cpu_id_t b)
{
    return queue.turn[a] < queue.turn[b] || (queue.turn[a] == queue.turn[b] && queue.order[a] < queue.order[b]);
}

static void put(unsigned slot, cpu_id_t cpu)
{
    queue.heap[slot] = cpu;
    queue.slot[cpu] = slot;
}

static void settle(unsigned slot)
{
    cpu_id_t cpu = queue.heap[slot];

    while (slot > 0 && is_before(cpu, queue.heap[(slot - 1) / 2])) {
        put(slot, queue.heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    for (;;) {
        unsigned child = 2 * slot + 1;

        if (child >= queue.count)
            break;
        if (child + 1 < queue.count && is_before(queue.heap[child + 1], queue.heap[child]))
            child++;
        if (!is_before(queue.heap[child], cpu))
            break;
        put(slot, queue.heap[child]);
        slot = child;
    }
    put(slot, cpu);
}

static void turn_set(cpu_id_t cpu, uint64_t ps)
{
    queue.turn[cpu] = ps;
    queue.order[cpu] = queue.turns++;
    settle(queue.slot[cpu]);
}

static void parallel_reset(void)
{
    queue.count = 0;
    queue.turns = 0;
}

static void parallel_added(struct host_cpu *cpu)
{
    put(queue.count++, cpu->id);
    turn_set(cpu->id, host.now_ps);
}

static void parallel_removed(struct host_cpu *cpu)
{
    unsigned slot = queue.slot[cpu->id];
    cpu_id_t last = queue.heap[--queue.count];

    if (last == cpu->id)
        return;
    put(slot, last);
    settle(slot);
}

static struct host_cpu *parallel_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    uint64_t step_ps = (uint64_t)host.config.step_ns * 1000;

    (void)word;
    if (why != HOST_WHY_WAIT)
        turn_set(self->id, queue.turn[self->id] + step_ps * (why == HOST_WHY_RELAX ? RELAX_STEPS : 1));
    while (host.next_event_ps <= queue.turn[queue.heap[0]])
        host_clock_to(host.next_event_ps); /* it may give somebody a turn before those of the others */
    host_clock_to(queue.turn[queue.heap[0]]);
    return &host_cpus[queue.heap[0]];
}

const struct host_strategy_ops host_strategy_parallel = {
    .name = "parallel",
    .keeps_time = true,
    .next = parallel_next,
    .reset = parallel_reset,
    .added = parallel_added,
    .removed = parallel_removed,
};
