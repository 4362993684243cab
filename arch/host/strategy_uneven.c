/* SPDX-License-Identifier: MIT */
/*
 * HOST_UNEVEN: CPUs of very different speeds, as those of a virtual machine whose host is busy. Each has a speed of
 * 1, 1/2, 1/4 .. of the fastest by the seed, for the whole run, and who is stepped is drawn by these weights. So a slow
 * CPU stands in the middle of what it does while a fast one does the same many times over. Owns the speeds. No lock.
 */
#include "host_priv.h"

/* The slowest takes one step while the fastest takes 2 to the power of this; with many CPUs less, since who waits for
 * it waits for so many steps of all others. */
#define SLOWER_MAX 9u
#define TURN_STEPS_MAX 1024u
/* Draws that may come to nothing; then the last one counts. With slow CPUs alone most do. */
#define DRAWS_MAX 32u

static uint8_t slower[CPU_MAX]; /* powers of 2 */

static bool is_taken(const struct host_cpu *cpu)
{
    return slower[cpu->id] == 0 || host_choose_below(UINT64_C(1) << slower[cpu->id]) == 0;
}

static struct host_cpu *uneven_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    struct host_cpu *next = self;

    (void)word;
    if (why == HOST_WHY_POINT && (host.runnable_count == 1 || host_choose_below(host.config.switch_one_in) != 0))
        return self;
    for (unsigned i = 0; i < DRAWS_MAX; i++) {
        next = why == HOST_WHY_RELAX && host.runnable_count > 1 ? host_runnable_other(self) : host_runnable_any();
        if (is_taken(next))
            break;
    }
    return next;
}

static void uneven_reset(void)
{
    unsigned most = SLOWER_MAX;

    while (most > 0 && (host.config.cpus << most) > TURN_STEPS_MAX)
        most--;
    for (cpu_id_t id = 0; id < host.config.cpus; id++)
        slower[id] = (uint8_t)host_choose_below(most + 1);
}

const struct host_strategy_ops host_strategy_uneven = {
    .name = "uneven",
    .next = uneven_next,
    .reset = uneven_reset,
};
