/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own address space: direct map (RW, no exec), devices, the image (W^X by section), and the kmap
 * window for guarded stacks. User spaces share it.
 */
#pragma once

#include <hal/mmu.h>
#include <k/compiler.h>
#include <k/types.h>

struct boot_info;

/* Build the kernel's tables from boot memory and take them into use. Boot CPU, after bootmem_init(). */
void kspace_init(const struct boot_info *boot);

/* Root for hal_cpu_start() and hal_mmu_activate(). */
paddr_t kspace_root(void);

/* What tlb_init() gets: the root of a task without a user space. */
static inline paddr_t kspace_task_root(void)
{
    return HAL_PT_SHARED_ROOT ? kspace_root() : 0;
}

/* Walk all kernel mappings; panics if one is writable and executable, or if text or rodata is writable. Returns the
 * number of leaves seen. */
unsigned kspace_check_wx(void);

/* Make .data.ro_after_init read-only. */
void kspace_seal(void);

/* Map fresh pages at a new kmap address with an unmapped guard page below (and after) it. Context: task. -ENOMEM. */
int kmap_alloc(size_t pages, vaddr_t *out_va) MUST_USE;

/* Unmap, flush on all CPUs, free. Context: task, interrupts enabled: it waits for other CPUs. */
void kmap_free(vaddr_t va, size_t pages);

/* Is va inside a guard page of the kmap window? For the page-fault report. Context: any. */
bool kmap_is_guard(vaddr_t va);
