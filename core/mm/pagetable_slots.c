/* SPDX-License-Identifier: MIT */
/*
 * User tables, entry by entry. Owns the count of entries in use of each last-level table, which lies in the
 * descriptor of the table's page. Who may touch what under which lock is in mm/pagetable.h; here are no locks. Upper
 * tables grow under compare-and-swap and stay until the root goes; a last-level table is taken out when its count is 0.
 */
#include "mm_priv.h"

#include <k/errno.h>

static _Atomic(uint64_t) *word_of(uint64_t *slot)
{
    return (_Atomic(uint64_t) *)slot;
}

/* The table that a slot is in. */
static paddr_t table_of(const uint64_t *slot)
{
    return ROUND_DOWN((uintptr_t)slot, PAGE_BYTES) - (uintptr_t)HAL_DIRECT_MAP_BASE;
}

/* ---- Making tables ---- */

int pt_make_tables(paddr_t root, vaddr_t va, unsigned level, const struct pt_alloc *alloc)
{
    unsigned at;
    uint64_t *entry = pt_find_entry(root, va, level, &at);
    paddr_t spare = 0;
    int error = 0;

    DEBUG_ASSERT(pt_range_is_sane(ROUND_DOWN(va, PAGE_BYTES), PAGE_BYTES));
    while (at > level) {
        uint64_t link = pt_entry_read(entry);

        if (link == 0) {
            if (spare == 0)
                spare = alloc->alloc();
            if (spare == 0) {
                error = -ENOMEM;
                break;
            }
            /* PAIRS(pt_link): the zeros of our table come before its link; where somebody else was first, what is seen
             * of that one's table comes after its link. */
            if (cas_acq_rel(word_of(entry), &link, hal_pte_table(spare))) {
                link = hal_pte_table(spare);
                spare = 0;
            }
        }
        if (!pt_is_table(link, at)) {
            error = -EEXIST;
            break;
        }
        at--;
        entry = pt_entry_at(hal_pte_paddr(link), va, at);
    }
    if (spare != 0)
        alloc->free(spare);
    return error;
}

/* ---- Slots ---- */

uint64_t *pt_slot(paddr_t root, vaddr_t va, unsigned level)
{
    unsigned at;
    uint64_t *entry = pt_find_entry(root, va, level, &at);

    return at == level ? entry : NULL;
}

void pt_slot_install(uint64_t *slot, uint64_t value)
{
    uint16_t *used = phys_table_used(table_of(slot));

    ASSERT(pt_slot_get(slot) == 0);
    DEBUG_ASSERT(pt_is_leaf(value, 0) || pt_is_parked(value));
    DEBUG_ASSERT(*used < PT_ENTRIES);
    (*used)++;
    pt_entry_write(slot, value);
}

uint64_t pt_slot_clear(uint64_t *slot)
{
    uint64_t value = pt_slot_get(slot);
    uint16_t *used = phys_table_used(table_of(slot));

    ASSERT(value != 0);
    DEBUG_ASSERT(*used > 0);
    (*used)--;
    store_relaxed(word_of(slot), 0);
    return value;
}

void pt_slot_change(uint64_t *slot, uint64_t value)
{
    ASSERT(value != 0);
    ASSERT(pt_slot_get(slot) != 0);
    pt_entry_write(slot, value);
}

bool pt_large_install(uint64_t *slot, uint64_t value)
{
    uint64_t seen = 0;
    bool is_installed;

    DEBUG_ASSERT(pt_is_leaf(value, 1) || pt_is_parked(value));
    /* PAIRS(pt_link): as pt_entry_write(), but a table may be linked here by somebody who does not hold the lock. */
    is_installed = cas_release(word_of(slot), &seen, value);
    ASSERT(is_installed || pt_is_table(seen, 1));
    return is_installed;
}

uint64_t pt_large_clear(uint64_t *slot)
{
    uint64_t value = pt_slot_get(slot);

    ASSERT(value != 0);
    DEBUG_ASSERT(!pt_is_table(value, 1));
    store_relaxed(word_of(slot), 0);
    return value;
}

void pt_split(const uint64_t *slot, unsigned level, paddr_t table)
{
    uint64_t value = pt_slot_get(slot);
    uint64_t *entries = pt_table_at(table);
    bool is_parked = pt_is_parked(value);
    paddr_t pa = is_parked ? pt_parked_paddr(value) : hal_pte_paddr(value);

    ASSERT(level == 1);
    ASSERT(is_parked || pt_is_leaf(value, level));
    for (size_t i = 0; i < PT_ENTRIES; i++, pa += PAGE_BYTES)
        entries[i] = is_parked ? pt_park(pa, pt_parked_tag(value)) : hal_pte_leaf(pa, hal_pte_prot(value), 0);
    *phys_table_used(table) = PT_ENTRIES;
}

/* ---- Last-level tables that are not needed any more ---- */

/* Debug builds: the count says how many entries are not empty. */
static bool is_counted_right(paddr_t table)
{
    size_t used = 0;

    for (size_t i = 0; i < PT_ENTRIES; i++)
        used += pt_table_at(table)[i] != 0;
    return used == *phys_table_used(table);
}

paddr_t pt_take_table(paddr_t root, vaddr_t va)
{
    uint64_t *entry = pt_slot(root, va, 1);
    uint64_t link = entry != NULL ? pt_entry_read(entry) : 0;
    paddr_t table = hal_pte_paddr(link);

    if (!pt_is_table(link, 1))
        return 0;
    DEBUG_ASSERT(is_counted_right(table));
    if (*phys_table_used(table) != 0)
        return 0;
    store_relaxed(word_of(entry), 0);
    return table;
}

vaddr_t pt_next_span(paddr_t root, vaddr_t va, vaddr_t end)
{
    while (va < end) {
        unsigned level;
        const uint64_t *entry = pt_find_entry(root, va, 1, &level);
        size_t left = PT_ENTRIES - pt_index(va, level);
        vaddr_t next = va;

        /* Along this table: each round of the outer loop ends one, or goes down from it. */
        while (left > 0 && next < end && pt_slot_get(entry) == 0) {
            next = (next & ~(vaddr_t)(pt_level_bytes(level) - 1)) + pt_level_bytes(level);
            entry++;
            left--;
            if (next == 0)
                return end; /* behind the last address */
        }
        if (left > 0 && next < end && !(level > 1 && pt_is_table(pt_slot_get(entry), level)))
            return next;
        va = next;
    }
    return end;
}

/* ---- The end of a root ---- */

#define LINE_ENTRIES 8

/* The first entry from `index` on that is not empty, or PT_ENTRIES. Nobody uses the table: it is read a line at a time,
 * for an upper table of a user is as good as empty. */
static size_t next_in_use(const uint64_t *table, size_t index)
{
    const uint64_t *at = table + index;
    const uint64_t *end = table + PT_ENTRIES;

    while (at < end && (at - table) % LINE_ENTRIES != 0 && *at == 0)
        at++;
    if ((at - table) % LINE_ENTRIES == 0)
        while (at < end && (at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7]) == 0)
            at += LINE_ENTRIES;
    while (at < end && *at == 0)
        at++;
    return (size_t)(at - table);
}

void pt_free_tables(paddr_t root, paddr_t shared, const struct pt_alloc *alloc)
{
    unsigned top = HAL_PT_LEVELS - 1;
    unsigned level = top;
    paddr_t table[PT_LEVELS_MAX] = {[0] = 0};
    size_t index[PT_LEVELS_MAX] = {0};

    /* Depth first with a stack of one table per level. */
    table[top] = root;
    for (;;) {
        size_t i = next_in_use(pt_table_at(table[level]), index[level]);

        if (i == PT_ENTRIES) {
            if (level == top)
                return;
            DEBUG_ASSERT(level > 0 || *phys_table_used(table[level]) == 0);
            alloc->free(table[level]);
            level++;
            continue;
        }

        uint64_t value = pt_table_at(table[level])[i];

        index[level] = i + 1;
        if (level == top && shared != 0 && value == pt_table_at(shared)[i])
            continue;
        DEBUG_ASSERT(pt_is_table(value, level));
        pt_table_at(table[level])[i] = 0;
        if (pt_is_table(value, level)) {
            level--;
            table[level] = hal_pte_paddr(value);
            /* In a last-level table only debug builds have anything to look for. */
            index[level] = KERNEL_DEBUG || level > 0 ? 0 : PT_ENTRIES;
        }
    }
}
