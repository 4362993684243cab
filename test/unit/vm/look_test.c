/* SPDX-License-Identifier: MIT */
/* core/vm/look.c: which pages are there, and whether a range is mapped. */
#include "space_test.h"

#define AT ((vaddr_t)0x10000000)

static void pages_are_there_once_they_were_touched(void **state)
{
    struct space *space = space_test_new_space();
    struct vm_object *object = NULL;
    const uint64_t value = 1;
    uint8_t out[4];

    (void)state;
    assert_int_equal(vm_object_create(2 * PAGE_BYTES, &object), 0);
    (void)space_test_map(space, AT, 2, RW, 0);
    (void)space_test_map_object(space, AT + 2 * PAGE_BYTES, 2, RW, SPACE_SHARED, object, 0);
    assert_true(space_test_store(AT + PAGE_BYTES, 1));
    assert_int_equal(vm_object_write(object, 0, &value, sizeof value), sizeof value);
    vm_object_put(object);
    assert_int_equal(space_look(space, AT, 4, out), 0);
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == 1 && out[3] == 0);
    assert_int_equal(space_look(space, AT, 5, out), -ENOMEM);
    assert_int_equal(space_look(space, AT + 1, 1, out), -EINVAL);
    space_test_drop_space(space);
}

static void a_hole_is_seen(void **state)
{
    struct space *space = space_test_new_space();

    (void)state;
    (void)space_test_map(space, AT, 2, 0, 0);
    (void)space_test_map(space, AT + 3 * PAGE_BYTES, 1, RW, 0);
    assert_true(space_is_mapped(space, AT, 2 * PAGE_BYTES) && !space_is_mapped(space, AT, 3 * PAGE_BYTES));
    assert_false(space_is_mapped(space, AT + PAGE_BYTES, 3 * PAGE_BYTES));
    assert_false(space_is_mapped(space, AT, 0));
    assert_false(space_is_mapped(space, AT, HAL_USER_END));
    space_test_drop_space(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        space_test(pages_are_there_once_they_were_touched),
        space_test(a_hole_is_seen),
    };

    return cmocka_run_group_tests(tests, space_test_boot, space_test_shutdown);
}
