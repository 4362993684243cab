/* SPDX-License-Identifier: MIT */
/* Sets of address ranges as sorted arrays: small, bounded, and good enough for a boot. The caller guards them. */
#include "mm_priv.h"

#include <lib/string.h>

/* Replace parts [from, to) of the set by count new ones. */
static bool ranges_splice(struct range_set *set, unsigned from, unsigned to, const struct range *parts, unsigned count)
{
    unsigned after = set->count - to;

    DEBUG_ASSERT(from <= to && to <= set->count);
    if (from + count + after > RANGES_MAX)
        return false;
    memmove(&set->at[from + count], &set->at[to], after * sizeof(set->at[0]));
    memcpy(&set->at[from], parts, count * sizeof(set->at[0]));
    set->count = from + count + after;
    return true;
}

bool ranges_add(struct range_set *set, paddr_t base, paddr_t end)
{
    unsigned from = 0;
    struct range merged = {base, end};

    if (base >= end)
        return true;
    while (from < set->count && set->at[from].end < base)
        from++;

    unsigned to = from;

    for (; to < set->count && set->at[to].base <= end; to++) {
        merged.base = MIN(merged.base, set->at[to].base);
        merged.end = MAX(merged.end, set->at[to].end);
    }
    return ranges_splice(set, from, to, &merged, 1);
}

bool ranges_remove(struct range_set *set, paddr_t base, paddr_t end)
{
    unsigned from = 0;
    unsigned kept_count = 0;
    struct range kept[2];

    if (base >= end)
        return true;
    while (from < set->count && set->at[from].end <= base)
        from++;

    unsigned to = from;

    while (to < set->count && set->at[to].base < end)
        to++;
    if (from == to)
        return true;
    if (set->at[from].base < base)
        kept[kept_count++] = (struct range){set->at[from].base, base};
    if (set->at[to - 1].end > end)
        kept[kept_count++] = (struct range){end, set->at[to - 1].end};
    return ranges_splice(set, from, to, kept, kept_count);
}
