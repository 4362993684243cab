/* SPDX-License-Identifier: MIT */
/*
 * Stack switch on an AArch64 host: AAPCS64, callee-saved x19-x29, the link register and d8-d15 (section 6.1). No signal
 * mask is touched: that is a system call.
 */
#include "host_priv.h"

#include <ucontext.h>

#define FRAME_WORDS 20 /* d8-d15, x19-x30 */

__attribute__((naked)) void host_swap(uintptr_t *save_sp, uintptr_t load_sp)
{
    __asm__("sub sp, sp, #160\n\t"
            "stp d8, d9, [sp, #0]\n\t"
            "stp d10, d11, [sp, #16]\n\t"
            "stp d12, d13, [sp, #32]\n\t"
            "stp d14, d15, [sp, #48]\n\t"
            "stp x19, x20, [sp, #64]\n\t"
            "stp x21, x22, [sp, #80]\n\t"
            "stp x23, x24, [sp, #96]\n\t"
            "stp x25, x26, [sp, #112]\n\t"
            "stp x27, x28, [sp, #128]\n\t"
            "stp x29, x30, [sp, #144]\n\t"
            "mov x9, sp\n\t"
            "str x9, [x0]\n\t"
            "mov sp, x1\n\t"
            "ldp d8, d9, [sp, #0]\n\t"
            "ldp d10, d11, [sp, #16]\n\t"
            "ldp d12, d13, [sp, #32]\n\t"
            "ldp d14, d15, [sp, #48]\n\t"
            "ldp x19, x20, [sp, #64]\n\t"
            "ldp x21, x22, [sp, #80]\n\t"
            "ldp x23, x24, [sp, #96]\n\t"
            "ldp x25, x26, [sp, #112]\n\t"
            "ldp x27, x28, [sp, #128]\n\t"
            "ldp x29, x30, [sp, #144]\n\t"
            "add sp, sp, #160\n\t"
            "ret");
}

/* First frame of a stack: x19 = entry, x20 = arg, x29 = 0; link register 0 ends a backtrace. */
__attribute__((naked)) static void swap_begin(void)
{
    __asm__("mov x0, x20\n\t"
            "mov x30, xzr\n\t"
            "br x19");
}

uintptr_t host_swap_prepare(uintptr_t top, void (*entry)(void *), void *arg)
{
    uintptr_t *frame = (uintptr_t *)top - FRAME_WORDS;

    for (unsigned i = 0; i < FRAME_WORDS; i++)
        frame[i] = 0;
    frame[8] = (uintptr_t)entry;       /* x19 */
    frame[9] = (uintptr_t)arg;         /* x20 */
    frame[19] = (uintptr_t)swap_begin; /* x30 */
    return (uintptr_t)frame;
}

__attribute__((naked)) void host_signal_return(void)
{
    __asm__("mov x8, #139\n\t" /* rt_sigreturn */
            "svc #0");
}

void host_swap_signal_facts(const void *ucontext, struct hal_trap *out)
{
    const ucontext_t *context = ucontext;
    const struct _aarch64_ctx *record = (const struct _aarch64_ctx *)context->uc_mcontext.__reserved;

    out->pc = context->uc_mcontext.pc;
    out->frame_pointer = context->uc_mcontext.regs[29];
    out->sp = context->uc_mcontext.sp;
    out->is_write = false;
    while (record->magic != 0 && record->size != 0) {
        /* Data abort syndrome, bit 6 WnR: a write (Arm ARM, ESR_EL1, ISS of a data abort). */
        if (record->magic == ESR_MAGIC)
            out->is_write = (((const struct esr_context *)record)->esr >> 6 & 1) != 0;
        record = (const struct _aarch64_ctx *)((const char *)record + record->size);
    }
}
