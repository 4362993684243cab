/* SPDX-License-Identifier: MIT */
/* The machine's half of a task: its first context, and its first registers in user mode. */
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>

#include "machine_priv.h"

void hal_context_init(struct hal_context *context, vaddr_t stack_top, size_t stack_bytes, void (*entry)(void *),
                      void *arg)
{
    (void)stack_bytes; /* trap_vector finds an overflow without knowing the bounds */
    ASSERT(IS_ALIGNED(stack_top, HAL_STACK_ALIGN));
    uintptr_t *first = (uintptr_t *)stack_top - 2; /* what context_first_run takes off */

    first[0] = (uintptr_t)entry;
    first[1] = (uintptr_t)arg;
    *context = (struct hal_context){ .ra = (uintptr_t)context_first_run, .sp = (uintptr_t)first };
}

void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp)
{
    /* Whose frame it is stays: the running task may be between two entries. */
    *trap = (struct hal_trap){ .pc = pc, .task = trap->task };
    HAL_USER_SP(trap) = sp;
}

void hal_user_enter(struct hal_trap *trap)
{
    struct hal_context *context = (struct hal_context *)hal_current();

    ASSERT(IS_ALIGNED((uintptr_t)trap, HAL_STACK_ALIGN) && !hal_irq_is_enabled());
    /* What entry.S relies on: SRET goes to user mode, with interrupts enabled. */
    ASSERT((csr_read(sstatus) & (SSTATUS_SPP | SSTATUS_SPIE)) == SSTATUS_SPIE);
    context->gp = (uintptr_t)machine_cpu();
    trap->task = (uintptr_t)context;
    user_enter(trap);
}

/* Linux has some (riscv_hwprobe, riscv_flush_icache); none of them is here yet. */
int64_t hal_user_call(struct hal_trap *trap, void *area, uintptr_t number)
{
    (void)trap;
    (void)area;
    (void)number;
    return -ENOSYS;
}
