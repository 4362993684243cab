/* SPDX-License-Identifier: MIT */
/*
 * Host signals: a touched kmap address that the core's tables map is filled in and retried; everything else is a fault
 * of the kernel and goes to trap_fault() on an emergency stack of its CPU. The handler runs on an alternate stack,
 * because the missing page may be the stack itself. Faults while no machine runs, or in tests without a trap_fault(),
 * are the host's again. No lock: one host thread.
 */
#include "host_priv.h"

#include <signal.h>
#include <stdlib.h>

#include <k/log.h>

#include "os.h"

#pragma weak trap_fault
#pragma weak log_line

#define SIGNAL_STACK_BYTES ((size_t)64 << 10)
#define EMERGENCY_STACK_BYTES ((size_t)64 << 10)

static const struct {
    int number;
    enum fault_kind kind;
    const char *name;
} signals[] = {
    { SIGSEGV, FAULT_PAGE, "page fault" },
    { SIGBUS, FAULT_PAGE, "bus error" },
    { SIGILL, FAULT_ILLEGAL, "illegal instruction" },
    { SIGFPE, FAULT_OTHER, "arithmetic fault" },
    { SIGTRAP, FAULT_BREAKPOINT, "breakpoint" },
};

static struct {
    struct os_signal old_action[ARRAY_COUNT(signals)];
    stack_t old_stack;
    char *stacks; /* the signal stack, then one emergency stack per CPU */
    size_t stacks_bytes;

    /* The fault being handed to its CPU's emergency stack; taken there before anything else can fault. */
    struct hal_trap trap;
    struct fault_info info;
} faults;

/* On the emergency stack, outside the signal. */
static void fault_report(void *unused)
{
    struct hal_trap trap = faults.trap;
    struct fault_info info = faults.info;

    (void)unused;
    host_fiber_arrive();
    host_self()->regs.irq_enabled = false;
    (void)trap_fault(&trap, &info);
    host_fail("trap_fault() returned from a fault in kernel code");
}

static bool is_below_stack(const struct host_stack *stack, uintptr_t address)
{
    return stack->base != 0 && address < stack->base && address >= stack->base - PAGE_BYTES;
}

[[noreturn]] static void fault_raise(size_t which, uintptr_t address)
{
    struct host_cpu *self = host_self();
    uintptr_t base = (uintptr_t)faults.stacks + SIGNAL_STACK_BYTES + self->id * EMERGENCY_STACK_BYTES;
    uintptr_t abandoned;

    faults.info = (struct fault_info){
        .kind = signals[which].kind,
        .name = signals[which].name,
        .address = address,
        .is_write = faults.trap.is_write,
        .is_exec = address == faults.trap.pc,
        .irqs_enabled = self->regs.irq_enabled,
    };
    if (faults.info.kind == FAULT_PAGE && is_below_stack(&self->stack, address)) {
        faults.info.kind = FAULT_STACK_OVERFLOW;
        faults.info.name = "stack overflow";
    }
    self->stack.base = base;
    self->stack.bytes = EMERGENCY_STACK_BYTES;
    host_fiber_leave(&self->stack, true);
    host_swap(&abandoned, host_swap_prepare(base + EMERGENCY_STACK_BYTES, fault_report, NULL));
    abort(); /* nobody swaps back */
}

static size_t signal_find(int number)
{
    size_t which = 0;

    while (signals[which].number != number)
        which++;
    return which;
}

__attribute__((no_sanitize("address", "undefined"))) static void on_signal(int number, void *facts, void *ucontext)
{
    const siginfo_t *info = facts;
    size_t which = signal_find(number);
    uintptr_t address = number == SIGTRAP ? 0 : (uintptr_t)info->si_addr;

    host_swap_signal_facts(ucontext, &faults.trap);
    /* Nothing of the kmap window is executable on the host, so a fetch from there would fault again and again. */
    if (host.is_running && number == SIGSEGV && address != faults.trap.pc &&
        host_memory_refill(host_self()->root, address, faults.trap.is_write))
        return;
    if (!host.is_running || trap_fault == NULL) {
        /* Returning repeats the fault under the handler that was there before: the host's crash, or the sanitizer's. */
        os_signal_restore(number, &faults.old_action[which]);
        return;
    }
    fault_raise(which, address);
}

void host_fault_install(void)
{
    faults.stacks_bytes = SIGNAL_STACK_BYTES + host.config.cpus * EMERGENCY_STACK_BYTES;
    faults.stacks = os_alloc(faults.stacks_bytes, false);
    if (faults.stacks == NULL)
        os_die("emergency stacks");
    stack_t stack = { .ss_sp = faults.stacks, .ss_size = SIGNAL_STACK_BYTES };

    (void)sigaltstack(&stack, &faults.old_stack);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        os_signal_catch(signals[i].number, on_signal, &faults.old_action[i]);
}

void host_fault_remove(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        os_signal_restore(signals[i].number, &faults.old_action[i]);
    (void)sigaltstack(&faults.old_stack, NULL);
    os_release(faults.stacks, faults.stacks_bytes);
}

void hal_trap_dump(const struct hal_trap *trap)
{
    if (log_line != NULL)
        log_line(LOG_ERROR, "  pc %#018lx sp %#018lx fp %#018lx", trap->pc, trap->sp, trap->frame_pointer);
}
