/* SPDX-License-Identifier: MIT */
/* What becomes of a thread on its way to user mode, and of its faults there. */
#pragma once

#include <stdint.h>

#include <k/compiler.h>

struct fault_info;
struct hal_trap;

/* Notices (sched/waitq.h) of the running task, about to go to its user: take back what has been attended to. A killed
 * thread does not return. Context: task, interrupts enabled, no lock held. */
void proc_user_attend(struct hal_trap *trap, uint32_t notices);

/* The user of the running task did what it may not, or what nobody could give: error is space_fault()'s, -EFAULT for
 * what was no page fault. Context: as above. */
void proc_user_fault(struct hal_trap *trap, const struct fault_info *fault, int error);

/* FAULT_VECTOR_OFF: from now on the running task has a vector area. -ENOMEM. Context: as above. */
int proc_vector_use(void) MUST_USE;
