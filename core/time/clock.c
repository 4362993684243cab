/* SPDX-License-Identifier: MIT */
/* The scale between the machine's ticks and nanoseconds. Written once at boot; no lock. */
#include <time/clock.h>

#include <k/assert.h>

#define CLOCK_HZ_MIN UINT64_C(1000)
#define CLOCK_HZ_MAX UINT64_C(100000000000)

struct clock_scale clock_scale RO_AFTER_INIT;

/* tick_mult and tick_shift for ticks = ns * 2^32 / ns_mult: the reciprocal with 62 to 63 significant
 * bits, by long division, because a freestanding kernel has no 128-bit one. */
static void invert(uint64_t ns_mult)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(ns_mult);
    unsigned exponent = 62 + bits; /* 2^exponent / ns_mult lies in (2^62, 2^63] */
    unsigned __int128 rest = 0;
    uint64_t quotient = 0;

    for (unsigned i = 0; i <= exponent; i++) {
        rest = rest << 1 | (i == 0);
        quotient <<= 1;
        if (rest >= ns_mult) {
            rest -= ns_mult;
            quotient |= 1;
        }
    }
    clock_scale.tick_mult = quotient + (rest != 0);
    clock_scale.tick_shift = exponent - CLOCK_SHIFT;
}

void clock_init(uint64_t hz)
{
    if (hz == 0)
        panic("no timer: the firmware describes no clock that this kernel can use");
    if (hz < CLOCK_HZ_MIN || hz > CLOCK_HZ_MAX)
        panic("no timer: the firmware claims a clock of %llu Hz", (unsigned long long)hz);
    clock_scale.hz = hz;
    clock_scale.ns_mult = (NS_PER_SEC << CLOCK_SHIFT) / hz;
    invert(clock_scale.ns_mult);
}
