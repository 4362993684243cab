/* SPDX-License-Identifier: MIT */
/* core/syscall/syscall.c: what reaches a handler, and where its answer goes. */
#include "unit.h"

#include <hal/usermode.h>
#include <k/errno.h>
#include <syscall/syscall.h>
#include <syscall/table.h>

static void a_number_without_a_handler_leaves_all_but_the_result(void **state)
{
    struct hal_trap trap = { .pc = 1, .sp = 2, .number = SYSCALL_NUMBERS, .arg = { 3, 4, 5, 6, 7, 8 }, .result = 9 };

    (void)state;
    assert_false(syscall_end(&trap, syscall_begin(&trap)));
    assert_int_equal((intptr_t)trap.result, -ENOSYS);
    assert_true(trap.pc == 1 && trap.sp == 2 && trap.arg[0] == 3 && trap.arg[5] == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_without_a_handler_leaves_all_but_the_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
