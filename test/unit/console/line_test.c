/* SPDX-License-Identifier: MIT */
/* core/console/line.c: what is typed, erased and echoed; and a model of it on random keys. */
#include "unit.h"
#include "console_test.h"

static struct console_line line;

/* Type; the last key's event. */
static enum console_line_event type(const char *keys)
{
    enum console_line_event event = LINE_MORE;

    for (; *keys != '\0'; keys++)
        event = line_key(&line, *keys);
    return event;
}

static int begin(void **state)
{
    (void)state;
    memset(&line, 0, sizeof line);
    line_begin(&line);
    catch_begin();
    return 0;
}

static void a_line_is_what_was_typed_and_echoed(void **state)
{
    (void)state;
    assert_int_equal(type("ps"), LINE_MORE);
    assert_int_equal(type("\r"), LINE_DONE);
    assert_string_equal(line.text, "ps");
    assert_string_equal(caught, "ps\n");
}

static void a_newline_behind_a_return_is_its_other_half(void **state)
{
    (void)state;
    assert_int_equal(type("a\r"), LINE_DONE);
    line_begin(&line);
    assert_int_equal(type("\n"), LINE_MORE);
    assert_int_equal(type("\n"), LINE_DONE); /* a second one is a line of its own */
    assert_string_equal(line.text, "");
}

static void backspace_takes_back_one_key_and_stops_at_the_prompt(void **state)
{
    (void)state;
    assert_int_equal(type("\x7fxy\b\x7f\b\x7fz\n"), LINE_DONE);
    assert_string_equal(line.text, "z");
    assert_string_equal(caught, "xy\b \b\b \bz\n");
}

static void control_u_empties_and_control_c_forgets(void **state)
{
    (void)state;
    assert_int_equal(type("junk\x15" "ps\n"), LINE_DONE);
    assert_string_equal(line.text, "ps");
    line_begin(&line);
    catch_begin();
    assert_int_equal(type("exit\x03"), LINE_CANCELLED);
    assert_string_equal(caught, "exit^C\n");
}

static void special_keys_and_control_characters_are_no_text(void **state)
{
    (void)state;
    assert_int_equal(type("a\x1b[Ab\x1b[3~c\x1bOPd\x1bxe\x01\x7e\xff\t.\n"), LINE_DONE);
    assert_string_equal(line.text, "abcde~ .");
}

static void a_line_that_is_too_long_says_so(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CONSOLE_LINE_BYTES - 1; i++)
        assert_int_equal(type("x"), LINE_MORE);
    assert_false(line.is_overlong);
    catch_begin();
    (void)type("y");
    assert_true(line.is_overlong);
    assert_string_equal(caught, "\a");
    assert_int_equal(type("\b\n"), LINE_DONE);
    assert_true(line.is_overlong); /* still not what was typed */
    assert_int_equal(strlen(line.text), CONSOLE_LINE_BYTES - 2);
    line_begin(&line);
    assert_false(line.is_overlong);
    for (unsigned i = 0; i < CONSOLE_LINE_BYTES; i++)
        (void)type("x");
    (void)type("\x15");
    assert_false(line.is_overlong); /* nothing of it is left */
}

static void random_keys_give_what_a_model_gives(void **state)
{
    struct unit_random random = { 7 };
    char model[CONSOLE_LINE_BYTES];
    size_t bytes = 0;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        static const char keys[] = "ab \b\x7f\x15";
        char key = keys[unit_random_below(&random, sizeof keys - 1)];

        if (unit_random_below(&random, 40) == 0) {
            assert_int_equal(line_key(&line, '\n'), LINE_DONE);
            assert_int_equal(strlen(line.text), bytes);
            assert_memory_equal(line.text, model, bytes);
            line_begin(&line);
            bytes = 0;
            continue;
        }
        assert_int_equal(line_key(&line, key), LINE_MORE);
        if (key == '\x15')
            bytes = 0;
        else if (key == '\b' || key == '\x7f')
            bytes -= bytes > 0;
        else if (bytes < CONSOLE_LINE_BYTES - 1)
            model[bytes++] = key;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_is_what_was_typed_and_echoed, begin),
        cmocka_unit_test_setup(a_newline_behind_a_return_is_its_other_half, begin),
        cmocka_unit_test_setup(backspace_takes_back_one_key_and_stops_at_the_prompt, begin),
        cmocka_unit_test_setup(control_u_empties_and_control_c_forgets, begin),
        cmocka_unit_test_setup(special_keys_and_control_characters_are_no_text, begin),
        cmocka_unit_test_setup(a_line_that_is_too_long_says_so, begin),
        cmocka_unit_test_setup(random_keys_give_what_a_model_gives, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
