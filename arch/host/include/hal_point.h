/* SPDX-License-Identifier: MIT */
/* The simulated machine's interleaving point: counts a step, may run other CPUs, may take an interrupt. */
#pragma once

void host_point_atomic(void);

static inline void hal_point(void)
{
    host_point_atomic();
}
