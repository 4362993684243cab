/* SPDX-License-Identifier: MIT */
/*
 * Glances: a few loads and a count, in which a CPU looks at something shared without a lock, and for whose end whoever
 * changes that thing waits. Lock and grace period are both dearer: with a lock each look moves a cache line from CPU to
 * CPU, and what is freed after a grace period is not gone when the call that gave it up returns.
 *
 *   looker: glance_begin(cpu, what); load the pointer; take a reference; glance_end(cpu)
 *   changer: clear the pointer; glance_wait(what); drop the reference that was the pointer's
 *
 * The looker's mark comes before its load, and the changer's store before its look at the marks, each with a fence
 * between (Dekker): so either the looker sees the pointer cleared, or the changer sees the mark and waits. Between
 * begin and end interrupts are disabled, and nothing is waited for; so the wait is for a few instructions, per CPU.
 */
#pragma once

#include <k/atomic.h>
#include <k/compiler.h>
#include <smp/cpu.h>

/* `cpu` is this one. Context: interrupts disabled, until the end; not within another glance. */
static ALWAYS_INLINE void glance_begin(struct cpu *cpu, const void *what)
{
    store_relaxed(&cpu->glance, what);
    fence_seq_cst(); /* PAIRS(glance): the mark before the look */
}

static ALWAYS_INLINE void glance_end(struct cpu *cpu)
{
    store_release(&cpu->glance, NULL); /* PAIRS(glance): all that the looker did */
}

/* No CPU is in a glance at `what` that may have seen what was there before the call. Context: interrupts enabled, or
 * nobody who glances at it could wait for this CPU; not within a glance. Order: acquire, for what lookers did. */
void glance_wait(const void *what);
