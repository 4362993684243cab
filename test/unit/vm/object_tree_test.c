/* SPDX-License-Identifier: MIT */
/*
 * core/vm/object_tree.c: nodes are counted before they are needed, and come back when they are empty. Its look-ups and
 * searches at all heights: object_test.c.
 */
#include "vm_test.h"

#include "object_priv.h"

static const uint64_t indices[] = { 0, 63, 64, 4095, 4096, UINT64_C(1) << 30, (UINT64_C(1) << 51) - 2 };

static unsigned length(const struct object_node *chain)
{
    unsigned nodes = 0;

    for (; chain != NULL; chain = chain->slot[0].child)
        nodes++;
    return nodes;
}

static void an_insertion_takes_the_nodes_that_it_was_said_to(void **state)
{
    struct object_node *spares = NULL, *dead = NULL, *path[OBJECT_LEVELS_MAX + 1];
    struct vm_object *object;
    uint64_t index = 0;

    (void)state;
    assert_int_equal(vm_object_create(VM_OBJECT_BYTES_MAX, &object), 0);
    for (unsigned i = 0; i < 40; i++)
        assert_true(object_nodes_add(&spares));
    spin_lock(&object->lock);
    for (size_t i = 0; i < ARRAY_COUNT(indices); i++) {
        unsigned before = length(spares), missing = object_nodes_missing_locked(object, indices[i]);

        assert_true(object_lookup_locked(object, indices[i]) == 0);
        object_insert_locked(object, indices[i], (i + 1) * PAGE_BYTES, &spares);
        assert_int_equal(before - length(spares), missing);
        assert_true(object_lookup_locked(object, indices[i]) == (i + 1) * PAGE_BYTES);
        assert_true((object_leaf_locked(object, indices[i])->fetched >> object_digit(indices[i], 1) & 1) == 0);
        object_leaf_locked(object, indices[i])->fetched |= UINT64_C(1) << object_digit(indices[i], 1);
    }
    assert_int_equal(object->page_count, ARRAY_COUNT(indices));
    /* One of two in a node: what was said of it goes with it. */
    assert_true(object_find_locked(object, &index, path) && index == 0);
    assert_true(object_remove_locked(object, index, path, &dead) == PAGE_BYTES && dead == NULL);
    assert_true(object_leaf_locked(object, 63)->fetched == UINT64_C(1) << 63);
    for (size_t i = 1; i < ARRAY_COUNT(indices); i++) {
        assert_true(object_find_locked(object, &index, path) && index == indices[i]);
        (void)object_remove_locked(object, index, path, &dead);
    }
    assert_true(object->root == NULL && object->height == 0 && !object_find_locked(object, &index, path));
    assert_int_equal(length(spares) + length(dead), 40);
    spin_unlock(&object->lock);
    object_nodes_free(&dead);
    object_nodes_free(&spares);
    vm_object_put(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = { vm_test(an_insertion_takes_the_nodes_that_it_was_said_to) };

    return cmocka_run_group_tests(tests, vm_test_boot, mm_test_shutdown);
}
