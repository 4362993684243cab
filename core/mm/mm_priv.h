/* SPDX-License-Identifier: MIT */
/* What the files of this room share and nobody else sees. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mm/fail.h>
#include <mm/pagetable.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <mm/stats.h>

#include <smp/cpu.h>
#include <smp/spinlock.h>
#include <smp/tlb.h>

#include <hal/cpu.h>
#include <hal/mmu.h>
#include <k/assert.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/limits.h>
#include <k/list.h>
#include <k/trace.h>
#include <k/types.h>

struct boot_info;
struct boot_range;

/* No allocator may be entered from an interrupt: their locks do not disable interrupts. */
static ALWAYS_INLINE void mm_assert_task_context(void)
{
    DEBUG_ASSERT(this_cpu()->irq_depth == 0);
}

/* Debug builds: a fast path that takes no lock obeys the rank of the one that it may need. */
static ALWAYS_INLINE void mm_assert_locks_below(enum lock_rank rank)
{
    const struct task_base *self = current_base();

    for (uint32_t i = 0; KERNEL_DEBUG && i < self->lock_depth; i++)
        ASSERT(self->lock_held[i]->rank < rank);
}

/* ---- fail.c ---- */

/* The task that has armed a failure, or NULL. */
extern _Atomic(struct task *) mm_fail_task;

static ALWAYS_INLINE bool mm_fail_is_armed(void)
{
    struct task *armed = load_relaxed(&mm_fail_task);

    return UNLIKELY(armed != NULL) && armed == hal_current();
}

/* mm_should_fail() for the allocators' fast paths. */
static ALWAYS_INLINE bool mm_fail_check(void)
{
    return UNLIKELY(load_relaxed(&mm_fail_task) != NULL) && mm_should_fail();
}

/* ---- phys.c ---- */

static ALWAYS_INLINE void *direct_map(paddr_t pa)
{
    return (void *)((uintptr_t)HAL_DIRECT_MAP_BASE + (uintptr_t)pa);
}

/*
 * What a descriptor says of its page. Only the first page of a block carries an order; the others are INNER.
 *   RESERVED -> INNER -> FREE -> ALLOCATED -> FREE ...; FREE -> INNER when its buddy absorbs it
 *   FREE -> CACHED -> ALLOCATED -> CACHED -> FREE: a single page that passes through a CPU's cache
 * FREE and INNER come and go under buddy.lock only. Between ALLOCATED and CACHED a page is its holder's or its CPU's;
 * others may read the tag meanwhile, and both mean the same to them: not free to merge with.
 */
#define TAG_RESERVED 0x00u /* never handed out: what zeroed descriptors say */
#define TAG_INNER 0x01u
#define TAG_CACHED 0x02u
#define TAG_FREE 0x10u      /* | order */
#define TAG_ALLOCATED 0x20u /* | order */

#define PAGE_IS_POISONED 0x1u /* debug builds: a free page that holds poison */
#define PAGE_KIND_SHIFT 1     /* user memory: its enum mm_kind, in the block's first page; 0: others count */
#define PAGE_KIND_MASK 0x0eu
#define PAGE_NODE_SHIFT 4     /* its node, immutable; PAGE_NODE_MANY: that or a higher one */
#define PAGE_NODE_MASK 0xf0u
#define PAGE_NODE_MANY 15u
_Static_assert(MM_ANON > 0 && MM_OBJECT > 0 && MM_OTHER <= PAGE_KIND_MASK >> PAGE_KIND_SHIFT, "kinds of user memory");

struct page {
    _Atomic(uint8_t) tag;
    uint8_t flags;          /* owned by whoever allocates or frees the page: PAGE_..., see above */
    uint16_t used;          /* phys_table_used(); owned by whoever holds the page */
    _Atomic(uint32_t) refs; /* PAIRS(page_ref): of the block that begins here; 0 while it is free */
};

_Static_assert(sizeof(struct page) == 8, "descriptors cost a 512th of RAM: 512 KiB of 256 MiB");
_Static_assert(PHYS_ORDER_MAX < 16, "an order and its tag share a byte");

/* A contiguous part of the address space with descriptors. */
struct span {
    pfn_t first;
    pfn_t end;
    struct page *pages;
};

#define PHYS_ORDER_COUNT (PHYS_ORDER_MAX + 1)

struct buddy {
    /* Immutable after bootmem_finish(). The largest of spans[] also stands here: most pages are in it. */
    paddr_t main_base;
    uint64_t main_count;
    struct page *main_pages;
    struct span spans[BOOT_RANGES_MAX];
    unsigned span_count;
    uint64_t ram_pages;
    uint64_t total_pages;
    uint64_t reserve_pages;

    CACHE_ALIGNED struct spinlock lock;

    /* Atomic; written under lock. In the free lists of all nodes: what CPUs have in their caches does not count. */
    CACHE_ALIGNED _Atomic(uint64_t) free_pages;
};

extern struct buddy buddy;

/* ---- nodes.c ---- */

/* The free lists of a NUMA node. No block has pages of two nodes. */
struct buddy_node {
    /* Guarded by buddy.lock. */
    uint32_t orders; /* bit n: lists[n] is not empty */
    struct list_node lists[PHYS_ORDER_COUNT];

    uint64_t total_pages; /* immutable after bootmem_finish() */

    /* Atomic; written under buddy.lock. */
    _Atomic(uint64_t) free_pages;   /* in these lists */
    _Atomic(uint64_t) local_pages;  /* ever taken from them by CPUs whose home it is; */
    _Atomic(uint64_t) remote_pages; /* and by others */
};

/* From here to the next range's beginning. */
struct node_range {
    pfn_t first;
    uint32_t node;
};

#define NODE_RANGES_MAX (2 * BOOT_RANGES_MAX + 1)
#define NODE_PFN_END (UINT64_MAX >> PAGE_SHIFT)

/* Immutable after nodes_init(). */
extern struct mm_nodes {
    unsigned count;
    unsigned range_count;
    struct node_range *ranges;
    uint8_t *nearest; /* count rows: the nodes by their distance from the row's, that first */
    struct buddy_node *buddy;
} mm_nodes;

/* Called by bootmem_init(), as its last step: allocates there. */
void nodes_init(const struct boot_info *boot);

unsigned nodes_find(pfn_t pfn);
pfn_t nodes_find_end(pfn_t pfn); /* the first page behind it that may be another node's */

/* Where CPUs of that node get their pages: the nearest that has any. After bootmem_finish(). */
unsigned nodes_find_home(unsigned node);

static ALWAYS_INLINE unsigned nodes_nearest(unsigned from, unsigned i)
{
    return mm_nodes.count == 1 ? 0 : mm_nodes.nearest[from * mm_nodes.count + i];
}

static ALWAYS_INLINE unsigned page_node(const struct page *page, pfn_t pfn)
{
    unsigned node = page->flags >> PAGE_NODE_SHIFT;

    return LIKELY(node != PAGE_NODE_MANY) ? node : nodes_find(pfn);
}

/* The descriptor of the page that begins at pa, wherever it is; or NULL. */
struct page *page_find_in_spans(paddr_t pa);

/* The descriptor if it is in the main span and pa is the address of a page; else NULL. */
static ALWAYS_INLINE struct page *page_find_in_main(paddr_t pa)
{
    paddr_t offset = pa - buddy.main_base;
    /* Rotated, so that what is no multiple of a page becomes a huge number. */
    uint64_t index = offset >> PAGE_SHIFT | offset << (64 - PAGE_SHIFT);

    return LIKELY(index < buddy.main_count) ? &buddy.main_pages[index] : NULL;
}

/* The descriptor of the page that begins at pa, or NULL. */
static ALWAYS_INLINE struct page *page_find(paddr_t pa)
{
    struct page *page = page_find_in_main(pa);

    return LIKELY(page != NULL) ? page : page_find_in_spans(pa);
}

/* No interleaving points: only stores under buddy.lock change what another CPU concludes from a tag. */
static ALWAYS_INLINE unsigned page_tag(struct page *page)
{
    return atomic_load_explicit(&page->tag, memory_order_relaxed);
}

static ALWAYS_INLINE void page_set_tag(struct page *page, unsigned tag)
{
    atomic_store_explicit(&page->tag, (uint8_t)tag, memory_order_relaxed);
}

/* One block off the free lists of `home`, or of the nearest node that has one; its tag set to `tag`. 0: none. Leaves at
 * least `leave` pages in all lists together. */
paddr_t buddy_take_locked(unsigned home, unsigned order, uint64_t leave, unsigned tag) REQUIRES(buddy.lock);

/* A block onto the free lists. Panics unless its descriptor says `tag`. */
void buddy_give_locked(struct page *page, paddr_t block, unsigned order, unsigned tag) REQUIRES(buddy.lock);

/* Debug builds. A block on its way in, still its caller's alone; and on its way out: whoever wrote to it while it was
 * free is found then. */
void page_poison(struct page *page, paddr_t block, unsigned order);
void page_check_poison(struct page *page, paddr_t block, unsigned order);

/* Panics and says why the block is nobody's to free. `page` is its descriptor, or NULL. */
COLD [[noreturn]] void page_refuse(paddr_t block, unsigned order, struct page *page);

/* The allocator's bring-up, called by bootmem_finish() in this order: descriptors for spans of RAM (ascending,
 * apart), then the free pages in them. Boot CPU only, before any phys_alloc(). */
void phys_init(uint64_t ram_pages);
size_t phys_descriptor_bytes(uint64_t pages);
void phys_add_span(pfn_t first, pfn_t end, void *zeroed_descriptors);
void phys_add_free(pfn_t first, pfn_t end);

/* ---- cpu_pages.c ---- */

/* A page in a CPU's cache, in its own first word. */
struct cached_page {
    struct cached_page *next;
};

/* What a CPU has of this room. */
struct mm_cpu {
    /* Immutable after boot. */
    cpu_id_t id;
    uint32_t limit;      /* a cache that has so many pages gives half of them away */
    struct mm_cpu *next; /* in mm_cpus */
    uint32_t home;       /* the node whose pages it keeps */
    uint8_t home_flags;  /* struct page's of a free page from there; or what none has */

    /* Owned by this CPU, interrupts disabled. Others read count. */
    struct cached_page *head;
    _Atomic(uint32_t) count; /* also under buddy.lock where pages come from the free lists or go there */
    _Atomic(int64_t) pages[MM_OTHER]; /* mm_stat_add(), and user memory */

    /* Owned by who holds drain_lock; filled by this CPU in a cross-CPU call from there. */
    struct cached_page *drained;
};

/* All CPUs that have a part. Grows at boot only. */
extern struct mm_cpu *mm_cpus;

/* The last reference is gone: back to a cache or the free lists. */
void page_release(struct page *page, paddr_t block, unsigned order);

/* ---- stats.c ---- */

void stats_init(void);

/* ---- ranges.c ---- */

/* A sorted set of disjoint ranges [base, end). Neighbours that touch are one. */
struct range {
    paddr_t base;
    paddr_t end;
};

#define RANGES_MAX (3 * BOOT_RANGES_MAX) /* RAM, cut by every reserved range and then by boot allocations */

struct range_set {
    unsigned count;
    struct range at[RANGES_MAX];
};

/* Both keep the set sorted and disjoint; false if it would have more than RANGES_MAX parts (the set is unchanged). */
bool ranges_add(struct range_set *set, paddr_t base, paddr_t end) MUST_USE;
bool ranges_remove(struct range_set *set, paddr_t base, paddr_t end) MUST_USE;

/* ---- bootmem.c ---- */

/* RAM as sorted and merged, whole pages; valid from bootmem_init() on. */
const struct range_set *bootmem_ram(void);

/* ---- pagetable.c, pagetable_slots.c ---- */

#define PT_ENTRIES ((size_t)1 << HAL_PT_INDEX_BITS)

static ALWAYS_INLINE unsigned pt_level_shift(unsigned level)
{
    return PAGE_SHIFT + HAL_PT_INDEX_BITS * level;
}

/* Bytes that one entry of `level` spans. */
static ALWAYS_INLINE size_t pt_level_bytes(unsigned level)
{
    return (size_t)1 << pt_level_shift(level);
}

static ALWAYS_INLINE size_t pt_index(vaddr_t va, unsigned level)
{
    return (va >> pt_level_shift(level)) & (PT_ENTRIES - 1);
}

static ALWAYS_INLINE uint64_t *pt_table_at(paddr_t table)
{
    return direct_map(table);
}

static ALWAYS_INLINE uint64_t *pt_entry_at(paddr_t table, vaddr_t va, unsigned level)
{
    return &pt_table_at(table)[pt_index(va, level)];
}

static ALWAYS_INLINE uint64_t pt_entry_read(const uint64_t *entry)
{
    /* PAIRS(pt_link): the entries of a table that this one points to. */
    return load_acquire((const _Atomic(uint64_t) *)entry);
}

static ALWAYS_INLINE void pt_entry_write(uint64_t *entry, uint64_t value)
{
    /* PAIRS(pt_link): a walker, software or hardware, that sees the link sees a table of zeros or what was put
     * there; one that sees the leaf sees what was put into the page. */
    store_release((_Atomic(uint64_t) *)entry, value);
}

/* Does [va, va + bytes) consist of whole pages in one half of the address space? */
bool pt_range_is_sane(vaddr_t va, size_t bytes);

/* The walk: the entry for va, as deep as tables exist, but not below `level`; *out_level says where it is. */
uint64_t *pt_find_entry(paddr_t root, vaddr_t va, unsigned level, unsigned *out_level);

/* Make all tables exist that leaves of `level` in the range need. -ENOMEM, -EEXIST (a larger leaf is in the way):
 * nothing changed. */
int pt_prepare(paddr_t root, vaddr_t va, size_t bytes, unsigned level, const struct pt_alloc *alloc) MUST_USE;

/* Give the leaves of the range other rights; the range must begin and end at leaf borders (asserted). */
void pt_protect(paddr_t root, vaddr_t va, size_t bytes, unsigned prot);

/* Take the last-level table that spans va out of the tree, if there is one, and return it (or 0). It must be empty
 * (debug builds look). The page may be reused only after a flush on all CPUs. */
paddr_t pt_detach_table(paddr_t root, vaddr_t va);

/* ---- kspace.c, kmap.c ---- */

/* Choose and prepare the kmap window of a root that is not in use yet. */
void kmap_init(paddr_t root, uint64_t ram_bytes, const struct pt_alloc *boot_alloc);

#define KMAP_BATCH_MAX 32 /* ranges that one flush round serves */

/* kmap_alloc() for up to `want` ranges of the same size with one flush; fills out[] and returns how many, or -ENOMEM if
 * not even one could be had. */
int kmap_alloc_batch(size_t pages, unsigned want, vaddr_t out[]) MUST_USE;

/* kmap_free() of up to KMAP_BATCH_MAX ranges with one flush. */
void kmap_free_batch(const struct tlb_range ranges[], unsigned count);

/* ---- slab.c ---- */

#define SLAB_OBJECT_BYTES_MAX (8 * PAGE_BYTES)

/* An object of a slab has a word that says what it is. It changes under the cache's lock while the slab has the
 * object; the word of a TAKEN or CACHED object belongs to whoever has the object. */
#define SLAB_WORD_TAKEN UINT16_C(0)  /* handed out */
#define SLAB_WORD_CACHED UINT16_C(1) /* in a magazine, or between one and its slab */
#define SLAB_WORD_END UINT16_C(2)    /* free, the last one of the list */
#define SLAB_WORD_NEXT 3u            /* free; plus the index of the next one */

struct slab {
    struct slab_cache *cache; /* also the proof that this is a slab: NULL once the pages are given back */
    struct list_node link;    /* in one of the cache's lists */
    uint16_t used;            /* objects that are not on the free list */
    uint16_t free;            /* head of the free list: as the word of an object before it */
    uint16_t word[];          /* per object */
};

extern struct slab_registry {
    struct spinlock lock;
    struct list_node caches GUARDED_BY(lock);
    uint32_t slots GUARDED_BY(lock); /* of struct cpu's table that are in use */
} slab_registry;

/* slab_cache_init_with() for a cache without magazines. */
void slab_cache_setup(struct slab_cache *cache, const char *name, size_t bytes, size_t align,
                      void (*construct)(void *object));

/* One more slab; false if there is no memory. Others may have all of its objects before the caller has the lock. */
bool slab_grow(struct slab_cache *cache) MUST_USE;

/* Up to `want` objects out of slabs into out[], CACHED; how many. */
unsigned slab_take_locked(struct slab_cache *cache, unsigned want, void *out[]) REQUIRES(cache->lock);

/* CACHED objects back into their slabs; those that nobody needs any more are put on `retired`, for slab_discard(). */
void slab_put_locked(struct slab_cache *cache, void *const objects[], unsigned count, struct list_node *retired)
    REQUIRES(cache->lock);
void slab_discard(struct slab_cache *cache, struct list_node *retired);

/* The empty slabs that it keeps go back. */
void slab_trim(struct slab_cache *cache);

/* Panic: over an object that slab_find_taken() does not find, and over one that left a magazine or came back to its
 * slab before. Out of line, so that the fast paths need no frame. */
[[noreturn]] COLD NOINLINE void slab_refuse_free(const struct slab_cache *cache, const void *object);
[[noreturn]] COLD NOINLINE void slab_refuse_twice(const struct slab_cache *cache, const void *object);

/* Debug builds: an object that comes from the free ones was not written to; one that goes back was not overrun. `pc`:
 * who asks. */
void slab_debug_alloc(const struct slab_cache *cache, char *object, uintptr_t pc);
void slab_debug_free(const struct slab_cache *cache, char *object, uintptr_t pc);
/* Who asked for an object that is handed out; 0 in release builds. */
uintptr_t slab_debug_owner(const struct slab_cache *cache, const char *object);
void slab_debug_set_owner(const struct slab_cache *cache, char *object, uintptr_t pc);

static ALWAYS_INLINE struct slab *slab_of(const struct slab_cache *cache, const void *object)
{
    return (struct slab *)((uintptr_t)object & cache->slab_mask);
}

/* Offset from the first object, times 2^64 / stride: the index is above the point. A pointer into the header wraps to
 * a huge index. */
static ALWAYS_INLINE unsigned __int128 slab_position(const struct slab_cache *cache, const void *object)
{
    size_t offset = (uintptr_t)object - (uintptr_t)slab_of(cache, object) - cache->first_offset;

    return (unsigned __int128)offset * cache->stride_inverse;
}

/* The word of an object that is known to be the cache's. */
static ALWAYS_INLINE uint16_t *slab_word(const struct slab_cache *cache, const void *object)
{
    return &slab_of(cache, object)->word[(size_t)(slab_position(cache, object) >> 64)];
}

static ALWAYS_INLINE bool slab_is_in_reach(const void *object)
{
    return (uintptr_t)object - (uintptr_t)HAL_DIRECT_MAP_BASE < HAL_DIRECT_MAP_BYTES;
}

static ALWAYS_INLINE bool slab_is_at_object(const struct slab_cache *cache, unsigned __int128 position)
{
    /* The part below the point is less than the factor exactly if the stride divides the offset (Lemire, Kaser, Kurz,
     * "Faster remainder by direct computation", 2019). */
    return (size_t)(position >> 64) < cache->per_slab && (uint64_t)position < cache->stride_inverse;
}

/* The word of what somebody says is an object of the cache and handed out; NULL if it is not. */
static ALWAYS_INLINE uint16_t *slab_find_taken(const struct slab_cache *cache, const void *object)
{
    if (UNLIKELY(!slab_is_in_reach(object) || slab_of(cache, object)->cache != cache))
        return NULL;

    unsigned __int128 position = slab_position(cache, object);

    if (UNLIKELY(!slab_is_at_object(cache, position)))
        return NULL;

    uint16_t *word = &slab_of(cache, object)->word[(size_t)(position >> 64)];

    return LIKELY(*word == SLAB_WORD_TAKEN) ? word : NULL;
}

/* ---- magazine.c ---- */

/* A new cache gets its slot, and magazines of a size that suits its objects. Context: boot. */
void magazine_attach(struct slab_cache *cache);

/* The magazines of a CPU that is OFFLINE. Context: task. */
void magazine_drain_cpu(struct cpu *cpu);

/* Objects in magazines, and how many of those there are. */
uint64_t magazine_cached_locked(struct slab_cache *cache, uint64_t *out_magazines) REQUIRES(cache->lock);
