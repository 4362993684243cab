/* SPDX-License-Identifier: MIT */
/* core/mm/fail.c: the armed failure hits the n-th allocation of its task, once, whichever allocator that is. */
#include "mm_test.h"


static struct task_base other_task;

static void the_nth_call_fails_once(void **state)
{
    (void)state;
    for (uint32_t nth = 1; nth < 20; nth++) {
        mm_fail_at(nth);
        for (uint32_t i = 1; i < 40; i++)
            assert_int_equal(mm_should_fail(), i == nth);
        assert_true(mm_fail_fired());
        assert_false(mm_fail_fired());
        assert_false(mm_should_fail());
    }
}

static void a_failure_that_is_not_reached_has_not_fired(void **state)
{
    (void)state;
    mm_fail_at(3);
    assert_false(mm_should_fail());
    assert_false(mm_fail_fired());
    for (unsigned i = 0; i < 10; i++)
        assert_false(mm_should_fail());
}

static void zero_disarms(void **state)
{
    (void)state;
    mm_fail_at(1);
    mm_fail_at(0);
    assert_false(mm_should_fail());
    assert_false(mm_fail_fired());
}

static void become(struct task_base *task)
{
    host_unit_enter((struct task *)task);
}

static void another_task_does_not_see_it(void **state)
{
    (void)state;
    other_task.cpu = &mm_test_cpu;
    mm_fail_at(1);
    become(&other_task);
    assert_false(mm_should_fail());
    assert_false(mm_fail_fired());
    mm_fail_at(0);
    become(&mm_test_task);
    assert_true(mm_should_fail());
    assert_true(mm_fail_fired());
}

static int take_three(void)
{
    paddr_t pages[3];
    unsigned count = 0;

    while (count < 3 && (pages[count] = phys_alloc(0)) != 0)
        count++;
    for (unsigned i = count; i-- > 0;)
        phys_free(pages[i], 0);
    return count == 3 ? 0 : -ENOMEM;
}

/* The second time all three come from the CPU's cache, the first time none does. */
static void each_attempt_is_counted_once_wherever_the_page_comes_from(void **state)
{
    (void)state;
    assert_int_equal(mm_fail_count(), 0);
    for (unsigned round = 0; round < 2; round++) {
        if (round == 0)
            phys_reclaim_caches();
        mm_fail_at(MM_FAIL_NEVER);
        assert_int_equal(take_three(), 0);
        assert_int_equal(mm_fail_count(), 3);
        assert_false(mm_fail_fired());
        assert_int_equal(mm_fail_count(), 0);
    }
    assert_int_equal(mm_fail_each(take_three), 3);
}

static int take_two_kinds(void)
{
    struct kstack stack;
    paddr_t user = phys_alloc_user(0, MM_ANON);
    int error = user == 0 ? -ENOMEM : kstack_alloc(PAGE_BYTES, &stack);

    if (user != 0)
        phys_free(user, 0);
    if (error == 0)
        kstack_free(&stack);
    return error;
}

static void whatever_fails_nothing_is_lost(void **state)
{
    uint64_t pages = mm_test_free_pages();

    (void)state;
    mm_test_faults_are_the_machines();
    assert_in_range(mm_fail_each(take_two_kinds), 4, 10);
    assert_true(mm_test_free_pages() == pages);
}

static void arm_twice(void *arg)
{
    (void)arg;
    mm_fail_at(1);
    become(&other_task);
    mm_fail_at(1);
}

static void two_tasks_cannot_arm_at_once(void **state)
{
    (void)state;
    assert_panics(arm_twice, NULL, "armed == self");
}

static void every_allocator_obeys(void **state)
{
    static struct slab_cache cache;
    struct kstack stack;
    vaddr_t va;

    (void)state;
    slab_cache_init(&cache, "fail", 32, 8);
    mm_fail_at(1);
    assert_true(phys_alloc(0) == 0);
    assert_true(mm_fail_fired());
    mm_fail_at(1);
    assert_null(slab_alloc(&cache));
    assert_true(mm_fail_fired());
    mm_fail_at(1);
    assert_int_equal(kmap_alloc(1, &va), -12);
    assert_true(mm_fail_fired());
    mm_fail_at(1);
    assert_int_equal(kstack_alloc(STACK_BYTES_DEFAULT, &stack), -12);
    assert_true(mm_fail_fired());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        mm_test(the_nth_call_fails_once),
        mm_test(a_failure_that_is_not_reached_has_not_fired),
        mm_test(each_attempt_is_counted_once_wherever_the_page_comes_from),
        mm_test(whatever_fails_nothing_is_lost),
        mm_test(zero_disarms),
        mm_test(another_task_does_not_see_it),
        mm_test(two_tasks_cannot_arm_at_once),
        mm_test(every_allocator_obeys),
    };

    return cmocka_run_group_tests(tests, mm_test_boot, mm_test_shutdown);
}
