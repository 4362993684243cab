/* SPDX-License-Identifier: MIT */
/*
 * The kit's frame: kmain() goes through the levels, and here are the upcalls and the few functions of core that
 * machines call. One lock, for whole lines on the console; whoever fails does not wait for it for ever.
 */
#include "kit.h"

#include <stdarg.h>

#include <k/errno.h>
#include <k/log.h>
#include <k/panic.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <parse/cmdline.h>
#include <trace/backtrace.h>

#define LINE_BYTES 256
#define LOCK_TRIES 1000000u
#define FAILURE_CODE 1

const struct boot_info *kit_boot;
struct kit_cpu *kit_cpus[CPU_MAX];
struct kit_cpu kit_boot_cpu;
struct task kit_boot_task;
bool kit_entered_enabled;

static struct {
    unsigned level;              /* 1.. while one runs */
    _Atomic(unsigned) checks;
    _Atomic(unsigned) turn;      /* PAIRS(kit_line) */
    _Atomic(bool) has_failed;
    bool is_swallowing;          /* log lines are counted, not printed */
    unsigned swallowed;
    uint64_t random;
} kit = { .random = UINT64_C(0x9e3779b97f4a7c15) };

/* ---- Speaking ---- */

static void put_line(const char *text)
{
    unsigned tries = 0;

    while (xchg_acquire(&kit.turn, 1) != 0 && ++tries < LOCK_TRIES) /* PAIRS(kit_line) */
        hal_cpu_relax();
    for (const char *c = text; *c != '\0'; c++)
        hal_console_put(*c);
    hal_console_put('\r');
    hal_console_put('\n');
    store_release(&kit.turn, 0); /* PAIRS(kit_line) */
}

void kit_say(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    va_start(args, format);
    (void)fmt_vprint(line, sizeof line, format, args);
    va_end(args);
    put_line(line);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    if (kit.is_swallowing) {
        kit.swallowed++;
        return;
    }
    va_start(args, format);
    (void)fmt_vprint(line, sizeof line, format, args);
    va_end(args);
    kit_say("%s%s", level == LOG_ERROR ? "error: " : level == LOG_WARN ? "warning: " : "", line);
}

void kit_count_check(void)
{
    (void)atomic_fetch_add_explicit(&kit.checks, 1, memory_order_relaxed);
}

/* ---- Failing: the first failure is the one that counts ---- */

static const char *level_name(void)
{
    return kit.level > 0 ? kit_levels[kit.level - 1].name : "start";
}

static void only_the_first_fails(void)
{
    (void)hal_irq_save();
    if (atomic_exchange_explicit(&kit.has_failed, true, memory_order_relaxed))
        hal_cpu_park();
}

[[noreturn]] static void end_with_trace(uintptr_t pc, uintptr_t frame_pointer)
{
    const struct task *task = hal_current();
    uintptr_t low = frame_pointer - 64;
    uintptr_t high = (frame_pointer | (PAGE_BYTES - 1)) + 1;
    uintptr_t slide;

    if (symbol_slide(&slide) && slide != 0)
        kit_say("kernel slide %#lx", (unsigned long)slide);
    if (task != NULL && task->stack_base != 0 && frame_pointer - task->stack_base < task->stack_bytes) {
        low = task->stack_base;
        high = task->stack_base + task->stack_bytes;
    }
    backtrace_print(pc, frame_pointer, low, high);
    hal_machine_exit(FAILURE_CODE);
}

void kit_fail(const char *condition, const char *file, int line, const char *format, ...)
{
    char sentence[LINE_BYTES];
    va_list args;

    only_the_first_fails();
    va_start(args, format);
    (void)fmt_vprint(sentence, sizeof sentence, format, args);
    va_end(args);
    kit_say("level %u %s: FAILED: %s", kit.level, level_name(), sentence);
    kit_say("  assertion %s (%s:%d)", condition, file, line);
    end_with_trace(0, (uintptr_t)__builtin_frame_address(0));
}

/* The machine's own assertions, and the walker's. */
[[noreturn]] static void die(const struct hal_trap *trap, const char *format, va_list args)
{
    char sentence[LINE_BYTES];

    only_the_first_fails();
    (void)fmt_vprint(sentence, sizeof sentence, format, args);
    kit_say("level %u %s: FAILED: panic: %s", kit.level, level_name(), sentence);
    if (trap == NULL)
        end_with_trace(0, (uintptr_t)__builtin_frame_address(0));
    hal_trap_dump(trap);
    end_with_trace(HAL_TRAP_PC(trap), HAL_TRAP_FRAME_POINTER(trap));
}

void panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    die(NULL, format, args);
}

void panic_trap(const struct hal_trap *trap, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    die(trap, format, args);
}

void panic_assert(const char *condition, const char *file, int line)
{
    panic("assertion failed: %s (%s:%d)", condition, file, line);
}

/* ---- Upcalls ---- */

void trap_timer(void)
{
    struct kit_cpu *self = kit_self();

    CHECK(!hal_irq_is_enabled(), "trap_timer() is called with interrupts enabled");
    self->timer_ticks = hal_clock_ticks();
    self->timers = self->timers + 1;
    self->leave_now = self->leave_for != NULL;
}

void trap_ipi(void)
{
    struct kit_cpu *self = kit_self();
    kit_ipi_fn *on_ipi = load_acquire(&self->on_ipi); /* PAIRS(kit_on_ipi) */

    CHECK(!hal_irq_is_enabled(), "trap_ipi() is called with interrupts enabled");
    self->ipis = self->ipis + 1;
    if (on_ipi != NULL)
        on_ipi(self);
}

void trap_spurious(unsigned vector)
{
    CHECK(false, "CPU %u: interrupt %u that nobody asked for", kit_self()->id, vector);
}

void trap_exit(struct hal_trap *trap)
{
    struct kit_cpu *self = kit_self();

    CHECK(trap != NULL, "trap_exit() without a trap");
    CHECK(!hal_irq_is_enabled(), "trap_exit() is called with interrupts enabled");
    self->exits = self->exits + 1;
    if (!self->leave_now)
        return;
    struct task *next = self->leave_for;

    self->leave_now = false;
    self->leave_for = NULL;
    hal_context_switch(hal_current(), next); /* comes back much later, perhaps on another CPU */
}

static unsigned dump_lines(const struct hal_trap *trap)
{
    kit.swallowed = 0;
    kit.is_swallowing = true;
    hal_trap_dump(trap);
    kit.is_swallowing = false;
    return kit.swallowed;
}

bool trap_fault(struct hal_trap *trap, const struct fault_info *fault)
{
    struct kit_cpu *self = hal_current() != NULL ? kit_self() : NULL;

    if (self != NULL && hal_current() == &self->probe && self->caught != NULL) {
        self->caught->handler_frame = (uintptr_t)__builtin_frame_address(0);
        self->caught->dump_lines = dump_lines(trap);
        kit_catch_arrived(trap, fault);
    }
    if (self != NULL && fault->is_user_access)
        return self->on_user_fault != NULL && self->on_user_fault(fault);
    panic_trap(trap, "CPU %u: %s, kind %d, address %#lx, cause %#lx%s%s", self != NULL ? self->id : 0, fault->name,
               (int)fault->kind, (unsigned long)fault->address, (unsigned long)fault->code,
               fault->is_write ? ", write" : "", fault->is_exec ? ", execution" : "");
}

/* ---- Helpers of all levels ---- */

uint64_t kit_ticks_of_ns(uint64_t ns)
{
    /* No overflow: level_memory() refuses a clock above 10 GHz, and nobody asks for more than a year. */
    return ns / NS_PER_SEC * kit_boot->clock_hz + ns % NS_PER_SEC * kit_boot->clock_hz / NS_PER_SEC;
}

/* xorshift64 (Marsaglia 2003). */
uint64_t kit_random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

uint64_t kit_random(void)
{
    return kit_random_next(&kit.random);
}

bool kit_option_is(const char *name, const char *value)
{
    const char *cursor = kit_boot->cmdline;
    struct cmdline_option option;
    int error = 0;

    while ((error = cmdline_next(&cursor, &option)) != -ENOENT)
        if (error == 0 && option.has_value && strcmp(option.key, name) == 0 && strcmp(option.value, value) == 0)
            return true;
    return false;
}

unsigned kit_records_count(uintptr_t frame_pointer, uintptr_t low, uintptr_t high, bool *out_has_end)
{
    unsigned count = 0;

    *out_has_end = false;
    while (count < KIT_RECORDS_MAX) {
        uintptr_t next_at = frame_pointer + (uintptr_t)HAL_FRAME_NEXT;
        uintptr_t return_at = frame_pointer + (uintptr_t)HAL_FRAME_RETURN;

        if (frame_pointer % sizeof(uintptr_t) != 0 || MIN(next_at, return_at) < low ||
            MAX(next_at, return_at) > high - sizeof(uintptr_t))
            break;
        uintptr_t return_address = *(const volatile uintptr_t *)return_at;
        uintptr_t next = *(const volatile uintptr_t *)next_at;

        count++;
        *out_has_end = return_address == 0;
        if (*out_has_end || !kit_is_code(return_address) || next <= frame_pointer)
            break;
        frame_pointer = next;
    }
    return count;
}

/* ---- The run ---- */

static void run_level(const struct kit_level *level)
{
    unsigned before = load_relaxed(&kit.checks);

    kit_say("level %u %s ...", kit.level, level->name);
    if (kit_option_is("fail", level->name))
        CHECK(false, "as the command line asks");
    const char *untried = level->run();

    if (untried != NULL)
        kit_say("level %u %s: passed (not tried: %s)", kit.level, level->name, untried);
    else
        kit_say("level %u %s: passed (%u checks)", kit.level, level->name, load_relaxed(&kit.checks) - before);
}

void kmain(struct boot_info *boot)
{
    unsigned count = 0;

    kit_entered_enabled = hal_irq_is_enabled();
    kit_boot = boot;
    kit_say("port-check: %s, booted by %s, %u CPUs", boot->machine, boot->firmware, boot->cpu_count);
    while (kit_levels[count].name != NULL) {
        kit.level = ++count;
        run_level(&kit_levels[count - 1]);
    }
    kit_say("port-check: levels 1..%u passed", count);
    hal_machine_exit(0);
}
