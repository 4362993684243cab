/* SPDX-License-Identifier: MIT */
/*
 * Linux's signal frames. Sources: Linux's uapi headers asm/sigcontext.h, asm/ucontext.h and asm/ptrace.h, which give
 * the layouts; the RISC-V ELF psABI for the stack's alignment.
 *
 * From low to high: siginfo, struct ucontext, which ends in the registers (pc in the place of x0) and the state of the
 * F and D extensions. Records of others follow, of which there is one: the vector unit's, if the thread has used it.
 * The last words of struct ucontext are its head, and struct machine_vector the rest; then, or there, a head of zeros
 * says that no other follows.
 */
#include <hal/usermode.h>

#include <hal/upcall.h>
#include <lib/string.h>

#include "machine_priv.h"

#define FCSR_USER 0xffu

const struct hal_fault_signal hal_fault_signals[] = {
    [FAULT_FPU_OFF] = { 4, 1 },    /* SIGILL, ILL_ILLOPC */
    [FAULT_VECTOR_OFF] = { 4, 1 },
    [FAULT_ILLEGAL] = { 4, 1 },
    [FAULT_BREAKPOINT] = { 5, 1 }, /* SIGTRAP, TRAP_BRKPT */
    [FAULT_MISALIGNED] = { 7, 1 }, /* SIGBUS, BUS_ADRALN */
    [FAULT_OTHER] = { 11, 2 },     /* SIGSEGV, SEGV_ACCERR: an access fault */
};

struct frame {
    uint8_t info[128];
    uint64_t flags, link;
    uint64_t stack, stack_flags, stack_bytes;
    uint64_t mask;
    uint8_t unused[128]; /* the larger mask of the future, and the alignment of what follows */
    uint64_t pc, x[31];
    uint64_t f[32];
    uint32_t fcsr;
    uint8_t larger_registers[252]; /* of the Q extension */
    uint32_t fcsr_of_q, reserved, extension_magic, extension_bytes;
};
static_assert(offsetof(struct frame, pc) == 128 + 176);
static_assert(offsetof(struct frame, f) == 128 + 176 + 256);
static_assert(offsetof(struct frame, reserved) == offsetof(struct frame, f) + 516);
static_assert(offsetof(struct frame, extension_magic) == SIGNAL_EXTENSION_AT);
static_assert(sizeof(struct frame) == HAL_SIGNAL_FRAME_BYTES && HAL_SIGNAL_VECTOR_AT == HAL_SIGNAL_FRAME_BYTES);
static_assert(sizeof(struct machine_vector) == 48);

/* In the record's head: what follows, with the head, without the end. */
static uint32_t vector_record_bytes(void)
{
    return (uint32_t)(2 * sizeof(uint32_t) + HAL_VECTOR_BYTES - VECTOR_END_BYTES);
}

static void push_vector(struct frame *to, struct machine_vector *vector, vaddr_t va)
{
    to->extension_magic = RISCV_V_MAGIC;
    to->extension_bytes = vector_record_bytes();
    vector->vlenb = machine_facts.vlenb;
    vector->data_va = va + sizeof *to + sizeof *vector;
    (void)memset(vector->registers + 32 * machine_facts.vlenb, 0, VECTOR_END_BYTES);
}

/* Linux follows data_va anywhere; here the registers lie where they were put. */
static bool is_vector(const struct frame *from, const struct machine_vector *vector, vaddr_t va)
{
    const uint32_t *end = (const uint32_t *)(vector->registers + 32 * machine_facts.vlenb);

    return from->extension_bytes == vector_record_bytes() && vector->data_va == va + sizeof *from + sizeof *vector &&
           end[0] == 0 && end[1] == 0;
}

size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va)
{
    struct frame *to = frame;
    struct machine_vector *vector = area == NULL ? NULL : HAL_FPU_VECTOR(area);
    size_t bytes = sizeof *to + (vector != NULL ? HAL_VECTOR_BYTES : 0);
    vaddr_t va = (sp - bytes) & ~(vaddr_t)(HAL_STACK_ALIGN - 1);

    *to = (struct frame){
        .stack = signal->stack, .stack_flags = signal->stack_flags, .stack_bytes = signal->stack_bytes,
        .mask = signal->mask,
        .pc = trap->pc,
    };
    (void)memcpy(to->info, signal->info, sizeof to->info);
    (void)memcpy(to->x, trap->x, sizeof to->x);
    if (area != NULL) {
        const struct machine_fpu *from = area;

        (void)memcpy(to->f, from->f, sizeof to->f);
        to->fcsr = (uint32_t)from->fcsr;
    }
    if (vector != NULL)
        push_vector(to, vector, va);
    trap->pc = signal->handler;
    trap->x[1 - 1] = signal->restorer;
    HAL_USER_SP(trap) = va;
    HAL_USER_ARG(trap, 0) = signal->number;
    HAL_USER_ARG(trap, 1) = va;
    HAL_USER_ARG(trap, 2) = va + offsetof(struct frame, flags);
    *out_va = va;
    return sizeof *to;
}

bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out)
{
    const struct frame *from = frame;

    if (bytes < sizeof *from || !IS_ALIGNED(HAL_SIGNAL_AT(trap), HAL_STACK_ALIGN) || from->reserved != 0)
        return false;
    if (HAL_SIGNAL_HAS_VECTOR(frame)) {
        if (area == NULL || HAL_FPU_VECTOR(area) == NULL || !is_vector(from, HAL_FPU_VECTOR(area), HAL_SIGNAL_AT(trap)))
            return false;
    } else if (from->extension_magic != 0 || from->extension_bytes != 0) {
        return false;
    }
    if (area != NULL) {
        struct machine_fpu *to = area;

        (void)memcpy(to->f, from->f, sizeof to->f);
        to->fcsr = from->fcsr & FCSR_USER;
    }
    trap->pc = from->pc;
    (void)memcpy(trap->x, from->x, sizeof trap->x);
    *out = (struct hal_signal){
        .mask = from->mask,
        .stack = from->stack,
        .stack_flags = (uint32_t)from->stack_flags,
        .stack_bytes = from->stack_bytes,
    };
    return true;
}
