/* SPDX-License-Identifier: MIT */
/*
 * The front door: what a machine reports, and the preemption point on the way out. Handlers wake tasks and set flags;
 * they never switch: that happens in trap_exit(), after the source has been acknowledged.
 */
#include <entry/trap.h>

#include <hal/debug.h>
#include <hal/upcall.h>
#include <hal/user.h>
#include <k/assert.h>
#include <k/log.h>
#include <k/trace.h>
#include <mm/kspace.h>
#include <mm/user.h>
#include <sched/cputime.h>
#include <sched/latency.h>
#include <sched/sched.h>
#include <smp/call_irq.h>
#include <smp/preempt.h>
#include <smp/quiesce.h>
#include <time/timer.h>
#include <trace/panic.h>

static struct cpu *irq_enter(void)
{
    struct cpu *cpu = this_cpu();

    DEBUG_ASSERT(!hal_irq_is_enabled());
    cpu->irq_depth++;
    store_relaxed(&cpu->irq_count, load_relaxed(&cpu->irq_count) + 1);
    /* Handlers look at shared objects: an idle CPU is not quiescent while it runs one. */
    if (UNLIKELY(load_relaxed(&cpu->idle_quiescent)))
        quiesce_idle_exit(cpu);
    return cpu;
}

static void irq_exit(struct cpu *cpu)
{
    ASSERT(cpu->irq_depth > 0);
    cpu->irq_depth--;
}

void trap_timer(void)
{
    struct cpu *cpu = irq_enter();
    uint64_t now = hal_clock_ticks();

    trace(TRACE_IRQ_ENTER, NULL, 0);
    if (cpu->armed_deadline_ticks != TIME_NEVER)
        latency_arrived(cpu, LATENCY_TIMER, MAX(cpu->armed_deadline_ticks, cpu->armed_at_ticks), now);
    timer_run_expired(cpu, now);
    if (now >= load_relaxed(&cpu->slice_deadline_ticks)) {
        store_relaxed(&cpu->slice_deadline_ticks, TIME_NEVER); /* schedule() sets the next one */
        latency_asked(cpu);
        store_relaxed(&cpu->need_resched, RESCHED_ASKED);
    }
    timer_reprogram(cpu);
    trace(TRACE_IRQ_EXIT, NULL, 0);
    latency_handled(cpu, now, trap_timer);
    irq_exit(cpu);
}

static void ask_for_switch(struct cpu *cpu)
{
    latency_asked(cpu);
    store_relaxed(&cpu->need_resched, RESCHED_ASKED);
}

void trap_ipi(void)
{
    struct cpu *cpu = irq_enter();
    uint64_t now = hal_clock_ticks();
    uint64_t poked = atomic_load_explicit(&cpu->poked_at_ticks, memory_order_relaxed); /* a hint: no point */
    /* PAIRS(ipi): what each reason refers to was stored before its bit. */
    uint32_t reasons = xchg_acq_rel(&cpu->ipi_pending, 0);

    trace(TRACE_IRQ_ENTER, NULL, reasons);
    if (reasons != 0)
        latency_arrived(cpu, LATENCY_POKE, poked, now);
    if (reasons & IPI_STOP)
        panic_stop_this_cpu();
    if (reasons & IPI_CALL)
        smp_call_handle_ipi();
    if (reasons & IPI_QUIESCE) {
        if (current_base()->preempt_count == 0)
            quiesce_pass(cpu); /* the interrupted code is in no read section */
        else
            ask_for_switch(cpu); /* the section's end switches, and a switch reports */
    }
    if (reasons & IPI_TIMER)
        timer_reprogram(cpu);
    /* IPI_RESCHEDULE: need_resched is set already; trap_exit() looks at it. */
    trace(TRACE_IRQ_EXIT, NULL, reasons);
    latency_handled(cpu, now, trap_ipi);
    irq_exit(cpu);
}

void trap_spurious(unsigned vector)
{
    struct cpu *cpu = irq_enter();

    log_warn("CPU %u: interrupt %u that nobody asked for", cpu->id, vector);
    irq_exit(cpu);
}

void trap_exit(struct hal_trap *trap)
{
    struct cpu *cpu = this_cpu();
    struct task *task = current_task();

    DEBUG_ASSERT(!hal_irq_is_enabled() && cpu->irq_depth == 0);
    if (UNLIKELY(cpu->is_sample_due))
        cputime_sample(cpu, false);
    if (task == cpu->idle_task) { /* the idle loop schedules itself */
        if (UNLIKELY(latency_wants_pc(cpu, false)))
            latency_interrupted(cpu, HAL_TRAP_PC(trap));
        return;
    }
    bool is_asked = load_relaxed(&cpu->need_resched);

    if (UNLIKELY(latency_wants_pc(cpu, is_asked)))
        latency_interrupted(cpu, HAL_TRAP_PC(trap));
    if (UNLIKELY(is_asked) && task->base.preempt_count == 0)
        sched_preempt();
}

/* ---- Faults ---- */

static trap_user_fault_fn *_Atomic user_fault_handler; /* PAIRS(user_fault) */

trap_user_fault_fn *trap_set_user_fault(trap_user_fault_fn *handler)
{
    return xchg_acq_rel(&user_fault_handler, handler); /* PAIRS(user_fault) */
}

/* Is the page there now? The handler may sleep, so the code that faulted must be such that may. */
static bool user_fault_repair(const struct fault_info *fault)
{
    trap_user_fault_fn *handler = load_acquire(&user_fault_handler); /* PAIRS(user_fault) */
    unsigned access = fault->is_write ? USER_ACCESS_WRITE : USER_ACCESS_READ;

    if (handler == NULL || !fault->irqs_enabled || current_base()->preempt_count != 0)
        return false;
    hal_irq_enable();
    int error = handler(fault->address, access);

    DEBUG_ASSERT(context_can_sleep());
    hal_irq_disable();
    return error == 0;
}

static const char *fault_verb(const struct fault_info *fault)
{
    return fault->is_exec ? "execution of" : fault->is_write ? "write to" : "read from";
}

[[noreturn]] COLD NOINLINE static void page_fault_panic(const struct hal_trap *trap, const struct fault_info *fault)
{
    const char *what = fault_verb(fault);
    unsigned long address = (unsigned long)fault->address;
    unsigned long code = (unsigned long)fault->code;

    if (kmap_is_guard(fault->address))
        panic_trap(trap, "%s: %s a guard page, %#lx", fault->name, what, address);
    if (fault->address < PAGE_BYTES)
        panic_trap(trap, "%s: %s a null pointer, %#lx", fault->name, what, address);
    if (fault->address < HAL_USER_END)
        panic_trap(trap, "%s: kernel code touched user memory at %#lx, %s it (cause %#lx)", fault->name, address, what,
                   code);
    panic_trap(trap, "%s: %s %#lx (cause %#lx)", fault->name, what, address, code);
}

bool trap_fault(struct hal_trap *trap, const struct fault_info *fault)
{
    unsigned long address = (unsigned long)fault->address;

    switch (fault->kind) {
    case FAULT_STACK_OVERFLOW:
        panic_trap(trap, "kernel stack overflow at %#lx (%s)", address, fault->name);
    case FAULT_PAGE:
        if (fault->is_user_access)
            return user_fault_repair(fault);
        page_fault_panic(trap, fault);
    case FAULT_FPU_OFF:
        panic_trap(trap, "%s: floating-point or vector use by a task without such state", fault->name);
    case FAULT_VECTOR_OFF:
    case FAULT_ILLEGAL:
    case FAULT_BREAKPOINT:
    case FAULT_STEP:
    case FAULT_DIVIDE:
    case FAULT_FLOAT:
    case FAULT_MISALIGNED:
    case FAULT_OTHER:
        break;
    }
    panic_trap(trap, "%s (cause %#lx, address %#lx)", fault->name, (unsigned long)fault->code, address);
}
