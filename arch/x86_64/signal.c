/* SPDX-License-Identifier: MIT */
/*
 * Linux's signal frames. Sources: Linux's uapi headers asm/sigcontext.h, asm/ucontext.h and asm-generic/siginfo.h,
 * which give the layouts; the System V ABI (AMD64), 3.2.2, for the stack's alignment; SDM vol. 1, chapter 13, for
 * XSAVE.
 *
 * From low to high: the return address, struct ucontext, siginfo, a gap, and at a multiple of 64 the XSAVE area, with
 * the words that say how much of it is there. What comes back is trusted in nothing: XRSTOR and IRET run in the kernel,
 * and would fault there.
 */
#include <hal/usermode.h>

#include <hal/context.h>
#include <hal/upcall.h>
#include <k/assert.h>
#include <lib/string.h>

#include "machine.h"
#include "x86.h"

#define USER_PRIVILEGE 3u
#define RFLAGS_ALWAYS 0x202u
#define RFLAGS_USER 0x50dd5u  /* AC RF OF DF TF SF ZF AF PF CF */
#define RFLAGS_ENTRY 0x10500u /* RF DF TF: off in a handler */

#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u
#define MAGIC_1 0x46505853u
#define MAGIC_2 0x46505845u

#define MXCSR_MASK_DEFAULT 0xffbfu /* where the area says 0: SDM vol. 1, 11.6.6 */
#define FXSAVE_BYTES 512u
#define COMPONENT_X87 1u
#define COMPONENT_SSE 2u

const struct hal_fault_signal hal_fault_signals[] = {
    [FAULT_FPU_OFF] = { 4, 2 },     /* SIGILL, ILL_ILLOPN */
    [FAULT_ILLEGAL] = { 4, 2 },
    [FAULT_BREAKPOINT] = { 5, 0x80 }, /* SIGTRAP, SI_KERNEL */
    [FAULT_STEP] = { 5, 2 },        /* TRAP_TRACE */
    [FAULT_DIVIDE] = { 8, 1 },      /* SIGFPE, FPE_INTDIV */
    [FAULT_FLOAT] = { 8, 14 },      /* FPE_FLTUNK */
    [FAULT_MISALIGNED] = { 7, 1 },  /* SIGBUS, BUS_ADRALN */
    [FAULT_OTHER] = { 11, 0x80 },   /* SIGSEGV, SI_KERNEL */
};

struct sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, vector, old_mask, cr2, fpstate, reserved[8];
};
static_assert(sizeof(struct sigcontext) == 256);

struct frame {
    uint64_t return_address;
    uint64_t flags, link;
    uint64_t stack, stack_flags, stack_bytes;
    struct sigcontext context;
    uint64_t mask;
    uint8_t info[128];
};
static_assert(offsetof(struct frame, mask) == 8 + 40 + 256 && sizeof(struct frame) == 440);

/* In the area's last 48 bytes that FXSAVE leaves alone. */
struct extended {
    uint32_t magic, extended_bytes;
    uint64_t components;
    uint32_t xstate_bytes, unused[7];
};
#define EXTENDED_AT 464u
static_assert(EXTENDED_AT + sizeof(struct extended) == FXSAVE_BYTES);

/* The legacy region as C needs it, and the XSAVE header. */
struct area {
    uint16_t fcw;
    uint8_t x87[22];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t x87_registers[128], sse_registers[256];
    uint8_t unused[96];
    uint64_t present, compacted, reserved[6];
};
static_assert(offsetof(struct area, mxcsr) == 24 && offsetof(struct area, present) == FXSAVE_BYTES);

static size_t area_bytes(void)
{
    return x86_fpu_bytes - HAL_FPU_ALIGN; /* without the bases */
}

/* What a component in its initial state left in the area is of the past: the two that old programs look at. */
static void area_complete(struct area *area)
{
    if ((area->present & COMPONENT_X87) == 0) {
        (void)memset(area, 0, offsetof(struct area, mxcsr));
        (void)memset(area->x87_registers, 0, sizeof area->x87_registers);
        area->fcw = 0x037f;
    }
    if ((area->present & COMPONENT_SSE) == 0)
        (void)memset(area->sse_registers, 0, sizeof area->sse_registers);
    area->present |= COMPONENT_X87 | COMPONENT_SSE;
}

static size_t push_area(uint8_t *to, const void *area)
{
    const uint32_t magic_2 = MAGIC_2;
    size_t bytes = area_bytes();
    struct extended extended = {
        .magic = MAGIC_1,
        .extended_bytes = (uint32_t)(bytes + sizeof magic_2),
        .components = cpu_features.xcr0,
        .xstate_bytes = (uint32_t)bytes,
    };

    if (!cpu_features.has_xsave) {
        (void)memcpy(to, area, FXSAVE_BYTES);
        return FXSAVE_BYTES;
    }
    (void)memcpy(to, area, bytes);
    area_complete((struct area *)to);
    (void)memcpy(to + EXTENDED_AT, &extended, sizeof extended);
    (void)memcpy(to + bytes, &magic_2, sizeof magic_2);
    return bytes + sizeof magic_2;
}

static struct sigcontext context_of(const struct hal_trap *trap, const struct hal_signal *signal)
{
    uint64_t address;

    (void)memcpy(&address, signal->info + 16, sizeof address);
    return (struct sigcontext){
        .r8 = trap->r8, .r9 = trap->r9, .r10 = trap->r10, .r11 = trap->r11, .r12 = trap->r12, .r13 = trap->r13,
        .r14 = trap->r14, .r15 = trap->r15, .rdi = trap->rdi, .rsi = trap->rsi, .rbp = trap->rbp, .rbx = trap->rbx,
        .rdx = trap->rdx, .rax = trap->rax, .rcx = trap->rcx, .rsp = trap->rsp, .rip = trap->rip,
        .rflags = trap->rflags, .cs = (uint16_t)trap->cs, .ss = (uint16_t)trap->ss,
        .error = trap->error, .vector = trap->vector, .old_mask = signal->mask,
        .cr2 = signal->number == 11 || signal->number == 7 ? address : 0, /* of SIGSEGV, SIGBUS */
    };
}

size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va)
{
    struct frame *to = frame;
    size_t needed = area == NULL ? 0 : area_bytes() + sizeof(uint32_t);
    vaddr_t area_va = (sp - needed) & ~(vaddr_t)(HAL_FPU_ALIGN - 1);
    vaddr_t va = ((area_va - sizeof *to) & ~(vaddr_t)15) - 8; /* a function's entry: 8 below a multiple of 16 */
    size_t bytes = sizeof *to;

    *to = (struct frame){
        .return_address = signal->restorer,
        .flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (cpu_features.has_xsave ? UC_FP_XSTATE : 0),
        .stack = signal->stack,
        .stack_flags = signal->stack_flags,
        .stack_bytes = signal->stack_bytes,
        .context = context_of(trap, signal),
        .mask = signal->mask,
    };
    (void)memcpy(to->info, signal->info, sizeof to->info);
    if (area != NULL) {
        size_t at = area_va - va;

        ASSERT(at + needed <= HAL_SIGNAL_FRAME_BYTES);
        to->context.fpstate = area_va;
        (void)memset((uint8_t *)frame + bytes, 0, at - bytes);
        bytes = at + push_area((uint8_t *)frame + at, area);
    }
    trap->rdi = signal->number;
    trap->rsi = va + offsetof(struct frame, info);
    trap->rdx = va + offsetof(struct frame, flags);
    trap->rax = 0; /* no vector registers hold arguments, to a handler without a prototype */
    trap->rip = signal->handler;
    trap->rsp = va;
    trap->rflags &= ~(uint64_t)RFLAGS_ENTRY;
    trap->cs = SELECTOR_USER_CODE | USER_PRIVILEGE;
    trap->ss = SELECTOR_USER_DATA | USER_PRIVILEGE;
    *out_va = va;
    return bytes;
}

/* The frame's state is all there: both magic words say so. */
static bool is_extended(const uint8_t *from, size_t bytes, const struct extended *extended)
{
    uint32_t magic_2;

    if (!cpu_features.has_xsave || bytes < area_bytes() + sizeof magic_2 || extended->magic != MAGIC_1 ||
        extended->xstate_bytes != area_bytes())
        return false;
    (void)memcpy(&magic_2, from + area_bytes(), sizeof magic_2);
    return magic_2 == MAGIC_2;
}

/* Bits that XRSTOR or FXRSTOR would fault over are cleared (SDM vol. 1, 13.8 and 10.5.1.2). */
static void pop_area(void *area, const uint8_t *from, size_t bytes)
{
    const struct x86_bases bases = *x86_bases_of(area);
    struct area *to = area;
    struct extended extended;
    uint32_t mask = to->mxcsr_mask != 0 ? to->mxcsr_mask : MXCSR_MASK_DEFAULT;

    (void)memcpy(&extended, from + EXTENDED_AT, sizeof extended);
    bool has_all = is_extended(from, bytes, &extended);

    hal_fpu_init(area);
    (void)memcpy(area, from, has_all ? area_bytes() : FXSAVE_BYTES);
    to->mxcsr &= mask;
    to->mxcsr_mask = mask;
    (void)memset((uint8_t *)area + EXTENDED_AT, 0, sizeof extended);
    if (cpu_features.has_xsave) {
        to->present = has_all ? to->present & extended.components & cpu_features.xcr0 : COMPONENT_X87 | COMPONENT_SSE;
        to->compacted = 0;
        (void)memset(to->reserved, 0, sizeof to->reserved);
    }
    *x86_bases_of(area) = bases;
}

static void pop_registers(struct hal_trap *trap, const struct sigcontext *from)
{
    trap->r8 = from->r8, trap->r9 = from->r9, trap->r10 = from->r10, trap->r11 = from->r11;
    trap->r12 = from->r12, trap->r13 = from->r13, trap->r14 = from->r14, trap->r15 = from->r15;
    trap->rdi = from->rdi, trap->rsi = from->rsi, trap->rbp = from->rbp, trap->rbx = from->rbx;
    trap->rdx = from->rdx, trap->rax = from->rax, trap->rcx = from->rcx;
    trap->rsp = from->rsp;
    trap->rip = from->rip;
    trap->rflags = (from->rflags & RFLAGS_USER) | RFLAGS_ALWAYS;
    trap->cs = SELECTOR_USER_CODE | USER_PRIVILEGE;
    trap->ss = SELECTOR_USER_DATA | USER_PRIVILEGE;
}

/* Linux follows fpstate anywhere; here the state lies in the frame, where it was put. */
bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out)
{
    const struct frame *from = frame;
    vaddr_t va = HAL_SIGNAL_AT(trap);

    if (bytes < sizeof *from || from->context.rip >= HAL_USER_END)
        return false;
    size_t at = from->context.fpstate - va;

    if (from->context.fpstate == 0) {
        at = 0;
    } else if (at % HAL_FPU_ALIGN != (0 - va) % HAL_FPU_ALIGN || at < sizeof *from || at > bytes ||
               bytes - at < FXSAVE_BYTES || area == NULL) {
        return false;
    }
    if (at != 0) {
        pop_area(area, (const uint8_t *)frame + at, bytes - at);
    } else if (area != NULL) {
        const struct x86_bases bases = *x86_bases_of(area);

        hal_fpu_init(area);
        *x86_bases_of(area) = bases;
    }
    pop_registers(trap, &from->context);
    *out = (struct hal_signal){
        .mask = from->mask,
        .stack = from->stack,
        .stack_flags = (uint32_t)from->stack_flags,
        .stack_bytes = from->stack_bytes,
    };
    return true;
}
