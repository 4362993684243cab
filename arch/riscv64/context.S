/* SPDX-License-Identifier: MIT */
/* The switch between tasks. Saves what the calling convention preserves; the caller holds the run-queue lock. */
#include "asm.h"
#include "offsets.h"

    .section .text.context, "ax"

/*
 * void hal_context_switch(struct task *prev, struct task *next)
 * Owns ra, sp, s0-s11, tp. The contexts are the first members of the tasks, and tp is the task.
 */
FUNCTION(hal_context_switch)
    sd      ra, CONTEXT_RA(a0)
    sd      sp, CONTEXT_SP(a0)
    sd      s0, CONTEXT_S(0)(a0)
    sd      s1, CONTEXT_S(1)(a0)
    sd      s2, CONTEXT_S(2)(a0)
    sd      s3, CONTEXT_S(3)(a0)
    sd      s4, CONTEXT_S(4)(a0)
    sd      s5, CONTEXT_S(5)(a0)
    sd      s6, CONTEXT_S(6)(a0)
    sd      s7, CONTEXT_S(7)(a0)
    sd      s8, CONTEXT_S(8)(a0)
    sd      s9, CONTEXT_S(9)(a0)
    sd      s10, CONTEXT_S(10)(a0)
    sd      s11, CONTEXT_S(11)(a0)
    .globl  context_load            /* (unused, struct task *next): a started hart comes in here */
context_load:
    ld      ra, CONTEXT_RA(a1)
    ld      sp, CONTEXT_SP(a1)
    ld      s0, CONTEXT_S(0)(a1)
    ld      s1, CONTEXT_S(1)(a1)
    ld      s2, CONTEXT_S(2)(a1)
    ld      s3, CONTEXT_S(3)(a1)
    ld      s4, CONTEXT_S(4)(a1)
    ld      s5, CONTEXT_S(5)(a1)
    ld      s6, CONTEXT_S(6)(a1)
    ld      s7, CONTEXT_S(7)(a1)
    ld      s8, CONTEXT_S(8)(a1)
    ld      s9, CONTEXT_S(9)(a1)
    ld      s10, CONTEXT_S(10)(a1)
    ld      s11, CONTEXT_S(11)(a1)
    mv      tp, a1
    ret
END(hal_context_switch)

/*
 * void context_first_run(void)
 * Where a new context's ra points: s1 = entry, s2 = its argument, s0 = 0 (both set by hal_context_init()).
 */
FUNCTION(context_first_run)
    mv      a0, s2
    mv      ra, zero
    jr      s1
END(context_first_run)
