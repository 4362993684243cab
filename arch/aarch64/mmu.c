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

/* More pages than this are flushed by flushing all: the loop would take longer than refilling. Six instructions a page
 * against a walk for each entry that is used again; a thread's end gives back the pages of a stack in one range. */
#define FLUSH_PAGES_MAX 64u

#define ID_MMFR0_ASID_BITS(value) ((value) >> 4 & 0xf)
#define TTBR_ASID_SHIFT 48 /* TTBR0_EL1; TCR_EL1.A1 is 0 */

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

        if ((*entry & HAL_PTE_VALID) == 0) {
            if (level <= HAL_PT_LEAF_LEVEL_MAX && rest == LEVEL_BYTES(level) && bytes >= rest) {
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
    /* Not WXN: it would hold for programs, too, who may map memory to be written and executed; core's own tables never
     * have a page that is both. */
    uint64_t sctlr = SYSREG_READ(sctlr_el1) | SCTLR_USER;
    paddr_t empty = mmu_image_paddr((uintptr_t)boot_empty_root);
    void (*replace_root)(paddr_t, uint64_t, paddr_t) =
        (void (*)(paddr_t, uint64_t, paddr_t))mmu_image_paddr((uintptr_t)boot_replace_root);

    /* The identity map in TTBR0, where that function runs, is still the boot code's. */
    ASSERT(root != 0 && root % PAGE_BYTES == 0);
    DSB(ishst);
    replace_root(root, sctlr, empty);
    hal_mmu_activate(0, 0);
    hal_tlb_flush_local(0, 0, HAL_TLB_ALL_PAGES); /* the identity map's */
}

unsigned mmu_asid_count(void)
{
    /* 2: 16 bits, and boot.S has TCR_EL1.AS say so; 0: 8 bits (ARM D17.2.64, ASIDBits). */
    return ID_MMFR0_ASID_BITS(SYSREG_READ(id_aa64mmfr0_el1)) == 2 ? 1u << 16 : 1u << 8;
}

/* Root and ASID are one register: no walk mixes the old space with the new one. The barrier orders what this CPU
 * stored, in tables and elsewhere, before its walks (ARM D8.2.6); the isb ends walks of the old tables. */
void hal_mmu_activate(paddr_t root, unsigned asid)
{
    if (root == 0)
        root = mmu_image_paddr((uintptr_t)boot_empty_root);
    DSB(ish);
    SYSREG_WRITE(ttbr0_el1, root | (uint64_t)asid << TTBR_ASID_SHIFT);
    ISB();
}

/* Operands of TLBI (ARM C5.5): the ASID in bits 63:48, VA[55:12] in bits 43:0; the bits between are a level hint, 0 for
 * none. The forms are those that forget entries of all levels, tables too. */
#define TLBI(form) __asm__ volatile("tlbi " #form ::: "memory")
#define TLBI_ON(form, operand) __asm__ volatile("tlbi " #form ", %0" ::"r"(operand) : "memory")
#define TLBI_VA_MASK UINT64_C(0xfffffffffff)

void hal_tlb_flush_local(unsigned asid, vaddr_t va, size_t pages)
{
    uint64_t tag = (uint64_t)asid << TTBR_ASID_SHIFT;

    DSB(nshst);
    if (asid == HAL_ASID_ANY && pages > FLUSH_PAGES_MAX)
        TLBI(vmalle1);
    else if (asid == HAL_ASID_ANY)
        for (size_t i = 0; i < pages; i++)
            TLBI_ON(vaae1, (va / PAGE_BYTES + i) & TLBI_VA_MASK);
    else if (pages > FLUSH_PAGES_MAX)
        TLBI_ON(aside1, tag);
    else
        for (size_t i = 0; i < pages; i++)
            TLBI_ON(vae1, tag | ((va / PAGE_BYTES + i) & TLBI_VA_MASK));
    DSB(nsh);
    ISB();
}

/* Broadcast to the inner-shareable domain, which is all CPUs; the last barrier waits for them. */
void hal_tlb_flush_remote(const struct cpumask *cpus, unsigned asid, vaddr_t va, size_t pages)
{
    uint64_t tag = (uint64_t)asid << TTBR_ASID_SHIFT;

    (void)cpus;
    DSB(ishst);
    if (asid == HAL_ASID_ANY && pages > FLUSH_PAGES_MAX)
        TLBI(vmalle1is);
    else if (asid == HAL_ASID_ANY)
        for (size_t i = 0; i < pages; i++)
            TLBI_ON(vaae1is, (va / PAGE_BYTES + i) & TLBI_VA_MASK);
    else if (pages > FLUSH_PAGES_MAX)
        TLBI_ON(aside1is, tag);
    else
        for (size_t i = 0; i < pages; i++)
            TLBI_ON(vae1is, tag | ((va / PAGE_BYTES + i) & TLBI_VA_MASK));
    DSB(ish);
    ISB();
}

/* CTR_EL0 (ARM D17.2.34). Lines are given as the logarithm of words; the smallest of all levels that matter. */
#define CTR_I_LINE(ctr) ((uintptr_t)4 << ((ctr) & 0xf))
#define CTR_D_LINE(ctr) ((uintptr_t)4 << ((ctr) >> 16 & 0xf))
#define CTR_I_IS_PHYSICAL(ctr) (((ctr) >> 14 & 0x3) == 3) /* else one page has lines for each virtual address */
#define CTR_NEEDS_NO_CLEAN (UINT64_C(1) << 28)            /* IDC */
#define CTR_NEEDS_NO_INVALIDATE (UINT64_C(1) << 29)       /* DIC */

/* ARM B2.7.4.2: data to the point of unification, then the instruction caches of the inner-shareable domain, which are
 * those of all CPUs. */
void hal_icache_sync(paddr_t pa, size_t bytes)
{
    uint64_t ctr = SYSREG_READ(ctr_el0);
    uintptr_t start = phys_to_direct(pa);

    if ((ctr & CTR_NEEDS_NO_CLEAN) == 0)
        for (uintptr_t at = start; at < start + bytes; at += CTR_D_LINE(ctr))
            __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
    DSB(ish);
    if ((ctr & CTR_NEEDS_NO_INVALIDATE) == 0) {
        if (CTR_I_IS_PHYSICAL(ctr))
            for (uintptr_t at = start; at < start + bytes; at += CTR_I_LINE(ctr))
                __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
        else
            __asm__ volatile("ic ialluis" ::: "memory");
        DSB(ish);
    }
    ISB();
}
