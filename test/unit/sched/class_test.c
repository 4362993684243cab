/* SPDX-License-Identifier: MIT */
/* core/sched/class.c: the order of the classes, and slices that are times, not counts. */
#include "sched_test.h"

static void the_array_is_in_order_and_complete(void **state)
{
    (void)state;
    assert_ptr_equal(sched_classes[CLASS_STOP], &class_stop);
    assert_ptr_equal(sched_classes[CLASS_DEADLINE], &class_deadline);
    assert_ptr_equal(sched_classes[CLASS_BELOW], &class_below);
    assert_ptr_equal(sched_classes[CLASS_RT], &class_rt);
    assert_ptr_equal(sched_classes[CLASS_FAIR], &class_fair);
    assert_ptr_equal(sched_classes[CLASS_IDLE], &class_idle);
    assert_true(CLASS_STOP == 0 && CLASS_STOP < CLASS_DEADLINE && CLASS_DEADLINE < CLASS_BELOW);
    assert_true(CLASS_BELOW < CLASS_RT && CLASS_RT < CLASS_FAIR && CLASS_FAIR < CLASS_IDLE);
    assert_true(CLASS_IDLE == CLASS_COUNT - 1); /* whatever comes behind it would never run */
    assert_int_equal(SCHED_POLICY_FIFO, 0);     /* the CPUs' idle tasks have no parameters, and no slice */
}

static void every_policy_has_a_class_that_takes_it(void **state)
{
    (void)state;
    assert_ptr_equal(sched_policy_class[SCHED_POLICY_FIFO], &class_rt);
    assert_ptr_equal(sched_policy_class[SCHED_POLICY_RR], &class_rt);
    assert_ptr_equal(sched_policy_class[SCHED_POLICY_FAIR], &class_fair);
    assert_ptr_equal(sched_policy_class[SCHED_POLICY_IDLE], &class_idle);
    assert_ptr_equal(sched_policy_class[SCHED_POLICY_DEADLINE], &class_deadline);
    for (unsigned policy = 0; policy < SCHED_POLICY_COUNT; policy++) {
        const struct sched_class *class = sched_policy_class[policy];

        assert_true(class != NULL && class != &class_stop && class != &class_below);
        assert_ptr_equal(class, sched_classes[class->id]);
    }
}

static void slices_are_the_same_times_on_every_clock(void **state)
{
    static const uint64_t rates[] = { 1000, 32768, 1000000, 62500000, 1000000000, UINT64_C(3700000000) };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(rates); i++) {
        clock_init(rates[i]);
        sched_init();
        assert_true(clock_ticks_to_ns(sched_tunables.rr_slice_ticks) + 1 >= 10 * NS_PER_MS);
        assert_true(sched_tunables.rr_slice_ticks <= rates[i] / 100 + 1);
        assert_true(clock_ticks_to_ns(sched_tunables.fair_slice_ticks) + 1 >= 4 * NS_PER_MS);
        assert_true(sched_tunables.fair_slice_ticks <= rates[i] / 250 + 1);
        sched_set_fair_slice(FAIR_SLICE_NS_MAX);
        assert_true(clock_ticks_to_ns(sched_tunables.fair_slice_ticks) + 1 >= FAIR_SLICE_NS_MAX);
        assert_true(sched_tunables.fair_slice_ticks <= rates[i] * 100 + 1 + rates[i] / 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(the_array_is_in_order_and_complete),
        sched_unit_test(every_policy_has_a_class_that_takes_it),
        sched_unit_test(slices_are_the_same_times_on_every_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
