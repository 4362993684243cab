/* SPDX-License-Identifier: MIT */
/* userland.h on x86_64: words 0 to 15 are rax, rbx, rcx, rdx, rsi, rdi, rbp, nobody's, r8 to r15. */
#include "userland.h"

#define W(n) (8 * (n))
#define GOT (8 * USERLAND_WORDS)

    .macro load_all
    mov W(0)(%rsp), %rax
    mov W(1)(%rsp), %rbx
    mov W(2)(%rsp), %rcx
    mov W(3)(%rsp), %rdx
    mov W(4)(%rsp), %rsi
    mov W(5)(%rsp), %rdi
    mov W(6)(%rsp), %rbp
    mov W(8)(%rsp), %r8
    mov W(9)(%rsp), %r9
    mov W(10)(%rsp), %r10
    mov W(11)(%rsp), %r11
    mov W(12)(%rsp), %r12
    mov W(13)(%rsp), %r13
    mov W(14)(%rsp), %r14
    mov W(15)(%rsp), %r15
    .endm

    .macro store_all
    mov %rax, GOT + W(0)(%rsp)
    mov %rbx, GOT + W(1)(%rsp)
    mov %rcx, GOT + W(2)(%rsp)
    mov %rdx, GOT + W(3)(%rsp)
    mov %rsi, GOT + W(4)(%rsp)
    mov %rdi, GOT + W(5)(%rsp)
    mov %rbp, GOT + W(6)(%rsp)
    mov %r8, GOT + W(8)(%rsp)
    mov %r9, GOT + W(9)(%rsp)
    mov %r10, GOT + W(10)(%rsp)
    mov %r11, GOT + W(11)(%rsp)
    mov %r12, GOT + W(12)(%rsp)
    mov %r13, GOT + W(13)(%rsp)
    mov %r14, GOT + W(14)(%rsp)
    mov %r15, GOT + W(15)(%rsp)
    .endm

    .section .rodata.userland, "a", @progbits
    .globl userland_begin, userland_call, userland_spin, userland_store, userland_read, userland_deny, userland_end
userland_begin:
userland_call:
    load_all
    syscall
    store_all
    jmp userland_call

userland_spin:
    load_all
1:  jmp 1b

userland_store:
    store_all
    syscall
    jmp userland_call

userland_read:
    load_all
    mov (%rdi), %rdi

userland_deny:
    mov %cr0, %rdi

userland_end:

    .globl userland_words
userland_words:
    .byte 0, 5, 4, 3, 10, 8, 9, 0, 5, 2, 11
