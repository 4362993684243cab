/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers: the local APIC of each CPU, in x2APIC mode where CPUID offers it, else in xAPIC mode through
 * its register page (SDM vol. 3, chapter 11); the I/O APIC and both 8259 only to keep them quiet. No lock: a local APIC
 * is its CPU's own.
 */
#include <hal/cpu.h>

#include <k/atomic.h>
#include <k/errno.h>

#include "machine.h"
#include "x86.h"

#define APIC_TASK_PRIORITY 0x080u
#define APIC_SPURIOUS 0x0f0u
#define APIC_IN_SERVICE 0x100u /* 8 registers, 0x10 apart */
#define APIC_ERROR_STATUS 0x280u
#define APIC_COMMAND_LOW 0x300u /* x2APIC: one 64-bit register */
#define APIC_COMMAND_HIGH 0x310u
#define APIC_LVT_LINT0 0x350u
#define APIC_LVT_LINT1 0x360u
#define APIC_LVT_ERROR 0x370u

#define APIC_BASE_ENABLE (UINT64_C(1) << 11)
#define APIC_BASE_X2APIC (UINT64_C(1) << 10)
#define APIC_BASE_ADDRESS UINT64_C(0x000ffffffffff000)
#define APIC_SPURIOUS_ENABLE 0x100u
#define APIC_LVT_NMI 0x400u
#define APIC_COMMAND_FIXED 0x0000u
#define APIC_COMMAND_INIT 0x0500u
#define APIC_COMMAND_STARTUP 0x0600u
#define APIC_COMMAND_PENDING 0x1000u
#define APIC_COMMAND_ASSERT 0x4000u
#define APIC_ID_MAX_XAPIC 254u /* 255 is everybody */

/* How long INIT gets before the first start-up IPI, and that before its repetition, which a CPU that took the first one
 * ignores. The 10 ms and 200 us of Intel's MultiProcessor Specification, B.4, are for the external APIC of the 486; no
 * CPU with 64-bit mode has one, and what is left here is margin. */
#define INIT_WAIT_US 100
#define STARTUP_WAIT_US 20

#define PIC1_DATA 0x21
#define PIC2_DATA 0xa1

#define IOAPIC_SELECT 0x00u
#define IOAPIC_WINDOW 0x10u
#define IOAPIC_VERSION 0x01u
#define IOAPIC_REDIRECTION 0x10u /* two registers per pin; the low one has the mask bit */

static RO_AFTER_INIT uintptr_t apic_registers;

/* Read by secondary.S, too. */
RO_AFTER_INIT uint32_t apic_ids[CPU_MAX];
RO_AFTER_INIT uint32_t apic_count;

uint32_t apic_read(uint32_t reg)
{
    return cpu_features.has_x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg / 16) : mmio_read32(apic_registers + reg);
}

void apic_write(uint32_t reg, uint32_t value)
{
    if (cpu_features.has_x2apic)
        wrmsr(MSR_X2APIC + reg / 16, value);
    else
        mmio_write32(apic_registers + reg, value);
}

bool apic_in_service(unsigned vector)
{
    return (apic_read(APIC_IN_SERVICE + vector / 32 * 16) >> (vector % 32) & 1) != 0;
}

void pic_mask_all(void)
{
    out8(PIC1_DATA, 0xff);
    out8(PIC2_DATA, 0xff);
}

void ioapic_mask_all(paddr_t ioapic)
{
    uintptr_t base = direct_map(ioapic);

    mmio_write32(base + IOAPIC_SELECT, IOAPIC_VERSION);
    uint32_t pin_last = mmio_read32(base + IOAPIC_WINDOW) >> 16 & 0xff;

    for (uint32_t pin = 0; pin <= pin_last; pin++) {
        mmio_write32(base + IOAPIC_SELECT, IOAPIC_REDIRECTION + 2 * pin);
        mmio_write32(base + IOAPIC_WINDOW, APIC_LVT_MASKED);
    }
}

void apic_set_id(cpu_id_t cpu, uint32_t apic_id)
{
    apic_ids[cpu] = apic_id;
    apic_count = MAX(apic_count, cpu + 1);
}

paddr_t apic_base(void)
{
    return rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;
}

void apic_init(paddr_t local_apic)
{
    apic_registers = direct_map(local_apic);
    apic_init_cpu();
}

void apic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

    if (cpu_features.has_x2apic) {
        wrmsr(MSR_APIC_BASE, base); /* disabled to x2APIC in one step is not allowed: SDM vol. 3, 11.12.5 */
        base |= APIC_BASE_X2APIC;
    }
    wrmsr(MSR_APIC_BASE, base);
    apic_write(APIC_SPURIOUS, APIC_SPURIOUS_ENABLE | VECTOR_APIC_SPURIOUS);
    apic_write(APIC_TASK_PRIORITY, 0);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
    apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED); /* the firmware's way to the 8259 */
    apic_write(APIC_LVT_LINT1, APIC_LVT_NMI);
    apic_write(APIC_ERROR_STATUS, 0);
    apic_write(APIC_LVT_ERROR, VECTOR_APIC_ERROR);
}

/* Context: interrupts disabled, because xAPIC mode takes two stores that belong together. */
static void apic_command(uint32_t apic_id, uint32_t command)
{
    if (cpu_features.has_x2apic) {
        /* Unlike a store to the register page, WRMSR does not wait for earlier stores: SDM vol. 3, 11.12.3. */
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_X2APIC + APIC_COMMAND_LOW / 16, (uint64_t)apic_id << 32 | command);
        return;
    }
    /* The one before may still be on its way; that ends by itself, whatever its target does. */
    while ((apic_read(APIC_COMMAND_LOW) & APIC_COMMAND_PENDING) != 0)
        hal_cpu_relax();
    apic_write(APIC_COMMAND_HIGH, apic_id << 24);
    compiler_barrier();
    apic_write(APIC_COMMAND_LOW, command);
}

void hal_cpu_poke(cpu_id_t cpu)
{
    uintptr_t state = hal_irq_save();

    /* Stores to uncached memory stay behind all earlier stores, so trap_ipi() sees those. */
    apic_command(apic_ids[cpu], APIC_COMMAND_FIXED | APIC_COMMAND_ASSERT | VECTOR_IPI);
    hal_irq_restore(state);
}

int apic_start_cpu(cpu_id_t cpu, paddr_t page)
{
    uint32_t startup = APIC_COMMAND_STARTUP | APIC_COMMAND_ASSERT | (uint32_t)(page / PAGE_BYTES);

    if (cpu >= apic_count || (!cpu_features.has_x2apic && apic_ids[cpu] > APIC_ID_MAX_XAPIC))
        return -EINVAL;
    uintptr_t state = hal_irq_save();

    apic_command(apic_ids[cpu], APIC_COMMAND_INIT | APIC_COMMAND_ASSERT);
    timer_spin_us(INIT_WAIT_US);
    apic_command(apic_ids[cpu], startup);
    timer_spin_us(STARTUP_WAIT_US);
    apic_command(apic_ids[cpu], startup);
    hal_irq_restore(state);
    return 0;
}
