/* SPDX-License-Identifier: MIT */
/*
 * The switch. A switched-out task's stack, from its saved stack pointer up:
 *
 *     rbp return-address ...
 *
 * The compiler has saved the other registers that it needs (hal_context_switch()); flags need no saving, because every
 * switch happens with interrupts disabled and the direction flag clear.
 */
#include "layout.h"

    .cfi_sections .debug_frame
    .section .text.context, "ax", @progbits

/*
 * void context_swap(struct task *prev, struct task *next)
 * In: rdi, rsi. Owns all but rsp and rbp.
 */
    .globl context_swap
    .type context_swap, @function
    .balign 16
context_swap:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    mov %rsp, CONTEXT_STACK_POINTER(%rdi)
    mov CONTEXT_STACK_POINTER(%rsi), %rsp
    mov %rsi, %gs:CPU_CURRENT
    mov CONTEXT_USER_STACK(%rsi), %rax
    mov %rax, %gs:CPU_USER_STACK
.Lresume:
    pop %rbp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size context_swap, . - context_swap

/*
 * [[noreturn]] void context_resume_first(...)
 * In: rsi = task. The far half of a switch on a CPU that ran nothing before; hal_cpu_init() will set GS up.
 */
    .globl context_resume_first
    .type context_resume_first, @function
context_resume_first:
    mov CONTEXT_STACK_POINTER(%rsi), %rsp
    jmp .Lresume
    .size context_resume_first, . - context_resume_first

/*
 * A task's first steps: hal_context_init() has left entry and arg behind the return address that led here, and then a
 * zero, which is where a backtrace ends and entry would "return" to.
 */
    .globl context_start
    .type context_start, @function
context_start:
    .cfi_startproc
    .cfi_undefined %rip
    pop %rax
    pop %rdi
    jmp *%rax
    .cfi_endproc
    .size context_start, . - context_start
