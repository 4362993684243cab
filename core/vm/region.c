/* SPDX-License-Identifier: MIT */
/*
 * Regions and the tree of a space. Owns the cache behind regions; what they mean for page tables is the space's. A tree
 * orders its regions by start. Each node knows the gap below itself, and the largest gap of its subtree; with that, a
 * search for a free range looks at one path down and one path more. Locks: the caller's, see the header.
 *
 * The guard of a region that grows down is taken off the gap below it, once, when the gap is computed. So a search
 * never sees the guard, and the region that grows finds its floor by a subtraction.
 */
#include "vm_priv.h"

#include <vm/object.h>

#include <k/errno.h>
#include <mm/slab.h>

static struct slab_cache region_cache;

void region_cache_init(void)
{
    slab_cache_init(&region_cache, "region", sizeof(struct region), _Alignof(struct region));
}

/* ---- One region ---- */

int region_create(const struct region_spec *spec, struct region **out)
{
    struct region *region = slab_alloc(&region_cache);

    if (UNLIKELY(region == NULL))
        return -ENOMEM;
    region->start = spec->start;
    region->end = spec->end;
    region->rights = spec->rights;
    region->flags = spec->flags;
    region->object = spec->object;
    region->offset = spec->offset;
    region->space = spec->space;
    region->chain = NULL;
    store_relaxed(&region->refs, 1);
    store_relaxed(&region->is_stale, true);
    if (spec->object != NULL)
        vm_object_attach(spec->object, region);
    *out = region;
    return 0;
}

void region_put(struct region *region)
{
    /* PAIRS(region_ref): what the other holders read in the region, they read before the last one frees it; one
     * operation is both ends, the release of those who leave and the acquire of who is last. */
    uint32_t before = fetch_sub_acq_rel(&region->refs, 1);

    ASSERT(before > 0);
    if (before > 1)
        return;
    if (region->object != NULL)
        vm_object_detach(region->object, region);
    slab_free(&region_cache, region);
}

bool region_can_merge(const struct region_spec *a, const struct region_spec *b)
{
    return a->end == b->start && a->rights == b->rights && a->flags == b->flags && a->object == b->object &&
           (a->object == NULL || a->offset + (a->end - a->start) == b->offset);
}

/* ---- Gaps ---- */

static ALWAYS_INLINE struct region *region_of(const struct rb_node *node)
{
    return container_of(node, struct region, node);
}

static ALWAYS_INLINE struct region *region_or_null(const struct rb_node *node)
{
    return node != NULL ? region_of(node) : NULL;
}

static void region_augment(struct rb_node *node)
{
    struct region *region = region_of(node);
    vaddr_t max = region->gap;

    if (node->left != NULL)
        max = MAX(max, region_of(node->left)->gap_max);
    if (node->right != NULL)
        max = MAX(max, region_of(node->right)->gap_max);
    region->gap_max = max;
}

/* What is free below a region, if what lies under it ends at `floor`. */
static ALWAYS_INLINE vaddr_t usable_gap(const struct region *region, vaddr_t floor)
{
    vaddr_t gap = region->start - floor;

    if (LIKELY((region->flags & VM_GROWS_DOWN) == 0))
        return gap;
    return gap > VM_STACK_GUARD_BYTES ? gap - VM_STACK_GUARD_BYTES : 0;
}

/* Where a gap of usable_gap() ends. */
static ALWAYS_INLINE vaddr_t gap_end(const struct region *region)
{
    return (region->flags & VM_GROWS_DOWN) == 0 ? region->start : region->start - VM_STACK_GUARD_BYTES;
}

/* Where what lies under a region of the tree ends. A gap that the guard has eaten up does not say. */
static ALWAYS_INLINE vaddr_t floor_of(const struct region_tree *tree, const struct region *region)
{
    const struct region *prev;

    if (LIKELY((region->flags & VM_GROWS_DOWN) == 0))
        return region->start - region->gap;
    prev = region_prev(region);
    return prev != NULL ? prev->end : tree->low;
}

/* ---- The tree ---- */

void region_tree_init(struct region_tree *tree, vaddr_t low, vaddr_t high)
{
    ASSERT(low < high && IS_ALIGNED(low, PAGE_BYTES) && IS_ALIGNED(high, PAGE_BYTES));
    rb_init(&tree->rb);
    tree->low = low;
    tree->high = high;
    tree->count = 0;
    tree->bytes = 0;
}

struct region *region_find_at_or_above(const struct region_tree *tree, vaddr_t va)
{
    const struct rb_node *node = tree->rb.root;
    struct region *found = NULL;

    while (node != NULL) {
        struct region *region = region_of(node);

        if (va < region->end) {
            found = region;
            if (va >= region->start)
                break;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return found;
}

struct region *region_find(const struct region_tree *tree, vaddr_t va)
{
    const struct rb_node *node = tree->rb.root;

    while (node != NULL) {
        struct region *region = region_of(node);

        if (va < region->start)
            node = node->left;
        else if (va >= region->end)
            node = node->right;
        else
            return region;
    }
    return NULL;
}

struct region *region_first(const struct region_tree *tree)
{
    return region_or_null(rb_first(&tree->rb));
}

struct region *region_next(const struct region *region)
{
    return region_or_null(rb_next(&region->node));
}

struct region *region_prev(const struct region *region)
{
    return region_or_null(rb_prev(&region->node));
}

bool region_tree_covers(const struct region_tree *tree, vaddr_t start, vaddr_t end)
{
    const struct region *region = region_find(tree, start);

    while (region != NULL && region->end < end) {
        const struct region *next = region_next(region);

        if (next == NULL || next->start != region->end)
            return false;
        region = next;
    }
    return region != NULL;
}

void region_locate(struct region_tree *tree, vaddr_t start, struct region_place *out)
{
    struct rb_node **link = &tree->rb.root;
    struct rb_node *parent = NULL;
    struct region *prev = NULL, *next = NULL;

    while (*link != NULL) {
        struct region *region;

        parent = *link;
        region = region_of(parent);
        if (start < region->start) {
            next = region;
            link = &parent->left;
        } else {
            prev = region;
            link = &parent->right;
        }
    }
    *out = (struct region_place){.prev = prev, .next = next, .parent = parent, .link = link};
}

static ALWAYS_INLINE void assert_fits(const struct region_tree *tree, const struct region *region, vaddr_t floor,
                                      const struct region *next)
{
    ASSERT(region->start >= floor && region->start < region->end);
    ASSERT(region->end <= (next != NULL ? next->start : tree->high));
    DEBUG_ASSERT(IS_ALIGNED(region->start | region->end | region->offset, PAGE_BYTES));
    DEBUG_ASSERT(region_is_stale(region));
}

/* The neighbours above and below are the parent and an ancestor, so the one path to the root brings both summaries into
 * order. */
void region_link(struct region_tree *tree, const struct region_place *place, struct region *region)
{
    vaddr_t floor = place->prev != NULL ? place->prev->end : tree->low;

    assert_fits(tree, region, floor, place->next);
    region->gap = usable_gap(region, floor);
    if (place->next != NULL)
        place->next->gap = usable_gap(place->next, region->end);
    rb_insert_at(&tree->rb, place->parent, place->link, &region->node, region_augment);
    tree->count++;
    tree->bytes += region->end - region->start;
}

/*
 * The region above inherits the gap. It is an ancestor, or takes the removed node's place, and then its summary is
 * recomputed on the way up; or it is the only child, a leaf that moves up, and nobody would look at it.
 */
void region_unlink(struct region_tree *tree, struct region *region)
{
    struct rb_node *only = region->node.left == NULL ? region->node.right : NULL;
    struct region *next = region_next(region);

    if (next != NULL)
        next->gap = usable_gap(next, floor_of(tree, region));
    if (only != NULL)
        region_augment(only);
    rb_remove(&tree->rb, &region->node, region_augment);
    tree->count--;
    tree->bytes -= region->end - region->start;
}

void region_relink(struct region_tree *tree, struct region *old, struct region *region)
{
    vaddr_t floor = floor_of(tree, old);
    struct region *next = region_next(old);
    /* Both summaries are on the path from the lower of the two. */
    struct rb_node *lower = old->node.right != NULL ? &next->node : &region->node;

    assert_fits(tree, region, floor, next);
    region->gap = usable_gap(region, floor);
    if (next != NULL)
        next->gap = usable_gap(next, region->end);
    rb_replace(&tree->rb, &old->node, &region->node);
    rb_augment_path(lower, region_augment);
    tree->bytes += (region->end - region->start) - (old->end - old->start);
}

void region_insert(struct region_tree *tree, struct region *region)
{
    struct region_place place;

    region_locate(tree, region->start, &place);
    region_link(tree, &place, region);
    region_set_live(region);
}

void region_remove(struct region_tree *tree, struct region *region)
{
    region_unlink(tree, region);
    region_set_stale(region);
}

/* ---- Free ranges ---- */

static ALWAYS_INLINE vaddr_t max_of(const struct rb_node *node)
{
    return node != NULL ? region_of(node)->gap_max : 0;
}

/* The highest region of a subtree with so large a gap below it; there is one. */
static const struct region *highest_gap(const struct rb_node *node, vaddr_t need)
{
    for (;;) {
        if (max_of(node->right) >= need)
            node = node->right;
        else if (region_of(node)->gap >= need)
            return region_of(node);
        else
            node = node->left;
    }
}

static const struct region *lowest_gap(const struct rb_node *node, vaddr_t need)
{
    for (;;) {
        if (max_of(node->left) >= need)
            node = node->left;
        else if (region_of(node)->gap >= need)
            return region_of(node);
        else
            node = node->right;
    }
}

/* [low, high) cut to the gap below a region, or above the last one (NULL). */
struct range {
    vaddr_t low, high;
};

static bool gap_has_room(const struct region *region, vaddr_t last_end, vaddr_t need, const struct range *bounds,
                         struct range *out)
{
    vaddr_t end = region != NULL ? gap_end(region) : bounds->high;
    vaddr_t start = region != NULL ? end - region->gap : last_end;

    out->low = MAX(start, bounds->low);
    out->high = MIN(end, bounds->high);
    return out->high > out->low && out->high - out->low >= need;
}

/*
 * Down the path to `high`. The first region that ends above it has the only gap that `high` may cut. Of the others, all
 * below, the highest with room hangs at the last node of the path where the node itself or its left subtree has room.
 */
static bool find_top_down(const struct region_tree *tree, vaddr_t need, const struct range *bounds, struct range *out)
{
    const struct rb_node *node = tree->rb.root, *candidate = NULL;
    const struct region *above = NULL;
    vaddr_t last_end = tree->low;

    while (node != NULL) {
        const struct region *region = region_of(node);

        if (region->end > bounds->high) {
            above = region;
            node = node->left;
        } else {
            if (region->gap >= need || max_of(node->left) >= need)
                candidate = node;
            last_end = region->end;
            node = node->right;
        }
    }
    if (gap_has_room(above, last_end, need, bounds, out))
        return true;
    if (candidate == NULL)
        return false;
    above = region_of(candidate);
    if (above->gap < need)
        above = highest_gap(candidate->left, need);
    return gap_has_room(above, 0, need, bounds, out);
}

/* The mirror image: the first region that begins above `low` has the only gap that `low` may cut. */
static bool find_bottom_up(const struct region_tree *tree, vaddr_t need, const struct range *bounds, struct range *out)
{
    const struct rb_node *node = tree->rb.root, *candidate = NULL, *first = NULL;
    vaddr_t last_end = tree->low;

    while (node != NULL) {
        const struct region *region = region_of(node);

        if (region->start > bounds->low) {
            if (first != NULL && (region_of(first)->gap >= need || max_of(first->right) >= need))
                candidate = first;
            first = node;
            node = node->left;
        } else {
            last_end = region->end;
            node = node->right;
        }
    }
    if (first != NULL && gap_has_room(region_of(first), 0, need, bounds, out))
        return true;
    if (first != NULL && max_of(first->right) >= need)
        return gap_has_room(lowest_gap(first->right, need), 0, need, bounds, out);
    if (candidate != NULL && region_of(candidate)->gap >= need)
        return gap_has_room(region_of(candidate), 0, need, bounds, out);
    if (candidate != NULL)
        return gap_has_room(lowest_gap(candidate->right, need), 0, need, bounds, out);
    if (first != NULL) {
        for (node = tree->rb.root; node->right != NULL;)
            node = node->right;
        last_end = region_of(node)->end;
    }
    return gap_has_room(NULL, last_end, need, bounds, out);
}

int region_find_gap(const struct region_tree *tree, const struct region_gap *wanted, vaddr_t *out_va)
{
    struct range bounds = {
        .low = MAX((wanted->low + PAGE_BYTES - 1) & ~(vaddr_t)(PAGE_BYTES - 1), tree->low),
        .high = MIN(wanted->high & ~(vaddr_t)(PAGE_BYTES - 1), tree->high),
    };
    vaddr_t guard = wanted->is_growing_down ? VM_STACK_GUARD_BYTES : 0;
    vaddr_t extra = guard + (wanted->align - PAGE_BYTES);
    struct range found;

    ASSERT(wanted->bytes > 0 && IS_ALIGNED(wanted->bytes, PAGE_BYTES));
    ASSERT(wanted->align >= PAGE_BYTES && (wanted->align & (wanted->align - 1)) == 0);
    if (bounds.low >= bounds.high || wanted->bytes > bounds.high - bounds.low ||
        extra > bounds.high - bounds.low - wanted->bytes)
        return -ENOMEM;
    if (wanted->is_top_down) {
        if (!find_top_down(tree, wanted->bytes + extra, &bounds, &found))
            return -ENOMEM;
        *out_va = (found.high - wanted->bytes) & ~(vaddr_t)(wanted->align - 1);
    } else {
        if (!find_bottom_up(tree, wanted->bytes + extra, &bounds, &found))
            return -ENOMEM;
        *out_va = (found.low + guard + wanted->align - 1) & ~(vaddr_t)(wanted->align - 1);
    }
    return 0;
}
