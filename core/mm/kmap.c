/* SPDX-License-Identifier: MIT */
/*
 * The kmap window: runs of pages with an unmapped guard page on either side. Owns the window's addresses (one bit per
 * page) and its last-level tables. Lock: kmap.lock (LOCK_MM).
 *
 * A freed address, and the table that a freed region had, may be cached by any CPU until all have flushed. So a
 * free goes in three steps: unmap under the lock while the bits stay set, flush without the lock, then clear the
 * bits and free the pages; and again for tables. Flushing is per call, not per run: callers with many runs use the
 * batch functions.
 */
#include "mm_priv.h"

#include <mm/bootmem.h>
#include <mm/kspace.h>

#include <k/errno.h>
#include <k/list.h>
#include <lib/bitmap.h>
#include <lib/string.h>
#include <smp/call.h>
#include <smp/spinlock.h>

/* Addresses are worth nothing, bits are: twice the RAM serves even single pages with their guards. */
#define WINDOW_BYTES_MIN ((uint64_t)64 << 20)
#define WINDOW_BYTES_MAX ((uint64_t)4 << 30) /* 131,072 stacks of the default size with their guards fit */

#define REGION_PAGES PT_ENTRIES /* what one last-level table spans */
#define KMAP_PROT (PROT_WRITE | PROT_GLOBAL)

static struct {
    /* Immutable after kmap_init(). */
    paddr_t root;
    size_t pages;
    uint64_t *bits;

    struct spinlock lock;
    size_t next GUARDED_BY(lock); /* where the next search begins: addresses come round late */
} kmap;

static vaddr_t va_of(size_t page)
{
    return (vaddr_t)HAL_KMAP_BASE + page * PAGE_BYTES;
}

static size_t page_of(vaddr_t va)
{
    return (va - (vaddr_t)HAL_KMAP_BASE) / PAGE_BYTES;
}

/* ---- Pages in a chain, through their first words ---- */

static void chain_push(paddr_t *chain, paddr_t page)
{
    *(paddr_t *)direct_map(page) = *chain;
    *chain = page;
}

static paddr_t chain_pop(paddr_t *chain)
{
    paddr_t page = *chain;

    *chain = *(paddr_t *)direct_map(page);
    return page;
}

static void chain_free(paddr_t chain)
{
    while (chain != 0)
        phys_free(chain_pop(&chain), 0);
}

static paddr_t table_alloc(void)
{
    paddr_t table = phys_alloc_zeroed(0);

    if (table != 0)
        mm_stat_add(MM_TABLES, 1);
    return table;
}

static void table_free(paddr_t table)
{
    mm_stat_add(MM_TABLES, -1);
    phys_free(table, 0);
}

static const struct pt_alloc kmap_tables = {.alloc = table_alloc, .free = table_free};

/* The commit part of a mapping: its tables stand already. */
static paddr_t no_table(void)
{
    return 0;
}

static const struct pt_alloc no_tables = {.alloc = no_table, .free = NULL};

/* ---- Flushing ---- */

struct flush_request {
    const struct kmap_range *ranges;
    unsigned count;
};

static void flush_here(void *arg)
{
    const struct flush_request *request = arg;

    for (unsigned i = 0; i < request->count; i++)
        hal_tlb_flush_local(request->ranges[i].va, request->ranges[i].pages);
}

void mm_flush_all(const struct kmap_range ranges[], unsigned count)
{
    struct flush_request request = {ranges, count};

    /* PAIRS(cpu_online): a CPU that is not counted yet flushes everything on its way in. */
    if (load_acquire(&cpu_online_count) <= 1)
        flush_here(&request);
    else
        smp_call_all(flush_here, &request);
}

/* ---- Bring-up ---- */

void kmap_init(paddr_t root, uint64_t ram_bytes, const struct pt_alloc *boot_alloc)
{
    uint64_t bytes = MIN(MAX(2 * ram_bytes, WINDOW_BYTES_MIN), MIN(WINDOW_BYTES_MAX, (uint64_t)HAL_KMAP_BYTES));

    memset(&kmap, 0, sizeof(kmap));
    spin_init(&kmap.lock, LOCK_MM);
    kmap.root = root;
    kmap.pages = ROUND_DOWN(bytes / PAGE_BYTES, REGION_PAGES);
    kmap.bits = bootmem_alloc(BITMAP_WORDS(kmap.pages) * sizeof(uint64_t), CACHE_LINE_BYTES, "the kmap window");
    ASSERT((vaddr_t)HAL_KMAP_BASE % pt_level_bytes(1) == 0);
    /* Every table but the last level's: root entries must not change later, and the rest is a page or two. */
    if (pt_prepare(root, va_of(0), kmap.pages * PAGE_BYTES, 1, boot_alloc) != 0)
        panic("kspace: something else is mapped in the kmap window");
    /* The guard below the first run keeps region 0 in use for ever, so its table is no allocation of anybody's. */
    if (pt_prepare(root, va_of(0), PAGE_BYTES, 0, boot_alloc) != 0)
        panic("kspace: something else is mapped in the kmap window");
    bitmap_set(kmap.bits, 0);
    kmap.next = 1;
}

/* ---- Allocation ---- */

/* Take the addresses of one run and its upper guard, make its tables, map its pages. All or nothing. */
static int map_run_locked(size_t pages, paddr_t *chain, vaddr_t *out_va) REQUIRES(kmap.lock)
{
    size_t first = bitmap_find_clear_run(kmap.bits, kmap.pages, kmap.next, pages + 1);

    if (first == BITMAP_NONE)
        first = bitmap_find_clear_run(kmap.bits, kmap.pages, 0, pages + 1);
    if (first == BITMAP_NONE)
        return -ENOMEM;

    vaddr_t va = va_of(first);

    if (pt_prepare(kmap.root, va, pages * PAGE_BYTES, 0, &kmap_tables) != 0)
        return -ENOMEM;
    bitmap_set_range(kmap.bits, first, pages + 1);
    kmap.next = first + pages + 1;
    for (size_t i = 0; i < pages; i++) {
        int error = pt_map(kmap.root, va + i * PAGE_BYTES, chain_pop(chain), PAGE_BYTES, KMAP_PROT, &no_tables);

        ASSERT(error == 0);
    }
    *out_va = va;
    return 0;
}

static int map_run(size_t pages, vaddr_t *out_va)
{
    paddr_t chain = 0;
    int error;

    for (size_t i = 0; i < pages; i++) {
        paddr_t page = phys_alloc(0);

        if (page == 0) {
            chain_free(chain);
            return -ENOMEM;
        }
        chain_push(&chain, page);
    }
    spin_lock(&kmap.lock);
    error = map_run_locked(pages, &chain, out_va);
    spin_unlock(&kmap.lock);
    chain_free(chain); /* empty unless it failed */
    return error;
}

int kmap_alloc_batch(size_t pages, unsigned want, vaddr_t out[])
{
    struct kmap_range mapped[KMAP_BATCH_MAX];
    unsigned count = 0;

    ASSERT(pages > 0 && want > 0 && want <= KMAP_BATCH_MAX);
    mm_assert_task_context();
    if (mm_fail_check() || pages >= kmap.pages)
        return -ENOMEM;
    while (count < want && map_run(pages, &out[count]) == 0) {
        mapped[count] = (struct kmap_range){out[count], pages};
        count++;
    }
    if (count == 0)
        return -ENOMEM;
    mm_stat_add(MM_STACKS, (int64_t)(count * pages));
    /* Elsewhere an address that was not mapped cannot be in any TLB: it was flushed when it was last freed. */
    if (HAL_TLB_CACHES_INVALID)
        mm_flush_all(mapped, count);
    return (int)count;
}

int kmap_alloc(size_t pages, vaddr_t *out_va)
{
    int count;

    ASSERT(pages > 0);
    count = kmap_alloc_batch(pages, 1, out_va);
    return count < 0 ? count : 0;
}

/* ---- Release ---- */

static bool region_is_clear(size_t region)
{
    for (size_t i = 0; i < REGION_PAGES / 64; i++)
        if (kmap.bits[region * (REGION_PAGES / 64) + i] != 0)
            return false;
    return true;
}

/* Does va map a page? *out_pa says which. */
static bool is_mapped(vaddr_t va, paddr_t *out_pa)
{
    unsigned prot;

    return pt_query(kmap.root, va, out_pa, &prot) == 0;
}

static void unmap_run_locked(const struct kmap_range *run, paddr_t *chain) REQUIRES(kmap.lock)
{
    size_t first = page_of(run->va);
    paddr_t pa = 0;
    bool mapped;

    ASSERT(run->va % PAGE_BYTES == 0 && run->va > (vaddr_t)HAL_KMAP_BASE);
    ASSERT(run->pages > 0 && first < kmap.pages && run->pages < kmap.pages - first);
    /* A hole in it, or no guards around it: not a run that was handed out, or one that was freed before. */
    mapped = is_mapped(run->va - PAGE_BYTES, &pa) || is_mapped(run->va + run->pages * PAGE_BYTES, &pa);
    ASSERT(!mapped);
    for (size_t i = 0; i < run->pages; i++) {
        mapped = is_mapped(run->va + i * PAGE_BYTES, &pa);
        ASSERT(mapped);
        pt_unmap(kmap.root, run->va + i * PAGE_BYTES, PAGE_BYTES);
        chain_push(chain, pa);
    }
}

/* Tables that were taken out of the tree. Their regions stay closed until a flush: a CPU may still walk through
 * them. */
struct detached {
    struct kmap_range regions[KMAP_BATCH_MAX];
    unsigned count;
};

/* The regions of one freed run in which nothing is left lose their tables, as far as `detached` has room. */
static void detach_tables_locked(const struct kmap_range *run, struct detached *detached, paddr_t *chain)
    REQUIRES(kmap.lock)
{
    size_t last = (page_of(run->va) + run->pages) / REGION_PAGES;

    for (size_t region = page_of(run->va) / REGION_PAGES; region <= last; region++) {
        if (detached->count == ARRAY_COUNT(detached->regions))
            return;
        if (!region_is_clear(region))
            continue;

        paddr_t table = pt_detach_table(kmap.root, va_of(region * REGION_PAGES));

        if (table == 0)
            continue;
        mm_stat_add(MM_TABLES, -1);
        chain_push(chain, table);
        detached->regions[detached->count++] = (struct kmap_range){va_of(region * REGION_PAGES), REGION_PAGES};
        bitmap_set_range(kmap.bits, region * REGION_PAGES, REGION_PAGES);
    }
}

/* Whoever clears a region's last bit frees its table, so that no interleaving leaves an empty one behind. Bounded: each
 * round but the last fills `detached`. */
static void release_tables(const struct kmap_range ranges[], unsigned count, paddr_t *chain)
{
    struct detached detached = {.count = 0};

    do {
        spin_lock(&kmap.lock);
        for (unsigned i = 0; i < detached.count; i++)
            bitmap_clear_range(kmap.bits, page_of(detached.regions[i].va), REGION_PAGES);
        detached.count = 0;
        for (unsigned i = 0; i < count; i++)
            detach_tables_locked(&ranges[i], &detached, chain);
        spin_unlock(&kmap.lock);
        if (detached.count > 0)
            mm_flush_all(detached.regions, detached.count);
    } while (detached.count > 0);
}

void kmap_free_batch(const struct kmap_range ranges[], unsigned count)
{
    paddr_t chain = 0;

    ASSERT(count <= KMAP_BATCH_MAX);
    mm_assert_task_context();
    if (count == 0)
        return;
    spin_lock(&kmap.lock);
    for (unsigned i = 0; i < count; i++)
        unmap_run_locked(&ranges[i], &chain);
    spin_unlock(&kmap.lock);

    mm_flush_all(ranges, count);

    spin_lock(&kmap.lock);
    for (unsigned i = 0; i < count; i++) {
        bitmap_clear_range(kmap.bits, page_of(ranges[i].va), ranges[i].pages + 1);
        mm_stat_add(MM_STACKS, -(int64_t)ranges[i].pages);
    }
    spin_unlock(&kmap.lock);
    release_tables(ranges, count, &chain);
    chain_free(chain);
}

void kmap_free(vaddr_t va, size_t pages)
{
    struct kmap_range run = {va, pages};

    kmap_free_batch(&run, 1);
}

bool kmap_is_guard(vaddr_t va)
{
    vaddr_t page = ROUND_DOWN(va, PAGE_BYTES);
    paddr_t pa;
    unsigned prot;

    /* Lock-free, because the faulting code may hold the lock: entries are single words. */
    if (kmap.pages == 0 || va < (vaddr_t)HAL_KMAP_BASE || page_of(va) >= kmap.pages)
        return false;
    if (pt_query(kmap.root, page, &pa, &prot) == 0)
        return false;
    return pt_query(kmap.root, page + PAGE_BYTES, &pa, &prot) == 0 ||
           (page_of(va) > 0 && pt_query(kmap.root, page - PAGE_BYTES, &pa, &prot) == 0);
}
