/* SPDX-License-Identifier: MIT */
/*
 * Linux's signal frames. Sources: Linux's uapi headers asm/sigcontext.h and asm-generic/ucontext.h, which give the
 * layouts and the records; AAPCS64, 6.2.3, for frame records; ARM C5.2.19 for the bits of PSTATE.
 *
 * From low to high: siginfo, struct ucontext, which ends in 4 KiB for records of what else there is. The ones that are
 * here stand at its beginning, and only so much is written and read back: FP and SIMD registers; on a CPU with SVE its
 * registers, or a head alone, if they are not in use; the signal's cause; the end. Behind the end stands the frame
 * record that x29 points to. SVE's registers and what follows them are the vector area.
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
    [FAULT_VECTOR_OFF] = { 4, 1 },
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
    uint8_t records[592]; /* of RESERVED_BYTES */
};
static_assert(offsetof(struct frame, fault_address) == 128 + 176);
static_assert(offsetof(struct frame, records) == 128 + 176 + 288);
static_assert(sizeof(struct frame) == HAL_SIGNAL_FRAME_BYTES);
static_assert(offsetof(struct frame, records) + sizeof(struct fpsimd) == HAL_SIGNAL_VECTOR_AT);
static_assert(sizeof(struct machine_vector_head) == HAL_STACK_ALIGN);

/* What of the frame is not in struct frame, because nothing stands there. */
#define REST_BYTES (RESERVED_BYTES - sizeof((struct frame *)0)->records)

static bool is_fault(const struct hal_signal *signal)
{
    int32_t code;

    (void)memcpy(&code, signal->info + 8, sizeof code);
    return code > 0 && (signal->number == 11 || signal->number == 7 || signal->number == 4 || signal->number == 5 ||
                        signal->number == 8);
}

/* The last records, a cause and the end, and the frame record. Returns where this is. */
static size_t push_end(uint8_t *to, const struct hal_trap *trap, bool has_cause)
{
    const struct {
        struct record head;
        uint64_t esr;
    } cause = { { ESR_MAGIC, sizeof cause }, trap->esr };
    const uint64_t end[2] = { 0 }, caller[2] = { trap->x[29], trap->x[30] };
    size_t at = 0;

    if (has_cause) {
        (void)memcpy(to, &cause, sizeof cause);
        at = sizeof cause;
    }
    (void)memcpy(to + at, end, sizeof end);
    at += sizeof end;
    (void)memcpy(to + at, caller, sizeof caller);
    static_assert(sizeof cause + sizeof end + sizeof caller == VECTOR_END_BYTES);
    return at;
}

static void push_fpsimd(uint8_t *to, const struct machine_fpu *area)
{
    struct fpsimd *state = (struct fpsimd *)to;

    state->head = (struct record){ FPSIMD_MAGIC, sizeof *state };
    state->fpsr = (uint32_t)area->control[0];
    state->fpcr = (uint32_t)area->control[1];
    (void)memcpy(state->registers, area->q, sizeof state->registers);
}

static struct machine_vector_head vector_head(const struct machine_fpu *area, size_t bytes)
{
    return (struct machine_vector_head){
        .magic = SVE_MAGIC, .bytes = (uint32_t)bytes, .length = area->vector_length,
    };
}

/* Into the frame, and into the vector area, if it follows the frame. Returns where the frame record will be, from the
 * frame's records on. */
static size_t push_records(uint8_t *to, const struct machine_fpu *area, const struct hal_trap *trap, bool has_cause)
{
    size_t at = 0;

    if (area != NULL) {
        push_fpsimd(to, area);
        at = sizeof(struct fpsimd);
        if (area->is_vector) {
            struct machine_vector_head *vector = area->vector;
            size_t bytes = fpu_vector_record_bytes(area->vector_length);

            *vector = vector_head(area, bytes);
            return at + bytes + push_end((uint8_t *)vector + bytes, trap, has_cause);
        }
        if (machine_vector.lengths != 0) {
            *(struct machine_vector_head *)(to + at) = vector_head(area, sizeof(struct machine_vector_head));
            at += sizeof(struct machine_vector_head);
        }
    }
    return at + push_end(to + at, trap, has_cause);
}

size_t hal_signal_push(struct hal_trap *trap, const void *area, const struct hal_signal *signal, vaddr_t sp,
                       void *frame, vaddr_t *out_va)
{
    struct frame *to = frame;
    vaddr_t va = (sp - REST_BYTES - sizeof *to) & ~(vaddr_t)(HAL_STACK_ALIGN - 1);
    const struct machine_fpu *state = area;

    *to = (struct frame){
        .stack = signal->stack, .stack_flags = signal->stack_flags, .stack_bytes = signal->stack_bytes,
        .mask = signal->mask,
        .sp = trap->sp, .pc = trap->elr, .pstate = trap->spsr,
    };
    (void)memcpy(to->info, signal->info, sizeof to->info);
    (void)memcpy(to->x, trap->x, sizeof to->x);
    if (is_fault(signal))
        (void)memcpy(&to->fault_address, signal->info + 16, sizeof to->fault_address);
    size_t at = push_records(to->records, state, trap, is_fault(signal));

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
    return state != NULL && state->is_vector ? HAL_SIGNAL_VECTOR_AT : sizeof *to;
}

/* What a frame that comes back has of each kind. */
struct found {
    const struct fpsimd *fpsimd;              /* which it must have */
    const struct machine_vector_head *vector; /* NULL: none, or a head alone */
};

/* SVE's record in the frame. False: refused. A whole one stands where it was put, with all that follows read into the
 * vector area; a program that wants to be rid of it may leave its head or nothing. */
static bool check_vector(const struct record *head, size_t at, size_t left, const struct machine_fpu *area)
{
    const struct machine_vector_head *vector = (const struct machine_vector_head *)head;

    if (machine_vector.lengths == 0 || left < sizeof *vector || vector->length != area->vector_length ||
        vector->flags != 0)
        return false;
    if (vector->bytes == sizeof *vector)
        return true;
    return at == sizeof(struct fpsimd) && area->vector != NULL &&
           vector->bytes == fpu_vector_record_bytes(area->vector_length) &&
           memcmp(area->vector, vector, sizeof *vector) == 0;
}

static bool find_records(const struct frame *from, const struct machine_fpu *area, struct found *out)
{
    const uint8_t *records = from->records;
    size_t at = 0, end = sizeof from->records;
    bool has_vector = false;

    *out = (struct found){ .fpsimd = NULL };
    while (end - at >= sizeof(struct record)) {
        const struct record *head = (const struct record *)(records + at);
        size_t next = at + head->bytes;

        if (head->magic == 0)
            return head->bytes == 0 && out->fpsimd != NULL;
        if (head->bytes < sizeof *head || head->bytes % HAL_STACK_ALIGN != 0)
            return false;
        if (head->magic == SVE_MAGIC) {
            if (has_vector || !check_vector(head, at, end - at, area))
                return false;
            has_vector = true;
            if (head->bytes != sizeof(struct machine_vector_head)) { /* it goes on in the vector area */
                out->vector = area->vector;
                records = area->vector;
                next = head->bytes;
                end = next + VECTOR_END_BYTES;
            }
        } else if (head->bytes > end - at) {
            return false;
        } else if (head->magic == FPSIMD_MAGIC && head->bytes == sizeof *out->fpsimd && out->fpsimd == NULL) {
            out->fpsimd = (const struct fpsimd *)head;
        } else if (head->magic != ESR_MAGIC) {
            return false;
        }
        at = next;
    }
    return false;
}

/* The first 128 bits of each z register are those of q (Linux, Documentation/arch/arm64/sve.rst). */
static void pop_vector(struct machine_fpu *area)
{
    uint8_t *to = ((struct machine_vector_head *)area->vector)->registers;

    for (unsigned i = 0; i < 32; i++)
        (void)memcpy(to + i * area->vector_length, area->q + i * 16, 16);
    area->is_vector = true;
    area->eager_turns = MAX(area->eager_turns, 1);
}

static void pop_records(struct machine_fpu *area, const struct found *found)
{
    (void)memcpy(area->q, found->fpsimd->registers, sizeof area->q);
    area->control[0] = found->fpsimd->fpsr & FPSR_USER;
    area->control[1] = found->fpsimd->fpcr & FPCR_USER;
    area->is_vector = false;
    if (found->vector != NULL)
        pop_vector(area);
}

bool hal_signal_pop(struct hal_trap *trap, void *area, const void *frame, size_t bytes, struct hal_signal *out)
{
    const struct frame *from = frame;

    if (bytes < sizeof *from || !IS_ALIGNED(HAL_SIGNAL_AT(trap), HAL_STACK_ALIGN) ||
        (from->pstate & PSTATE_REFUSED) != 0)
        return false;
    if (area != NULL) {
        struct found found;

        if (!find_records(from, area, &found))
            return false;
        pop_records(area, &found);
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
