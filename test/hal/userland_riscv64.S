/* SPDX-License-Identifier: MIT */
/* userland.h on riscv64: word n is x(n), but for x0 and x2, the stack pointer. */
#include "userland.h"

#define W(n) (8 * (n))
#define GOT (8 * USERLAND_WORDS)

    .macro all operation, offset
    .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
    \operation x\n, (\offset + W(\n))(sp)
    .endr
    .irp n, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \operation x\n, (\offset + W(\n))(sp)
    .endr
    .endm

    .option norelax
    .section .rodata.userland, "a", @progbits
    .balign 4
    .globl userland_begin, userland_call, userland_spin, userland_store, userland_read, userland_deny, userland_end
userland_begin:
userland_call:
    all ld, 0
    ecall
    all sd, GOT
    j userland_call

userland_spin:
    all ld, 0
1:  j 1b

userland_store:
    all sd, GOT
    ecall
    j userland_call

userland_read:
    all ld, 0
    ld t0, 0(t0)

userland_deny:
    csrr t0, sstatus

userland_end:

    .globl userland_words
userland_words:
    .byte 17, 10, 11, 12, 13, 14, 15, 10, 5, USERLAND_WORDS, USERLAND_WORDS
