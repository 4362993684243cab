/* SPDX-License-Identifier: MIT */
/* Tests of core/syscall/absent.c and of the table around it: every number has a handler. */
#include "unit.h"

#include <string.h>

#include <syscall/table.h>

#include <k/errno.h>

static void every_number_has_a_handler(void **state)
{
    (void)state;
    for (uint64_t number = 0; number < SYSCALL_NUMBERS; number++)
        assert_non_null(syscall_find(number));
}

static void a_number_that_no_call_has_is_enosys(void **state)
{
    static const uint64_t numbers[] = {SYSCALL_NUMBERS - 1, SYSCALL_NUMBERS, UINT32_MAX, UINT64_MAX};
    const struct syscall_args args = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_int_equal(syscall_find(numbers[i])(&args, NULL), -ENOSYS);
        assert_null(syscall_name(numbers[i]));
    }
}

/* The host has what all machines with generic numbers share. */
static void numbers_have_the_names_of_linux(void **state)
{
    (void)state;
    assert_string_equal(syscall_name(0), "io_setup");
    assert_string_equal(syscall_name(63), "read");
    assert_string_equal(syscall_name(221), "execve");
    assert_string_equal(syscall_name(462), "mseal");
    assert_null(syscall_name(38));  /* renameat is not everybody's */
    assert_null(syscall_name(244)); /* the first of those left to machines */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_has_a_handler),
        cmocka_unit_test(a_number_that_no_call_has_is_enosys),
        cmocka_unit_test(numbers_have_the_names_of_linux),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
