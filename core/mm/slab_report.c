/* SPDX-License-Identifier: MIT */
/* What the object caches hold, and who has what they handed out. Owns nothing; looks at each cache under its lock. */
#include "mm_priv.h"

#include <k/log.h>
#include <trace/backtrace.h>

void slab_stats_get(struct slab_cache *cache, struct slab_stats *out)
{
    spin_lock(&cache->lock);
    out->cached = magazine_cached_locked(cache, &out->magazines);
    /* Objects that go from one magazine to another while they are counted may be counted twice. */
    out->used = cache->objects_out - MIN(out->cached, cache->objects_out);
    out->slabs = cache->slabs;
    out->pages = cache->slabs << cache->order;
    spin_unlock(&cache->lock);
}

uint64_t slab_used(struct slab_cache *cache)
{
    struct slab_stats stats;

    slab_stats_get(cache, &stats);
    return stats.used;
}

void slab_for_each(void (*fn)(struct slab_cache *cache, void *arg), void *arg)
{
    spin_lock(&slab_registry.lock);
    list_for_each(node, &slab_registry.caches)
        fn(list_entry(node, struct slab_cache, link), arg);
    spin_unlock(&slab_registry.lock);
}

static void log_cache(struct slab_cache *cache, void *unused)
{
    struct slab_stats stats;

    (void)unused;
    slab_stats_get(cache, &stats);
    if (stats.slabs == 0)
        return;
    log_info("slab: %-16s %6zu bytes, %llu used, %llu in %llu magazines, %llu slabs of %zu, %llu pages", cache->name,
             cache->object_bytes, (unsigned long long)stats.used, (unsigned long long)stats.cached,
             (unsigned long long)stats.magazines, (unsigned long long)stats.slabs, cache->per_slab,
             (unsigned long long)stats.pages);
}

void slab_stats_log(void)
{
    slab_for_each(log_cache, NULL);
}

static void log_object(const struct slab_cache *cache, const char *object)
{
    uintptr_t pc = slab_debug_owner(cache, object);
    char by[96];

    if (pc == 0) {
        log_warn("slab %s: %p is handed out", cache->name, (const void *)object);
        return;
    }
    symbol_format(pc - 1, by, sizeof by); /* a return address may be the next function's first byte */
    log_warn("slab %s: %p is handed out, to %s (%#lx)", cache->name, (const void *)object, by, (unsigned long)pc);
}

static uint64_t log_list(const struct slab_cache *cache, const struct list_node *slabs, uint64_t seen,
                         unsigned lines_max)
{
    list_for_each(node, slabs) {
        const struct slab *slab = list_entry(node, struct slab, link);

        for (size_t i = 0; i < cache->per_slab; i++) {
            if (slab->word[i] != SLAB_WORD_TAKEN)
                continue;
            if (seen++ < lines_max)
                log_object(cache, (const char *)slab + cache->first_offset + i * cache->stride_bytes);
        }
    }
    return seen;
}

uint64_t slab_leaks_log(struct slab_cache *cache, unsigned lines_max)
{
    uint64_t seen;

    spin_lock(&cache->lock);
    seen = log_list(cache, &cache->full, 0, lines_max);
    seen = log_list(cache, &cache->partial, seen, lines_max);
    spin_unlock(&cache->lock);
    return seen;
}
