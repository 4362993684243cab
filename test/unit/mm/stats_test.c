/* SPDX-License-Identifier: MIT */
/* core/mm/stats.c: counts by kind, kept by each CPU for itself, add up. */
#include "mm_test.h"

#include <mm/stats.h>

static struct mm_stats before, now;

static void what_is_counted_is_told_and_the_rest_is_other(void **state)
{
    paddr_t block = phys_alloc(3);

    (void)state;
    mm_stats_get(&before);
    assert_true(before.pages[MM_OTHER] >= 8);
    mm_stat_add(MM_ANON, 5);
    mm_stat_add(MM_KMALLOC, 3);
    mm_stat_add(MM_ANON, -1);
    mm_stats_get(&now);
    assert_true(now.pages[MM_ANON] == before.pages[MM_ANON] + 4);
    assert_true(now.pages[MM_KMALLOC] == before.pages[MM_KMALLOC] + 3);
    assert_true(now.pages[MM_OTHER] == before.pages[MM_OTHER] - 7);
    mm_stat_add(MM_ANON, -4);
    mm_stat_add(MM_KMALLOC, -3);
    phys_free(block, 3);
    mm_stats_get(&now);
    assert_true(now.pages[MM_OTHER] == before.pages[MM_OTHER] - 8);
}

static void the_kinds_are_all_that_is_not_free(void **state)
{
    struct phys_stats phys;
    uint64_t sum = 0;

    (void)state;
    mm_stats_get(&now);
    phys_stats_get(&phys);
    for (unsigned kind = 0; kind < MM_KIND_COUNT; kind++)
        sum += now.pages[kind];
    assert_true(sum + now.free == now.total);
    assert_true(now.total == phys.total_pages && now.free == phys.free_pages && now.reserved == phys.reserved_pages);
    assert_true(now.cached == phys.cached_pages && now.reserve == phys.reserve_pages && now.reserve > 0);
}

static void stacks_and_their_tables_are_counted(void **state)
{
    /* More than one region of the window, so that tables come and go. */
    const size_t pages = 2 * PT_ENTRIES + 3;
    vaddr_t va;

    (void)state;
    mm_test_faults_are_the_machines();
    mm_stats_get(&before);
    assert_int_equal(kmap_alloc(pages, &va), 0);
    mm_stats_get(&now);
    assert_true(now.pages[MM_STACKS] == before.pages[MM_STACKS] + pages);
    assert_in_range(now.pages[MM_TABLES] - before.pages[MM_TABLES], 2, 3);
    assert_true(now.pages[MM_OTHER] == before.pages[MM_OTHER]);
    kmap_free(va, pages);
    mm_stats_get(&now);
    assert_memory_equal(now.pages, before.pages, sizeof(now.pages));
}

static void a_cpu_without_a_part_counts_as_well(void **state)
{
    (void)state;
    mm_stats_get(&before);
    mm_test_cpu.mm = NULL;
    mm_stat_add(MM_SLABS, 2);
    mm_test_cpu.mm = &mm_test_part;
    mm_stats_get(&now);
    assert_true(now.pages[MM_SLABS] == before.pages[MM_SLABS] + 2);
    mm_stat_add(MM_SLABS, -2);
    mm_stats_get(&now);
    assert_true(now.pages[MM_SLABS] == before.pages[MM_SLABS]);
}

static void log_and_die(void *arg)
{
    (void)arg;
    mm_stat_add(MM_TABLES, 25);
    mm_stats_log();
    panic("logged");
}

static void the_log_has_every_kind(void **state)
{
    static const char *const lines[] = { "KiB in care", "never handed out", "KiB stacks", " 100 KiB page tables",
                                         "KiB slabs", "KiB kmalloc", "KiB anonymous", "KiB objects", "KiB other" };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(lines); i++)
        assert_panics(log_and_die, NULL, lines[i]);
}

static void count_other(void *arg)
{
    (void)arg;
    mm_stat_add(MM_OTHER, 1);
}

static void other_is_not_for_counting(void **state)
{
    (void)state;
    assert_panics(count_other, NULL, "kind < MM_OTHER");
}

/* Pages that one CPU counts in and another counts out. */
static void prepare(void)
{
}

static void count_at_random(cpu_id_t cpu, struct unit_random *random)
{
    for (unsigned i = 0; i < 40; i++) {
        int64_t pages = (int64_t)unit_random_below(random, 9);

        mm_stat_add(MM_OBJECT, cpu % 2 == 0 ? pages : -pages);
        mm_stat_add(MM_OBJECT, cpu % 2 == 0 ? 8 - pages : pages - 8);
        if (unit_random_below(random, 8) == 0) {
            struct mm_stats stats;

            mm_stats_get(&stats); /* beside those who count */
            ASSERT(stats.pages[MM_OBJECT] <= 2 * 40 * 8);
        }
    }
    if (cpu != 0)
        return;

    struct mm_test_team *team = container_of((struct cpu(*)[MM_TEST_CPUS])this_cpu(), struct mm_test_team, cpus);
    struct mm_stats stats;

    while (load_acquire(&team->left) != 1)
        hal_cpu_relax();
    mm_stats_get(&stats);
    ASSERT(stats.pages[MM_OBJECT] == 0);
}

static void no_count_is_lost_between_cpus(void **state)
{
    (void)state;
    mm_test_run_team(prepare, count_at_random, 30);
}

int main(void)
{
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(no_count_is_lost_between_cpus),
    };
    const struct CMUnitTest tests[] = {
        mm_test(what_is_counted_is_told_and_the_rest_is_other),
        mm_test(the_kinds_are_all_that_is_not_free),
        mm_test(stacks_and_their_tables_are_counted),
        mm_test(a_cpu_without_a_part_counts_as_well),
        mm_test(the_log_has_every_kind),
        mm_test(other_is_not_for_counting),
    };
    int failed = cmocka_run_group_tests(teams, NULL, NULL);

    return failed + cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
