/* SPDX-License-Identifier: MIT */
/* The tables that come from the list of classes (include/sched/classes.h), and what slices and shares are. */
#include "sched_priv.h"

#include <time/clock.h>

#define CLASS_ENTRY(id, name, bytes) [CLASS_##id] = &class_##name,
const struct sched_class *const sched_classes[CLASS_COUNT] = { SCHED_CLASSES(CLASS_ENTRY, SCHED_LIST_NOTHING) };

#define POLICY_ENTRY(id, name) [SCHED_POLICY_##id] = &class_##name,
const struct sched_class *const sched_policy_class[SCHED_POLICY_COUNT] = {
    [SCHED_POLICY_FIFO] = &class_rt,
    [SCHED_POLICY_RR] = &class_rt,
    SCHED_CLASSES(SCHED_LIST_NOTHING, POLICY_ENTRY)
};

#define RR_SLICE_NS (10 * NS_PER_MS)
#define FAIR_SLICE_NS (4 * NS_PER_MS)

/* Turns of hal_cpu_relax(). Meant to take about as long as it costs to be poked out of the idle instruction: whoever
 * polls for that long and then waits has lost at most as much as waking up costs, whatever comes (the ski-rental rule:
 * Karlin, Manasse, McGeoch and Owicki, Competitive Randomized Algorithms for Non-Uniform Problems, SODA 1990). */
#define IDLE_POLL_TURNS 100

#define RT_PERCENT 95
#define DEADLINE_PERCENT 100

struct sched_tunables sched_tunables RO_AFTER_INIT;

/* What every class must have, and in which order; at once, and not when the first task of it comes. */
static void check_classes(void)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        const struct sched_class *class = sched_classes[i];

        ASSERT(class->id == i && class->pick != NULL);
        if (i == CLASS_BELOW)
            continue; /* no task is of this class */
        ASSERT(class->enqueue != NULL && class->dequeue != NULL && class->account != NULL && class->slice != NULL);
        ASSERT(class->check != NULL);
        for (unsigned before = 0; before < i; before++)
            ASSERT(before == CLASS_BELOW ||
                   sched_classes[before]->rank + (before == CLASS_RT ? RT_LEVELS - 1 : 0) < class->rank);
    }
}

void sched_init(void)
{
    sched_tunables.rr_slice_ticks = clock_ns_to_ticks(RR_SLICE_NS);
    sched_tunables.fair_slice_ticks = clock_ns_to_ticks(FAIR_SLICE_NS);
    sched_tunables.push_ticks = clock_ns_to_ticks(SCHED_PUSH_NS);
    sched_tunables.rt_percent = RT_PERCENT;
    sched_tunables.deadline_percent = DEADLINE_PERCENT;
    monitor_init();
    sched_tunables.util_unit_ticks = clock_ns_to_ticks(UTIL_HALF_LIFE_NS / UTIL_UNITS);
    check_classes();
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

void sched_set_idle_poll(bool polls)
{
    sched_tunables.idle_poll_turns = polls ? IDLE_POLL_TURNS : 0;
}

void sched_set_deadline_percent(unsigned percent)
{
    ASSERT(percent >= 1 && percent <= 100);
    sched_tunables.deadline_percent = percent;
}
