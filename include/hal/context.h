/* SPDX-License-Identifier: MIT */
/*
 * The switch. struct hal_context is the machine's half of a task and the FIRST member of struct task, so a pointer to
 * one is a pointer to the other. Defined in <hal_machine.h>; HAL_STACK_ALIGN is the ABI's stack alignment.
 */
#pragma once

#include <stddef.h>

#include <k/types.h>

struct hal_context;
struct task;

/* Prepare a first run: entry(arg) on the stack_bytes below stack_top (aligned), interrupts disabled, return address 0
 * so that a backtrace ends there. entry never returns. Context: any; the task is not running. */
void hal_context_init(struct hal_context *context, vaddr_t stack_top, size_t stack_bytes, void (*entry)(void *),
                      void *arg);

/* Save what prev's caller needs, make next current, resume it. Inline, so that the compiler saves only the registers
 * that it uses there: to it this is an instruction that destroys all of them. Context: task, interrupts disabled, the
 * run-queue lock held. Order: none of its own: the lock, released on the far side, is the release store that publishes
 * prev's state. */
static inline void hal_context_switch(struct task *prev, struct task *next);

/* Floating-point and vector state. Off (a use traps) unless the running task owns an area: HAL_FPU_BYTES at multiples
 * of HAL_FPU_ALIGN. The size is known after hal_cpu_init() of the boot CPU; 0: this machine has no such state.
 *
 * Registers that are large, of a size that the machine finds, and that few programs use, stand in an area of their own:
 * HAL_VECTOR_BYTES, known at the same time, 0: there are none. HAL_FPU_VECTOR(area), an lvalue of type void *, is where
 * they are, or NULL: then a user's first use of them is FAULT_VECTOR_OFF, which core answers by giving it one. A vector
 * area of zeros is their initial state. It is given and taken while the unit does not hold the area: between a save and
 * a load, interrupts disabled. HAL_FPU_ALIGN holds for it, too. */

/* Fill an area with the state that a new program sees. */
void hal_fpu_init(void *area);

/* What the unit holds of `save`'s, if not NULL, is in that area then, which may be loaded on any CPU. From now on the
 * unit shows what `load` holds, at the latest at its next use, or is off if that is NULL. Both the same: the area is up
 * to date. It may be copied then, and changed, if a load of it follows before any switch.
 * Context: interrupts disabled, just before hal_context_switch(). */
void hal_fpu_switch(void *save, void *load);

#include <hal_machine.h>
