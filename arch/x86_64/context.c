/* SPDX-License-Identifier: MIT */
/* A task's first stack frame, as context.S will take it off. */
#include <hal/context.h>

#include <k/assert.h>

#include "machine.h"

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
    context->stack_pointer = (uintptr_t)frame;
}
