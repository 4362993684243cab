/* SPDX-License-Identifier: MIT */
/*
 * F, D and V: f0-f31, fcsr; v0-v31 and the unit's control registers. The units' states in sstatus.FS and VS are the
 * CPU's, kept by this file alone: trap frames do not restore them.
 *
 * The units are off until a task uses them in its turn: so turns without a use, which are most, save nothing and load
 * nothing. What was written in a turn, as FS and VS tell, is saved at its end, since the task may go on elsewhere. The
 * registers stay as they are then. If nobody else's have been loaded when the task comes back, it finds them there, and
 * the units on: two pointers that name each other say so.
 *
 * A trap costs several times a load. So a task that wrote to the units in most of the turns that had them on is not
 * asked in the next one: its registers are loaded from the beginning.
 *
 * Whose area has no vector area, has the vector unit off: until its first use a program pays nothing for it, in time or
 * memory. From then on it is loaded with the rest: four instructions move eight registers each, which is less than a
 * trap at the next use.
 *
 * No lock: an area is its task's, a unit its CPU's; interrupts are disabled.
 */
#include <hal/context.h>

#include <k/assert.h>
#include <lib/string.h>

#include "machine_priv.h"

/* How much a task uses the units: of the past, half is forgotten with each turn that had them on. Two turns with a use,
 * one after the other, come to USE_OFTEN. */
#define USE 4
#define USE_OFTEN 6

void hal_fpu_init(void *area)
{
    memset(area, 0, HAL_FPU_BYTES);
}

static bool is_held(const struct machine_cpu *cpu, const struct machine_fpu *area)
{
    return cpu->held == area && area->held_by == cpu;
}

/* The units are off. They are on then, with nothing written. */
static NOINLINE void turn_on(struct machine_cpu *cpu, struct machine_fpu *area)
{
    uintptr_t clean = SSTATUS_FS_CLEAN | (area->vector != NULL ? SSTATUS_VS_CLEAN : 0);

    ASSERT(machine_facts.has_fpu);
    csr_set(sstatus, clean);
    if (is_held(cpu, area))
        return;
    fpu_load(area);
    if (area->vector != NULL)
        vector_load(area->vector);
    csr_clear(sstatus, SSTATUS_FS | SSTATUS_VS);
    csr_set(sstatus, clean);
    cpu->held = area;
    area->held_by = cpu;
}

/* Clean means: the registers still equal the area. */
static void save_written(struct machine_fpu *area, uintptr_t status)
{
    bool is_written = (status & SSTATUS_FS) == SSTATUS_FS_DIRTY;

    if (is_written)
        fpu_save(area);
    if ((status & SSTATUS_VS) == SSTATUS_VS_DIRTY) {
        vector_save(area->vector);
        is_written = true;
    }
    area->use = (uint8_t)(area->use / 2 + (is_written ? USE : 0));
}

/* Up to date, and free to be copied and changed. */
static NOINLINE void synchronise(struct machine_fpu *area)
{
    uintptr_t status = csr_read(sstatus);

    area->held_by = NULL;
    if ((status & SSTATUS_FS) == 0)
        return;
    save_written(area, status);
    csr_clear(sstatus, (SSTATUS_FS_DIRTY ^ SSTATUS_FS_CLEAN) | (SSTATUS_VS_DIRTY ^ SSTATUS_VS_CLEAN));
}

/* The units are on, and a turn ends; or the running task's area has changed: `from` is NULL then, and they stay on. */
static NOINLINE void leave_units(struct machine_cpu *cpu, struct machine_fpu *from, struct machine_fpu *to)
{
    if (from != NULL)
        save_written(from, csr_read(sstatus));
    csr_clear(sstatus, SSTATUS_FS | SSTATUS_VS);
    if (to == NULL)
        return;
    if (from == NULL)
        to->held_by = NULL;
    if (from == NULL || to->use >= USE_OFTEN || is_held(cpu, to))
        turn_on(cpu, to);
}

/* A turn without a use is the shortest way. */
void hal_fpu_switch(void *save, void *load)
{
    struct machine_cpu *cpu = machine_cpu();
    struct machine_fpu *from = save, *to = load;

    if (UNLIKELY(from == to)) {
        if (from != NULL)
            synchronise(from);
        return;
    }
    cpu->area = to;
    if ((csr_read(sstatus) & SSTATUS_FS) != 0)
        leave_units(cpu, from, to);
    else if (to != NULL && UNLIKELY(to->use >= USE_OFTEN || is_held(cpu, to)))
        turn_on(cpu, to);
}

bool fpu_use(void)
{
    struct machine_cpu *cpu = machine_cpu();

    if (cpu->area == NULL || (csr_read(sstatus) & SSTATUS_FS) != 0)
        return false;
    turn_on(cpu, cpu->area);
    return true;
}
