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

/* The same for fast paths that look up the running task once and keep no registers across calls. What began is in the
 * hands of who began it, who ends it: so the count is not read again. Sections nest. */
struct preempt_section {
    struct task_base *self;
    struct cpu *cpu;
    uint32_t count_before;
};

static ALWAYS_INLINE struct preempt_section preempt_enter(struct task_base *self)
{
    uint32_t before = self->preempt_count;

    self->preempt_count = before + 1;
    compiler_barrier();
    /* As in this_cpu(). */
    return (struct preempt_section){ self, atomic_load_explicit(&self->cpu, memory_order_relaxed), before };
}

/* True: preempt_resched() is the caller's next step. */
static ALWAYS_INLINE bool preempt_leave(struct preempt_section section)
{
    compiler_barrier();
    DEBUG_ASSERT(section.self->preempt_count == section.count_before + 1);
    section.self->preempt_count = section.count_before;
    compiler_barrier(); /* the count before the look */
    /* A request that comes after the count has dropped is met by the interrupt that brings it, on whatever CPU. */
    return section.count_before == 0 && UNLIKELY(load_relaxed(&section.cpu->need_resched));
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
