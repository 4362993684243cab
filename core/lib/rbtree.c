/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees (Guibas and Sedgewick 1978; the cases are numbered as in Cormen et al., chapter 13), intrusive, with
 * a cached minimum and optional summaries. Owns no state, allocates nothing; the caller's lock guards the tree.
 *
 * Summaries: insertion and removal first bring the summaries from the changed place up into order, then rebalance. A
 * rotation keeps the set of nodes below its place, so only the two nodes that it turns are recomputed. The walk up ends
 * at a summary that does not change, but not at a node that is new at its place: what it had there says nothing.
 */
#include <lib/rbtree.h>

#include <k/assert.h>
#include <k/errno.h>

#define RB_RED 0u
#define RB_BLACK 1u

/* The colour lives in bit 0 of the parent pointer. */
_Static_assert(_Alignof(struct rb_node) > RB_BLACK, "a node's address has no spare bit");
_Static_assert(RB_NODE_BLACK == RB_BLACK, "rb_try_remove_leaf() has its own name for the colour");

static ALWAYS_INLINE struct rb_node *parent_of(const struct rb_node *node)
{
    return (struct rb_node *)(node->parent_color & ~(uintptr_t)RB_BLACK);
}

static ALWAYS_INLINE bool is_red(const struct rb_node *node)
{
    return node != NULL && (node->parent_color & RB_BLACK) == RB_RED;
}

static ALWAYS_INLINE void set_parent(struct rb_node *node, struct rb_node *parent)
{
    node->parent_color = (uintptr_t)parent | (node->parent_color & RB_BLACK);
}

static ALWAYS_INLINE void set_black(struct rb_node *node)
{
    node->parent_color |= RB_BLACK;
}

static ALWAYS_INLINE void set_red(struct rb_node *node)
{
    node->parent_color &= ~(uintptr_t)RB_BLACK;
}

/* Put `new` (may be NULL) where `old` hangs below `parent` (NULL: at the root). Sets no parent pointer. */
static ALWAYS_INLINE void replace_child(struct rb_tree *tree, struct rb_node *parent, struct rb_node *old,
                                        struct rb_node *new)
{
    if (parent == NULL)
        tree->root = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
}

void rb_augment_path(struct rb_node *node, rb_augment_fn augment)
{
    while (node != NULL && augment(node))
        node = parent_of(node);
}

/* The same, but `node` is new at its place. */
static ALWAYS_INLINE void augment_new(struct rb_node *node, rb_augment_fn augment)
{
    (void)augment(node);
    rb_augment_path(parent_of(node), augment);
}

static ALWAYS_INLINE void finish_rotation(struct rb_tree *tree, struct rb_node *down, struct rb_node *up,
                                          rb_augment_fn augment)
{
    struct rb_node *parent = parent_of(down);

    set_parent(up, parent);
    replace_child(tree, parent, down, up);
    set_parent(down, up);
    if (augment != NULL) {
        (void)augment(down);
        (void)augment(up);
    }
}

static void rotate_left(struct rb_tree *tree, struct rb_node *down, rb_augment_fn augment)
{
    struct rb_node *up = down->right;

    down->right = up->left;
    if (up->left != NULL)
        set_parent(up->left, down);
    up->left = down;
    finish_rotation(tree, down, up, augment);
}

static void rotate_right(struct rb_tree *tree, struct rb_node *down, rb_augment_fn augment)
{
    struct rb_node *up = down->left;

    down->left = up->right;
    if (up->right != NULL)
        set_parent(up->right, down);
    up->right = down;
    finish_rotation(tree, down, up, augment);
}

void rb_init(struct rb_tree *tree)
{
    tree->root = NULL;
    tree->first = NULL;
}

/* `node` and its parent are red; nothing else is wrong. */
static NOINLINE void rebalance_inserted(struct rb_tree *tree, struct rb_node *node, rb_augment_fn augment)
{
    struct rb_node *parent;

    while (is_red(parent = parent_of(node))) {
        struct rb_node *grand = parent_of(parent); /* exists: a red node is never the root */
        bool on_left = parent == grand->left;
        struct rb_node *uncle = on_left ? grand->right : grand->left;

        if (is_red(uncle)) { /* case 1: the blackness of grand moves down, the trouble two levels up */
            set_black(parent);
            set_black(uncle);
            set_red(grand);
            node = grand;
            continue;
        }
        if (on_left) {
            if (node == parent->right) { /* case 2: an inner grandchild becomes an outer one */
                rotate_left(tree, parent, augment);
                parent = node;
            }
            rotate_right(tree, grand, augment); /* case 3 */
        } else {
            if (node == parent->left) {
                rotate_right(tree, parent, augment);
                parent = node;
            }
            rotate_left(tree, grand, augment);
        }
        set_black(parent);
        set_red(grand);
        break;
    }
    set_black(tree->root);
}

static ALWAYS_INLINE void insert_at(struct rb_tree *tree, struct rb_node *parent, struct rb_node **link,
                                    struct rb_node *node, rb_augment_fn augment)
{
    node->parent_color = (uintptr_t)parent | RB_RED;
    node->left = NULL;
    node->right = NULL;
    *link = node;
    if (parent == NULL || (parent == tree->first && link == &parent->left))
        tree->first = node;
    if (augment != NULL)
        augment_new(node, augment);
    if (parent == NULL)
        set_black(node);
    else if (is_red(parent))
        rebalance_inserted(tree, node, augment);
}

void rb_insert_at(struct rb_tree *tree, struct rb_node *parent, struct rb_node **link, struct rb_node *node,
                  rb_augment_fn augment)
{
    ASSERT(*link == NULL);
    DEBUG_ASSERT((parent == NULL) == (link == &tree->root) && (parent == NULL) == (tree->first == NULL));
    insert_at(tree, parent, link, node, augment);
}

void rb_insert(struct rb_tree *tree, struct rb_node *node, rb_less_fn less, rb_augment_fn augment)
{
    struct rb_node *parent = NULL;
    struct rb_node **link = &tree->root;

    ASSERT(node != NULL && less != NULL);
    ASSERT((tree->root == NULL) == (tree->first == NULL));
    while (*link != NULL) {
        parent = *link;
        link = less(node, parent) ? &parent->left : &parent->right;
    }
    insert_at(tree, parent, link, node, augment);
}

/* Remove: `parent` has one black level less on the side of the child that is NULL than on the other. */
static NOINLINE void rebalance_removed(struct rb_tree *tree, struct rb_node *parent, rb_augment_fn augment)
{
    struct rb_node *node = NULL;

    while (parent != NULL && !is_red(node)) {
        bool on_left = node == parent->left;
        struct rb_node *sibling = on_left ? parent->right : parent->left;
        struct rb_node *outer;

        ASSERT(sibling != NULL); /* its side has a black level more */
        if (is_red(sibling)) { /* case 1: get a black sibling */
            set_black(sibling);
            set_red(parent);
            if (on_left)
                rotate_left(tree, parent, augment);
            else
                rotate_right(tree, parent, augment);
            sibling = on_left ? parent->right : parent->left;
        }
        if (!is_red(sibling->left) && !is_red(sibling->right)) { /* case 2: both sides lack one now */
            set_red(sibling);
            node = parent;
            parent = parent_of(node);
            continue;
        }
        outer = on_left ? sibling->right : sibling->left;
        if (!is_red(outer)) { /* case 3: move the sibling's red child outwards; case 4 sets the colours */
            if (on_left)
                rotate_right(tree, sibling, augment);
            else
                rotate_left(tree, sibling, augment);
            outer = sibling;
            sibling = parent_of(outer);
        }
        /* Case 4: the sibling takes the parent's place and colour. */
        sibling->parent_color = (uintptr_t)parent_of(sibling) | (parent->parent_color & RB_BLACK);
        set_black(parent);
        set_black(outer);
        if (on_left)
            rotate_left(tree, parent, augment);
        else
            rotate_right(tree, parent, augment);
        return;
    }
    if (node != NULL)
        set_black(node);
}

/* Take a node with at most one child out; returns where the level is missing. */
static ALWAYS_INLINE struct rb_node *splice_out(struct rb_tree *tree, struct rb_node *node, struct rb_node **out_child)
{
    struct rb_node *parent = parent_of(node);
    struct rb_node *child = node->left != NULL ? node->left : node->right;

    if (child != NULL)
        set_parent(child, parent);
    replace_child(tree, parent, node, child);
    *out_child = child;
    return parent;
}

/* A black node with one child is black, and that child red: the child makes up for it. */
static ALWAYS_INLINE void level_lost(struct rb_tree *tree, struct rb_node *child, struct rb_node *parent,
                                     rb_augment_fn augment)
{
    if (child != NULL)
        set_black(child);
    else if (parent != NULL)
        rebalance_removed(tree, parent, augment);
}

/* `heir` takes the place, the children and the colour of `node`. */
static ALWAYS_INLINE void take_place(struct rb_tree *tree, struct rb_node *node, struct rb_node *heir)
{
    heir->parent_color = node->parent_color;
    heir->left = node->left;
    heir->right = node->right;
    replace_child(tree, parent_of(node), node, heir);
    if (heir->left != NULL)
        set_parent(heir->left, heir);
    if (heir->right != NULL)
        set_parent(heir->right, heir);
}

/* A node with two children goes: the next one takes its place, and the summaries follow from where that was to where it
 * is, and on from there. */
static NOINLINE void remove_between(struct rb_tree *tree, struct rb_node *node, rb_augment_fn augment)
{
    struct rb_node *child, *parent, *heir = node->right;
    bool lost_black;

    while (heir->left != NULL)
        heir = heir->left;
    lost_black = !is_red(heir);
    parent = splice_out(tree, heir, &child);
    take_place(tree, node, heir);
    if (parent == node)
        parent = heir;
    if (augment != NULL) {
        for (struct rb_node *at = parent; at != heir; at = parent_of(at))
            (void)augment(at);
        augment_new(heir, augment);
    }
    if (lost_black)
        level_lost(tree, child, parent, augment);
}

void rb_remove(struct rb_tree *tree, struct rb_node *node, rb_augment_fn augment)
{
    struct rb_node *child, *parent;

    ASSERT(node != NULL && tree->root != NULL);
    ASSERT((parent_of(node) == NULL) == (tree->root == node)); /* in this tree, not in none */
    if (tree->first == node)
        tree->first = rb_next(node);
    if (node->left != NULL && node->right != NULL) {
        remove_between(tree, node, augment);
    } else {
        parent = splice_out(tree, node, &child);
        if (augment != NULL)
            rb_augment_path(parent, augment);
        if (!is_red(node))
            level_lost(tree, child, parent, augment);
    }
    node->parent_color = 0;
    node->left = NULL;
    node->right = NULL;
}

void rb_replace(struct rb_tree *tree, struct rb_node *old, struct rb_node *node, rb_augment_fn augment)
{
    ASSERT(node != NULL && tree->root != NULL);
    ASSERT((parent_of(old) == NULL) == (tree->root == old));
    take_place(tree, old, node);
    if (tree->first == old)
        tree->first = node;
    if (augment != NULL)
        augment_new(node, augment);
    old->parent_color = 0;
    old->left = NULL;
    old->right = NULL;
}

struct rb_node *rb_next(const struct rb_node *node)
{
    struct rb_node *parent;

    if (node->right != NULL) {
        struct rb_node *next = node->right;

        while (next->left != NULL)
            next = next->left;
        return next;
    }
    while ((parent = parent_of(node)) != NULL && node == parent->right)
        node = parent;
    return parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
    struct rb_node *parent;

    if (node->left != NULL) {
        struct rb_node *prev = node->left;

        while (prev->right != NULL)
            prev = prev->right;
        return prev;
    }
    while ((parent = parent_of(node)) != NULL && node == parent->left)
        node = parent;
    return parent;
}

/* The links and colours of one node against its children. */
static bool node_is_sound(const struct rb_node *node)
{
    if (node->left != NULL && node->left == node->right)
        return false;
    if (node->left != NULL && parent_of(node->left) != node)
        return false;
    if (node->right != NULL && parent_of(node->right) != node)
        return false;
    return !is_red(node) || (!is_red(node->left) && !is_red(node->right));
}

/*
 * One tour: down to the left, then right, then up. It ends even in a damaged tree: node_is_sound() lets nobody be the
 * child of two nodes, so no node is entered twice.
 */
int rb_check(const struct rb_tree *tree)
{
    const struct rb_node *node = tree->root, *from = NULL, *leftmost = NULL;
    int count = 0, black = 0, black_at_leaf = -1;

    if (node != NULL && (parent_of(node) != NULL || is_red(node)))
        return -EINVAL;
    while (node != NULL) {
        const struct rb_node *parent = parent_of(node);
        const struct rb_node *next = parent;

        if (from == parent) { /* first visit */
            if (!node_is_sound(node))
                return -EINVAL;
            count++;
            black += !is_red(node);
            if (node->left == NULL && leftmost == NULL)
                leftmost = node;
            if (node->left == NULL || node->right == NULL) {
                if (black_at_leaf >= 0 && black_at_leaf != black)
                    return -EINVAL;
                black_at_leaf = black;
            }
            next = node->left != NULL ? node->left : node->right != NULL ? node->right : parent;
        } else if (from == node->left && node->right != NULL) {
            next = node->right;
        }
        if (next == parent)
            black -= !is_red(node);
        from = node;
        node = next;
    }
    return leftmost == tree->first ? count : -EINVAL;
}
