/* SPDX-License-Identifier: MIT */
/*
 * User memory that is really there. Owns a set of the blocks that were seen. It reads page tables and objects, and
 * nothing of what the allocator counts: that is what it is compared with.
 */
#include "pagesum.h"

#include <mm/pagetable.h>
#include <mm/phys.h>
#include <mm/stats.h>
#include <vm/object.h>
#include <vm/space.h>

#include <hal/mmu.h>
#include <k/log.h>
#include <lib/string.h>

#define BLOCKS_MAX 16384u /* a power of two */
#define SETS 2u           /* slots of the set per block */
#define OBJECTS_MAX 16u
#define SPAN_BYTES (PAGE_BYTES << HAL_PT_INDEX_BITS)

static struct {
    paddr_t block[SETS * BLOCKS_MAX]; /* 0: none; by hash, then upwards */
    unsigned blocks;
    struct vm_object *object[OBJECTS_MAX];
    unsigned objects;
    bool is_full;
} seen;

/* Is it new? */
static bool see_block(paddr_t block)
{
    unsigned at = (unsigned)(block / PAGE_BYTES * UINT64_C(0x9e3779b97f4a7c15) >> 32) % (SETS * BLOCKS_MAX);

    while (seen.block[at] != 0 && seen.block[at] != block)
        at = (at + 1) % (SETS * BLOCKS_MAX);
    if (seen.block[at] == block)
        return false;
    seen.is_full |= ++seen.blocks > BLOCKS_MAX;
    if (!seen.is_full)
        seen.block[at] = block;
    return !seen.is_full;
}

static bool see_object(struct vm_object *object)
{
    for (unsigned i = 0; i < seen.objects; i++)
        if (seen.object[i] == object)
            return false;
    seen.is_full |= seen.objects == OBJECTS_MAX;
    if (!seen.is_full)
        seen.object[seen.objects++] = object;
    return !seen.is_full;
}

/* A page of the object itself, not a copy? */
static bool is_objects(const struct region *region, vaddr_t va, paddr_t page)
{
    paddr_t there = 0;

    if (region->object == NULL || vm_object_peek(region->object, region_page_index(region, va), &there) != 0)
        return false;
    phys_put(there);
    return there == page;
}

static void add_page(const struct region *region, vaddr_t va, uint64_t entry, struct page_sum *sum)
{
    paddr_t page = pt_is_parked(entry) ? pt_parked_paddr(entry) : hal_pte_paddr(entry);
    unsigned order = 0;

    if (is_objects(region, va, page))
        return;
    page = phys_block(page, &order);
    if (see_block(page))
        sum->anonymous += UINT64_C(1) << order;
}

static void add_region(paddr_t root, const struct region *region, struct page_sum *sum)
{
    vaddr_t va = region->start;

    while (va < region->end) {
        uint64_t *slot = pt_slot(root, va, 1);
        uint64_t entry = slot != NULL ? pt_slot_get(slot) : 0;

        if (entry == 0) {
            va = ROUND_DOWN(va, SPAN_BYTES) + SPAN_BYTES;
            continue;
        }
        if (pt_is_table(entry, 1))
            entry = pt_slot_get(pt_slot(root, va, 0));
        if (entry != 0)
            add_page(region, va, entry, sum);
        va += PAGE_BYTES;
    }
}

bool page_sum_get(struct space *const spaces[], unsigned count, struct page_sum *out)
{
    *out = (struct page_sum){ .anonymous = 0 };
    memset(&seen, 0, sizeof seen);
    for (unsigned i = 0; i < count; i++) {
        const struct region *region = spaces[i] != NULL ? region_first(&spaces[i]->regions) : NULL;

        for (; region != NULL; region = region_next(region)) {
            if (region->object != NULL && see_object(region->object))
                out->objects += vm_object_page_count(region->object);
            add_region(spaces[i]->tlb.root, region, out);
        }
    }
    return !seen.is_full;
}

bool page_sum_agrees(struct space *const spaces[], unsigned count, const struct mm_stats *before)
{
    struct mm_stats now;
    struct page_sum sum;

    mm_stats_get(&now);
    if (!page_sum_get(spaces, count, &sum)) {
        log_error("page sum: too many pages to look at");
        return false;
    }
    if (now.pages[MM_ANON] == before->pages[MM_ANON] + sum.anonymous &&
        now.pages[MM_OBJECT] == before->pages[MM_OBJECT] + sum.objects)
        return true;
    log_error("page sum: %llu and %llu before, %llu and %llu in spaces, %llu and %llu counted",
              (unsigned long long)before->pages[MM_ANON], (unsigned long long)before->pages[MM_OBJECT],
              (unsigned long long)sum.anonymous, (unsigned long long)sum.objects,
              (unsigned long long)now.pages[MM_ANON], (unsigned long long)now.pages[MM_OBJECT]);
    return false;
}
