/* SPDX-License-Identifier: MIT */
/*
 * Pages for programs: numbers, and code that reads the time with them and without a call (hal/vdso.h), in the form of
 * an ELF image that AT_SYSINFO_EHDR leads to, vdso(7); in it, too, where a handler returns to if sigaction(2) was not
 * told (SA_RESTORER). One memory object for all. Of the numbers the offset of the time of day changes; it is one word,
 * so programs read it without a lock, and a time that was being read while it was set is that of before or after.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

struct space;
struct vm_object;

struct vdso_place {
    vaddr_t image;       /* its header */
    vaddr_t return_code; /* what process_signals.return_code is to be */
};

/* Boot: after the objects of vm and the clock. Panics without memory. */
void vdso_init(void);

bool vdso_is(const struct vm_object *object); /* to compare. Context: any */

/* Map it where the space finds room, to be read and executed. -ENOMEM. Context: task. */
int vdso_map(struct space *space, struct vdso_place *out) MUST_USE;

/* wall_set() was called: whoever does that tells. Context: any. */
void vdso_wall_was_set(void);
