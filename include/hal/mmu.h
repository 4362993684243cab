/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries and the local TLB. The walk itself is core/mm/pagetable.c, over these constants and functions:
 *
 *   HAL_PT_INDEX_BITS    bits per level (9);  an entry is a uint64_t
 *   HAL_PT_LEVELS        levels in use, 3 to 5: level 0 maps 4 KiB, 1 maps 2 MiB, 2 maps 1 GiB
 *   HAL_PT_LEAF_LEVEL_MAX  the largest level with leaves on this CPU; both unsigned, constant after boot code
 *   HAL_PT_SHARED_ROOT   1: one root holds user and kernel half (x86_64, riscv64); 0: kernel has its own (aarch64)
 *   HAL_DIRECT_MAP_BASE  all RAM and the listed devices are mapped here by mm; the machine's early tables map what its
 *                        own boot code touches at the same addresses
 *   HAL_DIRECT_MAP_BYTES size of that window
 *   HAL_KMAP_BASE, HAL_KMAP_BYTES   window for guarded stacks and other mappings, page tables built on demand
 *   HAL_TLB_CACHES_INVALID  1: an invalid entry may be cached, so a new mapping needs a flush, too (riscv64)
 *   HAL_TLB_REMOTE       0: there is no hal_tlb_flush_remote(), core interrupts the CPUs itself; n: there is, and more
 *                        than n calls of it are dearer than one that flushes everything
 *
 * An address-space id (asid) tags translations, so that those of several spaces lie in a TLB at once. Usable ids are
 * 0 to boot_info.asid_count - 1. Translations of leaves with PROT_GLOBAL carry none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/cpumask.h>
#include <k/types.h>

/* Rights and kind of a mapping. Readable always; PROT_WRITE with PROT_EXEC is refused by mm, not here. */
#define PROT_READ_ONLY 0x0u
#define PROT_WRITE 0x1u
#define PROT_EXEC 0x2u
#define PROT_USER 0x4u
#define PROT_GLOBAL 0x8u  /* same in all spaces */
#define PROT_DEVICE 0x10u /* uncached, ordered device memory */

/* Bit 0 says on every machine whether an entry is valid; if it is not, the other bits are core's. */
#define HAL_PTE_VALID UINT64_C(0x1)

/* An entry that maps `pa` at `level`; one that points to the next table; what a valid entry says. Pure functions.
 * hal_pte_prot() returns exactly the bits that hal_pte_leaf() was given. */
static inline uint64_t hal_pte_leaf(paddr_t pa, unsigned prot, unsigned level);
static inline uint64_t hal_pte_table(paddr_t table);
static inline bool hal_pte_is_leaf(uint64_t pte, unsigned level);
static inline paddr_t hal_pte_paddr(uint64_t pte);
static inline unsigned hal_pte_prot(uint64_t pte);

#define HAL_ASID_ANY UINT32_MAX      /* every id, and global translations, too: for kernel addresses */
#define HAL_TLB_ALL_PAGES SIZE_MAX   /* every page; va is ignored */

/*
 * Use `root` for the user half (and, with HAL_PT_SHARED_ROOT, the kernel half) on this CPU, its translations tagged
 * with `asid`. What is in the TLB stays: the caller has flushed what this CPU holds of `asid` from another root. id 0
 * belongs to the kernel's own root, which has no user half; with HAL_PT_SHARED_ROOT 0, root 0 stands for it. Where
 * boot_info.asid_count is 1 there are no tags: asid is 0, and each call forgets all that is not global.
 * Afterwards this CPU reads nothing more through the tables that were in use. Order: whatever this CPU loaded and
 * stored before, its walks of `root` come later. Context: interrupts disabled.
 */
void hal_mmu_activate(paddr_t root, unsigned asid);

/* Take the kernel's own tables into use in place of the boot code's, on this CPU, with id 0. Called by core on the
 * boot CPU; the other CPUs do it in hal_cpu_start()'s path. Drops early identity maps. Context: boot, interrupts
 * disabled. */
void hal_mmu_activate_kernel(paddr_t root);

/* Forget this CPU's translations of [va, va + pages) that are tagged with `asid`, and what it knows of tables there, on
 * all levels. The id need not be in use. Order: earlier page-table stores by this CPU are seen by its later walks.
 * Context: any. */
void hal_tlb_flush_local(unsigned asid, vaddr_t va, size_t pages);

/* The same on all CPUs of `cpus`, by the machine's own means; done when it returns. The caller may be among them, and
 * none of them need have interrupts enabled. More CPUs may be affected. Order: earlier page-table stores by this CPU
 * are seen by their later walks. Context: any, after hal_cpu_init() of those CPUs; only where HAL_TLB_REMOTE is not 0.
 */
void hal_tlb_flush_remote(const struct cpumask *cpus, unsigned asid, vaddr_t va, size_t pages);

/*
 * Instructions are fetched from [pa, pa + bytes), whole pages of RAM, as they were stored before, by whatever CPU and
 * mapping this CPU knows of; on all CPUs that are up, and on others once they come up. Called before the pages become
 * executable, or after code in them was replaced: a CPU that may have fetched the old code takes a trap or an interrupt
 * before it executes there. Empty where fetches are coherent. What is executed later is not followed: who stores
 * again calls again. Done when it returns; other CPUs need not have interrupts enabled. Order: release, for their
 * fetches. Context: any, after hal_cpu_init().
 */
void hal_icache_sync(paddr_t pa, size_t bytes);

#include <hal_machine.h>
