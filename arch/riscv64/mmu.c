/* SPDX-License-Identifier: MIT */
/* satp and the local TLB (Privileged Architecture, sections 10.1.11 and 10.2.1). One address-space id, 0, for all. */
#include <hal/mmu.h>

#include "machine_priv.h"

static void satp_set(paddr_t root)
{
    csr_write(satp, satp_of_levels(machine_facts.pt_levels) | root >> PAGE_SHIFT);
}

void mmu_take_levels(unsigned levels)
{
    const uint64_t *roots[] = {boot_root_sv39, boot_root_sv48, boot_root_sv57};

    /* All of them map the same, so this code goes on where it is. */
    csr_write(satp, satp_of_levels(levels) | image_paddr_of(roots[levels - 3]) >> PAGE_SHIFT);
    __asm__ volatile("sfence.vma" : : : "memory");
    machine_facts.pt_levels = (unsigned)(csr_read(satp) >> SATP_MODE_SHIFT) - SATP_MODE_SV39 + 3;
}

void hal_mmu_activate(paddr_t root)
{
    satp_set(root);
    /* All spaces share id 0. With the id in a register (any but zero, which means all) global entries stay: the kernel
     * half. */
    __asm__ volatile("li t0, 0\n\tsfence.vma zero, t0" : : : "t0", "memory");
}

void hal_mmu_activate_kernel(paddr_t root)
{
    satp_set(root);
    __asm__ volatile("sfence.vma" : : : "memory");
}

void hal_tlb_flush_local(vaddr_t va, size_t pages)
{
    /* With an address it would order leaf entries only (Privileged spec 20211203, 4.2.1), and the
     * caller may have linked or cut off whole tables. */
    (void)va;
    (void)pages;
    __asm__ volatile("sfence.vma" : : : "memory");
}
