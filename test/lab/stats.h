/* SPDX-License-Identifier: MIT */
/*
 * Numbers about workloads, without floating point: random lengths, histograms with percentiles, Jain's index. Pure
 * code; whoever shares a histogram guards it.
 */
#pragma once

#include <stdint.h>

/* Repeatable random numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Every state is a good one. */
uint64_t lab_random(uint64_t *state);
uint64_t lab_uniform(uint64_t *state, uint64_t least, uint64_t most); /* both included */
/* Exponential of that mean, at least 1, at most 22 means. mean < 2^42. */
uint64_t lab_exponential(uint64_t *state, uint64_t mean);

/*
 * A histogram of values, each octave in 32 parts: a percentile is at most 1/32 too high, never too low. Values from
 * 2^LAB_OCTAVES on count as the largest bucket; `max` is exact.
 */
#define LAB_OCTAVES 42u
#define LAB_PARTS 32u
#define LAB_BUCKETS (LAB_OCTAVES * LAB_PARTS)
struct lab_histogram {
    uint64_t count, sum, max;
    uint32_t bucket[LAB_BUCKETS];
};
void lab_histogram_add(struct lab_histogram *histogram, uint64_t value);
void lab_histogram_merge(struct lab_histogram *into, const struct lab_histogram *from);
/* The least value that per_10000/10000 of the values do not exceed. 0 if there is none. */
uint64_t lab_percentile(const struct lab_histogram *histogram, unsigned per_10000);

/*
 * Jain's index of fairness: (sum x)^2 / (n * sum x^2), 1 if all are equal, 1/n if one has everything. In two rounds
 * over the same values, fewer than 2^21: first all of them through lab_jain_sum(), then all through lab_jain_square().
 */
struct lab_jain {
    uint64_t n, sum;    /* first round; sum of values below 2^63 */
    uint64_t scaled, squares; /* second round: of the values as multiples of their mean */
};
void lab_jain_sum(struct lab_jain *jain, uint64_t value);
void lab_jain_square(struct lab_jain *jain, uint64_t value);
unsigned lab_jain_per_10000(const struct lab_jain *jain); /* 10000 if there are no values, or all are 0 */
