/* SPDX-License-Identifier: MIT */
/* core/vm/remap.c: what was in memory is still there, wherever the mapping has gone, and nothing else is. */
#include "space_test.h"

#define AT ((vaddr_t)0x10000000)
#define TO ((vaddr_t)0x40000000)
#define MANY 700 /* pages: more than a span */

static int remap(struct space *space, vaddr_t at, size_t old, size_t pages, unsigned flags, vaddr_t to, vaddr_t *out)
{
    const struct space_remap request = {
        .at = at, .old_bytes = old * PAGE_BYTES, .bytes = pages * PAGE_BYTES, .flags = flags, .to = to,
    };

    *out = 0;
    return space_remap(space, &request, out);
}

static void fill(vaddr_t at, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        if (i % 3 != 2) /* holes among the slots, too */
            assert_true(space_test_store(at + i * PAGE_BYTES, 1000 + i));
}

static void check_filled(vaddr_t at, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        assert_int_equal(space_test_value(at + i * PAGE_BYTES), i % 3 != 2 ? 1000 + i : 0);
}

static bool is_mapped(vaddr_t at)
{
    uint64_t value;

    return space_test_load(at, &value);
}

static void it_shrinks_and_grows_in_place(void **state)
{
    struct space *space = space_test_new_space();
    vaddr_t va = 0;

    (void)state;
    (void)space_test_map(space, AT, 8, RW, 0);
    fill(AT, 8);
    assert_int_equal(remap(space, AT, 8, 5, 0, 0, &va), 0);
    assert_true(va == AT && !is_mapped(AT + 5 * PAGE_BYTES));
    assert_int_equal(remap(space, AT, 5, 9, 0, 0, &va), 0);
    assert_true(va == AT);
    check_filled(AT, 5);
    for (unsigned i = 5; i < 9; i++)
        assert_int_equal(space_test_value(AT + i * PAGE_BYTES), 0);
    (void)space_test_map(space, AT + 9 * PAGE_BYTES, 1, RW, SPACE_SHARED);
    assert_int_equal(remap(space, AT, 9, 10, 0, 0, &va), -ENOMEM);
    assert_int_equal(remap(space, AT, 9, 9, 0, 0, &va), 0);
    assert_true(va == AT);
    space_test_drop_space(space);
}

static void private_memory_moves_with_what_is_in_it(void **state)
{
    struct space *space = space_test_new_space();
    struct space_stats before, after;
    vaddr_t va = 0;

    (void)state;
    (void)space_test_map(space, AT, MANY, RW, 0);
    (void)space_test_map(space, AT + MANY * PAGE_BYTES, 1, RW, SPACE_SHARED);
    fill(AT, MANY);
    space_stats_get(space, &before);
    assert_int_equal(remap(space, AT, MANY, MANY + 10, SPACE_REMAP_MAY_MOVE, 0, &va), 0);
    assert_true(va != AT && !is_mapped(AT) && !is_mapped(AT + (MANY - 1) * PAGE_BYTES));
    space_stats_get(space, &after);
    assert_int_equal(after.resident_pages, before.resident_pages);
    assert_int_equal(after.mapped_bytes, before.mapped_bytes + 10 * PAGE_BYTES);
    check_filled(va, MANY);
    assert_int_equal(space_test_value(va + (MANY + 9) * PAGE_BYTES), 0);
    /* The middle of it, to a given place, shorter. */
    vaddr_t from = va;

    (void)space_test_map(space, TO, 4, RW, 0);
    assert_true(space_test_store(TO + 3 * PAGE_BYTES, 77));
    assert_int_equal(remap(space, from + 3 * PAGE_BYTES, 6, 3, SPACE_REMAP_MAY_MOVE | SPACE_REMAP_FIXED, TO, &va), 0);
    assert_true(va == TO && !is_mapped(from + 3 * PAGE_BYTES) && !is_mapped(from + 8 * PAGE_BYTES));
    assert_int_equal(space_test_value(TO), 1003);
    assert_int_equal(space_test_value(TO + PAGE_BYTES), 1004);
    assert_int_equal(space_test_value(TO + 3 * PAGE_BYTES), 77);
    assert_int_equal(space_test_value(from + 9 * PAGE_BYTES), 1009);
    space_test_drop_space(space);
}

static void shared_memory_moves_and_doubles(void **state)
{
    struct space *space = space_test_new_space();
    struct vm_object *object = NULL;
    vaddr_t va = 0, second = 0;

    (void)state;
    assert_int_equal(vm_object_create(4 * PAGE_BYTES, &object), 0);
    (void)space_test_map_object(space, AT, 3, RW, SPACE_SHARED, object, 1);
    vm_object_put(object);
    assert_true(space_test_store(AT + PAGE_BYTES, 5));
    assert_int_equal(remap(space, AT, 0, 3, SPACE_REMAP_MAY_MOVE, 0, &second), 0);
    assert_int_equal(space_test_value(second + PAGE_BYTES), 5);
    assert_int_equal(remap(space, AT + PAGE_BYTES, 2, 2, SPACE_REMAP_MAY_MOVE | SPACE_REMAP_FIXED, TO, &va), 0);
    assert_int_equal(space_test_value(TO), 5);
    assert_true(space_test_store(TO, 6) && !is_mapped(AT + PAGE_BYTES));
    assert_int_equal(space_test_value(second + PAGE_BYTES), 6);
    space_test_drop_space(space);
}

/* Private copies of an object's pages go along; untouched pages are the object's still; a cut reaches both. */
static void private_copies_of_a_file_move(void **state)
{
    struct space *space = space_test_new_space();
    struct vm_object *object = NULL;
    const uint64_t words[2] = { 11, 22 };
    vaddr_t va = 0;

    (void)state;
    assert_int_equal(vm_object_create(3 * PAGE_BYTES, &object), 0);
    assert_int_equal(vm_object_write(object, 0, &words[0], 8), 8);
    assert_int_equal(vm_object_write(object, PAGE_BYTES, &words[1], 8), 8);
    (void)space_test_map_object(space, AT, 3, RW, SPACE_PRIVATE, object, 0);
    assert_true(space_test_store(AT, 12));
    assert_int_equal(space_test_value(AT + PAGE_BYTES), 22);
    assert_int_equal(remap(space, AT, 3, 3, SPACE_REMAP_MAY_MOVE | SPACE_REMAP_FIXED, TO, &va), 0);
    assert_int_equal(space_test_value(TO), 12);
    assert_int_equal(space_test_value(TO + PAGE_BYTES), 22);
    assert_int_equal(vm_object_resize(object, PAGE_BYTES), 0);
    assert_true(is_mapped(TO) && !is_mapped(TO + PAGE_BYTES));
    vm_object_put(object);
    space_test_drop_space(space);
}

static void kept_memory_is_empty_afterwards(void **state)
{
    struct space *space = space_test_new_space();
    const unsigned flags = SPACE_REMAP_MAY_MOVE | SPACE_REMAP_KEEP;
    vaddr_t va = 0;

    (void)state;
    (void)space_test_map(space, AT, 6, RW, 0);
    fill(AT, 6);
    assert_int_equal(remap(space, AT, 6, 6, flags, 0, &va), 0);
    check_filled(va, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(space_test_value(AT + i * PAGE_BYTES), 0);
    assert_int_equal(remap(space, AT, 6, 7, flags, 0, &va), -EINVAL);
    (void)space_test_map(space, TO, 1, RW, SPACE_SHARED);
    assert_int_equal(remap(space, TO, 1, 1, flags, 0, &va), -EINVAL);
    space_test_drop_space(space);
}

static void damaged_requests_are_refused(void **state)
{
    struct space *space = space_test_new_space();
    const unsigned fixed = SPACE_REMAP_MAY_MOVE | SPACE_REMAP_FIXED;
    vaddr_t va = 0;

    (void)state;
    (void)space_test_map(space, AT, 4, RW, 0);
    assert_int_equal(remap(space, AT, 4, 4, 8, 0, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 4, 4, SPACE_REMAP_FIXED, TO, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 4, 0, 0, 0, &va), -EINVAL);
    assert_int_equal(remap(space, AT + 8, 4, 4, 0, 0, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 5, 6, 0, 0, &va), -EFAULT);
    assert_int_equal(remap(space, TO, 1, 2, 0, 0, &va), -EFAULT);
    assert_int_equal(remap(space, AT, 0, 2, SPACE_REMAP_MAY_MOVE, 0, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 4, 4, fixed, AT + PAGE_BYTES, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 4, 4, fixed, TO + 1, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 4, 4, fixed, HAL_USER_END, &va), -EINVAL);
    assert_int_equal(remap(space, AT, 4, (size_t)1 << 40, SPACE_REMAP_MAY_MOVE, 0, &va), -ENOMEM);
    space_test_drop_space(space);
}

/* Whatever allocation fails, the mapping is where it was, whole, or has moved. */
static void running_out_of_memory_moves_nothing(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 12; nth++) {
        struct space *space = space_test_new_space();
        vaddr_t va = 0;

        (void)space_test_map(space, AT, 10, RW, 0);
        fill(AT, 10);
        mm_fail_at(nth);
        int result = remap(space, AT + PAGE_BYTES, 8, 8, SPACE_REMAP_MAY_MOVE | SPACE_REMAP_FIXED, TO, &va);

        mm_fail_at(0);
        assert_true(result == 0 || result == -ENOMEM);
        vaddr_t where = result == 0 ? TO : AT + PAGE_BYTES;

        assert_int_equal(space_test_value(where), 1001);
        assert_int_equal(space_test_value(where + 7 * PAGE_BYTES), 0);
        assert_int_equal(space_test_value(where + 5 * PAGE_BYTES), 1006);
        assert_true(is_mapped(result == 0 ? AT + PAGE_BYTES : TO) == false);
        space_test_drop_space(space);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(it_shrinks_and_grows_in_place),
        space_test(private_memory_moves_with_what_is_in_it),
        space_test(shared_memory_moves_and_doubles),
        space_test(private_copies_of_a_file_move),
        space_test(kept_memory_is_empty_afterwards),
        space_test(damaged_requests_are_refused),
        space_test(running_out_of_memory_moves_nothing),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
