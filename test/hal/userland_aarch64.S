/* SPDX-License-Identifier: MIT */
/* userland.h on aarch64: word n is x(n), 0 to 30. */
#include "userland.h"

#define W(n) (8 * (n))
#define GOT (8 * USERLAND_WORDS)

    .macro all operation, offset
    \operation x0, x1, [sp, #(\offset + W(0))]
    \operation x2, x3, [sp, #(\offset + W(2))]
    \operation x4, x5, [sp, #(\offset + W(4))]
    \operation x6, x7, [sp, #(\offset + W(6))]
    \operation x8, x9, [sp, #(\offset + W(8))]
    \operation x10, x11, [sp, #(\offset + W(10))]
    \operation x12, x13, [sp, #(\offset + W(12))]
    \operation x14, x15, [sp, #(\offset + W(14))]
    \operation x16, x17, [sp, #(\offset + W(16))]
    \operation x18, x19, [sp, #(\offset + W(18))]
    \operation x20, x21, [sp, #(\offset + W(20))]
    \operation x22, x23, [sp, #(\offset + W(22))]
    \operation x24, x25, [sp, #(\offset + W(24))]
    \operation x26, x27, [sp, #(\offset + W(26))]
    \operation x28, x29, [sp, #(\offset + W(28))]
    .endm

    .section .rodata.userland, "a", %progbits
    .balign 4
    .globl userland_begin, userland_call, userland_spin, userland_store, userland_read, userland_deny, userland_end
userland_begin:
userland_call:
    all ldp, 0
    ldr x30, [sp, #W(30)]
    svc #0
    all stp, GOT
    str x30, [sp, #(GOT + W(30))]
    b userland_call

userland_spin:
    all ldp, 0
    ldr x30, [sp, #W(30)]
1:  b 1b

userland_store:
    all stp, GOT
    str x30, [sp, #(GOT + W(30))]
    svc #0
    b userland_call

userland_read:
    all ldp, 0
    ldr x5, [x5]

userland_deny:
    mrs x5, sctlr_el1

userland_end:

    .globl userland_words
userland_words:
    .byte 8, 0, 1, 2, 3, 4, 5, 0, 5, USERLAND_WORDS, USERLAND_WORDS
