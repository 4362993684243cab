/* SPDX-License-Identifier: MIT */
/* CR3 and the local TLB: SDM vol. 3, 4.10.4. Without PCIDs: a CR3 write drops all but global entries. */
#include <hal/mmu.h>

#include "machine.h"
#include "x86.h"

/* Above this many pages one full flush is cheaper than an INVLPG each. */
#define FLUSH_PAGES_MAX 32

unsigned x86_leaf_level_max RO_AFTER_INIT = 1;

void hal_mmu_activate(paddr_t root)
{
    write_cr3(root);
}

static void tlb_flush_all(void)
{
    uintptr_t state = hal_irq_save(); /* a trap must not find global pages off for long, nor a half-done pair */
    uint64_t cr4 = read_cr4();

    write_cr4(cr4 & ~(uint64_t)CR4_PGE); /* drops global entries, too */
    write_cr4(cr4);
    hal_irq_restore(state);
}

void hal_mmu_activate_kernel(paddr_t root)
{
    write_cr3(root);
    tlb_flush_all();
}

void hal_tlb_flush_local(vaddr_t va, size_t pages)
{
    if (pages > FLUSH_PAGES_MAX) {
        tlb_flush_all();
        return;
    }
    for (size_t i = 0; i < pages; i++)
        __asm__ volatile("invlpg (%0)" ::"r"(va + i * PAGE_BYTES) : "memory");
}
