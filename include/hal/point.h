/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An interleaving point: the place where another CPU may be seen to act. `word` is about to be touched atomically;
 * NULL: no word. The simulated machine steps other CPUs here; on hardware it is empty. Context: any. Order: none. The
 * machine defines it in <hal_point.h>.
 */
static inline void hal_point(const volatile void *word);

/*
 *   HAL_LOAD_DEPENDENT   load_relaxed, where no CPU reads through a pointer that it has not read yet; or load_acquire
 */
#include <hal_point.h>
