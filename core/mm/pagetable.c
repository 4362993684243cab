/* SPDX-License-Identifier: MIT */
/*
 * The one page-table walk, and what the kernel's own ranges need of it. Changes tables and nothing else: it flushes no
 * TLB and takes no lock (one per root, the caller's). Whatever may fail happens first, on tables that no CPU can see
 * yet; linking them in and writing leaves cannot fail, so nothing that hardware may have cached is ever taken back.
 * Reading (pt_query, pt_walk) is safe beside a writer where tables stay: entries are single words. User tables come and
 * go: pagetable_slots.c.
 */
#include "mm_priv.h"

#include <k/errno.h>

/* New tables, chained through their first words until they are linked. */
struct table_pool {
    paddr_t head;
};

bool pt_range_is_sane(vaddr_t va, size_t bytes)
{
    unsigned bits = pt_level_shift(HAL_PT_LEVELS) - (HAL_PT_SHARED_ROOT ? 1 : 0);
    vaddr_t last = va + bytes - 1;
    vaddr_t half = va >> bits;

    if (bytes == 0 || va % PAGE_BYTES != 0 || bytes % PAGE_BYTES != 0 || last < va)
        return false;
    return half == last >> bits && (half == 0 || half == UINTPTR_MAX >> bits);
}

uint64_t *pt_find_entry(paddr_t root, vaddr_t va, unsigned level, unsigned *out_level)
{
    unsigned at = HAL_PT_LEVELS - 1;
    uint64_t *entry = pt_entry_at(root, va, at);

    /* The entry of `level` itself is not read: unless the caller holds its lock, its table may be on its way out. */
    while (at > level) {
        uint64_t value = pt_entry_read(entry);

        if (!pt_is_table(value, at))
            break;
        at--;
        entry = pt_entry_at(hal_pte_paddr(value), va, at);
    }
    *out_level = at;
    return entry;
}

/* As pt_find_entry(), down to `level` in any case: tables that are missing come from the pool. */
static uint64_t *make_entry(paddr_t root, vaddr_t va, unsigned level, struct table_pool *pool)
{
    unsigned at;
    uint64_t *entry = pt_find_entry(root, va, level, &at);

    while (at > level) {
        paddr_t table = pool->head;

        ASSERT(table != 0);
        ASSERT(*entry == 0);
        pool->head = pt_table_at(table)[0];
        pt_table_at(table)[0] = 0;
        pt_entry_write(entry, hal_pte_table(table));
        at--;
        entry = pt_entry_at(table, va, at);
    }
    return entry;
}

/* ---- The part that may fail: how many tables, and getting them ---- */

/* Count tables that are missing for a leaf of `level` at `at`, where [start, at) has been counted already: a table that
 * spans part of that is counted, too. */
static size_t count_missing(vaddr_t start, vaddr_t at, unsigned level, unsigned found_level)
{
    size_t missing = 0;

    for (unsigned above = level + 1; above <= found_level; above++)
        if (at == start || at % pt_level_bytes(above) == 0)
            missing++;
    return missing;
}

static void pool_release(struct table_pool *pool, const struct pt_alloc *alloc)
{
    while (pool->head != 0) {
        paddr_t table = pool->head;

        pool->head = pt_table_at(table)[0];
        pt_table_at(table)[0] = 0;
        if (alloc->free != NULL)
            alloc->free(table);
    }
}

static int pool_fill(struct table_pool *pool, size_t count, const struct pt_alloc *alloc)
{
    pool->head = 0;
    for (size_t i = 0; i < count; i++) {
        paddr_t table = alloc->alloc();

        if (table == 0) {
            pool_release(pool, alloc);
            return -ENOMEM;
        }
        pt_table_at(table)[0] = pool->head;
        pool->head = table;
    }
    return 0;
}

/* The level of the largest leaf that may stand at va: alignment, length and CPU allow it. */
static unsigned leaf_level(vaddr_t va, paddr_t pa, size_t bytes)
{
    unsigned level = HAL_PT_LEAF_LEVEL_MAX;

    while (level > 0 && (((va | pa) & (pt_level_bytes(level) - 1)) != 0 || bytes < pt_level_bytes(level)))
        level--;
    return level;
}

/* What stands at va, for a leaf of up to `level`: *out_level is where the leaf can go, *out_found how deep tables
 * reach. */
static int probe(paddr_t root, vaddr_t va, unsigned level, unsigned *out_level, unsigned *out_found)
{
    uint64_t value = *pt_find_entry(root, va, level, out_found);

    *out_level = level;
    while (pt_is_table(value, *out_found)) {
        /* A table stands where the leaf would go: smaller leaves. */
        (*out_level)--;
        value = *pt_find_entry(root, va, *out_level, out_found);
    }
    return value != 0 ? -EEXIST : 0;
}

/* ---- Public ---- */

int pt_map(paddr_t root, vaddr_t va, paddr_t pa, size_t bytes, unsigned prot, const struct pt_alloc *alloc)
{
    struct table_pool pool;
    size_t missing = 0;
    unsigned level, found;

    if (!pt_range_is_sane(va, bytes) || pa % PAGE_BYTES != 0 || pa + bytes - 1 < pa)
        return -EINVAL;
    if ((prot & PROT_WRITE) != 0 && (prot & PROT_EXEC) != 0)
        return -EINVAL;
    for (size_t done = 0; done < bytes; done += pt_level_bytes(level)) {
        if (probe(root, va + done, leaf_level(va + done, pa + done, bytes - done), &level, &found) != 0)
            return -EEXIST;
        missing += count_missing(va, va + done, level, found);
    }
    if (pool_fill(&pool, missing, alloc) != 0)
        return -ENOMEM;
    /* The tables of this very call stand only at levels above a leaf, so probing again finds the same leaves. */
    for (size_t done = 0; done < bytes; done += pt_level_bytes(level)) {
        (void)probe(root, va + done, leaf_level(va + done, pa + done, bytes - done), &level, &found);

        uint64_t *entry = make_entry(root, va + done, level, &pool);

        ASSERT(*entry == 0);
        pt_entry_write(entry, hal_pte_leaf(pa + done, prot, level));
    }
    ASSERT(pool.head == 0);
    return 0;
}

void pt_unmap(paddr_t root, vaddr_t va, size_t bytes)
{
    ASSERT(pt_range_is_sane(va, bytes));
    for (size_t done = 0; done < bytes; done += PAGE_BYTES) {
        unsigned level;
        uint64_t *entry = pt_find_entry(root, va + done, 0, &level);

        ASSERT(level == 0);
        ASSERT((*entry & HAL_PTE_VALID) != 0);
        pt_entry_write(entry, 0);
    }
}

int pt_query(paddr_t root, vaddr_t va, paddr_t *out_pa, unsigned *out_prot)
{
    unsigned level;
    uint64_t entry;

    if (!pt_range_is_sane(ROUND_DOWN(va, PAGE_BYTES), PAGE_BYTES))
        return -ENOENT;
    entry = pt_entry_read(pt_find_entry(root, va, 0, &level));
    if (!pt_is_leaf(entry, level))
        return -ENOENT;
    *out_pa = hal_pte_paddr(entry) + (va & (pt_level_bytes(level) - 1));
    *out_prot = hal_pte_prot(entry);
    return 0;
}

int pt_walk(paddr_t root, vaddr_t va, size_t bytes,
            int (*visit)(void *arg, vaddr_t va, size_t bytes, paddr_t pa, unsigned prot), void *arg)
{
    vaddr_t last = va + bytes - 1;

    ASSERT(pt_range_is_sane(va, bytes));
    for (;;) {
        unsigned level;
        uint64_t entry = pt_entry_read(pt_find_entry(root, va, 0, &level));
        vaddr_t base = va & ~(vaddr_t)(pt_level_bytes(level) - 1);
        vaddr_t end = base + (pt_level_bytes(level) - 1);

        if (pt_is_leaf(entry, level)) {
            int result = visit(arg, base, pt_level_bytes(level), hal_pte_paddr(entry), hal_pte_prot(entry));

            if (result != 0)
                return result;
        }
        if (end >= last)
            return 0;
        va = end + 1;
    }
}

/* ---- For the kernel's own space ---- */

int pt_prepare(paddr_t root, vaddr_t va, size_t bytes, unsigned level, const struct pt_alloc *alloc)
{
    struct table_pool pool;
    size_t missing = 0;
    size_t step = pt_level_bytes(level + 1);
    vaddr_t last = va + bytes - 1;

    ASSERT(pt_range_is_sane(va, bytes));
    ASSERT(level + 1 < HAL_PT_LEVELS);
    /* One step per table of `level`: all of a table's entries are the same to us. */
    va &= ~(vaddr_t)(step - 1);
    for (vaddr_t at = va; at <= last && at >= va; at += step) {
        unsigned found;

        if (pt_is_leaf(*pt_find_entry(root, at, level, &found), found))
            if (found > level)
                return -EEXIST;
        missing += count_missing(va, at, level, found);
    }
    if (pool_fill(&pool, missing, alloc) != 0)
        return -ENOMEM;
    for (vaddr_t at = va; at <= last && at >= va; at += step)
        (void)make_entry(root, at, level, &pool);
    ASSERT(pool.head == 0);
    return 0;
}

void pt_protect(paddr_t root, vaddr_t va, size_t bytes, unsigned prot)
{
    ASSERT(pt_range_is_sane(va, bytes));
    ASSERT((prot & PROT_WRITE) == 0 || (prot & PROT_EXEC) == 0);
    for (size_t done = 0; done < bytes;) {
        unsigned level;
        uint64_t *entry = pt_find_entry(root, va + done, 0, &level);

        ASSERT(pt_is_leaf(*entry, level));
        ASSERT((va + done) % pt_level_bytes(level) == 0);
        ASSERT(bytes - done >= pt_level_bytes(level));
        pt_entry_write(entry, hal_pte_leaf(hal_pte_paddr(*entry), prot, level));
        done += pt_level_bytes(level);
    }
}

static bool table_is_empty(paddr_t table)
{
    for (size_t i = 0; i < PT_ENTRIES; i++)
        if (pt_table_at(table)[i] != 0)
            return false;
    return true;
}

paddr_t pt_detach_table(paddr_t root, vaddr_t va)
{
    unsigned level;
    uint64_t *entry = pt_find_entry(root, va, 1, &level);
    paddr_t table;

    if (level != 1 || !pt_is_table(*entry, 1))
        return 0;
    table = hal_pte_paddr(*entry);
    DEBUG_ASSERT(table_is_empty(table));
    pt_entry_write(entry, 0);
    return table;
}
