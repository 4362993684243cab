/* SPDX-License-Identifier: MIT */
/*
 * Faults: from an access that the hardware refused to a slot that allows it. Each round looks at the slot under the
 * lock of its span and either ends there or says what it lacks: a table, zeros, a copy, an object's page. That is got
 * without any lock, and the next round looks again, because anything may have happened meanwhile.
 */
#include "vm_priv.h"

#include <k/errno.h>
#include <hal/user.h>
#include <lib/string.h>
#include <mm/user.h>
#include <sched/task.h>

/* What the front door calls an access is what a region calls a right. */
_Static_assert(USER_ACCESS_READ == VM_READ && USER_ACCESS_WRITE == VM_WRITE && USER_ACCESS_EXEC == VM_EXEC, "");

/* What a look at the slot ends with. */
enum verdict {
    DONE,
    LACKS_TABLES,
    LACKS_ZEROS,
    LACKS_COPY,   /* of fault.source */
    LACKS_OBJECT, /* the object's page */
    LACKS_BLOCK,
    LACKS_SPARE,  /* a table, for a block that has to be split */
    LOOK_AGAIN,
    FIND_AGAIN,   /* the region is no longer there */
    WAIT,         /* for a fork */
};

struct fault {
    struct space *space;
    vaddr_t va;            /* of the page */
    unsigned access;       /* VM_* */
    unsigned prot;         /* PROT_* bits that the slot must have */
    struct region *region; /* one reference; set by find_region() */
    uint64_t cuts;         /* of the object, before `object_page` was looked up; valid with that */

    uint64_t *span;        /* the entry of level 1, once there is one: tables that far up stay */
    bool refuses_block;    /* there is none, or there is a table already */

    /* What was got so far; a reference each, or 0. */
    paddr_t page;        /* nobody else's: zeros, or a copy of `source` */
    paddr_t source;
    paddr_t object_page;
    paddr_t block;
    paddr_t spare;
    paddr_t replaced;    /* what the slot had before */
};

/* Field by field: an initialiser would clear all of it first. */
static void begin(struct fault *fault, struct space *space, vaddr_t va, unsigned access)
{
    fault->space = space;
    fault->va = ROUND_DOWN(va, PAGE_BYTES);
    fault->access = access;
    fault->prot = slot_prot(access);
    fault->span = NULL;
    fault->refuses_block = false;
    fault->page = fault->source = fault->object_page = 0;
    fault->block = fault->spare = fault->replaced = 0;
}

static void drop(paddr_t *page)
{
    if (*page != 0)
        phys_put(*page);
    *page = 0;
}

/* ---- Under the span's lock ---- */

static unsigned full_prot(const struct fault *fault)
{
    return slot_prot(fault->region->rights);
}

static unsigned unwritable_prot(const struct fault *fault)
{
    return slot_prot(fault->region->rights & ~VM_WRITE);
}

static void install(struct fault *fault, uint64_t *slot, paddr_t *page, unsigned prot)
{
    pt_slot_install(slot, hal_pte_leaf(*page, prot, 0));
    *page = 0;
    space_count(&fault->space->counts.resident_pages, 1);
    if (HAL_TLB_CACHES_INVALID)
        slot_flush_here(fault->space, fault->va);
}

/* Nothing else is in the slot, and nothing was. */
static enum verdict fill_private(struct fault *fault, uint64_t *slot)
{
    if (fault->page == 0 || fault->source != 0)
        return LACKS_ZEROS;
    install(fault, slot, &fault->page, full_prot(fault));
    space_count(&fault->space->counts.zeroed, 1);
    return DONE;
}

static NOINLINE enum verdict fill_from_object(struct fault *fault, uint64_t *slot)
{
    bool is_shared = (fault->region->flags & VM_SHARED) != 0;

    if (fault->object_page == 0 || fault->cuts != vm_object_cuts(fault->region->object))
        return LACKS_OBJECT;
    if (is_shared || fault->access != VM_WRITE) {
        install(fault, slot, &fault->object_page, is_shared ? full_prot(fault) : unwritable_prot(fault));
        space_count(&fault->space->counts.given, 1);
        return DONE;
    }
    if (fault->page == 0 || fault->source != fault->object_page) {
        drop(&fault->source);
        fault->source = fault->object_page;
        phys_get(fault->source);
        return LACKS_COPY;
    }
    install(fault, slot, &fault->page, full_prot(fault));
    space_count(&fault->space->counts.copied, 1);
    return DONE;
}

/*
 * A write to a page that others may see, too. No CPU can store to it by an old translation while it is copied: slots
 * lose the right to write by fork alone, before they are shared, and faults wait until that has flushed.
 */
static enum verdict replace_by_copy(struct fault *fault, uint64_t *slot, uint64_t entry)
{
    paddr_t page = slot_paddr(entry);

    if (fault->page == 0 || fault->source != page) {
        drop(&fault->source);
        fault->source = page;
        phys_get(page);
        return LACKS_COPY;
    }
    /* First nobody has the old one, then the new one is there: two CPUs never see different pages. */
    if (!pt_is_parked(entry)) {
        pt_slot_change(slot, pt_park(page, 0));
        slot_flush(fault->space, fault->va, 1);
    }
    pt_slot_change(slot, hal_pte_leaf(fault->page, full_prot(fault), 0));
    if (HAL_TLB_CACHES_INVALID)
        slot_flush_here(fault->space, fault->va);
    fault->page = 0;
    fault->replaced = page;
    space_count(&fault->space->counts.copied, 1);
    return DONE;
}

/* Turn the block into pages, and look again. */
static enum verdict split(struct fault *fault, uint64_t *slot)
{
    if (fault->spare == 0)
        return LACKS_SPARE;
    slot_split(fault->space, slot, fault->va, fault->spare);
    fault->spare = 0;
    return LOOK_AGAIN;
}

static bool region_covers_span(const struct fault *fault)
{
    vaddr_t start = ROUND_DOWN(fault->va, SPAN_BYTES);

    return fault->region->start <= start && fault->region->end > start && fault->region->end - start >= SPAN_BYTES;
}

/* The slot has a page or a block, perhaps parked. */
static NOINLINE enum verdict change_rights(struct fault *fault, uint64_t *slot, uint64_t entry, unsigned level)
{
    bool is_shared = (fault->region->flags & VM_SHARED) != 0;
    unsigned prot = full_prot(fault);

    if (!pt_is_parked(entry) && (hal_pte_prot(entry) & fault->prot) == fault->prot) {
        slot_flush_here(fault->space, fault->va);
        space_count(&fault->space->counts.spurious, 1);
        return DONE;
    }
    if (load_relaxed(&fault->space->hold) == SPACE_HOLD_FORK)
        return WAIT;
    /* Rights that came were not brought to the slots: so a block may lie in regions with different ones. */
    if (level == 1 && !region_covers_span(fault))
        return split(fault, slot);
    bool is_owned = is_shared || (prot & PROT_WRITE) == 0 || phys_refs(slot_paddr(entry)) == 1;

    if (!is_owned) {
        if (fault->access != VM_WRITE) {
            prot = unwritable_prot(fault);
        } else if (level == 0) {
            return replace_by_copy(fault, slot, entry);
        } else {
            return split(fault, slot);
        }
    }
    /* Whatever was stored while it was data. */
    if ((prot & PROT_EXEC) != 0 && (pt_is_parked(entry) || (hal_pte_prot(entry) & PROT_EXEC) == 0))
        hal_icache_sync(slot_paddr(entry), level == 0 ? PAGE_BYTES : SPAN_BYTES);
    pt_slot_change(slot, hal_pte_leaf(slot_paddr(entry), prot, level));
    slot_flush_here(fault->space, fault->va);
    if (!is_shared && (prot & PROT_WRITE) != 0)
        space_count(&fault->space->counts.taken_over, 1);
    else
        space_count(&fault->space->counts.given, 1);
    return DONE;
}

/* May a block stand in the fault's span, which is empty? */
static bool takes_block(const struct fault *fault)
{
    return fault->space->uses_huge && !fault->refuses_block && fault->region->object == NULL &&
           (fault->region->flags & (VM_NO_HUGE | VM_GROWS_DOWN)) == 0 && region_covers_span(fault);
}

/* There is no last-level table. */
static NOINLINE enum verdict look_at_span(struct fault *fault, uint64_t *slot, uint64_t entry)
{
    if (entry != 0)
        return change_rights(fault, slot, entry, 1);
    if (!takes_block(fault))
        return LACKS_TABLES;
    if (load_relaxed(&fault->space->hold) == SPACE_HOLD_FORK)
        return WAIT;
    if (fault->block == 0)
        return LACKS_BLOCK;
    if (!pt_large_install(slot, hal_pte_leaf(fault->block, full_prot(fault), 1))) {
        fault->refuses_block = true;
        return LOOK_AGAIN;
    }
    fault->block = 0;
    space_count(&fault->space->counts.resident_pages, SPAN_PAGES);
    space_count(&fault->space->counts.blocks, 1);
    if (HAL_TLB_CACHES_INVALID)
        slot_flush_here(fault->space, fault->va);
    return DONE;
}

static enum verdict look(struct fault *fault)
{
    uint64_t *slot = NULL;
    uint64_t entry;

    if (region_is_stale(fault->region))
        return FIND_AGAIN;
    if (fault->span == NULL)
        fault->span = pt_slot(fault->space->tlb.root, fault->va, 1);
    if (fault->span == NULL)
        return LACKS_TABLES;
    entry = pt_link_get(fault->span);
    if (!pt_is_table(entry, 1))
        return look_at_span(fault, fault->span, entry);
    slot = slot_of_table(entry, fault->va);
    entry = pt_slot_get(slot);
    if (entry != 0)
        return change_rights(fault, slot, entry, 0);
    if (load_relaxed(&fault->space->hold) == SPACE_HOLD_FORK)
        return WAIT;
    return fault->region->object == NULL ? fill_private(fault, slot) : fill_from_object(fault, slot);
}

/* ---- Without locks ---- */

/* What the page holds now is what will be fetched from it, before anybody can. Not under the lock: it is work. */
static void sync_code(const struct fault *fault, paddr_t pa, size_t bytes)
{
    if ((fault->region->rights & VM_EXEC) != 0)
        hal_icache_sync(pa, bytes);
}

static int get_page(struct fault *fault)
{
    if (fault->page == 0)
        fault->page = phys_alloc_user(0, MM_ANON);
    return fault->page != 0 ? 0 : -ENOMEM;
}

static int get_zeros(struct fault *fault)
{
    int result = get_page(fault);

    drop(&fault->source);
    if (result != 0)
        return result;
    memset(phys_to_virt(fault->page), 0, PAGE_BYTES);
    sync_code(fault, fault->page, PAGE_BYTES);
    return 0;
}

static int get_copy(struct fault *fault)
{
    int result = get_page(fault);

    if (result != 0)
        return result;
    memcpy(phys_to_virt(fault->page), phys_to_virt(fault->source), PAGE_BYTES);
    sync_code(fault, fault->page, PAGE_BYTES);
    return 0;
}

static int get_object_page(struct fault *fault)
{
    struct vm_object *object = fault->region->object;

    drop(&fault->object_page);
    fault->cuts = vm_object_cuts(object);
    uint64_t index = region_page_index(fault->region, fault->va);

    return (fault->region->rights & VM_EXEC) != 0 ? vm_object_code_page(object, index, &fault->object_page)
                                                  : vm_object_page(object, index, &fault->object_page);
}

static int get_tables(struct fault *fault)
{
    unsigned level = takes_block(fault) ? 1 : 0;
    int result = pt_make_tables(fault->space->tlb.root, fault->va, level, &space_pt_alloc);

    return result == -EEXIST ? 0 : result; /* somebody put a block there: look at it */
}

static int get_block(struct fault *fault)
{
    fault->block = phys_alloc_user(BLOCK_ORDER, MM_ANON);
    fault->refuses_block = fault->block == 0;
    if (fault->block == 0)
        return 0;
    memset(phys_to_virt(fault->block), 0, SPAN_BYTES);
    sync_code(fault, fault->block, SPAN_BYTES);
    return 0;
}

static int get_spare(struct fault *fault)
{
    fault->spare = space_pt_alloc.alloc();
    return fault->spare != 0 ? 0 : -ENOMEM;
}

/* Until the changer that is at work is done. */
static void wait_for_change(struct space *space)
{
    mutex_lock(&space->change);
    mutex_unlock(&space->change);
}

/* What a fault seldom lacks: out of line, so that the others need fewer registers. */
static NOINLINE int get_rest(struct fault *fault, enum verdict verdict)
{
    switch (verdict) {
    case LACKS_TABLES:
        return get_tables(fault);
    case LACKS_COPY:
        return get_copy(fault);
    case LACKS_OBJECT:
        return get_object_page(fault);
    case LACKS_BLOCK:
        return get_block(fault);
    case LACKS_SPARE:
        return get_spare(fault);
    case FIND_AGAIN:
        return -EAGAIN;
    case WAIT:
        wait_for_change(fault->space);
        return 0;
    case DONE:
    case LACKS_ZEROS:
    case LOOK_AGAIN:
        break;
    }
    return 0;
}

/* 0, an error, or -EAGAIN: the region is no longer the right one. */
static int resolve(struct fault *fault)
{
    struct spinlock *lock = span_lock(fault->space, fault->va);

    for (;;) {
        int result;

        spin_lock(lock);
        enum verdict verdict = look(fault);

        spin_unlock(lock);
        if (verdict == DONE)
            return 0;
        result = verdict == LACKS_ZEROS ? get_zeros(fault) : get_rest(fault, verdict);
        if (result != 0)
            return result;
    }
}

static bool has_left_over(const struct fault *fault)
{
    return (fault->page | fault->source | fault->object_page | fault->block | fault->replaced | fault->spare) != 0;
}

static NOINLINE void drop_all(struct fault *fault)
{
    drop(&fault->page);
    drop(&fault->source);
    drop(&fault->object_page);
    drop(&fault->block);
    drop(&fault->replaced);
    if (fault->spare != 0)
        space_pt_alloc.free(fault->spare);
    fault->spare = 0; /* it may begin again */
}

/* ---- Regions ---- */

/* Make the stack above va reach down to it. */
static int grow_locked(struct space *space, vaddr_t va)
{
    struct region *region = region_find_at_or_above(&space->regions, va);
    struct region_spec spec = { .start = ROUND_DOWN(va, PAGE_BYTES), .space = space };

    if (region == NULL || region->start <= va)
        return region != NULL ? 0 : -EFAULT; /* somebody was faster */
    if ((region->flags & VM_GROWS_DOWN) == 0 || spec.start < region_growth_floor(region) ||
        region->end - spec.start > space->stack_bytes_max)
        return -EFAULT;
    spec.end = region->start;
    spec.rights = region->rights;
    spec.flags = region->flags;
    return space_map_locked(space, &spec);
}

static int grow(struct space *space, vaddr_t va)
{
    int result;

    mutex_lock(&space->change);
    result = grow_locked(space, va);
    mutex_unlock(&space->change);
    return result;
}

/* Nothing is mapped at va, and `above` is what lies above it. */
static NOINLINE int find_none(struct space *space, const struct region *above, vaddr_t va)
    RELEASES(space->regions_lock)
{
    bool is_held = load_relaxed(&space->hold) == SPACE_HOLD_REPLACE;
    bool may_grow = above != NULL && (above->flags & VM_GROWS_DOWN) != 0;

    spin_unlock(&space->regions_lock);
    if (is_held) {
        wait_for_change(space);
        return -EAGAIN;
    }
    int result = may_grow ? grow(space, va) : -EFAULT;

    return result == 0 ? -EAGAIN : result;
}

/* The region of va, with a reference. -EFAULT: none. -EAGAIN: none yet, look again. */
static int find_region(struct fault *fault, vaddr_t va)
{
    struct space *space = fault->space;
    struct region *region = NULL;

    spin_lock(&space->regions_lock);
    region = region_find_at_or_above(&space->regions, va);
    if (UNLIKELY(region == NULL || region->start > va))
        return find_none(space, region, va);
    region_get(region);
    fault->region = region;
    spin_unlock(&space->regions_lock);
    return 0;
}

static bool allows(const struct region *region, unsigned access)
{
    return access == VM_READ ? region->rights != 0 : (region->rights & access) != 0;
}

int space_fault(struct space *space, vaddr_t va, unsigned access)
{
    struct fault fault;
    int result;

    DEBUG_ASSERT(!mutex_is_held(&space->change));
    begin(&fault, space, va, access);
    do {
        result = find_region(&fault, va);
        if (result != 0)
            continue;
        result = allows(fault.region, access) ? resolve(&fault) : -EACCES;
        region_put(fault.region);
        if (has_left_over(&fault))
            drop_all(&fault);
    } while (result == -EAGAIN);
    return result;
}

int space_fault_current(vaddr_t va, unsigned access)
{
    struct space *space = space_current();

    return space != NULL && va < HAL_USER_END ? space_fault(space, va, access) : -EFAULT;
}
