/* SPDX-License-Identifier: MIT */
/* What the files of this room share and nobody else sees: places in a tree, and going through the slots of a range. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vm/object.h>
#include <vm/region.h>
#include <vm/space.h>

#include <mm/pagetable.h>
#include <mm/phys.h>
#include <smp/tlb.h>

#include <hal/mmu.h>
#include <k/assert.h>
#include <k/atomic.h>
#include <k/types.h>

#define SPAN_BYTES (PAGE_BYTES << HAL_PT_INDEX_BITS) /* what a last-level table maps, and a block */
#define SPAN_PAGES ((size_t)1 << HAL_PT_INDEX_BITS)
#define BLOCK_ORDER HAL_PT_INDEX_BITS
_Static_assert(BLOCK_ORDER <= PHYS_ORDER_MAX, "a block is one allocation");

static inline vaddr_t span_end(vaddr_t va)
{
    return ROUND_DOWN(va, SPAN_BYTES) + SPAN_BYTES;
}

/* The lock of va's span. */
static inline struct spinlock *span_lock(struct space *space, vaddr_t va)
{
    return &space->tables[va / SPAN_BYTES % SPACE_TABLE_LOCKS].lock;
}

/* ---- region.c ---- */

/* region_insert(), but the region grows over the neighbours that it can merge with, which are taken out of the tree and
 * left to be marked stale. Returns them, linked by `chain`, or NULL. Writes the tree. */
struct region *region_join(struct region_tree *tree, struct region *region);

/* region_remove(), but the region is left to be marked stale. Writes the tree. */
void region_unlink(struct region_tree *tree, struct region *region);

/* `region` comes in for `old`, at whose place in the order it stands: both in one, without a search. */
void region_relink(struct region_tree *tree, struct region *old, struct region *region);

/* Whoever sees the region live sees its facts. */
static inline void region_set_live(struct region *region)
{
    store_release(&region->is_stale, false); /* PAIRS(region_stale) */
}

/* Whoever sees the region stale sees live what has replaced it. */
static inline void region_set_stale(struct region *region)
{
    store_release(&region->is_stale, true); /* PAIRS(region_stale) */
}

/* ---- space.c ---- */

extern const struct pt_alloc space_pt_alloc;

/* Whole pages in the user's half, not empty? *out_end is where they end. -EINVAL. */
int space_range_check(vaddr_t va, size_t bytes, vaddr_t *out_end) MUST_USE;

/* ---- map.c: with space->change held, the range checked ---- */

/* The range is free. */
int space_map_locked(struct space *space, const struct region_spec *spec) MUST_USE;
int space_unmap_locked(struct space *space, vaddr_t start, vaddr_t end) MUST_USE;

/* ---- slots.c ---- */

/*
 * Pages and tables that no slot names any more, kept until no CPU can reach them. Lies on the stack; when it is full it
 * is emptied, with a flush.
 */
#define GATHER_MAX 96
struct gather {
    struct tlb_batch batch;
    unsigned page_count;
    unsigned table_count;
    paddr_t page[GATHER_MAX]; /* one reference each */
    paddr_t table[8];
};

/*
 * A way through the slots of a range. Blocks that reach beyond its ends are split on the way; what that needs was
 * allocated at the beginning, so that the rest cannot fail.
 */
struct walk {
    struct space *space;
    vaddr_t start, end;
    bool skips;                  /* it is long: spans that look empty are not locked */
    const struct region *region; /* not NULL: spans are left alone where it is stale */
    paddr_t spare[2];            /* tables */
    struct gather gather;
};

/* No block reaches beyond the range. */
void walk_begin(struct walk *walk, struct space *space, vaddr_t start, vaddr_t end);
/* On to another range, with what was gathered so far. */
void walk_move(struct walk *walk, vaddr_t start, vaddr_t end);
/* One may. -ENOMEM: no table for it. */
int walk_begin_splitting(struct walk *walk, struct space *space, vaddr_t start, vaddr_t end) MUST_USE;
/* Flush, then give back what was gathered. No lock of tables held. */
void walk_end(struct walk *walk);

/* Empty all slots of the range. The regions that were there are stale, or the space's only changer wants it so. */
void walk_clear(struct walk *walk);
/* Take rights away, so that none is left that is not in `rights`; 0: park. Gives none. */
void walk_restrict(struct walk *walk, unsigned rights);

/* The first address >= va of the walk whose span has to be looked at, or its end. */
vaddr_t walk_next(struct walk *walk, vaddr_t va);
/* Wait until everybody who holds a lock of tables now has released it. */
void space_tables_barrier(struct space *space);

/* The PROT_* bits of a slot of a region with these rights; without VM_WRITE where a copy has to be made first. */
static inline unsigned slot_prot(unsigned rights)
{
    return PROT_USER | ((rights & VM_WRITE) != 0 ? PROT_WRITE : 0) | ((rights & VM_EXEC) != 0 ? PROT_EXEC : 0);
}

/* The slot of va in the last-level table that an entry of level 1 names. */
static inline uint64_t *slot_of_table(uint64_t entry, vaddr_t va)
{
    return (uint64_t *)phys_to_virt(hal_pte_paddr(entry)) + va / PAGE_BYTES % SPAN_PAGES;
}

/* The page or block that a slot keeps. The slot is neither empty nor a table. */
static inline paddr_t slot_paddr(uint64_t entry)
{
    return pt_is_parked(entry) ? pt_parked_paddr(entry) : hal_pte_paddr(entry);
}

/* How many slots of the last-level table that `slot` is in are not empty: loops end when they have seen so many. */
const uint16_t *slots_in_use(const uint64_t *slot);

/* Nobody uses a translation of these pages any more. Also under a lock of tables: no CPU spins for one with interrupts
 * disabled. */
void slot_flush(struct space *space, vaddr_t va, size_t pages);
/* This CPU forgets what it knew of va: that there was nothing, or fewer rights. Preemption disabled. */
void slot_flush_here(struct space *space, vaddr_t va);
/* Turn the block in `slot` into pages, with `table` to hold them. Under the span's lock. */
void slot_split(struct space *space, uint64_t *slot, vaddr_t va, paddr_t table);

static inline void space_count(_Atomic(uint64_t) *count, uint64_t by)
{
    (void)fetch_add_relaxed(count, by);
}
