/* SPDX-License-Identifier: MIT */
/* Private to this machine: its structs, and what its files call in each other. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal_machine.h>
#include <k/compiler.h>
#include <k/limits.h>
#include <k/types.h>
#include <parse/acpi.h>

#include "layout.h"

struct boot_info;

/* ---- what CPUID says (cpu.c) -------------------------------------------------------------------------------- */

/* Written by cpu_detect() on the boot CPU. The others are taken to be alike, as every x86 system since SMP requires. */
struct cpu_features {
    bool has_local_apic;
    bool has_x2apic;
    bool has_tsc_deadline;
    bool has_xsave;
    bool has_xsaveopt;
    bool has_asids;     /* PCID and INVPCID; on from hal_cpu_init() on */
    uint64_t cr4;       /* all the bits of CR4 that we use and this CPU has */
    uint64_t xcr0;      /* state components that we save; 0 without XSAVE */
};
extern struct cpu_features cpu_features;

/* Is CR4.SMAP set, so that STAC and CLAC exist? For user.S and entry.S. */
extern bool cpu_has_smap;

void cpu_detect(void);

/* Are there generators of random numbers? From CPUID, at any time. */
bool cpu_has_rdrand(void);
bool cpu_has_rdseed(void);

/* APIC id of the CPU that runs this, from CPUID: valid in every APIC mode, and before any. */
uint32_t cpu_apic_id(void);

/* "cannot start: REASON" on the console, and out. For the time before kmain(), when panic() does not work yet. */
[[noreturn]] void boot_fail(const char *reason) COLD;

/* A complaint about the firmware, for the same time. */
void boot_warn(const char *text) COLD;

/* places.c: cores, caches and nodes of boot->cpu_hw_id[]; NULL: ACPI has no such table. */
struct acpi_table;
struct boot_info;
void places_take(struct boot_info *boot, const struct acpi_table *srat_table, const struct acpi_table *slit);

/* ---- one CPU ------------------------------------------------------------------------------------------------ */

/* SDM vol. 3, figure 8-11. */
struct PACKED task_state_segment {
    uint32_t reserved0;
    uint64_t stack[3]; /* by privilege level; [0] is where a trap from user mode would land */
    uint64_t reserved1;
    uint64_t interrupt_stack[7]; /* IST 1..7 */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_offset;
};
static_assert(sizeof(struct task_state_segment) == 104);

#define IST_FAULT 1 /* double faults: a kernel stack has overflowed */
#define IST_NMI 2   /* NMI and machine check: may come at any instruction */

#define GDT_ENTRIES 8

struct cpu_block {
    struct task *current; /* hal_current() */
    uint64_t gdt[GDT_ENTRIES];
    struct task_state_segment tss;
    uint64_t user_sp; /* entry.S */
};
static_assert(offsetof(struct cpu_block, tss) + offsetof(struct task_state_segment, stack) == CPU_USER_STACK);
static_assert(offsetof(struct cpu_block, user_sp) == CPU_USER_SP);
static_assert(offsetof(struct cpu_block, current) == CPU_CURRENT);
static_assert(SELECTOR_TSS / 8 + 2 <= GDT_ENTRIES);

/* The memory that core passes to hal_cpu_init(): four pages. An emergency is reported on these stacks, and then the
 * machine stops: one that is too small costs the rest of the report. */
#define FAULT_STACK_BYTES (2 * PAGE_BYTES)
#define NMI_STACK_BYTES (2 * PAGE_BYTES - 256)

struct cpu_area {
    ALIGNED(256) struct cpu_block block;
    ALIGNED(256) uint8_t nmi_stack[NMI_STACK_BYTES];
    uint8_t fault_stack[FAULT_STACK_BYTES];
};
static_assert(sizeof(struct cpu_area) == HAL_CPU_AREA_BYTES);

static_assert(offsetof(struct hal_context, stack_pointer) == CONTEXT_STACK_POINTER);
static_assert(offsetof(struct hal_context, user_stack) == CONTEXT_USER_STACK);
static_assert(HAL_DIRECT_MAP_BASE == DIRECT_MAP_BASE);

/* ---- traps (entry.S, trap.c) -------------------------------------------------------------------------------- */

#define VECTOR_COUNT 256
#define VECTOR_EXCEPTIONS 32 /* 0..31 are the CPU's own */
#define VECTOR_PIC 0x20      /* both 8259 are masked; their spurious interrupts still come: 0x27 and 0x2f */
#define VECTOR_TIMER 0xf0
#define VECTOR_IPI 0xf1
#define VECTOR_APIC_ERROR 0xfe
#define VECTOR_APIC_SPURIOUS 0xff

static_assert(offsetof(struct hal_trap, r15) == TRAP_R15 && offsetof(struct hal_trap, r11) == TRAP_R11);
static_assert(offsetof(struct hal_trap, r10) == TRAP_R10 && offsetof(struct hal_trap, r9) == TRAP_R9);
static_assert(offsetof(struct hal_trap, arg) == TRAP_RDI && offsetof(struct hal_trap, r8) == TRAP_R8);
static_assert(offsetof(struct hal_trap, rcx) == TRAP_RCX && offsetof(struct hal_trap, rbx) == TRAP_RBX);
static_assert(offsetof(struct hal_trap, rbp) == TRAP_RBP && offsetof(struct hal_trap, rax) == TRAP_RAX);
static_assert(offsetof(struct hal_trap, rsp) == TRAP_RSP);
static_assert(offsetof(struct hal_trap, rip) == TRAP_RIP);
static_assert(offsetof(struct hal_trap, rflags) == TRAP_RFLAGS);
static_assert(sizeof(struct hal_trap) == TRAP_BYTES);
static_assert(offsetof(struct hal_trap, frame_next) == HAL_FRAME_NEXT);
static_assert(offsetof(struct hal_trap, frame_return) == HAL_FRAME_RETURN);

void trap_init(void);     /* once: build the IDT */
void trap_init_cpu(void); /* on each CPU: load it */
void trap_enter(struct hal_trap *trap);
void trap_enter_call(void);
[[noreturn]] void user_enter(struct hal_trap *trap);

/* user.c: where to go on when the access to user memory at pc fails; 0: there is none at pc. */
uintptr_t user_failed_pc(uintptr_t pc);

/* ---- interrupt controller and timer (apic.c, timer.c) -------------------------------------------------------- */

#define APIC_EOI 0x0b0u
#define APIC_LVT_TIMER 0x320u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE 0x3e0u

#define APIC_LVT_MASKED (1u << 16)
#define APIC_LVT_TSC_DEADLINE (2u << 17)
#define APIC_DIVIDE_BY_1 0x0bu

void pic_mask_all(void);
void ioapic_mask_all(paddr_t ioapic);

/* Where the CPU says that its local APIC's registers are. */
paddr_t apic_base(void);

/* Once: remember where the registers are and switch this CPU's local APIC on. */
void apic_init(paddr_t local_apic);
void apic_init_cpu(void);
void apic_set_id(cpu_id_t cpu, uint32_t apic_id);

uint32_t apic_read(uint32_t reg);
void apic_write(uint32_t reg, uint32_t value);

/* Is this vector in service, so that it wants an end of interrupt? */
bool apic_in_service(unsigned vector);

/* INIT, then start-up IPIs that make `cpu` execute at `page` (below 1 MiB). -EINVAL: no such CPU, or out of reach. */
int apic_start_cpu(cpu_id_t cpu, paddr_t page) MUST_USE;

/* Once, after apic_init(): find the rates. hpet 0 or pm_timer_port 0: there is none. Returns the clock's rate. */
uint64_t timer_calibrate(paddr_t hpet, uint16_t pm_timer_port);
void timer_init_cpu(void);

/* Busy-wait; the rates are known. */
void timer_spin_us(uint64_t us);

/* ---- the rest ------------------------------------------------------------------------------------------------ */

void uart_init(void);
void rtc_read(const struct acpi_fadt *fadt, struct boot_info *boot); /* wall_ns and wall_at_ticks, if there is one */
void fpu_init_cpu(void);

/* Put the start-up code of the other CPUs into the page at `page`. */
void secondary_install(paddr_t page);

/* Where the early tables, and later core's, show physical memory. Early: the first 4 GiB. */
static inline uintptr_t direct_map(paddr_t pa)
{
    return HAL_DIRECT_MAP_BASE + pa;
}
#define EARLY_MAP_BYTES (UINT64_C(4) << 30)
