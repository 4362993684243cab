/* SPDX-License-Identifier: MIT */
/* The time of day. Owns the offset; no lock: it is one word. */
#include <time/wall.h>

_Atomic(uint64_t) wall_offset_ns;

void wall_set(uint64_t ns)
{
    store_relaxed(&wall_offset_ns, ns - clock_ns());
}
