/* SPDX-License-Identifier: MIT */
/* Objects that are handed out, by cache. Context of both: init task, nobody else runs. */
#pragma once

#include <k/types.h>

#define SIM_CACHES_MAX 96

struct sim_counts {
    unsigned caches;
    uint64_t used[SIM_CACHES_MAX]; /* in the order of slab_for_each() */
};
void sim_counts_get(struct sim_counts *out);
/* Number of caches that differ, each logged. */
unsigned sim_counts_compare(const struct sim_counts *before, const struct sim_counts *after);
