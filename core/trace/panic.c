/* SPDX-License-Identifier: MIT */
/*
 * The one way to die: the first CPU to panic reports, asks the others to report and park, and leaves the machine with a
 * failing code. Waits for no lock and for nobody beyond a bound, because whatever it would wait for may be broken.
 */
#include <trace/panic.h>

#include <stdarg.h>

#include <hal/clock.h>
#include <hal/debug.h>
#include <hal/irq.h>
#include <k/log.h>
#include <k/trace.h>
#include <lib/fmt.h>
#include <smp/cpu.h>
#include <trace/backtrace.h>
#include <trace/log.h>

#define PANIC_EXIT_CODE 1

/* How long the others get to answer: relax loops, not time, because the clock may be what is broken. */
#define PANIC_STOP_SPINS 20000000u

static struct {
    struct panic_hooks hooks;
    _Atomic(uint32_t) owner;    /* 0, or 1 + id of the CPU that panicked first */
    _Atomic(uint32_t) turn;     /* reports are printed one after the other */
    _Atomic(uint32_t) stopped;  /* CPUs that have reported and parked */
} panic_state;

void panic_set_hooks(const struct panic_hooks *hooks)
{
    panic_state.hooks = *hooks;
}

static uint32_t panic_cpu_id(void)
{
    return hal_current() != NULL && this_cpu() != NULL ? this_cpu_id() : 0;
}

static void report_cpu(uintptr_t pc, uintptr_t frame_pointer)
{
    uintptr_t low = 0;
    uintptr_t high = UINTPTR_MAX;
    bool known = panic_state.hooks.describe_cpu != NULL && hal_current() != NULL && this_cpu() != NULL;

    if (known) {
        panic_state.hooks.describe_cpu(this_cpu());
        panic_state.hooks.stack_bounds(&low, &high);
    }
    /* An emergency stack lies outside the task's: then trust a window above the frame pointer. */
    if (frame_pointer < low || frame_pointer >= high || !known) {
        low = frame_pointer - 64;
        high = (frame_pointer | (PAGE_BYTES - 1)) + 1;
    }
    backtrace_print(pc, frame_pointer, low, high);
}

/* Only the first CPU in gets past this; a later one reports when it is asked to stop. */
static void panic_enter(void)
{
    uint32_t nobody = 0;
    uint32_t self = panic_cpu_id() + 1;

    (void)hal_irq_save();
    if (cas_relaxed(&panic_state.owner, &nobody, self)) {
        trace(TRACE_PANIC, NULL, 0);
        log_enter_panic();
        /* PAIRS(panic_turn): nobody else can have it before the stop request. */
        (void)xchg_acquire(&panic_state.turn, 1);
        return;
    }
    if (nobody == self) {
        log_error("panic: again, while reporting one");
        hal_machine_exit(PANIC_EXIT_CODE);
    }
    panic_stop_this_cpu();
}

[[noreturn]] static void panic_finish(void)
{
    unsigned others = 0;

    store_release(&panic_state.turn, 0); /* PAIRS(panic_turn) */
    for_each_live_cpu(id) {
        if (id == panic_cpu_id())
            continue;
        others++;
        cpu_request(cpu_table[id], IPI_STOP);
    }
    for (unsigned spins = 0; load_relaxed(&panic_state.stopped) < others && spins < PANIC_STOP_SPINS; spins++)
        hal_cpu_relax();
    if (load_relaxed(&panic_state.stopped) < others)
        log_error("panic: %u of %u other CPUs did not answer", others - load_relaxed(&panic_state.stopped), others);
    hal_machine_exit(PANIC_EXIT_CODE);
}

[[noreturn]] void panic_stop_this_cpu(void)
{
    (void)hal_irq_save();
    while (xchg_acquire(&panic_state.turn, 1) != 0) /* PAIRS(panic_turn): one report after the other */
        hal_cpu_relax();
    report_cpu(0, (uintptr_t)__builtin_frame_address(0));
    store_release(&panic_state.turn, 0); /* PAIRS(panic_turn) */
    (void)fetch_add_relaxed(&panic_state.stopped, 1);
    hal_cpu_park();
}

static void panic_say(const char *format, va_list args)
{
    char message[200];
    uintptr_t slide;

    (void)fmt_vprint(message, sizeof message, format, args);
    log_error("panic: CPU %u: %s", panic_cpu_id(), message);
    if (symbol_slide(&slide) && slide != 0)
        log_error("kernel slide %#lx", (unsigned long)slide);
}

void panic(const char *format, ...)
{
    va_list args;

    panic_enter();
    va_start(args, format);
    panic_say(format, args);
    va_end(args);
    report_cpu(0, (uintptr_t)__builtin_frame_address(0));
    panic_finish();
}

void panic_trap(const struct hal_trap *trap, const char *format, ...)
{
    va_list args;

    panic_enter();
    va_start(args, format);
    panic_say(format, args);
    va_end(args);
    hal_trap_dump(trap);
    report_cpu(hal_trap_pc(trap), hal_trap_frame_pointer(trap));
    panic_finish();
}

void panic_assert(const char *condition, const char *file, int line)
{
    panic("assertion failed: %s (%s:%d)", condition, file, line);
}
