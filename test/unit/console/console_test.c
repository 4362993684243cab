/* SPDX-License-Identifier: MIT */
/* core/console/console.c: a whole session on the simulated machine, as init and beside it. */
#include "booted.h"
#include "unit.h"

#include <string.h>

#include <host/machine.h>
#include <k/compiler.h>

static void rest(void)
{
    (void)task_sleep_until(TIME_NEVER - 1);
}

const struct kernel_test booted_tests[] = { { "rest", rest }, { NULL, NULL } };

static struct host_result result;

static int session(const char *cmdline, const char *keys, unsigned cpus)
{
    struct host_config config = {
        .cpus = cpus, .seed = 3, .memory_bytes = 16 << 20, .cmdline = cmdline, .console_input = keys,
    };

    return host_machine_run_forked(&config, &result);
}

static void assert_said(const char *words)
{
    if (strstr(result.console, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, result.console);
}

static void a_session_as_init_ends_with_the_code_that_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(session("init=console loglevel=1", "hepl\x15help\rps\rnonsense\rexi\x7fit 5\r", 2), 5);
    assert_said("verdant> ");
    assert_said("top [MILLISECONDS");
    assert_said("'nonsense': no such command");
    assert_said(" init ");
    assert_said("exi\b \bit 5");
}

static void it_runs_beside_init_if_asked_to(void **state)
{
    (void)state;
    assert_int_equal(session("init=test:rest console=on loglevel=1", "ps\rexit 3\r", 1), 3);
    assert_said(" console ");
    assert_said("verdant> exit 3");
}

static void an_overlong_line_does_nothing(void **state)
{
    char keys[400] = "exit 1";

    (void)state;
    memset(keys + 6, ' ', 300);
    memcpy(keys + 306, "\rexit 0\r", 9);
    assert_int_equal(session("init=console loglevel=1", keys, 1), 0);
    assert_said("the line is longer than 127 characters; nothing is done");
}

static void a_key_ends_top(void **state)
{
    (void)state;
    assert_int_equal(session("init=console loglevel=1", "top 1000\rqexit 0\r", 1), 0);
    assert_said("verdant> exit 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_as_init_ends_with_the_code_that_it_is_given),
        cmocka_unit_test(it_runs_beside_init_if_asked_to),
        cmocka_unit_test(an_overlong_line_does_nothing),
        cmocka_unit_test(a_key_ends_top),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
