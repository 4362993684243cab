/* SPDX-License-Identifier: MIT */
/* core/sched/cputime.c: the split is exact, follows the samples, and takes nothing back. The sampler itself: with
 * programs, test/unit/proc/timers_test.c. */
#include "unit.h"

#include <sched/cputime.h>

static struct cputime split;

static int begin(void **state)
{
    (void)state;
    split = (struct cputime){ 0 };
    return 0;
}

static void assert_split(uint64_t user, uint64_t system)
{
    assert_int_equal(split.user_ticks, user);
    assert_int_equal(split.system_ticks, system);
}

static void without_samples_it_was_where_it_can_have_been(void **state)
{
    (void)state;
    cputime_split(&split, true, 1000);
    assert_split(1000, 0);
    split = (struct cputime){ 0 };
    cputime_split(&split, false, 1000);
    assert_split(0, 1000);
    cputime_split(&split, true, 1500); /* it goes to its user: what it ran before stays the kernel's */
    assert_split(500, 1000);
}

static void samples_of_one_mode_are_all_of_it(void **state)
{
    (void)state;
    split.system_weight = 7;
    cputime_split(&split, true, 1001);
    assert_split(0, 1001);
    split = (struct cputime){ .user_weight = 7 };
    cputime_split(&split, true, 1001);
    assert_split(1001, 0);
}

/* Near 2^64 the ratio has 32 bits, and is not off by more than that. */
static void weights_of_any_size_give_their_ratio(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 61; shift++) {
        uint64_t run = (uint64_t)1 << 40;

        split = (struct cputime){ .user_weight = (uint64_t)6 << shift, .system_weight = (uint64_t)2 << shift };
        cputime_split(&split, true, run);
        assert_int_equal(split.user_ticks + split.system_ticks, run);
        assert_in_range(split.system_ticks, run / 4 - (run >> 28), run / 4 + (run >> 28));
    }
}

static uint64_t next_random(uint64_t *seed)
{
    return (*seed = *seed * 6364136223846793005u + 1442695040888963407u) >> 33;
}

static void neither_ever_goes_back_and_the_sum_is_exact(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 200; round++) {
        uint64_t seed = round, run = 0, user = 0, system = 0;

        split = (struct cputime){ 0 };
        for (unsigned i = 0; i < 300; i++) {
            run += next_random(&seed) % 5000;
            if (next_random(&seed) % 3 == 0)
                *(next_random(&seed) % 2 ? &split.user_weight : &split.system_weight) += next_random(&seed) % 100000;
            cputime_split(&split, true, run);
            assert_int_equal(split.user_ticks + split.system_ticks, run);
            assert_true(split.user_ticks >= user && split.system_ticks >= system);
            user = split.user_ticks;
            system = split.system_ticks;
        }
    }
}

/* What was told while nothing was known is made good for as run time comes in. */
static void a_wrong_beginning_is_made_up_for(void **state)
{
    (void)state;
    cputime_split(&split, true, 1000);
    split.system_weight = split.user_weight = 500;
    cputime_split(&split, true, 1500);
    assert_split(1000, 500);
    cputime_split(&split, true, 4000);
    assert_split(2000, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_samples_it_was_where_it_can_have_been, begin),
        cmocka_unit_test_setup(samples_of_one_mode_are_all_of_it, begin),
        cmocka_unit_test_setup(weights_of_any_size_give_their_ratio, begin),
        cmocka_unit_test_setup(neither_ever_goes_back_and_the_sum_is_exact, begin),
        cmocka_unit_test_setup(a_wrong_beginning_is_made_up_for, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
