/* SPDX-License-Identifier: MIT */
/* core/entry/trap.c: what each interrupt does to its CPU, and what each fault says before the machine ends. */
#include "smp/smp_test.h"

#include <entry/trap.h>
#include <hal/debug.h>
#include <hal/upcall.h>
#include <k/errno.h>
#include <mm/bootmem.h>
#include <mm/kspace.h>
#include <mm/kstack.h>
#include <mm/user.h>
#include <time/clock.h>

#define CPU0 (&smp_test.cpu[0])

static unsigned fired;

static void note_fire(struct timer *timer)
{
    (void)timer;
    assert_int_equal(CPU0->irq_depth, 1);
    fired++;
}

static int enter(void **state)
{
    int result = smp_test_begin(state);

    clock_init(host_boot_info()->clock_hz);
    fired = 0;
    return result;
}

static void a_timer_interrupt_fires_timers_and_ends_slices(void **state)
{
    struct timer due, later;

    (void)state;
    timer_init(&due, note_fire);
    timer_init(&later, note_fire);
    timer_arm(&due, 0);
    timer_arm(&later, clock_ns() + NS_PER_SEC);
    trap_timer();
    assert_int_equal(fired, 1);
    assert_true(CPU0->irq_depth == 0 && CPU0->irq_count == 1);
    assert_false(load_relaxed(&CPU0->need_resched)); /* no slice was in question */
    assert_true(CPU0->armed_deadline_ticks == later.deadline_ticks); /* and the next one is armed */
    store_relaxed(&CPU0->slice_deadline_ticks, hal_clock_ticks() + 1000000);
    trap_timer();
    assert_false(load_relaxed(&CPU0->need_resched)); /* not yet */
    store_relaxed(&CPU0->slice_deadline_ticks, hal_clock_ticks());
    trap_timer();
    assert_true(load_relaxed(&CPU0->need_resched));
    assert_true(load_relaxed(&CPU0->slice_deadline_ticks) == TIME_NEVER); /* it ends once */
    assert_true(timer_cancel(&later));
    assert_int_equal(fired, 1);
}

static void all_reasons_are_taken_at_once(void **state)
{
    (void)state;
    store_relaxed(&CPU0->ipi_pending, IPI_RESCHEDULE | IPI_QUIESCE);
    trap_ipi();
    assert_int_equal(load_relaxed(&CPU0->ipi_pending), 0);
    assert_true(CPU0->irq_depth == 0 && CPU0->irq_count == 1);
    trap_ipi(); /* a poke whose reasons an earlier one took */
    assert_int_equal(CPU0->irq_count, 2);
}

static void a_quiesce_poke_reports_only_outside_read_sections(void **state)
{
    (void)state;
    smp_test_cpus(2);
    host_unit_enter((struct task *)&smp_test.self[0]);
    for (unsigned inside = 0; inside < 2; inside++) {
        quiesce_cpu_online(&smp_test.cpu[0]);
        quiesce_cpu_online(&smp_test.cpu[1]);
        store_relaxed(&quiesce_started, load_relaxed(&quiesce_started) + 1); /* one is in flight, CPU 1 collects */
        store_relaxed(&CPU0->need_resched, 0);
        current_base()->preempt_count = inside;
        store_relaxed(&CPU0->ipi_pending, IPI_QUIESCE);
        trap_ipi();
        assert_int_equal(load_relaxed(&CPU0->quiesce_seen) == load_relaxed(&quiesce_started), !inside);
        assert_int_equal(load_relaxed(&CPU0->need_resched) != 0, inside); /* a switch, and the report, at its end */
        current_base()->preempt_count = 0;
    }
}

static void an_interrupt_ends_the_quiescence_of_an_idle_cpu(void **state)
{
    (void)state;
    store_relaxed(&CPU0->idle_quiescent, true);
    trap_ipi();
    assert_false(load_relaxed(&CPU0->idle_quiescent));
    store_relaxed(&CPU0->idle_quiescent, true);
    trap_timer();
    assert_false(load_relaxed(&CPU0->idle_quiescent));
}

static void spurious(void *arg)
{
    (void)arg;
    trap_spurious(77);
    ASSERT(CPU0->irq_count == 1 && CPU0->irq_depth == 0);
}

static void a_spurious_interrupt_is_counted_and_named(void **state)
{
    (void)state;
    assert_true(host_unit_returns_forked(spurious, NULL, &smp_test_result));
    assert_string_equal(smp_test_result.console, "warning: CPU 0: interrupt 77 that nobody asked for\r\n");
}

static void exit_of_idle(void *arg)
{
    (void)arg;
    store_relaxed(&CPU0->need_resched, 1);
    trap_exit(NULL);
    ASSERT(load_relaxed(&CPU0->need_resched) != 0); /* the idle loop looks itself */
}

static void exit_in_section(void *arg)
{
    (void)arg;
    CPU0->idle_task = NULL;
    store_relaxed(&CPU0->need_resched, 1);
    current_base()->preempt_count = 1;
    trap_exit(NULL);
    ASSERT(load_relaxed(&CPU0->need_resched) != 0);
}

static void the_way_out_does_not_switch_idle_tasks_or_read_sections(void **state)
{
    (void)state;
    assert_true(host_unit_returns_forked(exit_of_idle, NULL, &smp_test_result));
    assert_true(host_unit_returns_forked(exit_in_section, NULL, &smp_test_result));
}

/* Faults. The registers are made up: the frame pointer leads nowhere. */

static void raise_fault(void *arg)
{
    struct {
        uintptr_t words[16]; /* a machine's own frame: at least what HAL_TRAP_PC() and its like read */
    } trap = { 0 };

    (void)trap_fault((struct hal_trap *)&trap, arg);
}

static void a_fault(const struct fault_info *fault, const char *words)
{
    assert_panics(raise_fault, (void *)(uintptr_t)fault, words);
}

static void every_kind_of_fault_is_named(void **state)
{
    const struct fault_info read = { .kind = FAULT_PAGE, .address = 0x7123456789000, .code = 5, .name = "page fault" };
    struct fault_info fault = read;

    (void)state;
    a_fault(&fault, "page fault: read from 0x7123456789000 (cause 0x5)");
    fault.is_write = true;
    a_fault(&fault, "page fault: write to 0x7123456789000");
    fault.is_exec = true;
    a_fault(&fault, "page fault: execution of 0x7123456789000");
    fault = read;
    fault.address = 0x12345000;
    a_fault(&fault, "page fault: kernel code touched user memory at 0x12345000, read from it (cause 0x5)");
    fault.is_write = true;
    a_fault(&fault, "kernel code touched user memory at 0x12345000, write to it");
    fault.is_exec = true;
    a_fault(&fault, "kernel code touched user memory at 0x12345000, execution of it");
    fault = read;
    fault.address = 8;
    a_fault(&fault, "read from a null pointer, 0x8");
    fault.address = PAGE_BYTES - 1;
    a_fault(&fault, "a null pointer");
    fault = read;
    fault.kind = FAULT_STACK_OVERFLOW;
    a_fault(&fault, "kernel stack overflow at 0x7123456789000 (page fault)");
    fault.kind = FAULT_FPU_OFF;
    a_fault(&fault, "floating-point or vector use by a task without such state");
    fault.name = "#XX";
    fault.kind = FAULT_ILLEGAL;
    a_fault(&fault, "#XX (cause 0x5, address 0x7123456789000)");
    fault.kind = FAULT_BREAKPOINT;
    a_fault(&fault, "#XX (cause 0x5");
    fault.kind = FAULT_OTHER;
    a_fault(&fault, "#XX (cause 0x5");
}

/* ---- The kernel's own access to user memory ---- */

static struct {
    unsigned calls, access;
    vaddr_t va;
    int answer;
    bool was_irq_enabled;
} handled;

static int handle(vaddr_t va, unsigned access)
{
    handled.calls++;
    handled.va = va;
    handled.access = access;
    handled.was_irq_enabled = hal_irq_is_enabled();
    return handled.answer;
}

static bool user_access(bool is_write, bool irqs_enabled, int answer)
{
    const struct fault_info fault = { .kind = FAULT_PAGE, .address = 0x12345678, .name = "page fault",
                                      .is_write = is_write, .is_user_access = true, .irqs_enabled = irqs_enabled };

    memset(&handled, 0, sizeof handled);
    handled.answer = answer;
    bool again = trap_fault(NULL, &fault);

    assert_false(hal_irq_is_enabled());
    return again;
}

static void a_user_fault_is_the_handlers_with_interrupts_enabled(void **state)
{
    (void)state;
    assert_null(trap_set_user_fault(handle));
    assert_true(user_access(false, true, 0));
    assert_true(handled.calls == 1 && handled.va == 0x12345678 && handled.access == USER_ACCESS_READ);
    assert_true(handled.was_irq_enabled);
    assert_true(user_access(true, true, 0));
    assert_int_equal(handled.access, USER_ACCESS_WRITE);
    assert_false(user_access(true, true, -ENOMEM)); /* its error is the access's */
    assert_int_equal(handled.calls, 1);
    assert_ptr_equal(trap_set_user_fault(NULL), handle);
    assert_false(user_access(false, true, 0)); /* nobody is there */
    assert_int_equal(handled.calls, 0);
}

static void a_user_fault_fails_where_nobody_may_sleep(void **state)
{
    (void)state;
    (void)trap_set_user_fault(handle);
    assert_false(user_access(false, false, 0));
    assert_int_equal(handled.calls, 0);
    preempt_disable();
    assert_false(user_access(false, true, 0));
    assert_int_equal(handled.calls, 0);
    preempt_enable();
    assert_true(user_access(false, true, 0));
    (void)trap_set_user_fault(NULL);
}

/* A boot of its own: cmocka's handlers stand before the machine's, which fill in the pages of a stack. */
static void touch_guard(struct boot_info *boot)
{
    struct kstack stack;
    struct fault_info fault = { .kind = FAULT_PAGE, .name = "page fault", .is_write = true };

    smp_test_cpus(1);
    hal_cpu_init(0, (struct task *)&smp_test.self[0], NULL);
    bootmem_init(boot);
    kspace_init(boot);
    bootmem_finish();
    ASSERT(kstack_alloc(STACK_BYTES_DEFAULT, &stack) == 0);
    fault.address = stack.base - 8;
    raise_fault(&fault);
}

static void a_fault_in_a_guard_page_says_so(void **state)
{
    struct host_config config = { .cpus = 1, .seed = 1, .entry = touch_guard };

    (void)state;
    assert_int_equal(host_machine_run_forked(&config, &smp_test_result), 1);
    assert_non_null(strstr(smp_test_result.console, "page fault: write to a guard page"));
}

#define trap_test(fn) cmocka_unit_test_setup_teardown(fn, enter, smp_test_end)

static void nothing(void)
{
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        trap_test(a_timer_interrupt_fires_timers_and_ends_slices),
        trap_test(all_reasons_are_taken_at_once),
        trap_test(a_quiesce_poke_reports_only_outside_read_sections),
        trap_test(an_interrupt_ends_the_quiescence_of_an_idle_cpu),
        trap_test(a_spurious_interrupt_is_counted_and_named),
        trap_test(the_way_out_does_not_switch_idle_tasks_or_read_sections),
        trap_test(every_kind_of_fault_is_named),
        trap_test(a_user_fault_is_the_handlers_with_interrupts_enabled),
        trap_test(a_user_fault_fails_where_nobody_may_sleep),
        cmocka_unit_test(a_fault_in_a_guard_page_says_so),
    };

    quiesce_init(nothing, nothing);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
