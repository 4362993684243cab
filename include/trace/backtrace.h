/* SPDX-License-Identifier: MIT */
/* Symbolised backtraces over frame records. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Print up to BACKTRACE_FRAMES_MAX frames, starting with pc (0: none) and the record at frame_pointer. A record is read
 * only if it lies in [stack_low, stack_high), aligned and above the last one. Context: any. */
void backtrace_print(uintptr_t pc, uintptr_t frame_pointer, uintptr_t stack_low, uintptr_t stack_high);

/* "name+0x12" of a code address, or "?" . Context: any. */
void symbol_format(uintptr_t address, char *to, size_t room);

/* How far the image lies above where it was linked: what to take off an address before a tool looks it up. False: the
 * image has no table of names, and nobody can tell. Context: any. */
bool symbol_slide(uintptr_t *out_slide);
