/* SPDX-License-Identifier: MIT */
/* The searches of core/vm/region.c, compiled once more such that they count the nodes that they look at. */
#pragma once

#include <vm/region.h>

unsigned region_counted_visits(void);

struct region *counted_region_find(const struct region_tree *tree, vaddr_t va);
struct region *counted_region_find_at_or_above(const struct region_tree *tree, vaddr_t va);
int counted_region_find_gap(const struct region_tree *tree, const struct region_gap *wanted, vaddr_t *out_va);
