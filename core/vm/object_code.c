/* SPDX-License-Identifier: MIT */
/*
 * Pages of an object that are executed. hal_icache_sync() is much work, and on some machines one that stops all CPUs;
 * and a program's pages come into one address space after the other as they were. So an object remembers of which of
 * its pages all CPUs fetch what they hold (`fetched` in its tree), until something is stored there again.
 *
 * What the kernel stores is told by vm_object_stored(), afterwards. The call of hal_icache_sync() is outside of the
 * lock, so `stores` says whether something may have been stored meanwhile; then nothing is remembered. What programs
 * store through a mapping is not seen: once somebody could, nothing is remembered of this object any more.
 */
#include <vm/object.h>

#include <hal/mmu.h>

#include "object_priv.h"

/* The node that has this page at this index, or NULL. */
static struct object_node *leaf_of_page_locked(struct vm_object *object, uint64_t index, paddr_t page)
    REQUIRES(object->lock)
{
    struct object_node *leaf = object_leaf_locked(object, index);

    return leaf != NULL && leaf->slot[object_digit(index, 1)].page == page ? leaf : NULL;
}

int vm_object_code_page(struct vm_object *object, uint64_t index, paddr_t *out_pa)
{
    uint64_t bit = UINT64_C(1) << object_digit(index, 1), stores;
    struct object_node *leaf;
    int error = vm_object_page(object, index, out_pa);

    if (error != 0)
        return error;
    spin_lock(&object->lock);
    leaf = leaf_of_page_locked(object, index, *out_pa);
    bool is_fetched = leaf != NULL && (leaf->fetched & bit) != 0 && !object->is_stored_by_programs;

    stores = object->stores;
    spin_unlock(&object->lock);
    if (is_fetched)
        return 0;
    hal_icache_sync(*out_pa, PAGE_BYTES);
    spin_lock(&object->lock);
    leaf = leaf_of_page_locked(object, index, *out_pa); /* the reference to it keeps it from being another one */
    if (leaf != NULL && object->stores == stores && !object->is_stored_by_programs) {
        leaf->fetched |= bit;
        object->has_fetched = true;
    }
    spin_unlock(&object->lock);
    return 0;
}

void vm_object_stored(struct vm_object *object, uint64_t index)
{
    spin_lock(&object->lock);
    object->stores++;
    if (object->has_fetched) {
        struct object_node *leaf = object_leaf_locked(object, index);

        if (leaf != NULL)
            leaf->fetched &= ~(UINT64_C(1) << object_digit(index, 1));
    }
    spin_unlock(&object->lock);
}
