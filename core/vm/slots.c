/* SPDX-License-Identifier: MIT */
/*
 * Going through the page-table slots of a range: emptying them, taking rights away, splitting blocks, and giving back
 * what they held once no CPU can reach it. Which slots may be touched is the caller's to know; each span is locked
 * while its slots are looked at. The order is always: slots, flush, pages.
 */
#include "vm_priv.h"

#include <k/errno.h>

/* A walk over more spans than there are locks takes each lock once at its beginning and then skips what is empty. */
#define SKIP_BYTES (SPACE_TABLE_LOCKS * SPAN_BYTES)

void slot_flush(struct space *space, vaddr_t va, size_t pages)
{
    struct tlb_batch batch;

    tlb_batch_init(&batch, &space->tlb);
    tlb_batch_add(&batch, va, pages);
    tlb_batch_flush(&batch);
}

void slot_flush_here(struct space *space, vaddr_t va)
{
    tlb_flush_here(&space->tlb, va, 1);
}

void slot_split(struct space *space, uint64_t *slot, vaddr_t va, paddr_t table)
{
    uint64_t entry = pt_slot_get(slot);
    paddr_t block = slot_paddr(entry);

    pt_split(slot, 1, table);
    if (!pt_is_parked(entry)) {
        /* Not emptied: whoever makes tables without the lock would put one there. */
        pt_slot_change(slot, pt_park(block, 0));
        slot_flush(space, ROUND_DOWN(va, SPAN_BYTES), SPAN_PAGES);
    }
    if (phys_refs(block) == 1) {
        phys_split(block, BLOCK_ORDER);
    } else {
        for (size_t i = 1; i < SPAN_PAGES; i++)
            phys_get(block);
    }
    pt_slot_change(slot, hal_pte_table(table));
    space_count(&space->counts.splits, 1);
}

/* ---- Gathering ---- */

static bool gather_is_empty(const struct gather *gather)
{
    /* A table brings its range along. */
    return gather->batch.count == 0 && !gather->batch.is_all && gather->page_count == 0;
}

static NOINLINE void gather_flush(struct gather *gather)
{
    tlb_batch_flush(&gather->batch);
    for (unsigned i = 0; i < gather->page_count; i++)
        phys_put(gather->page[i]);
    for (unsigned i = 0; i < gather->table_count; i++)
        space_pt_alloc.free(gather->table[i]);
    gather->page_count = 0;
    gather->table_count = 0;
}

static bool gather_is_full(const struct gather *gather)
{
    return gather->page_count == GATHER_MAX || gather->table_count == ARRAY_COUNT(gather->table);
}

/* A slot of `level` was emptied. A parked one is known to no CPU. */
static void gather_add(struct gather *gather, uint64_t entry, vaddr_t va, unsigned level)
{
    if (!pt_is_parked(entry))
        tlb_batch_add(&gather->batch, va, level == 0 ? 1 : SPAN_PAGES);
    gather->page[gather->page_count++] = slot_paddr(entry);
}

/* ---- Walks ---- */

void space_tables_barrier(struct space *space)
{
    for (unsigned i = 0; i < SPACE_TABLE_LOCKS; i++) {
        spin_lock(&space->tables[i].lock);
        spin_unlock(&space->tables[i].lock);
    }
}

void walk_move(struct walk *walk, vaddr_t start, vaddr_t end)
{
    walk->start = start;
    walk->end = end;
    walk->skips = end - start > SKIP_BYTES;
}

void walk_begin(struct walk *walk, struct space *space, vaddr_t start, vaddr_t end)
{
    walk->space = space;
    walk_move(walk, start, end);
    walk->region = NULL;
    walk->spare[0] = walk->spare[1] = 0;
    tlb_batch_init(&walk->gather.batch, &space->tlb);
    walk->gather.page_count = 0;
    walk->gather.table_count = 0;
}

/* For the blocks that reach beyond its ends. */
static NOINLINE int get_spares(struct walk *walk)
{
    const vaddr_t borders[] = { walk->start, walk->end };

    for (unsigned i = 0; i < ARRAY_COUNT(borders); i++) {
        if (IS_ALIGNED(borders[i], SPAN_BYTES))
            continue;
        walk->spare[i] = space_pt_alloc.alloc();
        if (walk->spare[i] == 0) {
            walk_end(walk);
            return -ENOMEM;
        }
    }
    return 0;
}

int walk_begin_splitting(struct walk *walk, struct space *space, vaddr_t start, vaddr_t end)
{
    walk_begin(walk, space, start, end);
    return space->uses_huge ? get_spares(walk) : 0;
}

void walk_end(struct walk *walk)
{
    if (!gather_is_empty(&walk->gather))
        gather_flush(&walk->gather);
    for (unsigned i = 0; i < ARRAY_COUNT(walk->spare); i++)
        if (walk->spare[i] != 0)
            space_pt_alloc.free(walk->spare[i]);
}

vaddr_t walk_next(struct walk *walk, vaddr_t va)
{
    if (va >= walk->end || !walk->skips)
        return MIN(va, walk->end);
    return pt_next_span(walk->space->tlb.root, va, walk->end);
}

static NOINLINE uint64_t *split_with_spare(struct walk *walk, uint64_t *slot, vaddr_t va)
{
    unsigned i = walk->spare[0] != 0 ? 0 : 1;

    ASSERT(walk->spare[i] != 0); /* no block ends in the middle of a walk: it lies within one region */
    slot_split(walk->space, slot, va, walk->spare[i]);
    walk->spare[i] = 0;
    return slot;
}

/*
 * The entry of level 1 for va, which the caller goes on with if it is a table or a block that lies in [va, end) wholly;
 * a block that does not has been split. NULL: there is nothing to do in this span.
 */
static uint64_t *enter_span(struct walk *walk, vaddr_t va, vaddr_t end)
{
    uint64_t *slot = NULL;
    uint64_t entry;

    if (walk->region != NULL && region_is_stale(walk->region))
        return NULL;
    slot = pt_slot(walk->space->tlb.root, va, 1);
    entry = slot != NULL ? pt_slot_get(slot) : 0;
    if (entry == 0)
        return NULL;
    return pt_is_table(entry, 1) || end - va == SPAN_BYTES ? slot : split_with_spare(walk, slot, va);
}

const uint16_t *slots_in_use(const uint64_t *slot)
{
    return phys_table_used(virt_to_phys((const void *)ROUND_DOWN((uintptr_t)slot, PAGE_BYTES)));
}

/* The slots of the table that `link` names, as far as there is room in the gather; returns how far it came. */
static vaddr_t clear_table(struct walk *walk, uint64_t link, vaddr_t va, vaddr_t end)
{
    struct gather *gather = &walk->gather;
    uint64_t *slot = slot_of_table(link, va);
    const uint16_t *used = slots_in_use(slot);
    unsigned before = gather->page_count;

    while (va < end && *used != 0 && !gather_is_full(gather)) {
        if (pt_slot_get(slot) != 0)
            gather_add(gather, pt_slot_clear(slot), va, 0);
        /* Tables have holes: in them, nothing but the next entry has to be looked at. */
        do {
            va += PAGE_BYTES;
            slot++;
        } while (va < end && pt_slot_get(slot) == 0);
    }
    (void)fetch_sub_relaxed(&walk->space->counts.resident_pages, gather->page_count - before);
    if (*used != 0)
        return va;
    /* Walks that go on may remember the table itself. */
    tlb_batch_add(&gather->batch, ROUND_DOWN(end - 1, SPAN_BYTES), SPAN_PAGES);
    gather->table[gather->table_count++] = pt_take_table(walk->space->tlb.root, end - 1);
    return end;
}

/* What enter_span() found there; returns how far it came. */
static NOINLINE vaddr_t clear_span(struct walk *walk, uint64_t *slot, vaddr_t va, vaddr_t end)
{
    uint64_t link = pt_link_get(slot);

    if (pt_is_table(link, 1))
        return clear_table(walk, link, va, end);
    gather_add(&walk->gather, pt_large_clear(slot), va, 1);
    (void)fetch_sub_relaxed(&walk->space->counts.resident_pages, SPAN_PAGES);
    return end;
}

static vaddr_t clear_in_span(struct walk *walk, vaddr_t va, vaddr_t end)
{
    struct spinlock *lock = span_lock(walk->space, va);
    uint64_t *slot = NULL;

    spin_lock(lock);
    slot = enter_span(walk, va, end);
    va = slot != NULL ? clear_span(walk, slot, va, end) : end;
    spin_unlock(lock);
    return va;
}

void walk_clear(struct walk *walk)
{
    if (walk->skips)
        space_tables_barrier(walk->space);
    for (vaddr_t va = walk_next(walk, walk->start); va < walk->end; va = walk_next(walk, va)) {
        va = clear_in_span(walk, va, MIN(span_end(va), walk->end));
        if (gather_is_full(&walk->gather))
            gather_flush(&walk->gather);
    }
}

/* Only what was there stays, and of that only what `rights` allow. */
static void restrict_slot(struct walk *walk, uint64_t *slot, vaddr_t va, unsigned level, unsigned rights)
{
    uint64_t entry = pt_slot_get(slot);
    unsigned old = 0;
    unsigned left = 0;

    if (entry == 0 || pt_is_parked(entry))
        return;
    old = hal_pte_prot(entry);
    left = old & slot_prot(rights);
    if (rights != 0 && left == old)
        return;
    pt_slot_change(slot, rights == 0 ? pt_park(hal_pte_paddr(entry), 0)
                                     : hal_pte_leaf(hal_pte_paddr(entry), left, level));
    tlb_batch_add(&walk->gather.batch, va, level == 0 ? 1 : SPAN_PAGES);
}

static void restrict_in_span(struct walk *walk, vaddr_t va, vaddr_t end, unsigned rights)
{
    struct spinlock *lock = span_lock(walk->space, va);
    uint64_t *slot = NULL;
    uint64_t link;

    spin_lock(lock);
    slot = enter_span(walk, va, end);
    link = slot != NULL ? pt_link_get(slot) : 0;
    if (slot != NULL && !pt_is_table(link, 1)) {
        restrict_slot(walk, slot, va, 1, rights);
    } else if (slot != NULL) {
        slot = slot_of_table(link, va);
        for (unsigned left = *slots_in_use(slot); va < end && left > 0; va += PAGE_BYTES, slot++) {
            left -= pt_slot_get(slot) != 0;
            restrict_slot(walk, slot, va, 0, rights);
        }
    }
    spin_unlock(lock);
}

void walk_restrict(struct walk *walk, unsigned rights)
{
    if (walk->skips)
        space_tables_barrier(walk->space);
    for (vaddr_t va = walk_next(walk, walk->start); va < walk->end; va = walk_next(walk, span_end(va)))
        restrict_in_span(walk, va, MIN(span_end(va), walk->end), rights);
}
