/* SPDX-License-Identifier: MIT */
/* The order of the scheduling classes is this array: the first one that has a task runs it. */
#include "sched_priv.h"

#include <time/clock.h>

const struct sched_class *const sched_classes[CLASS_COUNT] = {
    [CLASS_RT] = &class_rt,
    [CLASS_FAIR] = &class_fair,
    [CLASS_IDLE] = &class_idle,
};

#define RR_SLICE_NS (10 * NS_PER_MS)
#define FAIR_SLICE_NS (4 * NS_PER_MS)

struct sched_tunables sched_tunables RO_AFTER_INIT;

void sched_init(void)
{
    sched_tunables.rr_slice_ticks = clock_ns_to_ticks(RR_SLICE_NS);
    sched_tunables.fair_slice_ticks = clock_ns_to_ticks(FAIR_SLICE_NS);
    sched_tunables.util_unit_ticks = clock_ns_to_ticks(UTIL_HALF_LIFE_NS / UTIL_UNITS);
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        ASSERT(sched_classes[i]->id == i);
}

void sched_set_fair_slice(uint64_t ns)
{
    ASSERT(ns != 0 && ns <= FAIR_SLICE_NS_MAX);
    sched_tunables.fair_slice_ticks = clock_ns_to_ticks(ns);
}
