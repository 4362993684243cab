/* SPDX-License-Identifier: MIT */
/*
 * Register patterns on riscv64 (torture.h). Words:
 *   general         0 nothing (there are no flags), 1 x1, 2..28 x5-x31: not sp, gp (this CPU), tp (the task)
 *   floating point  0 fcsr, 1 nothing, 2..33 f0-f31
 * The chain of jumps changes no register, and an emulator, too, looks for interrupts at each of them.
 */
#define JUMPS 512

#define W(n) (8 * (n))
#define WORD_OF(n) ((n) - 3)    /* x5-x31 */
#define FPU_WORDS 34
#define SAVED_BYTES 128
#define SAVED_GOT 0
#define SAVED_T0 8
#define SAVED_RA 16
#define SAVED_S(n) (24 + 8 * (n))

/* fcsr (Unprivileged Architecture, "F" extension): the flags and four of the rounding modes. */
#define FCSR_FREE 0x7f

    .macro function name
    .globl \name
    .type \name, @function
    .balign 4
\name:
    .cfi_startproc
    .endm

    .macro end_function name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .macro saved_registers operation
    \operation ra, SAVED_RA(sp)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    \operation s\n, SAVED_S(\n)(sp)
    .endr
    .endm

    .macro push_preserved
    addi sp, sp, -SAVED_BYTES
    .cfi_adjust_cfa_offset SAVED_BYTES
    saved_registers sd
    sd a1, SAVED_GOT(sp)
    .endm

    .macro pop_preserved
    saved_registers ld
    addi sp, sp, SAVED_BYTES
    .cfi_adjust_cfa_offset -SAVED_BYTES
    .endm

    .cfi_sections .debug_frame
    .option norelax             /* the jumps are resolved here */
    .section .text.torture, "ax", @progbits

/* void torture_general_hold(const uint64_t *want, uint64_t *got) */
function torture_general_hold
    push_preserved
    ld ra, W(1)(a0)
    .irp n, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17
    ld x\n, W(WORD_OF(\n))(a0)
    .endr
    .irp n, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld x\n, W(WORD_OF(\n))(a0)
    .endr
    ld a0, W(WORD_OF(10))(a0)
    .rept JUMPS
    j 1f
1:
    .endr
    sd t0, SAVED_T0(sp)
    ld t0, SAVED_GOT(sp)
    sd zero, W(0)(t0)
    sd ra, W(1)(t0)
    .irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
    sd x\n, W(WORD_OF(\n))(t0)
    .endr
    .irp n, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd x\n, W(WORD_OF(\n))(t0)
    .endr
    ld t1, SAVED_T0(sp)
    sd t1, W(WORD_OF(5))(t0)
    pop_preserved
    ret
end_function torture_general_hold

/* void torture_general_yield(const uint64_t *want, uint64_t *got) */
function torture_general_yield
    push_preserved
    .irp n, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    ld x\n, W(WORD_OF(\n))(a0)
    .endr
    call task_yield
    ld t0, SAVED_GOT(sp)
    .irp n, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
    sd x\n, W(WORD_OF(\n))(t0)
    .endr
    pop_preserved
    ret
end_function torture_general_yield

/* uint64_t torture_fpu_words(void) */
function torture_fpu_words
    li a0, FPU_WORDS
    ret
end_function torture_fpu_words

    .option push
    .option arch, +f, +d
    .macro for_each_register operation
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \operation f\n, W(2 + \n)(a0)
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \operation f\n, W(2 + \n)(a0)
    .endr
    .endm

/* void torture_fpu_load(const uint64_t *want, uint64_t words) */
function torture_fpu_load
    ld t0, W(0)(a0)
    fscsr t0
    for_each_register fld
    ret
end_function torture_fpu_load

/* void torture_fpu_dump(uint64_t *got, uint64_t words) */
function torture_fpu_dump
    frcsr t0
    sd t0, W(0)(a0)
    sd zero, W(1)(a0)
    for_each_register fsd
    ret
end_function torture_fpu_dump

/* void crash_use_fpu(void) */
function crash_use_fpu
    fmv.d.x f0, zero
    ret
end_function crash_use_fpu
    .option pop

    .section .rodata.torture, "a", @progbits
    .globl torture_isa, torture_general_names, torture_fpu_names
    .balign 8
torture_isa:
    .quad 29
    .quad 0x01ff8060            /* s0, s1, s2-s11: RISC-V ELF psABI, integer register convention */
    .quad 0, 0
    .quad FCSR_FREE, 0
    .quad 0, 0
torture_general_names:
    .ascii "none ra"
    .irp n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
    .ascii " x\n"
    .endr
    .irp n, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .ascii " x\n"
    .endr
    .byte 0
torture_fpu_names:
    .ascii "fcsr none"
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .ascii " f\n"
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .ascii " f\n"
    .endr
    .byte 0
