/* SPDX-License-Identifier: MIT */
/*
 * System calls: from the user's registers to one call into a room left of here, and the result back. A handler decodes
 * and checks everything first, then acts. The numbers are data, per ISA: core/syscall/calls.tbl.
 */
#pragma once

#include <stdbool.h>

struct hal_trap;

/* What /proc tells of this interface. Boot, once, after fs_init(). */
void syscall_init(void);

/* Carry out the call that `trap` holds and store its result there. True: this call wants all of the user's registers
 * (fork, execve, a signal's return); nothing was done yet, and syscall_finish() does it once `trap` is complete.
 * Context: task, interrupts enabled. */
bool syscall_begin(struct hal_trap *trap);
void syscall_finish(struct hal_trap *trap);
