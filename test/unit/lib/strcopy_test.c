/* SPDX-License-Identifier: MIT */
/* Tests of core/lib/strcopy.c. */
#include "unit.h"

#include <string.h>

#include <lib/string.h>

static void a_text_that_fits_is_copied_whole(void **state)
{
    char to[8];

    (void)state;
    memset(to, 'x', sizeof(to));
    assert_true(str_copy(to, "seven..", sizeof(to)));
    assert_string_equal(to, "seven..");
    assert_true(str_copy(to, "", sizeof(to)));
    assert_string_equal(to, "");
}

static void a_text_too_long_is_cut_and_terminated(void **state)
{
    char to[9];

    (void)state;
    memset(to, 'x', sizeof(to));
    assert_false(str_copy(to, "eight...", 8));
    assert_string_equal(to, "eight..");
    assert_int_equal(to[8], 'x');
    assert_false(str_copy(to, "a", 1));
    assert_string_equal(to, "");
}

static void no_room_means_no_write(void **state)
{
    char around[] = "xyz";

    (void)state;
    assert_false(str_copy(around + 1, "a", 0));
    assert_false(str_copy(around + 1, "", 0));
    assert_string_equal(around, "xyz");
}

static void the_source_is_not_read_behind_its_end_or_the_room(void **state)
{
    const char unterminated[4] = {'a', 'b', 'c', 'd'};
    char to[4];

    (void)state;
    assert_false(str_copy(to, unterminated, sizeof(to)));
    assert_string_equal(to, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_that_fits_is_copied_whole),
        cmocka_unit_test(a_text_too_long_is_cut_and_terminated),
        cmocka_unit_test(no_room_means_no_write),
        cmocka_unit_test(the_source_is_not_read_behind_its_end_or_the_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
