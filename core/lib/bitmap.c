/* SPDX-License-Identifier: MIT */
/* Bit arrays over words: ranges, counts and searches, a word at a time. Owns no state; the caller guards the map. */
#include <lib/bitmap.h>

#include <k/assert.h>
#include <k/compiler.h>

#define WORD_BITS 64
#define ALL_ONES UINT64_MAX

/* Bits [from, to) of one word; 0 <= from < to <= 64. */
static uint64_t mask_between(size_t from, size_t to)
{
    return ALL_ONES << from & ALL_ONES >> (WORD_BITS - to);
}

/* The mask of the part of [*first, end) in its first word; moves *first behind it. */
static uint64_t mask_advance(size_t *first, size_t end)
{
    size_t base = ROUND_DOWN(*first, WORD_BITS);
    uint64_t mask = mask_between(*first - base, MIN(end - base, (size_t)WORD_BITS));

    *first = base + WORD_BITS;
    return mask;
}

void bitmap_set_range(uint64_t *map, size_t first, size_t count)
{
    size_t end = first + count;

    ASSERT(end >= first);
    while (first < end) {
        size_t word = first / WORD_BITS;

        map[word] |= mask_advance(&first, end);
    }
}

void bitmap_clear_range(uint64_t *map, size_t first, size_t count)
{
    size_t end = first + count;

    ASSERT(end >= first);
    while (first < end) {
        size_t word = first / WORD_BITS;

        map[word] &= ~mask_advance(&first, end);
    }
}

size_t bitmap_count(const uint64_t *map, size_t bits)
{
    size_t count = 0;

    for (size_t i = 0; i < bits / WORD_BITS; i++)
        count += (size_t)__builtin_popcountll(map[i]);
    if (bits % WORD_BITS != 0)
        count += (size_t)__builtin_popcountll(map[bits / WORD_BITS] & mask_between(0, bits % WORD_BITS));
    return count;
}

/* First bit in [from, bits) that differs from those of `flip`: 0 finds a set bit, all ones a clear one. */
static ALWAYS_INLINE size_t find_flipped(const uint64_t *map, size_t bits, size_t from, uint64_t flip)
{
    while (from < bits) {
        size_t word = from / WORD_BITS;
        uint64_t found = (map[word] ^ flip) & mask_advance(&from, bits);

        if (found != 0)
            return word * WORD_BITS + (size_t)__builtin_ctzll(found);
    }
    return BITMAP_NONE;
}

size_t bitmap_find_set(const uint64_t *map, size_t bits, size_t from)
{
    return find_flipped(map, bits, from, 0);
}

size_t bitmap_find_clear(const uint64_t *map, size_t bits, size_t from)
{
    return find_flipped(map, bits, from, ALL_ONES);
}

size_t bitmap_find_clear_run(const uint64_t *map, size_t bits, size_t from, size_t count)
{
    ASSERT(count > 0);
    for (;;) {
        size_t first = bitmap_find_clear(map, bits, from);

        if (first == BITMAP_NONE || bits - first < count)
            return BITMAP_NONE;
        from = bitmap_find_set(map, first + count, first);
        if (from == BITMAP_NONE)
            return first;
    }
}
