/* SPDX-License-Identifier: MIT */
/*
 * What a task does between its calls of the kernel: compute. The CPU then waits for the end of it or for an interrupt,
 * so that a second of computing costs the host no more than a microsecond of it. Owns nothing. No lock.
 */
#include "host_priv.h"

void host_compute(uint64_t ns)
{
    uint64_t left_ps = ns * 1000;

    HOST_REQUIRE(ns <= HOST_TIME_NEVER / 2000, "host_compute() for %llu ns", (unsigned long long)ns);
    while (left_ps > 0) {
        struct host_cpu *self = host_self();
        uint64_t began_ps = host.now_ps;

        HOST_REQUIRE(self->regs.irq_enabled && !host.is_checking, "host_compute() on CPU %u with interrupts disabled",
                     self->id);
        host_event_set(self, HOST_IRQ_WORK, began_ps + left_ps);
        host_step_wait(HOST_POINT_COMPUTE, HOST_CPU_COMPUTES);
        /* Still this CPU: who computes is its running task. What interrupts it may switch to others, and it may go on
         * elsewhere; that is no time of its own. */
        host_event_cancel(self, HOST_IRQ_WORK);
        self->pending &= ~(1u << HOST_IRQ_WORK);
        left_ps -= MIN(left_ps, host.now_ps - began_ps);
        host_irq_deliver();
    }
}
