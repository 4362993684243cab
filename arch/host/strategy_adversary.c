/* SPDX-License-Identifier: MIT */
/*
 * HOST_ADVERSARY: where a CPU is about to touch a cache line, the last other one that touched it is stepped, mostly.
 * CPUs that use the same lock, list or count meet there again and again: the first stands between its check and its act
 * while the second does both. Elsewhere there is seldom a switch.
 * No lock.
 */
#include "host_priv.h"

/* Whatever is touched, a switch to anybody is this much rarer than one in config.switch_one_in. */
#define CALM_FACTOR 16u
/* Who comes that way and, HOST_FAIR_STEPS apart, has had less than this part of its share of the steps meets no rival
 * for a while: else two that meet all the time would let a third take a single step at each visit. */
#define STARVED_PART 8u
#define CALM_STEPS_MAX 256u

static uint64_t calm_until; /* machine step */

static struct host_cpu *adversary_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    cpu_id_t rival = word != 0 ? host_line_touch(word / CACHE_LINE_BYTES, self->id) : CPU_NONE;

    if (why == HOST_WHY_WAIT)
        return host_runnable_any();
    if (host.runnable_count == 1)
        return self;
    if (why == HOST_WHY_RELAX)
        return host_runnable_other(self);
    if (host.steps < calm_until)
        return self;
    /* One draw for both: seldom anybody, so that two rivals do not keep the others out for ever. */
    uint64_t draw = host_choose_below((uint64_t)host.config.switch_one_in * CALM_FACTOR);

    if (draw == 0) {
        struct host_cpu *next = host_runnable_other(self);

        if ((next->steps + HOST_FAIR_STEPS) * STARVED_PART < host.steps / host.runnable_count)
            calm_until = host.steps + 1 + host_choose_below(CALM_STEPS_MAX);
        return next;
    }
    if (rival != CPU_NONE && draw % host.config.switch_one_in != 0 && host_cpus[rival].state == HOST_CPU_RUNNABLE)
        return &host_cpus[rival];
    return self;
}

static void adversary_reset(void)
{
    host_lines_reset();
    calm_until = 0;
}

const struct host_strategy_ops host_strategy_adversary = {
    .name = "adversary",
    .next = adversary_next,
    .reset = adversary_reset,
};
