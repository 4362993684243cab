/* SPDX-License-Identifier: MIT */
/*
 * This hart, and the others: set-up, start, poke, park. It keeps no list of harts besides boot_info, and waits for
 * nobody. No lock: a hart's hart_start entry is written by whoever starts it, before it runs.
 */
#include <hal/clock.h>
#include <hal/cpu.h>
#include <k/assert.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <k/log.h>

#include "machine_priv.h"
#include "sbi.h"

/* The boot CPU's area until core gives it one. */
static ALIGNED(PAGE_BYTES) uint8_t boot_area[HAL_CPU_AREA_BYTES];

struct hart_start hart_starts[CPU_MAX];

static struct machine_cpu *area_cpu(void *area)
{
    return (struct machine_cpu *)((uint8_t *)area + HAL_CPU_AREA_BYTES) - 1;
}

void cpu_init_early(void)
{
    machine_cpu_set(area_cpu(boot_area));
    __asm__ volatile("mv tp, zero" : : : "memory"); /* no task yet: trap.c can tell */
    csr_write(sscratch, 0);
    csr_write(stvec, trap_vector);
}

uint64_t cpu_vlenb(void)
{
    csr_set(sstatus, SSTATUS_VS_DIRTY);
    uint64_t vlenb = vector_vlenb();

    csr_clear(sstatus, SSTATUS_VS);
    return vlenb;
}

void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area)
{
    /* What the machine keeps per CPU is reached through gp alone. */
    __asm__ volatile("mv tp, %0" : : "r"(task) : "memory");
    machine_cpu_set(area_cpu(area != NULL ? area : boot_area));
    csr_write(sscratch, 0);
    csr_write(stvec, trap_vector);
    __asm__ volatile("fence.i" : : : "memory"); /* hal_icache_sync() did not reach it before */

    /* The firmware may hand over with the FPU on. SUM and MXR would weaken page protection. */
    csr_clear(sstatus, SSTATUS_SIE | SSTATUS_SPP | SSTATUS_FS | SSTATUS_VS | SSTATUS_SUM | SSTATUS_MXR);
    csr_set(sstatus, SSTATUS_SPIE); /* entry.S: the way back to the user finds it so */
    ASSERT(machine_facts.vlenb == 0 || cpu_vlenb() == machine_facts.vlenb);
    ASSERT(mmu_asid_count() >= boot_info.asid_count); /* on each hart the ids are as long as on the boot hart */
    hal_timer_arm(TIME_NEVER);
    csr_write(sie, SIE_SSIE | SIE_STIE);
    csr_write(scounteren, SCOUNTEREN_TM); /* users read the time */
    if (cpu == 0 && area != NULL)
        log_debug("cpu: walls: SUM off, MXR off");
}

static int errno_of(long sbi_error)
{
    switch (sbi_error) {
    case 0:
        return 0;
    case SBI_ERR_NOT_SUPPORTED:
        return -ENODEV;
    case SBI_ERR_INVALID_PARAM:
    case SBI_ERR_INVALID_ADDRESS:
        return -EINVAL;
    case SBI_ERR_ALREADY_AVAILABLE:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

int hal_cpu_start(cpu_id_t cpu, paddr_t root, struct task *task)
{
    if (cpu >= boot_info.cpu_count)
        return -EINVAL;
    if (!sbi_facts.has_hsm)
        return -ENODEV;
    if (task == NULL) {
        struct sbi_result status = sbi_call(SBI_EXT_HSM, SBI_HSM_STATUS, boot_info.cpu_hw_id[cpu], 0, 0);

        return status.error != 0 ? errno_of(status.error) : status.value == SBI_HSM_STOPPED ? 0 : -EAGAIN;
    }
    hart_starts[cpu] = (struct hart_start){
        .hart = boot_info.cpu_hw_id[cpu],
        .satp = satp_of_levels(machine_facts.pt_levels) | root >> PAGE_SHIFT,
        .task = task,
        .entry = (uintptr_t)secondary_virtual,
    };

    /* The other hart's first load is caused by the firmware's write to its interrupt controller: memory before I/O. */
    __asm__ volatile("fence rw, ow" : : : "memory");
    struct sbi_result result =
        sbi_call(SBI_EXT_HSM, SBI_HSM_START, hart_starts[cpu].hart, image_paddr_of((const void *)secondary_start),
                 image_paddr_of(&hart_starts[cpu]));

    return errno_of(result.error);
}

void hal_cpu_poke(cpu_id_t cpu)
{
    if (!sbi_facts.has_ipi) {
        csr_set(sip, SIP_SSIP); /* then there is only this CPU: boot.c saw to that */
        return;
    }
    /* Release: what was stored before is visible to trap_ipi(). The firmware raises the interrupt by an I/O write. */
    __asm__ volatile("fence rw, ow" : : : "memory");
    sbi_call(SBI_EXT_IPI, SBI_IPI_SEND, 1, boot_info.cpu_hw_id[cpu], 0);
}

void hal_cpu_park(void)
{
    hal_irq_disable();
    csr_write(sie, 0);
    if (sbi_facts.has_hsm)
        sbi_call(SBI_EXT_HSM, SBI_HSM_STOP, 0, 0, 0);
    for (;;) /* the firmware cannot: then nobody starts it again */
        __asm__ volatile("wfi");
}
