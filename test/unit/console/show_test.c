/* SPDX-License-Identifier: MIT */
/* core/console/show.c: sets of CPUs, times, and lines that are too long. */
#include "smp/smp_test.h"
#include "console_test.h"

#include <time/clock.h>

static const char *shown(const char *cpus, size_t room)
{
    static char text[64];
    struct cpumask mask;

    cpumask_clear(&mask);
    for (cpu_id_t id = 0; cpus[id] != '\0'; id++)
        if (cpus[id] == '1')
            cpumask_add(&mask, id);
    console_format_cpus(&mask, text, room);
    assert_true(strlen(text) < room);
    return text;
}

static void sets_are_runs(void **state)
{
    (void)state;
    smp_test_cpus(4);
    assert_string_equal(shown("1111", 32), "all");
    assert_string_equal(shown("11111111", 32), "all"); /* those that do not exist do not count */
    assert_string_equal(shown("1", 32), "0");
    assert_string_equal(shown("0110", 32), "1-2");
    assert_string_equal(shown("1101", 32), "0-1,3");
    assert_string_equal(shown("0000", 32), "");
}

static void what_does_not_fit_is_marked(void **state)
{
    (void)state;
    smp_test_cpus(4);
    assert_string_equal(shown("01010101010101", 8), "1,3,5+");
    assert_string_equal(shown("0101", 3), "1+");
}

static void times_are_cut_to_whole_units(void **state)
{
    (void)state;
    clock_init(1000000000);
    assert_int_equal(console_ms(2999999), 2);
    assert_int_equal(console_us(2999), 2);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    char text[400];

    (void)state;
    catch_begin();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    console_print("%s\n", text);
    assert_int_equal(caught_bytes, 256);
    assert_int_equal(caught[255], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(sets_are_runs),
        smp_unit_test(what_does_not_fit_is_marked),
        smp_unit_test(times_are_cut_to_whole_units),
        smp_unit_test(a_long_line_is_cut_and_still_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
