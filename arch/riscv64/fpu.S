/* SPDX-License-Identifier: MIT */
/* All floating-point registers to and from memory. The area: f0..f31, then fcsr. */
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
