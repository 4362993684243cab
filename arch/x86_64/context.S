/* SPDX-License-Identifier: MIT */
/*
 * The switch. A switched-out task's stack, from its saved stack pointer up:
 *
 *     r15 r14 r13 r12 rbx rbp return-address ...
 *
 * Those are the registers that the ABI makes the callee's (System V psABI, 3.2.1); flags need no saving, because every
 * switch happens with interrupts disabled and the direction flag clear.
 */
#include "layout.h"

    .cfi_sections .debug_frame
    .section .text.context, "ax", @progbits

/*
 * void hal_context_switch(struct task *prev, struct task *next)
 * In: rdi, rsi. Out: rsi = next, for context_start. Owns rax, rcx, rdx, r8-r11.
 */
    .globl hal_context_switch
    .type hal_context_switch, @function
    .balign 16
hal_context_switch:
    .cfi_startproc
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    .cfi_def_cfa_offset 56
    mov %rsp, CONTEXT_STACK_POINTER(%rdi)
    mov CONTEXT_STACK_POINTER(%rsi), %rsp
    mov %rsi, %gs:CPU_CURRENT
.Lresume:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size hal_context_switch, . - hal_context_switch

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
 * A task's first steps: hal_context_init() has left entry in r12 and arg in r13, and behind the return address that led
 * here a zero, which is where a backtrace ends and entry would "return" to.
 */
    .globl context_start
    .type context_start, @function
context_start:
    .cfi_startproc
    .cfi_undefined %rip
    mov %r13, %rdi
    jmp *%r12
    .cfi_endproc
    .size context_start, . - context_start
