/* SPDX-License-Identifier: MIT */
/* The time of day. Owns the offset; no lock: it is one word. */
#include <time/wall.h>

_Atomic(uint64_t) wall_offset_ns;

void wall_set(uint64_t ns)
{
    store_relaxed(&wall_offset_ns, ns - clock_ns());
}

void wall_set_at(uint64_t ns, uint64_t ticks)
{
    uint64_t then_ns = clock_ticks_to_ns(ticks);

    if (ns >= then_ns)
        store_relaxed(&wall_offset_ns, ns - then_ns);
}
