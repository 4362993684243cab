/* SPDX-License-Identifier: MIT */
/*
 * What a trap was, for core: interrupts are acknowledged and passed on, faults are named. Repairs nothing itself.
 * No lock: a trap belongs to its hart.
 */
#include <hal/cpu.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <hal/upcall.h>
#include <hal/user.h>
#include <k/assert.h>
#include <k/log.h>

#include "machine_priv.h"

#define CAUSE_ILLEGAL 2
#define CAUSE_STORE_PAGE_FAULT 15

struct cause_fact {
    enum fault_kind kind;
    const char *name;
    bool has_address;
    bool is_write;
    bool is_exec;
};

/* Privileged Architecture, table of section 10.1.8. */
static const struct cause_fact cause_facts[] = {
    [0] = { FAULT_MISALIGNED, "instruction address misaligned", true, false, true },
    [1] = { FAULT_OTHER, "instruction access fault", true, false, true },
    [CAUSE_ILLEGAL] = { FAULT_ILLEGAL, "illegal instruction", false, false, false },
    [3] = { FAULT_BREAKPOINT, "breakpoint", false, false, false },
    [4] = { FAULT_MISALIGNED, "load address misaligned", true, false, false },
    [5] = { FAULT_OTHER, "load access fault", true, false, false },
    [6] = { FAULT_MISALIGNED, "store address misaligned", true, true, false },
    [7] = { FAULT_OTHER, "store access fault", true, true, false },
    [8] = { FAULT_OTHER, "environment call from U-mode", false, false, false },
    [12] = { FAULT_PAGE, "instruction page fault", true, false, true },
    [13] = { FAULT_PAGE, "load page fault", true, false, false },
    [CAUSE_STORE_PAGE_FAULT] = { FAULT_PAGE, "store page fault", true, true, false },
};

static NOINLINE void handle_interrupt(const struct hal_trap *trap)
{
    unsigned source = (unsigned)(trap->scause & ~SCAUSE_INTERRUPT);

    if (source == IRQ_SOFTWARE) {
        /* Before the call: a poke that comes from now on raises the interrupt anew, and none is lost. */
        csr_clear(sip, SIP_SSIP);
        trap_ipi();
    } else if (source == IRQ_TIMER) {
        timer_acknowledge();
        trap_timer();
    } else {
        /* No driver enabled it, so nobody can quieten its source: mask it. */
        csr_clear(sie, UINT64_C(1) << source);
        trap_spurious(source);
    }
}

/* The instruction word, from stval where the hart reports it, else from memory: it has just been fetched there. */
static NOINLINE uint32_t illegal_instruction(const struct hal_trap *trap)
{
    if (trap->stval != 0 || (trap->sstatus & SSTATUS_SPP) == 0)
        return (uint32_t)trap->stval;

    const uint16_t *parcel = (const uint16_t *)trap->pc;
    uint32_t word = parcel[0];

    return (word & 3) == 3 ? word | (uint32_t)parcel[1] << 16 : word;
}

/* Is it one that the FPU or the vector unit would run? (Unprivileged Architecture, instruction listings.) */
static NOINLINE bool is_fpu_instruction(uint32_t word)
{
    unsigned funct3 = word >> 13 & 7;
    unsigned csr = word >> 20;

    switch (word & 3) {
    case 0: /* C.FLD, C.FSD */
    case 2: /* C.FLDSP, C.FSDSP */
        return funct3 == 1 || funct3 == 5;
    case 1:
        return false;
    }
    switch (word & 0x7f) {
    case 0x07: /* LOAD-FP, vector loads */
    case 0x27: /* STORE-FP, vector stores */
    case 0x43: /* fused multiply-add */
    case 0x47:
    case 0x4b:
    case 0x4f:
    case 0x53: /* OP-FP */
    case 0x57: /* OP-V */
        return true;
    case 0x73: /* SYSTEM: fflags frm fcsr; vstart vxsat vxrm vcsr; vl vtype vlenb */
        return (word >> 12 & 3) != 0 &&
               ((csr >= 0x001 && csr <= 0x003) || (csr >= 0x008 && csr <= 0x00f) || (csr >= 0xc20 && csr <= 0xc22));
    }
    return false;
}

/* Is it one that a program may repeat when it has a vector area? A hart that does not say what was illegal may mean
 * any: one more try shows it. */
static bool wants_vectors(const struct hal_trap *trap, uint32_t word)
{
    unsigned width = word >> 12 & 7, csr = word >> 20;

    if (machine_facts.vlenb == 0 || (trap->sstatus & (SSTATUS_SPP | SSTATUS_VS)) != 0 ||
        (csr_read(sstatus) & SSTATUS_FS) == 0)
        return false;
    switch (word & 0x7f) {
    case 0:
        return word == 0;
    case 0x07:
    case 0x27: /* the widths 1 to 4 are scalars' */
        return width == 0 || width >= 5;
    case 0x57:
        return true;
    case 0x73:
        return (width & 3) != 0 && ((csr >= 0x008 && csr <= 0x00f) || (csr >= 0xc20 && csr <= 0xc22));
    }
    return false;
}

static struct fault_info describe(const struct hal_trap *trap)
{
    static const struct cause_fact unknown = { FAULT_OTHER, "unknown exception", false, false, false };
    const struct cause_fact *fact = &unknown;

    if (trap->scause < ARRAY_COUNT(cause_facts) && cause_facts[trap->scause].name != NULL)
        fact = &cause_facts[trap->scause];

    struct fault_info fault = {
        .kind = fact->kind,
        .address = fact->has_address ? trap->stval : 0,
        .code = trap->scause,
        .name = fact->name,
        .is_write = fact->is_write,
        .is_exec = fact->is_exec,
        .irqs_enabled = (trap->sstatus & SSTATUS_SPIE) != 0,
    };

    if (trap->scause == CAUSE_ILLEGAL && wants_vectors(trap, illegal_instruction(trap))) {
        fault.kind = FAULT_VECTOR_OFF;
        fault.name = "vector unit off";
    } else if (trap->scause == CAUSE_ILLEGAL && is_fpu_instruction(illegal_instruction(trap))) {
        fault.kind = FAULT_FPU_OFF;
        fault.name = "floating-point or vector unit off";
    }
    return fault;
}

/* Any instruction may be illegal because the units have been off so far in this turn: it is tried once more. */
static bool is_first_use(const struct hal_trap *trap)
{
    return trap->scause == CAUSE_ILLEGAL && fpu_use();
}

static void handle_fault(struct hal_trap *trap)
{
    if (is_first_use(trap))
        return;

    struct fault_info fault = describe(trap);
    uintptr_t failed_pc = 0;

    if (fault.kind == FAULT_PAGE && fault.address < HAL_USER_END)
        failed_pc = user_failed_pc(trap->pc);
    fault.is_user_access = failed_pc != 0;
    if (trap_fault(trap, &fault))
        return;
    ASSERT(failed_pc != 0);
    trap->pc = failed_pc;
}

/* Core cannot report anything before hal_cpu_init(). */
static void die_if_early(const struct hal_trap *trap)
{
    if (hal_current() == NULL)
        boot_die("exception before the kernel was up: scause %lu, pc 0x%lx, stval 0x%lx", trap->scause, trap->pc,
                 trap->stval);
}

void trap_handle(struct hal_trap *trap)
{
    die_if_early(trap);
    if ((trap->scause & SCAUSE_INTERRUPT) != 0) {
        handle_interrupt(trap);
        trap_exit(trap);
    } else {
        handle_fault(trap);
    }
}

/* From user mode, but for system calls. */
void trap_handle_user(struct hal_trap *trap)
{
    if ((trap->scause & SCAUSE_INTERRUPT) != 0) {
        handle_interrupt(trap);
    } else if (!is_first_use(trap)) {
        struct fault_info fault = describe(trap);

        trap_user_fault(trap, &fault);
    }
    trap_user_exit(trap);
}

/* scause and stval are those of the store that could not be done. */
void trap_handle_overflow(struct hal_trap *trap)
{
    struct fault_info fault = {
        .kind = FAULT_STACK_OVERFLOW,
        .address = trap->stval,
        .code = trap->scause,
        .name = "kernel stack overflow",
        .is_write = true,
    };

    die_if_early(trap);
    (void)trap_fault(trap, &fault);
    hal_cpu_park();
}

void hal_trap_dump(const struct hal_trap *trap)
{
    static const char *const names[31] = {
        "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5", "a6",
        "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    };

    log_error("pc  %016lx  sstatus %lx  scause %lx  stval %016lx", trap->pc, trap->sstatus, trap->scause, trap->stval);
    for (unsigned i = 0; i + 3 < ARRAY_COUNT(names); i += 4)
        log_error("%-3s %016lx  %-3s %016lx  %-3s %016lx  %-3s %016lx", names[i], trap->x[i], names[i + 1],
                  trap->x[i + 1], names[i + 2], trap->x[i + 2], names[i + 3], trap->x[i + 3]);
    log_error("%-3s %016lx  %-3s %016lx  %-3s %016lx", names[28], trap->x[28], names[29], trap->x[29], names[30],
              trap->x[30]);
}
