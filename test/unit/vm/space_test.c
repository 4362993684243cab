/* SPDX-License-Identifier: MIT */
/* core/vm/space.c: what a new space shares with the kernel, who frees it, and forced failures. */
#include "space_test.h"

#include <mm/stats.h>

#define BASE ((vaddr_t)0x40000000)

static void a_new_space_has_the_kernels_half_and_nothing_else(void **state)
{
    struct space *space;
    const uint64_t *kernel = phys_to_virt(kspace_root());
    paddr_t pa;
    unsigned prot;

    (void)state;
    assert_int_equal(space_create(&space), 0);
    assert_memory_equal(phys_to_virt(space->tlb.root), kernel, PAGE_BYTES);
    assert_int_equal(pt_query(space->tlb.root, HAL_DIRECT_MAP_BASE + space->tlb.root, &pa, &prot), 0);
    assert_true(pa == space->tlb.root && (prot & PROT_USER) == 0);
    assert_int_equal(pt_query(space->tlb.root, 0x400000, &pa, &prot), -ENOENT);
    space_put(space);
}

static void what_the_kernel_maps_later_is_seen_by_all(void **state)
{
    struct space *space;
    vaddr_t va;
    paddr_t pa;
    unsigned prot;

    (void)state;
    assert_int_equal(space_create(&space), 0);
    assert_int_equal(kmap_alloc(3, &va), 0);
    assert_int_equal(pt_query(space->tlb.root, va, &pa, &prot), 0);
    kmap_free(va, 3);
    assert_int_equal(pt_query(space->tlb.root, va, &pa, &prot), -ENOENT);
    assert_memory_equal(phys_to_virt(space->tlb.root), phys_to_virt(kspace_root()), PAGE_BYTES);
    space_put(space);
}

static void the_last_reference_frees_the_space(void **state)
{
    struct space *space;
    uint64_t pages;

    (void)state;
    assert_int_equal(space_create(&space), 0);
    pages = space_test_free_pages();
    space_get(space);
    space_get(space);
    space_put(space);
    space_put(space);
    assert_true(space_test_free_pages() == pages);
    space_put(space);
    assert_true(space_test_free_pages() == mm_test_pages_before);
}

static void forced_failures_leave_nothing(void **state)
{
    uint32_t failures = 0;
    bool fired = true;

    (void)state;
    for (uint32_t nth = 1; fired; nth++) {
        struct space *space = NULL;
        int error;

        mm_fail_at(nth);
        error = space_create(&space);
        fired = mm_fail_fired();
        assert_int_equal(error, fired ? -ENOMEM : 0);
        failures += fired;
        if (error == 0)
            space_put(space);
        assert_true(space_test_free_pages() == mm_test_pages_before);
    }
    assert_int_equal(failures, 3); /* the object, its slab, the root */
}

static void put_too_often(void *arg)
{
    struct space copy;
    struct space *space = arg;

    copy.tlb.root = space->tlb.root;
    atomic_init(&copy.refs, 0);
    space_put(&copy);
}

static void get_from_the_dead(void *arg)
{
    struct space copy;

    (void)arg;
    atomic_init(&copy.refs, 0);
    space_get(&copy);
}

static void wrong_counts_panic(void **state)
{
    struct space *space;

    (void)state;
    assert_int_equal(space_create(&space), 0);
    assert_panics(put_too_often, space, "before > 0");
    assert_panics(get_from_the_dead, space, "before > 0");
    space_put(space);
}

static uint64_t pages_of_kind(enum mm_kind kind)
{
    struct mm_stats stats;

    mm_stats_get(&stats);
    return stats.pages[kind];
}

/* What is mapped, resident, parked, shared or huge when a space ends: all of it comes back. */
static void an_end_gives_everything_back(void **state)
{
    uint64_t tables = pages_of_kind(MM_TABLES);
    struct vm_object *object = NULL;
    struct space_stats stats;

    (void)state;
    assert_int_equal(vm_object_create(8 * PAGE_BYTES, &object), 0);
    space_set_huge(true);
    struct space *space = space_test_new_space();

    for (unsigned i = 0; i < 40; i++) /* far from each other: many tables */
        (void)space_test_map(space, BASE + (vaddr_t)i * 5 * 512 * PAGE_BYTES, 3, RW, SPACE_POPULATE);
    (void)space_test_map(space, BASE / 2, 1024, RW, SPACE_POPULATE);
    (void)space_test_map_object(space, BASE / 4, 8, RW, SPACE_SHARED | SPACE_POPULATE, object, 0);
    (void)space_test_map_object(space, BASE / 8, 8, RW, SPACE_PRIVATE | SPACE_POPULATE, object, 0);
    assert_int_equal(space_protect(space, BASE, 3 * PAGE_BYTES, 0), 0);
    space_stats_get(space, &stats);
    assert_true(stats.resident_pages == 120 + 1024 + 16 && stats.blocks == 2);
    vm_object_put(object);
    space_test_drop_space(space);
    assert_true(pages_of_kind(MM_TABLES) == tables);
}

static void questions_are_answered(void **state)
{
    struct space *space = space_test_new_space();
    struct space_region region;
    struct space_stats stats;

    (void)state;
    assert_true(space_current() == space);
    assert_int_equal(space_query(space, 0, &region), -ENOENT);
    (void)space_test_map(space, BASE, 2, VM_READ | VM_EXEC, 0);
    (void)space_test_map(space, BASE + 3 * PAGE_BYTES, 1, 0, SPACE_NO_HUGE);
    assert_int_equal(space_query(space, 0, &region), 0);
    assert_true(region.start == BASE && region.end == BASE + 2 * PAGE_BYTES);
    assert_true(region.rights == (VM_READ | VM_EXEC) && region.flags == 0 && !region.has_object);
    assert_int_equal(space_query(space, region.end, &region), 0);
    assert_true(region.start == BASE + 3 * PAGE_BYTES && region.rights == 0 && region.flags == VM_NO_HUGE);
    assert_int_equal(space_query(space, region.end, &region), -ENOENT);
    assert_true(space_test_load(BASE, &(uint64_t){ 0 }));
    space_stats_get(space, &stats);
    assert_true(stats.regions == 2 && stats.mapped_bytes == 3 * PAGE_BYTES && stats.resident_pages == 1);
    assert_true(stats.faults == 1 && stats.zeroed == 1 && stats.copied == 0);
    space_test_drop_space(space);
    assert_null(space_current());
    assert_int_equal(space_fault_current(BASE, VM_READ), -EFAULT);
}

/* Many regions: look-ups stay cheap, and the limit is one. */
static void regions_are_many_and_limited(void **state)
{
    struct space *space = space_test_new_space();
    struct space_request request = {
        .bytes = PAGE_BYTES, .rights = VM_READ, .flags = SPACE_PRIVATE | SPACE_FIXED_NOREPLACE,
    };
    vaddr_t va = 0;
    unsigned count = 0;
    int result = 0;

    (void)state;
    for (; result == 0; count += result == 0) {
        request.at = BASE + 2 * count * PAGE_BYTES;
        result = space_map(space, &request, &va);
    }
    assert_int_equal(result, -ENOMEM);
    assert_int_equal(count, VM_REGIONS_MAX);
    assert_int_equal(space_unmap(space, BASE, PAGE_BYTES), 0);
    assert_int_equal(space_map(space, &request, &va), 0);
    space_test_drop_space(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(a_new_space_has_the_kernels_half_and_nothing_else),
        space_test(what_the_kernel_maps_later_is_seen_by_all),
        space_test(the_last_reference_frees_the_space),
        space_test(forced_failures_leave_nothing),
        space_test(wrong_counts_panic),
        space_test(an_end_gives_everything_back),
        space_test(questions_are_answered),
        space_test(regions_are_many_and_limited),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
