/* SPDX-License-Identifier: MIT */
/*
 * Memory before the buddy allocator: sorts, clips and merges the firmware's ranges, hands out zeroed memory from the
 * largest suitable one, and then gives the rest to mm/phys. Boot CPU only.
 */
#pragma once

#include <k/types.h>

struct boot_info;

/* Take the map. Panics with a plain sentence if it holds no usable RAM or contradicts itself beyond repair. */
void bootmem_init(const struct boot_info *boot);

/* Zeroed memory that is never freed. Panics "out of memory at boot: need N KiB for WHAT, ..." */
void *bootmem_alloc(size_t bytes, size_t align, const char *what);

/* Hand all remaining free pages to the buddy allocator; bootmem_alloc() ends here. */
void bootmem_finish(void);

/* Usable RAM the firmware listed, bytes. */
uint64_t bootmem_ram_bytes(void);
