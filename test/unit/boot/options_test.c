/* SPDX-License-Identifier: MIT */
/* core/boot/options.c: every option, every way to get one wrong, and a command line that is never trusted. */
#include "smp/smp_test.h"

#include <boot/options.h>
#include <k/limits.h>
#include <proc/first.h>
#include <trace/log.h>

static struct boot_options options;

static void parse(void *cmdline)
{
    memset(&options, 0xa5, sizeof options);
    boot_options_parse(cmdline, &options);
}

/* What was logged about it. */
static const char *parsed(const char *cmdline)
{
    log_set_console_level(LOG_WARN);
    assert_true(host_unit_returns(parse, (void *)(uintptr_t)cmdline, &smp_test_result));
    assert_non_null(memchr(options.init, '\0', sizeof options.init));
    assert_non_null(memchr(options.argument, '\0', sizeof options.argument));
    assert_in_range(options.cpus_max, 1, CPU_MAX);
    return smp_test_result.console;
}

static void assert_defaults(void)
{
    assert_string_equal(options.init, "showcase");
    assert_string_equal(options.argument, "");
    assert_int_equal(options.cpus_max, CPU_MAX);
    assert_int_equal(options.asids_max, ASIDS_MAX);
    assert_int_equal(options.seed, 1);
    assert_int_equal(options.fair_slice_ns, 0);
    assert_true(options.rt_percent == 0 && options.deadline_percent == 0);
    assert_false(options.use_huge);
    assert_false(options.use_console);
    assert_false(options.log_latency);
}

static void without_options_there_are_defaults(void **state)
{
    (void)state;
    assert_string_equal(parsed(""), "");
    assert_defaults();
    assert_string_equal(parsed("   "), "");
    assert_defaults();
}

static void options_are_taken_in_any_order_the_last_one_counts(void **state)
{
    (void)state;
    assert_string_equal(parsed("seed=77 init=selftest:exit cpus=3"), "");
    assert_string_equal(options.init, "selftest");
    assert_string_equal(options.argument, "exit");
    assert_true(options.cpus_max == 3 && options.seed == 77);
    assert_string_equal(parsed("asids=9"), "");
    assert_int_equal(options.asids_max, 9);
    assert_string_equal(parsed("kaslr=on kaslr=off"), ""); /* the machine's: core only knows the words */
    assert_string_equal(parsed("slice=100000"), "");
    assert_true(options.fair_slice_ns == 100 * NS_PER_SEC);
    assert_string_equal(parsed("idle=poll"), "");
    assert_true(options.idle_polls);
    assert_string_equal(parsed("idle=poll idle=halt"), "");
    assert_false(options.idle_polls);
    assert_string_equal(parsed("rt=100 deadline=80"), "");
    assert_true(options.rt_percent == 100 && options.deadline_percent == 80);
    assert_string_equal(parsed("huge=on"), "");
    assert_true(options.use_huge);
    assert_string_equal(parsed("huge=on huge=off"), "");
    assert_false(options.use_huge);
    assert_non_null(strstr(parsed("huge=yes"), "bad value 'yes'"));
    assert_string_equal(parsed("cpus=8 cpus=2 init=a:b init=c"), "");
    assert_string_equal(options.init, "c");
    assert_int_equal(options.cpus_max, 2);
    assert_string_equal(parsed("init=x:y:z"), "");
    assert_string_equal(options.argument, "y:z");
}

static void an_init_without_argument_has_none(void **state)
{
    (void)state;
    assert_string_equal(parsed("init=a:b init=c"), "");
    assert_string_equal(options.init, "c");
    assert_string_equal(options.argument, "");
}

static void what_follows_two_dashes_is_the_first_programs(void **state)
{
    static const char words[] = "sh\0-c\0echo seed=6\0cpus=1";
    char many[3 * (FIRST_ARGUMENTS_MAX + 1) + 4] = "--";

    (void)state;
    assert_string_equal(parsed("seed=5 -- sh -c \"echo seed=6\" cpus=1"), "");
    assert_int_equal(options.argument_count, 4);
    assert_memory_equal(options.arguments, words, sizeof words);
    assert_int_equal(options.seed, 5);
    assert_int_equal(options.cpus_max, CPU_MAX);
    (void)parsed("--");
    assert_int_equal(options.argument_count, 0);
    for (unsigned i = 0; i <= FIRST_ARGUMENTS_MAX; i++)
        memcpy(many + 2 + (size_t)3 * i, " ab", 4);
    assert_non_null(strstr(parsed(many), "too many arguments, 'ab' ignored"));
    assert_int_equal(options.argument_count, FIRST_ARGUMENTS_MAX);
}

static void unknown_options_are_named_and_ignored(void **state)
{
    (void)state;
    assert_non_null(strstr(parsed("quiet root=/dev/sda cpus=2"), "warning: boot option 'quiet' is unknown"));
    assert_non_null(strstr(smp_test_result.console, "'root' is unknown"));
    assert_int_equal(options.cpus_max, 2);
}

static void bad_values_are_named_and_leave_the_default(void **state)
{
    static const char *const bad[] = {
        "cpus=0", "cpus=1025", "cpus=", "cpus", "cpus=two", "cpus=-1", "cpus=99999999999999999999",
        "seed=x", "seed=", "seed", "loglevel=4", "loglevel=x", "loglevel", "slice=100001", "slice=-1", "slice",
        "rt=0", "rt=101", "rt=x", "rt", "deadline=0", "deadline=101", "deadline=", "idle=0", "idle",
        "asids=0", "asids=4097", "asids=x", "asids",
        "kaslr", "kaslr=", "kaslr=maybe", "kaslr=-1", "kaslr=0x200000", /* the last: this image has not moved */
        "init=", "init=:argument", "init",
        "init=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
        if (strstr(parsed(bad[i]), "bad value") == NULL)
            fail_msg("'%s' was not complained about: %s", bad[i], smp_test_result.console);
        assert_defaults();
    }
}

static void the_longest_names_fit_and_longer_ones_are_refused(void **state)
{
    char cmdline[512];
    char text[200];

    (void)state;
    for (size_t bytes = 90; bytes < 110; bytes++) {
        memset(text, 'z', bytes);
        text[bytes] = '\0';
        (void)snprintf(cmdline, sizeof cmdline, "init=prog:%s", text);
        bool fits = bytes < sizeof options.argument;

        assert_int_equal(strstr(parsed(cmdline), "warning") == NULL, fits);
        if (fits)
            assert_string_equal(options.argument, text);
        else
            assert_defaults(); /* not half of it */
    }
    assert_string_equal(parsed("init=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "");
    assert_int_equal(strlen(options.init), sizeof options.init - 1);
}

static void malformed_words_are_named_and_the_rest_is_read(void **state)
{
    char cmdline[1000];

    (void)state;
    memset(cmdline, 'q', sizeof cmdline);
    (void)snprintf(cmdline + 600, sizeof cmdline - 600, " cpus=5");
    assert_non_null(strstr(parsed(cmdline), "malformed or too long"));
    assert_int_equal(options.cpus_max, 5);
}

static void random_bytes_are_survived(void **state)
{
    static const char words[][12] = {
        "init=", "cpus=", "seed=", "loglevel=", "kaslr=", "=", " ", "\"", ":", "12", "\t", "\n", "x",
    };
    struct unit_random random = { 4 };

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        char cmdline[CMDLINE_BYTES];
        size_t used = 0;

        while (used < sizeof cmdline - 16 && unit_random_below(&random, 60) != 0) {
            if (unit_random_below(&random, 3) == 0)
                cmdline[used++] = (char)(1 + unit_random_below(&random, 255));
            else
                used += (size_t)snprintf(cmdline + used, 12, "%s",
                                         words[unit_random_below(&random, ARRAY_COUNT(words))]);
        }
        cmdline[used] = '\0';
        (void)parsed(cmdline);
    }
}

static void loglevel_takes_effect(void **state)
{
    (void)state;
    assert_string_equal(parsed("loglevel=0 unknown"), ""); /* from here on warnings are not printed */
    log_set_console_level(LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(without_options_there_are_defaults),
        smp_unit_test(options_are_taken_in_any_order_the_last_one_counts),
        smp_unit_test(an_init_without_argument_has_none),
        smp_unit_test(what_follows_two_dashes_is_the_first_programs),
        smp_unit_test(unknown_options_are_named_and_ignored),
        smp_unit_test(bad_values_are_named_and_leave_the_default),
        smp_unit_test(the_longest_names_fit_and_longer_ones_are_refused),
        smp_unit_test(malformed_words_are_named_and_the_rest_is_read),
        smp_unit_test(random_bytes_are_survived),
        smp_unit_test(loglevel_takes_effect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
