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

/* Print all registers through log_line(). Context: any. */
void hal_trap_dump(const struct hal_trap *trap);

/*
 *   HAL_TRAP_PC(trap), HAL_TRAP_FRAME_POINTER(trap)   where a trap interrupted, and the frame pointer there for a
 *                                                     backtrace: lvalues of type uintptr_t
 *   HAL_FRAME_NEXT, HAL_FRAME_RETURN                  a frame record is two words: byte offsets of the caller's frame
 *                                                     pointer and of the return address from a frame pointer
 */
#include <hal_machine.h>
