/* SPDX-License-Identifier: MIT */
/* The front door's one setting: who brings in user pages that the kernel itself wants to access. */
#pragma once

#include <k/types.h>

/*
 * handler(va, access) is called for each fault of the running task's own access to user memory at va (hal_user_copy(),
 * hal_user_cas()), with one USER_ACCESS_ bit of mm/user.h: 0, and the access is tried again; an error, and it fails.
 * Not called, and the access fails, if preemption or interrupts are disabled there. NULL: every such access fails.
 * The handler's context: task, interrupts enabled, on the task's kernel stack under whatever called; it may sleep and
 * come back on another CPU. Context of this call: any. Order: release; what the handler looks at was stored before.
 */
void trap_set_user_fault(int (*handler)(vaddr_t va, unsigned access));
