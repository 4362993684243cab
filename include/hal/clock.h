/* SPDX-License-Identifier: MIT */
/* Time as the machine counts it. core/time converts; nothing else calls these. */
#pragma once

#include <stdint.h>

/* Monotonic counter at boot_info.clock_hz, the same on all CPUs, 64 bits, never stops. Context: any. Order: none. */
static inline uint64_t hal_clock_ticks(void);

/* Arm this CPU's one-shot timer: trap_timer() at or soon after the counter passes `deadline`; a past one fires at once
 * (never lost). Replaces the earlier deadline; TIME_NEVER disarms. Context: any, interrupts disabled. */
static inline void hal_timer_arm(uint64_t deadline_ticks);

#include <hal_machine.h>
