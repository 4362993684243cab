/* SPDX-License-Identifier: MIT */
/* All floating-point and vector registers to and from memory: struct machine_fpu and struct machine_vector. */
#include "asm.h"

    .option arch, +f, +d            /* the only code of the kernel that may use them */
    .section .text.fpu, "ax"

    .macro for_all_registers operation
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    \operation f\n, 8 * \n(a0)
    .endr
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \operation f\n, 8 * \n(a0)
    .endr
    .endm

/* void fpu_save(void *area). Owns t0. */
FUNCTION(fpu_save)
    for_all_registers fsd
    frcsr   t0
    sd      t0, 8 * 32(a0)
    ret
END(fpu_save)

/* void fpu_load(const void *area). Owns t0, f0-f31, fcsr. */
FUNCTION(fpu_load)
    for_all_registers fld
    ld      t0, 8 * 32(a0)
    fscsr   t0
    ret
END(fpu_load)

    .option arch, +v

/* Whole-register accesses work with any vtype, but begin at vstart. */
    .macro for_all_vectors operation
    csrwi   vstart, 0
    csrr    t0, vlenb
    slli    t0, t0, 3
    addi    a0, a0, 48
    \operation v0, (a0)
    add     a0, a0, t0
    \operation v8, (a0)
    add     a0, a0, t0
    \operation v16, (a0)
    add     a0, a0, t0
    \operation v24, (a0)
    .endm

/* void vector_save(void *vector). Owns t0-t4, a0; the registers stay as they are. */
FUNCTION(vector_save)
    csrr    t1, vstart
    csrr    t2, vl
    csrr    t3, vtype
    csrr    t4, vcsr
    sd      t1, 0(a0)
    sd      t2, 8(a0)
    sd      t3, 16(a0)
    sd      t4, 24(a0)
    for_all_vectors vs8r.v
    csrw    vstart, t1
    ret
END(vector_save)

/* void vector_load(const void *vector). Owns t0-t4, a0, v0-v31 and the unit's control registers. vsetvl leaves nothing
 * that the hart could not hold: of a vtype that it does not know it keeps the bit vill. */
FUNCTION(vector_load)
    ld      t1, 0(a0)
    ld      t2, 8(a0)
    ld      t3, 16(a0)
    ld      t4, 24(a0)
    for_all_vectors vl8re8.v
    vsetvl  zero, t2, t3
    csrw    vcsr, t4
    csrw    vstart, t1
    ret
END(vector_load)

/* uint64_t vector_vlenb(void). Owns a0. */
FUNCTION(vector_vlenb)
    csrr    a0, vlenb
    ret
END(vector_vlenb)
