/* SPDX-License-Identifier: MIT */
/*
 * HOST_DELAY: delay-bounded scheduling (Emmi, Qadeer, Rakamaric, "Delay-bounded scheduling", POPL 2011). CPUs take
 * turns in the order of their numbers, each until it relaxes, waits, or has had HOST_FAIR_STEPS steps; but at a few
 * random steps the stepped one loses its turn. Most of a run is the same whatever the seed: bugs show that need few
 * switches at the right places, and long stretches without any. The paper's programs wait without spinning: here one
 * that spins for a lock might look only where others wait who hold it. So delays go on, by chance, after those of the
 * depth.
 *
 * Owns the steps of the delays, sorted. No lock.
 */
#include "host_priv.h"

/* From one of the later delays to the next, at most. */
#define LATER_STEPS_MAX 4096u

static struct {
    uint64_t at[HOST_PCT_DEPTH_MAX]; /* machine steps */
    unsigned count, next;
    uint64_t due; /* at[next], or a later one */
} delays;

static void due_set(void)
{
    if (delays.next < delays.count)
        delays.due = delays.at[delays.next];
    else
        delays.due = host.steps + 1 + host_choose_below(LATER_STEPS_MAX);
}

static struct host_cpu *delay_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    (void)word;
    if (LIKELY(host.steps < delays.due))
        return host_schedule_default(self, why);
    if (delays.next < delays.count)
        delays.next++;
    due_set();
    return host_runnable_next(self);
}

static void delay_reset(void)
{
    delays.next = 0;
    delays.count = host.config.pct_depth - 1;
    for (unsigned i = 0; i < delays.count; i++) {
        uint64_t at = 1 + host_choose_below(host.config.pct_steps);
        unsigned slot = i;

        for (; slot > 0 && delays.at[slot - 1] > at; slot--)
            delays.at[slot] = delays.at[slot - 1];
        delays.at[slot] = at;
    }
    due_set();
}

const struct host_strategy_ops host_strategy_delay = {
    .name = "delay",
    .next = delay_next,
    .reset = delay_reset,
};
