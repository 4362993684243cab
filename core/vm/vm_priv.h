/* SPDX-License-Identifier: MIT */
/* What the files of this room share. */
#pragma once

#include <vm/region.h>

/* region_insert(), but the region grows over the neighbours that it can merge with, which are taken out of the tree and
 * left to be marked stale. Returns them, linked by `chain`, or NULL. Writes the tree. */
struct region *region_join(struct region_tree *tree, struct region *region);

/* region_remove(), but the region is left to be marked stale. Writes the tree. */
void region_unlink(struct region_tree *tree, struct region *region);

/* `region` comes in for `old`, at whose place in the order it stands: both in one, without a search. */
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
