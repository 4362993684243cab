/* SPDX-License-Identifier: MIT */
/*
 * Traps in and out. Each of the 256 vectors has its VECTOR_ENTRY_BYTES of code that make the stack look alike, whether
 * the CPU pushes an error code or not; trap_common saves the rest as struct hal_trap (machine.h) and calls
 * trap_enter().
 *
 *     ss rsp rflags cs rip  error vector  rax rbx rcx rdx rsi rdi rbp r8..r15  [rip rbp]
 *     `---- the CPU -----'  `- vector -'  `---------- trap_common ---------'   frame record: backtraces go on across it
 *
 * A trap from user mode finds the user's GS base and swaps it for ours, and back on the way out. RFLAGS.AC, which opens
 * user memory where there is SMAP, is no trap's to inherit: the frame has it, and IRET brings it back.
 */
#include "layout.h"

    .cfi_sections .debug_frame
    .section .text.entry, "ax", @progbits

/* Vectors with an error code: SDM vol. 3, table 6-1. */
#define HAS_ERROR_CODE(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17 || (v) == 21 || (v) == 29 || (v) == 30)

    .globl trap_vectors
    .type trap_vectors, @function
    .balign VECTOR_ENTRY_BYTES
trap_vectors:
    .set vector, 0
    .rept 256
    .balign VECTOR_ENTRY_BYTES
    .if !HAS_ERROR_CODE(vector)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr
    .size trap_vectors, . - trap_vectors

/* In: the stack as above up to `vector`. Owns nothing: restores every register. */
    .type trap_common, @function
    .balign 16
trap_common:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa %rsp, 56
    .cfi_offset %rip, -40
    .cfi_offset %rsp, -16
    testb $3, 24(%rsp)          /* privilege level in the interrupted CS */
    jz 1f
    swapgs
1:  push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    .cfi_def_cfa_offset 176
    pushq TRAP_RIP - 16(%rsp)   /* the record is not there yet: rip is 16 bytes nearer */
    push %rbp
    .cfi_def_cfa_offset TRAP_BYTES
    mov %rsp, %rbp
    mov %rsp, %rdi
    cld
    testl $RFLAGS_AC, TRAP_RFLAGS(%rsp)
    jnz 3f
2:  call trap_enter             /* aligned: the CPU rounds rsp down to 16, and TRAP_BYTES is a multiple */
    add $16, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    testb $3, 24(%rsp)
    jz 4f
    swapgs
4:  add $16, %rsp               /* vector and error code */
    iretq

    /* Interrupted in user.S, or a user has set the flag for its own, older purpose. */
3:  cmpb $0, cpu_has_smap(%rip)
    je 2b
    clac
    jmp 2b
    .cfi_endproc
    .size trap_common, . - trap_common
