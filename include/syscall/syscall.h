/* SPDX-License-Identifier: MIT */
/*
 * System calls: from the user's registers to one call into a room left of here, and the result back. A handler decodes
 * and checks everything first, then acts. The numbers are data, per ISA: core/syscall/calls.tbl.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct hal_trap;

/* What /proc tells of this interface. Boot, once, after fs_init(). */
void syscall_init(void);

/* Carry out the call that `trap` holds; syscall_end() stores its result there. True: this call wants all of the user's
 * registers (fork, execve, a signal's return); nothing was done yet, and syscall_finish() does it once `trap` is
 * complete. Context: task, interrupts enabled. */
int64_t syscall_begin(struct hal_trap *trap);
bool syscall_end(struct hal_trap *trap, int64_t result);
void syscall_finish(struct hal_trap *trap);
