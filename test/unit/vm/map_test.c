/* SPDX-License-Identifier: MIT */
/* core/vm/map.c: what a request may ask for, where it goes, what gives way to it; a failure changes nothing. */
#include "space_test.h"

#define BASE ((vaddr_t)0x40000000)
#define LIMIT ROUND_DOWN(HAL_USER_END, PAGE_BYTES)

static int try_map(struct space *space, struct space_request request, vaddr_t *out_va)
{
    return space_map(space, &request, out_va);
}

static void requests_are_checked(void **state)
{
    const struct {
        struct space_request request;
        int expected;
    } table[] = {
        { { .bytes = 0, .flags = SPACE_PRIVATE }, -EINVAL },
        { { .bytes = 1 }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_PRIVATE | SPACE_SHARED }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_PRIVATE | 0x1000 }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_PRIVATE, .rights = 8 }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_PRIVATE | SPACE_HUGE | SPACE_NO_HUGE }, -EINVAL },
        { { .at = BASE, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED | SPACE_FIXED_NOREPLACE }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_SHARED | SPACE_GROWS_DOWN }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_PRIVATE, .offset = 1 }, -EINVAL },
        { { .bytes = 1, .flags = SPACE_PRIVATE, .offset = 0 - (uint64_t)PAGE_BYTES }, -EOVERFLOW },
        { { .bytes = 1, .flags = SPACE_PRIVATE, .offset = VM_OBJECT_BYTES_MAX }, -EOVERFLOW },
        { { .at = BASE + 1, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, -EINVAL },
        { { .at = 0, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, -EPERM },
        { { .at = SPACE_ADDRESS_MIN - PAGE_BYTES, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, -EPERM },
        { { .at = SPACE_ADDRESS_MIN, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, 0 },
        { { .bytes = SIZE_MAX, .flags = SPACE_PRIVATE }, -ENOMEM },
        { { .bytes = LIMIT, .flags = SPACE_PRIVATE }, -ENOMEM },
        { { .at = LIMIT - PAGE_BYTES, .bytes = PAGE_BYTES, .flags = SPACE_PRIVATE | SPACE_FIXED }, 0 },
        { { .at = LIMIT - PAGE_BYTES, .bytes = PAGE_BYTES + 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, -ENOMEM },
        { { .at = LIMIT, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, -ENOMEM },
        { { .at = UINTPTR_MAX - PAGE_BYTES + 1, .bytes = 1, .flags = SPACE_PRIVATE | SPACE_FIXED }, -ENOMEM },
    };
    struct space *space = space_test_new_space();

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        vaddr_t va = 0;
        int result = try_map(space, table[i].request, &va);

        if (result != table[i].expected)
            fail_msg("row %zu: %d, not %d", i, result, table[i].expected);
    }
    space_test_drop_space(space);
}

static void unmap_ranges_are_checked(void **state)
{
    struct space *space = space_test_new_space();

    (void)state;
    assert_int_equal(space_unmap(space, BASE, 0), -EINVAL);
    assert_int_equal(space_unmap(space, BASE + 1, PAGE_BYTES), -EINVAL);
    assert_int_equal(space_unmap(space, LIMIT, PAGE_BYTES), -EINVAL);
    assert_int_equal(space_unmap(space, LIMIT - PAGE_BYTES, PAGE_BYTES + 1), -EINVAL);
    assert_int_equal(space_unmap(space, BASE, SIZE_MAX), -EINVAL);
    assert_int_equal(space_unmap(space, BASE, SIZE_MAX - BASE + 1), -EINVAL);
    assert_int_equal(space_unmap(space, BASE, 1), 0); /* nothing there */
    assert_int_equal(space_unmap(space, 0, LIMIT), 0);
    (void)space_test_map(space, BASE, 2, RW, 0);
    (void)space_test_map(space, BASE + 4 * PAGE_BYTES, 2, RW, 0);
    assert_int_equal(space_unmap(space, BASE + PAGE_BYTES, 4 * PAGE_BYTES), 0); /* a hole in the middle */
    assert_true(space_test_store(BASE, 1) && space_test_store(BASE + 5 * PAGE_BYTES, 1));
    assert_false(space_test_store(BASE + PAGE_BYTES, 1) || space_test_store(BASE + 4 * PAGE_BYTES, 1));
    space_test_drop_space(space);
}

static void mappings_go_top_down_and_hints_are_honoured(void **state)
{
    struct space *space = space_test_new_space();
    vaddr_t first, second, third;

    (void)state;
    space_set_map_top(space, BASE + 123);
    first = space_test_map(space, 0, 2, RW, 0);
    assert_true(first == BASE - 2 * PAGE_BYTES);
    second = space_test_map(space, 0, 1, VM_READ, 0);
    assert_true(second == first - PAGE_BYTES);
    assert_int_equal(space_unmap(space, first, PAGE_BYTES), 0);
    third = space_test_map(space, 0, 1, VM_READ, 0);
    assert_true(third == first);

    struct space_request request = { .at = BASE + 5 * PAGE_BYTES + 7, .bytes = 1, .flags = SPACE_PRIVATE };
    vaddr_t va = 0;

    assert_int_equal(space_map(space, &request, &va), 0);
    assert_true(va == BASE + 6 * PAGE_BYTES);
    request.at = BASE + 6 * PAGE_BYTES;
    assert_int_equal(space_map(space, &request, &va), 0);
    assert_true(va == second - PAGE_BYTES);
    request.at = UINTPTR_MAX;
    assert_int_equal(space_map(space, &request, &va), 0);
    assert_true(va == second - 2 * PAGE_BYTES);
    /* Below the top there is no room for it: anywhere, then. */
    request.bytes = BASE;
    assert_int_equal(space_map(space, &request, &va), 0);
    assert_true(va > BASE);
    space_test_drop_space(space);
}

static void fixed_mappings_replace_or_refuse(void **state)
{
    struct space *space = space_test_new_space();
    struct space_request request = {
        .at = BASE + PAGE_BYTES, .bytes = PAGE_BYTES, .rights = RW, .flags = SPACE_PRIVATE | SPACE_FIXED_NOREPLACE,
    };
    vaddr_t va = 0;

    (void)state;
    (void)space_test_map(space, BASE, 3, RW, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(space_test_store(BASE + i * PAGE_BYTES, i + 1));
    assert_int_equal(space_map(space, &request, &va), -EEXIST);
    request.flags = SPACE_PRIVATE | SPACE_FIXED;
    assert_int_equal(space_map(space, &request, &va), 0);
    assert_true(space_test_value(BASE) == 1 && space_test_value(BASE + PAGE_BYTES) == 0);
    assert_true(space_test_value(BASE + 2 * PAGE_BYTES) == 3);
    request.at = BASE + 3 * PAGE_BYTES;
    request.flags = SPACE_PRIVATE | SPACE_FIXED_NOREPLACE;
    assert_int_equal(space_map(space, &request, &va), 0);
    space_test_drop_space(space);
}

static void shared_zeros_have_an_object_of_their_own(void **state)
{
    struct space *space = space_test_new_space();
    vaddr_t va = space_test_map(space, BASE, 2, RW, SPACE_SHARED);
    struct space_region region;

    (void)state;
    assert_int_equal(space_query(space, va, &region), 0);
    assert_true(region.has_object && region.offset == 0 && (region.flags & VM_SHARED) != 0);
    assert_true(space_test_store(va + PAGE_BYTES, 4) && space_test_value(va + PAGE_BYTES) == 4);
    assert_int_equal(space_advise(space, va, 2 * PAGE_BYTES, SPACE_DONTNEED), 0);
    assert_true(space_test_value(va + PAGE_BYTES) == 4); /* the object still has it */
    space_test_drop_space(space);
}

static void populate_and_pin_fault_everything_in(void **state)
{
    struct space *space = space_test_new_space();
    struct space_stats stats;

    (void)state;
    (void)space_test_map(space, BASE, 20, RW, SPACE_POPULATE);
    space_stats_get(space, &stats);
    assert_true(stats.resident_pages == 20 && stats.faults == 20);
    (void)space_test_map(space, BASE + (20 * PAGE_BYTES), 5, VM_READ, 0);
    assert_int_equal(space_pin(space, BASE, 25 * PAGE_BYTES), 0);
    space_stats_get(space, &stats);
    assert_true(stats.resident_pages == 25 && stats.regions == 2);
    assert_int_equal(space_pin(space, BASE, 26 * PAGE_BYTES), -ENOMEM);
    assert_int_equal(space_pin(space, BASE - PAGE_BYTES, PAGE_BYTES), -ENOMEM);
    assert_int_equal(space_pin(space, BASE + 1, 1), -EINVAL);
    space_test_drop_space(space);
}

/* Each allocation of a call is made to fail in turn: then it says -ENOMEM, and all is as before. */
static void every_failure_leaves_all_as_it_was(void **state)
{
    struct space *space = space_test_new_space();
    struct space_request request = {
        .at = BASE + 8 * PAGE_BYTES, .bytes = 8 * PAGE_BYTES, .rights = VM_READ, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    unsigned failures = 0;
    vaddr_t va = 0;

    (void)state;
    for (unsigned shared = 0; shared < 2; shared++) {
        request.flags = SPACE_FIXED | (shared ? SPACE_SHARED : SPACE_PRIVATE);
        for (uint32_t nth = 1;; nth++) {
            slab_reclaim_all();
            (void)space_test_map(space, BASE, 24, RW, SPACE_POPULATE);
            assert_true(space_test_store(BASE + 9 * PAGE_BYTES, 77));
            mm_fail_at(nth);
            int result = space_map(space, &request, &va);

            if (!mm_fail_fired()) {
                assert_int_equal(result, 0);
                break;
            }
            failures++;
            assert_int_equal(result, -ENOMEM);
            assert_true(space_test_value(BASE + 9 * PAGE_BYTES) == 77 && space_test_store(BASE + 15 * PAGE_BYTES, 1));
            mm_fail_at(1);
            assert_int_equal(space_unmap(space, BASE + 9 * PAGE_BYTES, PAGE_BYTES), -ENOMEM);
            assert_true(mm_fail_fired());
            assert_true(space_test_value(BASE + 9 * PAGE_BYTES) == 77);
        }
        assert_false(space_test_store(BASE + 9 * PAGE_BYTES, 1));
        assert_true(space_test_value(BASE + 9 * PAGE_BYTES) == 0);
    }
    assert_true(failures >= 6);
    space_test_drop_space(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(requests_are_checked),
        space_test(unmap_ranges_are_checked),
        space_test(mappings_go_top_down_and_hints_are_honoured),
        space_test(fixed_mappings_replace_or_refuse),
        space_test(shared_zeros_have_an_object_of_their_own),
        space_test(populate_and_pin_fault_everything_in),
        space_test(every_failure_leaves_all_as_it_was),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
