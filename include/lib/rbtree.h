/* SPDX-License-Identifier: MIT */
/*
 * Intrusive red-black tree with a cached minimum. The caller orders and guards it; nothing allocates. `augment`, if
 * set, recomputes a node's summary from what the node itself brings and its children's summaries, and says whether it
 * changed. It is called bottom-up from the place of a change, up to where nothing changes any more.
 *
 * All summaries are right before a call, and all are right after it. A caller that changes what a node of the tree
 * brings calls rb_augment_path() for it at once; unless a child of that node comes in, or goes and has no two children,
 * right after that: the walk begins with the parent.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

#define RB_NODE_BLACK ((uintptr_t)1) /* in parent_color */

struct rb_node {
    uintptr_t parent_color;
    struct rb_node *left, *right;
};

struct rb_tree {
    struct rb_node *root;
    struct rb_node *first; /* leftmost, or NULL */
};

typedef bool (*rb_less_fn)(const struct rb_node *a, const struct rb_node *b);
typedef bool (*rb_augment_fn)(struct rb_node *node);

void rb_init(struct rb_tree *tree);
static inline bool rb_is_empty(const struct rb_tree *tree)
{
    return tree->root == NULL;
}
static inline struct rb_node *rb_first(const struct rb_tree *tree)
{
    return tree->first;
}

/* Equal keys: behind those already there (FIFO). O(log n). */
void rb_insert(struct rb_tree *tree, struct rb_node *node, rb_less_fn less, rb_augment_fn augment);
void rb_remove(struct rb_tree *tree, struct rb_node *node, rb_augment_fn augment);

/* rb_remove() of a tree without summaries, if that is a matter of a few words: `node` is alone, or a red leaf, as what
 * came in last often is. False: nothing changed. */
static inline bool rb_try_remove_leaf(struct rb_tree *tree, struct rb_node *node)
{
    if (node->left != NULL || node->right != NULL)
        return false;
    if (tree->root == node) {
        tree->root = tree->first = NULL;
    } else {
        struct rb_node *parent = (struct rb_node *)node->parent_color;

        if ((node->parent_color & RB_NODE_BLACK) != 0)
            return false; /* its side would lack a black level */
        if (parent->left == node)
            parent->left = NULL;
        else
            parent->right = NULL;
        if (tree->first == node)
            tree->first = parent;
    }
    node->parent_color = 0;
    return true;
}

/* The same of any tree: `node` goes if it is alone. */
static inline bool rb_try_remove_last(struct rb_tree *tree, struct rb_node *node)
{
    if (tree->root != node || node->left != NULL || node->right != NULL)
        return false;
    tree->root = tree->first = NULL;
    node->parent_color = 0;
    return true;
}

/* Insert at a place that the caller has found: `link` is the empty left or right of `parent`, or the root of an empty
 * tree (parent NULL). */
void rb_insert_at(struct rb_tree *tree, struct rb_node *parent, struct rb_node **link, struct rb_node *node,
                  rb_augment_fn augment);

/* `node`, which is in no tree, takes the place of `old`. O(1), and the summaries. */
void rb_replace(struct rb_tree *tree, struct rb_node *old, struct rb_node *node, rb_augment_fn augment);

/* Recompute the summaries from node (NULL: none) up, until one does not change. */
void rb_augment_path(struct rb_node *node, rb_augment_fn augment);

/* In-order neighbours, or NULL. */
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

/* Debug: checks colours, black heights, parents and the cached minimum; returns the node count or -EINVAL. */
int rb_check(const struct rb_tree *tree);
