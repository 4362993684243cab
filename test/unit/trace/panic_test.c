/* SPDX-License-Identifier: MIT */
/* core/trace/panic.c: one report of the first one, a line about each CPU, an end in every case. */
#include "booted.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <k/assert.h>
#include <time/clock.h>

static _Atomic(unsigned) ready;

static int panic_too(void *arg)
{
    (void)fetch_add_relaxed(&ready, 1);
    while (load_relaxed(&ready) < online_count())
        hal_cpu_relax();
    panic("number %u of many", (unsigned)(uintptr_t)arg);
}

static void all_at_once(void)
{
    for (uintptr_t i = 1; i < online_count(); i++)
        (void)spawn_on("panicker", panic_too, (void *)i, 10, online_cpu((unsigned)i));
    (void)panic_too((void *)0);
}

static int spin(void *arg)
{
    (void)arg;
    for (;;)
        hal_cpu_relax();
}

static void one_of_many(void)
{
    for (unsigned i = 1; i < online_count(); i++)
        (void)spawn_on("bystander", spin, NULL, 10, online_cpu(i));
    (void)task_sleep_for(100 * NS_PER_US);
    panic("the only one, %s", "with arguments");
}

static void with_locks(void) NO_LOCK_ANALYSIS
{
    static struct spinlock lock = SPINLOCK_INIT(LOCK_LOG);

    (void)hal_irq_save();
    spin_lock_irqoff(&lock);
    panic("with a lock held");
}

static void assertion(void)
{
    volatile int two = 2;

    ASSERT(two + two == 5);
}

const struct kernel_test booted_tests[] = {
    { "all-at-once", all_at_once },
    { "one-of-many", one_of_many },
    { "with-locks", with_locks },
    { "assertion", assertion },
    { NULL, NULL },
};

static unsigned count_of(const char *text, const char *words)
{
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

/* After each run: its console, complete. */
static void each_cpu_reports_once(const char *console, unsigned cpus)
{
    assert_int_equal(count_of(console, "panic: CPU"), 1);
    assert_int_equal(count_of(console, "did not answer"), 0);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        char line[32];

        (void)snprintf(line, sizeof line, "error: CPU %u: task", cpu);
        assert_int_equal(count_of(console, line), 1);
    }
    assert_true(count_of(console, "  #0 ") >= cpus);
}

static void cpus_that_panic_at_once_make_one_report(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 8; cpus *= 2)
        for (unsigned seed = 0; seed < 15; seed++) {
            booted_panics_with_seed(cpus, "all-at-once", "of many", seed);
            each_cpu_reports_once(booted_console(), cpus);
        }
}

static void the_other_cpus_stop_and_report_what_they_ran(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 10; seed++) {
        booted_panics_with_seed(4, "one-of-many", "the only one, with arguments", seed);
        each_cpu_reports_once(booted_console(), 4);
        assert_int_equal(count_of(booted_console(), "'bystander' running"), 3);
        assert_int_equal(count_of(booted_console(), "'init' running"), 1);
    }
}

static void a_panic_needs_no_lock(void **state)
{
    (void)state;
    booted_panics(2, "with-locks", "with a lock held", 5);
}

static void an_assertion_names_its_text_and_place(void **state)
{
    (void)state;
    booted_panics(1, "assertion", "assertion failed: two + two == 5 (panic_test.c:", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus_that_panic_at_once_make_one_report),
        cmocka_unit_test(the_other_cpus_stop_and_report_what_they_ran),
        cmocka_unit_test(a_panic_needs_no_lock),
        cmocka_unit_test(an_assertion_names_its_text_and_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
