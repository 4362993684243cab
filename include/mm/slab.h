/* SPDX-License-Identifier: MIT */
/*
 * Typed object caches. Objects are cache-line friendly, aligned as asked, not zeroed; debug builds poison free objects
 * and guard them with red zones, and check both at alloc and free. A free of a foreign or free object panics.
 */
#pragma once

#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>
#include <smp/spinlock.h>

struct slab_cache {
    /* Immutable after slab_cache_init(). */
    const char *name;
    size_t object_bytes; /* as asked */
    size_t stride_bytes; /* with red zone and alignment */
    size_t align;
    unsigned order;      /* pages of one slab: 2^order */
    unsigned per_slab;

    struct spinlock lock;
    struct list_node partial GUARDED_BY(lock);
    struct list_node full GUARDED_BY(lock);
    struct list_node empty GUARDED_BY(lock);
    unsigned empty_count GUARDED_BY(lock);
    uint64_t objects_used GUARDED_BY(lock);
    uint64_t slabs GUARDED_BY(lock);
    struct list_node link; /* all caches, for statistics and slab_reclaim_all() */
};

/* Context: boot. bytes <= 1 page * 8; align a power of two. */
void slab_cache_init(struct slab_cache *cache, const char *name, size_t bytes, size_t align);

/* An object, or NULL if out of memory. Context: task. */
void *slab_alloc(struct slab_cache *cache) MUST_USE;
void slab_free(struct slab_cache *cache, void *object);

/* Objects handed out and not yet freed. */
uint64_t slab_used(struct slab_cache *cache);

/* Give empty slabs of all caches back to the page allocator. Context: task. */
void slab_reclaim_all(void);
