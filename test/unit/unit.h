/* SPDX-License-Identifier: MIT */
/* What every unit test includes: cmocka with the headers that it wants before it, and repeatable random numbers. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* splitmix64 (Steele, Lea, Flood 2014): every state is a good one, so any seed will do. */
struct unit_random {
    uint64_t state;
};

static inline uint64_t unit_random_next(struct unit_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* In [0, bound); bound > 0. The bias is below bound / 2^64. */
static inline size_t unit_random_below(struct unit_random *random, size_t bound)
{
    return (size_t)(unit_random_next(random) % bound);
}
