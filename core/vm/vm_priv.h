/* SPDX-License-Identifier: MIT */
/* What the files of this room share. */
#pragma once

#include <vm/region.h>

/* Where a region goes in a tree, and between whom. */
struct region_place {
    struct region *prev, *next;
    struct rb_node *parent;
    struct rb_node **link;
};

/* The place of a region that begins at `start`. Reads the tree. */
void region_locate(struct region_tree *tree, vaddr_t start, struct region_place *out);

/* The parts of region_insert() and region_remove() that leave `is_stale` alone, or find no place. Write the tree. */
void region_link(struct region_tree *tree, const struct region_place *place, struct region *region);
void region_unlink(struct region_tree *tree, struct region *region);

/* `region` comes in for `old`, at whose place in the order it stands: link and unlink in one, without a search. */
void region_relink(struct region_tree *tree, struct region *old, struct region *region);

/* Whoever sees the region live sees its facts. */
static inline void region_set_live(struct region *region)
{
    store_release(&region->is_stale, false); /* PAIRS(region_stale) */
}

/* Whoever sees the region stale sees live what has replaced it. */
static inline void region_set_stale(struct region *region)
{
    store_release(&region->is_stale, true); /* PAIRS(region_stale) */
}
