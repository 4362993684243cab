/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked list. A head is a node; an unlinked node points at itself. The caller holds
 * whatever guards the list.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>

struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

#define LIST_INIT(head) { &(head), &(head) }

static inline void list_init(struct list_node *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

/* True if the node is in some list (never call it on a head). */
static inline bool list_is_linked(const struct list_node *node)
{
    return node->next != node;
}

static inline void list_insert_between(struct list_node *node, struct list_node *before, struct list_node *after)
{
    node->prev = before;
    node->next = after;
    before->next = node;
    after->prev = node;
}

static inline void list_push_front(struct list_node *head, struct list_node *node)
{
    list_insert_between(node, head, head->next);
}

static inline void list_push_back(struct list_node *head, struct list_node *node)
{
    list_insert_between(node, head->prev, head);
}

static inline void list_remove(struct list_node *node)
{
    struct list_node *before = node->prev, *after = node->next;

    before->next = after;
    after->prev = before;
    list_init(node);
}

/* The first node, unlinked, or NULL. */
static inline struct list_node *list_pop_front(struct list_node *head)
{
    struct list_node *node = head->next, *second = node->next;

    if (node == head)
        return NULL;
    head->next = second;
    second->prev = head;
    list_init(node);
    return node;
}

/* The same, of a node whose links nobody looks at again: they are left as they were. */
static inline struct list_node *list_drop_front(struct list_node *head)
{
    struct list_node *node = head->next, *second = node->next;

    if (node == head)
        return NULL;
    head->next = second;
    second->prev = head;
    return node;
}

/* Move all nodes of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice_back(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

#define list_for_each(node, head) for (struct list_node *node = (head)->next; node != (head); node = node->next)
#define list_for_each_reverse(node, head) \
    for (struct list_node *node = (head)->prev; node != (head); node = node->prev)

/* The loop body may unlink `node`. */
#define list_for_each_safe(node, head)                                                             \
    for (struct list_node *node = (head)->next, *node##_next = node->next; node != (head);         \
         node = node##_next, node##_next = node->next)
