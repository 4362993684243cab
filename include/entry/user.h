/* SPDX-License-Identifier: MIT */
/* The way to user mode and back. What a call does, and what a notice means to a program, is decided left of here. */
#pragma once

#include <k/types.h>

struct hal_trap;

/* Begin a user program with the running task: `trap` as for hal_user_enter(), its registers filled in. What had been
 * asked of the task before is done first. Context: task, interrupts enabled, no lock held. */
[[noreturn]] void user_begin(struct hal_trap *trap);
