/* SPDX-License-Identifier: MIT */
/* The scale between the machine's ticks and nanoseconds. Written once at boot; no lock. */
#include <time/clock.h>

#include <k/assert.h>

#define CLOCK_HZ_MIN UINT64_C(1000)
#define CLOCK_HZ_MAX UINT64_C(100000000000)

struct clock_scale clock_scale RO_AFTER_INIT;

void clock_init(uint64_t hz)
{
    if (hz == 0)
        panic("no timer: the firmware describes no clock that this kernel can use");
    if (hz < CLOCK_HZ_MIN || hz > CLOCK_HZ_MAX)
        panic("no timer: the firmware claims a clock of %llu Hz", (unsigned long long)hz);
    clock_scale.hz = hz;
    clock_scale.ns_mult = (NS_PER_SEC << CLOCK_SHIFT) / hz;
    /* hz << CLOCK_SHIFT may need 69 bits: divide whole and rest apart. */
    clock_scale.tick_mult = (hz / NS_PER_SEC << CLOCK_SHIFT) + ((hz % NS_PER_SEC) << CLOCK_SHIFT) / NS_PER_SEC;
}
