/* SPDX-License-Identifier: MIT */
/*
 * The other CPUs: each waits in its first task for jobs that CPU 0 gives it, one at a time, and looks by timer, too, so
 * that the start level does not stand on pokes. CPU 0 alone gives and awaits jobs.
 */
#include "levels.h"

#include <k/errno.h>
#include <lib/string.h>

#define LOOK_NS (2 * NS_PER_MS)

void kit_idle_until_ns(uint64_t ns)
{
    hal_timer_arm(hal_clock_ticks() + kit_ticks_of_ns(ns));
    hal_cpu_idle();
}

/* Pokes are counted by some jobs, so a job neither begins nor ends before the poke that tells of it is sent. */
[[noreturn]] static void serve(struct kit_cpu *self)
{
    for (;;) {
        struct kit_job *job = load_acquire(&self->job); /* PAIRS(kit_job) */

        if (job == NULL) {
            kit_idle_until_ns(LOOK_NS);
            continue;
        }
        while (!load_acquire(&self->is_told)) /* PAIRS(kit_told) */
            hal_cpu_relax();
        job->run(self, job->arg);
        CHECK(!hal_irq_is_enabled(), "CPU %u: a job left interrupts enabled", self->id);
        store_release(&self->job, NULL); /* PAIRS(kit_job) */
        hal_cpu_poke(0);
        store_release(&self->is_done, true); /* PAIRS(kit_told) */
    }
}

void kit_cpus_begin(cpu_id_t cpu, struct kit_job *job)
{
    struct kit_cpu *target = kit_cpus[cpu];

    CHECK(load_relaxed(&target->job) == NULL, "CPU %u is at work", cpu);
    store_relaxed(&target->is_told, false);
    store_relaxed(&target->is_done, false);
    store_release(&target->job, job); /* PAIRS(kit_job) */
    hal_cpu_poke(cpu);
    store_release(&target->is_told, true); /* PAIRS(kit_told) */
}

void kit_cpus_wait(cpu_id_t cpu)
{
    struct kit_cpu *target = kit_cpus[cpu];
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);

    while (!load_acquire(&target->is_done)) { /* PAIRS(kit_told) */
        CHECK_BEFORE(end, "CPU %u does not answer", cpu);
        if (load_acquire(&target->job) == NULL) /* PAIRS(kit_job) */
            hal_cpu_relax();
        else
            kit_idle_until_ns(LOOK_NS);
    }
}

void kit_cpus_run(cpu_id_t cpu, void (*run)(struct kit_cpu *, void *), void *arg)
{
    struct kit_job job = { run, arg };

    if (cpu == 0) {
        run(kit_cpus[0], arg);
        return;
    }
    kit_cpus_begin(cpu, &job);
    kit_cpus_wait(cpu);
}

/* ---- start ---- */

/* Every CPU has a vector, an emergency stack and a timer of its own, and its unit is off. */
static void check_self(struct kit_cpu *self)
{
    struct kit_fault fault;

    CHECK(hal_current() == self->base, "CPU %u: hal_current() is %p", self->id, (void *)hal_current());
    CHECK(!hal_irq_is_enabled(), "CPU %u begins with interrupts enabled", self->id);
    kit_check_cpu_faults(self);
    hal_fpu_switch(NULL, NULL);
    CHECK(kit_catch(kit_probe_fpu, NULL, &fault) && fault.info.kind == FAULT_FPU_OFF,
          "CPU %u: floating point does not trap", self->id);
    hal_irq_enable();
    kit_wait_ns(NS_PER_MS);
    CHECK(self->timers == 0 && self->ipis == 0, "CPU %u: an interrupt that nobody asked for", self->id);
    hal_irq_disable();
    (void)kit_timer_once(NS_PER_MS);
}

static struct {
    bool was_irq_enabled;
    uintptr_t frame;
} entered[CPU_MAX];

static void secondary_main(void *arg)
{
    struct kit_cpu *self = arg;

    entered[self->id].was_irq_enabled = hal_irq_is_enabled();
    entered[self->id].frame = (uintptr_t)__builtin_frame_address(0);
    hal_cpu_init(self->id, self->base, self->area);
    check_self(self);
    store_release(&self->is_up, true); /* PAIRS(kit_up) */
    serve(self);
}

static struct kit_cpu *prepare(cpu_id_t id)
{
    struct kit_cpu *cpu = kit_pages_alloc(ROUND_UP(sizeof *cpu, CACHE_LINE_BYTES) + sizeof *cpu->base);

    cpu->id = id;
    cpu->base = (struct task *)((char *)cpu + ROUND_UP(sizeof *cpu, CACHE_LINE_BYTES));
    cpu->base->cpu = cpu;
    cpu->base->stack_base = kit_stack_alloc();
    cpu->base->stack_bytes = KIT_STACK_BYTES;
    cpu->probe.stack_base = kit_stack_alloc();
    cpu->probe.stack_bytes = KIT_STACK_BYTES;
    cpu->area = HAL_CPU_AREA_BYTES != 0 ? kit_pages_alloc(HAL_CPU_AREA_BYTES) : NULL;
    hal_context_init(&cpu->base->context, cpu->base->stack_base + KIT_STACK_BYTES, KIT_STACK_BYTES, secondary_main,
                     cpu);
    kit_cpus[id] = cpu;
    return cpu;
}

static void start(cpu_id_t id)
{
    struct kit_cpu *cpu = prepare(id);
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);
    int error = hal_cpu_start(id, kit_root(), cpu->base);

    CHECK(error == 0, "hal_cpu_start(%u) says %d", id, error);
    while (!load_acquire(&cpu->is_up)) { /* PAIRS(kit_up) */
        CHECK_BEFORE(end, "CPU %u does not come up", id);
        kit_idle_until_ns(LOOK_NS);
    }
    CHECK(!entered[id].was_irq_enabled, "CPU %u enters its task with interrupts enabled", id);
    CHECK(entered[id].frame - cpu->base->stack_base <= KIT_STACK_BYTES, "CPU %u does not run on its task's stack", id);
    CHECK(entered[id].frame % HAL_STACK_ALIGN == 0, "CPU %u: its stack is not aligned", id);
}

/* ---- restart ---- */

/* A poke from before may come late: none is counted until it has had its chance. */
static void restarted_main(void *arg)
{
    struct kit_cpu *self = arg;

    if (self->area != NULL)
        memset(self->area, 0, HAL_CPU_AREA_BYTES);
    hal_cpu_init(self->id, self->base, self->area);
    hal_irq_enable();
    kit_wait_ns(NS_PER_MS);
    hal_irq_disable();
    CHECK(self->timers == 0, "CPU %u: a timer of its last life", self->id);
    (void)kit_timer_once(NS_PER_MS);
    store_release(&self->is_up, true); /* PAIRS(kit_up) */
    serve(self);
}

void kit_cpus_restart(cpu_id_t id)
{
    struct kit_cpu *cpu = kit_cpus[id];
    uint64_t end = hal_clock_ticks() + kit_ticks_of_ns(KIT_PATIENCE_NS);
    int error;

    while ((error = hal_cpu_start(id, kit_root(), NULL)) == -EAGAIN) {
        CHECK_BEFORE(end, "CPU %u does not get parked", id);
        kit_idle_until_ns(LOOK_NS);
    }
    CHECK(error == 0, "hal_cpu_start(%u) of a parked CPU, asked only, says %d", id, error);
    store_relaxed(&cpu->job, NULL);
    store_relaxed(&cpu->is_up, false);
    store_relaxed(&cpu->ipis, 0);
    store_relaxed(&cpu->timers, 0);
    hal_context_init(&cpu->base->context, cpu->base->stack_base + KIT_STACK_BYTES, KIT_STACK_BYTES, restarted_main,
                     cpu);
    error = hal_cpu_start(id, kit_root(), cpu->base);
    CHECK(error == 0, "hal_cpu_start(%u) of a parked CPU says %d", id, error);
    while (!load_acquire(&cpu->is_up)) { /* PAIRS(kit_up) */
        CHECK_BEFORE(end, "CPU %u does not come up again", id);
        kit_idle_until_ns(LOOK_NS);
    }
}

static void report_id(struct kit_cpu *self, void *arg)
{
    *(cpu_id_t *)arg = hal_current()->cpu == self ? self->id : CPU_NONE;
}

const char *level_start(void)
{
    struct task *task = &kit_boot_cpu.probe; /* nobody runs it now */

    if (kit_boot->cpu_count < CPU_MAX) {
        int error = hal_cpu_start(kit_boot->cpu_count, kit_root(), task);

        CHECK(error < 0, "hal_cpu_start() of a CPU that is not there says %d", error);
    }
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++)
        start(id);
    for (cpu_id_t id = 1; id < kit_boot->cpu_count; id++) {
        cpu_id_t who = CPU_NONE;

        kit_cpus_run(id, report_id, &who);
        CHECK(who == id, "CPU %u answers for CPU %u", who, id);
    }
    return kit_boot->cpu_count == 1 ? "one CPU" : NULL;
}
