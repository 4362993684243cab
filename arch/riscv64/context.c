/* SPDX-License-Identifier: MIT */
/*
 * The machine's half of a task: first context, floating-point and vector state. The units' states in sstatus.FS and VS
 * are the CPU's, kept by hal_fpu_switch() alone: trap frames do not restore them.
 */
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>

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
    *trap = (struct hal_trap){ .pc = pc };
    HAL_USER_SP(trap) = sp;
}

void hal_user_enter(struct hal_trap *trap)
{
    struct hal_context *context = (struct hal_context *)hal_current();

    context->user = (uintptr_t)(trap + 1);
    ASSERT(IS_ALIGNED(context->user, HAL_STACK_ALIGN) && !hal_irq_is_enabled());
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

void hal_fpu_init(void *area)
{
    memset(area, 0, HAL_FPU_BYTES);
}

/*
 * Whose area has no vector area, has the vector unit off: until its first use a program pays nothing for it, in time or
 * memory. From then on it is loaded with the rest at each switch: four instructions move eight registers each, which is
 * less than a trap at the next use.
 */
void hal_fpu_switch(void *save, void *load)
{
    uintptr_t status = csr_read(sstatus);
    const struct machine_fpu *from = load;

    /* Clean means: the registers still equal the area that they were loaded from. */
    if (save != NULL) {
        if ((status & SSTATUS_FS) == SSTATUS_FS_DIRTY)
            fpu_save(save);
        if ((status & SSTATUS_VS) == SSTATUS_VS_DIRTY)
            vector_save(HAL_FPU_VECTOR(save));
    }
    if (save == load && save != NULL) {
        csr_clear(sstatus, (SSTATUS_FS_DIRTY ^ SSTATUS_FS_CLEAN) | (SSTATUS_VS_DIRTY ^ SSTATUS_VS_CLEAN));
        return;
    }
    status &= ~(uintptr_t)(SSTATUS_FS | SSTATUS_VS);
    if (from == NULL) {
        csr_write(sstatus, status);
        return;
    }
    ASSERT(machine_facts.has_fpu);
    csr_set(sstatus, SSTATUS_FS_DIRTY);
    fpu_load(from);
    status |= SSTATUS_FS_CLEAN;
    if (from->vector != NULL) {
        csr_set(sstatus, SSTATUS_VS_DIRTY);
        vector_load(from->vector);
        status |= SSTATUS_VS_CLEAN;
    }
    csr_write(sstatus, status);
}
