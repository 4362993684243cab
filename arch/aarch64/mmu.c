/* SPDX-License-Identifier: MIT */
/*
 * Translation: the boot code's direct map, the change to core's tables, spaces and the local TLB. Tables made by core
 * are core's; the only tables here are those of boot.S and the pool below, dead once core has its own. No lock: the
 * boot CPU alone changes them.
 */
#include <hal/mmu.h>

#include <k/assert.h>
#include <k/compiler.h>

#include "machine_priv.h"

#define TABLE_ENTRIES 512u
#define ROOT_LEVEL 3u
#define LEVEL_BYTES(level) (PAGE_BYTES << (9 * (level)))

/* Tables of the early direct map: RAM, the device tree and the console. RAM in blocks of 1 GiB needs none at all, each
 * ragged end up to two. */
#define EARLY_TABLES 16u

/* More pages than this are flushed by flushing all: the loop would take longer than refilling. */
#define FLUSH_PAGES_MAX 512u

/* boot.S, kernel.ld */
extern uint64_t boot_root[TABLE_ENTRIES];
extern uint64_t boot_empty_root[TABLE_ENTRIES];
extern const char __image_start[];
void boot_replace_root(paddr_t root, uint64_t sctlr, paddr_t empty_root);

static struct {
    unsigned used;
    ALIGNED(PAGE_BYTES) uint64_t table[EARLY_TABLES][TABLE_ENTRIES];
} early;

paddr_t mmu_image_paddr(uintptr_t address)
{
    return boot_info.image_paddr + (address - (uintptr_t)__image_start);
}

/* The table behind a valid entry; all early tables are part of the image. */
static uint64_t *table_of(uint64_t pte)
{
    return (uint64_t *)((uintptr_t)__image_start + (hal_pte_paddr(pte) - boot_info.image_paddr));
}

/* Map what one entry can from pa on, at most `bytes`; returns the bytes that are mapped now, 0 without a table left. */
static uint64_t map_step(paddr_t pa, uint64_t bytes, unsigned prot)
{
    uintptr_t va = phys_to_direct(pa);
    uint64_t *table = boot_root;

    for (unsigned level = ROOT_LEVEL;; level--) {
        uint64_t *entry = &table[va / LEVEL_BYTES(level) % TABLE_ENTRIES];
        uint64_t rest = LEVEL_BYTES(level) - pa % LEVEL_BYTES(level);

        if (!hal_pte_is_valid(*entry)) {
            if (level <= hal_pt_leaf_level_max() && rest == LEVEL_BYTES(level) && bytes >= rest) {
                *entry = hal_pte_leaf(pa, prot, level);
                return rest;
            }
            if (early.used == EARLY_TABLES)
                return 0;
            *entry = hal_pte_table(mmu_image_paddr((uintptr_t)early.table[early.used++]));
        }
        if (hal_pte_is_leaf(*entry, level))
            return MIN(rest, bytes);
        table = table_of(*entry);
    }
}

uint64_t mmu_map_early(paddr_t pa, uint64_t bytes, unsigned prot)
{
    paddr_t at = ROUND_DOWN(pa, PAGE_BYTES);
    paddr_t end = ROUND_UP(pa + bytes, PAGE_BYTES);

    ASSERT(pa + bytes >= pa && end <= LAYOUT_DIRECT_MAP_BYTES);
    while (at < end) {
        uint64_t step = map_step(at, end - at, prot | PROT_GLOBAL);

        if (step == 0)
            break;
        at += step;
    }
    /* New entries are seen by the next walks; none was valid before, so nothing stale can be cached (ARM D8.13). */
    DSB(ishst);
    ISB();
    if (at >= end)
        return bytes;
    return at > pa ? at - pa : 0;
}

void hal_mmu_activate_kernel(paddr_t root)
{
    /* The boot tables map the image writable and executable; core's do not, so from now on WXN can hold. */
    uint64_t sctlr = SYSREG_READ(sctlr_el1) | SCTLR_WXN;
    paddr_t empty = mmu_image_paddr((uintptr_t)boot_empty_root);
    void (*replace_root)(paddr_t, uint64_t, paddr_t) =
        (void (*)(paddr_t, uint64_t, paddr_t))mmu_image_paddr((uintptr_t)boot_replace_root);

    /* The identity map in TTBR0, where that function runs, is still the boot code's. */
    ASSERT(root != 0 && root % PAGE_BYTES == 0);
    DSB(ishst);
    replace_root(root, sctlr, empty);
    hal_mmu_activate(0);
}

/* All spaces use ASID 0, so a change flushes. Through the empty root: no walk may mix the old space with the new. */
void hal_mmu_activate(paddr_t root)
{
    paddr_t empty = mmu_image_paddr((uintptr_t)boot_empty_root);

    SYSREG_WRITE(ttbr0_el1, empty);
    ISB();
    __asm__ volatile("tlbi aside1, xzr" ::: "memory");
    DSB(nsh);
    ISB();
    if (root == 0)
        return;
    SYSREG_WRITE(ttbr0_el1, root);
    ISB();
}

void hal_tlb_flush_local(vaddr_t va, size_t pages)
{
    DSB(nshst);
    if (pages > FLUSH_PAGES_MAX) {
        __asm__ volatile("tlbi vmalle1" ::: "memory");
    } else {
        /* VA[55:12] in bits 43:0; the top bits are a level hint, 0 for none (ARM C5.5). */
        for (size_t i = 0; i < pages; i++)
            __asm__ volatile("tlbi vaae1, %0" ::"r"((va / PAGE_BYTES + i) & UINT64_C(0xfffffffffff)) : "memory");
    }
    DSB(nsh);
    ISB();
}
