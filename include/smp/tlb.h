/* SPDX-License-Identifier: MIT */
/*
 * What the TLBs of all CPUs may know of the address spaces: which id a space's translations carry, which CPUs may hold
 * some, and how those forget them. A CPU that runs nobody of a space has the kernel's own tables active.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hal/mmu.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/cpumask.h>
#include <k/types.h>
#include <smp/cpu.h>

/* Embedded in an address space. */
struct tlb_space {
    paddr_t root;                               /* immutable */
    _Atomic(uint64_t) id;                       /* PAIRS(asid): generation << 16 | id; 0: none yet */
    _Atomic(uint64_t) holders[CPUMASK_WORDS];   /* PAIRS(tlb_handshake): CPUs that may hold translations of this id */
    _Atomic(uint64_t) stale[CPUMASK_WORDS];     /* PAIRS(tlb_handshake): those that must flush before they use it */
};

/* Once at boot, after the kernel's own tables are in use. `kernel_root` is what hal_mmu_activate() takes for id 0;
 * `asid_count` the machine's, of which no more than `asid_limit` are used; `cpus` how many may come online. With too
 * few ids for so many CPUs all spaces share one. */
void tlb_init(paddr_t kernel_root, unsigned asid_count, unsigned asid_limit, unsigned cpus);

void tlb_space_init(struct tlb_space *space, paddr_t root);

/* No task names it, and no CPU has it active, nor will: it may be freed, its tables and pages, too, without a flush.
 * Context: task. */
void tlb_space_fini(struct tlb_space *space);

/* This CPU uses `next` from here on; NULL: the kernel's tables alone. Context: interrupts disabled. */
void tlb_switch(struct tlb_space *next);

/* What this CPU uses. Context: preemption disabled, or the task's own space. */
static inline struct tlb_space *tlb_active(void)
{
    return load_relaxed(&this_cpu()->tlb_active);
}

struct tlb_range {
    vaddr_t va;
    size_t pages;
};

/* Ranges of one space whose translations are to be forgotten. The tables have been changed already. */
#define TLB_BATCH_MAX 16
struct tlb_batch {
    struct tlb_space *space;
    unsigned count;
    bool is_all; /* everything of the space: there were more ranges than fit */
    struct tlb_range range[TLB_BATCH_MAX];
};

static inline void tlb_batch_init(struct tlb_batch *batch, struct tlb_space *space)
{
    batch->space = space;
    batch->count = 0;
    batch->is_all = false;
}

/* Merges what touches the last range. Context: any. */
void tlb_batch_add(struct tlb_batch *batch, vaddr_t va, size_t pages);

static inline void tlb_batch_add_all(struct tlb_batch *batch)
{
    batch->is_all = true;
}

/*
 * When it returns, no CPU uses, or will use, a translation of the ranges that is older than the call, or a table that
 * was taken out of them. CPUs that have the space active are made to flush; those that only may hold something are not
 * disturbed, and flush when they use the space next. The batch is empty then. Context: task, interrupts enabled; holds
 * no lock that another CPU spins for with interrupts disabled.
 */
void tlb_batch_flush(struct tlb_batch *batch);

/* The same for kernel addresses, on all live CPUs and in all spaces. Context: as above; any before other CPUs are
 * online. */
void tlb_flush_kernel(const struct tlb_range ranges[], unsigned count);

/* This CPU, if it uses the space, forgets what it knew of the range: that there was nothing, or fewer rights. Other
 * CPUs come to know by a fault that finds nothing wrong. Context: preemption disabled. */
void tlb_flush_here(struct tlb_space *space, vaddr_t va, size_t pages);

struct tlb_stats {
    unsigned ids;            /* that spaces may have; 0: they cannot be told apart, and a switch forgets */
    uint64_t shootdowns;     /* batches that concerned some CPU */
    uint64_t disturbed;      /* CPUs made to flush by them, the caller not counted */
    uint64_t deferred;       /* CPUs told to flush later */
    uint64_t late_flushes;   /* ... and those that came to it */
    uint64_t rollovers;
    uint64_t rollover_flushes;
    uint64_t kernel_flushes;
};
void tlb_stats_get(struct tlb_stats *out);
