/* SPDX-License-Identifier: MIT */
/*
 * Typed object caches with per-CPU magazines. Objects are cache-line friendly, aligned as asked, not zeroed; debug
 * builds poison free objects and guard them with red zones, and check both at alloc and free. A free of a foreign or
 * free object panics.
 */
#pragma once

#include <k/compiler.h>
#include <k/limits.h>
#include <k/list.h>
#include <k/types.h>
#include <smp/spinlock.h>

struct slab_cache {
    /* Immutable after slab_cache_init(). What alloc and free read stands first. */
    size_t slot_offset;      /* in struct cpu: of its place in the table of magazines */
    uintptr_t slab_mask;     /* of an object's address: its slab's */
    size_t first_offset;     /* of the first object in a slab */
    uint64_t stride_inverse; /* 2^64 / stride_bytes, rounded up */
    size_t per_slab;
    unsigned order;          /* pages of one slab: 2^order */
    unsigned magazine_limit; /* objects in one magazine; 0: the cache has no magazines */
    uint16_t page_mark;      /* what the descriptors of its slabs' pages say (core/mm/kmalloc.c), or 0 */
    size_t object_bytes;     /* as asked */
    size_t stride_bytes;     /* with red zone and alignment */
    size_t align;
    const char *name;
    void (*construct)(void *object);

    CACHE_ALIGNED struct spinlock lock;
    struct list_node partial GUARDED_BY(lock);
    struct list_node full GUARDED_BY(lock);
    struct list_node empty GUARDED_BY(lock);
    struct list_node magazines GUARDED_BY(lock); /* those being emptied first */
    unsigned empty_count GUARDED_BY(lock);
    uint64_t objects_out GUARDED_BY(lock);       /* handed out or in magazines */
    uint64_t slabs GUARDED_BY(lock);
    struct list_node link; /* all caches, for statistics and slab_reclaim_all() */
};

/* Context: boot. bytes <= 1 page * 8; align a power of two. */
void slab_cache_init(struct slab_cache *cache, const char *name, size_t bytes, size_t align);

/* The same for objects that are constructed once, when their slab is made, and stay so while they are free: whoever
 * frees one leaves it as `construct` did. It cannot fail and owns nothing but the object, for nothing undoes it. NULL:
 * no constructor. Context of the call: task; the allocator's locks are not held. */
void slab_cache_init_with(struct slab_cache *cache, const char *name, size_t bytes, size_t align,
                          void (*construct)(void *object));

/* An object, or NULL if out of memory. Context: task, no lock of rank LOCK_SLAB or above held. Order: what one CPU
 * stored to an object before it freed it is visible to whoever gets it next. */
void *slab_alloc(struct slab_cache *cache) MUST_USE;
void slab_free(struct slab_cache *cache, void *object);

/* Objects handed out and not yet freed. Exact while nobody allocates or frees; else some number between what was and
 * what is, each free that is counted seen with all that came before it (acquire). */
uint64_t slab_used(struct slab_cache *cache);

/* Empty the magazines of all CPUs and give empty slabs of all caches back to the page allocator. Context: task,
 * interrupts enabled (once more than one CPU is online), no lock of rank LOCK_MM or above held. */
void slab_reclaim_all(void);

struct slab_stats {
    uint64_t used;          /* as slab_used() */
    uint64_t cached;        /* objects in magazines */
    uint64_t slabs;
    uint64_t pages;         /* of its slabs */
    uint64_t magazines;     /* CPUs that have one */
};

/* Context: task, no lock of rank LOCK_SLAB or above held. */
void slab_stats_get(struct slab_cache *cache, struct slab_stats *out);

/* fn(cache, arg) for every cache in the order of their initialisation, under a lock of rank LOCK_MM: fn may read
 * statistics and log, and initialises no cache. Context: task. */
void slab_for_each(void (*fn)(struct slab_cache *cache, void *arg), void *arg);

/* One line in the log for each cache that has pages. */
void slab_stats_log(void);

/* Log the objects of the cache that are handed out, each with its address and, in debug builds, the code that asked for
 * it, but not more than `lines_max` of them; returns how many there are. Context: task, while nobody else allocates or
 * frees in this cache. */
uint64_t slab_leaks_log(struct slab_cache *cache, unsigned lines_max);
