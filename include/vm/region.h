/* SPDX-License-Identifier: MIT */
/*
 * Regions: what a space has mapped where, and the tree that holds them. Bookkeeping only: no page table is touched.
 *
 * A region never changes once it is in a tree. Whoever changes a range replaces its regions, so a reader that took a
 * reference under the tree's lock may go on with a region's facts without it, and asks region_is_stale() before it acts
 * on them. All work that can fail comes before a change: a struct region_change is prepared, then committed.
 *
 * Two locks. The tree and all that hangs in it is read under the space's spinlock (LOCK_SPACE), and written under it
 * and whatever admits one changer at a time (the space's mutex); so a changer may also read without the spinlock.
 * Below, "reads the tree" means: either of them; "writes the tree": both.
 */
#pragma once

#include <stdbool.h>

#include <k/assert.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/limits.h>
#include <k/list.h>
#include <k/types.h>
#include <lib/rbtree.h>

struct space;
struct vm_object;

/* Rights. VM_WRITE with VM_EXEC is legal, for programs that make code: the kernel's rule against pages that are both
 * holds for the kernel's half only. */
#define VM_READ 1u
#define VM_WRITE 2u
#define VM_EXEC 4u
#define VM_RIGHTS (VM_READ | VM_WRITE | VM_EXEC)

/* Flags. Regions with different flags never merge. */
#define VM_SHARED 0x01u     /* writes go to the object; without it the region is private, copy on write */
#define VM_GROWS_DOWN 0x02u /* VM_STACK_GUARD_BYTES below its start are given to nobody who lets the kernel choose */
#define VM_HUGE 0x04u       /* large pages wanted */
#define VM_NO_HUGE 0x08u    /* large pages unwanted */
#define VM_NO_RESERVE 0x10u /* memory is not promised */
#define VM_STACK 0x20u
#define VM_HEAP 0x40u
#define VM_NO_WRITE 0x80u   /* stores are not allowed, and no change of rights allows them */

struct region {
    /* The tree's. `start` orders it. */
    struct rb_node node;
    vaddr_t gap;      /* free bytes below `start`, without the guard of a region that grows down */
    vaddr_t room;     /* the same, but at most tree->room_limit */
    vaddr_t room_max; /* the largest `room` at and below this node */

    /* Immutable once in a tree. */
    vaddr_t start, end; /* page-aligned, not empty */
    unsigned rights;
    unsigned flags;
    struct vm_object *object; /* counted; NULL: private anonymous memory */
    uint64_t offset;          /* of `start` in the object, bytes, page-aligned; 0 without an object */
    struct space *space;      /* the one whose tree it is for; not counted */

    _Atomic(uint32_t) refs;  /* PAIRS(region_ref) */
    _Atomic(bool) is_stale;  /* PAIRS(region_stale): in no tree: not yet, or not any longer */
    struct region *chain;    /* the changer's: the next one that comes or goes */
    struct list_node mapping_link; /* in object->mappings, from creation to the last put; guarded by object->change */
};

/* What a new region is to be. */
struct region_spec {
    vaddr_t start, end;
    unsigned rights, flags;
    struct vm_object *object;
    uint64_t offset;
    struct space *space;
};

struct region_tree {
    struct rb_tree rb;
    struct region *hint; /* of the last change: the region that came, or what lay above the one that went; or NULL */
    vaddr_t low, high;   /* immutable: all regions lie in [low, high), page-aligned */
    vaddr_t room_limit;  /* immutable */
    unsigned count;
    uint64_t bytes;      /* sum of all sizes */
    uint64_t data_bytes; /* of those that are data */
};

/* What RLIMIT_DATA counts: private, writable, and no stack. */
static inline bool region_is_data(unsigned rights, unsigned flags)
{
    return (rights & VM_WRITE) != 0 && (flags & (VM_SHARED | VM_GROWS_DOWN)) == 0;
}

/* Boot: the cache behind regions. */
void region_cache_init(void);

/* A region in no tree, with one reference, which takes one to the object and is entered there: -ENOMEM; -EPERM as
 * vm_object_attach(). Context: task, may sleep on object->change. */
int region_create(const struct region_spec *spec, struct region **out) MUST_USE;

/* The caller holds a reference, or the lock of the tree that the region is in. Context: any. Order: none. */
static inline void region_get(struct region *region)
{
    uint32_t before = fetch_add_relaxed(&region->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

/* The last one leaves the object and frees. Context: task, no spinlock held, may sleep on object->change. A space puts
 * its regions before it goes: as long as a region is entered at its object, region->space exists. */
void region_put(struct region *region);

/* Asked under the lock of the page tables that one is about to change, by whoever holds a reference. False: the region
 * is what its range is mapped as, until that lock is released: changers mark first and take the tables' locks then.
 * Order: acquire. */
static inline bool region_is_stale(const struct region *region)
{
    return load_acquire(&region->is_stale); /* PAIRS(region_stale): the region's facts, and those of who replaced it */
}

/* The index in the object of the page at va. */
static inline uint64_t region_page_index(const struct region *region, vaddr_t va)
{
    return (region->offset + (va - region->start)) >> PAGE_SHIFT;
}

/* What a region of the same kind would be made from. */
static inline struct region_spec region_spec_of(const struct region *region)
{
    return (struct region_spec){
        .start = region->start,
        .end = region->end,
        .rights = region->rights,
        .flags = region->flags,
        .object = region->object,
        .offset = region->offset,
        .space = region->space,
    };
}

/* Is b where a ends, and of the same kind, so that one region can stand for both? */
bool region_can_merge(const struct region_spec *a, const struct region_spec *b);

/* ---- The tree ---- */

/* Empty; regions may lie in [low, high). */
void region_tree_init(struct region_tree *tree, vaddr_t low, vaddr_t high);

static inline unsigned region_tree_count(const struct region_tree *tree)
{
    return tree->count;
}

static inline uint64_t region_tree_bytes(const struct region_tree *tree)
{
    return tree->bytes;
}

static inline uint64_t region_tree_data_bytes(const struct region_tree *tree)
{
    return tree->data_bytes;
}

/* The region that holds va, or NULL. Reads the tree. O(log n). */
struct region *region_find(const struct region_tree *tree, vaddr_t va);

/* The region that holds va, or else the next one above it, or NULL. Reads the tree. O(log n). */
struct region *region_find_at_or_above(const struct region_tree *tree, vaddr_t va);

/* Neighbours in the order of addresses, or NULL. Read the tree. O(1) on average. */
struct region *region_first(const struct region_tree *tree);
struct region *region_next(const struct region *region);
struct region *region_prev(const struct region *region);

/* Does every byte of [start, end) belong to a region? Reads the tree. */
bool region_tree_covers(const struct region_tree *tree, vaddr_t start, vaddr_t end);

/* Put a region in as it is, without merging; the tree has the caller's reference from now on. It must be stale, in the
 * bounds and overlap nothing (asserted). The caller watches VM_REGIONS_MAX. Writes the tree. O(log n). */
void region_insert(struct region_tree *tree, struct region *region);

/* Take a region out and mark it stale; the tree's reference is the caller's. Writes the tree. O(log n). */
void region_remove(struct region_tree *tree, struct region *region);

/* The lowest start that a region that grows down may be given: there the guard below it begins. Reads the tree. */
static inline vaddr_t region_growth_floor(const struct region *region)
{
    return region->start - region->gap;
}

struct region_gap {
    size_t bytes;         /* page multiple, > 0 */
    size_t align;         /* power of two, >= PAGE_BYTES */
    vaddr_t low, high;    /* the range must lie in [low, high), which is cut to whole pages and the tree's bounds */
    bool is_top_down;     /* the highest gap and its end, or the lowest and its beginning */
    bool is_growing_down; /* the guard must be free below the range */
};

/* A free range, outside of the guards below regions that grow down. -ENOMEM: no gap has room for the range wherever
 * the gap begins, that is, for `align - PAGE_BYTES` bytes more. Reads the tree. O(log n), a bounded number of times
 * if more than tree->room_limit is wanted. */
int region_find_gap(const struct region_tree *tree, const struct region_gap *wanted, vaddr_t *out_va) MUST_USE;

/* ---- Changes ---- */

/*
 * What comes and what goes. The order of things, `space->change` held from prepare to commit:
 *
 *   region_change_cut/map/set(&change, ...)   may fail, then nothing is left to undo
 *   region_change_commit(&change)             under LOCK_SPACE; cannot fail
 *   (page tables of the range, TLBs)          the old regions are stale, and still there
 *   region_change_finish(&change)             puts them
 *
 * or region_change_abort(&change) instead of the last three. What comes is live before what it replaces is stale, and
 * entered at its object behind it; vm/object.h says what that is for.
 */
struct region_change {
    struct region_tree *tree;
    struct region *coming;  /* in order, linked by `chain` */
    struct region *leaving; /* the same */
    int added;              /* by how much the tree's count grows (map: at most) */
    bool is_map;            /* whom to merge with is seen at the commit */
};

/* Free [start, end). -ENOMEM: no memory for what is left of a region on either side, or VM_REGIONS_MAX. A range with
 * nothing in it is legal. Reads the tree. O(log n + regions in the range). Context: task. */
int region_change_cut(struct region_change *change, struct region_tree *tree, vaddr_t start, vaddr_t end) MUST_USE;

/* Map a range that is free, or will be once `after` (may be NULL) is committed, which must come first. At the commit
 * it merges with neighbours of its kind. -ENOMEM: no memory, or VM_REGIONS_MAX. O(log n). Context: task, may sleep. */
int region_change_map(struct region_change *change, struct region_tree *tree, const struct region_spec *spec,
                      const struct region_change *after) MUST_USE;

/* rights = (rights & rights_keep) | rights_add, flags likewise. */
struct region_edit {
    unsigned rights_keep, rights_add;
    unsigned flags_keep, flags_add;
};

/* Give all that is mapped in [start, end) other rights and flags; holes stay holes; regions that stay as they are, are
 * not replaced. -ENOMEM: no memory, or VM_REGIONS_MAX. Reads the tree. O(log n + regions in the range). Context: task,
 * may sleep. */
int region_change_set(struct region_change *change, struct region_tree *tree, vaddr_t start, vaddr_t end,
                      const struct region_edit *edit) MUST_USE;

/* Writes the tree. change->leaving is what was replaced, until region_change_finish(). */
void region_change_commit(struct region_change *change);

/* Drop the tree's references of what left. Context: task, no spinlock held. */
void region_change_finish(struct region_change *change);

/* Give up a change that was prepared and not committed. Context: task, no spinlock held. */
void region_change_abort(struct region_change *change);
