/* SPDX-License-Identifier: MIT */
/* A task's first stack frame, as context.S will take it off. */
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include <hal/user.h>
#include <hal/usermode.h>

#include <k/assert.h>
#include <k/errno.h>

#include "machine.h"
#include "x86.h"

#define USER_PRIVILEGE 3u
#define RFLAGS_USER 0x202u /* interrupts enabled; bit 1 is always set */

/* arch_prctl(2) */
#define SYS_ARCH_PRCTL 158
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

/* Lowest address first. */
struct first_frame {
    uint64_t rbp;    /* 0: the chain of frame records ends here */
    uint64_t start;  /* where the switch returns to: context_start */
    uint64_t entry;
    uint64_t arg;
    uint64_t nobody; /* entry's own return address: 0 */
};

/* entry finds its return address at the stack pointer and the ABI's alignment, the stack's top, 8 bytes above it. */
static_assert(offsetof(struct first_frame, nobody) + 8 == sizeof(struct first_frame));

void context_start(void);

void hal_context_init(struct hal_context *context, vaddr_t stack_top, size_t stack_bytes, void (*entry)(void *),
                      void *arg)
{
    struct first_frame *frame = (struct first_frame *)stack_top - 1;

    ASSERT(IS_ALIGNED(stack_top, HAL_STACK_ALIGN) && stack_bytes > sizeof *frame);
    ASSERT(entry != NULL);
    *frame = (struct first_frame){
        .arg = (uintptr_t)arg,
        .entry = (uintptr_t)entry,
        .start = (uintptr_t)context_start,
    };
    *context = (struct hal_context){ .stack_pointer = (uintptr_t)frame };
}

void hal_user_init(struct hal_trap *trap, vaddr_t pc, vaddr_t sp)
{
    *trap = (struct hal_trap){
        .rip = pc,
        .rsp = sp,
        .cs = SELECTOR_USER_CODE | USER_PRIVILEGE,
        .ss = SELECTOR_USER_DATA | USER_PRIVILEGE,
        .rflags = RFLAGS_USER,
    };
}

void hal_user_enter(struct hal_trap *trap)
{
    struct hal_context *context = (struct hal_context *)hal_current();

    ASSERT(IS_ALIGNED((uintptr_t)(trap + 1), HAL_STACK_ALIGN) && !hal_irq_is_enabled());
    context->user_stack = (uintptr_t)(trap + 1);
    *(uint64_t X86_PER_CPU *)CPU_USER_STACK = context->user_stack;
    user_enter(trap);
}

/* A switch between the two stores would lose one of them. */
static void set_base(uint64_t *base, uint32_t msr, uint64_t value)
{
    uintptr_t state = hal_irq_save();

    *base = value;
    wrmsr(msr, value);
    hal_irq_restore(state);
}

static int64_t arch_prctl(void *area, uint64_t code, vaddr_t address)
{
    struct x86_bases *bases = x86_bases_of(area);
    bool is_fs = code == ARCH_SET_FS || code == ARCH_GET_FS;
    uint64_t *base = is_fs ? &bases->fs : &bases->gs;

    switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
        if (address >= HAL_USER_END)
            return -EPERM;
        set_base(base, is_fs ? MSR_FS_BASE : MSR_KERNEL_GS_BASE, address);
        return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS:
        if (address > HAL_USER_END - sizeof *base)
            return -EFAULT;
        return hal_user_copy(base, address, sizeof *base, USER_COPY_OUT) == 0 ? 0 : -EFAULT;
    default:
        return -EINVAL;
    }
}

int64_t hal_user_call(struct hal_trap *trap, void *area, uintptr_t number)
{
    if (number != SYS_ARCH_PRCTL)
        return -ENOSYS;
    return arch_prctl(area, HAL_USER_ARG(trap, 0), HAL_USER_ARG(trap, 1));
}
