/* SPDX-License-Identifier: MIT */
/* Tests of include/k/cpumask.h against an array of bools. */
#include "unit.h"

#include <string.h>

#include <k/cpumask.h>

static void expect_same(const struct cpumask *mask, const bool *model)
{
    unsigned count = 0;
    cpu_id_t next = CPU_NONE;

    for (cpu_id_t cpu = CPU_MAX; cpu-- > 0;) {
        count += model[cpu];
        if (model[cpu])
            next = cpu;
        assert_int_equal(cpumask_contains(mask, cpu), model[cpu]);
        assert_int_equal(cpumask_next(mask, cpu), next);
    }
    assert_int_equal(cpumask_count(mask), count);
    assert_int_equal(cpumask_is_empty(mask), count == 0);
}

static void clear_and_set_all_reach_every_cpu(void **state)
{
    static bool model[CPU_MAX];
    struct cpumask mask;

    (void)state;
    memset(model, 0, sizeof(model));
    memset(&mask, 0x5a, sizeof(mask));
    cpumask_clear(&mask);
    expect_same(&mask, model);
    cpumask_set_all(&mask);
    memset(model, 1, sizeof(model));
    expect_same(&mask, model);
}

static void random_changes_agree_with_a_model(void **state)
{
    static bool model[CPU_MAX];
    struct unit_random random = {1};
    struct cpumask mask;

    (void)state;
    memset(model, 0, sizeof(model));
    cpumask_clear(&mask);
    for (int i = 0; i < 2000; i++) {
        cpu_id_t cpu = (cpu_id_t)unit_random_below(&random, CPU_MAX);

        model[cpu] = unit_random_below(&random, 2) != 0;
        if (model[cpu])
            cpumask_add(&mask, cpu);
        else
            cpumask_remove(&mask, cpu);
        expect_same(&mask, model);
    }
}

static void a_single_replaces_what_was_there(void **state)
{
    struct cpumask mask;

    (void)state;
    for (cpu_id_t cpu = 0; cpu < CPU_MAX; cpu++) {
        cpumask_set_all(&mask);
        cpumask_set_single(&mask, cpu);
        assert_int_equal(cpumask_count(&mask), 1);
        assert_int_equal(cpumask_next(&mask, 0), cpu);
    }
}

static void cpus_out_of_range_are_in_no_mask(void **state)
{
    struct cpumask mask;

    (void)state;
    cpumask_set_all(&mask);
    assert_false(cpumask_contains(&mask, CPU_MAX));
    assert_false(cpumask_contains(&mask, CPU_NONE));
    assert_int_equal(cpumask_next(&mask, CPU_MAX), CPU_NONE);
    assert_int_equal(cpumask_next(&mask, CPU_NONE), CPU_NONE);
}

static void masks_intersect_if_they_share_a_cpu(void **state)
{
    struct cpumask a, b;

    (void)state;
    for (cpu_id_t cpu = 0; cpu < CPU_MAX; cpu += 13) {
        cpumask_set_single(&a, cpu);
        cpumask_set_all(&b);
        assert_true(cpumask_intersects(&a, &b));
        cpumask_remove(&b, cpu);
        assert_false(cpumask_intersects(&a, &b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clear_and_set_all_reach_every_cpu),
        cmocka_unit_test(random_changes_agree_with_a_model),
        cmocka_unit_test(a_single_replaces_what_was_there),
        cmocka_unit_test(cpus_out_of_range_are_in_no_mask),
        cmocka_unit_test(masks_intersect_if_they_share_a_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
