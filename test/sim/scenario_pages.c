/* SPDX-License-Identifier: MIT */
/*
 * Pages: caches that are drained while their CPUs use them, references that the last of several drops, and user memory
 * that takes all but the reserve. The contents of each page say whose it is.
 */
#include "scenario.h"

#include <mm/phys.h>

#define TRADERS_MAX 8
#define SHELVES 4
#define OWN_MAX 6

/* In each page, behind the first cache line, which is the allocator's while the page is free. */
struct contents {
    uint64_t line[8];
    uint64_t mark;
    uint64_t word[TRADERS_MAX]; /* each trader's own, while it has a reference */
};

static struct {
    struct sim_line line;
    _Atomic(paddr_t) shelf[SHELVES]; /* pages, or references to them, that go from hand to hand */
    _Atomic(unsigned) trading;
} market;

static struct contents *contents_of(paddr_t page)
{
    return phys_to_virt(page);
}

static uint64_t free_pages(void)
{
    struct phys_stats stats;

    phys_stats_get(&stats);
    return stats.free_pages;
}

/* ---- Little memory, and all of it on the move ---- */

/* Blocks that the story holds, linked through their first words, until about `leave` pages are left. */
static paddr_t hoard(uint64_t leave)
{
    paddr_t hoarded = 0;

    for (unsigned order = PHYS_ORDER_MAX + 1; order-- > 0;)
        while (free_pages() >= leave + (UINT64_C(1) << order)) {
            paddr_t block = phys_alloc(order);

            if (block == 0)
                break;
            uint64_t *header = phys_to_virt(block);

            header[0] = hoarded;
            header[1] = order;
            hoarded = block;
        }
    return hoarded;
}

static void give_back(paddr_t hoarded)
{
    while (hoarded != 0) {
        uint64_t *header = phys_to_virt(hoarded);
        paddr_t next = header[0];

        phys_free(hoarded, (unsigned)header[1]);
        hoarded = next;
    }
}

static paddr_t page_take(bool is_user)
{
    paddr_t page = is_user ? phys_alloc_user(0, sim_chance(2) ? MM_ANON : MM_OBJECT) : phys_alloc(0);

    if (page != 0)
        contents_of(page)->mark = page;
    return page;
}

static void page_give(paddr_t page)
{
    CHECK(contents_of(page)->mark == page);
    contents_of(page)->mark = 0;
    phys_free(page, 0);
}

/* In and out by single pages, some of which another CPU gives back. */
static void trade(paddr_t own[OWN_MAX])
{
    unsigned slot = (unsigned)sim_random_below(OWN_MAX);

    if (own[slot] == 0)
        own[slot] = page_take(sim_chance(2));
    else if (sim_chance(4))
        own[slot] = xchg_acq_rel(&market.shelf[sim_random_below(SHELVES)], own[slot]);
    else {
        page_give(own[slot]);
        own[slot] = 0;
    }
}

static int trader(void *arg)
{
    paddr_t own[OWN_MAX] = { 0 };

    (void)arg;
    sim_line_wait(&market.line);
    for (unsigned turn = 8 * sim_rounds(); turn > 0; turn--) {
        trade(own);
        if (sim_chance(8))
            sim_delay();
    }
    for (unsigned slot = 0; slot < OWN_MAX; slot++)
        if (own[slot] != 0)
            page_give(own[slot]);
    (void)fetch_sub_relaxed(&market.trading, 1);
    return 0;
}

/* Wants the caches' pages: all of them, or as a block. */
static int drainer(void *arg)
{
    (void)arg;
    sim_line_wait(&market.line);
    while (load_relaxed(&market.trading) != 0) {
        unsigned order = 2 + (unsigned)sim_random_below(3);
        paddr_t block = sim_chance(2) ? phys_alloc(order) : 0;

        if (block != 0) {
            contents_of(block)->mark = block;
            sim_delay();
            CHECK(contents_of(block)->mark == block);
            phys_free(block, order);
        } else {
            phys_reclaim_caches();
        }
        sim_nap(5 * NS_PER_US);
    }
    return 0;
}

static void market_open(unsigned tasks)
{
    for (unsigned i = 0; i < SHELVES; i++)
        store_relaxed(&market.shelf[i], 0);
    store_relaxed(&market.trading, tasks);
    sim_line_init(&market.line);
}

static void pages_drain(void)
{
    unsigned traders = MIN(online_count(), (unsigned)TRADERS_MAX);
    struct task *task[TRADERS_MAX + 2];
    paddr_t hoarded;

    market_open(traders);
    for (unsigned i = 0; i < traders + 2; i++)
        task[i] = spawn("trader", i < traders ? trader : drainer, NULL, PRIORITY_DEFAULT, NULL);
    hoarded = hoard(4 * OWN_MAX * traders);
    sim_line_open(&market.line, traders + 2);
    CHECK(sim_finish_all(task, traders + 2) == 0);
    for (unsigned i = 0; i < SHELVES; i++)
        if (load_acquire(&market.shelf[i]) != 0)
            page_give(load_acquire(&market.shelf[i]));
    give_back(hoarded);
}

/* ---- References ---- */

static void share(unsigned self)
{
    unsigned slot = (unsigned)sim_random_below(SHELVES);
    paddr_t page = xchg_acq_rel(&market.shelf[slot], 0);

    if (page == 0) {
        page = page_take(false);
        if (!CHECK(page != 0))
            return;
        for (unsigned i = 0; i < TRADERS_MAX; i++)
            contents_of(page)->word[i] = 0;
    }
    for (unsigned i = (unsigned)sim_random_below(4); i > 0; i--) {
        phys_get(page);
        paddr_t old = xchg_acq_rel(&market.shelf[sim_random_below(SHELVES)], page);

        if (old != 0)
            phys_put(old);
    }
    contents_of(page)->word[self]++;
    if (phys_refs(page) == 1) /* the others' words are ours, too */
        for (unsigned i = 0; i < TRADERS_MAX; i++)
            contents_of(page)->word[i]++;
    CHECK(contents_of(page)->mark == page);
    phys_put(page);
}

static int sharer(void *arg)
{
    sim_line_wait(&market.line);
    for (unsigned turn = 4 * sim_rounds(); turn > 0; turn--) {
        share((unsigned)(uintptr_t)arg);
        if (sim_chance(8))
            sim_delay();
    }
    return 0;
}

static void pages_shared(void)
{
    unsigned sharers = MIN(online_count() + 1, (unsigned)TRADERS_MAX);
    struct task *task[TRADERS_MAX];

    market_open(sharers);
    for (unsigned i = 0; i < sharers; i++)
        task[i] = spawn("sharer", sharer, (void *)(uintptr_t)i, PRIORITY_DEFAULT, NULL);
    sim_line_open(&market.line, sharers);
    CHECK(sim_finish_all(task, sharers) == 0);
    for (unsigned i = 0; i < SHELVES; i++)
        if (load_acquire(&market.shelf[i]) != 0)
            phys_put(load_acquire(&market.shelf[i]));
}

/* ---- User memory is gone, and the kernel goes on ---- */

static int glutton(void *arg)
{
    paddr_t chain = 0;
    paddr_t page;

    (void)arg;
    sim_line_wait(&market.line);
    while ((page = page_take(true)) != 0) {
        contents_of(page)->word[0] = chain;
        chain = page;
    }
    (void)fetch_sub_acq_rel(&market.trading, 1);
    while (load_acquire(&market.trading) != 0)
        sim_pause();
    while (chain != 0) {
        page = chain;
        chain = contents_of(page)->word[0];
        page_give(page);
    }
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void pages_reserve(void)
{
    unsigned count = MIN(online_count(), 4u);
    struct task *task[4];
    struct phys_stats stats;
    paddr_t hoarded;

    phys_stats_get(&stats);
    market_open(count + 1);
    for (unsigned i = 0; i < count; i++)
        task[i] = spawn("glutton", glutton, NULL, PRIORITY_USER_LOW, NULL);
    hoarded = hoard(stats.reserve_pages + 40);
    sim_line_open(&market.line, count);
    while (load_relaxed(&market.trading) != 1)
        sim_pause();
    CHECK(free_pages() >= stats.reserve_pages - 20 && phys_alloc_user(0, MM_ANON) == 0);
    for (unsigned round = sim_rounds(); round > 0; round--)
        CHECK(finish(spawn("needy", do_nothing, NULL, PRIORITY_DEFAULT, NULL)) == 0);
    (void)fetch_sub_acq_rel(&market.trading, 1);
    CHECK(sim_finish_all(task, count) == 0);
    give_back(hoarded);
}

/* ---- Pages near their task ---- */

/* All nodes have more than the story takes, so each page must come from the node of the CPU that asks, wherever those
 * that were given back there came from. */
static int neighbour(void *arg)
{
    paddr_t own[OWN_MAX] = { 0 };
    unsigned node = (unsigned)(uintptr_t)arg;

    sim_line_wait(&market.line);
    for (unsigned turn = 8 * sim_rounds(); turn > 0; turn--) {
        unsigned slot = (unsigned)sim_random_below(OWN_MAX);
        unsigned order = sim_chance(4) ? 3 : 0;

        trade(own);
        if (own[slot] == 0)
            own[slot] = page_take(sim_chance(2));
        else if (sim_chance(2)) { /* it was another's, perhaps */
            page_give(own[slot]);
            own[slot] = page_take(false);
            CHECK(own[slot] == 0 || phys_node(own[slot]) == node);
        }
        paddr_t block = phys_alloc(order);

        if (CHECK(block != 0)) {
            CHECK(phys_node(block) == node && phys_node(block + (PAGE_BYTES << order) - 1) == node);
            phys_free(block, order);
        }
        if (sim_chance(8))
            sim_delay();
    }
    for (unsigned slot = 0; slot < OWN_MAX; slot++)
        if (own[slot] != 0)
            page_give(own[slot]);
    return 0;
}

/* What two nodes have side by side must not become one block: whole nodes are taken, and each page looked at. */
static void take_whole_nodes(void)
{
    paddr_t hoarded = hoard(64);

    for (paddr_t block = hoarded; block != 0; block = ((uint64_t *)phys_to_virt(block))[0]) {
        uint64_t order = ((uint64_t *)phys_to_virt(block))[1];

        CHECK(phys_node(block) == phys_node(block + (PAGE_BYTES << order) - PAGE_BYTES));
    }
    give_back(hoarded);
}

static void pages_near(void)
{
    unsigned count = MIN(online_count(), (unsigned)TRADERS_MAX);
    struct task *task[TRADERS_MAX];

    market_open(count);
    for (unsigned i = 0; i < count; i++) {
        unsigned node = mm_node_count() == 1 ? 0 : cpu_table[online_cpu(i)]->node;

        task[i] = sim_spawn_nth("neighbour", neighbour, (void *)(uintptr_t)node, i);
    }
    sim_line_open(&market.line, count);
    CHECK(sim_finish_all(task, count) == 0);
    for (unsigned i = 0; i < SHELVES; i++)
        if (load_acquire(&market.shelf[i]) != 0)
            page_give(load_acquire(&market.shelf[i]));
    take_whole_nodes();
}

const struct sim_scenario sim_scenarios_pages[] = {
    { .name = "pages-near", .aim = "a page comes from another node than its task's, though that has some left",
      .cpus = 4, .cpus_min = 2, .rounds = 2, .run = pages_near },
    { .name = "pages-drain", .aim = "a CPU's cache is drained while the CPU uses it", .cpus = 4, .cpus_min = 1,
      .rounds = 4, .run = pages_drain },
    { .name = "pages-shared", .aim = "who drops the last reference frees what others still see", .cpus = 4,
      .cpus_min = 2, .rounds = 4, .run = pages_shared },
    { .name = "pages-reserve", .aim = "users take all memory, and tasks cannot be made or ended", .cpus = 2,
      .cpus_min = 1, .rounds = 3, .run = pages_reserve },
    { 0 },
};
