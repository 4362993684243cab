/* SPDX-License-Identifier: MIT */
/* core/console/command.c: which words are a command, and what is said about those that are none. */
#include "smp/smp_test.h"
#include "console_test.h"

#include <trace/log.h>

static void what_is_no_command_is_named(void **state)
{
    (void)state;
    assert_string_equal(answer("frobnicate 3"), "'frobnicate': no such command; help lists them\n");
    assert_string_equal(answer("PS"), "'PS': no such command; help lists them\n");
    assert_string_equal(answer("pss"), "'pss': no such command; help lists them\n");
    assert_string_equal(answer(""), "");
    assert_string_equal(answer("    "), "");
    assert_string_equal(answer("1 2 3 4 5 6 7 8 9"), "no command has more than 8 words\n");
    assert_string_equal(answer("1 2 3 4 5 6 7 8  "), "'1': no such command; help lists them\n");
}

static void wrong_words_show_the_usage(void **state)
{
    (void)state;
    assert_string_equal(answer("ps now"), "usage: ps\n");
    assert_string_equal(answer("help me"), "usage: help\n");
    assert_string_equal(answer("mem all"), "usage: mem\n");
    assert_string_equal(answer("sched x"), "usage: sched\n");
    assert_string_equal(answer("latency rest"), "usage: latency [reset]\n");
    assert_string_equal(answer("log loud"), "usage: log [level 0-3]\n");
    assert_string_equal(answer("top 1000 2 3 4"), "usage: top [MILLISECONDS [LINES [ROUNDS]]]\n");
    assert_string_equal(answer("exit 1 2"), "usage: exit [CODE]\n");
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    assert_string_equal(answer("top fast"), "'fast': give a number from 10 to 3600000\n");
    assert_string_equal(answer("top 9"), "'9': give a number from 10 to 3600000\n");
    assert_string_equal(answer("top 100 0"), "'0': give a number from 1 to 40\n");
    assert_string_equal(answer("top 100 41"), "'41': give a number from 1 to 40\n");
    assert_string_equal(answer("log level 4"), "'4': give a number from 0 to 3\n");
    assert_string_equal(answer("log level -1"), "'-1': give a number from 0 to 3\n");
    assert_string_equal(answer("exit 101"), "'101': give a number from 0 to 100\n");
}

static void the_log_level_changes_and_is_shown(void **state)
{
    (void)state;
    log_set_console_level(LOG_INFO);
    assert_string_equal(answer("log level 1"), "");
    assert_int_equal(log_console_level(), LOG_WARN);
    assert_string_equal(answer(" log  "), "log level 1\n");
    assert_string_equal(answer("log level 7"), "'7': give a number from 0 to 3\n");
    assert_int_equal(log_console_level(), LOG_WARN);
}

static void exit_has_a_code_and_leaves_only_then(void **state)
{
    char good[] = "exit 7", plain[] = "exit", bad[] = "exit x", other[] = "help";

    (void)state;
    catch_begin();
    assert_int_equal(console_do(good), CONSOLE_EXIT);
    assert_int_equal(console_exit_code, 7);
    assert_int_equal(console_do(plain), CONSOLE_EXIT);
    assert_int_equal(console_exit_code, 0);
    assert_int_equal(console_do(bad), 0);
    assert_int_equal(console_do(other), 0);
}

static void help_lists_every_command(void **state)
{
    static const char *const names[] = { "help", "ps", "top", "sched", "latency", "mem", "log", "exit" };

    (void)state;
    const char *text = answer("help");

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char start[16];

        (void)snprintf(start, sizeof start, "  %s", names[i]);
        assert_non_null(strstr(text, start));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(what_is_no_command_is_named),
        smp_unit_test(wrong_words_show_the_usage),
        smp_unit_test(numbers_have_bounds),
        smp_unit_test(the_log_level_changes_and_is_shown),
        smp_unit_test(exit_has_a_code_and_leaves_only_then),
        smp_unit_test(help_lists_every_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
