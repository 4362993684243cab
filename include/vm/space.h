/* SPDX-License-Identifier: MIT */
/* A user address space: as yet a root with the kernel half in place. Reference counted. */
#pragma once

#include <k/atomic.h>
#include <k/compiler.h>
#include <k/types.h>
#include <smp/tlb.h>

struct space {
    struct tlb_space tlb;   /* with the root */
    _Atomic(uint32_t) refs; /* PAIRS(space_ref) */
};

/* Boot: the cache behind it. */
void space_init(void);

/* A new space with one reference, or -ENOMEM. Context: task. */
int space_create(struct space **out) MUST_USE;

void space_get(struct space *space);

/* Drop a reference; the last one frees the tables. No CPU may have it active then. Context: task. */
void space_put(struct space *space);
