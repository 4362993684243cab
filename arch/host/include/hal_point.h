/* SPDX-License-Identifier: MIT */
/* The simulated machine's interleaving point: counts a step, may run other CPUs, may take an interrupt. */
#pragma once

void host_point_atomic(const volatile void *word);

static inline void hal_point(const volatile void *word)
{
    host_point_atomic(word);
}

/* for ThreadSanitizer, which follows no dependency */
#define HAL_LOAD_DEPENDENT load_acquire
