/* SPDX-License-Identifier: MIT */
/*
 * The code that touches user memory, with sstatus.SUM set (Privileged Architecture, 10.1.1.2): trap_vector clears it
 * for the kernel's C code and restores it. user.c has the table of what follows a fault that cannot be repaired: user_X
 * to user_X_end is left for user_X_failed.
 *
 * All words are aligned: what a misaligned access does is the hart's and the firmware's choice. A copy that fails in a
 * group of words begins that group again with single bytes, up to the one that cannot be copied: so the count of what
 * is left is exact.
 */
#include "asm.h"
#include "riscv_csr.h"

#define WORD 8
#define GROUP 64
#define HALVES 32
#define MINUS_EFAULT -14

    .macro user_label name
    .globl \name
\name:
    .endm

    .section .text.user, "ax"

/*
 * size_t hal_user_copy(void *kernel, vaddr_t user, size_t bytes, enum user_copy direction)
 * Owns a0 = to, a1 = from, a2 = to's end, a3-a7, t0-t6. A fault finds a0 and a1 where the group of accesses that it is
 * in began, so that a2 - a0 bytes are left. Comparisons are signed: user addresses are small, and a place that lies
 * before the first of them must not be a large one.
 */
FUNCTION(hal_user_copy)
    beqz    a3, 1f                  /* USER_COPY_IN is 0 */
    mv      t0, a0
    mv      a0, a1
    mv      a1, t0
1:  li      t0, SSTATUS_SUM
    csrs    sstatus, t0
    xor     t1, a0, a1
    andi    t1, t1, WORD - 1
    sltiu   t2, a2, WORD            /* too short for a word that may have to be aligned first */
    andi    t3, a0, WORD - 1
    add     a2, a0, a2
user_label user_copy
    bnez    t2, .Lshort
    bnez    t1, .Lshifted
    beqz    t3, 3f
    addi    a4, a0, WORD - 1        /* bytes, up to a multiple of a word */
    andi    a4, a4, -WORD
2:  lbu     t0, 0(a1)
    sb      t0, 0(a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    blt     a0, a4, 2b

3:  addi    a4, a2, -GROUP          /* the last place where a group can begin; below a0: there is none */
    bgt     a0, a4, 5f
4:  ld      a5, 0(a1)
    ld      a6, 8(a1)
    ld      a7, 16(a1)
    ld      t0, 24(a1)
    ld      t1, 32(a1)
    ld      t2, 40(a1)
    ld      t3, 48(a1)
    ld      t4, 56(a1)
    sd      a5, 0(a0)
    sd      a6, 8(a0)
    sd      a7, 16(a0)
    sd      t0, 24(a0)
    sd      t1, 32(a0)
    sd      t2, 40(a0)
    sd      t3, 48(a0)
    sd      t4, 56(a0)
    addi    a1, a1, GROUP
    addi    a0, a0, GROUP
    ble     a0, a4, 4b
5:  addi    a4, a2, -WORD
    bgt     a0, a4, .Lbytes
6:  ld      a5, 0(a1)
    sd      a5, 0(a0)
    addi    a1, a1, WORD
    addi    a0, a0, WORD
    ble     a0, a4, 6b
    j       .Lhalf_words_left

/* Less than a word: 4, 2 and 1 in one access each, if both sides are aligned alike and to that. */
.Lshort:
    or      t3, a0, a1
    sub     t4, a2, a0
    andi    t5, t3, 3
    andi    t6, t4, 3
    or      t5, t5, t6
    bnez    t5, 7f                  /* not aligned to 4, or not 4 long */
    beqz    t4, .Ldone
    lw      t0, 0(a1)
    sw      t0, 0(a0)
    j       .Ldone
7:  andi    t5, t3, 1
    xori    t6, t4, 2
    or      t5, t5, t6
    bnez    t5, .Lbytes
    lhu     t0, 0(a1)
    sh      t0, 0(a0)
    j       .Ldone

/* Both sides are at a multiple of half a word, but not of a word on the same side. */
.Lhalf_words:
    addi    a4, a2, -HALVES
    bgt     a0, a4, .Lhalf_words_left
12: lw      a5, 0(a1)
    lw      a6, 4(a1)
    lw      a7, 8(a1)
    lw      t0, 12(a1)
    lw      t1, 16(a1)
    lw      t2, 20(a1)
    lw      t3, 24(a1)
    lw      t4, 28(a1)
    sw      a5, 0(a0)
    sw      a6, 4(a0)
    sw      a7, 8(a0)
    sw      t0, 12(a0)
    sw      t1, 16(a0)
    sw      t2, 20(a0)
    sw      t3, 24(a0)
    sw      t4, 28(a0)
    addi    a1, a1, HALVES
    addi    a0, a0, HALVES
    ble     a0, a4, 12b
.Lhalf_words_left:
    addi    a4, a2, -WORD / 2
    bgt     a0, a4, .Lbytes
13: lw      a5, 0(a1)
    sw      a5, 0(a0)
    addi    a1, a1, WORD / 2
    addi    a0, a0, WORD / 2
    ble     a0, a4, 13b
    j       .Lbytes

/* The sides are aligned differently. Unless half words are possible, whole words are read, and each that is written is
 * put together from two of them. A word that is read has at least one byte of the range in it, so it lies in a page of
 * the range. */
.Lshifted:
    xori    t1, t1, WORD / 2
    andi    t2, a0, WORD / 2 - 1
    or      t1, t1, t2
    beqz    t1, .Lhalf_words
    beqz    t3, 9f
    addi    a4, a0, WORD - 1
    andi    a4, a4, -WORD
8:  lbu     t0, 0(a1)
    sb      t0, 0(a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    blt     a0, a4, 8b
9:  addi    a4, a2, -2 * WORD       /* the last place where two words can begin */
    bgt     a0, a4, .Lbytes
    andi    t1, a1, WORD - 1
    slli    t1, t1, 3               /* bits of the first word that are not ours */
    neg     t2, t1                  /* a shift counts modulo 64 */
    andi    t3, a1, -WORD
    ld      t4, 0(t3)
    sub     t0, a1, a0
user_label user_shifted             /* a1 is a0 + t0 */
10: ld      t5, WORD(t3)
    srl     t4, t4, t1
    sll     t6, t5, t2
    or      t6, t4, t6
    sd      t6, 0(a0)
    ld      t4, 2 * WORD(t3)
    srl     t5, t5, t1
    sll     t6, t4, t2
    or      t6, t5, t6
    sd      t6, WORD(a0)
    addi    t3, t3, 2 * WORD
    addi    a0, a0, 2 * WORD
    ble     a0, a4, 10b
user_label user_shifted_end
    add     a1, a0, t0

user_label user_rest
.Lbytes:
    bge     a0, a2, .Ldone
11: lbu     t0, 0(a1)
    sb      t0, 0(a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    blt     a0, a2, 11b
user_label user_rest_end
.Ldone:
    li      t0, SSTATUS_SUM
    csrc    sstatus, t0
    li      a0, 0
    ret

user_label user_shifted_failed
    add     a1, a0, t0
user_label user_copy_failed
user_label user_bytes
    lbu     t0, 0(a1)
    sb      t0, 0(a0)
    addi    a1, a1, 1
    addi    a0, a0, 1
    blt     a0, a2, user_bytes
user_label user_bytes_end
    j       .Ldone
user_label user_bytes_failed
    li      t0, SSTATUS_SUM
    csrc    sstatus, t0
    sub     a0, a2, a0
    ret
END(hal_user_copy)

/*
 * int hal_user_cas(vaddr_t user, uint32_t *expected, uint32_t desired)
 * Owns a0, t0-t4. Sequentially consistent as the manual's table A.6 has it. Unequal words are stored as they are, so
 * that a read-only page faults in any case.
 */
FUNCTION(hal_user_cas)
    lw      t1, 0(a1)
    li      t0, SSTATUS_SUM
    csrs    sstatus, t0
user_label user_cas
1:  lr.w.aqrl t2, (a0)
    mv      t3, t2
    bne     t2, t1, 2f
    mv      t3, a2
2:  sc.w.aqrl t4, t3, (a0)
    bnez    t4, 1b
user_label user_cas_end
    csrc    sstatus, t0
    sw      t2, 0(a1)
    li      a0, 0
    ret
user_label user_cas_failed
    li      t0, SSTATUS_SUM
    csrc    sstatus, t0
    li      a0, MINUS_EFAULT
    ret
END(hal_user_cas)
