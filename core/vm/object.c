/* SPDX-License-Identifier: MIT */
/*
 * Memory objects. Owns the pages of each object, one reference per page, in a radix tree over their index
 * (object_tree.c). Refuses to know about page tables: what maps an object is asked to let go through a function that
 * the space registers.
 *
 * Locks: `lock` (LOCK_OBJECT) guards tree and size; pages and nodes are made and freed outside of it. The mutex
 * `change` guards the list of mappings, and lets one resize at a time go through its steps; it is taken first.
 */
#include <vm/object.h>

#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <vm/region.h>

#include "object_priv.h"

#define BATCH_PAGES 32 /* that one hold of the lock takes out */

static struct slab_cache object_cache;
static vm_object_unmap_fn *unmap_region RO_AFTER_INIT;

void vm_object_cache_init(void)
{
    slab_cache_init(&object_cache, "object", sizeof(struct vm_object), _Alignof(struct vm_object));
    object_nodes_init();
}

void vm_object_set_unmap(vm_object_unmap_fn *unmap)
{
    unmap_region = unmap;
}

/* ---- What it may have ---- */

/* One page more of its budget; false: there is none. */
static bool charge(struct vm_object *object)
{
    struct vm_object_budget *budget = object->budget;

    if (budget == NULL)
        return true;
    uint64_t used = load_relaxed(&budget->used);

    while (used < budget->max)
        if (cas_relaxed(&budget->used, &used, used + 1))
            return true;
    return false;
}

static void uncharge(struct vm_object *object, unsigned pages)
{
    if (object->budget != NULL)
        (void)fetch_sub_relaxed(&object->budget->used, pages);
}

/* Forget all pages from an index on. */
static void drop_pages(struct vm_object *object, uint64_t first)
{
    struct object_node *path[OBJECT_LEVELS_MAX + 1];
    paddr_t pages[BATCH_PAGES];
    unsigned count;

    do {
        struct object_node *dead = NULL;

        count = 0;
        spin_lock(&object->lock);
        while (count < BATCH_PAGES && object_find_locked(object, &first, path))
            pages[count++] = object_remove_locked(object, first, path, &dead);
        spin_unlock(&object->lock);
        for (unsigned i = 0; i < count; i++)
            phys_put(pages[i]);
        uncharge(object, count);
        object_nodes_free(&dead);
    } while (count == BATCH_PAGES);
}

/* ---- Life ---- */

int vm_object_create(uint64_t bytes, struct vm_object **out)
{
    struct vm_object *object;

    if (bytes > VM_OBJECT_BYTES_MAX)
        return -EINVAL;
    object = slab_alloc(&object_cache);
    if (object == NULL)
        return -ENOMEM;
    store_relaxed(&object->refs, 1);
    store_relaxed(&object->cuts, 0);
    object->budget = NULL;
    spin_init(&object->lock, LOCK_OBJECT);
    object->bytes = bytes;
    object->page_count = 0;
    object->root = NULL;
    object->height = 0;
    object->stores = 0;
    object->has_fetched = object->is_stored_by_programs = false;
    mutex_init(&object->change);
    object->denies_writing = false;
    list_init(&object->mappings);
    *out = object;
    return 0;
}

void vm_object_get(struct vm_object *object)
{
    uint32_t before = fetch_add_relaxed(&object->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

void vm_object_put(struct vm_object *object)
{
    /* PAIRS(object_ref): whatever the other holders did to the object happened before the last one frees it; one
     * operation is both ends, the release of those who leave and the acquire of who is last. */
    uint32_t before = fetch_sub_acq_rel(&object->refs, 1);

    ASSERT(before > 0);
    if (before > 1)
        return;
    ASSERT(list_is_empty(&object->mappings)); /* each region holds a reference */
    drop_pages(object, 0);
    if (object->budget != NULL)
        vm_object_budget_put(object->budget);
    slab_free(&object_cache, object);
}

/* Does it let somebody write to the object, now or after a change of rights? */
static bool may_write(const struct region *region)
{
    return (region->flags & (VM_SHARED | VM_NO_WRITE)) == VM_SHARED;
}

/* Out of line: most regions have no object, and are made and freed often. */
NOINLINE int vm_object_attach(struct vm_object *object, struct region *region)
{
    mutex_lock(&object->change);
    bool is_denied = object->denies_writing && may_write(region);

    if (!is_denied) {
        list_push_back(&object->mappings, &region->mapping_link);
        if (may_write(region)) {
            spin_lock(&object->lock);
            object->is_stored_by_programs = true;
            spin_unlock(&object->lock);
        }
    }
    mutex_unlock(&object->change);
    if (is_denied)
        return -EPERM;
    vm_object_get(object);
    return 0;
}

int vm_object_deny_writing(struct vm_object *object)
{
    int error = 0;

    mutex_lock(&object->change);
    list_for_each(node, &object->mappings)
        if (may_write(list_entry(node, struct region, mapping_link)))
            error = -EBUSY;
    if (error == 0)
        object->denies_writing = true;
    mutex_unlock(&object->change);
    return error;
}

NOINLINE void vm_object_detach(struct vm_object *object, struct region *region)
{
    mutex_lock(&object->change);
    list_remove(&region->mapping_link);
    mutex_unlock(&object->change);
    vm_object_put(object);
}

/* ---- Pages ---- */

static ALWAYS_INLINE uint64_t pages_of(uint64_t bytes)
{
    return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

uint64_t vm_object_bytes(struct vm_object *object)
{
    uint64_t bytes;

    spin_lock(&object->lock);
    bytes = object->bytes;
    spin_unlock(&object->lock);
    return bytes;
}

uint64_t vm_object_page_count(struct vm_object *object)
{
    uint64_t count;

    spin_lock(&object->lock);
    count = object->page_count;
    spin_unlock(&object->lock);
    return count;
}

/* What a page that is to be made takes, got outside of the lock. */
struct supplies {
    paddr_t page;
    unsigned nodes, nodes_wanted;
    struct object_node *spares;
    bool is_used;
};

static int gather(struct supplies *supplies)
{
    if (supplies->page == 0) {
        supplies->page = phys_alloc_user(0, MM_OBJECT);
        if (supplies->page == 0)
            return -ENOMEM;
        memset(phys_to_virt(supplies->page), 0, PAGE_BYTES);
    }
    for (; supplies->nodes < supplies->nodes_wanted; supplies->nodes++)
        if (!object_nodes_add(&supplies->spares))
            return -ENOMEM;
    return 0;
}

/* -ENOENT: there is none. */
static int get_page_locked(const struct vm_object *object, uint64_t index, paddr_t *out_pa)
    REQUIRES(object->lock)
{
    paddr_t page;

    if (index >= pages_of(object->bytes))
        return -ENXIO;
    page = object_lookup_locked(object, index);
    if (page == 0)
        return -ENOENT;
    phys_get(page);
    *out_pa = page;
    return 0;
}

/* One attempt to make a page; -EAGAIN: with these supplies it cannot be made. */
static int make_page(struct vm_object *object, uint64_t index, struct supplies *supplies, paddr_t *out_pa)
{
    int error;

    spin_lock(&object->lock);
    error = get_page_locked(object, index, out_pa); /* another CPU may have been faster */
    if (error == -ENOENT) {
        supplies->nodes_wanted = object_nodes_missing_locked(object, index);
        error = -EAGAIN;
        if (supplies->page != 0 && supplies->nodes >= supplies->nodes_wanted) {
            supplies->nodes -= supplies->nodes_wanted;
            object_insert_locked(object, index, supplies->page, &supplies->spares);
            phys_get(supplies->page);
            *out_pa = supplies->page;
            supplies->is_used = true;
            error = 0;
        }
    }
    spin_unlock(&object->lock);
    return error;
}

static NOINLINE int page_slow(struct vm_object *object, uint64_t index, paddr_t *out_pa)
{
    struct supplies supplies = {.page = 0};
    int error;

    bool is_short = object->budget != NULL && phys_is_short_for_kept(false);

    /* A page that somebody makes meanwhile has been paid for by them, and may be had. */
    if (is_short || !charge(object))
        return vm_object_peek(object, index, out_pa) == 0 ? 0 : -ENOSPC;
    /* Again only if others have taken nodes out of the tree since it was looked at. */
    while ((error = make_page(object, index, &supplies, out_pa)) == -EAGAIN) {
        error = gather(&supplies);
        if (error != 0)
            break;
    }
    if (!supplies.is_used)
        uncharge(object, 1);
    if (!supplies.is_used && supplies.page != 0)
        phys_put(supplies.page);
    object_nodes_free(&supplies.spares);
    return error;
}

int vm_object_give_page(struct vm_object *object, uint64_t index, paddr_t page)
{
    struct supplies supplies = {.page = page};
    paddr_t found;
    int error;

    if (!charge(object))
        return -ENOSPC;
    while ((error = make_page(object, index, &supplies, &found)) == -EAGAIN) {
        error = gather(&supplies);
        if (error != 0)
            break;
    }
    object_nodes_free(&supplies.spares);
    if (error == 0)
        phys_put(found); /* the reference that a look-up gives: the object has its own */
    if (supplies.is_used)
        return 0;
    uncharge(object, 1);
    return error != 0 ? error : -EEXIST;
}

int vm_object_peek(struct vm_object *object, uint64_t index, paddr_t *out_pa)
{
    int error;

    spin_lock(&object->lock);
    error = get_page_locked(object, index, out_pa);
    spin_unlock(&object->lock);
    return error;
}

int vm_object_page(struct vm_object *object, uint64_t index, paddr_t *out_pa)
{
    int error = vm_object_peek(object, index, out_pa);

    return error == -ENOENT ? page_slow(object, index, out_pa) : error;
}

/* ---- Bytes ---- */

/* Of [offset, offset + bytes), what lies below the end. */
static size_t clip(struct vm_object *object, uint64_t offset, size_t bytes)
{
    uint64_t size = vm_object_bytes(object);

    return offset < size ? (size_t)MIN(size - offset, (uint64_t)bytes) : 0;
}

size_t vm_object_read(struct vm_object *object, uint64_t offset, void *to, size_t bytes)
{
    size_t done = 0;

    bytes = clip(object, offset, bytes);
    while (done < bytes) {
        size_t from = (size_t)((offset + done) % PAGE_BYTES);
        size_t part = MIN(PAGE_BYTES - from, bytes - done);
        paddr_t page;
        int error = vm_object_peek(object, (offset + done) / PAGE_BYTES, &page);

        if (error == -ENXIO) /* it has become smaller meanwhile */
            break;
        if (error == 0) {
            memcpy((char *)to + done, (const char *)phys_to_virt(page) + from, part);
            phys_put(page);
        } else {
            memset((char *)to + done, 0, part);
        }
        done += part;
    }
    return done;
}

int64_t vm_object_write(struct vm_object *object, uint64_t offset, const void *from, size_t bytes)
{
    size_t done = 0;

    bytes = clip(object, offset, bytes);
    while (done < bytes) {
        size_t at = (size_t)((offset + done) % PAGE_BYTES);
        size_t part = MIN(PAGE_BYTES - at, bytes - done);
        paddr_t page;
        int error = vm_object_page(object, (offset + done) / PAGE_BYTES, &page);

        if ((error == -ENOMEM || error == -ENOSPC) && done == 0)
            return error;
        if (error != 0)
            break;
        memcpy((char *)phys_to_virt(page) + at, (const char *)from + done, part);
        vm_object_stored(object, (offset + done) / PAGE_BYTES);
        phys_put(page);
        done += part;
    }
    return (int64_t)done;
}

/* ---- Size ---- */

/* Zero the last page from the end of the object on: programs that map it may write there, and nobody is to see that
 * once the object has grown. */
static void zero_tail(struct vm_object *object, uint64_t bytes)
{
    size_t used = (size_t)(bytes % PAGE_BYTES);
    paddr_t page;

    if (used == 0 || vm_object_peek(object, bytes / PAGE_BYTES, &page) != 0)
        return;
    memset((char *)phys_to_virt(page) + used, 0, PAGE_BYTES - used);
    vm_object_stored(object, bytes / PAGE_BYTES);
    phys_put(page);
}

static void cut_mappings(struct vm_object *object, uint64_t first, uint64_t count)
{
    list_for_each(node, &object->mappings) {
        ASSERT(unmap_region != NULL);
        unmap_region(list_entry(node, struct region, mapping_link), first, count);
    }
}

static void shrink(struct vm_object *object, uint64_t bytes, uint64_t old_bytes)
{
    uint64_t first = pages_of(bytes), count = pages_of(old_bytes) - first;

    spin_lock(&object->lock);
    object->bytes = bytes;
    spin_unlock(&object->lock);
    if (count > 0) {
        /* PAIRS(object_cut): whoever installs a page after its tables have been looked at sees that it must not. */
        store_release(&object->cuts, load_relaxed(&object->cuts) + 1);
        cut_mappings(object, first, count);
        drop_pages(object, first);
    }
    zero_tail(object, bytes);
}

/* The first page of [*index, last] that exists: *out_page, and *index behind it. False: there is none. It is out of
 * the object, and the caller's, if that and nobody else refers to it and all of it is to go; else it has a reference
 * more. */
static bool take_for_zeros(struct vm_object *object, uint64_t *index, uint64_t last, uint64_t first_whole,
                           uint64_t end_whole, paddr_t *out_page)
{
    struct object_node *path[OBJECT_LEVELS_MAX + 1], *dead = NULL;
    bool is_alone = false;

    spin_lock(&object->lock);
    bool is_there = object_find_locked(object, index, path) && *index <= last;

    if (is_there) {
        *out_page = path[1]->slot[object_digit(*index, 1)].page;
        /* A reference of somebody else came from the tree, under the lock, or from another one. */
        is_alone = *index >= first_whole && *index < end_whole && phys_refs(*out_page) == 1;
        if (is_alone)
            (void)object_remove_locked(object, *index, path, &dead);
        else
            phys_get(*out_page);
    }
    spin_unlock(&object->lock);
    (*index)++;
    object_nodes_free(&dead);
    if (is_alone)
        uncharge(object, 1);
    return is_there;
}

bool vm_object_zero(struct vm_object *object, uint64_t *offset, uint64_t end)
{
    uint64_t index = *offset / PAGE_BYTES, first_whole = pages_of(*offset);
    paddr_t page;

    for (unsigned left = VM_OBJECT_ZERO_PAGES; *offset < end; left--) {
        if (left == 0)
            return false;
        if (!take_for_zeros(object, &index, (end - 1) / PAGE_BYTES, first_whole, end / PAGE_BYTES, &page)) {
            *offset = end;
            break;
        }
        uint64_t page_at = (index - 1) * PAGE_BYTES, from = MAX(*offset, page_at) - page_at;
        uint64_t to = MIN(end - page_at, (uint64_t)PAGE_BYTES);

        memset((char *)phys_to_virt(page) + from, 0, (size_t)(to - from));
        vm_object_stored(object, index - 1);
        phys_put(page);
        *offset = page_at + to;
    }
    return true;
}

int vm_object_resize(struct vm_object *object, uint64_t bytes)
{
    uint64_t old_bytes;

    if (bytes > VM_OBJECT_BYTES_MAX)
        return -EINVAL;
    mutex_lock(&object->change);
    old_bytes = vm_object_bytes(object);
    if (bytes < old_bytes) {
        shrink(object, bytes, old_bytes);
    } else if (bytes > old_bytes) {
        zero_tail(object, old_bytes);
        spin_lock(&object->lock);
        object->bytes = bytes;
        spin_unlock(&object->lock);
    }
    mutex_unlock(&object->change);
    return 0;
}
