/* SPDX-License-Identifier: MIT */
/*
 * An object's radix tree over the index of its pages: 64 slots a node, as many levels as the highest index needs, and
 * no node without something in it. For the files behind vm/object.h. The functions that end in _locked are called with
 * the object's lock held; they neither make nor free nodes, but take them from and give them to chains.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <k/compiler.h>
#include <k/types.h>
#include <vm/object.h>

#define OBJECT_NODE_SHIFT 6
#define OBJECT_NODE_SLOTS (1u << OBJECT_NODE_SHIFT)
#define OBJECT_LEVELS_MAX 9 /* indices have 51 bits: VM_OBJECT_BYTES_MAX */

_Static_assert(VM_OBJECT_BYTES_MAX >> PAGE_SHIFT >> (OBJECT_NODE_SHIFT * OBJECT_LEVELS_MAX) == 0, "too few levels");

struct object_node {
    uint64_t present; /* which slots are in use; the others are undefined */
    uint64_t fetched; /* at level 1: of which pages all CPUs fetch what they hold; object_code.c */
    union {
        struct object_node *child; /* above level 1; in nodes that are out of a tree, slot 0: the next one */
        paddr_t page;              /* at level 1 */
    } slot[OBJECT_NODE_SLOTS];
};

/* Boot. */
void object_nodes_init(void);

/* One more in the chain; false: there is no memory. No lock from LOCK_OBJECT on is held. */
bool object_nodes_add(struct object_node **chain) MUST_USE;

/* All of the chain. No lock from LOCK_OBJECT on is held. */
void object_nodes_free(struct object_node **chain);

static ALWAYS_INLINE unsigned object_digit(uint64_t index, unsigned level)
{
    return (unsigned)(index >> (OBJECT_NODE_SHIFT * (level - 1))) & (OBJECT_NODE_SLOTS - 1);
}

static ALWAYS_INLINE bool object_has_slot(const struct object_node *node, unsigned slot)
{
    return (node->present >> slot & 1) != 0;
}

/* The node that has the page at an index, or NULL: there is none. */
static inline struct object_node *object_leaf_locked(const struct vm_object *object, uint64_t index)
    REQUIRES(object->lock)
{
    struct object_node *node = object->root;

    if (node == NULL || index >> (OBJECT_NODE_SHIFT * object->height) != 0)
        return NULL;
    for (unsigned level = object->height; level > 1; level--) {
        if (!object_has_slot(node, object_digit(index, level)))
            return NULL;
        node = node->slot[object_digit(index, level)].child;
    }
    return object_has_slot(node, object_digit(index, 1)) ? node : NULL;
}

/* The page at an index, or 0. */
static inline paddr_t object_lookup_locked(const struct vm_object *object, uint64_t index) REQUIRES(object->lock)
{
    const struct object_node *leaf = object_leaf_locked(object, index);

    return leaf != NULL ? leaf->slot[object_digit(index, 1)].page : 0;
}

/* How many nodes an insertion at this index takes. */
unsigned object_nodes_missing_locked(const struct vm_object *object, uint64_t index) REQUIRES(object->lock);

/* The index is free, and the chain has object_nodes_missing_locked() nodes. */
void object_insert_locked(struct vm_object *object, uint64_t index, paddr_t page, struct object_node **spares)
    REQUIRES(object->lock);

/* The first page at *index or above; sets *index, and the nodes on the way to it by level. False: there is none. */
bool object_find_locked(const struct vm_object *object, uint64_t *index,
                        struct object_node *path[OBJECT_LEVELS_MAX + 1]) REQUIRES(object->lock);

/* Take the page that was found at an index out, with the nodes that become empty. */
paddr_t object_remove_locked(struct vm_object *object, uint64_t index, struct object_node *path[OBJECT_LEVELS_MAX + 1],
                             struct object_node **dead) REQUIRES(object->lock);
