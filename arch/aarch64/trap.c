/* SPDX-License-Identifier: MIT */
/*
 * Traps, from the frames of entry.S: names the cause (ESR_EL1, ARM D17.2.37) and calls core. Semihosting is here, too,
 * because its absence is a trap. Context: the interrupted stack, IRQ masked.
 */
#include <hal/debug.h>
#include <hal/upcall.h>
#include <hal/user.h>

#include <hal/clock.h>
#include <hal/cpu.h>
#include <k/assert.h>
#include <k/compiler.h>
#include <k/log.h>
#include <k/panic.h>

#include "machine_priv.h"

static_assert(offsetof(struct hal_trap, x[30]) == TRAP_X(30));
static_assert(offsetof(struct hal_trap, sp) == TRAP_SP);
static_assert(offsetof(struct hal_trap, elr) == TRAP_ELR);
static_assert(offsetof(struct hal_trap, spsr) == TRAP_SPSR);
static_assert(offsetof(struct hal_trap, esr) == TRAP_ESR);
static_assert(offsetof(struct hal_trap, far) == TRAP_FAR);
static_assert(offsetof(struct hal_trap, task) == TRAP_TASK);
static_assert(offsetof(struct hal_trap, record) == TRAP_RECORD);
static_assert(sizeof(struct hal_trap) == TRAP_BYTES && TRAP_BYTES % HAL_STACK_ALIGN == 0);

#define ESR_CLASS(esr) ((esr) >> 26 & 0x3f)
#define ESR_STATUS(esr) ((esr) & 0x3f)
#define STATUS_PERMISSION 0x3u /* without the table level */
#define ESR_WRITE 0x40u
#define ESR_CACHE_OPERATION 0x100u /* reports as a write, but needs no right to write */

#define CLASS_FP 0x07u
#define CLASS_INSTRUCTION_ABORT 0x21u /* the class below: the same from user mode */
#define CLASS_DATA_ABORT 0x25u
#define CLASS_BRK 0x3cu

/* entry.S */
extern const char semihost_instruction[];
uint64_t semihost_call(uint64_t operation, const void *argument);
void trap_irq(struct hal_trap *trap);
void trap_user_irq(struct hal_trap *trap);
void trap_user_sync(struct hal_trap *trap);
void trap_sync(struct hal_trap *trap);
[[noreturn]] void trap_bad_stack(struct hal_trap *trap);
[[noreturn]] void trap_fatal(struct hal_trap *trap, unsigned vector);

/* ---- Semihosting ---- */

#define SYS_WRITEC 0x03u
#define SYS_EXIT 0x18u
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

static bool semihost_is_refused; /* set once, by any CPU */

static bool is_semihost(const struct hal_trap *trap)
{
    return trap->elr == (uintptr_t)semihost_instruction;
}

void semihost_exit(int code)
{
    const uint64_t block[2] = { ADP_STOPPED_APPLICATION_EXIT, (uint64_t)code };

    if (!semihost_is_refused)
        (void)semihost_call(SYS_EXIT, block);
}

void semihost_put(char c)
{
    if (!semihost_is_refused)
        (void)semihost_call(SYS_WRITEC, &c);
}

/* ---- Faults ---- */

struct cause {
    enum fault_kind kind;
    const char *name;
};

/* By exception class; what is absent is "unknown trap". */
static const struct cause class_causes[64] = {
    [0x00] = { FAULT_ILLEGAL, "undefined instruction" },
    [0x01] = { FAULT_ILLEGAL, "trapped wfi or wfe" },
    [CLASS_FP] = { FAULT_FPU_OFF, "FP or SIMD use without an area" },
    [0x09] = { FAULT_ILLEGAL, "trapped pointer authentication" },
    [0x0d] = { FAULT_ILLEGAL, "branch target" },
    [0x0e] = { FAULT_ILLEGAL, "illegal execution state" },
    [0x15] = { FAULT_ILLEGAL, "svc in the kernel" },
    [0x16] = { FAULT_ILLEGAL, "hvc" },
    [0x17] = { FAULT_ILLEGAL, "smc" },
    [0x18] = { FAULT_ILLEGAL, "trapped system register" },
    [0x19] = { FAULT_VECTOR_OFF, "SVE use without an area" },
    [0x1d] = { FAULT_ILLEGAL, "SME use" },
    [0x22] = { FAULT_MISALIGNED, "misaligned program counter" },
    [0x26] = { FAULT_MISALIGNED, "misaligned stack pointer" },
    [0x2c] = { FAULT_FLOAT, "trapped FP exception" },
    [0x2f] = { FAULT_OTHER, "SError" },
    [0x30] = { FAULT_STEP, "hardware breakpoint" },
    [0x31] = { FAULT_STEP, "hardware breakpoint" },
    [0x32] = { FAULT_STEP, "software step" },
    [0x33] = { FAULT_STEP, "software step" },
    [0x34] = { FAULT_STEP, "watchpoint" },
    [0x35] = { FAULT_STEP, "watchpoint" },
    [CLASS_BRK] = { FAULT_BREAKPOINT, "brk" },
};

/* An abort's fault status code; the low two bits of the first four groups are the table level. */
static struct cause abort_cause(uint64_t status)
{
    switch (status >> 2) {
    case 0x0:
        return (struct cause){ FAULT_OTHER, "address too large" };
    case 0x1:
        return (struct cause){ FAULT_PAGE, "page fault (not mapped)" };
    case 0x2:
        return (struct cause){ FAULT_PAGE, "page fault (access flag)" };
    case STATUS_PERMISSION:
        return (struct cause){ FAULT_PAGE, "page fault (protection)" };
    default:
        break;
    }
    switch (status) {
    case 0x10:
        return (struct cause){ FAULT_OTHER, "bus error" };
    case 0x21:
        return (struct cause){ FAULT_MISALIGNED, "misaligned access" };
    case 0x30:
        return (struct cause){ FAULT_OTHER, "TLB conflict" };
    default:
        return (struct cause){ FAULT_OTHER, "abort" };
    }
}

static struct fault_info describe(const struct hal_trap *trap)
{
    uint64_t class = ESR_CLASS(trap->esr);
    bool is_exec = (class | 1) == CLASS_INSTRUCTION_ABORT;
    bool is_data = (class | 1) == CLASS_DATA_ABORT;
    struct cause cause = is_exec || is_data ? abort_cause(ESR_STATUS(trap->esr)) : class_causes[class];
    bool is_abort = is_exec || is_data;

    return (struct fault_info){
        .kind = cause.name != NULL ? cause.kind : FAULT_OTHER,
        .address = is_abort ? trap->far : 0,
        .code = trap->esr,
        .name = cause.name != NULL ? cause.name : "unknown trap",
        .is_write = is_data && (trap->esr & (ESR_WRITE | ESR_CACHE_OPERATION)) == ESR_WRITE,
        .is_exec = is_exec,
        .is_present = is_abort && ESR_STATUS(trap->esr) >> 2 == STATUS_PERMISSION,
        .irqs_enabled = (trap->spsr & HAL_DAIF_IRQ_MASKED) == 0,
    };
}

void trap_sync(struct hal_trap *trap)
{
    if (ESR_CLASS(trap->esr) == CLASS_FP && fpu_use(false) != 0)
        return;
    struct fault_info fault = describe(trap);

    if (is_semihost(trap)) {
        semihost_is_refused = true;
        trap->elr += 4;
        return;
    }
    uintptr_t failed_pc = 0;

    if (fault.kind == FAULT_PAGE && fault.address < HAL_USER_END)
        failed_pc = user_failed_pc(trap->elr);
    fault.is_user_access = failed_pc != 0;
    if (trap_fault(trap, &fault))
        return;
    ASSERT(failed_pc != 0);
    trap->elr = failed_pc;
}

/* On the emergency stack. */
void trap_bad_stack(struct hal_trap *trap)
{
    struct fault_info fault = describe(trap);

    if (trap->sp % HAL_STACK_ALIGN == 0) {
        fault.kind = FAULT_STACK_OVERFLOW;
        fault.name = "kernel stack overflow";
    }
    (void)trap_fault(trap, &fault);
    panic_trap(trap, "the kernel's stack is gone");
}

void trap_fatal(struct hal_trap *trap, unsigned vector)
{
    static const char *const names[16] = {
        "synchronous trap on SP_EL0", "IRQ on SP_EL0", "FIQ on SP_EL0", "SError on SP_EL0",
        "synchronous trap", "IRQ", "FIQ", "SError",
        "synchronous trap from user mode", "IRQ from user mode", "FIQ from user mode", "SError from user mode",
        "synchronous trap from AArch32", "IRQ from AArch32", "FIQ from AArch32", "SError from AArch32",
    };

    panic_trap(trap, "%s: the kernel cannot go on (ESR %#llx)", names[vector % ARRAY_COUNT(names)],
               (unsigned long long)trap->esr);
}

/* ---- Interrupts ---- */

/* A timer stays asserted until it is disarmed, and would interrupt again right after the end of interrupt. */
static void interrupt(void)
{
    uint32_t token = gic_acknowledge();
    uint32_t id = gic_id(token);

    if (id == timer_interrupt()) {
        hal_timer_arm(TIME_NEVER);
        gic_end(token);
        trap_timer();
    } else if (id < GIC_NONE) {
        gic_end(token);
        if (id == GIC_SGI_POKE)
            trap_ipi();
        else
            trap_spurious(id);
    }
}

void trap_irq(struct hal_trap *trap)
{
    interrupt();
    trap_exit(trap);
}

/* From user mode. */
void trap_user_irq(struct hal_trap *trap)
{
    interrupt();
    trap_user_exit(trap);
}

/* From user mode, but for system calls. */
void trap_user_sync(struct hal_trap *trap)
{
    struct fault_info fault = describe(trap);

    trap_user_fault(trap, &fault);
    trap_user_exit(trap);
}

/* ---- For the log ---- */

void hal_trap_dump(const struct hal_trap *trap)
{
    log_error("pc  %016llx  lr  %016llx  sp  %016llx", (unsigned long long)trap->elr,
              (unsigned long long)trap->x[30], (unsigned long long)trap->sp);
    log_error("esr %016llx  far %016llx  spsr %08llx", (unsigned long long)trap->esr,
              (unsigned long long)trap->far, (unsigned long long)trap->spsr);
    for (unsigned i = 0; i < 30; i += 3)
        log_error("x%-2u %016llx  x%-2u %016llx  x%-2u %016llx", i, (unsigned long long)trap->x[i], i + 1,
                  (unsigned long long)trap->x[i + 1], i + 2, (unsigned long long)trap->x[i + 2]);
}
