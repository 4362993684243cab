/* SPDX-License-Identifier: MIT */
/*
 * Stack switch on an x86_64 host: System V ABI, callee-saved rbx, rbp, r12-r15 (psABI 1.0, section 3.2.1). The control
 * words of the floating-point unit are the process's and never change. No signal mask is touched: that would be a
 * system call.
 */
#include "host_priv.h"

#include <ucontext.h>

__attribute__((naked)) void host_swap(uintptr_t *save_sp, uintptr_t load_sp)
{
    __asm__("pushq %rbp\n\t"
            "pushq %rbx\n\t"
            "pushq %r12\n\t"
            "pushq %r13\n\t"
            "pushq %r14\n\t"
            "pushq %r15\n\t"
            "movq %rsp, (%rdi)\n\t"
            "movq %rsi, %rsp\n\t"
            "popq %r15\n\t"
            "popq %r14\n\t"
            "popq %r13\n\t"
            "popq %r12\n\t"
            "popq %rbx\n\t"
            "popq %rbp\n\t"
            "retq");
}

/* First frame of a stack: r12 = entry, r13 = arg, rbp = 0; return address 0 ends a backtrace. */
__attribute__((naked)) static void swap_begin(void)
{
    __asm__(".cfi_undefined rip\n\t"
            "movq %r13, %rdi\n\t"
            "pushq $0\n\t"
            "jmpq *%r12");
}

uintptr_t host_swap_prepare(uintptr_t top, void (*entry)(void *), void *arg)
{
    uintptr_t *frame = (uintptr_t *)top - 7;

    frame[0] = 0;                     /* r15 */
    frame[1] = 0;                     /* r14 */
    frame[2] = (uintptr_t)arg;        /* r13 */
    frame[3] = (uintptr_t)entry;      /* r12 */
    frame[4] = 0;                     /* rbx */
    frame[5] = 0;                     /* rbp */
    frame[6] = (uintptr_t)swap_begin; /* leaves rsp = top, 16-byte aligned; swap_begin pushes as a call would */
    return (uintptr_t)frame;
}

__attribute__((naked)) void host_signal_return(void)
{
    __asm__("movl $15, %eax\n\t" /* rt_sigreturn */
            "syscall");
}

void host_swap_signal_facts(const void *ucontext, struct hal_trap *out)
{
    const ucontext_t *context = ucontext;

    out->pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    out->frame_pointer = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
    out->sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
    /* Page-fault error code, bit 1: a write (Intel SDM volume 3, 4.7). */
    out->is_write = (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
}
