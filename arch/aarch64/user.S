/* SPDX-License-Identifier: MIT */
/*
 * The code that touches user memory: by the unprivileged loads and stores (ARM C3.2.6), which have the user's rights
 * and no others, whatever PSTATE.PAN says. UAO is off, so that they stay unprivileged. user.c has the table of what
 * follows a fault that cannot be repaired: user_X to user_X_end is left for user_X_failed.
 *
 * A copy that fails in a group of words begins that group again with single bytes, up to the one that cannot be copied:
 * so the count of what is left is exact. Unaligned words are single instructions on normal memory (SCTLR_EL1.A is 0).
 */
#include <machine_layout.h>

    .cfi_sections .debug_frame
    .arch_extension pan
    .section .text.user, "ax"

#define MINUS_EFAULT -14

.macro user_label name
    .globl \name
\name:
.endm

/*
 * size_t hal_user_copy(void *kernel, vaddr_t user, size_t bytes, enum user_copy direction)
 * Owns x0 = kernel, x1 = user, x2, x3 = the kernel side's end, x4-x12. A fault finds x0 and x1 where the group of
 * accesses that it is in began, so that x3 - x0 bytes are left.
 */
    .globl hal_user_copy
    .type hal_user_copy, %function
    .balign 64
hal_user_copy:
    .cfi_startproc
    mov w4, w3
    add x3, x0, x2
    cbnz w4, .Lout              /* USER_COPY_IN is 0 */

    subs x2, x2, #64
    b.lo 2f
user_label user_in
1:  ldtr x5, [x1]
    ldtr x6, [x1, #8]
    ldtr x7, [x1, #16]
    ldtr x8, [x1, #24]
    ldtr x9, [x1, #32]
    ldtr x10, [x1, #40]
    ldtr x11, [x1, #48]
    ldtr x12, [x1, #56]
    add x1, x1, #64
    stp x5, x6, [x0], #16
    stp x7, x8, [x0], #16
    stp x9, x10, [x0], #16
    stp x11, x12, [x0], #16
    subs x2, x2, #64
    b.hs 1b
2:  tbz x2, #5, 3f              /* the low six bits are those of what was left before 64 was taken off */
    ldtr x5, [x1]
    ldtr x6, [x1, #8]
    ldtr x7, [x1, #16]
    ldtr x8, [x1, #24]
    add x1, x1, #32
    stp x5, x6, [x0], #16
    stp x7, x8, [x0], #16
3:  tbz x2, #4, 4f
    ldtr x5, [x1]
    ldtr x6, [x1, #8]
    add x1, x1, #16
    stp x5, x6, [x0], #16
4:  tbz x2, #3, 5f
    ldtr x5, [x1]
    add x1, x1, #8
    str x5, [x0], #8
5:  tbz x2, #2, 6f
    ldtr w5, [x1]
    add x1, x1, #4
    str w5, [x0], #4
6:  tbz x2, #1, 7f
    ldtrh w5, [x1]
    add x1, x1, #2
    strh w5, [x0], #2
7:  tbz x2, #0, 8f
    ldtrb w5, [x1]
    strb w5, [x0]
user_label user_in_end
8:  mov x0, xzr
    ret

user_label user_in_failed
user_label user_in_bytes
1:  ldtrb w5, [x1]
    add x1, x1, #1
    strb w5, [x0], #1
    cmp x0, x3
    b.ne 1b
user_label user_in_bytes_end
    mov x0, xzr
    ret

.Lout:
    subs x2, x2, #64
    b.lo 2f
user_label user_out
1:  ldp x5, x6, [x0]
    ldp x7, x8, [x0, #16]
    ldp x9, x10, [x0, #32]
    ldp x11, x12, [x0, #48]
    sttr x5, [x1]
    sttr x6, [x1, #8]
    sttr x7, [x1, #16]
    sttr x8, [x1, #24]
    sttr x9, [x1, #32]
    sttr x10, [x1, #40]
    sttr x11, [x1, #48]
    sttr x12, [x1, #56]
    add x0, x0, #64
    add x1, x1, #64
    subs x2, x2, #64
    b.hs 1b
2:  tbz x2, #5, 3f
    ldp x5, x6, [x0]
    ldp x7, x8, [x0, #16]
    sttr x5, [x1]
    sttr x6, [x1, #8]
    sttr x7, [x1, #16]
    sttr x8, [x1, #24]
    add x0, x0, #32
    add x1, x1, #32
3:  tbz x2, #4, 4f
    ldp x5, x6, [x0]
    sttr x5, [x1]
    sttr x6, [x1, #8]
    add x0, x0, #16
    add x1, x1, #16
4:  tbz x2, #3, 5f
    ldr x5, [x0]
    sttr x5, [x1]
    add x0, x0, #8
    add x1, x1, #8
5:  tbz x2, #2, 6f
    ldr w5, [x0]
    sttr w5, [x1]
    add x0, x0, #4
    add x1, x1, #4
6:  tbz x2, #1, 7f
    ldrh w5, [x0]
    sttrh w5, [x1]
    add x0, x0, #2
    add x1, x1, #2
7:  tbz x2, #0, 8f
    ldrb w5, [x0]
    sttrb w5, [x1]
user_label user_out_end
8:  mov x0, xzr
    ret

user_label user_out_failed
user_label user_out_bytes
1:  ldrb w5, [x0]
    sttrb w5, [x1]
    add x0, x0, #1
    add x1, x1, #1
    cmp x0, x3
    b.ne 1b
user_label user_out_bytes_end
    mov x0, xzr
    ret
user_label user_bytes_failed
    sub x0, x3, x0
    ret
    .cfi_endproc
    .size hal_user_copy, . - hal_user_copy

/*
 * int hal_user_cas(vaddr_t user, uint32_t *expected, uint32_t desired)
 * Owns x3-x7. There is no unprivileged exclusive access, so PAN is cleared for the pair, and a plain unprivileged load
 * goes first: what the user may read, the user may write whenever the kernel may (AP[2:1], ARM D8.4.1). Unequal words
 * are stored as they are, so that a read-only page faults in any case.
 */
    .globl hal_user_cas
    .type hal_user_cas, %function
    .balign 16
hal_user_cas:
    .cfi_startproc
    ldr w3, [x1]
    adrp x6, cpu_has_pan
    ldrb w6, [x6, :lo12:cpu_has_pan]
user_label user_cas
    ldtr w4, [x0]
    cbz w6, 1f
    msr pan, #0
1:  ldaxr w4, [x0]
    cmp w4, w3
    csel w5, w2, w4, eq
    stlxr w7, w5, [x0]
    cbnz w7, 1b
user_label user_cas_end
    cbz w6, 2f
    msr pan, #1
2:  dmb ish                     /* later plain accesses stay behind the exchange, too */
    str w4, [x1]
    mov w0, wzr
    ret
user_label user_cas_failed
    cbz w6, 3f
    msr pan, #1
3:  mov w0, #MINUS_EFAULT
    ret
    .cfi_endproc
    .size hal_user_cas, . - hal_user_cas
