/* SPDX-License-Identifier: MIT */
/*
 * Monotonic time. Ticks are the machine's own unit (hal/clock.h): cheap to read, used inside sched; ns everywhere else.
 */
#pragma once

#include <hal/clock.h>
#include <k/compiler.h>
#include <k/types.h>

/* ns = ticks * mult >> CLOCK_SHIFT, computed in 128 bits: no overflow, relative error below 2^-25. Set
 * once by clock_init(). */
#define CLOCK_SHIFT 32
struct clock_scale {
    uint64_t ns_mult;   /* ticks -> ns */
    uint64_t tick_mult; /* ns -> ticks: 2^(tick_shift + 32) / ns_mult, rounded up */
    unsigned tick_shift;
    uint64_t hz;
};
extern struct clock_scale clock_scale;

/* Boot CPU. Panics if the machine has no clock (hz is 0) or an absurd one (below 1 kHz, above 100 GHz). */
void clock_init(uint64_t hz);

static ALWAYS_INLINE uint64_t clock_ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * clock_scale.ns_mult) >> CLOCK_SHIFT);
}

/* The first tick whose clock_ticks_to_ns() is >= ns, or one of the two after it: a deadline is never early. Saturates:
 * TIME_NEVER stays TIME_NEVER. */
static ALWAYS_INLINE uint64_t clock_ns_to_ticks(uint64_t ns)
{
    unsigned __int128 ticks = ((unsigned __int128)ns * clock_scale.tick_mult >> clock_scale.tick_shift) + 1;

    return ticks > TIME_NEVER || ns == TIME_NEVER ? TIME_NEVER : (uint64_t)ticks;
}

static ALWAYS_INLINE uint64_t clock_ns(void)
{
    return clock_ticks_to_ns(hal_clock_ticks());
}

/* So much later, but never TIME_NEVER. */
static inline uint64_t clock_later(uint64_t ns, uint64_t by_ns)
{
    return by_ns < TIME_NEVER - 1 - ns ? ns + by_ns : TIME_NEVER - 1;
}
