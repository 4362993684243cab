/* SPDX-License-Identifier: MIT */
/*
 * The room's promise: it knows which CPU this is, what that CPU is doing, and nothing of tasks beyond
 * the few words that every layer below the scheduler needs (struct task_base).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <hal/context.h>
#include <hal/cpu.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/cpumask.h>
#include <k/types.h>
#include <smp/lockrank.h>

/*
 * Life of a CPU. The boot CPU stays ONLINE for ever. "Lock": the mutex of core/boot/hotplug.c; at boot one task runs.
 *
 *   from       to         who                                             under
 *   ABSENT     STARTING   bringup, about to ask the machine for it        boot
 *   OFFLINE    STARTING   cpu_online(), the same                          lock
 *   STARTING   ONLINE     the CPU: it is here                             compare-and-swap
 *   STARTING   FAILED     whoever started it: it does not answer          compare-and-swap
 *   STARTING   OFFLINE    cpu_online(): the machine refuses at once       lock
 *   ONLINE     LEAVING    cpu_offline(): nothing new comes to it          lock
 *   LEAVING    STOPPING   cpu_offline(): it idles, and no call is made    lock, and the lock of the calls
 *   STOPPING   OFFLINE    the CPU, its last store                         its idle loop, interrupts disabled
 */
enum cpu_state { CPU_ABSENT, CPU_STARTING, CPU_ONLINE, CPU_FAILED, CPU_LEAVING, CPU_STOPPING, CPU_OFFLINE };

/* Reasons for a poke: bits of cpu.ipi_pending, set before the poke, taken all at once by trap_ipi(). */
#define IPI_RESCHEDULE 0x1u
#define IPI_CALL 0x2u
#define IPI_QUIESCE 0x4u
#define IPI_STOP 0x8u
#define IPI_TIMER 0x10u /* its timer queue has got timers from another CPU */
#define IPI_LOOK 0x20u /* its state, or a set that it is in, has changed: the interrupt itself is the message */

/* What CPUs may share, from near to far: topology.h. */
enum topology_level { TOPOLOGY_CORE, TOPOLOGY_CACHE, TOPOLOGY_NODE, TOPOLOGY_LEVELS };

struct latency_ledger;
struct mm_cpu;
struct slab_magazine;
struct timer_queue;
struct tlb_space;
struct trace_ring;

/* What a CPU's need_resched says.
 *
 *   from            to        who
 *   NONE            ASKED     anybody; whoever changes that of another CPU pokes it
 *   NONE            POLLING   the CPU in its idle loop, which then looks at the word itself
 *   POLLING         ASKED     anybody, without a poke
 *   POLLING         NONE      the CPU, before it waits for an interrupt
 *   ASKED           NONE      the CPU, in a switch
 *
 * Into and out of POLLING go only read-modify-writes, as do changes from elsewhere (but for handlers of the CPU itself,
 * which it sees). So of "ASKED" and "no longer POLLING" one is first: either the CPU finds ASKED and does not wait, or
 * the other one finds NONE and pokes. A CPU is never POLLING outside of its idle task's poll and what interrupts it. */
enum resched {
    RESCHED_NONE,
    RESCHED_ASKED,
    RESCHED_POLLING,
};

/* What every CPU owns. The scheduler's run queue embeds it as its first member. */
struct cpu {
    /* Immutable after the CPU is online. */
    cpu_id_t id;
    uint64_t hw_id;
    struct timer_queue *timers;
    struct trace_ring *trace;
    struct mm_cpu *mm; /* NULL: none yet */
    struct latency_ledger *latency; /* NULL: none is kept */
    struct task *idle_task;
    void *hal_area; /* HAL_CPU_AREA_BYTES for the machine */
    const struct cpumask *near[TOPOLOGY_LEVELS]; /* topology.h; NULL: nothing to tell */
    uint32_t node;                               /* NUMA node, below topology_nodes() */

    /* Owned by this CPU, interrupts off. */
    uint32_t irq_depth;             /* > 0 inside an interrupt handler */
    _Atomic(uint32_t) irq_count;    /* interrupts taken; others may look. Order: none */
    uint64_t armed_deadline_ticks;  /* what hal_timer_arm() was last given */
    uint64_t armed_at_ticks;        /* when */
    bool is_sample_due;             /* what the sampler interrupted is to be noted: sched/cputime.h */
    uint64_t tlb_generation;        /* of address-space ids that this CPU has flushed for: tlb.c */

    /* Atomic. */
    _Atomic(uint64_t) slice_deadline_ticks; /* when sched wants a timer interrupt, or TIME_NEVER; a hint to others */
    _Atomic(uint32_t) need_resched;     /* PAIRS(resched): enum resched, ASKED after the enqueue that asks for it */
    _Atomic(uint64_t) resched_at_ticks; /* when that was asked for last; for the latency ledger */
    _Atomic(enum cpu_state) state;  /* PAIRS(cpu_online) */
    struct tlb_space *_Atomic tlb_entering; /* PAIRS(tlb_entering): what it uses or is about to; NULL: the kernel's */
    struct tlb_space *_Atomic tlb_active;   /* PAIRS(tlb_active): what it uses, or still may */
    CACHE_ALIGNED _Atomic(uint32_t) ipi_pending; /* PAIRS(ipi): reason's data is stored before its bit */
    _Atomic(uint64_t) poked_at_ticks; /* when the first of the reasons was given; for the latency ledger */
    _Atomic(uint64_t) quiesce_seen; /* PAIRS(quiesce): newest grace period that this CPU has passed */
    _Atomic(bool) idle_quiescent;   /* PAIRS(quiesce_idle): in the idle loop, outside any handler */

    CACHE_ALIGNED _Atomic(const void *) glance; /* PAIRS(glance): what this CPU is looking at just now; glance.h */

    /* Of mm: the magazines of the object caches. Written by this CPU, preemption disabled, but for their revocation
     * (core/mm/magazine.c). The last slot stays NULL: it is that of caches without magazines. */
    _Atomic(bool) in_magazine; /* PAIRS(magazine_section): this CPU may be using one of them */
    _Atomic(struct slab_magazine *) magazines[SLAB_CACHES_MAX + 1];
};

/* First member of struct task: what the rooms below sched may touch of the running task. */
struct task_base {
    struct hal_context context; /* owned by the CPU that runs or switches the task */
    struct cpu *_Atomic cpu;    /* the CPU it names; written with that CPU's run-queue lock held (sched_priv.h) */
    uint32_t preempt_count;     /* owned by the task; 0: may be preempted */
    uint32_t lock_depth;        /* debug builds: spinlocks held, and which */
    struct spinlock *lock_held[8];
};

/* CPUs that exist, by id; NULL where there is none. Written during boot only. */
extern struct cpu *cpu_table[CPU_MAX];

/*
 * Three sets, each part of the next. A CPU's bit comes when it has come up and goes when it is taken off.
 *
 *   online   tasks may be sent there. A CPU that comes back goes in by itself. Who chooses a CPU from it has preemption
 *            or interrupts disabled until the task is queued: a CPU that goes off waits for a grace period after its
 *            bit has gone, and then moves what came.
 *   live     it answers calls, flushes and pokes: online, or on its way off. Guarded by the lock of the cross-CPU
 *            calls, under which a CPU stops; others may ask one that has just stopped, and must not wait for it.
 *   started  it has been online since boot. Complete before the first task runs anywhere but on the boot CPU, and never
 *            changes after: what a CPU owns (run queue, counts, place in grace periods) stays when it is off.
 */
extern struct cpumask cpu_online_mask;
extern struct cpumask cpu_live_mask;
extern struct cpumask cpu_started_mask;
extern _Atomic(unsigned) cpu_started_count; /* PAIRS(cpu_online) */

/* Words of a cpumask that the machine's CPUs are in: the others need not be looked at. Written during boot only. */
extern unsigned cpu_mask_words;

/* Lowest CPU >= from in the set, or CPU_NONE: cpumask_next() of the CPUs that the machine has. */
static inline cpu_id_t cpu_next_in(const struct cpumask *mask, cpu_id_t from)
{
    return cpumask_next_within(mask, from, cpu_mask_words);
}

/* In the order of their ids. Declares `id`. */
#define for_each_cpu_in(id, mask)                                  \
    for (cpu_id_t id = cpu_next_in(mask, 0); (id) != CPU_NONE;     \
         (id) = cpu_next_in(mask, (id) + 1))
#define for_each_online_cpu(id) for_each_cpu_in(id, &cpu_online_mask)
#define for_each_live_cpu(id) for_each_cpu_in(id, &cpu_live_mask)
#define for_each_started_cpu(id) for_each_cpu_in(id, &cpu_started_mask)

/* Context: any. Order: none. */
static inline bool cpu_is_in(const struct cpumask *mask, cpu_id_t id)
{
    hal_point(&mask->word[id / 64]);
    return cpumask_word(mask, id / 64) >> (id % 64) & 1;
}

static inline bool cpu_is_online(cpu_id_t id)
{
    return cpu_is_in(&cpu_online_mask, id);
}

/* One bit of one of the sets, whole for those who look. Order: seq_cst. Context: as the set says. */
void cpu_set_change(struct cpumask *set, cpu_id_t id, bool is_in);

static ALWAYS_INLINE struct task_base *current_base(void)
{
    return (struct task_base *)hal_current();
}

/* This CPU. Context: interrupts or preemption disabled, or the answer may be stale at once. */
static ALWAYS_INLINE struct cpu *this_cpu(void)
{
    /* Only another CPU's store could race, and nobody moves a running task: no interleaving point is needed. */
    return atomic_load_explicit(&current_base()->cpu, memory_order_relaxed);
}

static ALWAYS_INLINE cpu_id_t this_cpu_id(void)
{
    return this_cpu()->id;
}

/* Ask `cpu` to do what `reason` says: sets its bits, pokes unless they were set. Whoever set a bit first may be
 * interrupted before it pokes, and others with that reason wait for it: so IPI_RESCHEDULE is asked for with interrupts
 * disabled, by resched_cpu() alone. Context: any. Order: release. */
void cpu_request(struct cpu *cpu, uint32_t reason);
