/* SPDX-License-Identifier: MIT */
/*
 * User address spaces: a root with the kernel's half in place, and who still needs it. Owns the tables below the user's
 * half. Lock: none yet, because nothing maps user pages; the reference count is atomic.
 */
#include <vm/space.h>

#include <hal/mmu.h>
#include <k/assert.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kspace.h>
#include <mm/pagetable.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <vm/object.h>
#include <vm/region.h>

static struct slab_cache space_cache;

static paddr_t table_alloc(void)
{
    return phys_alloc_zeroed(0);
}

static void table_free(paddr_t table)
{
    phys_free(table, 0);
}

static const struct pt_alloc user_tables = {.alloc = table_alloc, .free = table_free};

/* What a user root starts as: a copy of the kernel's, whose own user half is empty and whose entries never change. */
static paddr_t shared_root(void)
{
    return HAL_PT_SHARED_ROOT ? kspace_root() : 0;
}

void space_init(void)
{
    slab_cache_init(&space_cache, "space", sizeof(struct space), _Alignof(struct space));
    region_cache_init();
    vm_object_cache_init();
}

int space_create(struct space **out)
{
    struct space *space = slab_alloc(&space_cache);

    if (space == NULL)
        return -ENOMEM;
    space->root = user_tables.alloc();
    if (space->root == 0) {
        slab_free(&space_cache, space);
        return -ENOMEM;
    }
    if (shared_root() != 0)
        memcpy(phys_to_virt(space->root), phys_to_virt(shared_root()), PAGE_BYTES);
    store_relaxed(&space->refs, 1);
    *out = space;
    return 0;
}

void space_get(struct space *space)
{
    uint32_t before = fetch_add_relaxed(&space->refs, 1);

    ASSERT(before > 0);
    ASSERT(before < UINT32_MAX);
}

void space_put(struct space *space)
{
    /* PAIRS(space_ref): whatever the other holders did to the space happened before the last one frees it; one
     * operation is both ends, the release of those who leave and the acquire of who is last. */
    uint32_t before = fetch_sub_acq_rel(&space->refs, 1);

    ASSERT(before > 0);
    if (before > 1)
        return;
    pt_free_tables(space->root, shared_root(), &user_tables);
    user_tables.free(space->root);
    slab_free(&space_cache, space);
}
