/* SPDX-License-Identifier: MIT */
/*
 * The life of address spaces: a root with the kernel's half in place, who needs it, what is counted, and giving all
 * back at the end. What guards what is in vm/space.h.
 */
#include "vm_priv.h"

#include <hal/user.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kspace.h>
#include <mm/slab.h>
#include <mm/stats.h>
#include <sched/task.h>

static struct slab_cache space_cache;

static struct {
    bool use_huge; /* written at boot */
} vm;

static paddr_t table_alloc(void)
{
    paddr_t table = phys_alloc_zeroed(0);

    if (table != 0)
        mm_stat_add(MM_TABLES, 1);
    return table;
}

static void table_free(paddr_t table)
{
    mm_stat_add(MM_TABLES, -1);
    phys_free(table, 0);
}

const struct pt_alloc space_pt_alloc = { .alloc = table_alloc, .free = table_free };

/* What a user root starts as: a copy of the kernel's, whose own user half is empty and whose entries never change. */
static paddr_t shared_root(void)
{
    return HAL_PT_SHARED_ROOT ? kspace_root() : 0;
}

static paddr_t root_alloc(void)
{
    paddr_t root;

    if (shared_root() == 0)
        return table_alloc();
    root = phys_alloc(0);
    if (root != 0) {
        memcpy(phys_to_virt(root), phys_to_virt(shared_root()), PAGE_BYTES);
        mm_stat_add(MM_TABLES, 1);
    }
    return root;
}

/* Objects have lost pages: core/vm/object.c calls this for each region that maps them. */
static void forget_pages(struct region *region, uint64_t first, uint64_t count)
{
    uint64_t below = region->offset >> PAGE_SHIFT;
    uint64_t pages = (region->end - region->start) >> PAGE_SHIFT;
    uint64_t from = first > below ? first - below : 0;
    uint64_t to = first + count > below ? MIN(first + count - below, pages) : 0;
    struct walk walk;

    if (from >= to)
        return;
    walk_begin(&walk, region->space, region->start + (from << PAGE_SHIFT), region->start + (to << PAGE_SHIFT));
    walk.region = region;
    walk_clear(&walk);
    walk_end(&walk);
}

void space_init(void)
{
    slab_cache_init(&space_cache, "space", sizeof(struct space), _Alignof(struct space));
    region_cache_init();
    vm_object_cache_init();
    vm_object_set_unmap(forget_pages);
}

void space_set_huge(bool use_huge)
{
    vm.use_huge = use_huge;
}

int space_create(struct space **out)
{
    struct space *space = slab_alloc(&space_cache);
    paddr_t root;

    if (space == NULL)
        return -ENOMEM;
    root = root_alloc();
    if (root == 0) {
        slab_free(&space_cache, space);
        return -ENOMEM;
    }
    memset(space, 0, sizeof *space);
    tlb_space_init(&space->tlb, root);
    store_relaxed(&space->refs, 1);
    space->uses_huge = vm.use_huge && HAL_PT_LEAF_LEVEL_MAX > 0;
    mutex_init(&space->change);
    spin_init(&space->regions_lock, LOCK_SPACE);
    region_tree_init(&space->regions, SPACE_ADDRESS_MIN, ROUND_DOWN(HAL_USER_END, PAGE_BYTES));
    for (unsigned i = 0; i < SPACE_TABLE_LOCKS; i++)
        spin_init(&space->tables[i].lock, LOCK_TABLES);
    space->stack_bytes_max = SPACE_STACK_BYTES_MAX;
    space->map_top = ROUND_DOWN(HAL_USER_END, PAGE_BYTES) - space->stack_bytes_max - VM_STACK_GUARD_BYTES;
    *out = space;
    return 0;
}

void space_get(struct space *space)
{
    uint32_t before = fetch_add_relaxed(&space->refs, 1);

    ASSERT(before > 0);
    ASSERT(before < UINT32_MAX);
}

/* Objects that shrink still visit regions that they know of, until these are put: so that comes first. */
static void drop_regions(struct space *space)
{
    struct region *region = NULL;

    while ((region = region_first(&space->regions)) != NULL) {
        spin_lock(&space->regions_lock);
        region_remove(&space->regions, region);
        spin_unlock(&space->regions_lock);
        region_put(region);
    }
}

/*
 * All slots that are not empty lie in regions. Those that touch are one range: a block may reach from one into the next
 * (rights that came do not split it). Objects that shrink meanwhile empty slots of the same regions under the same
 * locks.
 */
static void clear_regions(struct space *space)
{
    const struct region *region = region_first(&space->regions);
    struct walk walk;

    walk_begin(&walk, space, 0, 0);
    while (region != NULL) {
        vaddr_t start = region->start, end;

        do {
            end = region->end;
            region = region_next(region);
        } while (region != NULL && region->start == end);
        walk_move(&walk, start, end);
        walk_clear(&walk);
    }
    walk_end(&walk);
}

static void destroy(struct space *space)
{
    clear_regions(space);
    drop_regions(space);
    ASSERT(load_relaxed(&space->counts.resident_pages) == 0);
    tlb_space_fini(&space->tlb);
    pt_free_tables(space->tlb.root, shared_root(), &space_pt_alloc);
    space_pt_alloc.free(space->tlb.root);
    slab_free(&space_cache, space);
}

void space_put(struct space *space)
{
    /* PAIRS(space_ref): whatever the other holders did to the space happened before the last one frees it; one
     * operation is both ends, the release of those who leave and the acquire of who is last. */
    uint32_t before = fetch_sub_acq_rel(&space->refs, 1);

    ASSERT(before > 0);
    if (before == 1)
        destroy(space);
}

struct space *space_current(void)
{
    struct tlb_space *tlb = current_task()->space;

    return tlb != NULL ? space_of_tlb(tlb) : NULL;
}

int space_range_check(vaddr_t va, size_t bytes, vaddr_t *out_end)
{
    vaddr_t limit = ROUND_DOWN(HAL_USER_END, PAGE_BYTES);

    if (!IS_ALIGNED(va, PAGE_BYTES) || bytes == 0 || va >= limit || bytes > limit - va)
        return -EINVAL;
    *out_end = va + ROUND_UP(bytes, PAGE_BYTES);
    return 0;
}

int space_query(struct space *space, vaddr_t va, struct space_region *out)
{
    int result = -ENOENT;

    spin_lock(&space->regions_lock);
    const struct region *region = region_find_at_or_above(&space->regions, va);

    if (region != NULL) {
        *out = (struct space_region){
            .start = region->start,
            .end = region->end,
            .rights = region->rights,
            .flags = region->flags,
            .has_object = region->object != NULL,
            .object = region->object,
            .offset = region->offset,
        };
        result = 0;
    }
    spin_unlock(&space->regions_lock);
    return result;
}

int space_shared_place(struct space *space, vaddr_t va, struct vm_object **out_object, uint64_t *out_offset)
{
    int result = -EFAULT;

    *out_object = NULL;
    spin_lock(&space->regions_lock);
    const struct region *region = region_find(&space->regions, va);

    if (region != NULL && region->rights != 0) {
        result = 0;
        if ((region->flags & VM_SHARED) != 0 && region->object != NULL) {
            *out_object = region->object;
            *out_offset = region->offset + (va - region->start);
            vm_object_get(region->object);
        }
    }
    spin_unlock(&space->regions_lock);
    return result;
}

void space_stats_get(struct space *space, struct space_stats *out)
{
    struct space_counts *counts = &space->counts;

    spin_lock(&space->regions_lock);
    out->regions = region_tree_count(&space->regions);
    out->mapped_bytes = region_tree_bytes(&space->regions);
    out->data_bytes = region_tree_data_bytes(&space->regions);
    spin_unlock(&space->regions_lock);
    out->resident_pages = load_relaxed(&counts->resident_pages);
    out->zeroed = load_relaxed(&counts->zeroed);
    out->copied = load_relaxed(&counts->copied);
    out->taken_over = load_relaxed(&counts->taken_over);
    out->given = load_relaxed(&counts->given);
    out->spurious = load_relaxed(&counts->spurious);
    out->blocks = load_relaxed(&counts->blocks);
    out->faults = out->zeroed + out->copied + out->taken_over + out->given + out->spurious + out->blocks;
    out->splits = load_relaxed(&counts->splits);
}
