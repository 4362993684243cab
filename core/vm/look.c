/* SPDX-License-Identifier: MIT */
/* Questions about the pages of a range: which are there. Locks: one span's at a time; the rest as vm/space.h says. */
#include "vm_priv.h"

#include <k/errno.h>

static bool has_slot(struct space *space, vaddr_t va)
{
    spin_lock(span_lock(space, va));
    const uint64_t *slot = pt_slot(space->tlb.root, va, 1);
    uint64_t entry = slot != NULL ? pt_slot_get(slot) : 0;

    if (entry != 0 && pt_is_table(entry, 1))
        entry = pt_slot_get(pt_slot(space->tlb.root, va, 0));
    spin_unlock(span_lock(space, va));
    return entry != 0;
}

static bool has_object_page(const struct region *region, vaddr_t va)
{
    paddr_t page = 0;

    if (region->object == NULL || vm_object_peek(region->object, region_page_index(region, va), &page) != 0)
        return false;
    phys_put(page);
    return true;
}

int space_look(struct space *space, vaddr_t va, size_t pages, uint8_t *out)
{
    vaddr_t end = 0;
    int result = space_range_check(va, pages << PAGE_SHIFT, &end);

    if (result != 0)
        return result;
    mutex_lock(&space->change);
    if (!region_tree_covers(&space->regions, va, end))
        result = -ENOMEM;
    for (; result == 0 && va < end; va += PAGE_BYTES, out++)
        *out = has_slot(space, va) || has_object_page(region_find(&space->regions, va), va);
    mutex_unlock(&space->change);
    return result;
}

bool space_is_mapped(struct space *space, vaddr_t va, size_t bytes)
{
    vaddr_t end = 0;

    if (space_range_check(va, bytes, &end) != 0)
        return false;
    spin_lock(&space->regions_lock);
    bool is_mapped = region_tree_covers(&space->regions, va, end);

    spin_unlock(&space->regions_lock);
    return is_mapped;
}
