/* SPDX-License-Identifier: MIT */
/*
 * Preemption. While the count is above 0 the task stays on its CPU and is not switched; it may not sleep. A section
 * with the count above 0 is also a grace-period read section (smp/quiesce.h). Disabled interrupts imply both.
 */
#pragma once

#include <hal/irq.h>
#include <k/assert.h>
#include <smp/cpu.h>

/* Upcall of this room: the scheduler. Called with the count at 0, interrupts enabled, need_resched set. */
void sched_preempt(void);

static ALWAYS_INLINE void preempt_disable(void)
{
    current_base()->preempt_count++;
    compiler_barrier();
}

static ALWAYS_INLINE void preempt_enable_no_resched(void)
{
    compiler_barrier();
    current_base()->preempt_count--;
}

static ALWAYS_INLINE void preempt_enable(void)
{
    struct task_base *self = current_base();

    compiler_barrier();
    DEBUG_ASSERT(self->preempt_count > 0);
    if (--self->preempt_count == 0 && UNLIKELY(load_relaxed(&this_cpu()->need_resched)) && hal_irq_is_enabled())
        sched_preempt();
}

/* The same for fast paths that look up the running task, `self`, once and keep no registers across calls: a section
 * from preempt_enter() to preempt_leave(). Where that says true, preempt_resched() is the caller's next step. */
static ALWAYS_INLINE struct cpu *preempt_enter(struct task_base *self)
{
    self->preempt_count++;
    compiler_barrier();
    return atomic_load_explicit(&self->cpu, memory_order_relaxed); /* as in this_cpu() */
}

static ALWAYS_INLINE bool preempt_leave(struct task_base *self, struct cpu *cpu)
{
    compiler_barrier();
    DEBUG_ASSERT(self->preempt_count > 0);
    /* A request that comes after the count has dropped is met by the interrupt that brings it, on whatever CPU. */
    return --self->preempt_count == 0 && UNLIKELY(load_relaxed(&cpu->need_resched));
}

static inline void preempt_resched(void)
{
    if (hal_irq_is_enabled())
        sched_preempt();
}

/* May the running code sleep? */
static inline bool context_can_sleep(void)
{
    return current_base()->preempt_count == 0 && hal_irq_is_enabled();
}
