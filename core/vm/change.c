/* SPDX-License-Identifier: MIT */
/*
 * Changes of a range of a region tree: all that can fail first, then a commit that cannot. Owns nothing beyond the
 * change that the caller holds. Refuses to grow a tree above VM_REGIONS_MAX. Locks: the caller's, see vm/region.h.
 *
 * A change is two chains of regions, both in order: those that leave and those that come. Nobody else changes the tree
 * between prepare and commit, so the chains are final at prepare; only a mapping looks for neighbours to merge with at
 * the commit, because another change may have to come before it.
 */
#include "vm_priv.h"

#include <k/errno.h>

static void init_change(struct region_change *change, struct region_tree *tree)
{
    change->tree = tree;
    change->coming = NULL;
    change->leaving = NULL;
    change->added = 0;
    change->is_map = false;
}

static int check_limit(const struct region_change *change, int added_before)
{
    return (int)change->tree->count + added_before + change->added <= VM_REGIONS_MAX ? 0 : -ENOMEM;
}

/* The part [start, end) of what is described. */
static struct region_spec part_of(struct region_spec spec, vaddr_t start, vaddr_t end)
{
    if (spec.object != NULL)
        spec.offset += start - spec.start;
    spec.start = start;
    spec.end = end;
    return spec;
}

/* ---- Cut ---- */

/* What is left of a region, at the end of the chain of those that come. */
static int keep_part(struct region_change *change, struct region **link, const struct region *region, vaddr_t start,
                     vaddr_t end)
{
    struct region_spec spec = part_of(region_spec_of(region), start, end);

    change->added++;
    return region_create(&spec, link);
}

/* The first region that leaves begins before the range, or the last one ends behind it: what is left of them comes. */
static NOINLINE int keep_sides(struct region_change *change, const struct region *last, vaddr_t start, vaddr_t end)
{
    const struct region *first = change->leaving;
    struct region **coming = &change->coming;
    int error = 0;

    if (first->start < start) {
        error = keep_part(change, coming, first, first->start, start);
        if (error == 0)
            coming = &change->coming->chain;
    }
    if (error == 0 && last->end > end)
        error = keep_part(change, coming, last, end, last->end);
    if (error == 0)
        error = check_limit(change, 0);
    if (error != 0)
        region_change_abort(change);
    return error;
}

/* Chains what leaves, to the last region that begins before `end`, which is returned. */
static NOINLINE struct region *chain_leaving(struct region_change *change, vaddr_t end)
{
    struct region *last = change->leaving;

    while (last->end < end) {
        struct region *next = region_next(last);

        if (next == NULL || next->start >= end)
            break;
        last->chain = next;
        last = next;
        change->added--;
    }
    last->chain = NULL;
    return last;
}

int region_change_cut(struct region_change *change, struct region_tree *tree, vaddr_t start, vaddr_t end)
{
    struct region *first = region_find_at_or_above(tree, start);
    struct region *last = first;

    init_change(change, tree);
    if (first == NULL || first->start >= end)
        return 0;
    change->leaving = first;
    change->added = -1;
    first->chain = NULL;
    if (first->end < end)
        last = chain_leaving(change, end);
    if (LIKELY(first->start >= start && last->end <= end))
        return 0; /* the tree does not grow */
    return keep_sides(change, last, start, end);
}

/* ---- Map ---- */

int region_change_map(struct region_change *change, struct region_tree *tree, const struct region_spec *spec,
                      const struct region_change *after)
{
    init_change(change, tree);
    change->is_map = true;
    change->added = 1;
    if (UNLIKELY(check_limit(change, after != NULL ? after->added : 0) != 0))
        return -ENOMEM;
    return region_create(spec, &change->coming);
}

/* ---- Set ---- */

/* Pieces are added in order. Those of one kind are held back as one piece until another kind, or a hole, follows. */
struct joiner {
    struct region_change *change;
    struct region **coming, **leaving; /* the ends of the chains */
    struct region_spec held;           /* start == end: nothing */
    struct region *original;           /* what is held is this region as it stands; NULL: it is something new */
    struct region **original_link;     /* where in the chain that region belongs, should it leave */
};

static void let_go(struct joiner *joiner, struct region **link, struct region *region)
{
    region->chain = *link;
    *link = region;
    if (joiner->leaving == link)
        joiner->leaving = &region->chain;
    joiner->change->added--;
}

/* What was held back stays as it is, or becomes a region that comes. */
static int flush_held(struct joiner *joiner)
{
    int error;

    if (joiner->held.start == joiner->held.end || joiner->original != NULL)
        return 0;
    error = region_create(&joiner->held, joiner->coming);
    if (error != 0)
        return error;
    joiner->coming = &(*joiner->coming)->chain;
    joiner->change->added++;
    return 0;
}

/* `original`: the piece is that region, unchanged, or NULL. */
static int add_piece(struct joiner *joiner, const struct region_spec *piece, struct region *original)
{
    int error;

    if (joiner->held.start != joiner->held.end && region_can_merge(&joiner->held, piece)) {
        if (joiner->original != NULL)
            let_go(joiner, joiner->original_link, joiner->original);
        if (original != NULL)
            let_go(joiner, joiner->leaving, original);
        joiner->original = NULL;
        joiner->held.end = piece->end;
        return 0;
    }
    error = flush_held(joiner);
    if (error != 0)
        return error;
    joiner->held = *piece;
    joiner->original = original;
    joiner->original_link = joiner->leaving;
    return 0;
}

static int add_unchanged(struct joiner *joiner, struct region *region)
{
    struct region_spec spec = region_spec_of(region);

    return add_piece(joiner, &spec, region);
}

/* A region that the range meets: unchanged, or up to three pieces. */
static int add_edited(struct joiner *joiner, struct region *region, vaddr_t start, vaddr_t end,
                      const struct region_edit *edit)
{
    struct region_spec whole = region_spec_of(region);
    struct region_spec before = part_of(whole, region->start, MAX(region->start, start));
    struct region_spec inside = part_of(whole, before.end, MIN(region->end, end));
    struct region_spec behind = part_of(whole, inside.end, region->end);
    int error = 0;

    inside.rights = (region->rights & edit->rights_keep) | edit->rights_add;
    inside.flags = (region->flags & edit->flags_keep) | edit->flags_add;
    if (inside.rights == region->rights && inside.flags == region->flags)
        return add_piece(joiner, &whole, region);
    let_go(joiner, joiner->leaving, region);
    if (before.start < before.end)
        error = add_piece(joiner, &before, NULL);
    if (error == 0)
        error = add_piece(joiner, &inside, NULL);
    if (error == 0 && behind.start < behind.end)
        error = add_piece(joiner, &behind, NULL);
    return error;
}

int region_change_set(struct region_change *change, struct region_tree *tree, vaddr_t start, vaddr_t end,
                      const struct region_edit *edit)
{
    struct joiner joiner = {.change = change, .coming = &change->coming, .leaving = &change->leaving};
    struct region *region = region_find_at_or_above(tree, start);
    int error = 0;

    init_change(change, tree);
    if (region == NULL || region->start >= end)
        return 0;
    /* The neighbours on both sides may merge with what comes. */
    if (region->start >= start && region_prev(region) != NULL)
        error = add_unchanged(&joiner, region_prev(region));
    while (error == 0 && region != NULL && region->start < end) {
        error = add_edited(&joiner, region, start, end, edit);
        region = region_next(region);
    }
    if (error == 0 && region != NULL)
        error = add_unchanged(&joiner, region);
    if (error == 0)
        error = flush_held(&joiner);
    if (error == 0)
        error = check_limit(change, 0);
    if (error != 0)
        region_change_abort(change);
    return error;
}

/* ---- Commit ---- */

/* The first that comes lies where the first that leaves did, once the others have left. */
static void commit_chains(struct region_change *change)
{
    struct region_tree *tree = change->tree;
    struct region *coming = change->coming;
    struct region *leaving = change->leaving;

    if (coming != NULL)
        leaving = leaving->chain;
    for (; leaving != NULL; leaving = leaving->chain)
        region_unlink(tree, leaving);
    if (coming == NULL)
        return;
    region_relink(tree, change->leaving, coming);
    while ((coming = coming->chain) != NULL)
        region_insert(tree, coming);
}

void region_change_commit(struct region_change *change)
{
    if (change->is_map)
        change->leaving = region_join(change->tree, change->coming);
    else
        commit_chains(change);
    change->coming = NULL;
    for (struct region *region = change->leaving; region != NULL; region = region->chain)
        region_set_stale(region);
    DEBUG_ASSERT(change->tree->count <= VM_REGIONS_MAX);
}

static void put_chain(struct region **chain)
{
    struct region *region = *chain;

    *chain = NULL;
    while (region != NULL) {
        struct region *next = region->chain;

        region_put(region);
        region = next;
    }
}

void region_change_finish(struct region_change *change)
{
    DEBUG_ASSERT(change->coming == NULL);
    put_chain(&change->leaving);
}

void region_change_abort(struct region_change *change)
{
    change->leaving = NULL;
    put_chain(&change->coming);
}
