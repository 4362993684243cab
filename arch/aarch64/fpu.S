/* SPDX-License-Identifier: MIT */
/* All FP, SIMD and SVE registers to and from memory: struct machine_fpu, and the registers of a vector area. */
#include <machine_layout.h>

    .cfi_sections .debug_frame

    .text

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

/* All of them, to the area in x0. Owns x0, x2, x3. */
.macro fpu_store
    fpu_pairs stp
    mrs x2, fpsr
    mrs x3, fpcr
    add x0, x0, #FPU_FPSR
    stp x2, x3, [x0]
.endm

/* void fpu_save(void *area) */
    .globl fpu_save
    .type fpu_save, %function
fpu_save:
    .cfi_startproc
    fpu_store
    ret
    .cfi_endproc
    .size fpu_save, . - fpu_save

/* void fpu_exchange(void *save, const void *load): one, then the other. */
    .globl fpu_exchange
    .type fpu_exchange, %function
fpu_exchange:
    .cfi_startproc
    fpu_store
    mov x0, x1
    b fpu_load
    .cfi_endproc
    .size fpu_exchange, . - fpu_exchange

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

    .arch_extension sve

/* z0-z31, then p0-p15 with \operation, at x0, which moves on to the latter. ffr follows them. */
.macro vector_z operation
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \operation z\n, [x0, #\n, mul vl]
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \operation z\n, [x0, #\n, mul vl]
    .endr
    addvl x0, x0, #16
    addvl x0, x0, #16
.endm

.macro vector_p operation
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \operation p\n, [x0, #\n, mul vl]
    .endr
.endm

/* void vector_save(uint8_t *registers, uint64_t *control): FPSR and FPCR, too. All stay as they are. Owns x0, x2,
 * x3. */
    .globl vector_save
    .type vector_save, %function
vector_save:
    .cfi_startproc
    vector_z str
    vector_p str
    rdffr p0.b
    str p0, [x0, #16, mul vl]
    ldr p0, [x0]
    mrs x2, fpsr
    mrs x3, fpcr
    stp x2, x3, [x1]
    ret
    .cfi_endproc
    .size vector_save, . - vector_save

/* void vector_load(const uint8_t *registers, const uint64_t *control). Owns x0, x2, x3. */
    .globl vector_load
    .type vector_load, %function
vector_load:
    .cfi_startproc
    vector_z ldr
    ldr p0, [x0, #16, mul vl]
    wrffr p0.b
    vector_p ldr
    ldp x2, x3, [x1]
    msr fpsr, x2
    msr fpcr, x3
    ret
    .cfi_endproc
    .size vector_load, . - vector_load

/* void vector_clear(void): all of the registers that is not q0-q31 becomes zero. */
    .globl vector_clear
    .type vector_clear, %function
vector_clear:
    .cfi_startproc
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    mov v\n\().16b, v\n\().16b
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    mov v\n\().16b, v\n\().16b
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    pfalse p\n\().b
    .endr
    wrffr p0.b
    ret
    .cfi_endproc
    .size vector_clear, . - vector_clear

/* uint64_t vector_length(void): the bytes of a register, as ZCR_EL1 has it. */
    .globl vector_length
    .type vector_length, %function
vector_length:
    .cfi_startproc
    rdvl x0, #1
    ret
    .cfi_endproc
    .size vector_length, . - vector_length
