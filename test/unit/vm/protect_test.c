/* SPDX-License-Identifier: MIT */
/* core/vm/protect.c: rights that go are gone, rights that come are found, advice, and the heap. */
#include "space_test.h"

#define BASE ((vaddr_t)0x40000000)
#define HEAP ((vaddr_t)0x50000123)

static void rights_go_at_once_and_come_by_faults(void **state)
{
    struct space *space = space_test_new_space();
    struct space_stats stats;

    (void)state;
    (void)space_test_map(space, BASE, 4, RW, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(space_test_store(BASE + i * PAGE_BYTES, 10 + i));
    assert_int_equal(space_protect(space, BASE + PAGE_BYTES, 2 * PAGE_BYTES, VM_READ), 0);
    assert_false(space_test_store(BASE + PAGE_BYTES, 0) || space_test_store(BASE + 2 * PAGE_BYTES, 0));
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 12 && space_test_store(BASE + 3 * PAGE_BYTES, 13));
    assert_int_equal(space_fault(space, BASE + PAGE_BYTES, VM_WRITE), -EACCES);
    assert_int_equal(space_fault(space, BASE + PAGE_BYTES, VM_EXEC), -EACCES);

    assert_int_equal(space_protect(space, BASE, 4 * PAGE_BYTES, 0), 0);
    space_stats_get(space, &stats);
    assert_true(stats.resident_pages == 4 && stats.regions == 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_false(space_test_store(BASE + i * PAGE_BYTES, 0));
        assert_int_equal(space_fault(space, BASE + i * PAGE_BYTES, VM_READ), -EACCES);
    }
    assert_int_equal(space_protect(space, BASE, 4 * PAGE_BYTES, RW), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(space_test_value(BASE + i * PAGE_BYTES) == 10 + i && space_test_store(BASE + i * PAGE_BYTES, 20));
    space_test_drop_space(space);
}

static void a_page_may_run_where_its_region_says_so(void **state)
{
    struct space *space = space_test_new_space();
    paddr_t pa;
    unsigned prot;

    (void)state;
    (void)space_test_map(space, BASE, 1, RW, 0);
    assert_true(space_test_store(BASE, 1));
    assert_int_equal(space_protect(space, BASE, PAGE_BYTES, VM_READ | VM_EXEC), 0);
    assert_int_equal(space_fault(space, BASE, VM_EXEC), 0);
    assert_int_equal(pt_query(space->tlb.root, BASE, &pa, &prot), 0);
    assert_int_equal(prot, PROT_USER | PROT_EXEC);
    assert_int_equal(space_protect(space, BASE, PAGE_BYTES, RW), 0);
    assert_int_equal(pt_query(space->tlb.root, BASE, &pa, &prot), 0);
    assert_int_equal(prot, PROT_USER);
    assert_int_equal(space_fault(space, BASE, VM_EXEC), -EACCES);
    space_test_drop_space(space);
}

static void a_hole_or_a_bad_range_changes_nothing(void **state)
{
    struct space *space = space_test_new_space();

    (void)state;
    (void)space_test_map(space, BASE, 1, RW, 0);
    (void)space_test_map(space, BASE + 2 * PAGE_BYTES, 1, RW, 0);
    assert_int_equal(space_protect(space, BASE, 3 * PAGE_BYTES, VM_READ), -ENOMEM);
    assert_true(space_test_store(BASE, 1) && space_test_store(BASE + 2 * PAGE_BYTES, 1));
    assert_int_equal(space_protect(space, BASE - PAGE_BYTES, 2 * PAGE_BYTES, VM_READ), -ENOMEM);
    assert_int_equal(space_protect(space, BASE + 1, 1, VM_READ), -EINVAL);
    assert_int_equal(space_protect(space, BASE, 0, VM_READ), -EINVAL);
    assert_int_equal(space_protect(space, BASE, SIZE_MAX, VM_READ), -EINVAL);
    assert_int_equal(space_protect(space, BASE, PAGE_BYTES, 8), -EINVAL);
    space_test_drop_space(space);
}

static void every_failure_leaves_the_rights(void **state)
{
    struct space *space = space_test_new_space();
    unsigned failures = 0;

    (void)state;
    (void)space_test_map(space, BASE, 6, RW, SPACE_POPULATE);
    for (uint32_t nth = 1;; nth++) {
        slab_reclaim_all();
        mm_fail_at(nth);
        int result = space_protect(space, BASE + 2 * PAGE_BYTES, 2 * PAGE_BYTES, VM_READ);

        if (!mm_fail_fired()) {
            assert_int_equal(result, 0);
            break;
        }
        failures++;
        assert_int_equal(result, -ENOMEM);
        assert_true(space_test_store(BASE + 2 * PAGE_BYTES, nth));
    }
    assert_true(failures >= 3); /* the regions that come: three */
    assert_false(space_test_store(BASE + 2 * PAGE_BYTES, 1));
    space_test_drop_space(space);
}

static void advice_forgets(void **state)
{
    struct space *space = space_test_new_space();
    struct vm_object *object = NULL;
    uint64_t word = 5;

    (void)state;
    assert_int_equal(vm_object_create(2 * PAGE_BYTES, &object), 0);
    assert_int_equal(vm_object_write(object, 0, &word, sizeof word), sizeof word);
    (void)space_test_map(space, BASE, 2, RW, 0);
    (void)space_test_map_object(space, BASE + 2 * PAGE_BYTES, 1, RW, SPACE_PRIVATE, object, 0);
    assert_true(space_test_store(BASE, 1) && space_test_store(BASE + PAGE_BYTES, 2));
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 5 && space_test_store(BASE + 2 * PAGE_BYTES, 6));
    assert_int_equal(space_advise(space, BASE, 3 * PAGE_BYTES, SPACE_FREE), -EINVAL);
    assert_true(space_test_value(BASE) == 1);
    assert_int_equal(space_advise(space, BASE, PAGE_BYTES, SPACE_FREE), 0);
    assert_true(space_test_value(BASE) == 0 && space_test_value(BASE + PAGE_BYTES) == 2);
    assert_int_equal(space_advise(space, BASE, 3 * PAGE_BYTES, SPACE_DONTNEED), 0);
    assert_true(space_test_value(BASE + PAGE_BYTES) == 0 && space_test_value(BASE + 2 * PAGE_BYTES) == 5);
    assert_int_equal(space_advise(space, BASE + PAGE_BYTES, 8 * PAGE_BYTES, SPACE_DONTNEED), -ENOMEM);
    assert_int_equal(space_advise(space, BASE, PAGE_BYTES, (enum space_advice)99), -EINVAL);
    assert_int_equal(space_advise(space, BASE, 0, SPACE_DONTNEED), -EINVAL);
    assert_int_equal(space_advise(space, BASE, 8 * PAGE_BYTES, SPACE_USE_HUGE), -ENOMEM);
    assert_int_equal(space_advise(space, BASE, PAGE_BYTES, SPACE_USE_HUGE), 0);
    vm_object_put(object);
    space_test_drop_space(space);
}

static vaddr_t brk_is(struct space *space, vaddr_t end, int expected)
{
    vaddr_t now = 0;

    assert_int_equal(space_brk(space, end, &now), expected);
    return now;
}

static void the_heap_grows_and_shrinks(void **state)
{
    struct space *space = space_test_new_space();
    struct space_stats stats;

    (void)state;
    assert_true(brk_is(space, HEAP, -EINVAL) == 0);
    assert_int_equal(space_set_heap(space, 4096), -EINVAL);
    assert_int_equal(space_set_heap(space, HEAP), 0);
    assert_int_equal(space_set_heap(space, HEAP), -EINVAL);
    assert_true(brk_is(space, 0, 0) == HEAP);
    assert_true(brk_is(space, HEAP - 1, -EINVAL) == HEAP);
    assert_true(brk_is(space, HEAP + 10, 0) == HEAP + 10); /* less than a page: the last one is not full yet */
    assert_true(brk_is(space, HEAP + 10 * PAGE_BYTES, 0) == HEAP + 10 * PAGE_BYTES);
    vaddr_t first = ROUND_UP(HEAP, PAGE_BYTES);

    assert_true(space_test_store(first, 1) && space_test_store(first + 9 * PAGE_BYTES, 2));
    assert_false(space_test_store(first + 10 * PAGE_BYTES, 1));
    assert_true(brk_is(space, HEAP + 20 * PAGE_BYTES, 0) == HEAP + 20 * PAGE_BYTES);
    space_stats_get(space, &stats);
    assert_true(stats.regions == 1 && stats.mapped_bytes == 20 * PAGE_BYTES);
    assert_true(space_test_value(first) == 1);
    assert_true(brk_is(space, HEAP + PAGE_BYTES, 0) == HEAP + PAGE_BYTES);
    assert_false(space_test_store(first + 9 * PAGE_BYTES, 1));
    assert_true(brk_is(space, HEAP + 20 * PAGE_BYTES, 0) == HEAP + 20 * PAGE_BYTES);
    assert_true(space_test_value(first) == 1 && space_test_value(first + 9 * PAGE_BYTES) == 0);
    (void)space_test_map(space, first + 25 * PAGE_BYTES, 1, RW, 0);
    assert_true(brk_is(space, HEAP + 30 * PAGE_BYTES, -ENOMEM) == HEAP + 20 * PAGE_BYTES);
    assert_true(brk_is(space, UINTPTR_MAX, -ENOMEM) == HEAP + 20 * PAGE_BYTES);
    assert_true(brk_is(space, HEAP, 0) == HEAP);
    space_test_drop_space(space);
}

static void the_heap_keeps_off_the_guard_of_a_stack(void **state)
{
    struct space *space = space_test_new_space();
    vaddr_t stack = ROUND_UP(HEAP, PAGE_BYTES) + VM_STACK_GUARD_BYTES + 4 * PAGE_BYTES;

    (void)state;
    assert_int_equal(space_set_heap(space, HEAP), 0);
    (void)space_test_map(space, stack, 1, RW, SPACE_GROWS_DOWN);
    assert_true(brk_is(space, HEAP + 4 * PAGE_BYTES, 0) == HEAP + 4 * PAGE_BYTES);
    assert_true(brk_is(space, HEAP + 5 * PAGE_BYTES, -ENOMEM) == HEAP + 4 * PAGE_BYTES);
    space_test_drop_space(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(rights_go_at_once_and_come_by_faults),
        space_test(a_page_may_run_where_its_region_says_so),
        space_test(a_hole_or_a_bad_range_changes_nothing),
        space_test(every_failure_leaves_the_rights),
        space_test(advice_forgets),
        space_test(the_heap_grows_and_shrinks),
        space_test(the_heap_keeps_off_the_guard_of_a_stack),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
