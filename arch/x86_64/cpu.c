/* SPDX-License-Identifier: MIT */
/*
 * What CPUID says, one CPU's descriptor tables and control registers, and the ways out. Nothing is switched on that
 * CPUID does not offer: a wrong CR4 bit or MSR is not always a fault, on emulators it may be silence.
 */
#include <hal/cpu.h>

#include <hal/debug.h>
#include <k/assert.h>
#include <k/log.h>
#include <lib/string.h>

#include "machine.h"
#include "x86.h"

/* CPUID bits: SDM vol. 2, CPUID. */
#define LEAF1_ECX_PCID (1u << 17)
#define LEAF1_ECX_X2APIC (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_XSAVE (1u << 26)
#define LEAF1_ECX_RDRAND (1u << 30)
#define LEAF1_EDX_MCE (1u << 7)
#define LEAF1_EDX_APIC (1u << 9)
#define LEAF7_EBX_SMEP (1u << 7)
#define LEAF7_EBX_INVPCID (1u << 10)
#define LEAF7_EBX_RDSEED (1u << 18)
#define LEAF7_EBX_SMAP (1u << 20)
#define LEAF7_ECX_UMIP (1u << 2)
#define LEAF7 0x07u
#define LEAF_TOPOLOGY 0x0bu
#define LEAF_XSAVE 0x0du
#define LEAF_XSAVE_SUB1_EAX_XSAVEOPT (1u << 0)
#define LEAF_EXTENDED_EDX_1G_PAGES (1u << 26)

/* State components that tasks may use: x87, SSE, AVX, and the three of AVX-512. Not PKRU, which is a right and not a
 * register file, nor AMX, which has to be asked for (SDM vol. 1, 13.1). */
#define XCR0_SSE_X87 UINT64_C(0x03)
#define XCR0_AVX UINT64_C(0x04)
#define XCR0_AVX512 UINT64_C(0xe0)
#define XSAVE_LEGACY_AND_HEADER 576u
#define FXSAVE_BYTES 512u

/* GDT entries: SDM vol. 3, 3.4.5. Base and limit mean nothing in 64-bit mode. */
#define GDT_KERNEL_CODE UINT64_C(0x00af9b000000ffff)
#define GDT_KERNEL_DATA UINT64_C(0x00cf93000000ffff)
#define GDT_USER_DATA UINT64_C(0x00cff3000000ffff)
#define GDT_USER_CODE UINT64_C(0x00affb000000ffff)
#define GDT_TSS_TYPE UINT64_C(0x0000890000000000) /* present, available 64-bit TSS */

/* isa-debug-exit as tools/qemu.py and every QEMU recipe put it; QEMU's exit status is value * 2 + 1. */
#define EXIT_PORT 0xf4
#define EXIT_SUCCESS 0x10u /* status 33 */
#define EXIT_FAILURE_MAX 0x7fu

struct PACKED descriptor_pointer {
    uint16_t limit;
    uint64_t base;
};

RO_AFTER_INIT struct cpu_features cpu_features;
RO_AFTER_INIT bool cpu_has_smap;

/* The boot CPU's, until core has memory: one stack does for both emergencies. */
static struct cpu_block early_block;
static ALIGNED(16) uint8_t early_stack[PAGE_BYTES];

static void detect_xsave(void)
{
    struct cpuid_result r = cpuid(LEAF_XSAVE, 0);
    uint64_t offered = (uint64_t)r.edx << 32 | r.eax;

    cpu_features.cr4 |= CR4_OSXSAVE;
    cpu_features.xcr0 = XCR0_SSE_X87 | (offered & XCR0_AVX);
    if ((offered & XCR0_AVX) != 0 && (offered & XCR0_AVX512) == XCR0_AVX512)
        cpu_features.xcr0 |= XCR0_AVX512;
    cpu_features.has_xsaveopt = (cpuid(LEAF_XSAVE, 1).eax & LEAF_XSAVE_SUB1_EAX_XSAVEOPT) != 0;
    cpu_features.fpu_bytes = XSAVE_LEGACY_AND_HEADER;
    for (uint32_t i = 2; i < 64; i++) {
        if ((cpu_features.xcr0 >> i & 1) == 0)
            continue;
        struct cpuid_result component = cpuid(LEAF_XSAVE, i); /* EAX bytes at offset EBX of the standard format */

        cpu_features.fpu_bytes = MAX(cpu_features.fpu_bytes, component.ebx + component.eax);
    }
}

void cpu_detect(void)
{
    uint32_t leaf_max = cpuid(0, 0).eax;
    struct cpuid_result leaf1 = cpuid(1, 0);
    struct cpuid_result leaf7 = leaf_max >= LEAF7 ? cpuid(LEAF7, 0) : (struct cpuid_result){ 0 };

    cpu_features.has_local_apic = (leaf1.edx & LEAF1_EDX_APIC) != 0;
    cpu_features.has_x2apic = (leaf1.ecx & LEAF1_ECX_X2APIC) != 0;
    cpu_features.has_tsc_deadline = (leaf1.ecx & LEAF1_ECX_TSC_DEADLINE) != 0;
    cpu_features.has_asids = (leaf1.ecx & LEAF1_ECX_PCID) != 0 && (leaf7.ebx & LEAF7_EBX_INVPCID) != 0;
    cpu_features.has_xsave = (leaf1.ecx & LEAF1_ECX_XSAVE) != 0 && leaf_max >= LEAF_XSAVE;

    /* PAE, PGE and FXSAVE with SSE come with 64-bit mode. */
    cpu_features.cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu_features.cr4 |= (leaf1.edx & LEAF1_EDX_MCE) != 0 ? CR4_MCE : 0;
    cpu_features.cr4 |= (leaf7.ebx & LEAF7_EBX_SMEP) != 0 ? CR4_SMEP : 0;
    cpu_features.cr4 |= (leaf7.ebx & LEAF7_EBX_SMAP) != 0 ? CR4_SMAP : 0;
    cpu_features.cr4 |= (leaf7.ecx & LEAF7_ECX_UMIP) != 0 ? CR4_UMIP : 0;
    cpu_has_smap = (cpu_features.cr4 & CR4_SMAP) != 0;
    /* May be set in 64-bit mode only, and while CR3's low 12 bits are 0 (SDM vol. 3, 4.10.1): so they are until the
     * first hal_mmu_activate(). */
    cpu_features.cr4 |= cpu_features.has_asids ? CR4_PCIDE : 0;

    cpu_features.fpu_bytes = FXSAVE_BYTES;
    if (cpu_features.has_xsave)
        detect_xsave();
    if ((cpuid(CPUID_EXTENDED_FEATURES, 0).edx & LEAF_EXTENDED_EDX_1G_PAGES) != 0)
        x86_leaf_level_max = 2;
}

bool cpu_has_rdrand(void)
{
    return (cpuid(1, 0).ecx & LEAF1_ECX_RDRAND) != 0;
}

bool cpu_has_rdseed(void)
{
    return cpuid(0, 0).eax >= LEAF7 && (cpuid(LEAF7, 0).ebx & LEAF7_EBX_RDSEED) != 0;
}

uint32_t cpu_apic_id(void)
{
    if (cpuid(0, 0).eax >= LEAF_TOPOLOGY) {
        struct cpuid_result r = cpuid(LEAF_TOPOLOGY, 0);

        if (r.ebx != 0)
            return r.edx;
    }
    return cpuid(1, 0).ebx >> 24;
}

/* GDT, TSS and GS base. The GDT must be writable: LTR marks the TSS busy in it. */
static void block_activate(struct cpu_block *block, struct task *task, uint8_t *fault_stack_top, uint8_t *nmi_stack_top)
{
    uint64_t tss = (uintptr_t)&block->tss;

    block->current = task;
    memset(&block->tss, 0, sizeof block->tss);
    block->tss.interrupt_stack[IST_FAULT - 1] = (uintptr_t)fault_stack_top;
    block->tss.interrupt_stack[IST_NMI - 1] = (uintptr_t)nmi_stack_top;
    block->tss.io_map_offset = sizeof block->tss; /* behind the limit: no port is open to user mode */

    memset(block->gdt, 0, sizeof block->gdt);
    block->gdt[SELECTOR_KERNEL_CODE / 8] = GDT_KERNEL_CODE;
    block->gdt[SELECTOR_KERNEL_DATA / 8] = GDT_KERNEL_DATA;
    block->gdt[SELECTOR_USER_DATA / 8] = GDT_USER_DATA;
    block->gdt[SELECTOR_USER_CODE / 8] = GDT_USER_CODE;
    block->gdt[SELECTOR_TSS / 8] = GDT_TSS_TYPE | (sizeof block->tss - 1) | (tss & 0xffffff) << 16 |
                                   (tss >> 24 & 0xff) << 56;
    block->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;

    struct descriptor_pointer gdt = { sizeof block->gdt - 1, (uintptr_t)block->gdt };

    /* CS, SS and the rest keep their selectors, which mean the same in the boot GDT. */
    __asm__ volatile("lgdt %0" ::"m"(gdt) : "memory");
    __asm__ volatile("ltr %w0" ::"r"(SELECTOR_TSS) : "memory");
    wrmsr(MSR_GS_BASE, (uintptr_t)block);
    wrmsr(MSR_KERNEL_GS_BASE, 0); /* the user's, once there is one */
}

static const char *if_on(uint64_t flag, const char *name)
{
    return (cpu_features.cr4 & flag) != 0 ? name : "";
}

void hal_cpu_init(cpu_id_t cpu, struct task *task, void *area_memory)
{
    struct cpu_area *area = area_memory;

    if (area == NULL)
        block_activate(&early_block, task, early_stack + sizeof early_stack, early_stack + sizeof early_stack);
    else
        block_activate(&area->block, task, area->fault_stack + sizeof area->fault_stack,
                       area->nmi_stack + sizeof area->nmi_stack);
    trap_init_cpu();
    /* Only now can an assertion fail in good order. */
    ASSERT(IS_ALIGNED((uintptr_t)area, PAGE_BYTES) && (area != NULL || cpu == 0));
    write_cr4(cpu_features.cr4);
    if (cpu_has_smap)
        __asm__ volatile("clac" ::: "memory", "cc");
    fpu_init_cpu();
    apic_init_cpu();
    timer_init_cpu();
    if (cpu == 0 && area != NULL)
        log_debug("cpu: walls: WP NX%s%s%s", if_on(CR4_SMEP, " SMEP"), if_on(CR4_SMAP, " SMAP"),
                  if_on(CR4_UMIP, " UMIP"));
}

/* An INIT, which hal_cpu_start() sends, ends the halt, whatever is masked (SDM vol. 3, 8.4.3). */
void hal_cpu_park(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}

void hal_machine_exit(int code)
{
    uint32_t failure = (uint32_t)code & EXIT_FAILURE_MAX;

    /* 0 would be status 1, which QEMU also uses for its own errors, and EXIT_SUCCESS must not be hit by chance. */
    if (failure == 0 || failure == EXIT_SUCCESS)
        failure = EXIT_FAILURE_MAX;
    out32(EXIT_PORT, code == 0 ? EXIT_SUCCESS : failure);
    hal_cpu_park();
}
