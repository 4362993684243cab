/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: enable state per CPU, pending sources, delivery at interleaving points on the interrupted stack, pokes
 * with a seeded delay. Calls the core's upcalls, which are weak so that a test of one room links without them.
 */
#include "host_priv.h"

#pragma weak trap_timer
#pragma weak trap_ipi
#pragma weak trap_exit

uintptr_t host_irq_save(void)
{
    host_step(HOST_POINT_IRQ_OFF);
    bool was = host_cpu_now->irq_enabled;

    host_cpu_now->irq_enabled = false;
    return was;
}

void host_irq_disable(void)
{
    host_step(HOST_POINT_IRQ_OFF);
    host_cpu_now->irq_enabled = false;
}

/* Enabled first, then the step: what is pending is taken here; while the machine is quiet, at the next step. */
void host_irq_enable(void)
{
    HOST_REQUIRE(host.is_running || host_cpu_now->current == NULL, "hal_irq_enable() without a machine");
    host_cpu_now->irq_enabled = true;
    host_step(HOST_POINT_IRQ_ON);
}

/* The source has fired: its CPU has it pending, and is runnable unless it is parked. */
void host_irq_raise(struct host_cpu *cpu, enum host_irq source)
{
    if (cpu->state == HOST_CPU_PARKED)
        return;
    cpu->pending |= 1u << source;
    if (cpu->state == HOST_CPU_IDLE || cpu->state == HOST_CPU_COMPUTES)
        host_runnable_add(cpu);
}

void hal_cpu_poke(cpu_id_t cpu)
{
    host_step(HOST_POINT_POKE);
    HOST_REQUIRE(host.is_running, "hal_cpu_poke() without a machine");
    HOST_REQUIRE(cpu < host.config.cpus && host_cpus[cpu].state != HOST_CPU_OFF,
                 "hal_cpu_poke(%u): no such CPU was started", cpu);
    struct host_cpu *target = &host_cpus[cpu];

    if (target->state == HOST_CPU_PARKED)
        return;
    host_fiber_release(&target->event_ps[HOST_IRQ_IPI]); /* stores before the poke are visible to trap_ipi() */
    /* One that is pending or on its way serves for both: it is taken later than this call. */
    if ((target->pending & 1u << HOST_IRQ_IPI) != 0 || target->event_slot[HOST_IRQ_IPI] != HOST_EVENT_NONE)
        return;
    host_event_set(target, HOST_IRQ_IPI,
                   host.now_ps + 1 + host_random_below((uint64_t)host.config.ipi_delay_ns_max * 1000));
}

/* Which of the pending sources is first is the interrupt controller's to decide: here, the seed's. */
static enum host_irq source_choose(uint32_t pending)
{
    if (pending == (1u << HOST_IRQ_TIMER | 1u << HOST_IRQ_IPI))
        return host_random_below(2) == 0 ? HOST_IRQ_TIMER : HOST_IRQ_IPI;
    return (pending & 1u << HOST_IRQ_TIMER) != 0 ? HOST_IRQ_TIMER : HOST_IRQ_IPI;
}

static void take(struct host_cpu *self, enum host_irq source)
{
    struct hal_trap trap = {
        .pc = (uintptr_t)__builtin_return_address(0),
        .frame_pointer = (uintptr_t)__builtin_frame_address(0),
        .sp = (uintptr_t)__builtin_frame_address(0),
    };

    self->pending &= ~(1u << source);
    self->regs.irq_enabled = false;
    HOST_REQUIRE(trap_timer != NULL && trap_ipi != NULL && trap_exit != NULL,
                 "an interrupt on CPU %u, but this binary has no upcalls", self->id);
    if (source == HOST_IRQ_TIMER) {
        host_step(HOST_POINT_TAKE_TIMER);
        trap_timer();
    } else {
        host_step(HOST_POINT_TAKE_IPI);
        host_fiber_acquire(&self->event_ps[HOST_IRQ_IPI]);
        trap_ipi();
    }
    HOST_REQUIRE(!host_cpu_now->irq_enabled, "an interrupt handler returned with interrupts enabled");
    if (!host_user_exit())
        trap_exit(&trap);
    /* Returning from the interrupt restores the enable state of what it interrupted; perhaps on another CPU by now. */
    host_cpu_now->irq_enabled = true;
}

void host_irq_deliver(void)
{
    for (;;) {
        struct host_cpu *self = host_self();

        if (!self->regs.irq_enabled || self->pending == 0)
            return;
        take(self, source_choose(self->pending));
    }
}
