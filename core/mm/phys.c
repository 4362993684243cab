/* SPDX-License-Identifier: MIT */
/*
 * Physical pages: the buddy allocator. Owns every page that is neither allocated nor in a CPU's cache, and one 8-byte
 * descriptor per page of each span of RAM; the free lists run through the free pages themselves, by the direct map. It
 * refuses to merge across spans and to take a block that it did not hand out. Lock: buddy.lock (LOCK_PHYS), held for
 * O(PHYS_ORDER_MAX) steps per block; filling and checking of poison (debug builds) happen outside of it, on blocks that
 * nobody else can reach.
 */
#include "mm_priv.h"

#include <lib/string.h>

/* What user memory leaves to the kernel: a 64th of RAM, but no more than exits and reaping can ever need at once. */
#define RESERVE_PART 64
#define RESERVE_PAGES_MIN 64   /* 256 KiB; of a tiny machine a quarter */
#define RESERVE_PAGES_MAX 4096 /* 16 MiB */

#define POISON_FREE UINT64_C(0xf4eef4eef4eef4ee)
#define POISON_FRESH UINT64_C(0xa10ca10ca10ca10c)
#define POISON_STRIDE CACHE_LINE_BYTES /* one word per line is looked at when a page is handed out */

struct buddy buddy;

/* Spans ascend; the usual machine has one to three. */
struct page *page_find_in_spans(paddr_t pa)
{
    pfn_t pfn = pa >> PAGE_SHIFT;
    unsigned low = 0;
    unsigned high = buddy.span_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (pfn >= buddy.spans[middle].end)
            low = middle + 1;
        else
            high = middle;
    }
    if (pa % PAGE_BYTES != 0 || low == buddy.span_count || pfn < buddy.spans[low].first)
        return NULL;
    return &buddy.spans[low].pages[pfn - buddy.spans[low].first];
}

static struct list_node *link_of(pfn_t pfn)
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

void page_poison(struct page *page, paddr_t block, unsigned order)
{
    fill_words(direct_map(block), PAGE_BYTES << order, POISON_FREE);
    for (size_t i = 0; i < (size_t)1 << order; i++)
        page[i].flags |= PAGE_IS_POISONED;
}

/* Pages that were never allocated hold whatever the firmware left there. */
void page_check_poison(struct page *page, paddr_t block, unsigned order)
{
    for (size_t i = 0; i < (size_t)1 << order; i++) {
        const uint64_t *words = direct_map(block + i * PAGE_BYTES);

        if ((page[i].flags & PAGE_IS_POISONED) == 0)
            continue;
        page[i].flags &= (uint8_t)~PAGE_IS_POISONED;
        /* The first line held the links of a list. */
        for (size_t at = POISON_STRIDE / 8; at < PAGE_BYTES / 8; at += POISON_STRIDE / 8)
            if (words[at] != POISON_FREE)
                panic("phys: free page %#llx was written to: word %#zx is %#llx",
                      (unsigned long long)(block + i * PAGE_BYTES), at * 8, (unsigned long long)words[at]);
    }
    fill_words(direct_map(block), PAGE_BYTES << order, POISON_FRESH);
}

/* ---- Free lists ---- */

static void push_block(struct buddy_node *of, struct page *page, pfn_t pfn, unsigned order) REQUIRES(buddy.lock)
{
    page_set_tag(page, TAG_FREE | order);
    list_push_front(&of->lists[order], link_of(pfn));
    of->orders |= 1u << order;
}

static void unlink_block(struct buddy_node *of, struct page *page, pfn_t pfn, unsigned order) REQUIRES(buddy.lock)
{
    list_remove(link_of(pfn));
    if (list_is_empty(&of->lists[order]))
        of->orders &= ~(1u << order);
    page_set_tag(page, TAG_INNER);
}

/* Not an operation that others may step into: these counts are written under the lock. */
static void count_pages(_Atomic(uint64_t) *count, uint64_t pages) REQUIRES(buddy.lock)
{
    uint64_t before = atomic_load_explicit(count, memory_order_relaxed);

    atomic_store_explicit(count, before + pages, memory_order_relaxed);
}

static void count_free(struct buddy_node *of, uint64_t pages) REQUIRES(buddy.lock)
{
    count_pages(&buddy.free_pages, pages);
    count_pages(&of->free_pages, pages);
}

/* Merge with free buddies as far as that goes, then list the result. */
static void free_block(struct page *page, pfn_t pfn, unsigned order) REQUIRES(buddy.lock)
{
    unsigned node = page_node(page, pfn);
    struct buddy_node *of = &mm_nodes.buddy[node];

    page_set_tag(page, TAG_INNER);
    count_free(of, (uint64_t)1 << order);
    for (; order < PHYS_ORDER_MAX; order++) {
        pfn_t other = pfn ^ ((pfn_t)1 << order);
        struct page *other_page = page_find(other << PAGE_SHIFT);

        /* A FREE tag of this order proves that the whole buddy is free. Spans never touch: neighbours that both have
         * descriptors are in one span. But they may be of two nodes. */
        if (other_page == NULL || page_tag(other_page) != (TAG_FREE | order) || page_node(other_page, other) != node)
            break;
        unlink_block(of, other_page, other, order);
        if (other < pfn) {
            pfn = other;
            page = other_page;
        }
    }
    push_block(of, page, pfn, order);
}

/* The smallest block of the node that is large enough, or what is left of it. There is one. */
static paddr_t take_from(struct buddy_node *of, unsigned order, unsigned tag) REQUIRES(buddy.lock)
{
    unsigned from = (unsigned)__builtin_ctz(of->orders >> order << order);
    pfn_t pfn = pfn_of(of->lists[from].next);
    struct page *page = page_find(pfn << PAGE_SHIFT);

    DEBUG_ASSERT(page != NULL && page_tag(page) == (TAG_FREE | from));
    unlink_block(of, page, pfn, from);
    while (from > order) {
        from--;
        push_block(of, page + ((size_t)1 << from), pfn + ((pfn_t)1 << from), from);
    }
    page_set_tag(page, tag);
    count_free(of, (uint64_t)0 - ((uint64_t)1 << order));
    return pfn << PAGE_SHIFT;
}

paddr_t buddy_take_locked(unsigned home, unsigned order, uint64_t leave, unsigned tag)
{
    uint64_t pages = (uint64_t)1 << order;

    if (atomic_load_explicit(&buddy.free_pages, memory_order_relaxed) < leave + pages)
        return 0;
    for (unsigned i = 0; i < mm_nodes.count; i++) {
        struct buddy_node *of = &mm_nodes.buddy[nodes_nearest(home, i)];

        if (of->orders >> order == 0)
            continue;
        count_pages(i == 0 ? &of->local_pages : &of->remote_pages, pages);
        return take_from(of, order, tag);
    }
    return 0;
}

void page_refuse(paddr_t block, unsigned order, struct page *page)
{
    const char *why = "of a page that is no RAM of ours";
    unsigned tag = page == NULL ? TAG_RESERVED : page_tag(page);

    if (page != NULL && tag == TAG_RESERVED)
        why = "of a reserved page";
    else if (page != NULL && tag == (TAG_ALLOCATED | order))
        why = "of a block that others still refer to";
    else if (page != NULL && tag >= TAG_ALLOCATED)
        why = "with another order than it was allocated with";
    else if (page != NULL)
        why = "of a page that is free or inside a block";
    panic("phys: free %s: %#llx, order %u", why, (unsigned long long)block, order);
}

void buddy_give_locked(struct page *page, paddr_t block, unsigned order, unsigned tag)
{
    if (UNLIKELY(page_tag(page) != tag))
        page_refuse(block, order, page);
    free_block(page, block >> PAGE_SHIFT, order);
}

/* ---- Public ---- */

void phys_stats_get(struct phys_stats *out)
{
    out->cached_pages = 0;
    /* Pages move between the free lists and the caches under the lock only. */
    spin_lock(&buddy.lock);
    for (struct mm_cpu *cpu = mm_cpus; cpu != NULL; cpu = cpu->next)
        out->cached_pages += load_relaxed(&cpu->count);
    out->free_pages = load_relaxed(&buddy.free_pages) + out->cached_pages;
    spin_unlock(&buddy.lock);
    out->total_pages = buddy.total_pages;
    out->reserved_pages = buddy.ram_pages - buddy.total_pages;
    out->reserve_pages = buddy.reserve_pages;
}

bool phys_is_down_to(unsigned reserves)
{
    struct phys_stats stats;

    if (LIKELY(load_relaxed(&buddy.free_pages) > reserves * buddy.reserve_pages))
        return false;
    phys_stats_get(&stats);
    return stats.free_pages <= reserves * stats.reserve_pages;
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
    memset(&buddy, 0, sizeof(buddy));
    spin_init(&buddy.lock, LOCK_PHYS);
    memset(mm_nodes.buddy, 0, mm_nodes.count * sizeof(mm_nodes.buddy[0]));
    for (unsigned i = 0; i < mm_nodes.count * PHYS_ORDER_COUNT; i++)
        list_init(&mm_nodes.buddy[i / PHYS_ORDER_COUNT].lists[i % PHYS_ORDER_COUNT]);
    buddy.ram_pages = ram_pages;
    mm_cpus = NULL;
    stats_init();
}

size_t phys_descriptor_bytes(uint64_t pages)
{
    return pages * sizeof(struct page);
}

void phys_add_span(pfn_t first, pfn_t end, void *zeroed_descriptors)
{
    struct span span = {first, end, zeroed_descriptors};

    ASSERT(first < end);
    ASSERT(buddy.span_count < BOOT_RANGES_MAX);
    ASSERT(buddy.span_count == 0 || buddy.spans[buddy.span_count - 1].end < first);
    buddy.spans[buddy.span_count++] = span;
    if (end - first <= buddy.main_count)
        return;
    buddy.main_base = first << PAGE_SHIFT;
    buddy.main_count = end - first;
    buddy.main_pages = span.pages;
}

static uint64_t reserve_of(uint64_t pages)
{
    uint64_t least = MIN((uint64_t)RESERVE_PAGES_MIN, pages / 4);

    return MIN(MAX(pages / RESERVE_PART, least), (uint64_t)RESERVE_PAGES_MAX);
}

/* All of one node. */
static void add_free_of_node(pfn_t first, pfn_t end) NO_LOCK_ANALYSIS
{
    struct page *page = page_find(first << PAGE_SHIFT);
    unsigned node = nodes_find(first);

    for (pfn_t i = 0; i < end - first; i++) {
        ASSERT(page_tag(&page[i]) == TAG_RESERVED);
        page_set_tag(&page[i], TAG_INNER);
        page[i].flags = (uint8_t)(MIN(node, PAGE_NODE_MANY) << PAGE_NODE_SHIFT);
    }
    mm_nodes.buddy[node].total_pages += end - first;
    while (first < end) {
        /* The largest block that is aligned here and fits. */
        unsigned order = MIN((unsigned)__builtin_ctzll(first), (unsigned)PHYS_ORDER_MAX);

        while (first + ((pfn_t)1 << order) > end)
            order--;
        free_block(page_find(first << PAGE_SHIFT), first, order);
        first += (pfn_t)1 << order;
    }
}

void phys_add_free(pfn_t first, pfn_t end)
{
    struct page *page = page_find(first << PAGE_SHIFT);

    ASSERT(first > 0 && first < end);
    ASSERT(page != NULL && page_find((end - 1) << PAGE_SHIFT) == page + (end - 1 - first)); /* one span */
    buddy.total_pages += end - first;
    buddy.reserve_pages = reserve_of(buddy.total_pages);
    while (first < end) {
        pfn_t border = MIN(end, nodes_find_end(first));

        add_free_of_node(first, border);
        first = border;
    }
}

bool phys_adopt(paddr_t base, uint64_t pages, enum mm_kind kind)
{
    for (uint64_t i = 0; i < pages; i++) {
        struct page *page = page_find(base + i * PAGE_BYTES);

        if (page == NULL || page_tag(page) != TAG_RESERVED)
            return false;
    }
    for (uint64_t i = 0; i < pages; i++) {
        pfn_t pfn = (base >> PAGE_SHIFT) + i;
        struct page *page = page_find(pfn << PAGE_SHIFT);
        unsigned node = nodes_find(pfn);

        page->flags = (uint8_t)(MIN(node, PAGE_NODE_MANY) << PAGE_NODE_SHIFT | (unsigned)kind << PAGE_KIND_SHIFT);
        page->used = 0;
        store_relaxed(&page->refs, 1);
        page_set_tag(page, TAG_ALLOCATED);
        trace(TRACE_PAGES_ALLOC, NULL, base + i * PAGE_BYTES);
        mm_nodes.buddy[node].total_pages++;
    }
    buddy.total_pages += pages;
    buddy.reserve_pages = reserve_of(buddy.total_pages);
    mm_stat_add(kind, (int64_t)pages);
    return true;
}
