/* SPDX-License-Identifier: MIT */
/*
 * Quiescent-state based reclamation (Hart, McKenney et al. 2007). A reader looks at shared objects with preemption (or
 * interrupts) disabled; an object that has been unpublished may be freed once every CPU has since passed a quiescent
 * state: a context switch, an interrupt that found preemption enabled, or idling.
 *
 * Nothing here depends on a tick: a grace period that a busy CPU holds up is ended by a poke (quiesce_poke_laggards).
 */
#pragma once

#include <stdbool.h>

#include <k/atomic.h>
#include <smp/cpu.h>

/* Embedded in whatever waits to be freed. */
struct quiesce_head {
    struct quiesce_head *next;
    void (*free)(struct quiesce_head *head);
};

/* The newest grace period that was started. Read by every context switch. PAIRS(quiesce) */
extern _Atomic(uint64_t) quiesce_started;

/* Called once at boot by the collector. `work` is called when a head was queued, `over` when a grace period
 * ended; both in any context; the caller of quiesce_call()
 * holds no lock of rank LOCK_TIMER or above. */
void quiesce_init(void (*work)(void), void (*over)(void));

/* Call head->free(head) from the collector's task after a grace period. Context: any, no lock of rank LOCK_TIMER
 * or above held; never fails, never allocates. */
void quiesce_call(struct quiesce_head *head, void (*free)(struct quiesce_head *head));

/* This CPU holds no reference into a read section. Context: interrupts disabled, no run-queue lock held. */
void quiesce_report(struct cpu *cpu);

/* True: it had something to report. */
static ALWAYS_INLINE bool quiesce_pass(struct cpu *cpu)
{
    /* Only the CPU itself and, while it idles, the collector move quiesce_seen: a stale equal value cannot be read. */
    if (LIKELY(load_relaxed(&cpu->quiesce_seen) == load_relaxed(&quiesce_started)))
        return false;
    quiesce_report(cpu);
    return true;
}

/* An idle CPU is quiescent until it says otherwise; interrupt handlers on it say so. Context: interrupts disabled. */
void quiesce_idle_enter(struct cpu *cpu);
void quiesce_idle_exit(struct cpu *cpu);

/* A CPU joins: it has nothing to report for grace periods before this. One that goes off later stays, as if it idled:
 * quiesce_idle_enter() is the last thing it does, quiesce_idle_exit() the first. Context: boot, that CPU. */
void quiesce_cpu_online(struct cpu *cpu);

/* The collector's side, one task only. */

/* Take all waiting heads and start a grace period for them; false if there are none. */
bool quiesce_start(void);
/* Has the grace period that quiesce_start() began ended? */
bool quiesce_is_over(void);
/* Poke every CPU that has not passed yet. */
void quiesce_poke_laggards(void);
/* Free what quiesce_start() took; returns the number. The grace period is over. Context: task, may sleep. */
unsigned quiesce_finish(void);

/* Heads that wait for a grace period to start. */
bool quiesce_has_work(void);
