/* SPDX-License-Identifier: MIT */
/*
 * Changes that leave a range mapped: its rights, advice, and the heap, which grows and shrinks at its end. Lock:
 * space->change throughout; the rest as vm/space.h says.
 */
#include "vm_priv.h"

#include <hal/user.h>
#include <k/errno.h>

/* Has any of the regions that would leave a right that is not among these? */
static bool takes_rights(const struct region_change *change, unsigned rights)
{
    for (const struct region *region = change->leaving; region != NULL; region = region->chain)
        if ((region->rights & ~rights) != 0)
            return true;
    return false;
}

/* Is there a region that may not be written to? */
static bool refuses_write(const struct space *space, vaddr_t start, vaddr_t end)
{
    const struct region *region = region_find_at_or_above(&space->regions, start);

    for (; region != NULL && region->start < end; region = region_next(region))
        if ((region->flags & VM_NO_WRITE) != 0)
            return true;
    return false;
}

static void commit(struct space *space, struct region_change *change)
{
    spin_lock(&space->regions_lock);
    region_change_commit(change);
    spin_unlock(&space->regions_lock);
}

static int protect_locked(struct space *space, vaddr_t start, vaddr_t end, unsigned rights)
{
    const struct region_edit edit = { .rights_keep = 0, .rights_add = rights, .flags_keep = ~0u };
    struct region_change change;
    struct walk walk;

    if (!region_tree_covers(&space->regions, start, end))
        return -ENOMEM;
    if ((rights & VM_WRITE) != 0 && refuses_write(space, start, end))
        return -EACCES;
    int result = region_change_set(&change, &space->regions, start, end, &edit);

    if (result != 0)
        return result;
    if (!takes_rights(&change, rights)) {
        commit(space, &change);
        region_change_finish(&change);
        return 0;
    }
    result = walk_begin_splitting(&walk, space, start, end);
    if (result != 0) {
        region_change_abort(&change);
        return result;
    }
    commit(space, &change);
    walk_restrict(&walk, rights);
    walk_end(&walk);
    region_change_finish(&change);
    return 0;
}

int space_protect(struct space *space, vaddr_t va, size_t bytes, unsigned rights)
{
    vaddr_t end = 0;
    int result = space_range_check(va, bytes, &end);

    if (result != 0 || (rights & ~VM_RIGHTS) != 0)
        return -EINVAL;
    mutex_lock(&space->change);
    result = protect_locked(space, va, end, rights);
    mutex_unlock(&space->change);
    return result;
}

/* ---- Advice ---- */

static bool has_object(const struct space *space, vaddr_t start, vaddr_t end)
{
    const struct region *region = region_find_at_or_above(&space->regions, start);

    for (; region != NULL && region->start < end; region = region_next(region))
        if (region->object != NULL)
            return true;
    return false;
}

/* The regions stay as they are: a fault beside this installs a fresh page, before or after. */
static int forget_locked(struct space *space, vaddr_t start, vaddr_t end)
{
    struct walk walk;
    int result = walk_begin_splitting(&walk, space, start, end);

    if (result != 0)
        return result;
    walk_clear(&walk);
    walk_end(&walk);
    return region_tree_covers(&space->regions, start, end) ? 0 : -ENOMEM;
}

static int prefer_locked(struct space *space, vaddr_t start, vaddr_t end, bool is_huge)
{
    const struct region_edit edit = {
        .rights_keep = VM_RIGHTS,
        .flags_keep = ~(is_huge ? VM_NO_HUGE : VM_HUGE),
        .flags_add = is_huge ? VM_HUGE : VM_NO_HUGE,
    };
    struct region_change change;

    if (!region_tree_covers(&space->regions, start, end))
        return -ENOMEM;
    int result = region_change_set(&change, &space->regions, start, end, &edit);

    if (result != 0)
        return result;
    commit(space, &change);
    region_change_finish(&change);
    return 0;
}

static int advise_locked(struct space *space, vaddr_t start, vaddr_t end, enum space_advice advice)
{
    switch (advice) {
    case SPACE_FREE:
        if (has_object(space, start, end))
            return -EINVAL;
        return forget_locked(space, start, end);
    case SPACE_DONTNEED:
        return forget_locked(space, start, end);
    case SPACE_USE_HUGE:
    case SPACE_USE_SMALL:
        return prefer_locked(space, start, end, advice == SPACE_USE_HUGE);
    }
    return -EINVAL;
}

int space_advise(struct space *space, vaddr_t va, size_t bytes, enum space_advice advice)
{
    vaddr_t end = 0;
    int result = space_range_check(va, bytes, &end);

    if (result != 0)
        return result;
    mutex_lock(&space->change);
    result = advise_locked(space, va, end, advice);
    mutex_unlock(&space->change);
    return result;
}

/* ---- The heap ---- */

int space_set_heap(struct space *space, vaddr_t start)
{
    int result = -EINVAL;

    mutex_lock(&space->change);
    if (space->heap_start == 0 && start >= SPACE_ADDRESS_MIN && start < HAL_USER_END) {
        space->heap_start = start;
        space->heap_end = start;
        result = 0;
    }
    mutex_unlock(&space->change);
    return result;
}

void space_set_stack_max(struct space *space, size_t bytes)
{
    mutex_lock(&space->change);
    space->stack_bytes_max = bytes;
    mutex_unlock(&space->change);
}

void space_set_map_top(struct space *space, vaddr_t top)
{
    mutex_lock(&space->change);
    space->map_top = ROUND_DOWN(MIN(top, (vaddr_t)HAL_USER_END), PAGE_BYTES);
    mutex_unlock(&space->change);
}

static int brk_locked(struct space *space, vaddr_t end)
{
    if (space->heap_start == 0 || end < space->heap_start)
        return -EINVAL;
    if (end > ROUND_DOWN(HAL_USER_END, PAGE_BYTES))
        return -ENOMEM;
    vaddr_t old_end = ROUND_UP(space->heap_end, PAGE_BYTES);
    vaddr_t new_end = ROUND_UP(end, PAGE_BYTES);

    if (new_end < old_end)
        return space_unmap_locked(space, new_end, old_end);
    if (new_end == old_end)
        return 0;
    const struct region *above = region_find_at_or_above(&space->regions, old_end);
    const struct region_spec spec = {
        .start = old_end, .end = new_end, .rights = VM_READ | VM_WRITE, .flags = VM_HEAP, .space = space,
    };

    /* The guard below a stack is no place for a heap. */
    if (above != NULL && above->start < new_end)
        return -ENOMEM;
    if (above != NULL && (above->flags & VM_GROWS_DOWN) != 0 && above->start - new_end < VM_STACK_GUARD_BYTES)
        return -ENOMEM;
    return space_map_locked(space, &spec);
}

void space_heap_get(struct space *space, vaddr_t *out_start, vaddr_t *out_end)
{
    mutex_lock(&space->change);
    *out_start = space->heap_start;
    *out_end = space->heap_end;
    mutex_unlock(&space->change);
}

int space_brk(struct space *space, vaddr_t end, vaddr_t *out_end)
{
    int result = 0;

    mutex_lock(&space->change);
    if (end != 0)
        result = brk_locked(space, end);
    if (end != 0 && result == 0)
        space->heap_end = end;
    *out_end = space->heap_end;
    mutex_unlock(&space->change);
    return result;
}
