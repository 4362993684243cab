/* SPDX-License-Identifier: MIT */
/* Real CPUs interleave by themselves. */
#pragma once

static inline void hal_point(const volatile void *)
{
}

/* ARM B2.3: an address dependency orders */
#define HAL_LOAD_DEPENDENT load_relaxed
