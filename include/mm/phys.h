/* SPDX-License-Identifier: MIT */
/*
 * Physical pages: a buddy allocator over the firmware's map. Blocks are 2^order pages, naturally aligned, reached
 * through the direct map. A free of a page that is foreign, reserved or already free panics in every build.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

struct boot_info;

#define PHYS_ORDER_MAX 10 /* blocks up to 4 MiB */

struct phys_stats {
    uint64_t total_pages;    /* in the allocator's care */
    uint64_t free_pages;
    uint64_t reserved_pages; /* RAM never handed out: firmware, image, boot allocations */
};

/* 2^order pages, contents undefined (debug builds: poisoned). 0 if there is none: physical page 0 is never handed out.
 * Context: task. */
paddr_t phys_alloc(unsigned order) MUST_USE;

/* The same, zeroed. */
paddr_t phys_alloc_zeroed(unsigned order) MUST_USE;

/* Give a block back, with the order it was allocated with. Context: task. */
void phys_free(paddr_t block, unsigned order);

/* Entries in use of a page that is a page table (order 0, allocated): 0 at first. Guarded by whoever owns the table. */
uint16_t *phys_table_used(paddr_t table);

void phys_stats_get(struct phys_stats *out);

/* The direct map. phys_to_virt() is also valid for the device ranges of boot_info. */
void *phys_to_virt(paddr_t pa);
paddr_t virt_to_phys(const void *direct_map_va);
