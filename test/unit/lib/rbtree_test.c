/* SPDX-License-Identifier: MIT */
/*
 * Tests of core/lib/rbtree.c: random insertions and removals beside a sorted array, the tree checked after each step,
 * with summaries per node compared with fresh ones: the smallest deadline of the subtree, and the number of its nodes,
 * which unlike a minimum is wrong at once where one node is counted twice.
 */
#include "unit.h"

#include <string.h>

#include <lib/rbtree.h>

#include <k/errno.h>

#define ITEMS 200

struct item {
    struct rb_node node;
    unsigned key;
    unsigned deadline;
    unsigned min_deadline; /* of the subtree */
    unsigned nodes;        /* in the subtree */
    bool present;
};

struct model {
    struct item *sorted[ITEMS]; /* equal keys in the order of insertion */
    size_t count;
};

static unsigned augment_calls;

static struct item *item_of(const struct rb_node *node)
{
    return container_of(node, struct item, node);
}

static bool item_less(const struct rb_node *a, const struct rb_node *b)
{
    return item_of(a)->key < item_of(b)->key;
}

static unsigned summary_of(const struct item *item)
{
    unsigned min = item->deadline;

    if (item->node.left != NULL)
        min = MIN(min, item_of(item->node.left)->min_deadline);
    if (item->node.right != NULL)
        min = MIN(min, item_of(item->node.right)->min_deadline);
    return min;
}

static unsigned nodes_of(const struct item *item)
{
    unsigned nodes = 1;

    if (item->node.left != NULL)
        nodes += item_of(item->node.left)->nodes;
    if (item->node.right != NULL)
        nodes += item_of(item->node.right)->nodes;
    return nodes;
}

static bool item_augment(struct rb_node *node)
{
    struct item *item = item_of(node);
    unsigned min_deadline = summary_of(item), nodes = nodes_of(item);
    bool has_changed = item->min_deadline != min_deadline || item->nodes != nodes;

    augment_calls++;
    item->min_deadline = min_deadline;
    item->nodes = nodes;
    return has_changed;
}

/* A summary that most changes leave as it is, so that walks end early. */
static bool item_augment_min(struct rb_node *node)
{
    struct item *item = item_of(node);
    unsigned min_deadline = summary_of(item);
    bool has_changed = item->min_deadline != min_deadline;

    augment_calls++;
    item->min_deadline = min_deadline;
    return has_changed;
}

static void model_insert(struct model *model, struct item *item)
{
    size_t at = model->count++;

    for (; at > 0 && model->sorted[at - 1]->key > item->key; at--)
        model->sorted[at] = model->sorted[at - 1];
    model->sorted[at] = item;
}

static void model_remove(struct model *model, const struct item *item)
{
    size_t at = 0;

    while (model->sorted[at] != item)
        at++;
    model->count--;
    for (; at < model->count; at++)
        model->sorted[at] = model->sorted[at + 1];
}

/* Everything visible about the tree equals the model. If all local summaries are right, so are all of them. */
static void expect_same(const struct rb_tree *tree, const struct model *model, rb_augment_fn augment)
{
    const struct rb_node *node = rb_first(tree), *last = NULL;

    assert_int_equal(rb_check(tree), (int)model->count);
    assert_int_equal(rb_is_empty(tree), model->count == 0);
    for (size_t i = 0; i < model->count; i++) {
        assert_ptr_equal(node, &model->sorted[i]->node);
        assert_ptr_equal(rb_prev(node), last);
        if (augment != NULL)
            assert_int_equal(item_of(node)->min_deadline, summary_of(item_of(node)));
        if (augment == item_augment)
            assert_int_equal(item_of(node)->nodes, nodes_of(item_of(node)));
        last = node;
        node = rb_next(node);
    }
    assert_null(node);
}

static void churn(unsigned keys, rb_augment_fn augment, uint64_t seed)
{
    static struct item items[ITEMS];
    struct unit_random random = {seed};
    struct model model = {.count = 0};
    struct rb_tree tree;

    memset(items, 0, sizeof(items));
    rb_init(&tree);
    for (int step = 0; step < 6000; step++) {
        struct item *item = &items[unit_random_below(&random, ITEMS)];
        /* Grow and shrink in turns, so that full and empty trees are met. */
        bool growing = step / 700 % 2 == 0;

        if (item->present != (growing ? unit_random_below(&random, 4) == 0 : unit_random_below(&random, 4) != 0))
            continue;
        if (item->present) {
            if (augment != NULL || !rb_try_remove_leaf(&tree, &item->node))
                rb_remove(&tree, &item->node, augment);
            model_remove(&model, item);
        } else {
            item->key = (unsigned)unit_random_below(&random, keys);
            item->deadline = (unsigned)unit_random_below(&random, 1000);
            rb_insert(&tree, &item->node, item_less, augment);
            model_insert(&model, item);
        }
        item->present = !item->present;
        expect_same(&tree, &model, augment);
    }
}

/* A place that the caller finds itself, among equals the last. */
static void insert_at_place(struct rb_tree *tree, struct item *item, rb_augment_fn augment)
{
    struct rb_node *parent = NULL, **link = &tree->root;

    while (*link != NULL) {
        parent = *link;
        link = item_less(&item->node, parent) ? &parent->left : &parent->right;
    }
    rb_insert_at(tree, parent, link, &item->node, augment);
}

/* Replace: an item takes another's place and key, with a summary of its own. */
static void replace_item(struct rb_tree *tree, struct model *model, struct item *old, struct item *item,
                         rb_augment_fn augment)
{
    size_t at = 0;

    while (model->sorted[at] != old)
        at++;
    model->sorted[at] = item;
    item->key = old->key;
    rb_replace(tree, &old->node, &item->node, augment);
    assert_true(old->node.parent_color == 0 && old->node.left == NULL && old->node.right == NULL);
}

static void change_in_place(rb_augment_fn augment, uint64_t seed)
{
    static struct item items[ITEMS];
    struct unit_random random = {seed};
    struct model model = {.count = 0};
    struct rb_tree tree;

    memset(items, 0, sizeof(items));
    rb_init(&tree);
    for (int step = 0; step < 12000; step++) {
        struct item *item = &items[unit_random_below(&random, ITEMS)];
        struct item *other = &items[unit_random_below(&random, ITEMS)];

        if (item->present && other->present) {
            item->deadline = (unsigned)unit_random_below(&random, 1000);
            rb_augment_path(&item->node, augment);
            if (unit_random_below(&random, 3) == 0) {
                rb_remove(&tree, &other->node, augment);
                model_remove(&model, other);
                other->present = false;
            }
        } else if (item->present) {
            other->deadline = (unsigned)unit_random_below(&random, 1000);
            replace_item(&tree, &model, item, other, augment);
            item->present = false;
            other->present = true;
        } else {
            item->key = (unsigned)unit_random_below(&random, 50);
            item->deadline = (unsigned)unit_random_below(&random, 1000);
            insert_at_place(&tree, item, augment);
            model_insert(&model, item);
            item->present = true;
        }
        expect_same(&tree, &model, augment);
    }
    assert_in_range(model.count, ITEMS / 4, ITEMS);
    rb_augment_path(NULL, augment); /* the path from nowhere */
}

static void changes_in_place_agree_with_a_sorted_array(void **state)
{
    (void)state;
    change_in_place(item_augment, 12);
    change_in_place(item_augment_min, 13);
    change_in_place(item_augment_min, 14);
}

static void random_changes_agree_with_a_sorted_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++)
        churn(100000, NULL, seed);
}

static void equal_keys_keep_the_order_of_insertion(void **state)
{
    (void)state;
    churn(1, NULL, 5);
    churn(5, NULL, 6);
}

static void summaries_stay_right_through_random_changes(void **state)
{
    (void)state;
    for (uint64_t seed = 7; seed <= 10; seed++)
        churn(seed % 2 != 0 ? 100000 : 5, seed < 9 ? item_augment : item_augment_min, seed);
}

/* Orders that are hard for trees: rising, falling, and always removing the minimum, as a run queue does. */
static void sorted_input_and_minimum_first_removal_stay_balanced(void **state)
{
    static struct item items[ITEMS];
    struct model model = {.count = 0};
    struct rb_tree tree;

    (void)state;
    rb_init(&tree);
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i].key = i < ITEMS / 2 ? ITEMS + i : ITEMS - i;
        rb_insert(&tree, &items[i].node, item_less, item_augment);
        model_insert(&model, &items[i]);
        expect_same(&tree, &model, item_augment);
    }
    while (!rb_is_empty(&tree)) {
        struct rb_node *first = rb_first(&tree);

        rb_remove(&tree, first, item_augment);
        model_remove(&model, item_of(first));
        expect_same(&tree, &model, item_augment);
    }
}

/* 2 * log2(n + 1) bounds the height; a change visits one path, plus two nodes for each of at most three rotations. */
static void a_change_recomputes_few_summaries(void **state)
{
    static struct item items[ITEMS];
    struct unit_random random = {11};
    struct rb_tree tree;

    (void)state;
    rb_init(&tree);
    for (unsigned i = 0; i < 2 * ITEMS; i++) {
        struct item *item = &items[i % ITEMS];

        augment_calls = 0;
        item->key = (unsigned)unit_random_next(&random);
        if (i < ITEMS)
            rb_insert(&tree, &item->node, item_less, item_augment);
        else
            rb_remove(&tree, &item->node, item_augment);
        assert_in_range(augment_calls, 0, 2 * 8 + 6); /* log2(ITEMS + 1) < 8 */
    }
}

/* Where the new node brings nothing, the walk ends with its parent. */
static void a_walk_ends_where_nothing_changes(void **state)
{
    static struct item items[ITEMS];
    struct rb_tree tree;
    unsigned most = 0;

    (void)state;
    rb_init(&tree);
    items[0].deadline = 1;
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i].key = i * 7 % ITEMS;
        items[i].deadline += 2 * i;
        augment_calls = 0;
        rb_insert(&tree, &items[i].node, item_less, item_augment_min);
        most = MAX(most, augment_calls);
    }
    augment_calls = 0;
    items[ITEMS - 1].deadline++; /* a leaf, or nearly one */
    rb_augment_path(&items[ITEMS - 1].node, item_augment_min);
    assert_in_range(augment_calls, 1, 3);
    assert_in_range(most, 2, 2 * 8 + 6);
}

static void build_seven(struct rb_tree *tree, struct item *items)
{
    rb_init(tree);
    for (unsigned i = 0; i < 7; i++) {
        items[i].key = i;
        rb_insert(tree, &items[i].node, item_less, NULL);
    }
    assert_int_equal(rb_check(tree), 7);
}

static void a_check_rejects_damage(void **state)
{
    struct item items[7];
    struct rb_tree tree;

    (void)state;
    build_seven(&tree, items);
    tree.first = &items[1].node;
    assert_int_equal(rb_check(&tree), -EINVAL);

    for (unsigned i = 0; i < 7; i++) {
        build_seven(&tree, items);
        items[i].node.parent_color ^= 1; /* the colour */
        assert_int_equal(rb_check(&tree), -EINVAL);

        build_seven(&tree, items);
        items[i].node.parent_color ^= (uintptr_t)&items[0].node ^ (uintptr_t)&items[6].node; /* the parent */
        assert_int_equal(rb_check(&tree), -EINVAL);
    }
    build_seven(&tree, items);
    tree.root->left = tree.root->right; /* two ways to one node */
    assert_int_equal(rb_check(&tree), -EINVAL);
    build_seven(&tree, items);
    tree.root->right = NULL; /* half of the tree gone: black heights differ */
    assert_int_equal(rb_check(&tree), -EINVAL);
}

static void an_empty_tree_is_sound(void **state)
{
    struct rb_tree tree;

    (void)state;
    memset(&tree, 0xff, sizeof(tree));
    rb_init(&tree);
    assert_int_equal(rb_check(&tree), 0);
    assert_true(rb_is_empty(&tree));
    assert_null(rb_first(&tree));
}

static void removing_from_the_wrong_tree_is_a_bug(void **state)
{
    struct item item = {.key = 1}, stranger = {.key = 2};
    struct rb_tree tree;

    (void)state;
    rb_init(&tree);
    expect_assert_failure(rb_remove(&tree, &item.node, NULL));
    rb_insert(&tree, &item.node, item_less, NULL);
    expect_assert_failure(rb_remove(&tree, &stranger.node, NULL));
    expect_assert_failure(rb_replace(&tree, &stranger.node, &item.node, NULL));
    expect_assert_failure(rb_insert_at(&tree, NULL, &tree.root, &stranger.node, NULL)); /* not empty */
    rb_remove(&tree, &item.node, NULL);
    expect_assert_failure(rb_remove(&tree, &item.node, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_tree_is_sound),
        cmocka_unit_test(random_changes_agree_with_a_sorted_array),
        cmocka_unit_test(equal_keys_keep_the_order_of_insertion),
        cmocka_unit_test(summaries_stay_right_through_random_changes),
        cmocka_unit_test(changes_in_place_agree_with_a_sorted_array),
        cmocka_unit_test(sorted_input_and_minimum_first_removal_stay_balanced),
        cmocka_unit_test(a_change_recomputes_few_summaries),
        cmocka_unit_test(a_walk_ends_where_nothing_changes),
        cmocka_unit_test(a_check_rejects_damage),
        cmocka_unit_test(removing_from_the_wrong_tree_is_a_bug),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
