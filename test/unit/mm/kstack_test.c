/* SPDX-License-Identifier: MIT */
/* core/mm/kstack.c: sizes, the cache, refusals, forced failures, and what debug builds see of a stack's use. */
#include "mm_test.h"

#include <k/errno.h>

#define STACKS_MAX 300

static struct kstack stacks[STACKS_MAX];

static void touch(const struct kstack *stack)
{
    for (size_t i = 0; i < stack->bytes; i += PAGE_BYTES)
        *(uint64_t *)(stack->base + i) = i;
}

static void sizes_are_rounded_up_to_pages(void **state)
{
    static const struct {
        size_t asked, got;
    } sizes[] = {{1, 4096},      {4096, 4096},     {4097, 8192},    {16384, 16384},
                 {16385, 20480}, {262143, 262144}, {262144, 262144}};

    (void)state;
    mm_test_faults_are_the_machines();
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct kstack stack;

        assert_int_equal(kstack_alloc(sizes[i].asked, &stack), 0);
        assert_int_equal(stack.bytes, sizes[i].got);
        assert_true(stack.base % PAGE_BYTES == 0);
        touch(&stack);
        assert_true(kmap_is_guard(stack.base - 1));
        assert_true(kmap_is_guard(stack.base + stack.bytes));
        assert_int_equal(kstack_used_count(), 1);
        kstack_free(&stack);
        assert_int_equal(kstack_used_count(), 0);
        assert_true(stack.base == 0);
    }
}

static void absurd_sizes_are_refused(void **state)
{
    struct kstack stack;

    (void)state;
    assert_int_equal(kstack_alloc(0, &stack), -EINVAL);
    assert_int_equal(kstack_alloc(STACK_BYTES_MAX + 1, &stack), -EINVAL);
    assert_int_equal(kstack_alloc(SIZE_MAX, &stack), -EINVAL);
    assert_int_equal(kstack_used_count(), 0);
}

static void stacks_come_and_go_in_crowds(void **state)
{
    struct unit_random random = {17};
    unsigned count = 0;

    (void)state;
    mm_test_faults_are_the_machines();
    for (unsigned step = 0; step < 8000; step++) {
        bool grow = unit_random_below(&random, 100) < (step / 600 % 2 == 0 ? 80 : 20);

        if (grow && count < STACKS_MAX) {
            size_t bytes = unit_random_below(&random, 4) == 0 ? 1 + unit_random_below(&random, STACK_BYTES_MAX / 8)
                                                              : STACK_BYTES_DEFAULT;

            assert_int_equal(kstack_alloc(bytes, &stacks[count]), 0);
            for (unsigned i = 0; i < count; i++)
                assert_true(stacks[count].base + stacks[count].bytes < stacks[i].base ||
                            stacks[i].base + stacks[i].bytes < stacks[count].base);
            touch(&stacks[count++]);
        } else if (count > 0) {
            unsigned victim = (unsigned)unit_random_below(&random, count);

            kstack_free(&stacks[victim]);
            stacks[victim] = stacks[--count];
        }
        assert_int_equal(kstack_used_count(), count);
    }
    while (count > 0)
        kstack_free(&stacks[--count]);
}

static void the_cache_is_bounded(void **state)
{
    unsigned count = 0;

    (void)state;
    mm_test_faults_are_the_machines();
    while (count < STACKS_MAX)
        assert_int_equal(kstack_alloc(STACK_BYTES_DEFAULT, &stacks[count++]), 0);
    while (count > 0)
        kstack_free(&stacks[--count]);
    /* 64 stacks of 4 pages and their tables. */
    assert_true(mm_test_pages_before - mm_test_free_pages() <= 64 * 4 + 4);
    assert_true(mm_test_pages_before - mm_test_free_pages() >= 32 * 4);
}

static void all_memory_as_stacks_ends_in_an_error_and_comes_back(void **state)
{
    static struct kstack many[4000];
    unsigned count = 0;
    int error;

    (void)state;
    mm_test_faults_are_the_machines();
    while ((error = kstack_alloc(STACK_BYTES_DEFAULT, &many[count])) == 0)
        assert_true(++count < ARRAY_COUNT(many));
    assert_int_equal(error, -ENOMEM);
    assert_true(count > mm_test_pages_before / 5);
    assert_true(mm_test_free_pages() < 16);
    while (count > 0)
        kstack_free(&many[--count]);
    kstack_reclaim();
    assert_true(mm_test_free_pages() == mm_test_pages_before);
}

static void forced_failures_leave_nothing(void **state)
{
    static const size_t sizes[] = {PAGE_BYTES, STACK_BYTES_DEFAULT, STACK_BYTES_MAX};

    (void)state;
    mm_test_faults_are_the_machines();
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
        bool fired = true;

        for (uint32_t nth = 1; fired; nth++) {
            struct kstack stack;
            int error;

            kstack_reclaim();
            mm_fail_at(nth);
            error = kstack_alloc(sizes[i], &stack);
            fired = mm_fail_fired();
            assert_int_equal(error, fired ? -ENOMEM : 0);
            assert_int_equal(kstack_used_count(), fired ? 0 : 1);
            if (error == 0) {
                assert_true(nth > sizes[i] / PAGE_BYTES);
                kstack_free(&stack);
            }
            kstack_reclaim();
            assert_true(mm_test_free_pages() == mm_test_pages_before);
        }
    }
    /* A stack from the cache can be made to fail, too. */
    struct kstack stack;

    assert_int_equal(kstack_alloc(STACK_BYTES_DEFAULT, &stack), 0);
    kstack_free(&stack);
    mm_fail_at(1);
    assert_int_equal(kstack_alloc(STACK_BYTES_DEFAULT, &stack), -ENOMEM);
    assert_true(mm_fail_fired());
}

static void a_forced_failure_is_not_swallowed_by_a_batch(void **state)
{
    unsigned count = 0;

    (void)state;
    mm_test_faults_are_the_machines();
    /* Nothing is freed meanwhile, so each miss would map more at once than the one before. */
    for (unsigned i = 0; i < 200; i++) {
        mm_fail_at(2 + i % 40);

        int error = kstack_alloc(STACK_BYTES_DEFAULT, &stacks[count]);

        assert_int_equal(error, mm_fail_fired() ? -ENOMEM : 0);
        count += error == 0;
        if (i % 5 == 0 && kstack_alloc(STACK_BYTES_DEFAULT, &stacks[count]) == 0)
            count++;
    }
    while (count > 0)
        kstack_free(&stacks[--count]);
}

static void the_high_water_mark_is_seen_in_debug_builds(void **state)
{
    struct kstack stack;

    (void)state;
    mm_test_faults_are_the_machines();
    assert_int_equal(kstack_alloc(STACK_BYTES_DEFAULT, &stack), 0);
    if (KERNEL_DEBUG) {
        assert_int_equal(kstack_high_water(&stack), 0);
        *(uint64_t *)(stack.base + stack.bytes - 1000) = 1;
        assert_int_equal(kstack_high_water(&stack), 1000);
        *(uint64_t *)(stack.base + 64) = 1;
        assert_int_equal(kstack_high_water(&stack), stack.bytes - 64);
    } else {
        assert_int_equal(kstack_high_water(&stack), 0);
    }
    kstack_free(&stack);
}

static void write_after_free(void *arg)
{
    struct kstack stack;
    vaddr_t base;

    (void)arg;
    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0)
        return;
    base = stack.base;
    kstack_free(&stack);
    *(uint64_t *)(base + 8192) = 1;
    (void)kstack_alloc(STACK_BYTES_DEFAULT, &stack);
}

static void free_copy(void *arg)
{
    struct kstack stack;
    struct kstack copy;

    (void)arg;
    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0)
        return;
    copy = stack;
    kstack_free(&stack);
    kstack_free(&copy);
}

static void free_twice(void *arg)
{
    struct kstack stack;

    (void)arg;
    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0)
        return;
    kstack_free(&stack);
    kstack_free(&stack);
}

static paddr_t no_table(void)
{
    return 0;
}

static const struct pt_alloc no_tables = {.alloc = no_table};

/* Somebody maps a page where a guard should be, or takes a page of the stack away, or its rights. */
static void lose_a_guard(vaddr_t beside)
{
    struct kstack stack;

    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0 ||
        pt_map(kspace_root(), stack.base + beside, phys_alloc(0), PAGE_BYTES, PROT_WRITE | PROT_GLOBAL, &no_tables))
        return;
    kstack_free(&stack);
}

static void lose_the_lower_guard(void *arg)
{
    (void)arg;
    lose_a_guard((vaddr_t)0 - PAGE_BYTES);
}

static void lose_the_upper_guard(void *arg)
{
    (void)arg;
    lose_a_guard(STACK_BYTES_DEFAULT);
}

static void become_read_only(void *arg)
{
    struct kstack stack;

    (void)arg;
    if (kstack_alloc(STACK_BYTES_DEFAULT, &stack) != 0)
        return;
    pt_protect(kspace_root(), stack.base + PAGE_BYTES, PAGE_BYTES, PROT_READ_ONLY | PROT_GLOBAL);
    kstack_free(&stack);
}

static void a_lost_guard_is_found_in_debug_builds(void **state)
{
    (void)state;
    mm_test_faults_are_the_machines();
    if (!KERNEL_DEBUG)
        return;
    assert_panics(lose_the_lower_guard, NULL, "kmap_is_guarded");
    assert_panics(lose_the_upper_guard, NULL, "kmap_is_guarded");
    assert_panics(become_read_only, NULL, "kmap_is_guarded");
}

static void misuse_panics(void **state)
{
    (void)state;
    mm_test_faults_are_the_machines();
    assert_panics(free_twice, NULL, "base != 0");
    if (KERNEL_DEBUG) {
        assert_panics(write_after_free, NULL, "was written to");
        assert_panics(free_copy, NULL, "kstacks.cache[i] != stack->base");
    }
}

static void nothing_to_prepare(void)
{
}

static void churn(cpu_id_t cpu, struct unit_random *random)
{
    struct kstack own[24] = {{0}};

    (void)cpu;
    for (unsigned step = 0; step < 200; step++) {
        struct kstack *stack = &own[unit_random_below(random, ARRAY_COUNT(own))];
        bool is_default = unit_random_below(random, 8) != 0;

        if (stack->base == 0 && kstack_alloc(is_default ? STACK_BYTES_DEFAULT : PAGE_BYTES, stack) == 0) {
            for (size_t at = 0; at < stack->bytes; at += 1024)
                *(uintptr_t *)(stack->base + at) = (uintptr_t)stack;
        } else if (stack->base != 0) {
            for (size_t at = 0; at < stack->bytes; at += 1024)
                ASSERT(*(uintptr_t *)(stack->base + at) == (uintptr_t)stack);
            kstack_free(stack);
        }
    }
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++)
        if (own[i].base != 0)
            kstack_free(&own[i]);
}

static void several_cpus_leave_nothing(void **state)
{
    (void)state;
    mm_test_run_team(nothing_to_prepare, churn, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(sizes_are_rounded_up_to_pages),
        mm_test(absurd_sizes_are_refused),
        mm_test(stacks_come_and_go_in_crowds),
        mm_test(the_cache_is_bounded),
        mm_test(all_memory_as_stacks_ends_in_an_error_and_comes_back),
        mm_test(forced_failures_leave_nothing),
        mm_test(a_forced_failure_is_not_swallowed_by_a_batch),
        mm_test(the_high_water_mark_is_seen_in_debug_builds),
        mm_test(misuse_panics),
        mm_test(a_lost_guard_is_found_in_debug_builds),
    };
    const struct CMUnitTest teams[] = {
        cmocka_unit_test(several_cpus_leave_nothing),
    };

    return cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown) +
           cmocka_run_group_tests(teams, NULL, NULL);
}
