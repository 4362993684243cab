/* SPDX-License-Identifier: MIT */
/*
 * satp and the local TLB (Privileged Architecture, sections 10.1.11 and 10.2.1). Other harts are interrupted by core.
 * The firmware could flush their TLBs, too (SBI, chapter 8), but OpenSBI's caller spins in M-mode until all have
 * answered: where virtual harts share a real one, it keeps them from running.
 */
#include <hal/mmu.h>

#include "machine_priv.h"
#include "sbi.h"

#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK UINT64_C(0xffff)

static uintptr_t satp_of(paddr_t root, unsigned asid)
{
    return satp_of_levels(machine_facts.pt_levels) | (uintptr_t)asid << SATP_ASID_SHIFT | root >> PAGE_SHIFT;
}

void mmu_note_levels(unsigned levels)
{
    machine_facts.pt_levels = levels;
    machine_facts.user_end = UINT64_C(1) << (PAGE_SHIFT + HAL_PT_INDEX_BITS * levels - 1);
}

void mmu_take_levels(unsigned levels)
{
    const uint64_t *roots[] = {boot_root_sv39, boot_root_sv48, boot_root_sv57};

    /* All of them map the same, so this code goes on where it is. */
    csr_write(satp, satp_of_levels(levels) | image_paddr_of(roots[levels - 3]) >> PAGE_SHIFT);
    __asm__ volatile("sfence.vma" : : : "memory");
    mmu_note_levels((unsigned)(csr_read(satp) >> SATP_MODE_SHIFT) - SATP_MODE_SV39 + 3);
}

static void flush_everything(void)
{
    __asm__ volatile("sfence.vma" : : : "memory");
}

/* With the id in a register (any but x0, which means all) global translations stay. */
static void flush_asid(unsigned asid)
{
    __asm__ volatile("sfence.vma zero, %0" : : "r"((uintptr_t)asid) : "memory");
}

/* Bits that the hart has not implemented stay 0, the lowest are implemented first (section 10.1.11). */
unsigned mmu_asid_count(void)
{
    uintptr_t satp = csr_read(satp);

    csr_write(satp, satp | SATP_ASID_MASK << SATP_ASID_SHIFT);
    uintptr_t all = csr_read(satp) >> SATP_ASID_SHIFT & SATP_ASID_MASK;

    csr_write(satp, satp);
    flush_everything(); /* what was read under the id of all ones */
    return (unsigned)all + 1;
}

/* A hart reads tables only by way of the root that is in satp (section 10.2.1), so what it knows under this id it
 * read while it was active here or, by the caller's promise, nothing. The fence has stores leave before that. */
void hal_mmu_activate(paddr_t root, unsigned asid)
{
    __asm__ volatile("fence rw, rw" : : : "memory");
    csr_write(satp, satp_of(root, asid));
    if (boot_info.asid_count == 1)
        flush_asid(0);
}

void hal_mmu_activate_kernel(paddr_t root)
{
    csr_write(satp, satp_of(root, 0));
    flush_everything();
}

/* With an address SFENCE.VMA orders leaf entries only (section 10.2.1), and the caller may have linked or cut off whole
 * tables: so all pages, or all of the id. */
void hal_tlb_flush_local(unsigned asid, vaddr_t va, size_t pages)
{
    (void)va;
    (void)pages;
    if (asid == HAL_ASID_ANY)
        flush_everything();
    else
        flush_asid(asid);
}

/* FENCE.I is about this hart alone (Unprivileged Architecture, chapter 5). The firmware has the others execute it, with
 * their interrupts disabled, too (SBI, chapter 8), so a task may then move to any hart. Those that are not up execute
 * one in hal_cpu_init(). It waits until all have. */
void hal_icache_sync(paddr_t pa, size_t bytes)
{
    (void)pa;
    (void)bytes;
    __asm__ volatile("fence rw, rw\n\tfence.i" ::: "memory");
    sbi_fence_instructions();
}
