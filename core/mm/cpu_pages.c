/* SPDX-License-Identifier: MIT */
/*
 * Pages in and out. Owns a cache of single pages on each CPU, last in, first out, a list through the pages themselves,
 * with no lock and no atomic read-modify-write on the way in or out: the CPU's own code works on its list with
 * interrupts disabled. That is a few instructions less than disabling preemption, and it is what makes draining cheap:
 * whoever wants the pages of all CPUs calls them, and each takes its whole list out in interrupt context, where it
 * cannot be in the middle of an allocation. Misses and overflows move many pages at once, under buddy.lock.
 *
 * A page in a cache is tagged CACHED, so a second free of it is seen. Two frees of one page at the very same time may
 * both pass; then the page is in two lists, and whoever takes it out of the second finds another tag than CACHED.
 *
 * Locks: buddy.lock for whatever is not in a cache; drain_lock, one drain at a time, so that nobody fails because
 * another has the pages in its hands.
 */
#include "mm_priv.h"

#include <mm/cpu.h>

#include <hal/irq.h>
#include <lib/string.h>
#include <smp/call.h>

#define LIMIT_MAX 64         /* pages of a cache: 256 KiB */
#define LIMIT_MIN 8
#define LIMIT_PART 512       /* a cache may have this part of all pages */
#define LOW_PART 64          /* a refill takes this part of the free pages at most */

struct mm_cpu *mm_cpus;

static struct spinlock drain_lock = SPINLOCK_INIT(LOCK_DRAIN);

static void drain_here(void);

size_t mm_cpu_bytes(void)
{
    return ROUND_UP(sizeof(struct mm_cpu), (size_t)CACHE_LINE_BYTES);
}

void mm_cpu_init(struct cpu *cpu, void *zeroed)
{
    struct mm_cpu *mine = zeroed;

    mine->id = cpu->id;
    mine->limit = (uint32_t)MIN(MAX(buddy.total_pages / LIMIT_PART, (uint64_t)LIMIT_MIN), (uint64_t)LIMIT_MAX);
    mine->next = mm_cpus;
    mm_cpus = mine;
    cpu->mm = mine;
    mm_cpu_set_node(cpu, 0);
}

void mm_cpu_set_node(struct cpu *cpu, unsigned node)
{
    struct mm_cpu *mine = cpu->mm;

    mine->home = nodes_find_home(node);
    mine->home_flags = (uint8_t)(mine->home << PAGE_NODE_SHIFT | (KERNEL_DEBUG ? PAGE_IS_POISONED : 0));
    if (mine->home >= PAGE_NODE_MANY)
        mine->home_flags = UINT8_MAX; /* no page has that kind: none is kept, see strip() */
    if (cpu == this_cpu())
        drain_here();
}

/* ---- This CPU's list ---- */

static ALWAYS_INLINE paddr_t paddr_of(const struct cached_page *node)
{
    return (uintptr_t)node - (uintptr_t)HAL_DIRECT_MAP_BASE;
}

COLD [[noreturn]] static void refuse_cached(const struct cached_page *node)
{
    panic("phys: page %#llx in a CPU's cache is not free: it was freed twice", (unsigned long long)paddr_of(node));
}

/* A page is handed out. */
static ALWAYS_INLINE void page_take(struct page *page, unsigned order)
{
    page_set_tag(page, TAG_ALLOCATED | order);
    page->used = 0;
    store_relaxed(&page->refs, 1);
}

/* mm_stat_add() for who has interrupts disabled and a part of its own. */
static ALWAYS_INLINE void count_here(struct mm_cpu *mine, unsigned kind, int64_t pages)
{
    store_relaxed(&mine->pages[kind], load_relaxed(&mine->pages[kind]) + pages);
}

static ALWAYS_INLINE unsigned page_kind(const struct page *page)
{
    return (page->flags & PAGE_KIND_MASK) >> PAGE_KIND_SHIFT;
}

static ALWAYS_INLINE void page_set_kind(struct page *page, unsigned kind)
{
    page->flags = (uint8_t)((page->flags & ~PAGE_KIND_MASK) | kind << PAGE_KIND_SHIFT);
}

/* A page of this CPU's cache, counted as `kind` if that is not 0; or 0. Without `from_all_spans` only of the main one,
 * which is found without a call. The descriptor is looked up and not kept in the page: its word would be a user's if
 * the page were in two lists. */
static ALWAYS_INLINE paddr_t cache_take(bool from_all_spans, unsigned kind, struct page **out_page)
{
    uintptr_t state = hal_irq_save();
    struct mm_cpu *mine = this_cpu()->mm;
    struct cached_page *node;
    struct page *page;

    if (UNLIKELY(mine == NULL) || UNLIKELY((node = mine->head) == NULL))
        goto none;
    page = from_all_spans ? page_find(paddr_of(node)) : page_find_in_main(paddr_of(node));
    if (UNLIKELY(page == NULL))
        goto none;
    if (UNLIKELY(page_tag(page) != TAG_CACHED))
        refuse_cached(node);
    mine->head = node->next;
    store_relaxed(&mine->count, load_relaxed(&mine->count) - 1);
    page_take(page, 0);
    if (kind != 0) {
        page_set_kind(page, kind);
        count_here(mine, kind, 1);
    }
    hal_irq_restore(state);
    *out_page = page;
    return paddr_of(node);
none:
    hal_irq_restore(state);
    return 0;
}

/* A page on its way into this CPU's cache that is user memory, or of another node. True: it may go there, and counts as
 * free. No call to look up the nodes that share a number: that would cost all frees a frame. */
static ALWAYS_INLINE bool strip(struct mm_cpu *mine, struct page *page)
{
    if (UNLIKELY(((page->flags ^ mine->home_flags) & PAGE_NODE_MASK) != 0) || UNLIKELY(mine->home >= PAGE_NODE_MANY))
        return false;
    if (page_kind(page) != 0) {
        count_here(mine, page_kind(page), -1);
        page_set_kind(page, 0);
    }
    return true;
}

/* Into this CPU's cache; false: it has no room, or it is another node's page. */
static ALWAYS_INLINE bool cache_give(struct page *page, paddr_t pa)
{
    uintptr_t state = hal_irq_save();
    struct mm_cpu *mine = this_cpu()->mm;

    if (UNLIKELY(mine == NULL) || UNLIKELY(load_relaxed(&mine->count) >= mine->limit) ||
        (page->flags != mine->home_flags && !strip(mine, page))) {
        hal_irq_restore(state);
        return false;
    }

    struct cached_page *node = direct_map(pa);

    page_set_tag(page, TAG_CACHED);
    node->next = mine->head;
    mine->head = node;
    store_relaxed(&mine->count, load_relaxed(&mine->count) + 1);
    hal_irq_restore(state);
    return true;
}

/* ---- Many pages at once ---- */

/* A block of pages tagged CACHED, each by itself, before a chain. */
static struct cached_page *chain_block_locked(struct cached_page *first, paddr_t block, unsigned order)
    REQUIRES(buddy.lock)
{
    struct page *page = page_find(block);

    for (size_t i = 0; i < (size_t)1 << order; i++) {
        struct cached_page *node = direct_map(block + i * PAGE_BYTES);

        page_set_tag(&page[i], TAG_CACHED);
        node->next = first;
        first = node;
    }
    return first;
}

/* Half a cache full for this CPU, beside the page that it came for; less when memory runs low, lest caches that fill
 * and are drained take turns. The pages are those that would be got one after the other: the smallest free block goes
 * whole before the next one is begun. Only of its own node: where that is full, pages of others come singly, so that
 * the next ones are near again as soon as there are any. */
static void refill_locked(uint64_t leave) REQUIRES(buddy.lock)
{
    struct mm_cpu *mine = this_cpu()->mm;
    uint64_t free_pages = load_relaxed(&buddy.free_pages);
    struct cached_page *chain = NULL;
    uint64_t want;
    uint32_t count = 0;

    if (mine == NULL || load_relaxed(&mine->count) > 0 || free_pages <= leave)
        return;
    want = MIN(MIN((uint64_t)mine->limit / 2, free_pages / LOW_PART), free_pages - leave);
    while (count < want && mm_nodes.buddy[mine->home].orders != 0) {
        unsigned order = (unsigned)__builtin_ctz(mm_nodes.buddy[mine->home].orders);

        while ((uint64_t)1 << order > want - count)
            order--;
        chain = chain_block_locked(chain, buddy_take_locked(mine->home, order, leave, TAG_CACHED), order);
        count += 1u << order;
    }

    uintptr_t state = hal_irq_save();

    /* Nobody else puts pages there: it is empty still. */
    mine->head = chain;
    store_relaxed(&mine->count, count);
    hal_irq_restore(state);
}

static void give_chain_locked(struct cached_page *node) REQUIRES(buddy.lock)
{
    while (node != NULL) {
        struct cached_page *next = node->next; /* the free lists' links will lie there */

        struct page *page = page_find(paddr_of(node));

        if (UNLIKELY(page == NULL || page_tag(page) != TAG_CACHED))
            refuse_cached(node);
        buddy_give_locked(page, paddr_of(node), 0, TAG_CACHED);
        node = next;
    }
}

/* This CPU's pages but for `keep` of them: those that it used last, and may still have in its data cache, stay. */
static struct cached_page *cut_locked(struct mm_cpu *mine, uint32_t keep) REQUIRES(buddy.lock)
{
    uintptr_t state = hal_irq_save();
    struct cached_page *node = mine->head;
    struct cached_page *chain = NULL;

    if (load_relaxed(&mine->count) > keep) {
        for (uint32_t i = 1; i < keep; i++)
            node = node->next;
        chain = node->next;
        node->next = NULL;
        store_relaxed(&mine->count, keep);
    }
    hal_irq_restore(state);
    return chain;
}

static NOINLINE void release_slow(struct page *page, paddr_t block, unsigned order)
{
    struct mm_cpu *mine;

    if (page_kind(page) != 0) {
        mm_stat_add(page_kind(page), -((int64_t)1 << order));
        page_set_kind(page, 0);
    }
    spin_lock(&buddy.lock);
    buddy_give_locked(page, block, order, TAG_ALLOCATED | order);
    mine = this_cpu()->mm;
    if (order == 0 && mine != NULL && load_relaxed(&mine->count) >= mine->limit)
        give_chain_locked(cut_locked(mine, mine->limit / 2));
    spin_unlock(&buddy.lock);
}

/* ---- Draining ---- */

/* Interrupts disabled. */
static struct cached_page *cache_detach(struct mm_cpu *mine)
{
    struct cached_page *chain = mine->head;

    mine->head = NULL;
    store_relaxed(&mine->count, 0);
    return chain;
}

static void give_chain(struct cached_page *chain)
{
    if (chain == NULL)
        return;
    spin_lock(&buddy.lock);
    give_chain_locked(chain);
    spin_unlock(&buddy.lock);
}

static void drain_here(void)
{
    struct cached_page *chain = NULL;
    uintptr_t state = hal_irq_save();
    struct mm_cpu *mine = this_cpu()->mm;

    if (mine != NULL)
        chain = cache_detach(mine);
    hal_irq_restore(state);
    give_chain(chain);
}

/* On each CPU that is drained, in interrupt context. */
static void detach_for_drainer(void *arg)
{
    struct mm_cpu *mine = this_cpu()->mm;

    (void)arg;
    mine->drained = cache_detach(mine);
}

/* CPUs with nothing in their caches are not disturbed. */
static void drain_others(void)
{
    struct cpumask mask;

    cpumask_clear(&mask);
    spin_lock(&drain_lock);
    for (struct mm_cpu *cpu = mm_cpus; cpu != NULL; cpu = cpu->next)
        if (cpu->id != this_cpu_id() && load_relaxed(&cpu->count) > 0)
            cpumask_add(&mask, cpu->id);
    if (!cpumask_is_empty(&mask)) {
        smp_call(&mask, detach_for_drainer, NULL);
        for (struct mm_cpu *cpu = mm_cpus; cpu != NULL; cpu = cpu->next) {
            give_chain(cpu->drained);
            cpu->drained = NULL;
        }
    }
    spin_unlock(&drain_lock);
}

void mm_cpu_drain(struct cpu *cpu)
{
    struct cached_page *chain;

    ASSERT(load_acquire(&cpu->state) == CPU_OFFLINE); /* PAIRS(cpu_online): it has stored what we find */
    spin_lock(&drain_lock);
    chain = cpu->mm != NULL ? cache_detach(cpu->mm) : NULL;
    give_chain(chain);
    spin_unlock(&drain_lock);
    magazine_drain_cpu(cpu);
}

/* With interrupts disabled we could not answer one who drains us meanwhile. */
static void drain(bool may_disturb)
{
    drain_here();
    if (may_disturb && hal_irq_is_enabled())
        drain_others();
}

void phys_reclaim_caches(void)
{
    mm_assert_task_context();
    drain(true);
}

/* ---- Allocation ---- */

static ALWAYS_INLINE void announce(struct page *page, paddr_t block, unsigned order)
{
    trace(TRACE_PAGES_ALLOC, NULL, block | order);
    if (KERNEL_DEBUG)
        page_check_poison(page, block, order);
}

/* Where this CPU's pages come from. Preemption is disabled. */
static unsigned home_here(void)
{
    const struct mm_cpu *mine = this_cpu()->mm;

    return mine != NULL ? mine->home : 0;
}

static paddr_t take_block(unsigned order, uint64_t leave)
{
    paddr_t block;

    spin_lock(&buddy.lock);
    block = buddy_take_locked(home_here(), order, leave, TAG_ALLOCATED | order);
    if (block != 0 && order == 0)
        refill_locked(leave);
    spin_unlock(&buddy.lock);
    return block;
}

/* What the fast path does not serve: an armed failure; a page of the cache that is not of the main span; free lists;
 * and what other caches have. */
static NOINLINE paddr_t alloc_any(unsigned order, unsigned kind, uint64_t leave, bool may_disturb)
{
    struct page *page;
    paddr_t block;

    ASSERT(order <= PHYS_ORDER_MAX);
    if (mm_fail_check())
        return 0;
    block = order == 0 && load_relaxed(&buddy.free_pages) > leave ? cache_take(true, kind, &page) : 0;
    if (block != 0) {
        announce(page, block, 0);
        return block;
    }
    block = take_block(order, leave);
    if (UNLIKELY(block == 0)) {
        drain(may_disturb);
        block = take_block(order, leave);
        if (block == 0)
            return 0;
    }
    page = page_find(block);
    page_take(page, order);
    if (kind != 0) {
        page_set_kind(page, kind);
        mm_stat_add(kind, (int64_t)1 << order);
    }
    announce(page, block, order);
    return block;
}

static ALWAYS_INLINE paddr_t alloc_fast(unsigned order, unsigned kind)
{
    struct page *page;
    paddr_t pa;

    if (UNLIKELY(order != 0) || UNLIKELY(load_relaxed(&mm_fail_task) != NULL))
        return 0;
    pa = cache_take(false, kind, &page);
    if (LIKELY(pa != 0))
        announce(page, pa, 0);
    return pa;
}

paddr_t phys_alloc(unsigned order)
{
    paddr_t page;

    mm_assert_task_context();
    page = alloc_fast(order, 0);
    return LIKELY(page != 0) ? page : alloc_any(order, 0, 0, true);
}

/* As long as the free lists alone hold more than the reserve, a page of the cache is no part of it. Below that the
 * caches are drained: a page counts for the reserve only where everybody can reach it. */
paddr_t phys_alloc_user(unsigned order, enum mm_kind kind)
{
    uint64_t leave = buddy.reserve_pages;
    paddr_t page = 0;

    DEBUG_ASSERT(kind == MM_ANON || kind == MM_OBJECT);
    mm_assert_task_context();
    if (LIKELY(load_relaxed(&buddy.free_pages) > leave))
        page = alloc_fast(order, kind);
    return LIKELY(page != 0) ? page : alloc_any(order, kind, leave, order == 0);
}

paddr_t phys_alloc_zeroed(unsigned order)
{
    paddr_t block = phys_alloc(order);

    if (block != 0)
        memset(direct_map(block), 0, PAGE_BYTES << order);
    return block;
}

/* ---- Release ---- */

static ALWAYS_INLINE void release(struct page *page, paddr_t block, unsigned order)
{
    if (KERNEL_DEBUG) {
        trace(TRACE_PAGES_FREE, NULL, block | order);
        page_poison(page, block, order);
        trace(TRACE_PAGES_FREED, NULL, block | order);
    }
    if (LIKELY(order == 0) && LIKELY(cache_give(page, block)))
        return;
    release_slow(page, block, order);
}

void page_release(struct page *page, paddr_t block, unsigned order)
{
    release(page, block, order);
}

/* The caller's reference, if it is the only one. Debug builds let no second free at the same time have it, too. */
static ALWAYS_INLINE bool take_only_reference(struct page *page)
{
    if (KERNEL_DEBUG) {
        uint32_t one = 1;

        return cas_relaxed(&page->refs, &one, 0);
    }
    if (load_relaxed(&page->refs) != 1)
        return false;
    store_relaxed(&page->refs, 0);
    return true;
}

/* What is no single page of the main span, or should not be freed at all. */
static NOINLINE void free_any(paddr_t block, unsigned order)
{
    struct page *page = page_find(block);

    ASSERT(order <= PHYS_ORDER_MAX);
    if (page == NULL || page_tag(page) != (TAG_ALLOCATED | order) || !take_only_reference(page))
        page_refuse(block, order, page);
    release(page, block, order);
}

void phys_free(paddr_t block, unsigned order)
{
    struct page *page = page_find_in_main(block);

    mm_assert_task_context();
    if (LIKELY(order == 0) && LIKELY(page != NULL) && LIKELY(page_tag(page) == TAG_ALLOCATED) &&
        LIKELY(take_only_reference(page)))
        release(page, block, 0);
    else
        free_any(block, order);
}
