/* SPDX-License-Identifier: MIT */
/*
 * References to allocated blocks, kept in the descriptor of the block's first page. No lock: whoever has a reference
 * keeps the block, and with it every tag in it, as it is. Refuses to count what is free.
 */
#include "mm_priv.h"

COLD [[noreturn]] static void refuse_reference(paddr_t pa)
{
    panic("phys: %#llx is in no allocated block", (unsigned long long)pa);
}

/* Each page it may begin at is tried, nearest first; those between are INNER, so nothing outside of the block is looked
 * at unless pa is free. */
static NOINLINE struct page *block_search(paddr_t pa)
{
    pfn_t pfn = pa >> PAGE_SHIFT;

    for (unsigned order = 0; order <= PHYS_ORDER_MAX; order++) {
        struct page *page = page_find(pfn >> order << order << PAGE_SHIFT);
        unsigned tag = page == NULL ? TAG_RESERVED : page_tag(page);

        if (LIKELY(tag >= (TAG_ALLOCATED | order)))
            return page;
        if (tag != TAG_INNER)
            break;
    }
    refuse_reference(pa);
}

/* The descriptor of the first page of the block that holds pa. Most are single pages, or asked for by the first one. */
static ALWAYS_INLINE struct page *block_find(paddr_t pa)
{
    struct page *page = page_find_in_main(pa);

    return LIKELY(page != NULL && page_tag(page) >= TAG_ALLOCATED) ? page : block_search(pa);
}

static ALWAYS_INLINE unsigned block_order(struct page *page)
{
    return page_tag(page) - TAG_ALLOCATED;
}

static ALWAYS_INLINE paddr_t block_start(paddr_t pa, unsigned order)
{
    return pa >> (PAGE_SHIFT + order) << (PAGE_SHIFT + order);
}

void phys_get(paddr_t pa)
{
    struct page *page = block_find(pa);
    uint32_t before = fetch_add_relaxed(&page->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

void phys_put(paddr_t pa)
{
    struct page *page = block_find(pa);

    mm_assert_task_context();
    /* PAIRS(page_ref): whatever the other holders did with the pages happened before the last one frees them; one
     * operation is both ends, the release of those who leave and the acquire of who is last. */
    uint32_t before = fetch_sub_acq_rel(&page->refs, 1);

    ASSERT(before > 0);
    if (before == 1) {
        unsigned order = block_order(page);

        page_release(page, block_start(pa, order), order);
    }
}

uint32_t phys_refs(paddr_t pa)
{
    /* PAIRS(page_ref): who reads 1 sees all that the others did before they dropped theirs. */
    return load_acquire(&block_find(pa)->refs);
}

paddr_t phys_block(paddr_t pa, unsigned *out_order)
{
    *out_order = block_order(block_find(pa));
    return block_start(pa, *out_order);
}

void phys_split(paddr_t block, unsigned order)
{
    struct page *page = page_find(block);

    ASSERT(page != NULL && order <= PHYS_ORDER_MAX && page_tag(page) == (TAG_ALLOCATED | order));
    ASSERT(load_relaxed(&page->refs) == 1);
    for (size_t i = 0; i < (size_t)1 << order; i++) {
        page[i].flags = page->flags; /* each counts by itself from now on, as what the block was */
        page[i].used = 0;
        store_relaxed(&page[i].refs, 1);
        page_set_tag(&page[i], TAG_ALLOCATED);
    }
}

uint16_t *phys_table_used(paddr_t table)
{
    struct page *page = page_find(table);

    DEBUG_ASSERT(page != NULL && page_tag(page) == TAG_ALLOCATED);
    return &page->used;
}
