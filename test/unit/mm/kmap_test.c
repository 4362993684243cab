/* SPDX-License-Identifier: MIT */
/* core/mm/kmap.c: runs with guards on either side, nothing lost when an allocation fails, and by several CPUs at
 * once. */
#include "mm_test.h"

#include <k/errno.h>

#define RUNS_MAX 300
#define PAGES_MAX 600 /* more than a last-level table spans */

static struct tlb_range runs[RUNS_MAX];

static bool is_mapped(vaddr_t va)
{
    paddr_t pa;
    unsigned prot;

    return pt_query(kspace_root(), va, &pa, &prot) == 0;
}

static void fill(const struct tlb_range *run)
{
    for (size_t i = 0; i < run->pages; i++)
        *(uint64_t *)(run->va + i * PAGE_BYTES) = run->va + i;
}

/* The pages are the run's alone, and both neighbours are guards. */
static void check(const struct tlb_range *run)
{
    for (size_t i = 0; i < run->pages; i++) {
        ASSERT(*(uint64_t *)(run->va + i * PAGE_BYTES) == run->va + i);
        ASSERT(!kmap_is_guard(run->va + i * PAGE_BYTES));
    }
    ASSERT(!is_mapped(run->va - 1));
    ASSERT(!is_mapped(run->va + run->pages * PAGE_BYTES));
    ASSERT(kmap_is_guard(run->va - 1));
    ASSERT(kmap_is_guard(run->va + run->pages * PAGE_BYTES));
}

static void random_runs_have_guards_and_leave_nothing(void **state)
{
    struct unit_random random = {13};
    unsigned count = 0;
    unsigned failed = 0;

    (void)state;
    mm_test_faults_are_the_machines();
    for (unsigned step = 0; step < 2000; step++) {
        bool grow = unit_random_below(&random, 100) < (step / 400 % 2 == 0 ? 80 : 20);

        if (grow && count < RUNS_MAX) {
            struct tlb_range *run = &runs[count];

            run->pages = 1 + unit_random_below(&random, unit_random_below(&random, 6) == 0 ? PAGES_MAX : 12);
            if (kmap_alloc(run->pages, &run->va) != 0) {
                failed++;
                continue;
            }
            fill(run);
            check(run);
            count++;
        } else if (count > 0) {
            unsigned victim = (unsigned)unit_random_below(&random, count);

            check(&runs[victim]);
            kmap_free(runs[victim].va, runs[victim].pages);
            assert_false(is_mapped(runs[victim].va));
            runs[victim] = runs[--count];
        }
    }
    assert_true(failed > 0); /* memory ran out at times */
    while (count > 0) {
        count--;
        check(&runs[count]);
        kmap_free(runs[count].va, runs[count].pages);
    }
}

static void each_failed_allocation_leaves_nothing_behind(void **state)
{
    static const size_t sizes[] = {1, 4, 64, 1100};
    unsigned failures = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
        bool fired = true;

        for (uint32_t nth = 1; fired; nth++) {
            uint64_t before = mm_test_free_pages();
            vaddr_t va = 0;
            int error;

            mm_fail_at(nth);
            error = kmap_alloc(sizes[i], &va);
            fired = mm_fail_fired();
            assert_int_equal(error, fired ? -ENOMEM : 0);
            if (error == 0)
                kmap_free(va, sizes[i]);
            assert_true(mm_test_free_pages() == before);
            failures += fired;
        }
    }
    /* One per page, one for the call itself, and the tables. */
    assert_true(failures > 1 + 4 + 64 + 1100 + 4);
}

static void a_batch_gives_what_there_is(void **state)
{
    vaddr_t va[KMAP_BATCH_MAX];
    struct tlb_range freed[KMAP_BATCH_MAX];
    int count = kmap_alloc_batch(400, KMAP_BATCH_MAX, va); /* 50 MiB of 32 */

    (void)state;
    assert_true(count > 5 && count < KMAP_BATCH_MAX);
    for (int i = 0; i < count; i++)
        freed[i] = (struct tlb_range){va[i], 400};
    kmap_free_batch(freed, (unsigned)count);
    kmap_free_batch(freed, 0);
}

static void what_can_never_fit_is_refused(void **state)
{
    vaddr_t va;

    (void)state;
    assert_int_equal(kmap_alloc((size_t)1 << 40, &va), -ENOMEM);
    assert_int_equal(kmap_alloc(SIZE_MAX, &va), -ENOMEM);
}

static void guards_are_only_in_the_window(void **state)
{
    (void)state;
    assert_false(kmap_is_guard(0));
    assert_false(kmap_is_guard((vaddr_t)HAL_KMAP_BASE - 1));
    assert_false(kmap_is_guard((vaddr_t)HAL_KMAP_BASE + HAL_KMAP_BYTES));
    assert_false(kmap_is_guard(~(vaddr_t)0));
    assert_false(kmap_is_guard((vaddr_t)HAL_KMAP_BASE + PAGE_BYTES * 50000));
}

static void free_twice(void *arg)
{
    struct tlb_range *run = arg;

    kmap_free(run->va, run->pages);
    kmap_free(run->va, run->pages);
}

static void free_it(void *arg)
{
    struct tlb_range *run = arg;

    kmap_free(run->va, run->pages);
}

static void touch_it(void *arg)
{
    *(volatile char *)arg = 1;
}

static void wrong_frees_panic(void **state)
{
    struct tlb_range run = {.pages = 4};
    struct tlb_range wrong;

    (void)state;
    assert_int_equal(kmap_alloc(4, &run.va), 0);
    assert_panics(free_twice, &run, "assert");
    wrong = (struct tlb_range){run.va, 3};
    assert_panics(free_it, &wrong, "assert");
    wrong = (struct tlb_range){run.va, 5};
    assert_panics(free_it, &wrong, "assert");
    wrong = (struct tlb_range){run.va + PAGE_BYTES, 3};
    assert_panics(free_it, &wrong, "assert");
    wrong = (struct tlb_range){HAL_KMAP_BASE, 1};
    assert_panics(free_it, &wrong, "assert");
    wrong = (struct tlb_range){run.va, SIZE_MAX};
    assert_panics(free_it, &wrong, "assert");
    kmap_free(run.va, 4);
}

static void a_guard_cannot_be_touched(void **state)
{
    struct tlb_range run = {.pages = 1};

    (void)state;
    mm_test_faults_are_the_machines();
    assert_int_equal(kmap_alloc(1, &run.va), 0);
    assert_true(host_unit_returns_forked(touch_it, (void *)run.va, &mm_test_result));
    assert_false(host_unit_returns_forked(touch_it, (void *)(run.va - 1), &mm_test_result));
    assert_false(host_unit_returns_forked(touch_it, (void *)(run.va + PAGE_BYTES), &mm_test_result));
    kmap_free(run.va, 1);
    assert_false(host_unit_returns_forked(touch_it, (void *)run.va, &mm_test_result));
}

static void addresses_come_round(void **state)
{
    (void)state;
    mm_test_faults_are_the_machines();
    /* More than the window has, one at a time: 64 MiB for 32 MiB of RAM. */
    for (unsigned i = 0; i < 30; i++) {
        struct tlb_range run = {.pages = 1000};

        assert_int_equal(kmap_alloc(run.pages, &run.va), 0);
        fill(&run);
        check(&run);
        kmap_free(run.va, run.pages);
    }
}

static void nothing_to_prepare(void)
{
}

static void churn(cpu_id_t cpu, struct unit_random *random)
{
    struct tlb_range own[8] = {{0}};

    (void)cpu;
    for (unsigned step = 0; step < 150; step++) {
        struct tlb_range *run = &own[unit_random_below(random, ARRAY_COUNT(own))];

        if (run->va != 0) {
            check(run);
            kmap_free(run->va, run->pages);
            run->va = 0;
        } else {
            run->pages = 1 + unit_random_below(random, unit_random_below(random, 30) == 0 ? 500 : 8);
            if (kmap_alloc(run->pages, &run->va) == 0)
                fill(run);
            else
                run->va = 0;
        }
    }
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        if (own[i].va != 0)
            kmap_free(own[i].va, own[i].pages);
}

static void several_cpus_leave_nothing(void **state)
{
    (void)state;
    mm_test_run_team(nothing_to_prepare, churn, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(random_runs_have_guards_and_leave_nothing),
        mm_test(each_failed_allocation_leaves_nothing_behind),
        mm_test(a_batch_gives_what_there_is),
        mm_test(what_can_never_fit_is_refused),
        mm_test(guards_are_only_in_the_window),
        mm_test(wrong_frees_panic),
        mm_test(a_guard_cannot_be_touched),
        mm_test(addresses_come_round),
    };
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(several_cpus_leave_nothing),
    };

    return cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown) +
           cmocka_run_group_tests(teams, NULL, NULL);
}
