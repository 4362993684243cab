/* SPDX-License-Identifier: MIT */
/*
 * Linux's signal frames. Sources: Linux's uapi headers asm/sigcontext.h and asm-generic/ucontext.h, which give the
 * layouts and the records; AAPCS64, 6.2.3, for frame records; ARM C5.2.19 for the bits of PSTATE.
 *
 * From low to high: siginfo, struct ucontext, which ends in 4 KiB for records of what else there is. The ones that are
 * here stand at its beginning, and only so much is written and read back: the signal's cause, FP and SIMD registers,
 * the end. Behind the end stands the frame record that x29 points to.
 */
#include <hal/usermode.h>

#include <hal/upcall.h>
#include <k/assert.h>
#include <lib/string.h>

#include "machine_priv.h"

#define FPSIMD_MAGIC 0x46508001u
#define ESR_MAGIC 0x45535201u
#define RESERVED_BYTES 4096u

#define PSTATE_USER 0xf0000000u   /* N Z C V */
#define PSTATE_REFUSED 0x3dfu     /* D A I F, AArch32, a higher level: ARM C5.2.19 */
#define FPCR_USER 0x07f79f00u     /* AHP DN FZ RMode Stride Len and the trap enables: ARM C5.2.8 */
#define FPSR_USER 0xf800009fu

const struct hal_fault_signal hal_fault_signals[] = {
    [FAULT_FPU_OFF] = { 4, 1 },    /* SIGILL, ILL_ILLOPC */
    [FAULT_ILLEGAL] = { 4, 1 },
    [FAULT_BREAKPOINT] = { 5, 1 }, /* SIGTRAP, TRAP_BRKPT */
    [FAULT_STEP] = { 5, 2 },       /* TRAP_TRACE */
    [FAULT_FLOAT] = { 8, 14 },     /* SIGFPE, FPE_FLTUNK */
    [FAULT_MISALIGNED] = { 7, 1 }, /* SIGBUS, BUS_ADRALN */
    [FAULT_OTHER] = { 7, 3 },      /* BUS_OBJERR */
};

struct record {
    uint32_t magic, bytes;
};

struct fpsimd {
    struct record head;
    uint32_t fpsr, fpcr;
    uint8_t registers[FPU_FPSR];
};
static_assert(sizeof(struct fpsimd) == 528);

struct frame {
    uint8_t info[128];
    uint64_t flags, link;
    uint64_t stack, stack_flags, stack_bytes;
    uint64_t mask;
    uint8_t unused[128]; /* the larger mask of the future, and the alignment of what follows */
    uint64_t fault_address, x[31], sp, pc, pstate;
    uint64_t alignment;
    uint8_t records[576]; /* of RESERVED_BYTES */
};
static_assert(offsetof(struct frame, fault_address) == 128 + 176);
static_assert(offsetof(struct frame, records) == 128 + 176 + 288);
static_assert(sizeof(struct frame) == HAL_SIGNAL_FRAME_BYTES);

/* What of the frame is not in struct frame, because nothing stands there. */
#define REST_BYTES (RESERVED_BYTES - sizeof((struct frame *)0)->records)

static bool is_fault(const struct hal_signal *signal)
{
    int32_t code;

    (void)memcpy(&code, signal->info + 8, sizeof code);
    return code > 0 && (signal->number == 11 || signal->number == 7 || signal->number == 4 || signal->number == 5 ||
                        signal->number == 8);
}

/* Returns how many bytes of records there are, without the end, which is zero. */
static size_t push_records(uint8_t *to, const void *area, const struct hal_trap *trap, bool has_cause)
{
    const struct {
        struct record head;
        uint64_t esr;
    } cause = { { ESR_MAGIC, sizeof cause }, trap->esr };
    size_t at = 0;

    if (area != NULL) {
        struct fpsimd state = { .head = { FPSIMD_MAGIC, sizeof state } };
        const uint8_t *from = area;

        (void)memcpy(state.registers, from, sizeof state.registers);
        (void)memcpy(&state.fpsr, from + FPU_FPSR, sizeof state.fpsr);
        (void)memcpy(&state.fpcr, from + FPU_FPSR + 8, sizeof state.fpcr);
        (void)memcpy(to, &state, sizeof state);
        at = sizeof state;
    }
    if (has_cause) {
        (void)memcpy(to + at, &cause, sizeof cause);
        at += sizeof cause;
    }
    return at;
}

size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va)
{
    struct frame *to = frame;
    vaddr_t va = (sp - REST_BYTES - sizeof *to) & ~(vaddr_t)(HAL_STACK_ALIGN - 1);
    const uint64_t caller[2] = { trap->x[29], trap->x[30] };

    *to = (struct frame){
        .stack = signal->stack, .stack_flags = signal->stack_flags, .stack_bytes = signal->stack_bytes,
        .mask = signal->mask,
        .sp = trap->sp, .pc = trap->elr, .pstate = trap->spsr,
    };
    (void)memcpy(to->info, signal->info, sizeof to->info);
    (void)memcpy(to->x, trap->x, sizeof to->x);
    if (is_fault(signal))
        (void)memcpy(&to->fault_address, signal->info + 16, sizeof to->fault_address);
    size_t at = push_records(to->records, area, trap, is_fault(signal)) + 2 * sizeof(struct record);

    ASSERT(at + sizeof caller <= sizeof to->records);
    (void)memcpy(to->records + at, caller, sizeof caller);
    trap->x[0] = signal->number;
    if (signal->has_info) {
        trap->x[1] = va;
        trap->x[2] = va + offsetof(struct frame, flags);
    }
    trap->x[29] = va + offsetof(struct frame, records) + at;
    trap->x[30] = signal->restorer;
    trap->sp = va;
    trap->elr = signal->handler;
    trap->spsr &= PSTATE_USER; /* neither BTYPE nor a step goes with the program counter */
    *out_va = va;
    return sizeof *to;
}

/* The FP and SIMD registers, which a frame must have; NULL: it has none, or is no frame. */
static const struct fpsimd *find_fpsimd(const struct frame *from, size_t bytes)
{
    const struct fpsimd *found = NULL;
    size_t at = 0;

    while (bytes - at >= sizeof(struct record)) {
        const struct record *head = (const struct record *)(from->records + at);

        if (head->magic == 0)
            return head->bytes == 0 ? found : NULL;
        if (head->bytes < sizeof *head || head->bytes > bytes - at || head->bytes % HAL_STACK_ALIGN != 0)
            return NULL;
        if (head->magic == FPSIMD_MAGIC && head->bytes == sizeof *found && found == NULL)
            found = (const struct fpsimd *)head;
        else if (head->magic != ESR_MAGIC)
            return NULL;
        at += head->bytes;
    }
    return NULL;
}

bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out)
{
    const struct frame *from = frame;

    if (bytes < sizeof *from || !IS_ALIGNED(HAL_SIGNAL_AT(trap), HAL_STACK_ALIGN) ||
        (from->pstate & PSTATE_REFUSED) != 0)
        return false;
    if (area != NULL) {
        const struct fpsimd *state = find_fpsimd(from, sizeof from->records);
        uint8_t *to = area;

        if (state == NULL)
            return false;
        const uint64_t control[2] = { state->fpsr & FPSR_USER, state->fpcr & FPCR_USER };

        (void)memcpy(to, state->registers, sizeof state->registers);
        (void)memcpy(to + FPU_FPSR, control, sizeof control);
    }
    (void)memcpy(trap->x, from->x, sizeof trap->x);
    trap->sp = from->sp;
    trap->elr = from->pc;
    trap->spsr = from->pstate & PSTATE_USER;
    *out = (struct hal_signal){
        .mask = from->mask,
        .stack = from->stack,
        .stack_flags = (uint32_t)from->stack_flags,
        .stack_bytes = from->stack_bytes,
    };
    return true;
}
