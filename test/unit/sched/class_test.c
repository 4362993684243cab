/* SPDX-License-Identifier: MIT */
/* core/sched/class.c: the order of the classes, and slices that are times, not counts. */
#include "sched_test.h"

static void the_array_is_in_order_and_complete(void **state)
{
    (void)state;
    assert_ptr_equal(sched_classes[CLASS_DEADLINE], &class_deadline);
    assert_ptr_equal(sched_classes[CLASS_BELOW], &class_below);
    assert_ptr_equal(sched_classes[CLASS_RT], &class_rt);
    assert_ptr_equal(sched_classes[CLASS_FAIR], &class_fair);
    assert_ptr_equal(sched_classes[CLASS_IDLE], &class_idle);
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        const struct sched_class *class = sched_classes[i];

        assert_int_equal(class->id, i);
        assert_true(class->pick != NULL);
        if (i == CLASS_BELOW)
            continue; /* nobody is of this class */
        assert_true(class->enqueue != NULL && class->dequeue != NULL);
        assert_true(class->account != NULL && class->slice != NULL);
    }
    assert_ptr_equal(sched_classes[CLASS_STOP], &class_stop);
    assert_true(CLASS_STOP < CLASS_DEADLINE && CLASS_DEADLINE < CLASS_BELOW && CLASS_BELOW < CLASS_RT);
    assert_true(CLASS_RT < CLASS_FAIR && CLASS_FAIR < CLASS_IDLE);
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
        sched_unit_test(slices_are_the_same_times_on_every_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
