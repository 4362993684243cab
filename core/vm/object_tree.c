/* SPDX-License-Identifier: MIT */
/* The radix tree of an object: object_priv.h. Owns the cache of its nodes. No locks of its own. */
#include "object_priv.h"

#include <mm/slab.h>

static struct slab_cache node_cache;

void object_nodes_init(void)
{
    slab_cache_init(&node_cache, "object-node", sizeof(struct object_node), _Alignof(struct object_node));
}

/* ---- Nodes out of a tree ---- */

static void push_node(struct object_node **chain, struct object_node *node)
{
    node->slot[0].child = *chain;
    *chain = node;
}

static struct object_node *pop_node(struct object_node **chain)
{
    struct object_node *node = *chain;

    *chain = node->slot[0].child;
    node->present = 0;
    node->fetched = 0;
    return node;
}

bool object_nodes_add(struct object_node **chain)
{
    struct object_node *node = slab_alloc(&node_cache);

    if (node != NULL)
        push_node(chain, node);
    return node != NULL;
}

void object_nodes_free(struct object_node **chain)
{
    while (*chain != NULL)
        slab_free(&node_cache, pop_node(chain));
}

/* ---- The tree ---- */

/* Levels that a tree with this index has at least. */
static unsigned levels_for(uint64_t index)
{
    unsigned levels = 1;

    while (index >> (OBJECT_NODE_SHIFT * levels) != 0)
        levels++;
    return levels;
}

unsigned object_nodes_missing_locked(const struct vm_object *object, uint64_t index)
{
    const struct object_node *node = object->root;
    unsigned levels = levels_for(index);

    if (node == NULL)
        return levels;
    if (levels > object->height) /* new roots over the old one, and a path of its own below the highest */
        return levels - object->height + levels - 1;
    for (unsigned level = object->height; level > 1; level--) {
        if (!object_has_slot(node, object_digit(index, level)))
            return level - 1;
        node = node->slot[object_digit(index, level)].child;
    }
    return 0;
}

void object_insert_locked(struct vm_object *object, uint64_t index, paddr_t page, struct object_node **spares)
{
    unsigned levels = levels_for(index);
    struct object_node *node;

    if (object->root == NULL) {
        object->root = pop_node(spares);
        object->height = levels;
    }
    while (object->height < levels) {
        node = pop_node(spares);
        node->slot[0].child = object->root;
        node->present = 1;
        object->root = node;
        object->height++;
    }
    node = object->root;
    for (unsigned level = object->height; level > 1; level--) {
        unsigned slot = object_digit(index, level);

        if (!object_has_slot(node, slot)) {
            node->slot[slot].child = pop_node(spares);
            node->present |= UINT64_C(1) << slot;
        }
        node = node->slot[slot].child;
    }
    node->slot[object_digit(index, 1)].page = page;
    node->present |= UINT64_C(1) << object_digit(index, 1);
    object->page_count++;
}

/* Each round but the last ends at a node that has no more to offer, and goes on behind it, so there is at most one per
 * level. */
bool object_find_locked(const struct vm_object *object, uint64_t *index,
                        struct object_node *path[OBJECT_LEVELS_MAX + 1])
{
    while (object->root != NULL && *index >> (OBJECT_NODE_SHIFT * object->height) == 0) {
        struct object_node *node = object->root;

        for (unsigned level = object->height;; level--) {
            unsigned slot = object_digit(*index, level);
            uint64_t rest = node->present >> slot;
            unsigned skip = rest != 0 ? (unsigned)__builtin_ctzll(rest) : OBJECT_NODE_SLOTS - slot;
            unsigned shift = OBJECT_NODE_SHIFT * (level - 1);

            path[level] = node;
            if (skip > 0)
                *index = ((*index >> shift) + skip) << shift;
            if (rest == 0)
                break;
            if (level == 1)
                return true;
            node = node->slot[slot + skip].child;
        }
    }
    return false;
}

paddr_t object_remove_locked(struct vm_object *object, uint64_t index, struct object_node *path[OBJECT_LEVELS_MAX + 1],
                             struct object_node **dead)
{
    paddr_t page = path[1]->slot[object_digit(index, 1)].page;

    object->page_count--;
    for (unsigned level = 1;; level++) {
        path[level]->present &= ~(UINT64_C(1) << object_digit(index, level));
        path[level]->fetched &= path[level]->present;
        if (path[level]->present != 0)
            return page;
        push_node(dead, path[level]);
        if (level == object->height) {
            object->root = NULL;
            object->height = 0;
            return page;
        }
    }
}
