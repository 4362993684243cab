/* SPDX-License-Identifier: MIT */
/* core/sched/admit.c against fractions: what fits fits exactly, up to the whole of a CPU; where a task is put. */
#include "deadline_test.h"

#define MS NS_PER_MS
#define ONE (UINT64_C(1) << 60)

static void a_density_is_the_quotient_rounded_down(void **state)
{
    struct unit_random random = { 1 };

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t deadline = 1 + unit_random_next(&random) % (i % 2 == 0 ? SCHED_DEADLINE_NS_MAX : 1000);
        uint64_t runtime = 1 + unit_random_next(&random) % deadline;
        struct density density = admit_density(runtime, deadline);
        unsigned __int128 exact = (unsigned __int128)runtime << 60;

        assert_true(density.low == exact / deadline && density.is_cut == (exact % deadline != 0));
    }
    assert_true(admit_density(7, 7).low == ONE && !admit_density(7, 7).is_cut);
}

/* A model: the sum in parts of a common multiple of all deadlines. */
#define MULTIPLE UINT64_C(5040000000) /* 5.04 s */

static uint64_t some_divisor(struct unit_random *random)
{
    static const uint64_t divisors[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 21, 35, 45, 63, 105, 315, 5040 };

    return MULTIPLE / divisors[unit_random_below(random, ARRAY_COUNT(divisors))];
}

static void tasks_fit_exactly_up_to_the_whole_cpu(void **state)
{
    struct unit_random random = { 2 };
    unsigned exact = 0;
    unsigned refused = 0;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        struct task *in[SCHED_TEST_TASKS];
        uint64_t parts = 0;
        unsigned count = 0;

        for (unsigned i = 0; i < SCHED_TEST_TASKS && parts < MULTIPLE; i++) {
            uint64_t deadline = some_divisor(&random);
            uint64_t factor = MULTIPLE / deadline;
            uint64_t room = (MULTIPLE - parts) / factor; /* the greatest runtime that fits */
            uint64_t runtime = 1 + unit_random_next(&random) % deadline;

            if (unit_random_below(&random, 4) == 0 && room > 0)
                runtime = MIN(room + unit_random_below(&random, 2), deadline); /* what just fits, or just not */
            struct sched_params params = deadline_test_params(runtime, deadline, 0);
            bool fits = parts + runtime * factor <= MULTIPLE;

            in[count] = deadline_test_new(i, 0, &params);
            assert_int_equal(in[count] != NULL, fits);
            refused += !fits;
            count += fits;
            parts += fits ? runtime * factor : 0;
        }
        exact += parts == MULTIPLE;
        while (count-- > 0)
            admit_give_locked(in[count], 0);
        assert_true(sched_test.rq[0].admission.low == 0 && sched_test.rq[0].admission.cut_count == 0);
        assert_true(sched_test.rq[0].admission.count == 0 && list_is_empty(&sched_test.rq[0].admission.tasks));
    }
    assert_true(exact > 300 && refused > 3000); /* both were tried */
}

static void three_thirds_fit_and_a_nanosecond_more_does_not(void **state)
{
    struct sched_params third = deadline_test_params(1 * MS, 3 * MS, 0);
    struct sched_params more = deadline_test_params(1 * MS + 1, 3 * MS, 0);

    (void)state;
    assert_non_null(deadline_test_new(0, 0, &third));
    assert_non_null(deadline_test_new(1, 0, &third));
    assert_null(deadline_test_new(2, 0, &more));
    assert_non_null(deadline_test_new(2, 0, &third));
    more = deadline_test_params(1, SCHED_DEADLINE_NS_MAX, 0);
    assert_null(deadline_test_new(3, 0, &more));
    for (unsigned i = 0; i < 3; i++)
        admit_give_locked(&sched_test.task[i], 0);
}

/* Deadlines without common factors: the multiple is beyond all bounds. Doubt refuses. */
static void doubt_refuses(void **state)
{
    static const uint64_t prime[] = { 1000003, 1000033, 1000037, 1000039, 1000081, 1000099, 1000117 };
    struct sched_params params = { 0 };
    uint64_t left = ONE;
    unsigned count = 0;

    (void)state;
    for (; count < ARRAY_COUNT(prime) - 1; count++) {
        params = deadline_test_params(prime[count] / 7, prime[count], 0);
        assert_non_null(deadline_test_new(count, 0, &params));
        left -= admit_density(params.runtime_ns, params.deadline_ns).low + 1;
    }
    /* The greatest runtime whose density, rounded up, is no more than what is certainly left: one more does not fit. */
    uint64_t runtime = (uint64_t)((unsigned __int128)left * prime[count] >> 60);

    params = deadline_test_params(runtime + 1, prime[count], 0);
    assert_null(deadline_test_new(count, 0, &params));
    params = deadline_test_params(runtime, prime[count], 0);
    assert_non_null(deadline_test_new(count, 0, &params));
    for (unsigned i = 0; i <= count; i++)
        admit_give_locked(&sched_test.task[i], 0);
}

static void constrained_deadlines_count_by_their_deadline(void **state)
{
    struct sched_params half = deadline_test_params(1 * MS, 2 * MS, 100 * MS);

    (void)state;
    assert_non_null(deadline_test_new(0, 0, &half));
    assert_non_null(deadline_test_new(1, 0, &half));
    assert_null(deadline_test_new(2, 0, &half));
    assert_non_null(deadline_test_new(2, 1, &half));
    for (unsigned i = 0; i < 3; i++)
        admit_give_locked(&sched_test.task[i], 0);
}

static void a_limit_leaves_room_for_others(void **state)
{
    struct sched_params params = deadline_test_params(96 * MS, 100 * MS, 0);

    (void)state;
    sched_set_deadline_percent(95);
    assert_null(deadline_test_new(0, 0, &params));
    params.runtime_ns = 95 * MS - 1;
    assert_non_null(deadline_test_new(0, 0, &params));
    admit_give_locked(&sched_test.task[0], 0);
}

static void what_is_given_back_is_free_when_it_cannot_have_been_used(void **state)
{
    struct sched_params half = deadline_test_params(5 * MS, 10 * MS, 0);
    uint64_t now = clock_ns();

    (void)state;
    assert_non_null(deadline_test_new(0, 0, &half));
    assert_non_null(deadline_test_new(1, 0, &half));
    admit_give_locked(&sched_test.task[0], now + 3 * MS);
    assert_null(deadline_test_new(2, 0, &half));
    deadline_test_go_to(now + 3 * MS - DEADLINE_TICK_NS);
    assert_null(deadline_test_new(2, 0, &half));
    deadline_test_go_to(now + 3 * MS);
    assert_non_null(deadline_test_new(2, 0, &half));
    admit_give_locked(&sched_test.task[1], 0);
    admit_give_locked(&sched_test.task[2], 0);
}

static void the_fullest_cpu_with_room_is_taken(void **state)
{
    struct sched_params big = deadline_test_params(6 * MS, 10 * MS, 0);
    struct sched_params mid = deadline_test_params(5 * MS, 10 * MS, 0);
    struct sched_params small = deadline_test_params(4 * MS, 10 * MS, 0);
    struct task *task = sched_test_new(9, PRIORITY_DEFAULT);
    struct cpumask some;

    (void)state;
    cpumask_set_all(&some);
    assert_int_equal(admit_find_locked(task, &big, &some, 2, CPU_NONE), 2); /* all are empty */
    assert_non_null(deadline_test_new(0, 3, &big));
    assert_non_null(deadline_test_new(1, 1, &mid));
    assert_int_equal(admit_find_locked(task, &small, &some, 0, CPU_NONE), 3);
    assert_int_equal(admit_find_locked(task, &small, &some, 0, 3), 1);
    assert_int_equal(admit_find_locked(task, &mid, &some, 0, CPU_NONE), 1);
    assert_int_equal(admit_find_locked(task, &big, &some, 2, CPU_NONE), 2);
    /* In the place of its own numbers a task may grow. */
    assert_int_equal(admit_find_locked(&sched_test.task[1], &big, &some, 0, CPU_NONE), 1);
    cpumask_clear(&some);
    cpumask_add(&some, 1);
    cpumask_add(&some, 3);
    assert_int_equal(admit_find_locked(task, &big, &some, 1, CPU_NONE), CPU_NONE);
    cpumask_remove(&cpu_online_mask, 1);
    assert_int_equal(admit_find_locked(task, &mid, &some, 1, CPU_NONE), CPU_NONE);
    cpumask_add(&cpu_online_mask, 1);
    admit_give_locked(&sched_test.task[0], 0);
    admit_give_locked(&sched_test.task[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        deadline_unit_test(a_density_is_the_quotient_rounded_down),
        deadline_unit_test(tasks_fit_exactly_up_to_the_whole_cpu),
        deadline_unit_test(three_thirds_fit_and_a_nanosecond_more_does_not),
        deadline_unit_test(doubt_refuses),
        deadline_unit_test(constrained_deadlines_count_by_their_deadline),
        deadline_unit_test(a_limit_leaves_room_for_others),
        deadline_unit_test(what_is_given_back_is_free_when_it_cannot_have_been_used),
        deadline_unit_test(the_fullest_cpu_with_room_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
