/* SPDX-License-Identifier: MIT */
/* User memory that is really there: what address spaces and their objects keep, found by a look at all of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct space;

struct page_sum {
    uint64_t anonymous; /* pages of blocks that some slot keeps, each block once, and whole */
    uint64_t objects;   /* pages of the objects that some region maps, each object once */
};

/* Nobody changes or uses the spaces, and whatever maps their pages or objects is among them; a NULL among them is none.
 * At most 16 objects, and 16,384 blocks. False: more; nothing was counted. Takes no lock. One caller at a time. */
bool page_sum_get(struct space *const spaces[], unsigned count, struct page_sum *out);

/* Is that what the kernel counts beyond what it counted before? False: it is in the log. The same conditions. */
struct mm_stats;
bool page_sum_agrees(struct space *const spaces[], unsigned count, const struct mm_stats *before);
