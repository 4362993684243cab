/* SPDX-License-Identifier: MIT */
/*
 * Costs of regions and objects, counted as bench.c does: what a map and an unmap take without page tables, and how a
 * search grows with the number of regions.
 */
#include <mm/phys.h>
#include <time/clock.h>
#include <vm/object.h>
#include <vm/region.h>

#include "bench.h"
#include "check.h"

#define ROUNDS 1000u
#define LOW ((vaddr_t)1 << 30)
#define HIGH ((vaddr_t)1 << 46)

/* A third of the places are free, and too small for two pages. */
static void fill(struct region_tree *tree, unsigned count)
{
    region_tree_init(tree, LOW, HIGH);
    for (unsigned i = 0; i < count; i++) {
        vaddr_t start = HIGH - (vaddr_t)(i + 1) * 3 * PAGE_BYTES;
        struct region_spec spec = { .start = start, .end = start + 2 * PAGE_BYTES, .rights = VM_READ };
        struct region *region;

        if (!CHECK(region_create(&spec, &region) == 0))
            return;
        region_insert(tree, region);
    }
}

static void empty(struct region_tree *tree)
{
    struct region *region;

    while ((region = region_first(tree)) != NULL) {
        region_remove(tree, region);
        region_put(region);
    }
}

static void find(const char *name, unsigned count)
{
    struct region_tree tree;
    uint64_t random = 1, start, idle;
    uintptr_t sum = 0;

    fill(&tree, count);
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        sum += random_next(&random) % ((vaddr_t)count * 3) * PAGE_BYTES;
    idle = clock_ns() - start;
    random = 1;
    start = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        sum += (uintptr_t)region_find(&tree, HIGH - 1 - random_next(&random) % ((vaddr_t)count * 3) * PAGE_BYTES);
    bench_report(name, clock_ns() - start - idle, ROUNDS);
    CHECK(sum != 0);
    empty(&tree);
}

static void gap(const char *name, unsigned count)
{
    struct region_tree tree;
    const struct region_gap wanted = {
        .bytes = 2 * PAGE_BYTES, .align = PAGE_BYTES, .low = LOW, .high = HIGH, .is_top_down = true,
    };
    vaddr_t va;
    int error = 0;

    fill(&tree, count);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        error |= region_find_gap(&tree, &wanted, &va);
    CHECK(error == 0);
    bench_report(name, clock_ns() - start, ROUNDS);
    empty(&tree);
}

/* A page next to the lowest region, or below all: a place for it, in, and out again. */
static int map_and_unmap_once(struct region_tree *tree, struct region_gap *wanted, unsigned rights)
{
    struct region_spec spec = { .start = LOW, .rights = rights };
    struct region_change change;
    int error = wanted != NULL ? region_find_gap(tree, wanted, &spec.start) : 0;

    spec.end = spec.start + PAGE_BYTES;
    error |= region_change_map(&change, tree, &spec, NULL);
    region_change_commit(&change);
    region_change_finish(&change);
    error |= region_change_cut(&change, tree, spec.start, spec.end);
    region_change_commit(&change);
    region_change_finish(&change);
    return error;
}

static void map_and_unmap(const char *name, unsigned count, bool is_searched, unsigned rights)
{
    struct region_tree tree;
    struct region_gap wanted = {
        .bytes = PAGE_BYTES, .align = PAGE_BYTES, .low = LOW, .high = HIGH - (vaddr_t)count * 3 * PAGE_BYTES,
        .is_top_down = true,
    };
    int error;

    fill(&tree, count);
    error = map_and_unmap_once(&tree, &wanted, rights); /* it may make a slab */
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        error |= map_and_unmap_once(&tree, is_searched ? &wanted : NULL, rights);
    bench_report(name, clock_ns() - start, ROUNDS);
    CHECK(error == 0);
    empty(&tree);
}

void bench_region_find(void)
{
    find("region_find_10", 10);
    find("region_find_100", 100);
    find("region_find_1000", 1000);
    find("region_find_10000", 10000);
}

void bench_region_gap(void)
{
    gap("region_gap_10", 10);
    gap("region_gap_100", 100);
    gap("region_gap_1000", 1000);
    gap("region_gap_10000", 10000);
}

/* What of the above is memory for the region, and its first words. */
static void bench_region_object(void)
{
    const struct region_spec spec = { .start = LOW, .end = HIGH };
    struct region *region;
    int error = region_create(&spec, &region);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        region_put(region);
        error |= region_create(&spec, &region);
    }
    bench_report("region_create_put", clock_ns() - start, ROUNDS);
    CHECK(error == 0);
    region_put(region);
}

void bench_region_map(void)
{
    bench_region_object();
    map_and_unmap("region_map_unmap_10", 10, false, VM_READ | VM_WRITE);
    map_and_unmap("region_map_unmap_1000", 1000, false, VM_READ | VM_WRITE);
    map_and_unmap("region_gap_map_unmap_10", 10, true, VM_READ | VM_WRITE);
    map_and_unmap("region_gap_map_unmap_1000", 1000, true, VM_READ | VM_WRITE);
    map_and_unmap("region_gap_map_unmap_merged_10", 10, true, VM_READ);
}

/* A page that is there, and one that is made. */
void bench_object_page(void)
{
    struct vm_object *object;
    paddr_t pa;

    if (!CHECK(vm_object_create(ROUNDS * PAGE_BYTES, &object) == 0))
        return;
    for (unsigned round = 0; round < 2; round++) {
        uint64_t start = clock_ns();

        for (unsigned i = 0; i < ROUNDS; i++)
            if (vm_object_page(object, i, &pa) == 0)
                phys_put(pa);
        bench_report(round == 0 ? "object_page_made" : "object_page_found", clock_ns() - start, ROUNDS);
    }
    CHECK(vm_object_page_count(object) == ROUNDS);
    vm_object_put(object);
}
