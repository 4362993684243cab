/* SPDX-License-Identifier: MIT */
/*
 * Register patterns on AArch64 (torture.h). Words:
 *   general         0 NZCV, 1..31 x0-x30
 *   floating point  0 FPCR, 1 FPSR, 2..65 q0-q31, two words each
 * The chain of branches changes neither a register nor a flag, and an emulator, too, looks for interrupts at each.
 */
#define BRANCHES 512

#define W(n) (8 * (n))
#define FPU_WORDS 66

/* NZCV and FPSR, FPCR: ARM DDI 0487, C5.2. In FPCR, rounding, flush to zero and default NaN are free; in FPSR the
 * cumulative flags and QC. */
#define NZCV_FREE 0xf0000000
#define FPCR_FREE 0x03c00000
#define FPSR_FREE 0x0800009f

    .macro function name
    .globl \name
    .type \name, %function
    .balign 4
\name:
    .cfi_startproc
    .endm

    .macro end_function name
    .cfi_endproc
    .size \name, . - \name
    .endm

/* x19-x30 and, at sp, got; sp + 8 is free. */
    .macro push_preserved
    sub sp, sp, #112
    .cfi_adjust_cfa_offset 112
    str x1, [sp]
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp x29, x30, [sp, #96]
    .endm

    .macro pop_preserved
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp x29, x30, [sp, #96]
    add sp, sp, #112
    .cfi_adjust_cfa_offset -112
    .endm

/* x1-x28 with ldp or stp at their words of [x0]; x29 and x30 differ between the callers. */
    .macro scratch_pairs operation
    \operation x1, x2, [x0, #W(2)]
    \operation x3, x4, [x0, #W(4)]
    \operation x5, x6, [x0, #W(6)]
    \operation x7, x8, [x0, #W(8)]
    \operation x9, x10, [x0, #W(10)]
    \operation x11, x12, [x0, #W(12)]
    \operation x13, x14, [x0, #W(14)]
    \operation x15, x16, [x0, #W(16)]
    \operation x17, x18, [x0, #W(18)]
    .endm

    .macro preserved_pairs operation
    \operation x19, x20, [x0, #W(20)]
    \operation x21, x22, [x0, #W(22)]
    \operation x23, x24, [x0, #W(24)]
    \operation x25, x26, [x0, #W(26)]
    \operation x27, x28, [x0, #W(28)]
    .endm

    .cfi_sections .debug_frame
    .section .text.torture, "ax", %progbits

/* void torture_general_hold(const uint64_t *want, uint64_t *got) */
function torture_general_hold
    push_preserved
    ldr x1, [x0, #W(0)]
    msr nzcv, x1
    scratch_pairs ldp
    preserved_pairs ldp
    ldp x29, x30, [x0, #W(30)]
    ldr x0, [x0, #W(1)]
    .rept BRANCHES
    b 1f
1:
    .endr
    str x0, [sp, #8]
    ldr x0, [sp]
    scratch_pairs stp
    preserved_pairs stp
    stp x29, x30, [x0, #W(30)]
    mrs x1, nzcv
    ldr x2, [sp, #8]
    stp x1, x2, [x0, #W(0)]
    pop_preserved
    ret
end_function torture_general_hold

/* void torture_general_yield(const uint64_t *want, uint64_t *got): x30 is the call's own. */
function torture_general_yield
    push_preserved
    preserved_pairs ldp
    ldr x29, [x0, #W(30)]
    bl task_yield
    ldr x0, [sp]
    preserved_pairs stp
    str x29, [x0, #W(30)]
    pop_preserved
    ret
end_function torture_general_yield

/* uint64_t torture_fpu_words(void) */
function torture_fpu_words
    mov x0, #FPU_WORDS
    ret
end_function torture_fpu_words

    .macro vector_pairs operation
    .irp n, 0, 4, 8, 12, 16, 20, 24, 28
    vector_quad \operation, \n
    .endr
    .endm

/* q(n)..q(n+3) at x1, which moves on. */
    .altmacro
    .macro vector_quad operation, n
    vector_pair \operation, %(\n), %(\n + 1)
    vector_pair \operation, %(\n + 2), %(\n + 3)
    .endm
    .macro vector_pair operation, first, second
    \operation q\first, q\second, [x2], #32
    .endm

/* void torture_fpu_load(const uint64_t *want, uint64_t words) */
function torture_fpu_load
    ldp x3, x4, [x0, #W(0)]
    msr fpcr, x3
    msr fpsr, x4
    add x2, x0, #W(2)
    vector_pairs ldp
    ret
end_function torture_fpu_load

/* void torture_fpu_dump(uint64_t *got, uint64_t words) */
function torture_fpu_dump
    mrs x3, fpcr
    mrs x4, fpsr
    stp x3, x4, [x0, #W(0)]
    add x2, x0, #W(2)
    vector_pairs stp
    ret
end_function torture_fpu_dump
    .noaltmacro

/* void crash_use_fpu(void) */
function crash_use_fpu
    fmov d0, xzr
    ret
end_function crash_use_fpu

    .section .rodata.torture, "a", %progbits
    .globl torture_isa, torture_general_names, torture_fpu_names
    .balign 8
torture_isa:
    .quad 32
    .quad 0x7ff00000            /* x19-x29: AAPCS64, 6.1.1 */
    .quad NZCV_FREE, 0
    .quad FPCR_FREE, 0
    .quad FPSR_FREE, 0
torture_general_names:
    .ascii "nzcv"
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .ascii " x\n"
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    .ascii " x\n"
    .endr
    .byte 0
torture_fpu_names:
    .ascii "fpcr fpsr"
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .ascii " q\n-low q\n-high"
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .ascii " q\n-low q\n-high"
    .endr
    .byte 0
