/* SPDX-License-Identifier: MIT */
/*
 * Slabs of typed object caches. A slab is a naturally aligned block of pages: a header, one 16-bit word per object, the
 * objects. The words link the free objects by index and mark the others, so a double or foreign free is seen in every
 * build and nothing of ours lies inside an object. Refuses objects above SLAB_OBJECT_BYTES_MAX. Lock: one per cache
 * (LOCK_SLAB), never held across a call to the page allocator; the list of caches has its own (LOCK_MM).
 *
 * Debug builds: each object is followed by RED_BYTE and, at the end of its stride, a struct tail. A free object is
 * filled with POISON_BYTE, or, if it has to stay constructed, its checksum is kept: what is written to it while it is
 * free is found either way.
 */
#include "mm_priv.h"

#include <lib/string.h>
#include <trace/backtrace.h>

#define SLAB_ORDER_MAX 4
#define EMPTY_SLABS_MAX 2 /* empty slabs that a cache keeps against another burst */

#define POISON_BYTE 0x6b
#define RED_BYTE 0xbb
#define RED_ZONE_BYTES 16

/* Debug builds: the end of an object's stride. */
struct tail {
    uintptr_t pc; /* who asked for the object, or freed it */
    uint64_t sum; /* of a free constructed object */
};

#define EXTRA_BYTES (KERNEL_DEBUG ? RED_ZONE_BYTES + sizeof(struct tail) : 0)

struct slab_registry slab_registry = {.lock = SPINLOCK_INIT(LOCK_MM), .caches = LIST_INIT(slab_registry.caches)};

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
    size_t count = MIN((slab_bytes(order) - sizeof(struct slab)) / (stride + sizeof(uint16_t)),
                       (size_t)UINT16_MAX - SLAB_WORD_NEXT);

    while (count > 0 && first_offset(count, align) + count * stride > slab_bytes(order))
        count--;
    return (unsigned)count;
}

/* By so many 1024ths larger slabs have to waste less to be worth it: with tiny objects it is their words that cost. */
#define ORDER_GAIN 32

/* The smallest slabs that waste at most an eighth, or else those that waste the smallest part. */
static void choose_order(struct slab_cache *cache)
{
    size_t best_part = 0;

    for (unsigned order = 0; order <= SLAB_ORDER_MAX; order++) {
        unsigned count = objects_per_slab(order, cache->stride_bytes, cache->align);
        size_t part = (count * cache->stride_bytes << 10) / slab_bytes(order);

        if (count == 0 || part < best_part + ORDER_GAIN)
            continue;
        best_part = part;
        cache->order = order;
        cache->per_slab = count;
        if (part >= 896)
            break;
    }
    ASSERT(cache->per_slab > 0);
}

void slab_cache_setup(struct slab_cache *cache, const char *name, size_t bytes, size_t align,
                      void (*construct)(void *object))
{
    size_t line = CACHE_LINE_BYTES;

    ASSERT(bytes > 0 && bytes <= SLAB_OBJECT_BYTES_MAX);
    ASSERT(align > 0 && align <= PAGE_BYTES && (align & (align - 1)) == 0);
    memset(cache, 0, sizeof(*cache));
    /* No object straddles more cache lines than it must. */
    while (line / 2 >= bytes)
        line /= 2;
    cache->name = name;
    cache->construct = construct;
    cache->object_bytes = bytes;
    cache->align = MAX(MAX(align, line), sizeof(uint64_t));
    cache->stride_bytes = ROUND_UP(bytes + EXTRA_BYTES, cache->align);
    choose_order(cache);
    cache->slab_mask = ~(uintptr_t)(slab_bytes(cache->order) - 1);
    cache->first_offset = first_offset(cache->per_slab, cache->align);
    cache->stride_inverse = UINT64_MAX / cache->stride_bytes + 1;
    cache->slot_offset = offsetof(struct cpu, magazines[SLAB_CACHES_MAX]);
    /* A block's natural alignment is that of its physical address. */
    ASSERT(((uintptr_t)HAL_DIRECT_MAP_BASE & ~cache->slab_mask) == 0);
    spin_init(&cache->lock, LOCK_SLAB);
    list_init(&cache->partial);
    list_init(&cache->full);
    list_init(&cache->empty);
    list_init(&cache->magazines);
    spin_lock(&slab_registry.lock);
    list_push_back(&slab_registry.caches, &cache->link);
    spin_unlock(&slab_registry.lock);
}

void slab_cache_init_with(struct slab_cache *cache, const char *name, size_t bytes, size_t align,
                          void (*construct)(void *object))
{
    slab_cache_setup(cache, name, bytes, align, construct);
    magazine_attach(cache);
}

void slab_cache_init(struct slab_cache *cache, const char *name, size_t bytes, size_t align)
{
    slab_cache_init_with(cache, name, bytes, align, NULL);
}

static char *object_at(struct slab *slab, const struct slab_cache *cache, size_t index)
{
    return (char *)slab + cache->first_offset + index * cache->stride_bytes;
}

/* ---- Debug builds ---- */

static struct tail *tail_of(const struct slab_cache *cache, const char *object)
{
    return (struct tail *)((uintptr_t)object + cache->stride_bytes - sizeof(struct tail));
}

[[noreturn]] COLD static void report_damage(const struct slab_cache *cache, const char *object, size_t at,
                                            const char *what)
{
    char by[96];

    symbol_format(tail_of(cache, object)->pc - 1, by, sizeof by);
    panic("slab %s: %s of object %p is damaged at offset %zu: %#x; who asked for or freed it last: %s", cache->name,
          what, (const void *)object, at, (unsigned)(unsigned char)object[at], by);
}

static void check_bytes(const struct slab_cache *cache, const char *object, size_t from, size_t to, int byte,
                        const char *what)
{
    for (size_t i = from; i < to; i++)
        if ((unsigned char)object[i] != byte)
            report_damage(cache, object, i, what);
}

/* FNV-1a by words, and by bytes where no word fits: cheap, and sees every change of one word. */
static uint64_t sum_of(const struct slab_cache *cache, const char *object)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    size_t i = 0;

    for (; i + sizeof(uint64_t) <= cache->object_bytes; i += sizeof(uint64_t))
        sum = (sum ^ *(const uint64_t *)(object + i)) * UINT64_C(0x100000001b3);
    for (; i < cache->object_bytes; i++)
        sum = (sum ^ (unsigned char)object[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* An object becomes free: from here on nobody may write to it. */
static void seal(const struct slab_cache *cache, char *object, uintptr_t pc)
{
    size_t end = cache->stride_bytes - sizeof(struct tail);

    if (cache->construct == NULL)
        memset(object, POISON_BYTE, end);
    *tail_of(cache, object) = (struct tail){.pc = pc, .sum = cache->construct != NULL ? sum_of(cache, object) : 0};
}

void slab_debug_alloc(const struct slab_cache *cache, char *object, uintptr_t pc)
{
    size_t end = cache->stride_bytes - sizeof(struct tail);

    if (cache->construct == NULL) {
        check_bytes(cache, object, 0, end, POISON_BYTE, "the poison");
        memset(object + cache->object_bytes, RED_BYTE, end - cache->object_bytes);
    } else if (tail_of(cache, object)->sum != sum_of(cache, object)) {
        panic("slab %s: the constructed object %p was written to while it was free", cache->name,
              (const void *)object);
    }
    tail_of(cache, object)->pc = pc;
}

void slab_debug_free(const struct slab_cache *cache, char *object, uintptr_t pc)
{
    check_bytes(cache, object, cache->object_bytes, cache->stride_bytes - sizeof(struct tail), RED_BYTE,
                "the red zone");
    seal(cache, object, pc);
}

uintptr_t slab_debug_owner(const struct slab_cache *cache, const char *object)
{
    return KERNEL_DEBUG ? tail_of(cache, object)->pc : 0;
}

void slab_debug_set_owner(const struct slab_cache *cache, char *object, uintptr_t pc)
{
    if (KERNEL_DEBUG)
        tail_of(cache, object)->pc = pc;
}

void slab_refuse_free(const struct slab_cache *cache, const void *object)
{
    const char *why = "which is free already";

    if (!slab_is_in_reach(object))
        why = "which is no object at all";
    else if (slab_of(cache, object)->cache != cache)
        why = "which is no object of this cache";
    else if (!slab_is_at_object(cache, slab_position(cache, object)))
        why = "which is not the start of an object";
    panic("slab %s: free of %p, %s", cache->name, object, why);
}

void slab_refuse_twice(const struct slab_cache *cache, const void *object)
{
    panic("slab %s: %p was freed twice at once", cache->name, object);
}

/* ---- Slabs ---- */

static void objects_prepare(struct slab_cache *cache, struct slab *slab)
{
    for (size_t i = 0; i < cache->per_slab; i++) {
        char *object = object_at(slab, cache, i);

        if (cache->construct != NULL)
            cache->construct(object);
        if (KERNEL_DEBUG && cache->construct != NULL)
            memset(object + cache->object_bytes, RED_BYTE, cache->stride_bytes - cache->object_bytes);
        if (KERNEL_DEBUG)
            seal(cache, object, 0);
    }
}

/* A slab's pages say whose they are where somebody has to find the cache by an object's address. */
static void pages_account(struct slab_cache *cache, paddr_t block, bool is_new)
{
    int64_t pages = (int64_t)1 << cache->order;

    for (paddr_t at = 0; cache->page_mark != 0 && at < slab_bytes(cache->order); at += PAGE_BYTES)
        page_find(block + at)->used = is_new ? cache->page_mark : 0;
    mm_stat_add(cache->page_mark != 0 ? MM_KMALLOC : MM_SLABS, is_new ? pages : -pages);
}

static struct slab *slab_create(struct slab_cache *cache)
{
    paddr_t block = phys_alloc(cache->order);
    struct slab *slab;

    if (block == 0)
        return NULL;
    pages_account(cache, block, true);
    slab = direct_map(block);
    slab->cache = cache;
    slab->used = 0;
    slab->free = SLAB_WORD_NEXT;
    list_init(&slab->link);
    for (size_t i = 0; i < cache->per_slab; i++)
        slab->word[i] = i + 1 < cache->per_slab ? (uint16_t)(SLAB_WORD_NEXT + i + 1) : SLAB_WORD_END;
    if (KERNEL_DEBUG || cache->construct != NULL)
        objects_prepare(cache, slab);
    return slab;
}

bool slab_grow(struct slab_cache *cache)
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

void slab_discard(struct slab_cache *cache, struct list_node *retired)
{
    struct list_node *node;

    while ((node = list_pop_front(retired)) != NULL) {
        struct slab *slab = list_entry(node, struct slab, link);

        slab->cache = NULL;
        pages_account(cache, virt_to_phys(slab), false);
        phys_free(virt_to_phys(slab), cache->order);
    }
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

unsigned slab_take_locked(struct slab_cache *cache, unsigned want, void *out[])
{
    unsigned count = 0;

    while (count < want && find_partial_locked(cache)) {
        struct slab *slab = list_first(&cache->partial, struct slab, link);
        unsigned before = count;

        while (count < want && slab->free != SLAB_WORD_END) {
            size_t index = slab->free - SLAB_WORD_NEXT;

            DEBUG_ASSERT(index < cache->per_slab);
            slab->free = slab->word[index];
            slab->word[index] = SLAB_WORD_CACHED;
            out[count++] = object_at(slab, cache, index);
        }
        slab->used = (uint16_t)(slab->used + count - before);
        if (slab->free == SLAB_WORD_END) {
            list_remove(&slab->link);
            list_push_front(&cache->full, &slab->link);
        }
    }
    cache->objects_out += count;
    return count;
}

/* A slab has become empty: keep it, or take it out. */
static void retire_locked(struct slab_cache *cache, struct slab *slab, struct list_node *retired) REQUIRES(cache->lock)
{
    list_remove(&slab->link);
    if (cache->empty_count < EMPTY_SLABS_MAX) {
        cache->empty_count++;
        list_push_front(&cache->empty, &slab->link);
        return;
    }
    cache->slabs--;
    list_push_back(retired, &slab->link);
}

void slab_put_locked(struct slab_cache *cache, void *const objects[], unsigned count, struct list_node *retired)
{
    for (unsigned i = 0; i < count; i++) {
        struct slab *slab = slab_of(cache, objects[i]);
        uint16_t *word = slab_word(cache, objects[i]);

        /* Two CPUs that free one object at the same time may both have seen it taken. */
        if (UNLIKELY(*word != SLAB_WORD_CACHED))
            slab_refuse_twice(cache, objects[i]);
        if (UNLIKELY(slab->free == SLAB_WORD_END)) {
            list_remove(&slab->link);
            list_push_front(&cache->partial, &slab->link);
        }
        *word = slab->free;
        slab->free = (uint16_t)(SLAB_WORD_NEXT + (size_t)(word - slab->word));
        slab->used--;
        if (UNLIKELY(slab->used == 0))
            retire_locked(cache, slab, retired);
    }
    cache->objects_out -= count;
}

void slab_trim(struct slab_cache *cache)
{
    struct list_node empty = LIST_INIT(empty);

    spin_lock(&cache->lock);
    list_splice_back(&empty, &cache->empty);
    cache->slabs -= cache->empty_count;
    cache->empty_count = 0;
    spin_unlock(&cache->lock);
    slab_discard(cache, &empty);
}
