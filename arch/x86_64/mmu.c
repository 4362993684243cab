/* SPDX-License-Identifier: MIT */
/*
 * CR3 and the local TLB: SDM vol. 3, 4.10.4. Without PCIDs a CR3 write drops all but global entries. With them (CPUID
 * offers PCID and INVPCID) CR3's low bits are the tag, and bit 63 keeps what the TLB holds of it. No CPU reaches into
 * another's TLB: core sends interrupts.
 */
#include <hal/mmu.h>

#include "machine.h"
#include "x86.h"

/* Above this many pages one full flush is cheaper than an INVLPG each. */
#define FLUSH_PAGES_MAX 32u

unsigned x86_leaf_level_max RO_AFTER_INIT = 1;

#define CR3_ASID UINT64_C(0xfff)
#define CR3_KEEP (UINT64_C(1) << 63) /* do not flush this PCID; reserved without CR4.PCIDE, never read back as 1 */

/* INVPCID's types: SDM vol. 2, INVPCID. */
#define INVPCID_ONE_ASID 1u /* all but global translations */
#define INVPCID_ALL 2u      /* global ones, too */

static void invpcid(uint64_t type, unsigned asid)
{
    struct {
        uint64_t asid, address;
    } descriptor = { asid, 0 };

    __asm__ volatile("invpcid %0, %1" ::"m"(descriptor), "r"(type) : "memory");
}

/* A MOV to CR3 is serializing, so no walk of the old tables is under way behind it. */
void hal_mmu_activate(paddr_t root, unsigned asid)
{
    write_cr3(root | asid | (cpu_features.has_asids ? CR3_KEEP : 0));
}

/* Global ones and those of all PCIDs: a change of PGE drops everything (SDM vol. 3, 4.10.4.1). */
static void flush_everything(void)
{
    uintptr_t state = hal_irq_save(); /* a trap must not find global pages off for long, nor a half-done pair */
    uint64_t cr4 = read_cr4();

    write_cr4(cr4 & ~(uint64_t)CR4_PGE);
    write_cr4(cr4);
    hal_irq_restore(state);
}

void hal_mmu_activate_kernel(paddr_t root)
{
    write_cr3(root);
    flush_everything();
}

/* Leaves of the current PCID, global ones too; and all that the CPU knows of tables under it, at any address. */
static void flush_pages(vaddr_t va, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        __asm__ volatile("invlpg (%0)" ::"r"(va + i * PAGE_BYTES) : "memory");
}

static void flush_asid(unsigned asid, vaddr_t va, size_t pages)
{
    uintptr_t state = hal_irq_save(); /* CR3 is another task's after a switch */
    uint64_t cr3 = read_cr3();

    if (cpu_features.has_asids && (cr3 & CR3_ASID) != asid)
        invpcid(INVPCID_ONE_ASID, asid);
    else if (pages > FLUSH_PAGES_MAX)
        write_cr3(cr3); /* without CR3_KEEP */
    else
        flush_pages(va, pages);
    hal_irq_restore(state);
}

void hal_tlb_flush_local(unsigned asid, vaddr_t va, size_t pages)
{
    if (asid != HAL_ASID_ANY)
        flush_asid(asid, va, pages);
    else if (cpu_features.has_asids)
        invpcid(INVPCID_ALL, 0); /* INVLPG leaves the kernel's tables that are known under other PCIDs */
    else if (pages > FLUSH_PAGES_MAX)
        flush_everything();
    else
        flush_pages(va, pages);
}

/* Fetches are coherent with stores through any address, and a CPU that fetched before is serialised by the trap or the
 * interrupt that the contract asks for (Intel SDM vol. 3, 9.1.3 and 12.6). */
void hal_icache_sync(paddr_t pa, size_t bytes)
{
    (void)pa;
    (void)bytes;
}
