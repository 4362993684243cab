/* SPDX-License-Identifier: MIT */
/* The switch between tasks. Saves what the compiler cannot; the caller holds the run-queue lock. */
#include "asm.h"
#include "offsets.h"

    .section .text.context, "ax"

/*
 * void context_swap(struct task *prev, struct task *next)
 * Owns all registers but sp, s0 and gp. The contexts are the first members of the tasks, and tp is the task.
 * The store-conditional stores what is there, and ends a reservation that prev's user may have (entry.S).
 */
FUNCTION(context_swap)
    sd      ra, CONTEXT_RA(a0)
    sc.d    zero, ra, (a0)
    sd      sp, CONTEXT_SP(a0)
    sd      s0, CONTEXT_S0(a0)
    .globl  context_load            /* (unused, struct task *next): a started hart comes in here */
context_load:
    sd      gp, CONTEXT_GP(a1)
    ld      ra, CONTEXT_RA(a1)
    ld      sp, CONTEXT_SP(a1)
    ld      s0, CONTEXT_S0(a1)
    mv      tp, a1
    ret
END(context_swap)

/*
 * void context_first_run(void)
 * Where a new context's ra points: on the stack are entry and its argument (hal_context_init()), s0 is 0.
 */
FUNCTION(context_first_run)
    ld      t0, 0(sp)
    ld      a0, 8(sp)
    addi    sp, sp, 16
    mv      ra, zero
    jr      t0
END(context_first_run)
