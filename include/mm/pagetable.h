/* SPDX-License-Identifier: MIT */
/*
 * The one page-table walker, over hal/mmu.h. It changes tables only: flushing TLBs is the caller's, and so is locking.
 * Table pages come from the allocator that the caller names. The first part maps ranges, for the kernel's own tables,
 * and takes one lock per root; the second reads and writes entries one by one, for user tables.
 */
#pragma once

#include <hal/mmu.h>
#include <k/atomic.h>
#include <k/compiler.h>

struct pt_alloc {
    paddr_t (*alloc)(void);      /* one zeroed page, or 0 */
    void (*free)(paddr_t table); /* NULL: tables are never freed */
};

/* Map [va, va + bytes) to [pa, ...) with the largest leaves that alignment and the CPU allow. Page-aligned; nothing in
 * the range may be mapped (-EEXIST, nothing changed). -EINVAL: misaligned, wraps, W with X. -ENOMEM: undone. */
int pt_map(paddr_t root, vaddr_t va, paddr_t pa, size_t bytes, unsigned prot, const struct pt_alloc *alloc) MUST_USE;

/* Remove 4 KiB mappings; the whole range must be mapped by 4 KiB leaves (asserted). Empty tables stay. */
void pt_unmap(paddr_t root, vaddr_t va, size_t bytes);

/* What maps va: 0 and *out_pa (of that byte), *out_prot; or -ENOENT. */
int pt_query(paddr_t root, vaddr_t va, paddr_t *out_pa, unsigned *out_prot) MUST_USE;

/* Call visit for each leaf in [va, va + bytes), ascending; stops at the first non-zero return and returns it. */
int pt_walk(paddr_t root, vaddr_t va, size_t bytes,
            int (*visit)(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot), void *arg);

/* ---- User tables ----
 *
 * A *slot* is the one entry that stands for a page (level 0) or for a large page (level 1, 2 MiB): empty (0), a leaf,
 * or a parked entry; at level 1 also the link to a last-level table. What a last-level table spans, one entry of level
 * 1, is called a *span* here.
 *
 * Locks. The caller has one lock per span, or fewer that cover more: it guards the entry of level 1, the table behind
 * it, that table's slots and their count. Every call below that takes a slot, pt_slot() itself, pt_take_table() and
 * pt_split() need it; pt_make_tables() and pt_next_span() need none and may run beside all others. Tables of level 1
 * and above are freed with the root only, last-level tables come and go: so pt_query() and pt_walk() on a user root
 * need the locks of what they look at.
 *
 * Hardware walks at any time, on all CPUs. A store that links a table or installs a leaf is a release: who sees it sees
 * the zeros of the table, and what the caller wrote into the page before. Nothing here flushes. The caller
 *   - flushes after pt_slot_clear(), pt_large_clear(), pt_take_table() and whatever pt_slot_change() took away, before
 *     it gives the page or the table to anybody else. Until then a walk may still go through a taken table: its words
 *     may be written only if their bit 0 stays 0. And a CPU may fault once more at an address that has been given a new
 *     table and a new leaf meanwhile;
 *   - breaks before it makes: a valid leaf whose address, size or memory type changes is cleared or parked, that is
 *     flushed, and only then the new one is written (ARM D8.14; for sizes also Intel SDM vol. 3, 4.10.2.3). A change of
 *     rights alone, or of a parked entry, may be made in one step;
 *   - on machines with HAL_TLB_CACHES_INVALID flushes after it made an entry valid, or takes the fault that follows for
 *     the stale entry that it is.
 * A last-level table's entries are counted in its page's descriptor (phys_table_used()) by these calls only: a span
 * that they are used on is not for pt_map() and pt_unmap().
 */

/* What a slot's value is; empty is 0. */
static inline bool pt_is_leaf(uint64_t entry, unsigned level)
{
    return (entry & HAL_PTE_VALID) != 0 && hal_pte_is_leaf(entry, level);
}

static inline bool pt_is_table(uint64_t entry, unsigned level)
{
    return level > 0 && (entry & HAL_PTE_VALID) != 0 && !hal_pte_is_leaf(entry, level);
}

/*
 * Parked: invalid to hardware, but it keeps the page, and up to PT_PARK_TAG_MAX of the caller's. The address is stored
 * inverted: a CPU that guesses through invalid entries (L1 terminal fault) guesses where no memory is.
 *   bit 0: 0; bit 1: 1; bits 2..4: the tag; bits 12..51: the inverted address.
 */
#define PT_PARK_TAG_MAX 7u
#define PT_PARKED UINT64_C(0x2)
#define PT_PARK_TAG_SHIFT 2
#define PT_PARK_PADDR UINT64_C(0x000ffffffffff000)

static inline uint64_t pt_park(paddr_t pa, unsigned tag)
{
    return (~pa & PT_PARK_PADDR) | (uint64_t)(tag & PT_PARK_TAG_MAX) << PT_PARK_TAG_SHIFT | PT_PARKED;
}

static inline bool pt_is_parked(uint64_t entry)
{
    return (entry & HAL_PTE_VALID) == 0 && (entry & PT_PARKED) != 0;
}

static inline paddr_t pt_parked_paddr(uint64_t entry)
{
    return ~entry & PT_PARK_PADDR;
}

static inline unsigned pt_parked_tag(uint64_t entry)
{
    return (unsigned)(entry >> PT_PARK_TAG_SHIFT) & PT_PARK_TAG_MAX;
}

/* Make the tables above the entry of `level` for va exist. Several CPUs may do so on one root at once: each link is a
 * compare-and-swap, and who loses gives its table back. -ENOMEM: what has been linked stays. -EEXIST: a larger leaf, or
 * a parked one, stands above. The caller's lock may be held or not; with level 0 and without it, the last-level table
 * may have been taken again when it returns. A pt_slot() that is not NULL has said already that there is nothing to
 * make, so ask it first. */
int pt_make_tables(paddr_t root, vaddr_t va, unsigned level, const struct pt_alloc *alloc) MUST_USE;

/* The entry of `level` for va. NULL: a table is missing above it, or a larger leaf, or a parked one, stands there.
 * Level 1: it may be a table, too (pt_is_table). */
uint64_t *pt_slot(paddr_t root, vaddr_t va, unsigned level);

/* Without the lock: a value that it had a moment ago. */
static inline uint64_t pt_slot_get(const uint64_t *slot)
{
    return load_relaxed((const _Atomic(uint64_t) *)slot);
}

/* Level 1, for whoever goes on through the table that it may link: the zeros in that were stored by a CPU that held no
 * lock. Acquire. */
static inline uint64_t pt_link_get(const uint64_t *slot)
{
    return load_acquire((const _Atomic(uint64_t) *)slot); /* PAIRS(pt_link) */
}

/* Level 0: fill an empty slot with a leaf or a parked entry. Release. */
void pt_slot_install(uint64_t *slot, uint64_t value);

/* Level 0: empty a slot that is not; returns what it was. */
uint64_t pt_slot_clear(uint64_t *slot);

/* Any level: neither the old value nor the new one is empty. Release. At level 1 a leaf may make place for the table
 * that pt_split() filled; the old value must not be a table. */
void pt_slot_change(uint64_t *slot, uint64_t value);

/* Level 1: as above, for large leaves and parked ones. False: a table has been linked there, by a pt_make_tables()
 * that did not wait for the lock. */
bool pt_large_install(uint64_t *slot, uint64_t value) MUST_USE;
uint64_t pt_large_clear(uint64_t *slot);

/* Fill `table` (zeroed, private) with what the leaf or parked entry in `slot`, of level 1, says page by page. Does not
 * link it: pt_slot_change() to a parked entry, flush, then pt_slot_change() to hal_pte_table(table). Parked, not
 * cleared: an empty one would invite a pt_make_tables(). */
void pt_split(const uint64_t *slot, unsigned level, paddr_t table);

/* Detach the last-level table of va's span if none of its entries is in use, and return it; 0: none, or in use. */
paddr_t pt_take_table(paddr_t root, vaddr_t va);

/* The first address >= va whose entry of level 1 is not empty, or `end`. Skips what has no tables in large steps. */
vaddr_t pt_next_span(paddr_t root, vaddr_t va, vaddr_t end);

/* Free the tables below `root` in all root entries that differ from those of `shared` (a root page, or 0 for none), and
 * empty these entries. Nobody uses the root. No leaf and no parked entry may be left (debug builds look): its page
 * would be lost. */
void pt_free_tables(paddr_t root, paddr_t shared, const struct pt_alloc *alloc);
