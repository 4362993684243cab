/* SPDX-License-Identifier: MIT */
/*
 * The time of day: nanoseconds since 1970-01-01 UTC. It is monotonic time plus an offset, so nothing runs on it; who
 * must know that it was set, hears of it from who sets it. At boot it is what the machine says (boot_info.wall_ns); if
 * that is nothing, 1970 begins at boot. Context: any. Order: none.
 */
#pragma once

#include <stdint.h>

#include <k/atomic.h>
#include <time/clock.h>

extern _Atomic(uint64_t) wall_offset_ns; /* of the time of day before the monotonic clock */

static inline uint64_t wall_ns(void)
{
    return clock_ns() + load_relaxed(&wall_offset_ns);
}

/* It is `ns` now; it was `ns` at those ticks, unless they lie further back than 1970. */
void wall_set(uint64_t ns);
void wall_set_at(uint64_t ns, uint64_t ticks);
