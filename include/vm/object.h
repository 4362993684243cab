/* SPDX-License-Identifier: MIT */
/*
 * Memory objects: the pages behind shared memory and files, by index. A page is zero-filled when it is first asked for,
 * and belongs to the object by one reference (phys_get/phys_put); every mapping of it holds another.
 *
 * An object that shrinks has its mappings cut. A fault does not hold the object's locks while it installs a page, so it
 * does the following; then no page beyond the end stays mapped once vm_object_resize() has returned:
 *
 *   cuts = vm_object_cuts(object);
 *   vm_object_page(object, index, &pa);
 *   under the lock of the page tables: if region_is_stale() or vm_object_cuts() != cuts, put the page and start again
 *
 * The other side, vm_object_resize(), counts the cut, then calls the space's function for all regions in the order of
 * their creation. Under the same lock that passes over stale ones and clears the others. It may pass over tables that
 * do not exist only after it has held the lock that guards their place: else a fault that is about to make one sees
 * neither the cut, nor is it seen. A region that is not live yet when it is passed over replaces one that came before
 * it, or has no page mapped. So whoever copies page-table entries to another space (fork) first puts the region there
 * into its tree.
 */
#pragma once

#include <stdbool.h>

#include <k/atomic.h>
#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>
#include <sched/mutex.h>
#include <smp/spinlock.h>

struct object_node;
struct region;

#define VM_OBJECT_BYTES_MAX ((UINT64_C(1) << 63) - PAGE_BYTES) /* a size fits a signed 64-bit offset */

/* How many pages several objects may have together. It lives as long as somebody holds it: whoever made it, by the
 * first reference, and each object. */
struct vm_object_budget {
    _Atomic(uint64_t) used;
    uint64_t max;           /* immutable */
    _Atomic(uint32_t) refs; /* PAIRS(budget_ref) */
    void (*release)(struct vm_object_budget *budget); /* immutable: the last one is gone. NULL: it lives for ever */
};

static inline void vm_object_budget_get(struct vm_object_budget *budget)
{
    (void)fetch_add_relaxed(&budget->refs, 1);
}

/* Context: task. */
static inline void vm_object_budget_put(struct vm_object_budget *budget)
{
    /* PAIRS(budget_ref): both ends, as its users come and go */
    if (fetch_sub_acq_rel(&budget->refs, 1) == 1 && budget->release != NULL)
        budget->release(budget);
}

struct vm_object {
    _Atomic(uint32_t) refs; /* PAIRS(object_ref) */
    _Atomic(uint64_t) cuts; /* PAIRS(object_cut): how often it has become smaller */
    struct vm_object_budget *budget; /* immutable once it has pages; NULL: no limit of its own */

    struct spinlock lock;                         /* LOCK_OBJECT */
    uint64_t bytes GUARDED_BY(lock);              /* written with `change` held, too */
    uint64_t page_count GUARDED_BY(lock);
    struct object_node *root GUARDED_BY(lock);    /* a radix tree over the index */
    unsigned height GUARDED_BY(lock);             /* its levels; 0: no root */
    uint64_t stores GUARDED_BY(lock);             /* calls of vm_object_stored() */
    bool has_fetched GUARDED_BY(lock);            /* vm_object_code_page() has remembered some page, ever */
    bool is_stored_by_programs GUARDED_BY(lock);  /* there was a mapping, ever, that lets a program store */

    struct mutex change;                          /* one resize at a time; before any spinlock */
    struct list_node mappings GUARDED_BY(change); /* regions, the oldest first */
    bool denies_writing GUARDED_BY(change);       /* none of them lets anybody write to the object, for ever */
};

/* Boot: the caches behind objects. */
void vm_object_cache_init(void);

/* Boot: what cuts pages [first, first + count) of region->object out of the region's space, if the region is live
 * (region_is_stale()), private copies too. Called with object->change held and no spinlock; it must not wait for a
 * mutex that is held where regions are created or put. */
typedef void vm_object_unmap_fn(struct region *region, uint64_t first, uint64_t count);
void vm_object_set_unmap(vm_object_unmap_fn *unmap);

/* An object of that size without pages, with one reference. -ENOMEM; -EINVAL: above VM_OBJECT_BYTES_MAX.
 * Context: task. */
int vm_object_create(uint64_t bytes, struct vm_object **out) MUST_USE;

/* Its pages count there from now on: right after it was created. */
static inline void vm_object_set_budget(struct vm_object *object, struct vm_object_budget *budget)
{
    vm_object_budget_get(budget);
    object->budget = budget;
}

/* The caller holds a reference. Context: any. Order: none. */
void vm_object_get(struct vm_object *object);

/* The last one frees the pages that nobody else refers to. Context: task, no spinlock from LOCK_OBJECT on held. */
void vm_object_put(struct vm_object *object);

/* Order: acquire. See above. */
static inline uint64_t vm_object_cuts(const struct vm_object *object)
{
    return load_acquire(&object->cuts); /* PAIRS(object_cut): whoever sees the count sees the smaller size */
}

/* Size in bytes, of that moment. */
uint64_t vm_object_bytes(struct vm_object *object);

/* Pages that exist, of that moment. */
uint64_t vm_object_page_count(struct vm_object *object);

/* The page at that index, with a reference for the caller; made and zeroed if there is none. -ENXIO: the object ends
 * below it. -ENOMEM; -ENOSPC: the budget is used up, or there is one and memory is short
 * (phys_is_short_for_kept()). O(levels). Context: task, no spinlock from LOCK_OBJECT on held. */
int vm_object_page(struct vm_object *object, uint64_t index, paddr_t *out_pa) MUST_USE;

/* The same, and all CPUs fetch what it holds, by hal_icache_sync() if need be: before the page becomes executable
 * somewhere. What is stored meanwhile may be fetched or not. */
int vm_object_code_page(struct vm_object *object, uint64_t index, paddr_t *out_pa) MUST_USE;

/* To be called by whoever has stored in the page at that index by the kernel's own address of it, when it is done. The
 * functions below do so themselves. Context: task, no spinlock from LOCK_OBJECT on held. */
void vm_object_stored(struct vm_object *object, uint64_t index);

/* vm_object_page(), but a page that does not exist is -ENOENT. */
int vm_object_peek(struct vm_object *object, uint64_t index, paddr_t *out_pa) MUST_USE;

/* The page at that index becomes this one, whose one reference is the caller's, and the object's from then on; it
 * counts as what the page allocator was told. -EEXIST: there is one; -ENXIO, -ENOMEM, -ENOSPC; the page stays the
 * caller's then. */
int vm_object_give_page(struct vm_object *object, uint64_t index, paddr_t page) MUST_USE;

/* Copy bytes at an offset; returns how many, fewer at the end of the object. Pages that do not exist read as zeros and
 * are not made. Context: task, no spinlock from LOCK_OBJECT on held. Excludes no other reader or writer. */
size_t vm_object_read(struct vm_object *object, uint64_t offset, void *to, size_t bytes);

/* The same into the object, which does not grow. Negative only if nothing was written: -ENOMEM,
 * -ENOSPC. Where a page is mapped
 * as code already, CPUs may go on executing what was there. */
int64_t vm_object_write(struct vm_object *object, uint64_t offset, const void *from, size_t bytes) MUST_USE;

/* Another size. What lies beyond the end is unmapped from all spaces, then forgotten; what is new reads as zeros.
 * -EINVAL: above VM_OBJECT_BYTES_MAX. Context: task, may sleep. */
int vm_object_resize(struct vm_object *object, uint64_t bytes) MUST_USE;

/* Bytes [*offset, end) read as zeros from now on, whoever maps them; pages that nobody maps and all of whose bytes are
 * meant are forgotten. Up to VM_OBJECT_ZERO_PAGES pages at a time: advances *offset, and is true when it is at the end.
 * The caller excludes resizes; whoever writes meanwhile is before or after. Context: task, may sleep. */
#define VM_OBJECT_ZERO_PAGES 64u
bool vm_object_zero(struct vm_object *object, uint64_t *offset, uint64_t end) MUST_USE;

/* From now on nobody maps it so that it can be written to. -EBUSY: somebody does (also who is just about to unmap it).
 * Context: task, may sleep. */
int vm_object_deny_writing(struct vm_object *object) MUST_USE;

/* For region.c: enter a region, which is stale, at region->object; take it out. -EPERM: it could write, and must not;
 * never of a part or a copy of a region that is there. Context: task, may sleep. */
int vm_object_attach(struct vm_object *object, struct region *region) MUST_USE;
void vm_object_detach(struct vm_object *object, struct region *region);
