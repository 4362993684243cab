/* SPDX-License-Identifier: MIT */
/* Hardware interleaves by itself: nothing to do, on every real machine. */
#pragma once

static inline void hal_point(const volatile void *)
{
}

/* right everywhere */
#define HAL_LOAD_DEPENDENT load_acquire
