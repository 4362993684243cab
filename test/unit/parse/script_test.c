/* SPDX-License-Identifier: MIT */
/* Tests of core/parse/script.c. */
#include "unit.h"

#include <string.h>

#include <parse/script.h>

#include <k/errno.h>

static void expect(const char *text, size_t bytes, const char *interpreter, const char *argument)
{
    struct script script;

    memset(&script, 0xa5, sizeof(script));
    assert_true(script_is((const uint8_t *)text, bytes));
    assert_int_equal(script_read((const uint8_t *)text, bytes, &script), 0);
    assert_string_equal(script.interpreter, interpreter);
    assert_int_equal(script.has_argument, argument != NULL);
    assert_string_equal(script.argument, argument != NULL ? argument : "");
}

#define EXPECT(text, interpreter, argument) expect(text, sizeof(text) - 1, interpreter, argument)

static void expect_refused(const char *text, size_t bytes)
{
    struct script script;

    assert_int_equal(script_read((const uint8_t *)text, bytes, &script), -ENOEXEC);
}

static void name_and_argument_are_read(void **state)
{
    (void)state;
    EXPECT("#!/bin/sh\n", "/bin/sh", NULL);
    EXPECT("#!/bin/sh", "/bin/sh", NULL); /* the file ends there */
    EXPECT("#! \t/bin/sh \t \nrest", "/bin/sh", NULL);
    EXPECT("#!/bin/sh -e\n", "/bin/sh", "-e");
    EXPECT("#!/bin/sh\t -e", "/bin/sh", "-e");
    EXPECT("#!x\n", "x", NULL);
    EXPECT("#!/bin/sh\r\n", "/bin/sh\r", NULL); /* as Linux does */
}

static void what_follows_the_name_is_one_argument(void **state)
{
    (void)state;
    EXPECT("#!/usr/bin/env  -S a  b\tc \t\n", "/usr/bin/env", "-S a  b\tc");
    EXPECT("#!/bin/awk -f # comment\n", "/bin/awk", "-f # comment");
}

static void a_nul_ends_the_line(void **state)
{
    (void)state;
    EXPECT("#!/bin/sh\0 -e\n", "/bin/sh", NULL);
    EXPECT("#!/bin/sh -e\0x\n", "/bin/sh", "-e");
}

static void what_is_no_script_or_has_no_name_is_refused(void **state)
{
    static const char *const bad[] = {"", "#", "# !/bin/sh\n", "\177ELF", "#!", "#!\n/bin/sh\n", "#!  \t \n", "#!  "};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_refused(bad[i], strlen(bad[i]));
    expect_refused("#!\0/bin/sh\n", 11);
    assert_false(script_is((const uint8_t *)"#", 1));
    assert_false(script_is((const uint8_t *)"!#", 2));
}

/* "#!" and a name that ends before byte `end`; `last` stands there. */
static size_t long_name(char *text, size_t end, char last)
{
    memset(text, 'n', 512);
    memcpy(text, "#!", 2);
    text[end] = last;
    return 512;
}

static void a_name_of_the_whole_line_is_taken_and_one_that_may_be_cut_is_not(void **state)
{
    static const char ends[] = {'\n', ' ', '\t', '\0'};
    struct script script;
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(ends); i++) {
        size_t bytes = long_name(text, SCRIPT_LINE_MAX, ends[i]);

        assert_int_equal(script_read((const uint8_t *)text, bytes, &script), 0);
        assert_int_equal(strlen(script.interpreter), SCRIPT_LINE_MAX - 2);
        assert_false(script.has_argument);
        bytes = long_name(text, SCRIPT_LINE_MAX + 1, ends[i]);
        expect_refused(text, bytes);
        expect_refused(text, SCRIPT_FIRST_BYTES); /* more is not looked at */
    }
    /* A file of exactly that length is not cut. */
    long_name(text, SCRIPT_LINE_MAX + 1, '\n');
    assert_int_equal(script_read((const uint8_t *)text, SCRIPT_LINE_MAX, &script), 0);
    assert_int_equal(strlen(script.interpreter), SCRIPT_LINE_MAX - 2);
}

static void a_long_argument_is_cut(void **state)
{
    struct script script;
    char text[512];

    (void)state;
    long_name(text, 6, ' ');
    assert_int_equal(script_read((const uint8_t *)text, sizeof(text), &script), 0);
    assert_string_equal(script.interpreter, "nnnn");
    assert_int_equal(strlen(script.argument), SCRIPT_LINE_MAX - 7);
    memset(text + 8, ' ', sizeof(text) - 8); /* blanks up to the cut and beyond are none of it */
    text[400] = 'x';
    assert_int_equal(script_read((const uint8_t *)text, sizeof(text), &script), 0);
    assert_string_equal(script.argument, "n");
}

/* Wherever the bytes end, there is an answer that does not depend on what is behind them. */
static void nothing_behind_the_end_is_read(void **state)
{
    static const char text[] = "#! /bin/sh  -e x \nrest";

    (void)state;
    for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
        struct script one, other;
        char copy[sizeof(text)];
        int err;

        memset(copy, 'z', sizeof(copy));
        memcpy(copy, text, bytes);
        err = script_read((const uint8_t *)copy, bytes, &one);
        memset(copy + bytes, ' ', sizeof(copy) - bytes);
        assert_int_equal(script_read((const uint8_t *)copy, bytes, &other), err);
        assert_memory_equal(&one, &other, sizeof(one));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_and_argument_are_read),
        cmocka_unit_test(what_follows_the_name_is_one_argument),
        cmocka_unit_test(a_nul_ends_the_line),
        cmocka_unit_test(what_is_no_script_or_has_no_name_is_refused),
        cmocka_unit_test(a_name_of_the_whole_line_is_taken_and_one_that_may_be_cut_is_not),
        cmocka_unit_test(a_long_argument_is_cut),
        cmocka_unit_test(nothing_behind_the_end_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
