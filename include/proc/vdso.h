/* SPDX-License-Identifier: MIT */
/*
 * A page of code for programs: where a handler returns to if sigaction(2) was not told (SA_RESTORER). It has no ELF
 * header, so nothing of it goes into the auxiliary vector, and C libraries ask the kernel for the time. One memory
 * object for all; immutable after boot.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

struct space;

/* Boot: after the objects of vm. Panics without memory. */
void vdso_init(void);

struct vm_object;
bool vdso_is(const struct vm_object *object); /* to compare. Context: any */

/* Map it where the space finds room, to be read and executed; *out_va is what process_signals.return_code is to be.
 * -ENOMEM. Context: task. */
int vdso_map(struct space *space, vaddr_t *out_va) MUST_USE;
