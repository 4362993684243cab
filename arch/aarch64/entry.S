/* SPDX-License-Identifier: MIT */
/*
 * The vector table. Every entry builds one struct hal_trap on the kernel stack and calls C; see the picture.
 *
 *      sp + TRAP_BYTES   the interrupted stack pointer
 *      sp + TRAP_RECORD  frame record {x29, ELR}: x29 points here, so that a backtrace crosses the trap
 *      sp + TRAP_SP ...  sp, ELR, SPSR, ESR, FAR
 *      sp                x0 .. x30
 *
 * In the kernel only IRQ is ever masked for long: SError and FIQ, both fatal, are let in again as soon as the frame
 * stands, so that every task finds them unmasked, whatever it was switched to from.
 */
#include <machine_layout.h>

#define ESR_CLASS_FP 0x07
#define ESR_CLASS_SVC 0x15
#define ESR_CLASS_SVE 0x19

    .cfi_sections .debug_frame

/* All registers into the frame at sp, except the interrupted sp. Leaves x0 = frame. */
.macro frame_save
    stp x0, x1, [sp, #TRAP_X(0)]
    stp x2, x3, [sp, #TRAP_X(2)]
    stp x4, x5, [sp, #TRAP_X(4)]
    stp x6, x7, [sp, #TRAP_X(6)]
    stp x8, x9, [sp, #TRAP_X(8)]
    stp x10, x11, [sp, #TRAP_X(10)]
    stp x12, x13, [sp, #TRAP_X(12)]
    stp x14, x15, [sp, #TRAP_X(14)]
    stp x16, x17, [sp, #TRAP_X(16)]
    stp x18, x19, [sp, #TRAP_X(18)]
    stp x20, x21, [sp, #TRAP_X(20)]
    stp x22, x23, [sp, #TRAP_X(22)]
    stp x24, x25, [sp, #TRAP_X(24)]
    stp x26, x27, [sp, #TRAP_X(26)]
    stp x28, x29, [sp, #TRAP_X(28)]
    mrs x1, elr_el1
    mrs x2, spsr_el1
    mrs x3, esr_el1
    mrs x4, far_el1
    str x30, [sp, #TRAP_X(30)]
    stp x1, x2, [sp, #TRAP_ELR]
    stp x3, x4, [sp, #TRAP_ESR]
    stp x29, x1, [sp, #TRAP_RECORD]
    add x29, sp, #TRAP_RECORD
    mov x0, sp
.endm

/* The interrupted sp, when it is right above the frame. */
.macro frame_save_sp
    add x1, sp, #TRAP_BYTES
    str x1, [sp, #TRAP_SP]
.endm

/* One slot of the table: 128 bytes (ARM D1.3.1). */
.macro vector_entry name
    .balign 128
\name:
.endm

/* A slot that nothing but a fatal trap can use; \number is its place in the table. */
.macro vector_fatal name, number
    vector_entry \name
    sub sp, sp, #TRAP_BYTES
    stp x0, x1, [sp]
    mov x1, #\number
    b trap_enter_fatal
.endm

    .section .text.vectors, "ax"
/*
 * From EL1 running on SP_EL0, which holds a task and is no stack: fatal.
 *
 * From the kernel. A stack that cannot take the frame (overflown into its guard page, or misaligned) is found by asking
 * the MMU, before anything is stored. The other entries need not ask: their first store would fault, here.
 *
 * From EL0, AArch64 and AArch32: SP_EL1 is then the end of the user's frame in the task's kernel stack.
 */
.macro vector_table name, user_sync
    .balign 2048
    .globl \name
    .type \name, %function
\name:
    .cfi_startproc
    vector_fatal \name\()_el1t_sync, 0
    vector_fatal \name\()_el1t_irq, 1
    vector_fatal \name\()_el1t_fiq, 2
    vector_fatal \name\()_el1t_serror, 3

    vector_entry \name\()_el1h_sync
    msr tpidrro_el0, x0
    sub sp, sp, #TRAP_BYTES
    mov x0, sp
    tst x0, #15
    b.ne trap_enter_bad_stack
    at s1e1w, x0
    isb
    mrs x0, par_el1
    tbnz x0, #0, trap_enter_bad_stack   /* PAR_EL1.F: no such translation */
    mrs x0, tpidrro_el0
    msr tpidrro_el0, xzr                /* users can read it */
    b trap_enter_sync

    vector_entry \name\()_el1h_irq
    sub sp, sp, #TRAP_BYTES
    b trap_enter_irq

    vector_fatal \name\()_el1h_fiq, 6
    vector_fatal \name\()_el1h_serror, 7

    vector_entry \name\()_el0_sync
    sub sp, sp, #TRAP_BYTES
    b \user_sync

    vector_entry \name\()_el0_irq
    sub sp, sp, #TRAP_BYTES
    b trap_enter_user_irq

    vector_fatal \name\()_el0_fiq, 10
    vector_fatal \name\()_el0_serror, 11
    vector_fatal \name\()_el0_32_sync, 12
    vector_fatal \name\()_el0_32_irq, 13
    vector_fatal \name\()_el0_32_fiq, 14
    vector_fatal \name\()_el0_32_serror, 15
    .balign 128
    .cfi_endproc
    .size \name, . - \name
.endm

    vector_table trap_vectors, trap_enter_user_sync
    vector_table trap_vectors_sve, trap_enter_user_sync_sve /* while SVE does not trap: fpu.c */

/* Interrupt: may come back on another CPU, if trap_irq() switched. */
    .type trap_enter_irq, %function
trap_enter_irq:
    .cfi_startproc
    frame_save
    frame_save_sp
    msr daifclr, #5
    bl trap_irq
    b trap_leave
    .cfi_endproc
    .size trap_enter_irq, . - trap_enter_irq

/* Synchronous: fatal, but for a refused semihosting call, an access to user memory, and the FP unit's first use. */
    .type trap_enter_sync, %function
trap_enter_sync:
    .cfi_startproc
    frame_save
    frame_save_sp
    msr daifclr, #5
    bl trap_sync
    .cfi_endproc
    .size trap_enter_sync, . - trap_enter_sync

/* Back to where the frame at sp says. */
    .type trap_leave, %function
trap_leave:
    .cfi_startproc
    ldp x1, x2, [sp, #TRAP_ELR]
    msr elr_el1, x1
    msr spsr_el1, x2
    ldp x0, x1, [sp, #TRAP_X(0)]
    ldp x2, x3, [sp, #TRAP_X(2)]
    ldp x4, x5, [sp, #TRAP_X(4)]
    ldp x6, x7, [sp, #TRAP_X(6)]
    ldp x8, x9, [sp, #TRAP_X(8)]
    ldp x10, x11, [sp, #TRAP_X(10)]
    ldp x12, x13, [sp, #TRAP_X(12)]
    ldp x14, x15, [sp, #TRAP_X(14)]
    ldp x16, x17, [sp, #TRAP_X(16)]
    ldp x18, x19, [sp, #TRAP_X(18)]
    ldp x20, x21, [sp, #TRAP_X(20)]
    ldp x22, x23, [sp, #TRAP_X(22)]
    ldp x24, x25, [sp, #TRAP_X(24)]
    ldp x26, x27, [sp, #TRAP_X(26)]
    ldp x28, x29, [sp, #TRAP_X(28)]
    ldr x30, [sp, #TRAP_X(30)]
    add sp, sp, #TRAP_BYTES
    eret
    .cfi_endproc
    .size trap_leave, . - trap_leave

/*
 * From user mode. The frame takes the user's registers; SP_EL0 becomes the task again, which is in the frame since
 * hal_user_enter(). A system call stores only what C may change; the rest, x19 to x28, is the user's all the way,
 * unless trap_syscall_end() says that it is wanted.
 */
.macro user_save
    stp x0, x1, [sp, #TRAP_X(0)]
    stp x2, x3, [sp, #TRAP_X(2)]
    stp x4, x5, [sp, #TRAP_X(4)]
    stp x6, x7, [sp, #TRAP_X(6)]
    stp x8, x9, [sp, #TRAP_X(8)]
    stp x10, x11, [sp, #TRAP_X(10)]
    stp x12, x13, [sp, #TRAP_X(12)]
    stp x14, x15, [sp, #TRAP_X(14)]
    stp x16, x17, [sp, #TRAP_X(16)]
    str x18, [sp, #TRAP_X(18)]
    stp x29, x30, [sp, #TRAP_X(29)]
    ldr x4, [sp, #TRAP_TASK]
    mrs x0, sp_el0
    mrs x1, elr_el1
    mrs x2, spsr_el1
    mrs x3, esr_el1
    msr sp_el0, x4
    stp x0, x1, [sp, #TRAP_SP]
    str x2, [sp, #TRAP_SPSR]
    stp x29, x1, [sp, #TRAP_RECORD]
    add x29, sp, #TRAP_RECORD
    mov x0, sp
.endm

.macro user_preserved operation
    \operation x19, x20, [sp, #TRAP_X(19)]
    \operation x21, x22, [sp, #TRAP_X(21)]
    \operation x23, x24, [sp, #TRAP_X(23)]
    \operation x25, x26, [sp, #TRAP_X(25)]
    \operation x27, x28, [sp, #TRAP_X(27)]
.endm

    .type trap_enter_user_sync, %function
trap_enter_user_sync:
    .cfi_startproc
    user_save
    lsr x1, x3, #26
    cmp x1, #ESR_CLASS_SVC
    b.ne trap_user_other
trap_user_call:
    msr daifclr, #5
    bl trap_syscall
    mov x1, x0
    mov x0, sp
    bl trap_syscall_end
    cbz w0, trap_leave_user
    mov w1, w0
    mov x0, sp
    user_preserved stp
    bl trap_user_work
    b trap_leave_user_all
trap_user_other:
    cmp x1, #ESR_CLASS_FP
    ccmp x1, #ESR_CLASS_SVE, #4, ne     /* else equal: it was FP */
    b.ne 1f
    sub w0, w1, #ESR_CLASS_FP
    bl fpu_use
    cbnz w0, trap_leave_user
    mov x0, sp
    mrs x3, esr_el1
1:  mrs x4, far_el1
    stp x3, x4, [sp, #TRAP_ESR]
    user_preserved stp
    msr daifclr, #5
    bl trap_user_sync
    b trap_leave_user_all
    .cfi_endproc
    .size trap_enter_user_sync, . - trap_enter_user_sync

/* The same while SVE does not trap: a system call ends that. */
    .type trap_enter_user_sync_sve, %function
trap_enter_user_sync_sve:
    .cfi_startproc
    user_save
    lsr x1, x3, #26
    cmp x1, #ESR_CLASS_SVC
    b.ne trap_user_other
    bl fpu_end_vectors
    mov x0, sp
    b trap_user_call
    .cfi_endproc
    .size trap_enter_user_sync_sve, . - trap_enter_user_sync_sve

    .type trap_enter_user_irq, %function
trap_enter_user_irq:
    .cfi_startproc
    user_save
    user_preserved stp
    msr daifclr, #5
    bl trap_user_irq
    b trap_leave_user_all
    .cfi_endproc
    .size trap_enter_user_irq, . - trap_enter_user_irq

/* [[noreturn]] void user_enter(struct hal_trap *trap) */
    .globl user_enter
    .type user_enter, %function
user_enter:
    .cfi_startproc
    mov sp, x0
    msr tpidrro_el0, xzr                /* it is unknown after a reset, and the trap entry leaves zero there */
trap_leave_user_all:
    user_preserved ldp
    /* SError and FIQ come again once SPSR is back. */
trap_leave_user:
    msr daifset, #5
    ldp x0, x1, [sp, #TRAP_SP]
    ldr x2, [sp, #TRAP_SPSR]
    msr sp_el0, x0
    msr elr_el1, x1
    msr spsr_el1, x2
    ldp x0, x1, [sp, #TRAP_X(0)]
    ldp x2, x3, [sp, #TRAP_X(2)]
    ldp x4, x5, [sp, #TRAP_X(4)]
    ldp x6, x7, [sp, #TRAP_X(6)]
    ldp x8, x9, [sp, #TRAP_X(8)]
    ldp x10, x11, [sp, #TRAP_X(10)]
    ldp x12, x13, [sp, #TRAP_X(12)]
    ldp x14, x15, [sp, #TRAP_X(14)]
    ldp x16, x17, [sp, #TRAP_X(16)]
    ldr x18, [sp, #TRAP_X(18)]
    ldp x29, x30, [sp, #TRAP_X(29)]
    add sp, sp, #TRAP_BYTES
    eret
    .cfi_endproc
    .size user_enter, . - user_enter

/* Fatal: x0, x1 are saved, x1 = number of the vector. Never returns. */
    .type trap_enter_fatal, %function
trap_enter_fatal:
    .cfi_startproc
    msr tpidrro_el0, x1
    ldp x0, x1, [sp]
    frame_save
    frame_save_sp
    mrs x1, tpidrro_el0
    bl trap_fatal
    .cfi_endproc
    .size trap_enter_fatal, . - trap_enter_fatal

/* The stack is not to be used: the frame goes to the emergency stack. x0 is in TPIDRRO_EL0. Never returns. */
    .type trap_enter_bad_stack, %function
trap_enter_bad_stack:
    .cfi_startproc
    mrs x0, tpidr_el1
    add x0, x0, #CPU_AREA_BYTES
    sub x0, x0, #TRAP_BYTES
    str x1, [x0, #TRAP_X(1)]
    add x1, sp, #TRAP_BYTES
    str x1, [x0, #TRAP_SP]
    ldr x1, [x0, #TRAP_X(1)]
    mov sp, x0
    mrs x0, tpidrro_el0
    frame_save
    msr daifclr, #5
    bl trap_bad_stack
    .cfi_endproc
    .size trap_enter_bad_stack, . - trap_enter_bad_stack

/*
 * uint64_t semihost_call(uint64_t operation, const void *argument): ask the debugger (Arm's Semihosting for
 * AArch32 and AArch64, 2023Q3). Where there is none the instruction is undefined, and trap_sync() steps over it.
 */
    .text
    .globl semihost_call, semihost_instruction
    .type semihost_call, %function
semihost_call:
    .cfi_startproc
semihost_instruction:
    hlt #0xf000
    ret
    .cfi_endproc
    .size semihost_call, . - semihost_call
