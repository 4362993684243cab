/* SPDX-License-Identifier: MIT */
/* The context switch, a task's first step, and the FP registers. */
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

/* q(n) and q(n + 1) with \operation at their place of the area in x0. */
.macro fpu_pairs operation
    \operation q0, q1, [x0, #0]
    \operation q2, q3, [x0, #32]
    \operation q4, q5, [x0, #64]
    \operation q6, q7, [x0, #96]
    \operation q8, q9, [x0, #128]
    \operation q10, q11, [x0, #160]
    \operation q12, q13, [x0, #192]
    \operation q14, q15, [x0, #224]
    \operation q16, q17, [x0, #256]
    \operation q18, q19, [x0, #288]
    \operation q20, q21, [x0, #320]
    \operation q22, q23, [x0, #352]
    \operation q24, q25, [x0, #384]
    \operation q26, q27, [x0, #416]
    \operation q28, q29, [x0, #448]
    \operation q30, q31, [x0, #480]
.endm

/* void fpu_save(void *area) */
    .globl fpu_save
    .type fpu_save, %function
fpu_save:
    .cfi_startproc
    fpu_pairs stp
    mrs x1, fpsr
    mrs x2, fpcr
    add x0, x0, #FPU_FPSR
    stp x1, x2, [x0]
    ret
    .cfi_endproc
    .size fpu_save, . - fpu_save

/* void fpu_load(const void *area) */
    .globl fpu_load
    .type fpu_load, %function
fpu_load:
    .cfi_startproc
    fpu_pairs ldp
    add x0, x0, #FPU_FPSR
    ldp x1, x2, [x0]
    msr fpsr, x1
    msr fpcr, x2
    ret
    .cfi_endproc
    .size fpu_load, . - fpu_load
