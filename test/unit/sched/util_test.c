/* SPDX-License-Identifier: MIT */
/* core/sched/util.c: a decaying average that is exact for even load, halves by the half-life, and never leaves 0..1. */
#include "unit.h"

#include <sched/util.h>

#define UNIT 1000u
#define HALF_LIFE (UNIT * UTIL_UNITS)

static struct sched_util util;
static uint64_t now, run;

static int begin(void **state)
{
    (void)state;
    now = run = 12345;
    util = (struct sched_util){ .at_ticks = now, .run_ticks = run };
    return 0;
}

static void pass(uint64_t ticks, uint64_t ran)
{
    now += ticks;
    run += ran;
    util_update(&util, run, now, UNIT);
}

static void assert_near(uint32_t wanted, uint32_t off)
{
    assert_in_range(util.average, wanted - (wanted < off ? wanted : off), wanted + off);
}

static void idling_halves_it_by_the_half_life(void **state)
{
    (void)state;
    util.average = UTIL_ONE;
    for (uint32_t wanted = UTIL_ONE / 2; wanted > 100; wanted /= 2) {
        pass(HALF_LIFE, 0);
        assert_near(wanted, 4);
    }
    util.average = UTIL_ONE;
    for (unsigned i = 0; i < 4 * UTIL_UNITS; i++) /* in small steps it is the same */
        pass(UNIT, 0);
    assert_near(UTIL_ONE / 16, 40);
}

static void it_converges_to_an_even_load(void **state)
{
    (void)state;
    for (uint64_t tenths = 0; tenths <= 10; tenths++) {
        for (unsigned i = 0; i < 20 * UTIL_UNITS; i++)
            pass(UNIT + 500, (UNIT + 500) * tenths / 10);
        assert_near((uint32_t)(UTIL_ONE * tenths / 10), 30);
    }
}

static void a_gap_counts_as_its_average(void **state)
{
    (void)state;
    pass(100 * HALF_LIFE, 25 * HALF_LIFE);
    assert_int_equal(util.average, UTIL_ONE / 4);
    pass(UINT64_C(1) << 62, UINT64_C(1) << 61);
    assert_int_equal(util.average, UTIL_ONE / 2);
}

static void too_early_an_update_loses_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < UNIT - 1; i++) {
        pass(1, 1);
        assert_int_equal(util.average, 0);
    }
    pass(1, 1); /* the whole unit, all of it run */
    assert_near(UTIL_ONE - 64132, 1);
    pass(0, 0);
    util_update(&util, run, now - 5 * UNIT, UNIT); /* a clock that is behind changes nothing */
    assert_near(UTIL_ONE - 64132, 1);
}

static void it_stays_within_bounds(void **state)
{
    struct unit_random random = { 3 };

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t ticks = unit_random_below(&random, 5 * HALF_LIFE);

        pass(ticks, unit_random_below(&random, ticks + ticks / 50 + 1)); /* a tick or two too many may be run */
        assert_in_range(util.average, 0, UTIL_ONE);
        assert_in_range(util_permille(util.average), 0, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(idling_halves_it_by_the_half_life, begin),
        cmocka_unit_test_setup(it_converges_to_an_even_load, begin),
        cmocka_unit_test_setup(a_gap_counts_as_its_average, begin),
        cmocka_unit_test_setup(too_early_an_update_loses_nothing, begin),
        cmocka_unit_test_setup(it_stays_within_bounds, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
