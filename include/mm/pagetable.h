/* SPDX-License-Identifier: MIT */
/*
 * The one page-table walker, over hal/mmu.h. It changes tables only: flushing TLBs is the caller's, and so is locking
 * (one lock per root). Table pages come from the allocator that the caller names.
 */
#pragma once

#include <hal/mmu.h>
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

/* Free the tables below `root` in all root entries that differ from those of `shared` (a root page, or 0 for none).
 * Leaves are forgotten, their pages are their owner's. */
void pt_free_tables(paddr_t root, paddr_t shared, const struct pt_alloc *alloc);
