/* SPDX-License-Identifier: MIT */
/*
 * core/mm/nodes.c, and what phys.c and cpu_pages.c make of it: random nodes and distances against a model that knows of
 * each page only which node the firmware's list puts it in.
 */
#include "mm_test.h"

#include <mm/stats.h>
#include <smp/topology.h>

#define PAGES_MAX 16384

static struct {
    paddr_t page[PAGES_MAX];
    unsigned count;
} held;

/* The list is looked through anew each time: nothing of core's tables is believed. */
static unsigned listed_node(paddr_t page)
{
    const struct boot_info *boot = host_boot_info();

    for (unsigned i = 0; i < boot->node_memory_count; i++)
        if (page >= boot->node_memory[i].base && page < boot->node_memory[i].base + boot->node_memory[i].bytes)
            return boot->node_memory[i].node < boot->node_count ? boot->node_memory[i].node : 0;
    return 0;
}

/* Nodes of ranges that may be small, overlap, lie beside RAM, or name nodes that are not there. */
static void describe(struct unit_random *random, unsigned nodes)
{
    struct boot_info *boot = host_boot_info();
    paddr_t base = boot->memory[1].base;
    uint64_t pages = (boot->memory[0].base + boot->memory[0].bytes - base) / PAGE_BYTES;

    boot->node_count = nodes;
    boot->node_memory_count = 0;
    for (unsigned i = 0; i < 3 * nodes; i++)
        boot->node_memory[boot->node_memory_count++] = (struct boot_node_memory){
            .base = base + unit_random_below(random, pages) * PAGE_BYTES,
            .bytes = (1 + unit_random_below(random, pages / 4)) * PAGE_BYTES,
            .node = (uint32_t)unit_random_below(random, nodes + 1),
        };
    for (unsigned from = 0; from < nodes; from++)
        for (unsigned to = 0; to < nodes; to++)
            boot->node_distance[from][to] = (uint8_t)(10 + 5 * unit_random_below(random, 8));
}

static void boot_with_nodes(struct unit_random *random, unsigned nodes)
{
    mm_test_enter(8 << 20);
    describe(random, nodes);
    bootmem_init(host_boot_info());
    kspace_init(host_boot_info());
    bootmem_finish();
    memset(&mm_test_part, 0, sizeof mm_test_part);
    mm_cpu_init(&mm_test_cpu, &mm_test_part);
    held.count = 0;
}

static uint64_t free_of(unsigned node)
{
    struct mm_node_stats stats;

    mm_node_stats_get(node, &stats);
    return stats.free;
}

static unsigned distance(unsigned from, unsigned to)
{
    return from == to ? 10 : MAX((unsigned)host_boot_info()->node_distance[from][to], 11u);
}

/* Of nodes that have free pages, the least distance from `home`. */
static unsigned least_distance(unsigned home)
{
    unsigned least = UINT32_MAX;

    for (unsigned node = 0; node < mm_node_count(); node++)
        if (free_of(node) != 0)
            least = MIN(least, distance(home, node));
    return least;
}

/* Take single pages as a CPU of `node` until there are none, each from the nearest node that has any; give all back as
 * CPUs of random nodes: each node has what it had. */
static void exhaust(struct unit_random *random, unsigned node)
{
    uint64_t before[NODES_MAX];
    struct mm_node_stats stats;

    for (unsigned i = 0; i < mm_node_count(); i++)
        before[i] = free_of(i);
    mm_cpu_set_node(&mm_test_cpu, node);
    for (;;) {
        unsigned least = least_distance(mm_test_part.home);
        paddr_t page = phys_alloc(0);

        if (page == 0)
            break;
        assert_int_equal(distance(mm_test_part.home, listed_node(page)), least);
        held.page[held.count++] = page;
    }
    assert_int_equal(mm_test_free_pages(), 0);
    for (unsigned i = 0; i < mm_node_count(); i++) {
        mm_node_stats_get(i, &stats);
        assert_int_equal(stats.free, 0);
        assert_true(i == mm_test_part.home ? stats.local >= before[i] : stats.remote >= before[i]);
    }
    while (held.count != 0) {
        if (unit_random_below(random, 20) == 0)
            mm_cpu_set_node(&mm_test_cpu, (unsigned)unit_random_below(random, mm_node_count()));
        phys_free(held.page[--held.count], 0);
    }
    for (unsigned i = 0; i < mm_node_count(); i++)
        assert_int_equal(free_of(i), before[i]);
}

static void each_page_comes_from_the_nearest_node_that_has_one(void **state)
{
    struct unit_random random = { 5 };

    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        unsigned nodes = round == 0 ? NODES_MAX / 2 : 2 + (unsigned)unit_random_below(&random, 5);

        boot_with_nodes(&random, nodes);
        assert_int_equal(mm_node_count(), nodes);
        for (unsigned i = 0; i < 3; i++)
            exhaust(&random, (unsigned)unit_random_below(&random, nodes));
        host_unit_teardown();
    }
}

/* No block reaches over a border, however it was split and merged, and blocks fall back by distance, too. */
static void no_block_has_pages_of_two_nodes(void **state)
{
    struct unit_random random = { 6 };

    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        unsigned orders[PAGES_MAX];

        boot_with_nodes(&random, 2 + (unsigned)unit_random_below(&random, 20));
        for (unsigned step = 0; step < 4000; step++) {
            unsigned order = (unsigned)unit_random_below(&random, 7);
            paddr_t block = unit_random_below(&random, 3) != 0 ? phys_alloc(order) : 0;

            if (block != 0) {
                for (paddr_t page = block; page < block + (PAGE_BYTES << order); page += PAGE_BYTES)
                    assert_int_equal(listed_node(page), listed_node(block));
                orders[held.count] = order;
                held.page[held.count++] = block;
            } else if (held.count != 0) {
                unsigned victim = (unsigned)unit_random_below(&random, held.count);

                phys_free(held.page[victim], orders[victim]);
                held.page[victim] = held.page[--held.count];
                orders[victim] = orders[held.count];
            }
            if (step % 64 == 0)
                mm_cpu_set_node(&mm_test_cpu, (unsigned)unit_random_below(&random, mm_node_count()));
        }
        while (held.count != 0) {
            held.count--;
            phys_free(held.page[held.count], orders[held.count]);
        }
        host_unit_teardown();
    }
}

/* The reserve is of all memory together: users get the last page of their node, but not the last of the machine. */
static void the_reserve_counts_over_all_nodes(void **state)
{
    struct unit_random random = { 7 };

    (void)state;
    boot_with_nodes(&random, 3);
    for (paddr_t page; (page = phys_alloc_user(0, MM_ANON)) != 0;)
        held.page[held.count++] = page;
    assert_int_equal(mm_test_free_pages(), buddy.reserve_pages);
    while (held.count != 0)
        phys_free(held.page[--held.count], 0);
    host_unit_teardown();
}

static void without_nodes_of_memory_there_is_one(void **state)
{
    struct boot_info *boot;
    struct mm_node_stats stats;

    (void)state;
    mm_test_enter(0);
    boot = host_boot_info();
    boot->node_count = 4; /* of CPUs only */
    boot->node_memory_count = 0;
    bootmem_init(boot);
    kspace_init(boot);
    bootmem_finish();
    assert_int_equal(mm_node_count(), 1);
    mm_node_stats_get(0, &stats);
    assert_int_equal(stats.total, buddy.total_pages);
    assert_int_equal(stats.free, mm_test_free_pages());
    host_unit_teardown();
}

/* A node of CPUs without memory has its home at the nearest that has some. */
static void a_node_without_memory_uses_the_nearest(void **state)
{
    struct boot_info *boot;

    (void)state;
    mm_test_enter(0);
    boot = host_boot_info();
    boot->node_count = 3;
    boot->node_memory_count = 2;
    boot->node_memory[0] = (struct boot_node_memory){ boot->memory[0].base, boot->memory[0].bytes, 0 };
    boot->node_memory[1] = (struct boot_node_memory){ boot->memory[1].base, boot->memory[1].bytes, 2 };
    boot->node_distance[1][0] = 40;
    boot->node_distance[1][2] = 20;
    bootmem_init(boot);
    kspace_init(boot);
    bootmem_finish();
    memset(&mm_test_part, 0, sizeof mm_test_part);
    mm_cpu_init(&mm_test_cpu, &mm_test_part);
    mm_cpu_set_node(&mm_test_cpu, 1);
    assert_int_equal(mm_test_part.home, 2);
    paddr_t page = phys_alloc(0);

    assert_int_equal(listed_node(page), 2);
    phys_free(page, 0);
    host_unit_teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_page_comes_from_the_nearest_node_that_has_one),
        cmocka_unit_test(no_block_has_pages_of_two_nodes),
        cmocka_unit_test(the_reserve_counts_over_all_nodes),
        cmocka_unit_test(without_nodes_of_memory_there_is_one),
        cmocka_unit_test(a_node_without_memory_uses_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
