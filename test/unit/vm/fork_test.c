/* SPDX-License-Identifier: MIT */
/* core/vm/fork.c: who sees whose stores, what is shared, and that a fork that fails was none. */
#include "space_test.h"

#define BASE ((vaddr_t)0x40000000)

static paddr_t page_of(struct space *space, vaddr_t va)
{
    paddr_t pa;
    unsigned prot;

    assert_int_equal(pt_query(space->tlb.root, va, &pa, &prot), 0);
    return pa;
}

static struct space *fork_of(struct space *space)
{
    struct space *child = NULL;

    assert_int_equal(space_fork(space, &child), 0);
    return child;
}

static void both_sides_have_their_own_from_the_first_store_on(void **state)
{
    struct space *parent = space_test_new_space();
    struct space_stats stats;

    (void)state;
    (void)space_test_map(parent, BASE, 4, RW, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(space_test_store(BASE + i * PAGE_BYTES, 10 + i));
    struct space *child = fork_of(parent);

    assert_true(page_of(parent, BASE) == page_of(child, BASE) && phys_refs(page_of(child, BASE)) == 2);
    assert_true(space_test_store(BASE, 20)); /* the parent's */
    assert_true(page_of(parent, BASE) != page_of(child, BASE) && phys_refs(page_of(child, BASE)) == 1);
    space_test_enter_space(child);
    assert_true(space_test_value(BASE) == 10 && space_test_value(BASE + PAGE_BYTES) == 11);
    assert_true(space_test_store(BASE + PAGE_BYTES, 31) && space_test_store(BASE, 30));
    assert_true(space_test_value(BASE + 3 * PAGE_BYTES) == 0 && space_test_store(BASE + 3 * PAGE_BYTES, 33));
    space_stats_get(child, &stats);
    assert_true(stats.copied == 1 && stats.taken_over == 1 && stats.zeroed == 1 && stats.resident_pages == 4);
    space_test_enter_space(parent);
    assert_true(space_test_value(BASE) == 20 && space_test_value(BASE + PAGE_BYTES) == 11);
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 12 && space_test_value(BASE + 3 * PAGE_BYTES) == 0);
    space_put(child);
    assert_true(space_test_store(BASE + 2 * PAGE_BYTES, 42)); /* alone with it again: no copy */
    space_stats_get(parent, &stats);
    assert_true(stats.copied == 1 && stats.taken_over >= 1);
    space_test_drop_space(parent);
}

static void shared_memory_stays_shared(void **state)
{
    struct space *parent = space_test_new_space();

    (void)state;
    (void)space_test_map(parent, BASE, 2, RW, SPACE_SHARED);
    assert_true(space_test_store(BASE, 1));
    struct space *child = fork_of(parent);

    assert_true(space_test_store(BASE, 2) && space_test_store(BASE + PAGE_BYTES, 3));
    space_test_enter_space(child);
    assert_true(space_test_value(BASE) == 2 && space_test_value(BASE + PAGE_BYTES) == 3);
    assert_true(space_test_store(BASE, 4));
    space_test_enter_space(parent);
    assert_true(space_test_value(BASE) == 4);
    space_test_enter_space(child);
    space_put(parent);
    assert_true(space_test_value(BASE) == 4);
    space_test_drop_space(child);
}

/* What is parked is shared, too; the heap and the rest of what a space knows come along. */
static void everything_else_comes_along(void **state)
{
    struct space *parent = space_test_new_space();
    struct space_region region;
    vaddr_t end = 0;

    (void)state;
    assert_int_equal(space_set_heap(parent, BASE + (1 << 20)), 0);
    assert_int_equal(space_brk(parent, BASE + (1 << 20) + 3 * PAGE_BYTES, &end), 0);
    space_set_map_top(parent, BASE);
    (void)space_test_map(parent, BASE, 2, RW, 0);
    assert_true(space_test_store(BASE, 1) && space_test_store(BASE + (1 << 20), 2));
    assert_int_equal(space_protect(parent, BASE, 2 * PAGE_BYTES, 0), 0);
    struct space *child = fork_of(parent);

    space_test_enter_space(child);
    assert_int_equal(space_query(child, 0, &region), 0);
    assert_true(region.start == BASE && region.end == BASE + 2 * PAGE_BYTES && region.rights == 0);
    assert_int_equal(space_protect(child, BASE, 2 * PAGE_BYTES, RW), 0);
    assert_true(space_test_value(BASE) == 1 && space_test_store(BASE, 5));
    assert_int_equal(space_brk(child, BASE + (1 << 20) + 2 * PAGE_BYTES, &end), 0);
    assert_true(space_test_value(BASE + (1 << 20)) == 2);
    assert_true(space_test_map(child, 0, 1, RW, 0) == BASE - PAGE_BYTES);
    space_test_enter_space(parent);
    assert_int_equal(space_brk(parent, 0, &end), 0);
    assert_true(end == BASE + (1 << 20) + 3 * PAGE_BYTES);
    assert_int_equal(space_protect(parent, BASE, 2 * PAGE_BYTES, RW), 0);
    assert_true(space_test_value(BASE) == 1);
    space_put(child);
    space_test_drop_space(parent);
}

static void an_object_that_shrinks_is_cut_from_both(void **state)
{
    struct space *parent = space_test_new_space();
    struct vm_object *object = NULL;

    (void)state;
    assert_int_equal(vm_object_create(4 * PAGE_BYTES, &object), 0);
    (void)space_test_map_object(parent, BASE, 4, RW, SPACE_PRIVATE, object, 0);
    assert_true(space_test_store(BASE + PAGE_BYTES, 1) && space_test_value(BASE + 2 * PAGE_BYTES) == 0);
    struct space *child = fork_of(parent);

    assert_int_equal(vm_object_resize(object, PAGE_BYTES), 0);
    assert_int_equal(space_fault(parent, BASE + PAGE_BYTES, VM_READ), -ENXIO);
    assert_int_equal(space_fault(child, BASE + PAGE_BYTES, VM_READ), -ENXIO);
    assert_int_equal(space_fault(child, BASE + 2 * PAGE_BYTES, VM_READ), -ENXIO);
    assert_int_equal(space_fault(child, BASE, VM_READ), 0);
    vm_object_put(object);
    space_put(child);
    space_test_drop_space(parent);
}

static void every_failure_leaves_the_parent_as_it_was(void **state)
{
    struct space *parent = space_test_new_space();
    struct space *child = NULL;
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < 5; i++) { /* tables of all levels */
        vaddr_t va = BASE + ((vaddr_t)i << 30) + i * 512 * PAGE_BYTES;

        (void)space_test_map(parent, va, 3, RW, SPACE_POPULATE);
        assert_true(space_test_store(va, i));
    }
    (void)space_test_map(parent, BASE / 2, 3, RW, SPACE_SHARED | SPACE_POPULATE);
    for (uint32_t nth = 1;; nth++) {
        uint64_t pages = space_test_free_pages();

        mm_fail_at(nth);
        int result = space_fork(parent, &child);

        if (!mm_fail_fired()) {
            assert_int_equal(result, 0);
            break;
        }
        failures++;
        assert_int_equal(result, -ENOMEM);
        assert_true(space_test_free_pages() == pages);
        for (unsigned i = 0; i < 5; i++)
            assert_true(space_test_value(BASE + ((vaddr_t)i << 30) + i * 512 * PAGE_BYTES) == i);
        assert_true(space_test_store(BASE, 0) && space_test_free_pages() == pages);
    }
    assert_true(failures > 15);
    space_put(child);
    space_test_drop_space(parent);
}

/* A fork costs by table page: how often it steps on the machine says so. */
static void the_cost_is_by_table_not_by_byte(void **state)
{
    struct space *parent = space_test_new_space();
    uint64_t pages;

    (void)state;
    (void)space_test_map(parent, BASE, 4 * 512, RW, SPACE_POPULATE);
    pages = space_test_free_pages();
    struct space *child = fork_of(parent);

    /* Its root, two tables above, four tables, and a slab or two. */
    assert_true(pages - space_test_free_pages() <= 12);
    space_put(child);
    space_test_drop_space(parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(both_sides_have_their_own_from_the_first_store_on),
        space_test(shared_memory_stays_shared),
        space_test(everything_else_comes_along),
        space_test(an_object_that_shrinks_is_cut_from_both),
        space_test(every_failure_leaves_the_parent_as_it_was),
        space_test(the_cost_is_by_table_not_by_byte),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
