/* SPDX-License-Identifier: MIT */
/*
 * Regions and the tree of a space. Owns the cache behind regions; what they mean for page tables is the space's. A tree
 * orders its regions by start. Each node knows the gap below itself, and the largest gap of its subtree; with that, a
 * search for a free range looks at one path down and one path more. Locks: the caller's, see the header.
 *
 * The guard of a region that grows down is taken off the gap below it, once, when the gap is computed. So a search
 * never sees the guard, and the region that grows finds its floor by a subtraction.
 *
 * As `room`, a gap counts for at most a small part of the space. Most maps and unmaps nibble at the one huge gap of a
 * space; while that stays huge they change no summary further up. A range larger than that part is looked for in one
 * gap after the other that has at least so much, of which there cannot be many.
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
    if (spec->object != NULL) {
        int error = vm_object_attach(spec->object, region);

        if (error != 0) {
            slab_free(&region_cache, region);
            return error;
        }
    }
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

static bool region_augment(struct rb_node *node)
{
    struct region *region = region_of(node);
    vaddr_t max = region->room;
    bool has_changed;

    if (node->left != NULL)
        max = MAX(max, region_of(node->left)->room_max);
    if (node->right != NULL)
        max = MAX(max, region_of(node->right)->room_max);
    has_changed = region->room_max != max;
    region->room_max = max;
    return has_changed;
}

/* What lies under a region ends at `floor`. Returns whether the region brings something else into its summary now. */
static ALWAYS_INLINE bool set_gap(const struct region_tree *tree, struct region *region, vaddr_t floor)
{
    vaddr_t gap = region->start - floor, room;
    bool has_changed;

    if (UNLIKELY((region->flags & VM_GROWS_DOWN) != 0))
        gap = gap > VM_STACK_GUARD_BYTES ? gap - VM_STACK_GUARD_BYTES : 0;
    room = MIN(gap, tree->room_limit);
    has_changed = region->room != room;
    region->gap = gap;
    region->room = room;
    return has_changed;
}

/* The same for a region of the tree (or NULL), whose summary and those above follow. */
static ALWAYS_INLINE void move_floor(const struct region_tree *tree, struct region *region, vaddr_t floor)
{
    if (LIKELY(region != NULL) && set_gap(tree, region, floor))
        rb_augment_path(&region->node, region_augment);
}

/* Where a gap ends. */
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

#define ROOM_PARTS 128 /* of a space: no gap counts for more than one of them */

void region_tree_init(struct region_tree *tree, vaddr_t low, vaddr_t high)
{
    ASSERT(low < high && IS_ALIGNED(low, PAGE_BYTES) && IS_ALIGNED(high, PAGE_BYTES));
    rb_init(&tree->rb);
    tree->hint = NULL;
    tree->low = low;
    tree->high = high;
    tree->room_limit = MAX((high - low) / ROOM_PARTS, (vaddr_t)PAGE_BYTES);
    tree->count = 0;
    tree->bytes = 0;
    tree->data_bytes = 0;
}

static ALWAYS_INLINE bool hint_has(const struct region_tree *tree, vaddr_t va)
{
    return tree->hint != NULL && va >= tree->hint->start && va < tree->hint->end;
}

struct region *region_find_at_or_above(const struct region_tree *tree, vaddr_t va)
{
    const struct rb_node *node = tree->rb.root;
    struct region *found = NULL;

    if (hint_has(tree, va))
        return tree->hint;
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

    if (hint_has(tree, va))
        return tree->hint;
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

static struct region *region_last(const struct region_tree *tree)
{
    const struct rb_node *node = tree->rb.root;

    while (node != NULL && node->right != NULL)
        node = node->right;
    return region_or_null(node);
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

/* Where a region goes: the empty place in the tree, and what is above and below it. */
struct place {
    struct rb_node *parent;
    struct rb_node **link;
    struct region *next;
    vaddr_t floor;
};

/* Is that address in the gap below the hint? That of a growing region does not say where it begins. */
static ALWAYS_INLINE bool is_below_hint(const struct region_tree *tree, vaddr_t start)
{
    const struct region *hint = tree->hint;

    return hint != NULL && start < hint->start && hint->start - start <= hint->gap && !(hint->flags & VM_GROWS_DOWN);
}

static ALWAYS_INLINE struct place find_place(struct region_tree *tree, vaddr_t start)
{
    struct place place = {.link = &tree->rb.root, .floor = tree->low};

    if (LIKELY(is_below_hint(tree, start))) {
        place.next = tree->hint;
        place.floor = place.next->start - place.next->gap;
        place.parent = &place.next->node;
        place.link = &place.parent->left;
        while (*place.link != NULL) {
            place.parent = *place.link;
            place.link = &place.parent->right;
        }
        return place;
    }
    while (*place.link != NULL) {
        struct region *region = region_of(*place.link);

        place.parent = *place.link;
        if (start < region->start) {
            place.next = region;
            place.link = &place.parent->left;
        } else {
            place.floor = region->end;
            place.link = &place.parent->right;
        }
    }
    return place;
}

static ALWAYS_INLINE struct region *prev_of(const struct place *place)
{
    if (place->parent == NULL)
        return NULL;
    return place->link == &place->parent->right ? region_of(place->parent) : region_prev(region_of(place->parent));
}

static ALWAYS_INLINE void assert_fits(const struct region_tree *tree, const struct region *region, vaddr_t floor,
                                      const struct region *next)
{
    ASSERT(region->start >= floor && region->start < region->end);
    ASSERT(region->end <= (next != NULL ? next->start : tree->high));
    DEBUG_ASSERT(IS_ALIGNED(region->start | region->end | region->offset, PAGE_BYTES));
    DEBUG_ASSERT(region_is_stale(region));
}

static ALWAYS_INLINE void count_bytes(struct region_tree *tree, const struct region *region, bool comes)
{
    uint64_t bytes = region->end - region->start;

    tree->bytes += comes ? bytes : -bytes;
    if (region_is_data(region->rights, region->flags))
        tree->data_bytes += comes ? bytes : -bytes;
}

/* First in with its own gap, then the next one's becomes smaller: between the two, some addresses count twice. Right
 * below the next one, the way up begins there, and once is enough. */
static ALWAYS_INLINE void link_region(struct region_tree *tree, const struct place *place, struct region *region)
{
    bool is_child = place->next != NULL && place->parent == &place->next->node;

    assert_fits(tree, region, place->floor, place->next);
    (void)set_gap(tree, region, place->floor);
    if (LIKELY(is_child))
        (void)set_gap(tree, place->next, region->end);
    rb_insert_at(&tree->rb, place->parent, place->link, &region->node, region_augment);
    if (UNLIKELY(!is_child))
        move_floor(tree, place->next, region->end);
    tree->hint = region;
    tree->count++;
    count_bytes(tree, region, true);
    region_set_live(region);
}

/* The next one inherits the gap before the region goes. Right above, its summary follows with the removal: the region
 * has nothing on its right then, or that would be next. */
void region_unlink(struct region_tree *tree, struct region *region)
{
    struct region *next = region_next(region);
    vaddr_t floor = floor_of(tree, region);

    if (next != NULL && next->node.left == &region->node)
        (void)set_gap(tree, next, floor);
    else
        move_floor(tree, next, floor);
    rb_remove(&tree->rb, &region->node, region_augment);
    tree->hint = next;
    tree->count--;
    count_bytes(tree, region, false);
}

void region_relink(struct region_tree *tree, struct region *old, struct region *region)
{
    vaddr_t floor = floor_of(tree, old);
    struct region *next = region_next(old);

    assert_fits(tree, region, floor, next);
    (void)set_gap(tree, region, floor);
    rb_replace(&tree->rb, &old->node, &region->node, region_augment);
    move_floor(tree, next, region->end);
    tree->hint = region;
    count_bytes(tree, old, false);
    count_bytes(tree, region, true);
    region_set_live(region);
}

void region_insert(struct region_tree *tree, struct region *region)
{
    struct place place = find_place(tree, region->start);

    link_region(tree, &place, region);
}

void region_remove(struct region_tree *tree, struct region *region)
{
    region_unlink(tree, region);
    region_set_stale(region);
}

static ALWAYS_INLINE bool can_merge(const struct region *a, const struct region *b)
{
    if (a->end != b->start || a->rights != b->rights)
        return false;
    struct region_spec left = region_spec_of(a), right = region_spec_of(b);

    return region_can_merge(&left, &right);
}

struct region *region_join(struct region_tree *tree, struct region *region)
{
    struct place place = find_place(tree, region->start);
    struct region *prev = NULL, *next = NULL;

    if (UNLIKELY(region->start == place.floor)) {
        prev = prev_of(&place);
        if (prev != NULL && !can_merge(prev, region))
            prev = NULL;
    }
    if (place.next != NULL && can_merge(region, place.next))
        next = place.next;
    if (LIKELY(prev == NULL && next == NULL)) {
        link_region(tree, &place, region);
        return NULL;
    }
    if (next != NULL) {
        region->end = next->end;
        next->chain = NULL;
    }
    if (prev == NULL) {
        region_relink(tree, next, region);
        return next;
    }
    region->start = prev->start;
    region->offset = prev->offset;
    prev->chain = next;
    if (next != NULL)
        region_unlink(tree, next);
    region_relink(tree, prev, region);
    return prev;
}

/* ---- Free ranges ---- */

static ALWAYS_INLINE vaddr_t room_below(const struct rb_node *node)
{
    return node != NULL ? region_of(node)->room_max : 0;
}

/* The highest region of a subtree with so much room below it; there is one. */
static const struct region *highest_room(const struct rb_node *node, vaddr_t need)
{
    for (;;) {
        if (room_below(node->right) >= need)
            node = node->right;
        else if (region_of(node)->room >= need)
            return region_of(node);
        else
            node = node->left;
    }
}

static const struct region *lowest_room(const struct rb_node *node, vaddr_t need)
{
    for (;;) {
        if (room_below(node->left) >= need)
            node = node->left;
        else if (region_of(node)->room >= need)
            return region_of(node);
        else
            node = node->right;
    }
}

struct range {
    vaddr_t low, high;
};

/* What bounds leave of the gap below a region. */
static ALWAYS_INLINE bool gap_has_room(const struct region *region, vaddr_t need, const struct range *bounds,
                                       struct range *out)
{
    vaddr_t end = gap_end(region);

    out->low = MAX(end - region->gap, bounds->low);
    out->high = MIN(end, bounds->high);
    return out->high > out->low && out->high - out->low >= need;
}

/* The same of what is free above all regions. */
static bool top_has_room(const struct region_tree *tree, vaddr_t need, const struct range *bounds, struct range *out)
{
    const struct region *last = region_last(tree);

    out->low = last != NULL ? MAX(last->end, bounds->low) : bounds->low;
    out->high = bounds->high;
    return out->high > out->low && out->high - out->low >= need;
}

/*
 * Down the path to the upper bound, as long as there is room at all. The first region that ends above the bound has the
 * only gap that the bound may cut; if the path ended earlier, the one that is taken for it lies wholly above the bound.
 * Of the others, all below, the highest with room hangs at the last node of the path where the node itself or its left
 * subtree has room.
 */
static bool find_top_down(const struct region_tree *tree, vaddr_t need, const struct range *bounds, struct range *out)
{
    const struct rb_node *node = tree->rb.root, *candidate = NULL;
    const struct region *above = NULL;

    while (room_below(node) >= need) {
        const struct region *region = region_of(node);

        if (region->end > bounds->high) {
            above = region;
            node = node->left;
        } else {
            if (region->room >= need || room_below(node->left) >= need)
                candidate = node;
            node = node->right;
        }
    }
    if (above != NULL ? gap_has_room(above, need, bounds, out) : top_has_room(tree, need, bounds, out))
        return true;
    if (candidate == NULL)
        return false;
    above = region_of(candidate);
    if (above->room < need)
        above = highest_room(candidate->left, need);
    return gap_has_room(above, need, bounds, out);
}

/* The mirror image: the first region that begins above the lower bound has the only gap that the bound may cut. */
static bool find_bottom_up(const struct region_tree *tree, vaddr_t need, const struct range *bounds, struct range *out)
{
    const struct rb_node *node = tree->rb.root, *candidate = NULL, *first = NULL;

    while (room_below(node) >= need) {
        const struct region *region = region_of(node);

        if (region->start > bounds->low) {
            if (first != NULL && (region_of(first)->room >= need || room_below(first->right) >= need))
                candidate = first;
            first = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    if (first != NULL && gap_has_room(region_of(first), need, bounds, out))
        return true;
    if (first != NULL && room_below(first->right) >= need)
        return gap_has_room(lowest_room(first->right, need), need, bounds, out);
    if (candidate != NULL && region_of(candidate)->room >= need)
        return gap_has_room(region_of(candidate), need, bounds, out);
    if (candidate != NULL)
        return gap_has_room(lowest_room(candidate->right, need), need, bounds, out);
    return top_has_room(tree, need, bounds, out);
}

/* Room for more than `room_limit` is looked for in one gap after the other that has so much, away from the end where it
 * is wanted: no more than ROOM_PARTS of them fit in. */
static bool find_range(const struct region_tree *tree, vaddr_t need, bool is_top_down, struct range bounds,
                       struct range *out)
{
    vaddr_t key = MIN(need, tree->room_limit);

    while (is_top_down ? find_top_down(tree, key, &bounds, out) : find_bottom_up(tree, key, &bounds, out)) {
        if (LIKELY(out->high - out->low >= need))
            return true;
        if (is_top_down)
            bounds.high = out->low;
        else
            bounds.low = out->high;
    }
    return false;
}

int region_find_gap(const struct region_tree *tree, const struct region_gap *wanted, vaddr_t *out_va)
{
    const struct range bounds = {
        .low = MAX((wanted->low + PAGE_BYTES - 1) & ~(vaddr_t)(PAGE_BYTES - 1), tree->low),
        .high = MIN(wanted->high & ~(vaddr_t)(PAGE_BYTES - 1), tree->high),
    };
    vaddr_t guard = wanted->is_growing_down ? VM_STACK_GUARD_BYTES : 0;
    vaddr_t extra = guard + (wanted->align - PAGE_BYTES);
    struct range found;

    DEBUG_ASSERT(wanted->bytes > 0 && IS_ALIGNED(wanted->bytes, PAGE_BYTES));
    DEBUG_ASSERT(wanted->align >= PAGE_BYTES && (wanted->align & (wanted->align - 1)) == 0);
    if (bounds.low >= bounds.high || wanted->bytes > bounds.high - bounds.low ||
        extra > bounds.high - bounds.low - wanted->bytes)
        return -ENOMEM;
    if (!find_range(tree, wanted->bytes + extra, wanted->is_top_down, bounds, &found))
        return -ENOMEM;
    *out_va = wanted->is_top_down ? (found.high - wanted->bytes) & ~(vaddr_t)(wanted->align - 1)
                                  : (found.low + guard + wanted->align - 1) & ~(vaddr_t)(wanted->align - 1);
    return 0;
}
