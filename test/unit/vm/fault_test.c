/* SPDX-License-Identifier: MIT */
/* core/vm/fault.c: one access at a time, of each kind, to each state of a slot. */
#include "space_test.h"

#define BASE ((vaddr_t)0x40000000)

static unsigned prot_of(struct space *space, vaddr_t va)
{
    paddr_t pa;
    unsigned prot;

    assert_int_equal(pt_query(space->tlb.root, va, &pa, &prot), 0);
    return prot;
}

static paddr_t page_of(struct space *space, vaddr_t va)
{
    paddr_t pa;
    unsigned prot;

    assert_int_equal(pt_query(space->tlb.root, va, &pa, &prot), 0);
    return pa;
}

static void nothing_and_wrong_rights_are_errors(void **state)
{
    struct space *space = space_test_new_space();

    (void)state;
    assert_int_equal(space_fault(space, BASE, VM_READ), -EFAULT);
    assert_int_equal(space_fault(space, 0, VM_READ), -EFAULT);
    assert_int_equal(space_fault(space, HAL_USER_END - 1, VM_READ), -EFAULT);
    assert_int_equal(space_fault_current(HAL_USER_END, VM_READ), -EFAULT);
    (void)space_test_map(space, BASE, 1, VM_READ, 0);
    assert_int_equal(space_fault(space, BASE + PAGE_BYTES, VM_READ), -EFAULT);
    assert_int_equal(space_fault(space, BASE - 1, VM_READ), -EFAULT);
    assert_int_equal(space_fault(space, BASE, VM_WRITE), -EACCES);
    assert_int_equal(space_fault(space, BASE, VM_EXEC), -EACCES);
    assert_int_equal(space_fault(space, BASE + PAGE_BYTES - 1, VM_READ), 0);
    (void)space_test_map(space, BASE, 1, VM_WRITE, 0); /* what may be written can be read: there is no other page */
    assert_int_equal(space_fault(space, BASE, VM_READ), 0);
    space_test_drop_space(space);
}

static void memory_begins_as_zeros_and_is_ones_own(void **state)
{
    struct space *space = space_test_new_space();
    struct space_stats stats;

    (void)state;
    (void)space_test_map(space, BASE, 2, RW, 0);
    assert_int_equal(space_fault(space, BASE, VM_READ), 0);
    assert_int_equal(prot_of(space, BASE), PROT_USER | PROT_WRITE); /* no second fault for the store */
    assert_int_equal(phys_refs(page_of(space, BASE)), 1);
    assert_true(space_test_value(BASE) == 0 && space_test_store(BASE, 3));
    assert_int_equal(space_fault(space, BASE, VM_WRITE), 0); /* spurious: another CPU was faster */
    space_stats_get(space, &stats);
    assert_true(stats.spurious == 1 && stats.zeroed == 1 && stats.faults == 2);
    space_test_drop_space(space);
}

static void an_objects_page_is_shared_or_copied(void **state)
{
    struct space *space = space_test_new_space();
    struct vm_object *object = NULL;
    paddr_t page = 0;
    uint64_t word = 7;

    (void)state;
    assert_int_equal(vm_object_create(3 * PAGE_BYTES, &object), 0);
    assert_int_equal(vm_object_write(object, PAGE_BYTES, &word, sizeof word), sizeof word);
    assert_int_equal(vm_object_page(object, 1, &page), 0);
    (void)space_test_map_object(space, BASE, 2, RW, SPACE_SHARED, object, 1);
    (void)space_test_map_object(space, BASE + 2 * PAGE_BYTES, 2, RW, SPACE_PRIVATE, object, 1);
    assert_true(space_test_value(BASE) == 7 && page_of(space, BASE) == page);
    assert_int_equal(prot_of(space, BASE), PROT_USER | PROT_WRITE);
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 7 && page_of(space, BASE + 2 * PAGE_BYTES) == page);
    assert_int_equal(prot_of(space, BASE + 2 * PAGE_BYTES), PROT_USER);
    assert_int_equal(phys_refs(page), 4);

    assert_true(space_test_store(BASE + 2 * PAGE_BYTES + 8, 9)); /* copied */
    assert_true(page_of(space, BASE + 2 * PAGE_BYTES) != page && phys_refs(page) == 3);
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 7 && space_test_value(BASE + 8) == 0);
    assert_true(space_test_store(BASE, 8)); /* to the object */
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 7);
    assert_true(space_test_store(BASE + 3 * PAGE_BYTES, 5)); /* copied before it was ever read */
    assert_true(space_test_value(BASE + PAGE_BYTES) == 0);
    assert_int_equal(vm_object_read(object, PAGE_BYTES, &word, sizeof word), sizeof word);
    assert_true(word == 8);
    phys_put(page);
    vm_object_put(object);
    space_test_drop_space(space);
}

static void beyond_an_objects_end_is_another_error(void **state)
{
    struct space *space = space_test_new_space();
    struct vm_object *object = NULL;

    (void)state;
    assert_int_equal(vm_object_create(2 * PAGE_BYTES, &object), 0);
    (void)space_test_map_object(space, BASE, 4, RW, SPACE_SHARED, object, 0);
    (void)space_test_map_object(space, BASE + 8 * PAGE_BYTES, 4, RW, SPACE_PRIVATE, object, 0);
    assert_int_equal(space_fault(space, BASE + 2 * PAGE_BYTES, VM_READ), -ENXIO);
    assert_int_equal(space_fault(space, BASE + 10 * PAGE_BYTES, VM_WRITE), -ENXIO);
    assert_true(space_test_store(BASE + PAGE_BYTES, 1) && space_test_store(BASE + 9 * PAGE_BYTES, 2));
    assert_int_equal(vm_object_resize(object, PAGE_BYTES), 0);
    assert_false(space_test_store(BASE + PAGE_BYTES, 1) || space_test_store(BASE + 9 * PAGE_BYTES, 1));
    assert_int_equal(space_fault(space, BASE + PAGE_BYTES, VM_READ), -ENXIO);
    assert_int_equal(vm_object_resize(object, 4 * PAGE_BYTES), 0);
    assert_true(space_test_value(BASE + PAGE_BYTES) == 0 && space_test_value(BASE + 9 * PAGE_BYTES) == 0);
    assert_true(space_test_store(BASE + 3 * PAGE_BYTES, 1));
    vm_object_put(object);
    space_test_drop_space(space);
}

static void a_stack_grows_down_to_its_guard(void **state)
{
    struct space *space = space_test_new_space();
    vaddr_t floor = BASE + VM_STACK_GUARD_BYTES + PAGE_BYTES;
    vaddr_t stack = floor + 40 * PAGE_BYTES;
    struct space_stats stats;

    (void)state;
    (void)space_test_map(space, BASE, 1, RW, 0);
    (void)space_test_map(space, stack, 2, RW, SPACE_GROWS_DOWN);
    assert_true(space_test_store(stack - 8, 5)); /* the page below */
    assert_true(space_test_store(stack - 20 * PAGE_BYTES, 6));
    space_stats_get(space, &stats);
    assert_true(stats.regions == 2 && stats.mapped_bytes == 23 * PAGE_BYTES && stats.resident_pages == 2);
    assert_int_equal(space_fault(space, floor - 1, VM_WRITE), -EFAULT); /* jumped over the guard, or into it */
    assert_int_equal(space_fault(space, BASE + PAGE_BYTES, VM_WRITE), -EFAULT);
    assert_true(space_test_store(floor, 7) && space_test_value(stack - 8) == 5);
    /* Nobody else gets the guard. */
    struct space_request request = { .at = floor - PAGE_BYTES, .bytes = PAGE_BYTES, .flags = SPACE_PRIVATE };
    vaddr_t va = 0;

    assert_int_equal(space_map(space, &request, &va), 0);
    assert_true(va != request.at);
    space_test_drop_space(space);
}

static void a_stack_is_limited(void **state)
{
    struct space *space = space_test_new_space();
    vaddr_t end = BASE + 64 * PAGE_BYTES + VM_STACK_GUARD_BYTES;

    (void)state;
    space->stack_bytes_max = 16 * PAGE_BYTES;
    (void)space_test_map(space, end - PAGE_BYTES, 1, VM_READ, SPACE_GROWS_DOWN);
    assert_int_equal(space_fault(space, end - 16 * PAGE_BYTES - 1, VM_READ), -EFAULT);
    assert_int_equal(space_fault(space, end - 16 * PAGE_BYTES, VM_WRITE), -EACCES); /* it grows first */
    assert_int_equal(space_fault(space, end - 16 * PAGE_BYTES, VM_READ), 0);
    space_test_drop_space(space);
}

/* Each allocation of a fault fails in turn; then nothing has changed, and the next try works. */
static void every_failure_is_an_error(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        for (uint32_t nth = 1, fired = 1; fired; nth++) {
            struct space *space = space_test_new_space();
            struct space *child = NULL;
            struct vm_object *object = NULL;
            uint64_t word = 3;

            assert_int_equal(vm_object_create(PAGE_BYTES, &object), 0);
            (void)space_test_map(space, BASE, 1, RW, SPACE_GROWS_DOWN);
            (void)space_test_map_object(space, BASE + PAGE_BYTES, 1, RW, SPACE_PRIVATE, object, 0);
            if (kind == 2) {
                assert_true(space_test_store(BASE, 3));
                assert_int_equal(space_fork(space, &child), 0);
            }
            slab_reclaim_all();
            mm_fail_at(nth);
            int result = space_fault(space, BASE + (kind == 1) * PAGE_BYTES - (kind == 3) * PAGE_BYTES, VM_WRITE);

            fired = mm_fail_fired();
            failures += fired;
            assert_int_equal(result, fired ? -ENOMEM : 0);
            if (kind == 2)
                assert_true(space_test_load(BASE, &word) && word == 3);
            if (child != NULL)
                space_put(child);
            vm_object_put(object);
            space_test_drop_space(space);
        }
    }
    assert_true(failures >= 4 + 6 + 1 + 4);
}

static void running_out_is_an_error_and_leaves_the_reserve(void **state)
{
    struct space *space = space_test_new_space();
    uint64_t pages = SPACE_TEST_MEMORY_BYTES / PAGE_BYTES;
    uint64_t got = 0;
    int result = 0;

    (void)state;
    (void)space_test_map(space, BASE, pages, RW, 0);
    while (result == 0 && got < pages)
        result = space_fault(space, BASE + got++ * PAGE_BYTES, VM_WRITE);
    assert_int_equal(result, -ENOMEM);
    struct phys_stats stats;

    phys_stats_get(&stats);
    assert_true(stats.free_pages > 0 && stats.free_pages <= stats.reserve_pages);
    assert_int_equal(space_unmap(space, BASE, PAGE_BYTES * 100), 0);
    assert_int_equal(space_fault(space, BASE + got * PAGE_BYTES, VM_WRITE), 0);
    space_test_drop_space(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(nothing_and_wrong_rights_are_errors),
        space_test(memory_begins_as_zeros_and_is_ones_own),
        space_test(an_objects_page_is_shared_or_copied),
        space_test(beyond_an_objects_end_is_another_error),
        space_test(a_stack_grows_down_to_its_guard),
        space_test(a_stack_is_limited),
        space_test(every_failure_is_an_error),
        space_test(running_out_is_an_error_and_leaves_the_reserve),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
