/* SPDX-License-Identifier: MIT */
/*
 * Physical pages: a buddy allocator over the firmware's map, with a cache of single pages on each CPU. Blocks are
 * 2^order pages, naturally aligned, reached through the direct map. A free of a page that is foreign, reserved or
 * already free panics in every build.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>
#include <mm/stats.h>

struct boot_info;

#define PHYS_ORDER_MAX 10 /* blocks up to 4 MiB */

struct phys_stats {
    uint64_t total_pages;    /* in the allocator's care */
    uint64_t free_pages;     /* exact while nobody allocates or frees */
    uint64_t cached_pages;   /* of these, in the CPUs' caches */
    uint64_t reserve_pages;  /* of these, what phys_alloc_user() leaves to the kernel */
    uint64_t reserved_pages; /* RAM never handed out: firmware, image, boot allocations */
};

/* 2^order pages, contents undefined (debug builds: poisoned). 0 if there is none: physical page 0 is never handed out.
 * An allocation that would fail gets the CPUs' caches back first; with interrupts disabled only this CPU's.
 * Context: task, no lock that another CPU spins for with interrupts disabled. */
paddr_t phys_alloc(unsigned order) MUST_USE;

/* The same, zeroed. */
paddr_t phys_alloc_zeroed(unsigned order) MUST_USE;

/* The same for user memory: 0 if only the reserve is left, on which exits, reaping and page-table work go on. An order
 * above 0 is an attempt that has something to fall back on: no other CPU is disturbed for it. The pages count as
 * `kind`, MM_ANON or MM_OBJECT, until the last reference is dropped, whoever drops it. A split changes nothing. */
paddr_t phys_alloc_user(unsigned order, enum mm_kind kind) MUST_USE;

/* Give a block back, with the order it was allocated with. The caller's must be its one reference, and it must know
 * that: the block was never shared, or phys_refs() said 1. Context: task. */
void phys_free(paddr_t block, unsigned order);

/*
 * References of an allocated block. phys_alloc*() gives 1; get adds one to those that are there; put drops one, and the
 * last one frees. `pa` may lie anywhere in the block. Context: task. Order: what was done before a put happens before
 * the block is freed.
 */
void phys_get(paddr_t pa);
void phys_put(paddr_t pa);

/* Read by a holder: 1 means that nobody else has one (acquire: what others did before their put has happened). */
uint32_t phys_refs(paddr_t pa);

/* Where the allocated block that holds pa begins, and its order. Panics if there is none. */
paddr_t phys_block(paddr_t pa, unsigned *out_order);

/* The NUMA node of an allocated page. */
unsigned phys_node(paddr_t pa);

/* A block whose only reference is the caller's becomes 2^order single pages with one reference each. */
void phys_split(paddr_t block, unsigned order);

/* For the owner of a page table (a single page): a number that is 0 at first, to count its entries in use. */
uint16_t *phys_table_used(paddr_t table);

/* Give the pages in all CPUs' caches back to the free lists, so that they become large blocks again. Context: task,
 * interrupts enabled, no lock that another CPU spins for with interrupts disabled. */
void phys_reclaim_caches(void);

void phys_stats_get(struct phys_stats *out);

/* Is so many times the reserve left, or less? Context: task. */
bool phys_is_down_to(unsigned reserves);

/* From here on what is there is for those who need a page to go on, and nothing new should be begun. */
static inline bool phys_is_short(void)
{
    return phys_is_down_to(2);
}

/* And already here nothing more should be kept that no process has mapped, contents of files and what waits in pipes:
 * else it could fill the memory, and nobody would ever miss a page and look for who is to blame, or could begin to do
 * something about it. `is_first`: without it there would be nothing at all. */
static inline bool phys_is_short_for_kept(bool is_first)
{
    return phys_is_down_to(is_first ? 3 : 4);
}

/* Pages that were reserved at boot, and whose owner needs them no longer or has another use for them: from now on they
 * are single pages with one reference each, the caller's, of that kind of user memory, and the allocator's when it is
 * put. All or none: false, if one is not RAM or not reserved. Boot: while nobody else allocates. */
bool phys_adopt(paddr_t base, uint64_t pages, enum mm_kind kind) MUST_USE;

/* The direct map. phys_to_virt() is also valid for the device ranges of boot_info. */
void *phys_to_virt(paddr_t pa);
paddr_t virt_to_phys(const void *direct_map_va);
