/* SPDX-License-Identifier: MIT */
/* Interrupt enable state of this CPU. All are compiler barriers; none is a fence for other CPUs. Context: any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Disable interrupts and return what they were, for the matching hal_irq_restore() on this CPU at this depth. */
static inline uintptr_t hal_irq_save(void);
static inline void hal_irq_restore(uintptr_t state);

static inline void hal_irq_enable(void);
static inline void hal_irq_disable(void);
static inline bool hal_irq_is_enabled(void);

#include <hal_machine.h>
