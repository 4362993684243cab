/* SPDX-License-Identifier: MIT */
/*
 * FP, Advanced SIMD and SVE: q0-q31, FPSR, FPCR; z0-z31, which begin with those, p0-p15, FFR; and with them the user's
 * thread pointer, TPIDR_EL0. SME stays off (CPACR_EL1.SMEN).
 *
 * AArch64 does not tell which registers were written. But it traps their use (CPACR_EL1.FPEN), so a unit that has not
 * been used since a task was given the CPU is known: that turn saves nothing and loads nothing. What has been used is
 * saved at the end of the turn, since the task may go on elsewhere. The registers stay as they are then, and if nobody
 * else's have been loaded when it comes back, it finds them there: two pointers that name each other say so.
 *
 * A trap costs about three times a load and a save. So a task that uses the unit in more than every third turn is not
 * asked in the next ones: the unit is on, and the registers loaded, from the beginning. Then it is asked again.
 *
 * SVE's registers come with a vector area, and trap on their own (ZEN). Over a system call only their first 128 bits
 * are kept (Linux, Documentation/arch/arm64/sve.rst): it switches ZEN off, by which they become q0-q31, and the next
 * use clears the rest. That costs nothing to whom has not used them since its last call: calls of those who have come
 * by a second vector table. What a vector area holds is loaded when its owner's turn begins, so a call always finds
 * it in the unit.
 */
#include <hal/context.h>

#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>

#include "machine_priv.h"

#define CPACR_FPEN UINT64_C(0x300000)
#define CPACR_ZEN UINT64_C(0x30000)
#define ID_PFR0_SVE(value) ((value) >> 32 & 0xf)

/* What lengths there are: more than 512 bits are limited to that, which is also what Linux gives to programs that do
 * not ask. So all of a signal frame's records fit in the place that has always been theirs. */
#define VECTOR_LENGTH_MAX 64u
#define VECTOR_QUANTUM 16u

/* How much a task uses the unit: half of it is forgotten with a turn without a use. With a use in every second turn it
 * comes to USE_OFTEN, with one in three it does not. */
#define USE 4
#define USE_OFTEN 7
#define USE_MAX 8
#define EAGER_TURNS 32

/* entry.S: both tables differ in what a system call does first. */
extern const char trap_vectors[], trap_vectors_sve[];

/* fpu.S */
void fpu_save(void *area);
void fpu_load(const void *area);
void fpu_exchange(void *save, const void *load);
void vector_save(uint8_t *registers, uint64_t *control);
void vector_load(const uint8_t *registers, const uint64_t *control);
void vector_clear(void);
uint64_t vector_length(void);

/* Called by entry.S. */
void fpu_end_vectors(void);

RO_AFTER_INIT struct machine_vector machine_vector;

static struct machine_cpu *cpu_self(void)
{
    return (struct machine_cpu *)SYSREG_READ(tpidr_el1);
}

static uint8_t *vector_registers(const struct machine_fpu *area)
{
    return ((struct machine_vector_head *)area->vector)->registers;
}

/* All zero: round to nearest, no exception trapped, none seen. */
void hal_fpu_init(void *area)
{
    *(struct machine_fpu *)area = (struct machine_fpu){ .vector_length = machine_vector.length_max };
}

/* ---- What does not trap ---- */

static void zcr_write(size_t length)
{
    SYSREG_WRITE(S3_0_C1_C2_0, length / VECTOR_QUANTUM - 1);
    ISB();
}

static void unit_set(struct machine_cpu *cpu, enum machine_unit unit)
{
    static const uint64_t cpacr[] = {
        [UNIT_FP] = CPACR_FPEN, [UNIT_VECTOR] = CPACR_FPEN | CPACR_ZEN,
    };

    if (unit == cpu->unit)
        return;
    if (unit == UNIT_VECTOR || cpu->unit == UNIT_VECTOR)
        SYSREG_WRITE(vbar_el1, (uintptr_t)(unit == UNIT_VECTOR ? trap_vectors_sve : trap_vectors));
    cpu->unit = unit;
    SYSREG_WRITE(cpacr_el1, cpacr[unit]);
    ISB();
}

static void vectors_on(struct machine_cpu *cpu, const struct machine_fpu *area)
{
    unit_set(cpu, UNIT_VECTOR);
    zcr_write(area->vector_length);
}

/* ---- Turns ---- */

/* The unit is on; it stays so. */
static void save_unit(const struct machine_cpu *cpu, struct machine_fpu *area)
{
    area->is_vector = cpu->unit == UNIT_VECTOR;
    if (!area->is_vector) {
        fpu_save(area);
        return;
    }
    vector_save(vector_registers(area), area->control);
    if (area->eager_turns == 0)
        area->eager_turns = 1;
}

/* Up to date, and free to be copied and changed. */
static NOINLINE void synchronise(const struct machine_cpu *cpu, struct machine_fpu *area)
{
    area->held_by = NULL;
    if (cpu->unit == UNIT_OFF)
        return;
    save_unit(cpu, area);
    if (area->is_vector)
        fpu_save(area);
}

static NOINLINE void turn_on(struct machine_cpu *cpu, struct machine_fpu *area)
{
    bool is_held = cpu->held == area && area->held_by == cpu;

    cpu->held = NULL;
    area->held_by = NULL;
    if (area->is_vector)
        vectors_on(cpu, area);
    else
        unit_set(cpu, UNIT_FP);
    if (is_held)
        return;
    if (area->is_vector)
        vector_load(vector_registers(area), area->control);
    else
        fpu_load(area);
}

/* The running task's turn ends, or its area has changed: `from` is NULL then. The unit is on. */
static NOINLINE void leave_unit(struct machine_cpu *cpu, struct machine_fpu *from, struct machine_fpu *to)
{
    if (from != NULL) {
        save_unit(cpu, from);
        cpu->held = from;
        from->held_by = cpu;
    }
    cpu->area = to;
    if (to == NULL) {
        unit_set(cpu, UNIT_OFF);
        return;
    }
    SYSREG_WRITE(tpidr_el0, to->tls);
    if (to->eager_turns != 0) {
        to->eager_turns--;
        turn_on(cpu, to);
    } else if (from == NULL) { /* it is used */
        turn_on(cpu, to);
    } else {
        unit_set(cpu, UNIT_OFF);
    }
}

/* A turn without a use is the shortest way, two that are expected to have one the next. */
void hal_fpu_switch(void *save, void *load)
{
    struct machine_cpu *cpu = cpu_self();
    struct machine_fpu *from = save, *to = load;

    if (from != NULL) {
        from->tls = SYSREG_READ(tpidr_el0);
        if (UNLIKELY(from == to)) {
            synchronise(cpu, from);
            return;
        }
    }
    if (cpu->unit != UNIT_OFF) {
        if (cpu->unit != UNIT_FP || from == NULL || to == NULL || to->eager_turns == 0 || to->is_vector) {
            leave_unit(cpu, from, to);
            return;
        }
        to->eager_turns--;
        to->held_by = NULL;
        cpu->area = to;
        SYSREG_WRITE(tpidr_el0, to->tls);
        fpu_exchange(from, to);
        return;
    }
    if (from != NULL)
        from->use /= 2;
    cpu->area = to;
    if (to == NULL)
        return;
    SYSREG_WRITE(tpidr_el0, to->tls);
    if (to->eager_turns != 0) {
        to->eager_turns--;
        turn_on(cpu, to);
    }
}

unsigned fpu_use(unsigned wants_vectors)
{
    struct machine_cpu *cpu = cpu_self();
    struct machine_fpu *area = cpu->area;

    if (area == NULL || (wants_vectors != 0 && area->vector == NULL))
        return false;
    if (cpu->unit == UNIT_OFF) {
        area->use = MIN(area->use + USE, USE_MAX);
        if (area->use >= USE_OFTEN)
            area->eager_turns = EAGER_TURNS;
        turn_on(cpu, area);
        if (wants_vectors == 0)
            return true;
    } else if (cpu->unit == UNIT_VECTOR || wants_vectors == 0) {
        return false;
    }
    vectors_on(cpu, area);
    vector_clear();
    return true;
}

void fpu_end_vectors(void)
{
    struct machine_cpu *cpu = cpu_self();

    cpu->area->is_vector = false;
    unit_set(cpu, UNIT_FP);
}

/* ---- Lengths ---- */

size_t fpu_vector_record_bytes(size_t length)
{
    return ROUND_UP(sizeof(struct machine_vector_head) + 32 * length + 17 * length / 8, HAL_STACK_ALIGN);
}

/* The longest that the CPU has, but no longer than `length`. */
static uint16_t fitting_length(uint64_t length)
{
    unsigned at = (unsigned)(MIN(length, VECTOR_LENGTH_MAX) / VECTOR_QUANTUM);

    while ((machine_vector.lengths >> (at - 1) & 1) == 0) /* 128 bits are always among them */
        at--;
    return (uint16_t)(at * VECTOR_QUANTUM);
}

static uint16_t find_lengths(void)
{
    unsigned lengths = 0;

    for (unsigned length = VECTOR_QUANTUM; length <= VECTOR_LENGTH_MAX; length += VECTOR_QUANTUM) {
        zcr_write(length); /* more than there is becomes what there is */
        lengths |= 1u << (vector_length() / VECTOR_QUANTUM - 1);
    }
    return (uint16_t)lengths;
}

void fpu_init_cpu(bool may_store)
{
    uint16_t lengths = 0;

    *cpu_self() = (struct machine_cpu){ .unit = UNIT_OFF };
    SYSREG_WRITE(vbar_el1, (uintptr_t)trap_vectors);
    if (ID_PFR0_SVE(SYSREG_READ(id_aa64pfr0_el1)) != 0) {
        SYSREG_WRITE(cpacr_el1, CPACR_FPEN | CPACR_ZEN);
        ISB();
        lengths = find_lengths();
    }
    SYSREG_WRITE(cpacr_el1, 0);
    ISB();
    if (may_store) {
        machine_vector.lengths = lengths;
        if (lengths != 0) {
            machine_vector.length_max = fitting_length(VECTOR_LENGTH_MAX);
            machine_vector.area_bytes = fpu_vector_record_bytes(machine_vector.length_max) + VECTOR_END_BYTES;
        }
    }
    ASSERT(lengths == machine_vector.lengths);
}

/* Linux, Documentation/arch/arm64/sve.rst: whoever changes it loses what is not q0-q31. In a system call that is so
 * already. The flags for lengths over an exec are refused. */
int64_t fpu_set_vector_length(struct machine_fpu *area, uint64_t length)
{
    if (area == NULL || machine_vector.lengths == 0 || length == 0 || length > 8192 || length % VECTOR_QUANTUM != 0)
        return -EINVAL;
    area->vector_length = fitting_length(length);
    return area->vector_length;
}

int64_t fpu_get_vector_length(const struct machine_fpu *area)
{
    return area == NULL || machine_vector.lengths == 0 ? -EINVAL : area->vector_length;
}
