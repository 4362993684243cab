/* SPDX-License-Identifier: MIT */
/*
 * Traps: the interrupt descriptor table, and from a vector to one of core's upcalls. Interrupts are acknowledged before
 * the upcall, because the upcall may switch tasks. No lock.
 */
#include <hal/debug.h>
#include <hal/upcall.h>
#include <hal/user.h>

#include <k/assert.h>
#include <k/log.h>

#include "machine.h"
#include "x86.h"

/* SDM vol. 3, 6.15: vector numbers that are more than a name. */
#define VECTOR_DIVIDE 0
#define VECTOR_DEBUG 1
#define VECTOR_NMI 2
#define VECTOR_BREAKPOINT 3
#define VECTOR_OVERFLOW 4
#define VECTOR_INVALID_OPCODE 6
#define VECTOR_DEVICE_NOT_AVAILABLE 7
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_PAGE_FAULT 14
#define VECTOR_X87 16
#define VECTOR_ALIGNMENT 17
#define VECTOR_MACHINE_CHECK 18
#define VECTOR_SIMD 19

#define PAGE_FAULT_PRESENT 0x01u
#define PAGE_FAULT_WRITE 0x02u
#define PAGE_FAULT_FETCH 0x10u

#define GATE_INTERRUPT 0x8eu /* present, for the kernel only, disables interrupts */
#define GATE_FOR_USERS 0x60u /* INT n from user mode reaches it */
#define USER_PRIVILEGE 3u

/* SDM vol. 3, figure 6-8. */
struct PACKED gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
static_assert(sizeof(struct gate) == 16);

extern const uint8_t trap_vectors[];

static RO_AFTER_INIT struct gate idt[VECTOR_COUNT];

static const char *const exception_names[VECTOR_EXCEPTIONS] = {
    "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound range", "#UD invalid opcode",
    "#NM device not available", "#DF double fault", "coprocessor overrun", "#TS invalid TSS", "#NP segment not present",
    "#SS stack segment", "#GP general protection", "#PF page fault", "vector 15", "#MF x87 error",
    "#AC alignment check", "#MC machine check", "#XM SIMD error", "#VE virtualization", "#CP control protection",
    "vector 22", "vector 23", "vector 24", "vector 25", "vector 26", "vector 27", "#HV hypervisor injection",
    "#VC VMM communication", "#SX security", "vector 31",
};

static uint8_t vector_stack(unsigned vector)
{
    switch (vector) {
    case VECTOR_DOUBLE_FAULT:
        return IST_FAULT;
    case VECTOR_NMI:
    case VECTOR_MACHINE_CHECK:
        return IST_NMI;
    default:
        return 0; /* the interrupted stack */
    }
}

void trap_init(void)
{
    for (unsigned vector = 0; vector < VECTOR_COUNT; vector++) {
        uintptr_t entry = (uintptr_t)trap_vectors + vector * VECTOR_ENTRY_BYTES;

        idt[vector] = (struct gate){
            .offset_low = (uint16_t)entry,
            .offset_middle = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
            .selector = SELECTOR_KERNEL_CODE,
            .ist = vector_stack(vector),
            .type = vector == VECTOR_BREAKPOINT || vector == VECTOR_OVERFLOW ? GATE_INTERRUPT | GATE_FOR_USERS
                                                                             : GATE_INTERRUPT,
        };
    }
}

void trap_init_cpu(void)
{
    struct PACKED {
        uint16_t limit;
        uint64_t base;
    } pointer = { sizeof idt - 1, (uintptr_t)idt };

    __asm__ volatile("lidt %0" ::"m"(pointer) : "memory");
}

/* The CPU could not push a trap's frame: if what it last failed to reach lies at the stack pointer, the stack is full
 * and the guard page below it was hit. SDM vol. 3, 6.15 calls the saved state of a double fault undefined, but every
 * CPU with IST saves that of the first fault. */
static bool is_stack_overflow(const struct hal_trap *trap, uintptr_t address)
{
    return address + PAGE_BYTES > trap->rsp && address < trap->rsp + PAGE_BYTES;
}

static struct fault_info describe(const struct hal_trap *trap)
{
    struct fault_info fault = {
        .kind = FAULT_OTHER,
        .code = trap->error,
        .name = exception_names[trap->vector],
        .irqs_enabled = (trap->rflags & X86_FLAGS_IF) != 0,
    };

    switch (trap->vector) {
    case VECTOR_PAGE_FAULT:
        fault.kind = FAULT_PAGE;
        fault.address = read_cr2();
        fault.is_write = (trap->error & PAGE_FAULT_WRITE) != 0;
        fault.is_exec = (trap->error & PAGE_FAULT_FETCH) != 0;
        fault.is_present = (trap->error & PAGE_FAULT_PRESENT) != 0;
        break;
    case VECTOR_DOUBLE_FAULT:
        fault.address = read_cr2();
        fault.kind = is_stack_overflow(trap, fault.address) ? FAULT_STACK_OVERFLOW : FAULT_OTHER;
        break;
    case VECTOR_DEVICE_NOT_AVAILABLE:
        fault.kind = FAULT_FPU_OFF;
        break;
    case VECTOR_INVALID_OPCODE:
        fault.kind = FAULT_ILLEGAL;
        break;
    case VECTOR_BREAKPOINT:
        fault.kind = FAULT_BREAKPOINT;
        break;
    case VECTOR_DEBUG:
        fault.kind = FAULT_STEP;
        break;
    case VECTOR_DIVIDE:
        fault.kind = FAULT_DIVIDE;
        break;
    case VECTOR_X87:
    case VECTOR_SIMD:
        fault.kind = FAULT_FLOAT;
        break;
    case VECTOR_ALIGNMENT:
        fault.kind = FAULT_MISALIGNED;
        break;
    default:
        break;
    }
    return fault;
}

static bool is_from_user(const struct hal_trap *trap)
{
    return (trap->cs & USER_PRIVILEGE) != 0;
}

static void trap_exception(struct hal_trap *trap)
{
    struct fault_info fault = describe(trap);
    uintptr_t failed_pc = 0;

    if (fault.kind == FAULT_PAGE && fault.address < HAL_USER_END)
        failed_pc = user_failed_pc(trap->rip);
    fault.is_user_access = failed_pc != 0;
    if (trap_fault(trap, &fault))
        return;
    ASSERT(failed_pc != 0);
    trap->rip = failed_pc;
}

/* An end of interrupt belongs to what the local APIC delivered, not to INT n or a stray 8259. */
static void trap_unexpected(unsigned vector)
{
    if (apic_in_service(vector))
        apic_write(APIC_EOI, 0);
    trap_spurious(vector);
}

static NOINLINE void trap_interrupt(const struct hal_trap *trap)
{
    switch (trap->vector) {
    case VECTOR_TIMER:
        apic_write(APIC_EOI, 0);
        trap_timer();
        break;
    case VECTOR_IPI:
        apic_write(APIC_EOI, 0);
        trap_ipi();
        break;
    default:
        trap_unexpected((unsigned)trap->vector);
        break;
    }
}

/* From user mode, but for SYSCALL. What comes on a stack of its own is about the machine, whoever ran. */
static NOINLINE void trap_enter_user(struct hal_trap *trap)
{
    if (trap->vector >= VECTOR_EXCEPTIONS) {
        trap_interrupt(trap);
    } else if (vector_stack((unsigned)trap->vector) != 0) {
        trap_exception(trap);
        return;
    } else {
        struct fault_info fault = describe(trap);

        trap_user_fault(trap, &fault);
    }
    trap_user_exit(trap);
}

void trap_enter(struct hal_trap *trap)
{
    if (is_from_user(trap)) {
        trap_enter_user(trap);
    } else if (trap->vector < VECTOR_EXCEPTIONS) {
        trap_exception(trap);
    } else {
        trap_interrupt(trap);
        if ((trap->rflags & X86_FLAGS_IF) != 0)
            trap_exit(trap);
    }
}

void hal_trap_dump(const struct hal_trap *trap)
{
#define R(name) ((unsigned long)trap->name)
    log_error("  rip %016lx  rsp %016lx  rflags %08lx  cs %lx  ss %lx", R(rip), R(rsp), R(rflags), R(cs), R(ss));
    log_error("  vector %lu  error %lx  cr2 %016lx  cr3 %lx", R(vector), R(error), (unsigned long)read_cr2(),
              (unsigned long)read_cr3());
    log_error("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", R(rax), R(rbx), R(rcx), R(rdx));
    log_error("  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", R(rsi), R(rdi), R(rbp), R(r8));
    log_error("  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", R(r9), R(r10), R(r11), R(r12));
    log_error("  r13 %016lx  r14 %016lx  r15 %016lx", R(r13), R(r14), R(r15));
#undef R
}
