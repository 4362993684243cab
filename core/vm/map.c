/* SPDX-License-Identifier: MIT */
/*
 * Mapping and unmapping: what a request asks for, where it goes, and the order in which regions and slots change. All
 * that can fail comes before the first change. Lock: space->change throughout; the rest as vm/space.h says.
 */
#include "vm_priv.h"

#include <hal/user.h>
#include <k/errno.h>

#define FIXED_FLAGS (SPACE_FIXED | SPACE_FIXED_NOREPLACE)
#define ALL_FLAGS                                                                                                  \
    (SPACE_PRIVATE | SPACE_SHARED | FIXED_FLAGS | SPACE_GROWS_DOWN | SPACE_POPULATE | SPACE_HUGE | SPACE_NO_HUGE | \
     SPACE_NO_WRITE)

/* ---- Requests ---- */

static int check_flags(const struct space_request *request)
{
    unsigned flags = request->flags;

    if ((flags & ~ALL_FLAGS) != 0 || (request->rights & ~VM_RIGHTS) != 0)
        return -EINVAL;
    if (((flags & SPACE_PRIVATE) != 0) == ((flags & SPACE_SHARED) != 0))
        return -EINVAL;
    if ((flags & FIXED_FLAGS) == FIXED_FLAGS || (flags & (SPACE_HUGE | SPACE_NO_HUGE)) == (SPACE_HUGE | SPACE_NO_HUGE))
        return -EINVAL;
    if ((flags & SPACE_NO_WRITE) != 0 && (request->rights & VM_WRITE) != 0)
        return -EINVAL;
    /* A stack grows into addresses that no object has pages for. */
    if ((flags & SPACE_GROWS_DOWN) != 0 && ((flags & SPACE_SHARED) != 0 || request->object != NULL))
        return -EINVAL;
    return 0;
}

static int check_request(const struct space_request *request, size_t *out_bytes)
{
    vaddr_t limit = ROUND_DOWN(HAL_USER_END, PAGE_BYTES);
    int result = check_flags(request);

    if (result != 0)
        return result;
    if (request->bytes == 0 || !IS_ALIGNED(request->offset, PAGE_BYTES))
        return -EINVAL;
    if (request->bytes > limit)
        return -ENOMEM;
    *out_bytes = ROUND_UP(request->bytes, PAGE_BYTES);
    if (request->offset + *out_bytes < request->offset || request->offset + *out_bytes > VM_OBJECT_BYTES_MAX)
        return -EOVERFLOW;
    if ((request->flags & FIXED_FLAGS) == 0)
        return 0;
    if (!IS_ALIGNED(request->at, PAGE_BYTES))
        return -EINVAL;
    if (request->at < SPACE_ADDRESS_MIN)
        return -EPERM;
    return request->at >= limit || *out_bytes > limit - request->at ? -ENOMEM : 0;
}

static unsigned region_flags(unsigned flags)
{
    return ((flags & SPACE_SHARED) != 0 ? VM_SHARED : 0) | ((flags & SPACE_GROWS_DOWN) != 0 ? VM_GROWS_DOWN : 0) |
           ((flags & SPACE_HUGE) != 0 ? VM_HUGE : 0) | ((flags & SPACE_NO_HUGE) != 0 ? VM_NO_HUGE : 0) |
           ((flags & SPACE_NO_WRITE) != 0 ? VM_NO_WRITE : 0);
}

/* ---- Places ---- */

static bool is_free(const struct space *space, vaddr_t start, vaddr_t end)
{
    const struct region *region = region_find_at_or_above(&space->regions, start);

    return region == NULL || region->start >= end;
}

/* At the hint if it is free; else the highest gap below map_top; else any. A large one begins where blocks do. */
static NOINLINE int find_place(const struct space *space, const struct space_request *request, size_t bytes,
                               vaddr_t *out_va)
{
    vaddr_t hint = ROUND_UP(MIN(request->at, (vaddr_t)HAL_USER_END), PAGE_BYTES);
    struct region_gap gap = {
        .bytes = bytes,
        .align = PAGE_BYTES,
        .is_top_down = true,
        .is_growing_down = (request->flags & SPACE_GROWS_DOWN) != 0,
    };

    if (hint >= SPACE_ADDRESS_MIN && bytes <= HAL_USER_END - hint) {
        gap.low = hint;
        gap.high = hint + bytes;
        if (gap.is_growing_down)
            gap.low = hint - MIN(hint, VM_STACK_GUARD_BYTES);
        if (region_find_gap(&space->regions, &gap, out_va) == 0 && *out_va == hint)
            return 0;
    }
    gap.low = SPACE_ADDRESS_MIN;
    gap.high = space->map_top;
    if (space->uses_huge && bytes >= SPAN_BYTES) {
        gap.align = SPAN_BYTES;
        if (region_find_gap(&space->regions, &gap, out_va) == 0)
            return 0;
        gap.align = PAGE_BYTES;
    }
    if (region_find_gap(&space->regions, &gap, out_va) == 0)
        return 0;
    gap.high = ROUND_DOWN(HAL_USER_END, PAGE_BYTES);
    return region_find_gap(&space->regions, &gap, out_va);
}

/* ---- Changes of the tree ---- */

static void commit(struct space *space, struct region_change *change, enum space_hold hold)
{
    spin_lock(&space->regions_lock);
    store_relaxed(&space->hold, (uint8_t)hold);
    region_change_commit(change);
    spin_unlock(&space->regions_lock);
}

int space_map_locked(struct space *space, const struct region_spec *spec)
{
    struct region_change change;
    int result = region_change_map(&change, &space->regions, spec, NULL);

    if (result != 0)
        return result;
    commit(space, &change, SPACE_HOLD_NONE);
    region_change_finish(&change);
    return 0;
}

/* In place of what is there. Between the two commits nothing is mapped, and faults wait. */
static NOINLINE int replace_locked(struct space *space, const struct region_spec *spec)
{
    struct region_change cut, map;
    struct walk walk;
    int result = walk_begin_splitting(&walk, space, spec->start, spec->end);

    if (result != 0)
        return result;
    result = region_change_cut(&cut, &space->regions, spec->start, spec->end);
    if (result != 0)
        goto end_walk;
    result = region_change_map(&map, &space->regions, spec, &cut);
    if (result != 0)
        goto abort_cut;
    commit(space, &cut, SPACE_HOLD_REPLACE);
    walk_clear(&walk);
    walk_end(&walk);
    commit(space, &map, SPACE_HOLD_NONE);
    region_change_finish(&map);
    region_change_finish(&cut);
    return 0;

abort_cut:
    region_change_abort(&cut);
end_walk:
    walk_end(&walk);
    return result;
}

int space_unmap_locked(struct space *space, vaddr_t start, vaddr_t end)
{
    struct region_change cut;
    struct walk walk;
    int result = region_change_cut(&cut, &space->regions, start, end);

    if (result != 0 || cut.leaving == NULL)
        return result;
    result = walk_begin_splitting(&walk, space, start, end);
    if (result != 0) {
        region_change_abort(&cut);
        return result;
    }
    commit(space, &cut, SPACE_HOLD_NONE);
    walk_clear(&walk);
    walk_end(&walk);
    region_change_finish(&cut);
    return 0;
}

static int map_locked(struct space *space, const struct space_request *request, struct region_spec *spec)
{
    size_t bytes = spec->end;
    int result = 0;

    if ((request->flags & FIXED_FLAGS) != 0)
        spec->start = request->at;
    else
        result = find_place(space, request, bytes, &spec->start);
    if (result != 0)
        return result;
    spec->end = spec->start + bytes;
    if (is_free(space, spec->start, spec->end))
        return space_map_locked(space, spec);
    return (request->flags & SPACE_FIXED) != 0 ? replace_locked(space, spec) : -EEXIST;
}

/* ---- Calls ---- */

int space_map(struct space *space, const struct space_request *request, vaddr_t *out_va)
{
    struct vm_object *made = NULL;
    size_t bytes = 0;
    int result = check_request(request, &bytes);

    if (result != 0)
        return result;
    if ((request->flags & SPACE_SHARED) != 0 && request->object == NULL) {
        result = vm_object_create(bytes, &made);
        if (result != 0)
            return result;
    }
    struct region_spec spec = {
        .end = bytes,
        .rights = request->rights,
        .flags = region_flags(request->flags),
        .object = made != NULL ? made : request->object,
        .offset = request->object != NULL ? request->offset : 0,
        .space = space,
    };

    mutex_lock(&space->change);
    result = map_locked(space, request, &spec);
    mutex_unlock(&space->change);
    if (made != NULL)
        vm_object_put(made); /* the region has its own reference */
    if (result != 0)
        return result;
    *out_va = spec.start;
    if ((request->flags & SPACE_POPULATE) != 0 && request->rights != 0)
        (void)space_pin(space, spec.start, bytes); /* what is missing comes by faults */
    return 0;
}

int space_unmap(struct space *space, vaddr_t va, size_t bytes)
{
    vaddr_t end = 0;
    int result = space_range_check(va, bytes, &end);

    if (result != 0)
        return result;
    mutex_lock(&space->change);
    result = space_unmap_locked(space, va, end);
    mutex_unlock(&space->change);
    return result;
}

int space_pin(struct space *space, vaddr_t va, size_t bytes)
{
    vaddr_t end = 0;
    int result = space_range_check(va, bytes, &end);

    while (result == 0 && va < end) {
        struct space_region region;

        if (space_query(space, va, &region) != 0 || region.start > va)
            return -ENOMEM;
        unsigned access = (region.rights & VM_WRITE) != 0 ? VM_WRITE : VM_READ;

        for (; result == 0 && va < MIN(end, region.end); va += PAGE_BYTES)
            result = space_fault(space, va, access);
    }
    return result;
}
