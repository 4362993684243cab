/* SPDX-License-Identifier: MIT */
/* The context switch, and a task's first step. */
#include <machine_layout.h>

    .cfi_sections .debug_frame

    .text

/* void context_swap(struct task *prev, struct task *next): owns all registers but x29 and sp. */
    .globl context_swap
    .type context_swap, %function
context_swap:
    .cfi_startproc
    mov x9, sp
    stp x29, x30, [x0, #CONTEXT_X29]
    str x9, [x0, #CONTEXT_SP]
    /* A CPU that starts comes in here with x1 = its first task. */
    .globl context_load
context_load:
    ldp x29, x30, [x1, #CONTEXT_X29]
    ldr x9, [x1, #CONTEXT_SP]
    msr sp_el0, x1
    mov sp, x9
    ret
    .cfi_endproc
    .size context_swap, . - context_swap

/* First step of a task: its entry and argument lie on its stack; no caller, so that backtraces end here. */
    .globl context_first_run
    .type context_first_run, %function
context_first_run:
    .cfi_startproc
    ldp x9, x0, [sp], #16
    mov x30, xzr
    br x9
    .cfi_endproc
    .size context_first_run, . - context_first_run
