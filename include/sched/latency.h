/* SPDX-License-Identifier: MIT */
/*
 * The latency ledger: the longest stretches for which a CPU did not do what it was asked for, with their places. It is
 * in release builds, too, and costs nothing where interrupts or preemption are switched off and on: what is measured is
 * the delay that somebody suffered, from the request to the answer, at places that are not on the fast paths.
 *
 *   kind      from                                      to                                  place
 *   TIMER     the deadline of the hardware timer        its interrupt, in a task            where interrupts came on
 *   POKE      another CPU's poke                        its interrupt, in a task            where interrupts came on
 *   IDLE      either of them                            the interrupt, in the idle loop     the idle loop
 *   HANDLER   the entry of an interrupt's handler       its end                             the handler
 *   PREEMPT   the request to look at the run queue      the look                            where preemption came on
 *
 * The place of PREEMPT has a second half: where an interrupt found the task between the two, inside the section that
 * holds preemption off; 0 if none came.
 */
#pragma once

#include <stdatomic.h>

#include <hal/clock.h>
#include <k/atomic.h>
#include <smp/cpu.h>
#include <smp/spinlock.h>

enum latency_kind {
    LATENCY_TIMER,
    LATENCY_POKE,
    LATENCY_IDLE,
    LATENCY_HANDLER,
    LATENCY_PREEMPT,
    LATENCY_KIND_COUNT,
};

#define LATENCY_WORST 4 /* places kept of each kind: so many different ones */

struct latency_entry {
    uint64_t ticks;    /* 0: none */
    uint64_t at_ticks; /* the clock at its end */
    uintptr_t inside;  /* where an interrupt found the code meanwhile, or 0 */
    uintptr_t end;     /* where it ended */
    tid_t tid;         /* of the task that ran; 0: an idle task's */
};

/* One for each CPU, written by that CPU with interrupts disabled. */
struct latency_ledger {
    struct spinlock lock; /* LOCK_LATENCY */
    /* Guarded by lock; longest first, each place once. */
    struct latency_entry worst[LATENCY_KIND_COUNT][LATENCY_WORST];

    /* Atomic, written under lock: what is no longer is not looked at. The shortest one kept, or the longest that was
     * turned away because its place was there with more; so a few places do not cost a look each time. */
    _Atomic(uint64_t) floor[LATENCY_KIND_COUNT];

    /* Owned by this CPU, interrupts off. */
    uint64_t late_ticks;         /* an interrupt that came late and whose place is known at the end of the trap; or 0 */
    enum latency_kind late_kind;
    uint64_t asked_ticks;        /* the request that `inside` belongs to */
    uintptr_t inside;
};

void latency_init(struct latency_ledger *ledger);

/* Is a stretch so long that it belongs into the ledger? Context: interrupts disabled, own CPU. */
static ALWAYS_INLINE bool latency_counts(const struct latency_ledger *ledger, enum latency_kind kind, uint64_t ticks)
{
    return ledger != NULL && ticks > atomic_load_explicit(&ledger->floor[kind], memory_order_relaxed); /* no point */
}

/* Enter a stretch that counts. Context: interrupts disabled, own CPU, no lock of rank LOCK_LATENCY or above. */
void latency_enter(struct cpu *cpu, enum latency_kind kind, uint64_t ticks, uintptr_t inside, uintptr_t end);

/* An interrupt that was due at `since` is here; latency_trap_exit() learns where. Context: irq. */
static ALWAYS_INLINE void latency_arrived(struct cpu *cpu, enum latency_kind kind, uint64_t since, uint64_t now)
{
    if (hal_current() == cpu->idle_task)
        kind = LATENCY_IDLE;
    if ((int64_t)(now - since) > 0 && UNLIKELY(latency_counts(cpu->latency, kind, now - since)) &&
        now - since > cpu->latency->late_ticks) {
        cpu->latency->late_ticks = now - since;
        cpu->latency->late_kind = kind;
    }
}

/* The handler `handler` ends, which began at `entered`. Context: irq. */
static ALWAYS_INLINE void latency_handled(struct cpu *cpu, uint64_t entered, void (*handler)(void))
{
    uint64_t ticks = hal_clock_ticks() - entered;

    if ((int64_t)ticks > 0 && UNLIKELY(latency_counts(cpu->latency, LATENCY_HANDLER, ticks)))
        latency_enter(cpu, LATENCY_HANDLER, ticks, 0, (uintptr_t)handler);
}

/* On the way out of a trap: does the ledger want to know what it interrupted? Then that goes to latency_interrupted().
 * Context: irq. */
static ALWAYS_INLINE bool latency_wants_pc(const struct cpu *cpu, bool is_resched_asked)
{
    return cpu->latency != NULL && (is_resched_asked || cpu->latency->late_ticks != 0);
}
void latency_interrupted(struct cpu *cpu, uintptr_t pc);

/* Somebody is about to set cpu->need_resched. The stamp is a hint, so no interleaving point is needed. Context:
 * interrupts disabled. */
static ALWAYS_INLINE void latency_asked(struct cpu *cpu)
{
    atomic_store_explicit(&cpu->resched_at_ticks, hal_clock_ticks(), memory_order_relaxed);
}

/* need_resched is being acted on, at `end`. Context: interrupts disabled, own CPU, no lock held. */
void latency_acted_late(struct cpu *cpu, uint64_t ticks, uintptr_t end);
static ALWAYS_INLINE void latency_acted(struct cpu *cpu, uintptr_t end)
{
    uint64_t asked = atomic_load_explicit(&cpu->resched_at_ticks, memory_order_relaxed);
    uint64_t ticks = hal_clock_ticks() - asked;

    if (UNLIKELY(latency_counts(cpu->latency, LATENCY_PREEMPT, ticks)))
        latency_acted_late(cpu, ticks, end);
}

/* A copy of a CPU's entries of one kind; and from now on nothing was ever late there. Context: any, no lock of rank
 * LOCK_LATENCY or above. */
void latency_get(cpu_id_t cpu, enum latency_kind kind, struct latency_entry out[LATENCY_WORST]);
void latency_reset(cpu_id_t cpu);

/* "CPU 1 preempt  1234567 ns, task 17, at spin_unlock+0x12 (inside hog+0x4)". Returns what fmt_print() does. */
int latency_format(cpu_id_t cpu, enum latency_kind kind, const struct latency_entry *entry, char *to, size_t room);
const char *latency_kind_name(enum latency_kind kind);

/* All CPUs' worst to the log, at LOG_INFO. Context: any, no lock of rank LOCK_LATENCY or above. */
void latency_log(void);

/* Also in a panic: each CPU's worst, without a lock. Set by the boot option latency=. Context: boot. */
void latency_log_in_panic(bool does);
bool latency_is_logged(void);
void latency_log_cpu_unlocked(const struct cpu *cpu);
