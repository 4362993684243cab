/* SPDX-License-Identifier: MIT */
/*
 * The calls that a machine makes into core: these and no others. The machine has already switched to a kernel stack,
 * saved what C may clobber, and disabled interrupts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/types.h>

struct boot_info;
struct fault_info;
struct hal_trap;

/* Once, on the boot CPU, on any valid stack of >= 16 KiB, kernel half mapped, interrupts disabled. hal_cpu_init() has
 * not been called; the console works. */
[[noreturn]] void kmain(struct boot_info *boot);

/* Interrupts. The source is acknowledged (end of interrupt sent) BEFORE the call: a switch may follow. The machine then
 * calls trap_exit() as the last thing before it restores the registers. */
void trap_timer(void);
void trap_ipi(void);
void trap_spurious(unsigned vector); /* nobody asked for it: counted and logged */

/*
 * User mode (hal/usermode.h). `trap` is the one that hal_user_enter() was given by the running task. Each is called
 * with interrupts disabled, and returns with interrupts disabled.
 *
 * A system call, in two steps: trap_syscall() returns what trap_syscall_end() is to be given, and may return with
 * interrupts enabled. They are two so that neither needs a frame. The registers that C preserves need not have been
 * stored in `trap` yet. 0 from the second: back to the user, and what C preserves is untouched. Else all registers
 * matter: the machine completes `trap`, calls trap_user_work() with the returned value, and then loads all registers
 * from `trap`.
 */
int64_t trap_syscall(struct hal_trap *trap);
unsigned trap_syscall_end(struct hal_trap *trap, int64_t result);
void trap_user_work(struct hal_trap *trap, unsigned what);

/* A synchronous fault in user mode, instead of trap_fault(). */
void trap_user_fault(struct hal_trap *trap, const struct fault_info *fault);

/* The last thing after an interrupt or fault that came from user mode; instead of trap_exit(). */
void trap_user_exit(struct hal_trap *trap);

/* The preemption point. May switch to another task and return much later, on another CPU. Only for a trap that
 * interrupted code with interrupts enabled. */
void trap_exit(struct hal_trap *trap);

/* A synchronous fault in kernel mode. */
enum fault_kind {
    FAULT_PAGE,           /* address: what was accessed */
    FAULT_STACK_OVERFLOW, /* found by the machine; runs on an emergency stack of this CPU */
    FAULT_FPU_OFF,        /* floating point or vector use by a task without an area */
    FAULT_VECTOR_OFF,     /* a user's use of vector registers that its area has no room for: HAL_VECTOR_BYTES */
    FAULT_ILLEGAL,        /* instruction */
    FAULT_BREAKPOINT,
    FAULT_STEP,           /* single step, watchpoint: only of a user */
    FAULT_DIVIDE,         /* integer division by 0, or a quotient too large */
    FAULT_FLOAT,          /* an enabled floating-point exception */
    FAULT_MISALIGNED,
    FAULT_OTHER,
};

struct fault_info {
    enum fault_kind kind;
    uintptr_t address;   /* 0 if it has none */
    uintptr_t code;      /* the machine's own cause word, for the log */
    const char *name;    /* static: "page fault", "#GP", ... */
    bool is_write;
    bool is_exec;
    bool is_present;     /* an entry is there and forbids it; false as well where the machine does not tell */
    bool is_user_access; /* FAULT_PAGE, by hal_user_copy() or hal_user_cas(), below HAL_USER_END */
    bool irqs_enabled;   /* in the code that was interrupted */
};

/* True: go on where it was, and try again. False, for is_user_access only: the access fails. Every other fault in
 * kernel code is a bug of ours, and panics. May enable interrupts, sleep, and return on another CPU, if the interrupted
 * code may; returns with interrupts disabled. */
bool trap_fault(struct hal_trap *trap, const struct fault_info *fault);
