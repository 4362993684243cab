/* SPDX-License-Identifier: MIT */
/*
 * satp and TLBs (Privileged Architecture, sections 10.1.11 and 10.2.1). Other harts' are reached by the firmware (SBI,
 * chapter 8), which takes their interrupt in M-mode, whatever their sstatus.SIE says.
 */
#include <hal/mmu.h>

#include <k/panic.h>

#include "machine_priv.h"
#include "sbi.h"

#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK UINT64_C(0xffff)
#define WINDOW_HARTS 64u /* in a hart mask */

static uintptr_t satp_of(paddr_t root, unsigned asid)
{
    uintptr_t mode = machine_facts.pt_levels == 4 ? SATP_MODE_SV48 : SATP_MODE_SV39;

    return mode << SATP_MODE_SHIFT | (uintptr_t)asid << SATP_ASID_SHIFT | root >> PAGE_SHIFT;
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

static void flush_window(unsigned long harts, uint64_t base, unsigned asid)
{
    struct sbi_result result;

    if (harts == 0)
        return;
    if (asid == HAL_ASID_ANY)
        result = sbi_call5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, harts, base, 0, SBI_RFENCE_ALL, 0);
    else
        result = sbi_call5(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA_ASID, harts, base, 0, SBI_RFENCE_ALL, asid);
    if (result.error != 0)
        panic("SBI RFENCE of harts %#lx from %llu on: error %ld", harts, (unsigned long long)base, result.error);
}

/* Hart ids may be anything: one call for each run of CPUs whose harts lie in the same aligned window of 64. */
void hal_tlb_flush_remote(const struct cpumask *cpus, unsigned asid, vaddr_t va, size_t pages)
{
    unsigned long harts = 0;
    uint64_t base = 0;

    if (!sbi_facts.has_rfence) {
        hal_tlb_flush_local(asid, va, pages); /* then there is only this CPU: boot.c saw to that */
        return;
    }
    /* What was stored before is visible to the walks of the harts, which the firmware interrupts by an I/O write. */
    __asm__ volatile("fence rw, ow" : : : "memory");
    for (cpu_id_t cpu = cpumask_next(cpus, 0); cpu < boot_info.cpu_count; cpu = cpumask_next(cpus, cpu + 1)) {
        uint64_t hart = boot_info.cpu_hw_id[cpu];

        if (ROUND_DOWN(hart, WINDOW_HARTS) != base) {
            flush_window(harts, base, asid);
            harts = 0;
            base = ROUND_DOWN(hart, WINDOW_HARTS);
        }
        harts |= 1ul << (hart % WINDOW_HARTS);
    }
    flush_window(harts, base, asid);
}
