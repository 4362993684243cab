/* SPDX-License-Identifier: MIT */
/*
 * Fork: a second space with the same regions, and slots that share the private pages until one side writes. Shared
 * mappings are not copied: the child's faults find the object's pages. Locks: the parent's `change` throughout, and of
 * each span the parent's lock and the child's.
 */
#include "vm_priv.h"

#include <k/errno.h>

struct fork {
    struct space *parent;
    struct space *child; /* known to nobody but objects, which may take pages from its slots when they shrink */
    struct walk walk;    /* of the parent; it gathers nothing but what has to be flushed */
};

/*
 * Both locks of va's span. They have one rank, so the second is tried for, and whoever holds it is let finish: only an
 * object that shrinks can, and it never waits for a lock of the parent's while it does.
 */
static void lock_both(struct fork *fork, vaddr_t va) NO_LOCK_ANALYSIS
{
    for (;;) {
        spin_lock(span_lock(fork->parent, va));
        if (spin_try_lock_irqoff(span_lock(fork->child, va)))
            return;
        spin_unlock(span_lock(fork->parent, va));
        hal_cpu_relax();
    }
}

static void unlock_both(struct fork *fork, vaddr_t va) NO_LOCK_ANALYSIS
{
    spin_unlock_irqoff(span_lock(fork->child, va));
    spin_unlock(span_lock(fork->parent, va));
}

/* What the child's slot is to hold: the parent's, from now on without the right to write, and a reference more. */
static uint64_t share_slot(struct fork *fork, uint64_t *slot, vaddr_t va, unsigned level)
{
    uint64_t entry = pt_slot_get(slot);

    if (!pt_is_parked(entry) && (hal_pte_prot(entry) & PROT_WRITE) != 0) {
        entry = hal_pte_leaf(hal_pte_paddr(entry), hal_pte_prot(entry) & ~PROT_WRITE, level);
        pt_slot_change(slot, entry);
        tlb_batch_add(&fork->walk.gather.batch, va, level == 0 ? 1 : SPAN_PAGES);
    }
    phys_get(slot_paddr(entry));
    return entry;
}

static void share_table(struct fork *fork, uint64_t *from, uint64_t *to, vaddr_t va, vaddr_t end)
{
    unsigned in_use = *slots_in_use(from);
    uint64_t pages = 0;

    for (; va < end && pages < in_use; va += PAGE_BYTES, from++, to++) {
        if (pt_slot_get(from) == 0)
            continue;
        pt_slot_install(to, share_slot(fork, from, va, 0));
        pages++;
    }
    space_count(&fork->child->counts.resident_pages, pages);
}

/* One round under both locks. 0: the span is done. 1: the child needs tables down to *out_level first. */
static int share_locked(struct fork *fork, vaddr_t va, vaddr_t end, unsigned *out_level)
{
    uint64_t *from = pt_slot(fork->parent->tlb.root, va, 1);
    uint64_t *to = NULL;
    uint64_t entry = from != NULL ? pt_slot_get(from) : 0;

    if (entry == 0)
        return 0;
    *out_level = pt_is_table(entry, 1) ? 0 : 1;
    to = pt_slot(fork->child->tlb.root, va, *out_level);
    if (to == NULL)
        return 1;
    if (*out_level == 0) {
        share_table(fork, pt_slot(fork->parent->tlb.root, va, 0), to, va, end);
    } else if (pt_slot_get(to) == 0) { /* else it came along with the region before: advice may cut through a block */
        bool is_free = pt_large_install(to, share_slot(fork, from, va, 1));

        ASSERT(is_free); /* nobody makes tables for the child but us */
        space_count(&fork->child->counts.resident_pages, SPAN_PAGES);
    }
    return 0;
}

static int share_span(struct fork *fork, vaddr_t va, vaddr_t end)
{
    for (;;) {
        unsigned level = 0;

        lock_both(fork, va);
        int missing = share_locked(fork, va, end, &level);

        unlock_both(fork, va);
        if (missing == 0)
            return 0;
        if (pt_make_tables(fork->child->tlb.root, va, level, &space_pt_alloc) != 0)
            return -ENOMEM;
    }
}

static int share_region(struct fork *fork, const struct region *region)
{
    int result = 0;

    fork->walk.start = region->start;
    fork->walk.end = region->end;
    for (vaddr_t va = walk_next(&fork->walk, region->start); result == 0 && va < region->end;) {
        result = share_span(fork, va, MIN(span_end(va), region->end));
        va = walk_next(&fork->walk, span_end(va));
    }
    return result;
}

static int copy_region(struct fork *fork, const struct region *region)
{
    struct region_spec spec = region_spec_of(region);
    struct region *copy = NULL;

    spec.space = fork->child;
    int result = region_create(&spec, &copy);

    if (result != 0)
        return result;
    spin_lock(&fork->child->regions_lock);
    region_insert(&fork->child->regions, copy);
    spin_unlock(&fork->child->regions_lock);
    return 0;
}

static int copy_all(struct fork *fork)
{
    struct region *region = region_first(&fork->parent->regions);
    int result = 0;

    for (; result == 0 && region != NULL; region = region_next(region))
        result = copy_region(fork, region);
    if (result != 0)
        return result;

    /* From here on a fault that would change a slot waits; the barrier is for those that are changing one. */
    store_relaxed(&fork->parent->hold, SPACE_HOLD_FORK);
    walk_begin(&fork->walk, fork->parent, 0, 0);
    space_tables_barrier(fork->parent);
    fork->walk.skips = true;
    for (region = region_first(&fork->parent->regions); result == 0 && region != NULL; region = region_next(region))
        if ((region->flags & VM_SHARED) == 0)
            result = share_region(fork, region);
    walk_end(&fork->walk);
    store_relaxed(&fork->parent->hold, SPACE_HOLD_NONE);
    return result;
}

int space_fork(struct space *parent, struct space **out)
{
    struct fork fork = { .parent = parent };
    int result = space_create(&fork.child);

    if (result != 0)
        return result;
    mutex_lock(&parent->change);
    fork.child->uses_huge = parent->uses_huge;
    fork.child->map_top = parent->map_top;
    fork.child->heap_start = parent->heap_start;
    fork.child->heap_end = parent->heap_end;
    fork.child->stack_bytes_max = parent->stack_bytes_max;
    result = copy_all(&fork);
    mutex_unlock(&parent->change);
    if (result != 0) {
        /* The parent's pages have one reference again: its next write takes them over. */
        space_put(fork.child);
        return result;
    }
    *out = fork.child;
    return 0;
}
