/* SPDX-License-Identifier: MIT */
/* Real harts interleave by themselves. */
#pragma once

static inline void hal_point(const volatile void *)
{
}

/* Unprivileged Architecture, RVWMO rule 9: an address dependency orders */
#define HAL_LOAD_DEPENDENT load_relaxed
