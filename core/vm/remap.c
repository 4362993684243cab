/* SPDX-License-Identifier: MIT */
/*
 * mremap(2): a mapping becomes longer, shorter, or lies elsewhere. Private pages move by their slots, shared ones are
 * found again by faults. While slots move, neither place has a region and faults wait, as for a mapping that takes the
 * place of another. Lock: space->change throughout; of a private mapping's object `change`, too, so that no cut comes
 * between.
 */
#include "vm_priv.h"

#include <hal/user.h>
#include <k/errno.h>

#define MOVE_PAGES 32 /* slots that are on their way at once */

struct move {
    struct space *space;
    vaddr_t from, to;
    size_t bytes; /* that have slots to move */
};

/* ---- Slots ---- */

/* Does a block lie in the range? It would have to be split, page by page. */
static bool has_block(struct space *space, vaddr_t va, vaddr_t end)
{
    bool is_found = false;

    for (; va < end && !is_found; va = span_end(va)) {
        spin_lock(span_lock(space, va));
        const uint64_t *slot = pt_slot(space->tlb.root, va, 1);
        uint64_t entry = slot != NULL ? pt_slot_get(slot) : 0;

        is_found = entry != 0 && !pt_is_table(entry, 1);
        spin_unlock(span_lock(space, va));
    }
    return is_found;
}

static int make_tables(struct space *space, vaddr_t va, vaddr_t end)
{
    for (; va < end; va = span_end(va))
        if (pt_make_tables(space->tlb.root, va, 0, &space_pt_alloc) != 0)
            return -ENOMEM;
    return 0;
}

/* Empty the slots of [va, end), which are MOVE_PAGES at most and lie in one span. */
static void take(struct space *space, vaddr_t va, vaddr_t end, uint64_t taken[MOVE_PAGES])
{
    struct spinlock *lock = span_lock(space, va);
    struct tlb_batch batch;

    tlb_batch_init(&batch, &space->tlb);
    spin_lock(lock);
    uint64_t *slot = pt_slot(space->tlb.root, va, 0);

    for (unsigned i = 0; va < end; va += PAGE_BYTES, i++) {
        taken[i] = slot != NULL && pt_slot_get(slot + i) != 0 ? pt_slot_clear(slot + i) : 0;
        if (taken[i] != 0 && !pt_is_parked(taken[i]))
            tlb_batch_add(&batch, va, 1);
    }
    spin_unlock(lock);
    tlb_batch_flush(&batch);
}

static void put_down(struct space *space, vaddr_t va, const uint64_t taken[MOVE_PAGES], unsigned count)
{
    for (unsigned i = 0; i < count; i++, va += PAGE_BYTES) {
        if (taken[i] == 0)
            continue;
        spin_lock(span_lock(space, va));
        pt_slot_install(pt_slot(space->tlb.root, va, 0), taken[i]);
        spin_unlock(span_lock(space, va));
    }
}

static void move_slots(const struct move *move)
{
    uint64_t taken[MOVE_PAGES];

    for (size_t done = 0; done < move->bytes;) {
        vaddr_t va = move->from + done;
        vaddr_t end = MIN(MIN(span_end(va), move->from + move->bytes), va + MOVE_PAGES * PAGE_BYTES);

        take(move->space, va, end, taken);
        put_down(move->space, move->to + done, taken, (unsigned)((end - va) >> PAGE_SHIFT));
        done += end - va;
    }
}

/* ---- Moving ---- */

static void hold(struct space *space, enum space_hold kind, struct region_change *change)
{
    spin_lock(&space->regions_lock);
    store_relaxed(&space->hold, (uint8_t)kind);
    if (change != NULL)
        region_change_commit(change);
    spin_unlock(&space->regions_lock);
}

/* All that can fail has been done. */
static void move_all(const struct move *move, struct region_change *cut, struct region_change *map, struct walk *walk,
                     bool has_slots)
{
    hold(move->space, SPACE_HOLD_REPLACE, cut);
    if (has_slots) {
        space_tables_barrier(move->space);
        move_slots(move);
    }
    if (cut != NULL)
        walk_clear(walk); /* tables, and of shared mappings the slots */
    walk_end(walk);
    hold(move->space, SPACE_HOLD_NONE, map);
}

/* Blocks stay away from the range while `hold` is FORK: a fault that would install one waits. */
static int check_blocks(const struct move *move)
{
    if (!move->space->uses_huge)
        return 0;
    store_relaxed(&move->space->hold, SPACE_HOLD_FORK);
    space_tables_barrier(move->space);
    if (!has_block(move->space, move->from, move->from + move->bytes))
        return 0;
    store_relaxed(&move->space->hold, SPACE_HOLD_NONE);
    return -ENOMEM;
}

/* Objects may not shrink meanwhile: neither region would be live when the cut comes to it. */
static int change_over(const struct move *move, struct region_change *cut, struct region_change *map, struct walk *walk,
                       struct vm_object *object, bool has_slots) NO_LOCK_ANALYSIS
{
    if (object != NULL)
        mutex_lock(&object->change);
    int result = has_slots ? check_blocks(move) : 0;

    if (result == 0)
        move_all(move, cut, map, walk, has_slots);
    if (object != NULL)
        mutex_unlock(&object->change);
    return result;
}

static int move_locked(const struct move *move, const struct region_spec *spec, bool keeps)
{
    bool has_slots = (spec->flags & VM_SHARED) == 0;
    struct region_change cut, map;
    struct walk walk;
    int result = walk_begin_splitting(&walk, move->space, move->from, move->from + move->bytes);

    if (result != 0)
        return result;
    if (!keeps)
        result = region_change_cut(&cut, &move->space->regions, move->from, move->from + move->bytes);
    if (result != 0)
        goto end_walk;
    result = region_change_map(&map, &move->space->regions, spec, keeps ? NULL : &cut);
    if (result != 0)
        goto abort_cut;
    if (has_slots)
        result = make_tables(move->space, move->to, move->to + move->bytes);
    if (result != 0)
        goto abort_map;
    result = change_over(move, keeps ? NULL : &cut, &map, &walk, has_slots ? spec->object : NULL, has_slots);
    if (result != 0)
        goto abort_map;
    region_change_finish(&map);
    if (!keeps)
        region_change_finish(&cut);
    return 0;

abort_map:
    region_change_abort(&map);
abort_cut:
    if (!keeps)
        region_change_abort(&cut);
end_walk:
    walk_end(&walk);
    return result;
}

/* ---- Requests ---- */

/* What of `region` begins at va, for [at, at + bytes). */
static struct region_spec spec_at(const struct region *region, vaddr_t va, vaddr_t at, size_t bytes)
{
    struct region_spec spec = region_spec_of(region);

    spec.offset = region->object != NULL ? region->offset + (va - region->start) : 0;
    spec.start = at;
    spec.end = at + bytes;
    return spec;
}

static bool can_grow_in_place(const struct region *region, vaddr_t end, vaddr_t new_end)
{
    const struct region *above = region_next(region);

    if (region->end != end || new_end > ROUND_DOWN(HAL_USER_END, PAGE_BYTES))
        return false;
    if (above == NULL)
        return true;
    return above->start >= new_end &&
           ((above->flags & VM_GROWS_DOWN) == 0 || above->start - new_end >= VM_STACK_GUARD_BYTES);
}

static int find_place(struct space *space, size_t bytes, vaddr_t *out)
{
    struct region_gap gap = { .bytes = bytes, .align = PAGE_BYTES, .low = SPACE_ADDRESS_MIN, .high = space->map_top,
                              .is_top_down = true };

    if (region_find_gap(&space->regions, &gap, out) == 0)
        return 0;
    gap.high = ROUND_DOWN(HAL_USER_END, PAGE_BYTES);
    return region_find_gap(&space->regions, &gap, out);
}

static int remap_locked(struct space *space, const struct space_remap *remap, size_t old_bytes, size_t bytes,
                        vaddr_t *out_va)
{
    const struct region *region = region_find(&space->regions, remap->at);
    bool is_fixed = (remap->flags & SPACE_REMAP_FIXED) != 0, keeps = (remap->flags & SPACE_REMAP_KEEP) != 0;
    vaddr_t to = remap->to;
    int result = 0;

    if (region == NULL || old_bytes > region->end - remap->at)
        return -EFAULT;
    bool is_private = (region->flags & VM_SHARED) == 0;

    if ((old_bytes == 0 && is_private) || (keeps && (!is_private || region->object != NULL)))
        return -EINVAL;
    if (region->object != NULL && bytes > VM_OBJECT_BYTES_MAX - (region->offset + (remap->at - region->start)))
        return -EINVAL;
    if (!is_fixed && !keeps && old_bytes > 0) {
        vaddr_t end = remap->at + old_bytes;

        *out_va = remap->at;
        if (bytes <= old_bytes)
            return bytes == old_bytes ? 0 : space_unmap_locked(space, remap->at + bytes, end);
        if (can_grow_in_place(region, end, remap->at + bytes)) {
            struct region_spec more = spec_at(region, end, end, bytes - old_bytes);

            return space_map_locked(space, &more);
        }
    }
    if ((remap->flags & SPACE_REMAP_MAY_MOVE) == 0)
        return -ENOMEM;
    struct region_spec spec = spec_at(region, remap->at, to, bytes);

    if (spec.object != NULL)
        vm_object_get(spec.object);
    /* What is there goes first, as on Linux, and does not come back after an error. */
    result = is_fixed ? space_unmap_locked(space, to, to + bytes) : find_place(space, bytes, &to);
    if (result == 0 && bytes < old_bytes) {
        result = space_unmap_locked(space, remap->at + bytes, remap->at + old_bytes);
        old_bytes = bytes;
    }
    if (result == 0) {
        const struct move move = { .space = space, .from = remap->at, .to = to, .bytes = old_bytes };

        spec.start = to;
        spec.end = to + bytes;
        result = old_bytes == 0 ? space_map_locked(space, &spec) : move_locked(&move, &spec, keeps);
    }
    if (spec.object != NULL)
        vm_object_put(spec.object);
    *out_va = to;
    return result;
}

static int check(const struct space_remap *remap, size_t *out_old, size_t *out_bytes)
{
    vaddr_t limit = ROUND_DOWN(HAL_USER_END, PAGE_BYTES);
    bool is_fixed = (remap->flags & SPACE_REMAP_FIXED) != 0, keeps = (remap->flags & SPACE_REMAP_KEEP) != 0;
    bool may_move = (remap->flags & SPACE_REMAP_MAY_MOVE) != 0;

    if ((remap->flags & ~SPACE_REMAP_FLAGS) != 0 || ((is_fixed || keeps) && !may_move))
        return -EINVAL;
    if (!IS_ALIGNED(remap->at, PAGE_BYTES) || remap->bytes == 0)
        return -EINVAL;
    if (remap->at >= limit)
        return -EFAULT;
    if (remap->bytes > limit || remap->old_bytes > limit - remap->at)
        return remap->bytes > limit ? -ENOMEM : -EFAULT;
    *out_old = ROUND_UP(remap->old_bytes, PAGE_BYTES);
    *out_bytes = ROUND_UP(remap->bytes, PAGE_BYTES);
    if (keeps && *out_old != *out_bytes)
        return -EINVAL;
    if (!is_fixed)
        return 0;
    if (!IS_ALIGNED(remap->to, PAGE_BYTES) || remap->to >= limit || *out_bytes > limit - remap->to ||
        (remap->to < remap->at + *out_old && remap->at < remap->to + *out_bytes))
        return -EINVAL;
    return remap->to < SPACE_ADDRESS_MIN ? -EPERM : 0;
}

int space_remap(struct space *space, const struct space_remap *remap, vaddr_t *out_va)
{
    size_t old_bytes = 0, bytes = 0;
    int result = check(remap, &old_bytes, &bytes);

    if (result != 0)
        return result;
    mutex_lock(&space->change);
    result = remap_locked(space, remap, old_bytes, bytes, out_va);
    mutex_unlock(&space->change);
    return result;
}
