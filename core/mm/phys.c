/* SPDX-License-Identifier: MIT */
/*
 * Physical pages: the buddy allocator. Owns every free page and one 4-byte descriptor per page of each span of RAM; the
 * free lists run through the free pages themselves, by the direct map. It refuses to merge across spans and to take a
 * block that it did not hand out. Lock: phys.lock, held for O(PHYS_ORDER_MAX) steps; filling and checking of poison
 * (debug builds) happen outside of it, on blocks that nobody else can reach.
 */
#include "mm_priv.h"

#include <k/list.h>
#include <lib/string.h>
#include <smp/spinlock.h>

#define ORDER_COUNT (PHYS_ORDER_MAX + 1)
#define NO_SPAN ((struct span *)NULL)

/* What a descriptor says of its page. Only the first page of a block carries an order; the others are INNER.
 *   RESERVED -> INNER -> FREE -> ALLOCATED -> FREE ...; FREE -> INNER when its buddy absorbs it.
 * All under phys.lock. */
#define TAG_RESERVED 0x00u /* never handed out: what zeroed descriptors say */
#define TAG_INNER 0x01u
#define TAG_FREE 0x10u      /* | order */
#define TAG_ALLOCATED 0x20u /* | order */

#define PAGE_IS_POISONED 0x1u /* debug builds: a free page that holds POISON_FREE */

struct page {
    uint8_t tag;
    uint8_t flags;
    uint16_t used; /* a page table: entries in use */
};

_Static_assert(sizeof(struct page) == 4, "256 MiB of RAM may cost 8 bytes per page at most");
_Static_assert(PHYS_ORDER_MAX < 16, "an order and its tag share a byte");

#define POISON_FREE UINT64_C(0xf4eef4eef4eef4ee)
#define POISON_FRESH UINT64_C(0xa10ca10ca10ca10c)
#define POISON_STRIDE CACHE_LINE_BYTES /* one word per line is looked at when a page leaves the free lists */

/* A contiguous part of the address space with descriptors. Immutable after boot. */
struct span {
    pfn_t first;
    pfn_t end;
    struct page *pages;
};

static struct {
    /* Immutable after bootmem_finish(). */
    struct span spans[BOOT_RANGES_MAX];
    unsigned span_count;
    uint64_t ram_pages;
    uint64_t total_pages;

    struct spinlock lock CACHE_ALIGNED;
    uint32_t orders GUARDED_BY(lock); /* bit n: lists[n] is not empty */
    struct list_node lists[ORDER_COUNT] GUARDED_BY(lock);
    uint64_t free_pages GUARDED_BY(lock);
} phys;

/* The span that holds pfn, or NO_SPAN. Spans ascend; the usual machine has one to three. */
static struct span *span_of(pfn_t pfn)
{
    unsigned low = 0;
    unsigned high = phys.span_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (pfn >= phys.spans[middle].end)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < phys.span_count && pfn >= phys.spans[low].first)
        return &phys.spans[low];
    return NO_SPAN;
}

static struct page *page_of(const struct span *span, pfn_t pfn)
{
    return &span->pages[pfn - span->first];
}

static struct list_node *node_of(pfn_t pfn)
{
    return direct_map(pfn << PAGE_SHIFT);
}

static pfn_t pfn_of(const struct list_node *node)
{
    return ((uintptr_t)node - (uintptr_t)HAL_DIRECT_MAP_BASE) >> PAGE_SHIFT;
}

/* ---- Debug builds: poison ---- */

static void fill_words(void *at, size_t bytes, uint64_t word)
{
    uint64_t *words = at;

    for (size_t i = 0; i < bytes / sizeof(word); i++)
        words[i] = word;
}

/* A block on its way in: still its caller's alone. */
static void poison_block(struct span *span, pfn_t pfn, unsigned order)
{
    fill_words(direct_map(pfn << PAGE_SHIFT), PAGE_BYTES << order, POISON_FREE);
    for (pfn_t i = 0; i < (pfn_t)1 << order; i++)
        page_of(span, pfn + i)->flags |= PAGE_IS_POISONED;
}

/* A block on its way out: whoever wrote to it while it was free is found here. Pages that were never allocated hold
 * whatever the firmware left there. */
static void check_block(struct span *span, pfn_t pfn, unsigned order)
{
    for (pfn_t i = 0; i < (pfn_t)1 << order; i++) {
        struct page *page = page_of(span, pfn + i);
        const uint64_t *words = direct_map((pfn + i) << PAGE_SHIFT);

        if ((page->flags & PAGE_IS_POISONED) == 0)
            continue;
        page->flags &= (uint8_t)~PAGE_IS_POISONED;
        /* The first line held the list's links. */
        for (size_t at = POISON_STRIDE / 8; at < PAGE_BYTES / 8; at += POISON_STRIDE / 8)
            if (words[at] != POISON_FREE)
                panic("phys: free page %#llx was written to: word %#zx is %#llx",
                      (unsigned long long)((pfn + i) << PAGE_SHIFT), at * 8, (unsigned long long)words[at]);
    }
    fill_words(direct_map(pfn << PAGE_SHIFT), PAGE_BYTES << order, POISON_FRESH);
}

/* ---- Free lists; all under phys.lock ---- */

static void push_block(struct page *page, pfn_t pfn, unsigned order) REQUIRES(phys.lock)
{
    page->tag = (uint8_t)(TAG_FREE | order);
    list_push_front(&phys.lists[order], node_of(pfn));
    phys.orders |= 1u << order;
}

static void unlink_block(struct page *page, pfn_t pfn, unsigned order) REQUIRES(phys.lock)
{
    list_remove(node_of(pfn));
    if (list_is_empty(&phys.lists[order]))
        phys.orders &= ~(1u << order);
    page->tag = TAG_INNER;
}

/* Merge with free buddies as far as that goes, then list the result. */
static void free_block(struct span *span, pfn_t pfn, unsigned order) REQUIRES(phys.lock)
{
    page_of(span, pfn)->tag = TAG_INNER;
    phys.free_pages += (uint64_t)1 << order;
    for (; order < PHYS_ORDER_MAX; order++) {
        pfn_t buddy = pfn ^ ((pfn_t)1 << order);

        /* A FREE tag of this order proves that the whole buddy is free and in the span. */
        if (buddy < span->first || buddy >= span->end || page_of(span, buddy)->tag != (TAG_FREE | order))
            break;
        unlink_block(page_of(span, buddy), buddy, order);
        pfn &= ~((pfn_t)1 << order);
    }
    push_block(page_of(span, pfn), pfn, order);
}

/* ---- Public ---- */

paddr_t phys_alloc(unsigned order)
{
    ASSERT(order <= PHYS_ORDER_MAX);
    mm_assert_task_context();
    if (mm_fail_check())
        return 0;

    spin_lock(&phys.lock);

    uint32_t orders = phys.orders >> order << order;

    if (UNLIKELY(orders == 0)) {
        spin_unlock(&phys.lock);
        return 0;
    }

    unsigned from = (unsigned)__builtin_ctz(orders);
    pfn_t pfn = pfn_of(phys.lists[from].next);
    struct span *span = span_of(pfn);
    struct page *page = page_of(span, pfn);

    DEBUG_ASSERT(page->tag == (TAG_FREE | from));
    unlink_block(page, pfn, from);
    while (from > order) {
        from--;
        push_block(page + ((size_t)1 << from), pfn + ((pfn_t)1 << from), from);
    }
    page->tag = (uint8_t)(TAG_ALLOCATED | order);
    page->used = 0;
    phys.free_pages -= (uint64_t)1 << order;
    spin_unlock(&phys.lock);
    trace(TRACE_PAGES_ALLOC, NULL, pfn << PAGE_SHIFT | order);
    if (KERNEL_DEBUG)
        check_block(span, pfn, order);
    return pfn << PAGE_SHIFT;
}

paddr_t phys_alloc_zeroed(unsigned order)
{
    paddr_t block = phys_alloc(order);

    if (block != 0)
        memset(direct_map(block), 0, PAGE_BYTES << order);
    return block;
}

COLD static void refuse_block(paddr_t block, unsigned order, const struct page *page)
{
    const char *why = "of a page that is no RAM of ours";

    if (page != NULL && page->tag == TAG_RESERVED)
        why = "of a reserved page";
    else if (page != NULL && page->tag >= TAG_ALLOCATED)
        why = "with another order than it was allocated with";
    else if (page != NULL)
        why = "of a page that is free or inside a block";
    panic("phys: free %s: %#llx, order %u", why, (unsigned long long)block, order);
}

void phys_free(paddr_t block, unsigned order)
{
    pfn_t pfn = block >> PAGE_SHIFT;
    struct span *span = span_of(pfn);
    struct page *page = span == NO_SPAN ? NULL : page_of(span, pfn);

    mm_assert_task_context();
    ASSERT(order <= PHYS_ORDER_MAX);
    if (UNLIKELY(page == NULL || block % PAGE_BYTES != 0))
        refuse_block(block, order, NULL);
    if (KERNEL_DEBUG) {
        /* Look before poisoning, so that a wrong free does not destroy what it will be diagnosed from. */
        if (page->tag != (TAG_ALLOCATED | order))
            refuse_block(block, order, page);
        trace(TRACE_PAGES_FREE, NULL, block | order);
        poison_block(span, pfn, order);
        trace(TRACE_PAGES_FREED, NULL, block | order);
    }
    spin_lock(&phys.lock);
    if (UNLIKELY(page->tag != (TAG_ALLOCATED | order)))
        refuse_block(block, order, page);
    free_block(span, pfn, order);
    spin_unlock(&phys.lock);
}

uint16_t *phys_table_used(paddr_t table)
{
    pfn_t pfn = table >> PAGE_SHIFT;
    struct span *span = span_of(pfn);

    ASSERT(span != NO_SPAN);
    DEBUG_ASSERT(page_of(span, pfn)->tag == TAG_ALLOCATED);
    return &page_of(span, pfn)->used;
}

void phys_stats_get(struct phys_stats *out)
{
    spin_lock(&phys.lock);
    out->free_pages = phys.free_pages;
    spin_unlock(&phys.lock);
    out->total_pages = phys.total_pages;
    out->reserved_pages = phys.ram_pages - phys.total_pages;
}

void *phys_to_virt(paddr_t pa)
{
    ASSERT(pa < HAL_DIRECT_MAP_BYTES);
    return direct_map(pa);
}

paddr_t virt_to_phys(const void *direct_map_va)
{
    uintptr_t offset = (uintptr_t)direct_map_va - (uintptr_t)HAL_DIRECT_MAP_BASE;

    ASSERT(offset < HAL_DIRECT_MAP_BYTES);
    return offset;
}

/* ---- Bring-up: one CPU, no lock ---- */

void phys_init(uint64_t ram_pages)
{
    memset(&phys, 0, sizeof(phys));
    spin_init(&phys.lock, LOCK_PHYS);
    for (unsigned order = 0; order < ORDER_COUNT; order++)
        list_init(&phys.lists[order]);
    phys.ram_pages = ram_pages;
}

size_t phys_descriptor_bytes(uint64_t pages)
{
    return pages * sizeof(struct page);
}

void phys_add_span(pfn_t first, pfn_t end, void *zeroed_descriptors)
{
    ASSERT(first < end);
    ASSERT(phys.span_count < BOOT_RANGES_MAX);
    ASSERT(phys.span_count == 0 || phys.spans[phys.span_count - 1].end < first);
    phys.spans[phys.span_count++] = (struct span){first, end, zeroed_descriptors};
}

void phys_add_free(pfn_t first, pfn_t end) NO_LOCK_ANALYSIS
{
    struct span *span = span_of(first);

    ASSERT(span != NO_SPAN && first > 0 && first < end && end <= span->end);
    for (pfn_t pfn = first; pfn < end; pfn++) {
        ASSERT(page_of(span, pfn)->tag == TAG_RESERVED);
        page_of(span, pfn)->tag = TAG_INNER;
    }
    phys.total_pages += end - first;
    while (first < end) {
        /* The largest block that is aligned here and fits. */
        unsigned order = MIN((unsigned)__builtin_ctzll(first), (unsigned)PHYS_ORDER_MAX);

        while (first + ((pfn_t)1 << order) > end)
            order--;
        free_block(span, first, order);
        first += (pfn_t)1 << order;
    }
}
