/* SPDX-License-Identifier: MIT */
/*
 * Pages in use by kind. Each CPU counts for itself, and a count may go below 0 there: pages that one CPU took are given
 * back by another. Only sums mean something. No lock: a CPU's counts are written by that CPU, interrupts disabled.
 */
#include "mm_priv.h"

#include <mm/stats.h>

#include <hal/irq.h>
#include <k/log.h>

/* For CPUs that have no part of their own yet. */
static _Atomic(int64_t) shared[MM_OTHER];

void mm_stat_add(enum mm_kind kind, int64_t pages)
{
    ASSERT(kind < MM_OTHER);

    uintptr_t state = hal_irq_save();
    struct mm_cpu *mine = this_cpu()->mm;

    if (LIKELY(mine != NULL))
        store_relaxed(&mine->pages[kind], load_relaxed(&mine->pages[kind]) + pages);
    else
        (void)fetch_add_relaxed(&shared[kind], pages);
    hal_irq_restore(state);
}

void stats_init(void)
{
    for (unsigned kind = 0; kind < MM_OTHER; kind++)
        store_relaxed(&shared[kind], 0);
}

void mm_stats_get(struct mm_stats *out)
{
    struct phys_stats phys;
    uint64_t known = 0;

    phys_stats_get(&phys);
    *out = (struct mm_stats){
        .total = phys.total_pages,
        .free = phys.free_pages,
        .cached = phys.cached_pages,
        .reserve = phys.reserve_pages,
        .reserved = phys.reserved_pages,
    };
    for (unsigned kind = 0; kind < MM_OTHER; kind++) {
        int64_t sum = load_relaxed(&shared[kind]);

        for (struct mm_cpu *cpu = mm_cpus; cpu != NULL; cpu = cpu->next)
            sum += load_relaxed(&cpu->pages[kind]);
        out->pages[kind] = (uint64_t)MAX(sum, 0); /* below 0: looked at between the two ends of a change */
        known += out->pages[kind];
    }
    out->pages[MM_OTHER] = out->total - out->free - MIN(known, out->total - out->free);
}

static unsigned long long kib(uint64_t pages)
{
    return (unsigned long long)(pages * (PAGE_BYTES >> 10));
}

void mm_stats_log(void)
{
    static const char *const names[MM_KIND_COUNT] = {
        [MM_STACKS] = "stacks", [MM_TABLES] = "page tables",  [MM_SLABS] = "slabs", [MM_KMALLOC] = "kmalloc",
        [MM_ANON] = "anonymous", [MM_OBJECT] = "objects", [MM_OTHER] = "other",
    };
    struct mm_stats stats;

    mm_stats_get(&stats);
    log_info("memory: %llu KiB in care, %llu KiB free (%llu KiB in CPUs' caches, %llu KiB kept from users)",
             kib(stats.total), kib(stats.free), kib(stats.cached), kib(stats.reserve));
    log_info("memory: %llu KiB never handed out: firmware, image, boot", kib(stats.reserved));
    for (unsigned node = 0; mm_node_count() > 1 && node < mm_node_count(); node++) {
        struct mm_node_stats of;

        mm_node_stats_get(node, &of);
        log_info("memory: node %u: %llu KiB, %llu KiB free; %llu pages taken by its CPUs, %llu by others", node,
                 kib(of.total), kib(of.free), (unsigned long long)of.local, (unsigned long long)of.remote);
    }
    for (unsigned kind = 0; kind < MM_KIND_COUNT; kind++)
        log_info("memory: %8llu KiB %s", kib(stats.pages[kind]), names[kind]);
    slab_stats_log();
}
