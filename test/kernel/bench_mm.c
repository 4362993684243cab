/* SPDX-License-Identifier: MIT */
/*
 * Costs of memory's operations, counted as bench.c does. A line is the whole loop, call and clock included. Where there
 * is a budget for an operation, a second line, NAME_net, is without the loop: this is the one to compare.
 */
#include <boot/program.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <mm/stats.h>
#include <time/clock.h>

#include "bench.h"
#include "check.h"

#define ROUNDS 100u
#define HANDFUL 32u  /* pages that fit into a CPU's cache, and back */
#define CROWD 1024u  /* many more than do */

static paddr_t held[CROWD];

uint64_t bench_loop_ns(unsigned rounds)
{
    static void *volatile accessed[CROWD];
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < MIN(rounds, CROWD); i++)
        (void)accessed[i];
    CHECK(rounds <= CROWD);
    return clock_ns() - start;
}

/* A line for ROUNDS times `count` operations in, one for those out; two more without the loops, if they have names. */
static void report_in_and_out(const char *const names[4], uint64_t in_ns, uint64_t out_ns, unsigned count)
{
    uint64_t operations = (uint64_t)ROUNDS * count;
    uint64_t loops_ns = 0;

    bench_report(names[0], in_ns, operations);
    bench_report(names[1], out_ns, operations);
    if (names[2] == NULL)
        return;
    for (unsigned round = 0; round < ROUNDS; round++)
        loops_ns += bench_loop_ns(count);
    bench_report_net(names[2], in_ns, loops_ns, operations);
    bench_report_net(names[3], out_ns, loops_ns, operations);
}

/* All that is taken, and all that is given back, `count` at a time. */
static void bench_in_and_out(const char *const names[4], unsigned count, unsigned order)
{
    uint64_t in_ns = 0;
    uint64_t out_ns = 0;

    for (unsigned round = 0; round <= ROUNDS; round++) {
        uint64_t start = clock_ns();

        for (unsigned i = 0; i < count; i++)
            held[i] = phys_alloc(order);
        uint64_t middle = clock_ns();

        for (unsigned i = 0; i < count; i++)
            phys_free(held[i], order);
        if (round == 0)
            continue; /* it fills the cache */
        in_ns += middle - start;
        out_ns += clock_ns() - middle;
    }
    report_in_and_out(names, in_ns, out_ns, count);
}

static void bench_page(void)
{
    static const char *const names[4] = { "page_alloc", "page_free", "page_alloc_net", "page_free_net" };

    bench_in_and_out(names, HANDFUL, 0);
}

static void bench_page_crowd(void)
{
    bench_in_and_out((const char *const[4]){ "page_crowd_alloc", "page_crowd_free" }, CROWD, 0);
}

static void bench_block(void)
{
    bench_in_and_out((const char *const[4]){ "block_order3_alloc", "block_order3_free" }, HANDFUL, 3);
}

static void bench_reference(void)
{
    paddr_t page = phys_alloc(0);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++) {
        phys_get(page);
        phys_put(page);
    }
    bench_report("page_get_put", clock_ns() - start, ROUNDS);
    phys_free(page, 0);
}

static uint64_t zero_ns(unsigned pages)
{
    paddr_t page = phys_alloc(0);
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < pages; i++)
        memset(phys_to_virt(page), 0, PAGE_BYTES);
    uint64_t ns = clock_ns() - start;

    phys_free(page, 0);
    return ns;
}

uint64_t bench_zero_ns(unsigned pages)
{
    return zero_ns(pages) - bench_loop_ns(pages);
}

static void bench_zero(void)
{
    bench_report("page_zero", zero_ns(ROUNDS), ROUNDS);
}

static int fill_cache(void *arg)
{
    paddr_t pages[HANDFUL];

    (void)arg;
    for (unsigned i = 0; i < HANDFUL; i++)
        pages[i] = phys_alloc(0);
    for (unsigned i = 0; i < HANDFUL; i++)
        phys_free(pages[i], 0);
    return 0;
}

/* The caches of all CPUs, each with pages in it, back to the free lists. */
static void bench_reclaim(void)
{
    uint64_t ns = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < online_count(); i++)
            (void)finish(spawn_on("filler", fill_cache, NULL, PRIORITY_DEFAULT, online_cpu(i)));
        uint64_t start = clock_ns();

        phys_reclaim_caches();
        ns += clock_ns() - start;
    }
    bench_report("reclaim_caches", ns, ROUNDS);
}

/* Objects as many at a time as a magazine holds after its refill, and many more than it holds. */
#define OBJECT_BYTES 200u
#define FEW 12u

static struct slab_cache bench_cache;
static void *objects[CROWD];

static void bench_objects_by(const char *const names[4], unsigned count)
{
    uint64_t in_ns = 0;
    uint64_t out_ns = 0;

    if (bench_cache.name == NULL)
        slab_cache_init(&bench_cache, "bench", OBJECT_BYTES, 8);
    for (unsigned round = 0; round <= ROUNDS; round++) {
        uint64_t start = clock_ns();

        for (unsigned i = 0; i < count; i++)
            objects[i] = slab_alloc(&bench_cache);
        uint64_t middle = clock_ns();

        for (unsigned i = 0; i < count; i++)
            slab_free(&bench_cache, objects[i]);
        if (round == 0)
            continue; /* it makes the magazine */
        in_ns += middle - start;
        out_ns += clock_ns() - middle;
    }
    report_in_and_out(names, in_ns, out_ns, count);
}

static void bench_objects(void)
{
    bench_objects_by((const char *const[4]){ "slab_alloc", "slab_free", "slab_alloc_net", "slab_free_net" }, FEW);
}

static void bench_object_crowd(void)
{
    bench_objects_by((const char *const[4]){ "slab_crowd_alloc", "slab_crowd_free" }, CROWD);
}

static void bench_kmalloc(void)
{
    kfree(kmalloc(OBJECT_BYTES));
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < ROUNDS; i++)
        kfree(kmalloc(OBJECT_BYTES));
    bench_report("kmalloc_free_pair", clock_ns() - start, ROUNDS);
}

/* One object in the magazine of each CPU, and a CPU that takes them all away. */
static int fill_magazine(void *arg)
{
    (void)arg;
    kfree(kmalloc(OBJECT_BYTES));
    return 0;
}

static void bench_slab_reclaim(void)
{
    uint64_t ns = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < online_count(); i++)
            (void)finish(spawn_on("filler", fill_magazine, NULL, PRIORITY_REALTIME_NORMAL, online_cpu(i)));
        uint64_t start = clock_ns();

        slab_reclaim_all();
        ns += clock_ns() - start;
    }
    bench_report("slab_reclaim_all", ns, ROUNDS);
}

static const struct bench benches[] = {
    { "slab_alloc", bench_objects, false },
    { "slab_crowd_alloc", bench_object_crowd, false },
    { "kmalloc_free_pair", bench_kmalloc, false },
    { "slab_reclaim_all", bench_slab_reclaim, true },
    { "page_alloc", bench_page, false },
    { "page_crowd_alloc", bench_page_crowd, false },
    { "block_order3_alloc", bench_block, false },
    { "page_get_put", bench_reference, false },
    { "page_zero", bench_zero, false },
    { "region_find_10", bench_region_find, false },
    { "region_gap_10", bench_region_gap, false },
    { "region_map_unmap_10", bench_region_map, false },
    { "object_page_made", bench_object_page, false },
    { "reclaim_caches", bench_reclaim, true },
    { "tables_make_nothing", bench_page_tables, false },
    { "fault_zero", bench_space_fault, false },
    { "map_unmap", bench_space_map, false },
    { "fork_empty", bench_space_fork, false },
    { "shootdown_page", bench_shootdown, true },
    { "pipe_round_trip", bench_pipe_round_trip, false },
    { "files", bench_files_alone, false },
};

/* bench-mm:WORD runs those whose name contains WORD. First, what the booted kernel itself takes. */
int bench_mm_main(const char *argument)
{
    mm_stats_log();
    return bench_run(benches, ARRAY_COUNT(benches), argument);
}
