/* SPDX-License-Identifier: MIT */
/*
 * Typed object caches. A slab is a naturally aligned block of pages: a header, one 16-bit word per object, the objects.
 * The words link the free objects by index and mark the others as taken, so a double or foreign free is seen in every
 * build and nothing of ours lies inside an object. Refuses objects above SLAB_OBJECT_BYTES_MAX. Lock: one per cache
 * (LOCK_SLAB), never held across a call to the page allocator; the list of caches has its own (LOCK_MM).
 *
 * Debug builds: free objects are filled with POISON_BYTE, taken ones followed by RED_BYTE up to their stride.
 */
#include "mm_priv.h"

#include <mm/slab.h>

#include <lib/string.h>

#define SLAB_OBJECT_BYTES_MAX (8 * PAGE_BYTES)
#define SLAB_ORDER_MAX 4
#define EMPTY_SLABS_MAX 2 /* empty slabs that a cache keeps against another burst */

#define INDEX_NONE UINT16_C(0xffff)  /* end of the free list */
#define INDEX_TAKEN UINT16_C(0xfffe) /* the object is handed out */

#define POISON_BYTE 0x6b
#define RED_BYTE 0xbb
#define RED_ZONE_BYTES (KERNEL_DEBUG ? 16 : 0)

struct slab {
    struct slab_cache *cache; /* also the proof that this is a slab: NULL once the pages are given back */
    struct list_node link;    /* in one of the cache's lists */
    uint32_t offset;          /* of the first object */
    uint16_t used;
    uint16_t free;   /* index of the first free object, or INDEX_NONE */
    uint16_t next[]; /* per object: the next free one, INDEX_NONE or INDEX_TAKEN */
};

static struct {
    struct spinlock lock;
    struct list_node caches GUARDED_BY(lock);
} registry = {.lock = SPINLOCK_INIT(LOCK_MM), .caches = LIST_INIT(registry.caches)};

static size_t slab_bytes(unsigned order)
{
    return PAGE_BYTES << order;
}

/* Where the objects begin, if there are `count`. */
static size_t first_offset(size_t count, size_t align)
{
    return ROUND_UP(sizeof(struct slab) + count * sizeof(uint16_t), align);
}

static unsigned objects_per_slab(unsigned order, size_t stride, size_t align)
{
    size_t count = MIN((slab_bytes(order) - sizeof(struct slab)) / (stride + sizeof(uint16_t)), (size_t)INDEX_TAKEN);

    while (count > 0 && first_offset(count, align) + count * stride > slab_bytes(order))
        count--;
    return (unsigned)count;
}

/* The smallest slabs that waste at most an eighth, or else those that waste the smallest part. */
static void choose_order(struct slab_cache *cache)
{
    size_t best_part = 0;

    for (unsigned order = 0; order <= SLAB_ORDER_MAX; order++) {
        unsigned count = objects_per_slab(order, cache->stride_bytes, cache->align);
        size_t part = (count * cache->stride_bytes << 10) / slab_bytes(order);

        if (count == 0 || part <= best_part)
            continue;
        best_part = part;
        cache->order = order;
        cache->per_slab = count;
        if (part >= 896)
            break;
    }
    ASSERT(cache->per_slab > 0);
}

void slab_cache_init(struct slab_cache *cache, const char *name, size_t bytes, size_t align)
{
    size_t line = CACHE_LINE_BYTES;

    ASSERT(bytes > 0 && bytes <= SLAB_OBJECT_BYTES_MAX);
    ASSERT(align > 0 && align <= PAGE_BYTES && (align & (align - 1)) == 0);
    memset(cache, 0, sizeof(*cache));
    /* No object straddles more cache lines than it must. */
    while (line / 2 >= bytes)
        line /= 2;
    cache->name = name;
    cache->object_bytes = bytes;
    cache->align = MAX(MAX(align, line), sizeof(uint64_t));
    cache->stride_bytes = ROUND_UP(bytes + RED_ZONE_BYTES, cache->align);
    choose_order(cache);
    spin_init(&cache->lock, LOCK_SLAB);
    list_init(&cache->partial);
    list_init(&cache->full);
    list_init(&cache->empty);
    spin_lock(&registry.lock);
    list_push_back(&registry.caches, &cache->link);
    spin_unlock(&registry.lock);
}

static char *object_at(struct slab *slab, const struct slab_cache *cache, size_t index)
{
    return (char *)slab + slab->offset + index * cache->stride_bytes;
}

/* ---- Debug builds ---- */

static void check_bytes(const struct slab_cache *cache, const char *object, size_t from, size_t to, int byte,
                        const char *what)
{
    for (size_t i = from; i < to; i++)
        if ((unsigned char)object[i] != byte)
            panic("slab %s: %s of object %p is damaged at offset %zu: %#x", cache->name, what, (const void *)object, i,
                  (unsigned)(unsigned char)object[i]);
}

static void debug_alloc(const struct slab_cache *cache, char *object)
{
    check_bytes(cache, object, 0, cache->stride_bytes, POISON_BYTE, "the poison");
    memset(object + cache->object_bytes, RED_BYTE, cache->stride_bytes - cache->object_bytes);
}

static void debug_free(const struct slab_cache *cache, char *object)
{
    check_bytes(cache, object, cache->object_bytes, cache->stride_bytes, RED_BYTE, "the red zone");
    memset(object, POISON_BYTE, cache->stride_bytes);
}

/* ---- Slabs ---- */

static struct slab *slab_create(struct slab_cache *cache)
{
    paddr_t block = phys_alloc(cache->order);
    struct slab *slab;

    if (block == 0)
        return NULL;
    slab = direct_map(block);
    slab->cache = cache;
    slab->offset = (uint32_t)first_offset(cache->per_slab, cache->align);
    slab->used = 0;
    slab->free = 0;
    list_init(&slab->link);
    for (unsigned i = 0; i < cache->per_slab; i++)
        slab->next[i] = i + 1 < cache->per_slab ? (uint16_t)(i + 1) : INDEX_NONE;
    if (KERNEL_DEBUG)
        memset(object_at(slab, cache, 0), POISON_BYTE, cache->per_slab * cache->stride_bytes);
    return slab;
}

static void slab_destroy(struct slab *slab, unsigned order)
{
    slab->cache = NULL;
    phys_free(virt_to_phys(slab), order);
}

/* Grow outside of the lock; another CPU may have done so, too, and then there are two slabs. */
static NOINLINE bool slab_grow(struct slab_cache *cache)
{
    struct slab *slab = slab_create(cache);

    if (slab == NULL)
        return false;
    spin_lock(&cache->lock);
    list_push_back(&cache->empty, &slab->link);
    cache->empty_count++;
    cache->slabs++;
    spin_unlock(&cache->lock);
    return true;
}

/* A slab with a free object at the head of `partial`, if there is one at all. */
static bool find_partial_locked(struct slab_cache *cache) REQUIRES(cache->lock)
{
    struct list_node *node;

    if (LIKELY(!list_is_empty(&cache->partial)))
        return true;
    node = list_pop_front(&cache->empty);
    if (node == NULL)
        return false;
    cache->empty_count--;
    list_push_front(&cache->partial, node);
    return true;
}

void *slab_alloc(struct slab_cache *cache)
{
    struct slab *slab;
    char *object;
    unsigned index;

    mm_assert_task_context();
    if (mm_fail_check())
        return NULL;
    spin_lock(&cache->lock);
    while (UNLIKELY(!find_partial_locked(cache))) {
        spin_unlock(&cache->lock);
        if (!slab_grow(cache))
            return NULL;
        spin_lock(&cache->lock);
    }
    slab = list_first(&cache->partial, struct slab, link);
    index = slab->free;
    DEBUG_ASSERT(index < cache->per_slab);
    slab->free = slab->next[index];
    slab->next[index] = INDEX_TAKEN;
    slab->used++;
    cache->objects_used++;
    if (UNLIKELY(slab->free == INDEX_NONE)) {
        list_remove(&slab->link);
        list_push_front(&cache->full, &slab->link);
    }
    object = object_at(slab, cache, index);
    spin_unlock(&cache->lock);
    trace(TRACE_OBJECT_ALLOC, object, cache->stride_bytes);
    if (KERNEL_DEBUG)
        debug_alloc(cache, object);
    return object;
}

COLD static void refuse_object(const struct slab_cache *cache, const void *object, const char *why)
{
    panic("slab %s: free of %p, %s", cache->name, object, why);
}

/* The slab that would hold the object; panics if there is none of this cache's there. */
static struct slab *slab_of(const struct slab_cache *cache, const void *object)
{
    uintptr_t offset = (uintptr_t)object - (uintptr_t)HAL_DIRECT_MAP_BASE;
    struct slab *slab;

    if (UNLIKELY(offset >= HAL_DIRECT_MAP_BYTES))
        refuse_object(cache, object, "which is no object at all");
    slab = direct_map(offset & ~(paddr_t)(slab_bytes(cache->order) - 1));
    if (UNLIKELY(slab->cache != cache))
        refuse_object(cache, object, "which is no object of this cache");
    return slab;
}

static unsigned index_of(const struct slab_cache *cache, const struct slab *slab, const void *object)
{
    /* A pointer into the header wraps to a huge offset. Slabs are below 4 GiB: a 32-bit division is the cheap one. */
    uint32_t offset = (uint32_t)((uintptr_t)object - (uintptr_t)slab) - slab->offset;
    uint32_t index = offset / (uint32_t)cache->stride_bytes;

    if (UNLIKELY(index >= cache->per_slab || index * (uint32_t)cache->stride_bytes != offset))
        refuse_object(cache, object, "which is not the start of an object");
    if (UNLIKELY(slab->next[index] != INDEX_TAKEN))
        refuse_object(cache, object, "which is free already");
    return index;
}

/* A slab has become empty: keep it, or take it out and return it for destruction. */
static struct slab *retire_locked(struct slab_cache *cache, struct slab *slab) REQUIRES(cache->lock)
{
    list_remove(&slab->link);
    if (cache->empty_count < EMPTY_SLABS_MAX) {
        cache->empty_count++;
        list_push_front(&cache->empty, &slab->link);
        return NULL;
    }
    cache->slabs--;
    return slab;
}

void slab_free(struct slab_cache *cache, void *object)
{
    struct slab *slab = slab_of(cache, object);
    struct slab *retired = NULL;
    unsigned index;

    mm_assert_task_context();
    if (KERNEL_DEBUG) {
        /* Look before poisoning: a wrong free must not destroy what it will be diagnosed from. */
        (void)index_of(cache, slab, object);
        debug_free(cache, object);
        trace(TRACE_OBJECT_FREE, object, cache->stride_bytes);
    }
    spin_lock(&cache->lock);
    index = index_of(cache, slab, object);
    if (UNLIKELY(slab->free == INDEX_NONE)) {
        list_remove(&slab->link);
        list_push_front(&cache->partial, &slab->link);
    }
    slab->next[index] = slab->free;
    slab->free = (uint16_t)index;
    slab->used--;
    cache->objects_used--;
    if (UNLIKELY(slab->used == 0))
        retired = retire_locked(cache, slab);
    spin_unlock(&cache->lock);
    if (UNLIKELY(retired != NULL))
        slab_destroy(retired, cache->order);
}

uint64_t slab_used(struct slab_cache *cache)
{
    uint64_t used;

    spin_lock(&cache->lock);
    used = cache->objects_used;
    spin_unlock(&cache->lock);
    return used;
}

static void cache_reclaim(struct slab_cache *cache)
{
    struct list_node empty = LIST_INIT(empty);
    struct list_node *node;

    spin_lock(&cache->lock);
    list_splice_back(&empty, &cache->empty);
    cache->slabs -= cache->empty_count;
    cache->empty_count = 0;
    spin_unlock(&cache->lock);
    while ((node = list_pop_front(&empty)) != NULL)
        slab_destroy(list_entry(node, struct slab, link), cache->order);
}

void slab_reclaim_all(void)
{
    spin_lock(&registry.lock);
    list_for_each(node, &registry.caches)
        cache_reclaim(list_entry(node, struct slab_cache, link));
    spin_unlock(&registry.lock);
}
