/* SPDX-License-Identifier: MIT */
/*
 * What a story must leave as it found it, beside the counts that all tests share: the objects of every cache, so files,
 * inodes, names, timers, queued signals, credentials and what else has one. Looked at while nobody else runs; no lock.
 */
#include "counts.h"

#include "check.h"

#include <mm/slab.h>

static void count_one(struct slab_cache *cache, void *arg)
{
    struct sim_counts *counts = arg;

    if (counts->caches < SIM_CACHES_MAX)
        counts->used[counts->caches] = slab_used(cache);
    counts->caches++;
}

void sim_counts_get(struct sim_counts *out)
{
    out->caches = 0;
    slab_for_each(count_one, out);
}

struct comparison {
    const struct sim_counts *before, *after;
    unsigned index, differing;
};

static void compare_one(struct slab_cache *cache, void *arg)
{
    struct comparison *now = arg;
    unsigned index = now->index++;

    uint64_t before = index < now->before->caches ? now->before->used[index] : 0; /* a cache of the story's own */

    if (before == now->after->used[index])
        return;
    now->differing++;
    log_error("leak: %s: %llu objects before, %llu after", cache->name, (unsigned long long)before,
              (unsigned long long)now->after->used[index]);
}

unsigned sim_counts_compare(const struct sim_counts *before, const struct sim_counts *after)
{
    struct comparison now = { .before = before, .after = after };

    if (!CHECK(before->caches <= after->caches && after->caches <= SIM_CACHES_MAX))
        return 0;
    slab_for_each(compare_one, &now);
    return now.differing;
}
