/* SPDX-License-Identifier: MIT */
/*
 * In from user mode, and out again. A system call runs with interrupts enabled and goes back by the short way unless
 * there is something to do first: a switch that is due, a notice (sched/waitq.h), or that the call itself wants all
 * registers. On the way out both words are looked at with interrupts disabled; whoever sets one later pokes this CPU,
 * and the interrupt brings the task back here.
 */
#include <entry/user.h>

#include <hal/irq.h>
#include <hal/upcall.h>
#include <hal/usermode.h>
#include <k/assert.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/user.h>
#include <sched/cputime.h>
#include <sched/latency.h>
#include <sched/sched.h>
#include <syscall/syscall.h>
#include <vm/space.h>

/* What trap_syscall_end() returns: a call wants all registers. Other bits say that something is due. */
#define WORK_CALL 0x80000000u

static ALWAYS_INLINE uint32_t work_due(const struct task *self)
{
    return load_relaxed(&this_cpu()->need_resched) | load_relaxed(&self->notices);
}

/* Interrupts are disabled; in between they are not. */
static void leave(struct hal_trap *trap)
{
    struct task *self = current_task();

    DEBUG_ASSERT(!hal_irq_is_enabled() && self->base.preempt_count == 0 && self->mutexes_held == 0);
    while (UNLIKELY(work_due(self) != 0)) {
        sched_preempt();
        uint32_t notices = load_acquire(&self->notices); /* PAIRS(task_notice) */

        if (notices != 0) {
            hal_irq_enable();
            proc_user_attend(trap, notices);
            hal_irq_disable();
        }
    }
}

int64_t trap_syscall(struct hal_trap *trap)
{
    hal_irq_enable();
    return syscall_begin(trap);
}

static ALWAYS_INLINE unsigned end_call(struct hal_trap *trap, int64_t result)
{
    bool wants_all = syscall_end(trap, result);

    hal_irq_disable();
    return UNLIKELY(wants_all) ? WORK_CALL : work_due(current_task());
}

/* Out of line: only errors should pay for its frame. */
static NOINLINE unsigned end_failed_call(struct hal_trap *trap, int64_t result)
{
    return end_call(trap, result);
}

unsigned trap_syscall_end(struct hal_trap *trap, int64_t result)
{
    return LIKELY(result >= 0) ? end_call(trap, result) : end_failed_call(trap, result);
}

void trap_user_work(struct hal_trap *trap, unsigned what)
{
    if (what == WORK_CALL) {
        hal_irq_enable();
        syscall_finish(trap);
        hal_irq_disable();
    }
    leave(trap);
}

void trap_user_exit(struct hal_trap *trap)
{
    struct cpu *cpu = this_cpu();
    bool is_asked = load_relaxed(&cpu->need_resched);

    DEBUG_ASSERT(!hal_irq_is_enabled() && cpu->irq_depth == 0);
    if (UNLIKELY(cpu->is_sample_due))
        cputime_sample(cpu, true);
    if (UNLIKELY(latency_wants_pc(cpu, is_asked)))
        latency_interrupted(cpu, HAL_TRAP_PC(trap));
    leave(trap);
}

void trap_user_fault(struct hal_trap *trap, const struct fault_info *fault)
{
    int error = -EFAULT;

    hal_irq_enable();
    if (fault->kind == FAULT_PAGE) {
        unsigned access = fault->is_exec ? USER_ACCESS_EXEC : fault->is_write ? USER_ACCESS_WRITE : USER_ACCESS_READ;

        error = space_fault_current(fault->address, access);
    } else if (fault->kind == FAULT_VECTOR_OFF) {
        error = proc_vector_use();
    }
    if (error != 0)
        proc_user_fault(trap, fault, error);
    hal_irq_disable();
}

void user_begin(struct hal_trap *trap)
{
    store_relaxed(&current_task()->is_user, true);
    fence_seq_cst(); /* PAIRS(user_poke): who gives a notice from here on pokes; what was given before is seen below */
    hal_irq_disable();
    cputime_begin();
    leave(trap);
    hal_user_enter(trap);
}
