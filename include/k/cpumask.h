/* SPDX-License-Identifier: MIT */
/*
 * A set of CPUs, any of CPU_MAX. Plain words: whoever shares one guards it. The sets of smp/cpu.h change while others
 * look at them: cpumask_word(), cpumask_next(), cpumask_intersects() and cpumask_count() may be used on those; each
 * reads a word as a whole, and nothing is promised about two words, or two calls, together.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/limits.h>
#include <k/types.h>

#define CPUMASK_WORDS (CPU_MAX / 64)

struct cpumask {
    uint64_t word[CPUMASK_WORDS];
};

static inline uint64_t cpumask_word(const struct cpumask *mask, cpu_id_t word)
{
    return __atomic_load_n(&mask->word[word], __ATOMIC_RELAXED);
}

static inline void cpumask_clear(struct cpumask *mask)
{
    for (unsigned i = 0; i < CPUMASK_WORDS; i++)
        mask->word[i] = 0;
}

static inline void cpumask_set_all(struct cpumask *mask)
{
    for (unsigned i = 0; i < CPUMASK_WORDS; i++)
        mask->word[i] = ~UINT64_C(0);
}

static inline void cpumask_add(struct cpumask *mask, cpu_id_t cpu)
{
    mask->word[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static inline void cpumask_remove(struct cpumask *mask, cpu_id_t cpu)
{
    mask->word[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

static inline bool cpumask_contains(const struct cpumask *mask, cpu_id_t cpu)
{
    return cpu < CPU_MAX && (mask->word[cpu / 64] >> (cpu % 64) & 1);
}

static inline void cpumask_set_single(struct cpumask *mask, cpu_id_t cpu)
{
    cpumask_clear(mask);
    cpumask_add(mask, cpu);
}

/* Lowest CPU >= from in the first `words` words of the mask, or CPU_NONE. */
static inline cpu_id_t cpumask_next_within(const struct cpumask *mask, cpu_id_t from, cpu_id_t words)
{
    for (cpu_id_t i = from / 64; i < words; i++) {
        uint64_t word = cpumask_word(mask, i);

        if (i == from / 64)
            word &= ~UINT64_C(0) << (from % 64);
        if (word != 0)
            return i * 64 + (cpu_id_t)__builtin_ctzll(word);
    }
    return CPU_NONE;
}

/* Lowest CPU >= from in the mask, or CPU_NONE. */
static inline cpu_id_t cpumask_next(const struct cpumask *mask, cpu_id_t from)
{
    return cpumask_next_within(mask, from, CPUMASK_WORDS);
}

/* The CPUs of a set, in the order of their ids. Declares `id`. */
#define for_each_cpu_of(id, mask) \
    for (cpu_id_t id = cpumask_next((mask), 0); (id) != CPU_NONE; (id) = cpumask_next((mask), (id) + 1))

/* The next one in ring order: lowest CPU >= from, or the lowest of all; CPU_NONE if the mask is empty. */
static inline cpu_id_t cpumask_next_ring(const struct cpumask *mask, cpu_id_t from)
{
    cpu_id_t id = cpumask_next(mask, from);

    return id != CPU_NONE ? id : cpumask_next(mask, 0);
}

static inline bool cpumask_is_empty(const struct cpumask *mask)
{
    return cpumask_next(mask, 0) == CPU_NONE;
}

static inline bool cpumask_intersects(const struct cpumask *a, const struct cpumask *b)
{
    for (unsigned i = 0; i < CPUMASK_WORDS; i++)
        if ((cpumask_word(a, i) & cpumask_word(b, i)) != 0)
            return true;
    return false;
}

static inline bool cpumask_is_single(const struct cpumask *mask)
{
    uint64_t seen = 0;

    for (unsigned i = 0; i < CPUMASK_WORDS; i++) {
        uint64_t word = mask->word[i];

        if ((word & (word - 1)) != 0 || (word != 0 && seen != 0))
            return false;
        seen |= word;
    }
    return seen != 0;
}

static inline unsigned cpumask_count(const struct cpumask *mask)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CPUMASK_WORDS; i++) {
        uint64_t word = cpumask_word(mask, i);

        if (word != 0) /* few are: without an instruction for it, counting takes twenty */
            count += (unsigned)__builtin_popcountll(word);
    }
    return count;
}
