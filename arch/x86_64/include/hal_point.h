/* SPDX-License-Identifier: MIT */
/* Hardware interleaves by itself: nothing to do. */
#pragma once

static inline void hal_point(const volatile void *)
{
}

/* SDM vol. 3, 9.2.2: loads are not reordered with others */
#define HAL_LOAD_DEPENDENT load_relaxed
