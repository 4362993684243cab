/* SPDX-License-Identifier: MIT */
/* core/mm/cpu_pages.c: what the caches keep, give away and give back, and what user memory leaves to the kernel. */
#include "mm_test.h"

#include <hal/irq.h>
#include <smp/call.h>
#include <time/timer.h>

#define PAGES_MAX 20000

static paddr_t held[PAGES_MAX];

static struct phys_stats stats(void)
{
    struct phys_stats now;

    phys_stats_get(&now);
    return now;
}

static void hold(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        held[i] = phys_alloc(0);
        assert_true(held[i] != 0);
    }
}

static void let_go(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        phys_free(held[i], 0);
}

/* ---- One CPU ---- */

static void the_page_freed_last_comes_first(void **state)
{
    (void)state;
    hold(4);
    let_go(4);
    for (unsigned i = 4; i-- > 0;)
        assert_true(phys_alloc(0) == held[i]);
    let_go(4);
}

static void a_full_cache_gives_away_what_was_freed_first(void **state)
{
    uint32_t limit = mm_test_part.limit;

    (void)state;
    assert_true(limit >= 8 && limit <= 64);
    hold(3 * limit);
    phys_reclaim_caches();
    for (unsigned i = 0; i < 3 * limit; i++) {
        phys_free(held[i], 0);
        assert_true(stats().cached_pages <= limit);
        assert_true(stats().cached_pages == load_relaxed(&mm_test_part.count));
    }
    /* Half of the limit at least is what was freed last, in that order; but one that made it spill went with them. */
    assert_true(stats().cached_pages >= limit / 2);
    assert_true(phys_alloc(0) == held[3 * limit - 1]);
    assert_true(phys_alloc(0) == held[3 * limit - 2]);
    phys_free(held[3 * limit - 2], 0);
    phys_free(held[3 * limit - 1], 0);
}

static void a_miss_fetches_several(void **state)
{
    paddr_t page;

    (void)state;
    phys_reclaim_caches();
    assert_true(stats().cached_pages == 0);
    page = phys_alloc(0);
    assert_true(stats().cached_pages == mm_test_part.limit / 2);
    phys_free(page, 0);
}

static void count_blocks(unsigned counts[PHYS_ORDER_COUNT])
{
    for (unsigned order = 0; order < PHYS_ORDER_COUNT; order++) {
        counts[order] = 0;
        list_for_each(node, &mm_nodes.buddy[0].lists[order]) {
            (void)node;
            counts[order]++;
        }
    }
}

/* A single page off the free lists, as far as their lengths show it. */
static void take_one_by_the_book(unsigned counts[PHYS_ORDER_COUNT])
{
    unsigned order = 0;

    while (counts[order] == 0)
        order++;
    counts[order]--;
    while (order-- > 0)
        counts[order]++;
}

/* Among holes of another size in each round. */
static void a_miss_takes_the_blocks_that_single_pages_would_be_taken_from(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        unsigned expected[PHYS_ORDER_COUNT], found[PHYS_ORDER_COUNT];
        unsigned hole = 1 + round % 20, count = 500 + round;
        paddr_t page;

        hold(count);
        for (unsigned i = 0; i < count; i++)
            if (i % (2 * hole) < hole && i < 10 * hole)
                phys_free(held[i], 0);
        phys_reclaim_caches();
        count_blocks(expected);
        page = phys_alloc(0);
        assert_true(stats().cached_pages > 1);
        for (uint64_t i = 0; i <= stats().cached_pages; i++)
            take_one_by_the_book(expected);
        count_blocks(found);
        assert_memory_equal(found, expected, sizeof found);
        phys_free(page, 0);
        for (unsigned i = 0; i < count; i++)
            if (i % (2 * hole) >= hole || i >= 10 * hole)
                phys_free(held[i], 0);
    }
}

static void free_counts_include_the_cache(void **state)
{
    uint64_t pages = stats().free_pages;

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        held[i] = phys_alloc(0);
        assert_true(stats().free_pages == pages - i - 1);
    }
    for (unsigned i = 0; i < 500; i++) {
        phys_free(held[i], 0);
        assert_true(stats().free_pages == pages - 499 + i);
    }
    phys_reclaim_caches();
    assert_true(stats().free_pages == pages && stats().cached_pages == 0);
}

/* The pages of a block, given back one by one, are in the cache; whoever needs the block gets it all the same. */
static void an_allocation_that_would_fail_drains_first(void **state)
{
    unsigned count = 0;
    paddr_t block = phys_alloc(2);

    (void)state;
    phys_split(block, 2);
    phys_reclaim_caches();
    for (unsigned order = PHYS_ORDER_MAX + 1; order-- > 0;)
        for (paddr_t at; (at = phys_alloc(order)) != 0;)
            held[count++] = at;
    assert_true(stats().free_pages == 0);
    for (unsigned i = 0; i < 4; i++)
        phys_free(block + i * PAGE_BYTES, 0);
    assert_true(stats().cached_pages == 4);
    assert_true(phys_alloc(2) == block);
    phys_free(block, 2);
    while (count-- > 0) {
        unsigned order;

        assert_true(phys_block(held[count], &order) == held[count]);
        phys_free(held[count], order);
    }
}

static void user_memory_leaves_the_reserve(void **state)
{
    uint64_t reserve = stats().reserve_pages;
    unsigned count = 0;
    unsigned kernel = 0;
    paddr_t page;

    (void)state;
    assert_true(reserve >= 64 && reserve <= 4096 && reserve * 65 >= stats().total_pages);
    while ((page = phys_alloc_user(0, MM_ANON)) != 0)
        held[count++] = page;
    assert_true(stats().free_pages == reserve);
    for (unsigned order = 0; order <= PHYS_ORDER_MAX; order++)
        assert_true(phys_alloc_user(order, MM_ANON) == 0);
    /* The kernel goes on, to the last page; and what it gives back is no user's. */
    while ((page = phys_alloc(0)) != 0)
        held[count + kernel++] = page;
    assert_int_equal(kernel, reserve);
    for (unsigned i = 0; i < kernel; i++) {
        phys_free(held[count + i], 0);
        assert_true(phys_alloc_user(0, MM_ANON) == 0);
    }
    phys_free(held[--count], 0);
    assert_true((held[count] = phys_alloc_user(0, MM_ANON)) != 0);
    assert_true(phys_alloc_user(0, MM_ANON) == 0);
    let_go(count + 1);
    /* Larger blocks respect it to the page, too. */
    count = 0;
    for (unsigned order = PHYS_ORDER_MAX + 1; order-- > 0;)
        for (; (page = phys_alloc_user(order, MM_ANON)) != 0; count++)
            held[count] = page | order;
    assert_true(stats().free_pages == reserve);
    while (count-- > 0)
        phys_free(ROUND_DOWN(held[count], PAGE_BYTES), (unsigned)(held[count] % PAGE_BYTES));
}

static void a_cpu_without_a_cache_allocates_as_well(void **state)
{
    (void)state;
    phys_reclaim_caches();
    mm_test_cpu.mm = NULL;
    hold(100);
    assert_true(stats().cached_pages == 0);
    let_go(100);
    assert_true(stats().cached_pages == 0);
    phys_reclaim_caches();
    mm_test_cpu.mm = &mm_test_part;
}

/* ---- Double frees ---- */

static void free_held(void *arg)
{
    phys_free(held[*(unsigned *)arg], 0);
}

static void a_page_in_a_cache_is_not_freed_again(void **state)
{
    (void)state;
    hold(8);
    let_go(8);
    for (unsigned i = 0; i < 8; i++)
        assert_panics(free_held, &i, "free or inside a block");
}

/* Two CPUs free one page at the very same time: both looked before either wrote. */
static void free_at_once(void)
{
    struct page *page;

    hold(1);
    page = page_find(held[0]);
    phys_free(held[0], 0);
    page_set_tag(page, TAG_ALLOCATED);
    store_relaxed(&page->refs, 1);
    phys_free(held[0], 0);
}

static void take_what_was_freed_at_once(void *arg)
{
    (void)arg;
    free_at_once();
    (void)phys_alloc(0);
    (void)phys_alloc(0);
}

static void drain_what_was_freed_at_once(void *arg)
{
    (void)arg;
    free_at_once();
    phys_reclaim_caches();
}

static void two_frees_at_once_are_found_before_the_page_has_two_owners(void **state)
{
    (void)state;
    assert_panics(take_what_was_freed_at_once, NULL, "freed twice");
    assert_panics(drain_what_was_freed_at_once, NULL, "freed twice");
}

/* ---- Several CPUs, which are online: they drain each other by interrupts ---- */

static struct {
    struct timer_queue timers[MM_TEST_CPUS];
    _Atomic(unsigned) arrived;
    _Atomic(paddr_t) shelf[4];
    _Atomic(uint64_t) taken;
} team;

static void go_online(void)
{
    struct cpu *cpus = this_cpu();
    struct task_base *tasks = current_base();

    memset(&team, 0, sizeof(team));
    mm_test_all_online(cpus, tasks, team.timers);
}

/* Answering until all have come here for the n-th time. */
static void meet(unsigned nth)
{
    (void)fetch_add_acq_rel(&team.arrived, 1);
    while (load_acquire(&team.arrived) < nth * MM_TEST_CPUS)
        hal_cpu_relax();
}

static uint64_t *mark_of(paddr_t page)
{
    return (uint64_t *)phys_to_virt(page) + 100;
}

static paddr_t take_marked(cpu_id_t cpu, unsigned order)
{
    paddr_t page = phys_alloc(order);

    if (page != 0)
        *mark_of(page) = page + cpu;
    return page;
}

static void give_marked(paddr_t page, unsigned order)
{
    ASSERT(*mark_of(page) - page < MM_TEST_CPUS);
    *mark_of(page) = 0;
    phys_free(page, order);
}

/* Pages travel between the CPUs by a shelf, so that they go into other caches than they came from. */
static void trade_at_random(cpu_id_t cpu, struct unit_random *random)
{
    paddr_t own[12] = { 0 };

    hal_irq_enable();
    for (unsigned turn = 0; turn < 60; turn++) {
        unsigned slot = (unsigned)unit_random_below(random, ARRAY_COUNT(own));
        paddr_t page;

        switch (unit_random_below(random, 12)) {
        case 0:
            phys_reclaim_caches();
            break;
        case 1:
            page = take_marked(cpu, 3);
            ASSERT(page != 0);
            give_marked(page, 3);
            break;
        case 2:
        case 3:
            page = xchg_acq_rel(&team.shelf[unit_random_below(random, ARRAY_COUNT(team.shelf))], own[slot]);
            own[slot] = page;
            break;
        default:
            if (own[slot] != 0) {
                give_marked(own[slot], 0);
                own[slot] = 0;
            } else {
                own[slot] = take_marked(cpu, 0);
                ASSERT(own[slot] != 0);
            }
            break;
        }
    }
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        if (own[i] != 0)
            give_marked(own[i], 0);
    for (unsigned i = 0; i < ARRAY_COUNT(team.shelf); i++) {
        paddr_t page = xchg_acq_rel(&team.shelf[i], 0);

        if (page != 0)
            give_marked(page, 0);
    }
    meet(1);
    hal_irq_disable();
    if (cpu == 0) {
        for (struct mm_cpu *part = mm_cpus; part != NULL; part = part->next) {
            unsigned count = 0;

            for (struct cached_page *node = part->head; node != NULL; node = node->next)
                count++;
            ASSERT(count == load_relaxed(&part->count) && count <= part->limit + part->limit / 2);
        }
    }
}

static void drains_allocations_and_frees_mix(void **state)
{
    (void)state;
    mm_test_run_team(go_online, trade_at_random, 60);
}

/* Everybody takes whatever there is. Nobody fails while another's cache has what it needs. */
static void take_all(cpu_id_t cpu, struct unit_random *random)
{
    paddr_t chain = 0;
    paddr_t page;
    uint64_t count = 0;

    hal_irq_enable();
    while ((page = take_marked(cpu, 0)) != 0) {
        *(paddr_t *)phys_to_virt(page) = chain;
        chain = page;
        count++;
        if (unit_random_below(random, 4) == 0) {
            chain = *(paddr_t *)phys_to_virt(page);
            count--;
            give_marked(page, 0);
        }
    }
    (void)fetch_add_acq_rel(&team.taken, count);
    meet(1);
    ASSERT(stats().free_pages + load_acquire(&team.taken) == stats().total_pages);
    ASSERT(stats().free_pages == 0);
    meet(2);
    while (chain != 0) {
        page = chain;
        chain = *(paddr_t *)phys_to_virt(page);
        give_marked(page, 0);
    }
    meet(3);
    hal_irq_disable();
}

static void whoever_is_last_gets_the_last_page(void **state)
{
    (void)state;
    mm_test_run_team_with(UINT64_C(1) << 20, go_online, take_all, 30);
}

/* What idle CPUs have in their caches is there for who needs it: single pages, and the blocks that they make. */
static void take_from_idle_cpus(cpu_id_t cpu, struct unit_random *random)
{
    paddr_t own[6];

    (void)random;
    hal_irq_enable();
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        own[i] = take_marked(cpu, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        give_marked(own[i], 0);
    meet(1);
    if (cpu == 1) {
        uint64_t pages = stats().free_pages;
        paddr_t chain = 0;

        ASSERT(stats().cached_pages >= MM_TEST_CPUS * ARRAY_COUNT(own));
        for (paddr_t page; (page = phys_alloc(0)) != 0; pages--) {
            *(paddr_t *)phys_to_virt(page) = chain;
            chain = page;
        }
        ASSERT(pages == 0 && stats().cached_pages == 0);
        while (chain != 0) {
            paddr_t page = chain;

            chain = *(paddr_t *)phys_to_virt(page);
            phys_free(page, 0);
        }
    }
    meet(2);
    hal_irq_disable();
}

static void an_idle_cpu_keeps_no_page_from_who_needs_it(void **state)
{
    (void)state;
    mm_test_run_team_with(UINT64_C(1) << 20, go_online, take_from_idle_cpus, 20);
}

int main(void)
{
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(drains_allocations_and_frees_mix),
        cmocka_unit_test(whoever_is_last_gets_the_last_page),
        cmocka_unit_test(an_idle_cpu_keeps_no_page_from_who_needs_it),
    };
    const struct CMUnitTest tests[] = {
        mm_test(the_page_freed_last_comes_first),
        mm_test(a_full_cache_gives_away_what_was_freed_first),
        mm_test(a_miss_fetches_several),
        mm_test(a_miss_takes_the_blocks_that_single_pages_would_be_taken_from),
        mm_test(free_counts_include_the_cache),
        mm_test(an_allocation_that_would_fail_drains_first),
        mm_test(user_memory_leaves_the_reserve),
        mm_test(a_cpu_without_a_cache_allocates_as_well),
        mm_test(a_page_in_a_cache_is_not_freed_again),
        mm_test(two_frees_at_once_are_found_before_the_page_has_two_owners),
    };
    int failed = cmocka_run_group_tests(teams, NULL, NULL);

    return failed + cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
