/* SPDX-License-Identifier: MIT */
/* What the files of this room share and nobody else sees. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mm/fail.h>
#include <mm/pagetable.h>
#include <mm/phys.h>

#include <smp/cpu.h>

#include <hal/cpu.h>
#include <hal/mmu.h>
#include <k/assert.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/limits.h>
#include <k/trace.h>
#include <k/types.h>

struct boot_info;
struct boot_range;

/* No allocator may be entered from an interrupt: their locks do not disable interrupts. */
static ALWAYS_INLINE void mm_assert_task_context(void)
{
    DEBUG_ASSERT(this_cpu()->irq_depth == 0);
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

/* The buddy allocator's bring-up, called by bootmem_finish() in this order: descriptors for spans of RAM (ascending,
 * apart), then the free pages in them. Boot CPU only, before any phys_alloc(). */
void phys_init(uint64_t ram_pages);
size_t phys_descriptor_bytes(uint64_t pages);
void phys_add_span(pfn_t first, pfn_t end, void *zeroed_descriptors);
void phys_add_free(pfn_t first, pfn_t end);

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

/* A run of mapped pages of the window. */
struct kmap_range {
    vaddr_t va;
    size_t pages;
};

#define KMAP_BATCH_MAX 32 /* ranges that one flush round serves */

/* kmap_alloc() for up to `want` ranges of the same size with one flush; fills out[] and returns how many, or -ENOMEM if
 * not even one could be had. */
int kmap_alloc_batch(size_t pages, unsigned want, vaddr_t out[]) MUST_USE;

/* kmap_free() of up to KMAP_BATCH_MAX ranges with one flush. */
void kmap_free_batch(const struct kmap_range ranges[], unsigned count);

/* Forget translations of the ranges on all CPUs that are online; before there is more than one, on this one. */
void mm_flush_all(const struct kmap_range ranges[], unsigned count);
