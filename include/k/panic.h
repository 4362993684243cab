/* SPDX-License-Identifier: MIT */
/*
 * The one way to die. Context: any. Never returns; safe to call with any lock held, from any CPU, at
 * any time after kmain.
 */
#pragma once

#include <k/compiler.h>

struct hal_trap;

/* Print the message, this CPU's state and a symbolised backtrace, stop the other CPUs, leave the
 * machine with code 1. */
[[noreturn]] void panic(const char *format, ...) PRINTF_LIKE(1, 2) COLD;

/* The same for a fault: registers and backtrace come from the trap frame. */
[[noreturn]] void panic_trap(const struct hal_trap *trap, const char *format, ...) PRINTF_LIKE(2, 3) COLD;

[[noreturn]] void panic_assert(const char *condition, const char *file, int line) COLD;
