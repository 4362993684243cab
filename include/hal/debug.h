/* SPDX-License-Identifier: MIT */
/* What a machine owes to the log, panic and backtraces. */
#pragma once

#include <stdint.h>

#include <k/types.h>

struct hal_trap; /* registers at a trap: opaque to core */

/* Send one byte to the console, waiting for room. Context: any, from kmain() on; the caller serialises. */
void hal_console_put(char c);

/* A byte from the console, or -1. Context: any. */
int hal_console_get(void);

/* Where a trap interrupted, and the frame pointer there for a backtrace. */
uintptr_t hal_trap_pc(const struct hal_trap *trap);
uintptr_t hal_trap_frame_pointer(const struct hal_trap *trap);

/* Print all registers through log_line(). Context: any. */
void hal_trap_dump(const struct hal_trap *trap);

/* A frame record is two words; these are their byte offsets from a frame pointer (negative on riscv64):
 * HAL_FRAME_NEXT (the caller's frame pointer) and HAL_FRAME_RETURN (the return address). */
#include <hal_machine.h>
