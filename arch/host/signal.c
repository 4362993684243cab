/* SPDX-License-Identifier: MIT */
/*
 * Signal frames of the simulated machine: a format of its own. The handler is a function of the host's, usermode.c
 * calls it with three arguments: the number, and the addresses of siginfo and of the frame in user memory. No state, no
 * lock.
 */
#include "host_priv.h"

#include <string.h>

#include <hal/upcall.h>
#include <hal/usermode.h>

#define MARK UINT64_C(0x656d617266676973) /* "sigframe" */

/* No two alike but for one, so that a test sees which it was. */
const struct hal_fault_signal hal_fault_signals[] = {
    [FAULT_FPU_OFF] = { 4, 1 },
    [FAULT_ILLEGAL] = { 4, 2 },
    [FAULT_BREAKPOINT] = { 5, 0x80 },
    [FAULT_STEP] = { 5, 2 },
    [FAULT_DIVIDE] = { 8, 1 },
    [FAULT_FLOAT] = { 8, 3 },
    [FAULT_MISALIGNED] = { 7, 1 },
    [FAULT_OTHER] = { 11, 0x80 },
};

struct frame {
    uint64_t mark;
    uint8_t info[128];
    struct hal_trap trap;
    uint64_t mask;
    vaddr_t stack;
    uint64_t stack_bytes;
    uint32_t stack_flags;
    bool has_area;
    struct host_fpu_area area;
};
static_assert(sizeof(struct frame) <= HAL_SIGNAL_FRAME_BYTES);

size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va)
{
    struct frame *to = frame;
    uint64_t *vector = area == NULL ? NULL : HAL_FPU_VECTOR(area);
    size_t bytes = vector == NULL ? sizeof *to : HAL_SIGNAL_VECTOR_AT;
    vaddr_t va = (sp - bytes - (vector == NULL ? 0 : HAL_VECTOR_BYTES)) & ~(vaddr_t)(HAL_STACK_ALIGN - 1);

    memset(to, 0, bytes);
    to->mark = MARK;
    if (vector != NULL)
        to->mark = vector[HOST_VECTOR_WORDS] = HOST_FRAME_WITH_VECTOR;
    memcpy(to->info, signal->info, sizeof to->info);
    to->trap = *trap;
    to->mask = signal->mask;
    to->stack = signal->stack;
    to->stack_flags = signal->stack_flags;
    to->stack_bytes = signal->stack_bytes;
    to->has_area = area != NULL;
    if (area != NULL)
        to->area = *(const struct host_fpu_area *)area;
    to->area.vector = NULL;
    trap->pc = signal->handler;
    trap->sp = va;
    trap->arg[0] = signal->number;
    trap->arg[1] = va + offsetof(struct frame, info);
    trap->arg[2] = va;
    trap->depth++;
    *out_va = va;
    return bytes;
}

bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out)
{
    const struct frame *from = frame;
    unsigned depth = trap->depth;

    uint64_t *vector = area == NULL ? NULL : HAL_FPU_VECTOR(area);

    if (bytes < sizeof *from || depth == 0 || from->has_area != (area != NULL))
        return false;
    if (from->mark != MARK && (from->mark != HOST_FRAME_WITH_VECTOR || vector == NULL ||
                               vector[HOST_VECTOR_WORDS] != HOST_FRAME_WITH_VECTOR))
        return false;
    *trap = from->trap;
    trap->depth = depth - 1;
    if (area != NULL)
        memcpy(((struct host_fpu_area *)area)->word, from->area.word, sizeof from->area.word);
    *out = (struct hal_signal){
        .mask = from->mask,
        .stack = from->stack,
        .stack_flags = from->stack_flags,
        .stack_bytes = from->stack_bytes,
    };
    return true;
}
