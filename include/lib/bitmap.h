/* SPDX-License-Identifier: MIT */
/* Bit arrays over uint64_t words, bounded searches. The caller guards them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)
#define BITMAP_NONE SIZE_MAX

static inline void bitmap_set(uint64_t *map, size_t bit)
{
    map[bit / 64] |= UINT64_C(1) << (bit % 64);
}
static inline void bitmap_clear(uint64_t *map, size_t bit)
{
    map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}
static inline bool bitmap_test(const uint64_t *map, size_t bit)
{
    return map[bit / 64] >> (bit % 64) & 1;
}

void bitmap_set_range(uint64_t *map, size_t first, size_t count);
void bitmap_clear_range(uint64_t *map, size_t first, size_t count);
size_t bitmap_count(const uint64_t *map, size_t bits);

/* First set / clear bit in [from, bits), or BITMAP_NONE. */
size_t bitmap_find_set(const uint64_t *map, size_t bits, size_t from);
size_t bitmap_find_clear(const uint64_t *map, size_t bits, size_t from);

/* First run of `count` clear bits at or after `from`, not wrapping, or BITMAP_NONE. */
size_t bitmap_find_clear_run(const uint64_t *map, size_t bits, size_t from, size_t count);
