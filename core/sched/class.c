/* SPDX-License-Identifier: MIT */
/* The order of the scheduling classes is this array: the first one that has a task runs it. */
#include "sched_priv.h"

#include <time/clock.h>

const struct sched_class *const sched_classes[CLASS_COUNT] = {
    [CLASS_STOP] = &class_stop,
    [CLASS_DEADLINE] = &class_deadline,
    [CLASS_BELOW] = &class_below,
    [CLASS_RT] = &class_rt,
    [CLASS_FAIR] = &class_fair,
    [CLASS_IDLE] = &class_idle,
};

#define RR_SLICE_NS (10 * NS_PER_MS)
#define FAIR_SLICE_NS (4 * NS_PER_MS)

#define RT_PERCENT 95
#define DEADLINE_PERCENT 100

struct sched_tunables sched_tunables RO_AFTER_INIT;

void sched_init(void)
{
    sched_tunables.rr_slice_ticks = clock_ns_to_ticks(RR_SLICE_NS);
    sched_tunables.fair_slice_ticks = clock_ns_to_ticks(FAIR_SLICE_NS);
    sched_tunables.push_ticks = clock_ns_to_ticks(SCHED_PUSH_NS);
    sched_tunables.rt_percent = RT_PERCENT;
    sched_tunables.deadline_percent = DEADLINE_PERCENT;
    monitor_init();
    sched_tunables.util_unit_ticks = clock_ns_to_ticks(UTIL_HALF_LIFE_NS / UTIL_UNITS);
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        ASSERT(sched_classes[i]->id == i);
}

void sched_set_fair_slice(uint64_t ns)
{
    ASSERT(ns != 0 && ns <= FAIR_SLICE_NS_MAX);
    sched_tunables.fair_slice_ticks = clock_ns_to_ticks(ns);
}

void sched_set_rt_percent(unsigned percent)
{
    ASSERT(percent >= 1 && percent <= 100);
    sched_tunables.rt_percent = percent;
}

void sched_set_deadline_percent(unsigned percent)
{
    ASSERT(percent >= 1 && percent <= 100);
    sched_tunables.deadline_percent = percent;
}
