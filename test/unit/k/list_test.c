/* SPDX-License-Identifier: MIT */
/* Tests of include/k/list.h. */
#include "unit.h"

#include <k/list.h>

struct item {
    int value;
    struct list_node node;
};

static void expect_values(const struct list_node *head, const int *values, int count)
{
    const struct list_node *node = head;

    for (int i = 0; i < count; i++) {
        assert_ptr_equal(node->next->prev, node);
        node = node->next;
        assert_ptr_not_equal(node, head);
        assert_int_equal(list_entry(node, struct item, node)->value, values[i]);
    }
    assert_ptr_equal(node->next, head);
    assert_ptr_equal(head->prev, node);
}

#define EXPECT(head, ...) \
    expect_values(head, (const int[]){__VA_ARGS__}, (int)ARRAY_COUNT(((const int[]){__VA_ARGS__})))

static void fill(struct list_node *head, struct item *items, int count, int first)
{
    list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].value = first + i;
        list_push_back(head, &items[i].node);
    }
}

static void a_new_list_is_empty(void **state)
{
    struct list_node by_macro = LIST_INIT(by_macro), by_call;

    (void)state;
    list_init(&by_call);
    assert_true(list_is_empty(&by_macro));
    assert_true(list_is_empty(&by_call));
    assert_null(list_pop_front(&by_call));
}

static void pushing_back_keeps_the_order(void **state)
{
    struct list_node head;
    struct item items[3];

    (void)state;
    fill(&head, items, 3, 1);
    EXPECT(&head, 1, 2, 3);
    assert_int_equal(list_first(&head, struct item, node)->value, 1);
}

static void pushing_front_reverses_the_order(void **state)
{
    struct list_node head = LIST_INIT(head);
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};

    (void)state;
    for (int i = 0; i < 3; i++)
        list_push_front(&head, &items[i].node);
    EXPECT(&head, 3, 2, 1);
}

static void removing_unlinks_and_allows_removing_again(void **state)
{
    struct list_node head;
    struct item items[3];

    (void)state;
    fill(&head, items, 3, 1);
    assert_true(list_is_linked(&items[1].node));
    list_remove(&items[1].node);
    EXPECT(&head, 1, 3);
    assert_false(list_is_linked(&items[1].node));
    list_remove(&items[1].node);
    EXPECT(&head, 1, 3);
}

static void popping_takes_from_the_front_until_empty(void **state)
{
    struct list_node head;
    struct item items[2];

    (void)state;
    fill(&head, items, 2, 1);
    assert_ptr_equal(list_pop_front(&head), &items[0].node);
    assert_false(list_is_linked(&items[0].node));
    assert_ptr_equal(list_pop_front(&head), &items[1].node);
    assert_null(list_pop_front(&head));
    assert_true(list_is_empty(&head));
}

static void splicing_appends_all_and_empties_the_source(void **state)
{
    struct list_node a, b;
    struct item in_a[2], in_b[2];

    (void)state;
    fill(&a, in_a, 2, 1);
    fill(&b, in_b, 2, 3);
    list_splice_back(&a, &b);
    EXPECT(&a, 1, 2, 3, 4);
    assert_true(list_is_empty(&b));
    list_splice_back(&a, &b);
    EXPECT(&a, 1, 2, 3, 4);
    list_splice_back(&b, &a);
    EXPECT(&b, 1, 2, 3, 4);
    assert_true(list_is_empty(&a));
}

static void inserting_between_neighbours_links_both(void **state)
{
    struct list_node head;
    struct item items[2], middle = {.value = 9};

    (void)state;
    fill(&head, items, 2, 1);
    list_insert_between(&middle.node, &items[0].node, &items[1].node);
    EXPECT(&head, 1, 9, 2);
}

static void a_safe_walk_may_remove_its_node(void **state)
{
    struct list_node head;
    struct item items[5];
    int seen = 0;

    (void)state;
    fill(&head, items, 5, 1);
    list_for_each_safe(node, &head) {
        seen++;
        if (list_entry(node, struct item, node)->value % 2 == 0)
            list_remove(node);
    }
    assert_int_equal(seen, 5);
    EXPECT(&head, 1, 3, 5);
}

static void a_walk_visits_each_node_once_in_order(void **state)
{
    struct list_node head;
    struct item items[4];
    int expected = 1;

    (void)state;
    fill(&head, items, 4, 1);
    list_for_each(node, &head)
        assert_int_equal(list_entry(node, struct item, node)->value, expected++);
    assert_int_equal(expected, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_list_is_empty),
        cmocka_unit_test(pushing_back_keeps_the_order),
        cmocka_unit_test(pushing_front_reverses_the_order),
        cmocka_unit_test(removing_unlinks_and_allows_removing_again),
        cmocka_unit_test(popping_takes_from_the_front_until_empty),
        cmocka_unit_test(splicing_appends_all_and_empties_the_source),
        cmocka_unit_test(inserting_between_neighbours_links_both),
        cmocka_unit_test(a_safe_walk_may_remove_its_node),
        cmocka_unit_test(a_walk_visits_each_node_once_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
