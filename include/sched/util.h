/* SPDX-License-Identifier: MIT */
/*
 * Utilisation: the share of the time that a task or a CPU ran, as an average in which what happened one half-life ago
 * weighs half. It is computed from exact run times when somebody looks, when a task is preempted and when a CPU leaves
 * idle; so it needs no tick, and costs nothing where tasks block, wake and yield. Between two updates the load counts
 * as even: after a gap of many half-lives it is the average over the gap.
 */
#pragma once

#include <k/types.h>

#define UTIL_ONE (1u << 16)          /* always running */
#define UTIL_HALF_LIFE_NS 500000000u /* a whole second of idling leaves a quarter */
#define UTIL_UNITS 32u               /* of a half-life: an update is at least one of them after the last */

struct sched_util {
    uint64_t at_ticks;  /* of the last update */
    uint64_t run_ticks; /* total at the last update */
    uint32_t average;   /* of UTIL_ONE */
};

/* By `now_ticks`, `run_ticks` in all have been run. Less than a unit of `unit_ticks` after the last update: nothing
 * changes. Context: any, under the lock that guards the record. */
void util_update(struct sched_util *util, uint64_t run_ticks, uint64_t now_ticks, uint64_t unit_ticks);

/* In thousandths, rounded. */
static inline unsigned util_permille(uint32_t average)
{
    return (unsigned)((average * UINT64_C(1000) + UTIL_ONE / 2) / UTIL_ONE);
}
