/* SPDX-License-Identifier: MIT */
/*
 * ASSERT stays in every build and costs O(1); DEBUG_ASSERT may walk a queue and exists only where KERNEL_DEBUG is 1.
 * An assertion never has an effect. A failed one is a broken invariant of ours: it panics at once.
 */
#pragma once

#include <k/compiler.h>
#include <k/panic.h>

#define ASSERT(cond)                                                   \
    do {                                                               \
        if (UNLIKELY(!(cond)))                                         \
            panic_assert(#cond, __FILE_NAME__, __LINE__);              \
    } while (0)

#define DEBUG_ASSERT(cond)                                             \
    do {                                                               \
        if (KERNEL_DEBUG && UNLIKELY(!(cond)))                         \
            panic_assert(#cond, __FILE_NAME__, __LINE__);              \
    } while (0)
