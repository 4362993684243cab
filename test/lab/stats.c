/* SPDX-License-Identifier: MIT */
/* Numbers about workloads. No state, no lock, no floating point: the kernel has none. */
#include "stats.h"

#include <k/compiler.h>

uint64_t lab_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t lab_uniform(uint64_t *state, uint64_t least, uint64_t most)
{
    return least + (uint64_t)((unsigned __int128)lab_random(state) * (most - least + 1) >> 64);
}

#define FRACTION_BITS 16u
#define LN2 UINT64_C(45426) /* of 2^16 */

/* log2(x) in 2^-16ths, x > 0: the integer part by the highest bit, each bit of the fraction by a squaring. */
static uint64_t log2_of(uint32_t x)
{
    unsigned whole = 31u - (unsigned)__builtin_clz(x);
    uint64_t mantissa = (uint64_t)x << (31 - whole); /* 1.31 fixed point, in [1, 2) */
    uint64_t log = whole;

    for (unsigned bit = 0; bit < FRACTION_BITS; bit++) {
        mantissa = mantissa * mantissa >> 31;
        log <<= 1;
        if (mantissa >> 32 != 0) {
            mantissa >>= 1;
            log |= 1;
        }
    }
    return log;
}

/* -ln(u) * mean for u uniform in (0, 1]. */
uint64_t lab_exponential(uint64_t *state, uint64_t mean)
{
    uint32_t u = (uint32_t)(lab_random(state) >> 32);
    uint64_t minus_log2 = (UINT64_C(32) << FRACTION_BITS) - log2_of(u != 0 ? u : 1);
    uint64_t minus_ln = minus_log2 * LN2 >> FRACTION_BITS;
    uint64_t value = (uint64_t)((unsigned __int128)minus_ln * mean >> FRACTION_BITS);

    return MAX(value, 1);
}

/* Below LAB_PARTS each value has a bucket of its own; from there on the octave and its next five bits name one. */
static unsigned bucket_of(uint64_t value)
{
    if (value < LAB_PARTS)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 5;
    unsigned bucket = (shift + 1) * LAB_PARTS + (unsigned)(value >> shift) % LAB_PARTS;

    return MIN(bucket, LAB_BUCKETS - 1);
}

static uint64_t bucket_most(unsigned bucket)
{
    if (bucket < LAB_PARTS)
        return bucket;
    unsigned shift = bucket / LAB_PARTS - 1;

    return ((uint64_t)(LAB_PARTS + bucket % LAB_PARTS + 1) << shift) - 1;
}

void lab_histogram_merge(struct lab_histogram *into, const struct lab_histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    into->max = MAX(into->max, from->max);
    for (unsigned i = 0; i < LAB_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

void lab_histogram_add(struct lab_histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->sum += value;
    histogram->max = MAX(histogram->max, value);
    histogram->bucket[bucket_of(value)]++;
}

uint64_t lab_percentile(const struct lab_histogram *histogram, unsigned per_10000)
{
    uint64_t rank = (histogram->count * per_10000 + 9999) / 10000;
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    rank = MAX(rank, 1);
    for (unsigned bucket = 0; bucket < LAB_BUCKETS - 1; bucket++) {
        seen += histogram->bucket[bucket];
        if (seen >= rank)
            return MIN(bucket_most(bucket), histogram->max);
    }
    return histogram->max;
}

#define MEAN_BITS 10u /* the mean counts as 2^10 */

void lab_jain_sum(struct lab_jain *jain, uint64_t value)
{
    jain->n++;
    jain->sum += value;
}

/* value <= sum, so scaled <= n << MEAN_BITS, and its square stays below 2^64 for n up to 2^22 - 1. */
void lab_jain_square(struct lab_jain *jain, uint64_t value)
{
    uint64_t mean = jain->sum / jain->n;
    uint64_t whole, rest;

    if (mean == 0)
        return;
    whole = value / mean;
    rest = (value % mean << MEAN_BITS) / mean;
    jain->scaled += (whole << MEAN_BITS) + rest;
    jain->squares += ((whole << MEAN_BITS) + rest) * ((whole << MEAN_BITS) + rest);
}

unsigned lab_jain_per_10000(const struct lab_jain *jain)
{
    if (jain->squares == 0)
        return 10000;
    /* scaled is about n << 10, so its square stays below 2^64 for n below 2^22. */
    uint64_t square = jain->scaled * jain->scaled / jain->n;

    return (unsigned)MIN((square * 10000 + jain->squares / 2) / jain->squares, 10000);
}
