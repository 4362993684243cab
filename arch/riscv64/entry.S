/* SPDX-License-Identifier: MIT */
/*
 * The one trap vector. It saves registers on the stack of what was interrupted and calls C.
 *
 * A stack overflow is found here, by the MMU itself: the frame is stored below sp while sp is left alone, and if one of
 * those stores faults (it hit the guard page, or sp is wild), the hardware comes back to this vector with sepc inside
 * the store sequence. Only then is the frame stored on this CPU's emergency stack instead. Nothing has been lost: the
 * registers still hold their values, and the interrupted pc was put aside first. No stack bounds need to be known, so
 * every stack with an unmapped page below it is covered, whatever its size and alignment.
 *
 * sscratch is 0 in the kernel, and the running task's frame while its user runs: that tells where a trap came from.
 *
 * C code finds sstatus.SPP clear and SPIE set, as an entry from user mode leaves them, and so does an SRET: then the
 * way back to the user needs no look at them, also if the task came here by a switch inside of a trap from kernel code.
 */
#include "asm.h"
#include "offsets.h"
#include "riscv_csr.h"

#define CAUSE_USER_ECALL 8
#define STORE_BYTES (31 * 4) /* the store sequence that may fault */

    .section .text.entry, "ax"

/* Store x1..x31 into a struct hal_trap that ends at `end`. */
    .macro save_registers end
    .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    sd      x\n, TRAP_X(\n) - TRAP_BYTES(\end)
    .endr
    .irp n, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\n, TRAP_X(\n) - TRAP_BYTES(\end)
    .endr
    .endm

/* Complete the frame at sp, whose interrupted pc is in t0, and point s0 to its end. User memory is closed: whatever was
 * interrupted, C code does not inherit SUM. */
    .macro save_state
    sd      t0, TRAP_PC(sp)
    sd      t0, TRAP_RECORD_RA(sp)
    sd      s0, TRAP_RECORD_FP(sp)
    li      t1, SSTATUS_SUM | SSTATUS_SPP
    csrrc   t0, sstatus, t1
    li      t1, SSTATUS_SPIE
    csrs    sstatus, t1
    csrr    t1, scause
    csrr    t2, stval
    sd      t0, TRAP_SSTATUS(sp)
    sd      t1, TRAP_SCAUSE(sp)
    sd      t2, TRAP_STVAL(sp)
    addi    s0, sp, TRAP_BYTES
    mv      a0, sp
    .endm

/*
 * void trap_vector(void), entered by the hardware with interrupts disabled. Before and after:
 *
 *      sp -> | interrupted stack |           s0 -> | interrupted stack |
 *            |                   |                 | pc, s0 (record)   |
 *            |                   |                 | ...               |
 *            |                   |           sp -> | struct hal_trap   |
 */
FUNCTION(trap_vector)
    csrrw   tp, sscratch, tp
    bnez    tp, trap_from_user
    csrrw   tp, sscratch, zero
    sd      t0, CPU_ENTRY_T0(gp)
    sd      t1, CPU_ENTRY_T1(gp)
    csrr    t0, sepc
    lla     t1, .Lstore
    sub     t1, t0, t1
    sltiu   t1, t1, STORE_BYTES
    bnez    t1, trap_overflow
    sd      t0, CPU_ENTRY_PC(gp)
    ld      t0, CPU_ENTRY_T0(gp)
    ld      t1, CPU_ENTRY_T1(gp)
    .option push
    .option norvc                   /* 4 bytes each */
.Lstore:
    save_registers sp
.Lstored:
    .option pop
    .if (.Lstored - .Lstore) != STORE_BYTES
    .error "STORE_BYTES is wrong"
    .endif
    addi    sp, sp, -TRAP_BYTES
    csrr    t0, sepc
    save_state
    call    trap_handle

    /* Back to where it was, perhaps on another CPU: gp and tp are not restored. Nor are s1-s11: C preserved them.
     * The store-conditional ends a reservation of the interrupted code, which other code may have used up since
     * (Unprivileged Architecture, "A" extension, LR/SC); should it succeed, it stores what is there already. */
    ld      t0, TRAP_PC(sp)
    sc.d    zero, t0, (sp)
    csrw    sepc, t0
    ld      t0, TRAP_SSTATUS(sp)
    li      t1, SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SUM
    csrc    sstatus, t1
    and     t0, t0, t1              /* the rest of sstatus belongs to the CPU and to hal_fpu_switch() */
    csrs    sstatus, t0
    .irp n, 1, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
    ld      x\n, TRAP_X(\n)(sp)
    .endr
    addi    sp, sp, TRAP_BYTES
    sret
END(trap_vector)

/*
 * [[noreturn]] static void trap_overflow(void)
 * The stores above faulted: the same frame, at the top of this CPU's emergency stack, which gp points to.
 */
FUNCTION(trap_overflow)
    ld      t0, CPU_ENTRY_T0(gp)
    ld      t1, CPU_ENTRY_T1(gp)
    save_registers gp
    addi    sp, gp, -TRAP_BYTES
    ld      t0, CPU_ENTRY_PC(gp)
    save_state
    call    trap_handle_overflow
1:  wfi
    j       1b
END(trap_overflow)

/*
 * From user mode: tp is the frame, sscratch the user's tp. The frame stands at the top of the task's stack, which is
 * mapped and empty, so nothing can fault here. A system call that takes the short way stores only what C may change,
 * and s0.
 */
    .macro user_registers operation
    .irp n, 1, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
    \operation x\n, TRAP_X(\n)(sp)
    .endr
    .endm

    /* What C preserves, but for s0. */
    .macro user_preserved operation
    .irp n, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    \operation x\n, TRAP_X(\n)(sp)
    .endr
    .endm

FUNCTION(trap_from_user)
    sd      sp, TRAP_X(2)(tp)
    mv      sp, tp
    ld      tp, TRAP_TASK(tp)
    user_registers sd
    sd      s0, TRAP_X(8)(sp)
    sd      gp, TRAP_X(3)(sp)
    ld      gp, CONTEXT_GP(tp)
    csrrw   t1, sscratch, zero
    sd      t1, TRAP_X(4)(sp)
    csrr    t0, sepc
    csrr    t1, scause
    addi    s0, sp, TRAP_BYTES
    li      t2, CAUSE_USER_ECALL
    mv      a0, sp
    bne     t1, t2, .Lnot_a_call
    addi    t0, t0, 4
    sd      t0, TRAP_PC(sp)
    call    trap_syscall
    mv      a1, a0
    mv      a0, sp
    call    trap_syscall_end
    bnez    a0, .Lwork

    /* Back, by the short way: what C preserves is the user's still. s0 is this frame's. A reservation of the user may
     * live on, if no other task has run: then no other user's code and no handler of its own was here in between. */
.Lleave:
    ld      t0, TRAP_PC(sp)
    csrw    sscratch, sp
    csrw    sepc, t0
    user_registers ld
    ld      s0, TRAP_X(8)(sp)
    ld      gp, TRAP_X(3)(sp)
    ld      tp, TRAP_X(4)(sp)
    ld      sp, TRAP_X(2)(sp)
    sret

.Lwork:
    mv      a1, a0
    mv      a0, sp
    user_preserved sd
    call    trap_user_work
    j       .Lleave_all

.Lnot_a_call:
    csrr    t2, stval
    sd      t0, TRAP_PC(sp)
    sd      t1, TRAP_SCAUSE(sp)
    sd      t2, TRAP_STVAL(sp)
    csrr    t0, sstatus
    sd      t0, TRAP_SSTATUS(sp)
    user_preserved sd
    call    trap_handle_user
.Lleave_all:
    ld      t0, TRAP_PC(sp)
    sc.d    zero, t0, (sp)          /* ends a reservation: see above */
    user_preserved ld
    j       .Lleave
END(trap_from_user)

/*
 * [[noreturn]] static void user_enter(struct hal_trap *trap)
 */
FUNCTION(user_enter)
    mv      sp, a0
    j       .Lleave_all
END(user_enter)
