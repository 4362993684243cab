/* SPDX-License-Identifier: MIT */
/* Utilisation as a decaying average, in integers. Owns nothing; the records are guarded by their run queue's lock. */
#include <sched/util.h>

#include <k/compiler.h>

/* 2^16 * 2^(-i/32) */
static const uint32_t decay[UTIL_UNITS + 1] = {
    65536, 64132, 62757, 61413, 60097, 58809, 57549, 56316, 55109, 53928, 52773,
    51642, 50535, 49452, 48393, 47356, 46341, 45348, 44376, 43425, 42495, 41584,
    40693, 39821, 38968, 38133, 37316, 36516, 35734, 34968, 34219, 33486, 32768,
};

/* What is left, of 2^16, after so much time: between two entries of the table a straight line. */
static uint32_t left_after(uint64_t ticks, uint64_t unit_ticks)
{
    uint64_t units = ticks / unit_ticks;
    uint64_t halvings = units / UTIL_UNITS;

    if (halvings > 16)
        return 0;
    const uint32_t *at = &decay[units % UTIL_UNITS];
    uint64_t part = (at[0] - at[1]) * (ticks % unit_ticks) / unit_ticks;

    return (uint32_t)((at[0] - part) >> halvings);
}

void util_update(struct sched_util *util, uint64_t run_ticks, uint64_t now_ticks, uint64_t unit_ticks)
{
    uint64_t passed = now_ticks - util->at_ticks;
    uint64_t ran = run_ticks - util->run_ticks;

    if ((int64_t)passed < 0 || passed < unit_ticks)
        return;
    uint32_t left = left_after(passed, unit_ticks);

    util->at_ticks = now_ticks;
    util->run_ticks = run_ticks;
    ran = MIN(ran, passed);
    for (; passed >> 47 != 0; passed >>= 1)
        ran >>= 1;
    uint64_t share = ran * UTIL_ONE / passed;
    uint64_t sum = (uint64_t)util->average * left + share * ((1u << 16) - left);

    util->average = (uint32_t)((sum + (1u << 15)) >> 16);
}
