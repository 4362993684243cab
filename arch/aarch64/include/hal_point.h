/* SPDX-License-Identifier: MIT */
/* Real CPUs interleave by themselves. */
#pragma once

static inline void hal_point(const volatile void *)
{
}
