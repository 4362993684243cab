/* SPDX-License-Identifier: MIT */
/* core/vm/space.c: what a new space shares with the kernel, who frees it, and forced failures. */
#include "../mm/mm_test.h"

#include <k/errno.h>
#include <vm/space.h>

static int enter(void **state)
{
    (void)mm_test_boot(state);
    space_init();
    return 0;
}

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

static paddr_t table(void)
{
    return phys_alloc_zeroed(0);
}

static void the_last_reference_frees_the_tables(void **state)
{
    const struct pt_alloc tables = {.alloc = table};
    struct space *space;
    uint64_t with_tables;

    (void)state;
    assert_int_equal(space_create(&space), 0);
    /* The reserved half's borders and its middle. */
    assert_int_equal(pt_map(space->tlb.root, 0x1000, 0x5000, PAGE_BYTES, PROT_USER, &tables), 0);
    assert_int_equal(pt_map(space->tlb.root, 0x40000000, 0x40000000, (size_t)3 << 30, PROT_USER, &tables), 0);
    assert_int_equal(pt_map(space->tlb.root, (vaddr_t)0x7ff << 30, 0x5000, PAGE_BYTES, PROT_USER, &tables), 0);
    with_tables = mm_test_free_pages();
    space_get(space);
    space_get(space);
    space_put(space);
    space_put(space);
    assert_true(mm_test_free_pages() == with_tables);
    space_put(space);
    slab_reclaim_all();
    assert_true(mm_test_free_pages() == mm_test_pages_before);
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
        slab_reclaim_all();
        assert_true(mm_test_free_pages() == mm_test_pages_before);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(a_new_space_has_the_kernels_half_and_nothing_else),
        mm_test(what_the_kernel_maps_later_is_seen_by_all),
        mm_test(the_last_reference_frees_the_tables),
        mm_test(forced_failures_leave_nothing),
        mm_test(wrong_counts_panic),
    };

    return cmocka_run_group_tests(tests, enter, mm_test_shutdown);
}
