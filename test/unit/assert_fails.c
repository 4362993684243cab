/* SPDX-License-Identifier: MIT */
/* Assertions of the rooms that run without a machine end in cmocka: see expect_assert_failure(). Owns no state. */
#include "unit.h"

#include <stdlib.h>

#include <k/panic.h>

void panic_assert(const char *condition, const char *file, int line)
{
    mock_assert(0, condition, file, line); /* leaves by longjmp() while a test runs */
    abort();
}
