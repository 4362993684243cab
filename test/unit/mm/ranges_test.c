/* SPDX-License-Identifier: MIT */
/* core/mm/ranges.c against one bit per address. */
#include "mm_test.h"

#define SPACE 900

static struct range_set set;
static bool model[SPACE];

static void assert_same(void)
{
    bool covered[SPACE] = {false};

    for (unsigned i = 0; i < set.count; i++) {
        assert_true(set.at[i].base < set.at[i].end);
        /* Sorted, and neighbours that touch are one. */
        assert_true(i == 0 || set.at[i - 1].end < set.at[i].base);
        for (paddr_t at = set.at[i].base; at < set.at[i].end; at++)
            covered[at] = true;
    }
    assert_memory_equal(covered, model, sizeof(model));
}

static void random_sets_equal_a_bit_array(void **state)
{
    struct unit_random random = {7};

    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        set.count = 0;
        memset(model, 0, sizeof(model));
        for (unsigned i = 0; i < 400; i++) {
            paddr_t base = unit_random_below(&random, SPACE);
            paddr_t end = base + unit_random_below(&random, 1 + unit_random_below(&random, SPACE - base));
            bool add = unit_random_below(&random, 2) == 0;

            assert_true(add ? ranges_add(&set, base, end) : ranges_remove(&set, base, end));
            for (paddr_t at = base; at < end; at++)
                model[at] = add;
            assert_same();
        }
    }
}

static void a_full_set_refuses_and_stays_as_it_is(void **state)
{
    struct range_set before;

    (void)state;
    set.count = 0;
    for (unsigned i = 0; i < RANGES_MAX; i++)
        assert_true(ranges_add(&set, 10 * i, 10 * i + 5));
    before = set;
    assert_false(ranges_add(&set, 10 * RANGES_MAX, 10 * RANGES_MAX + 5));
    assert_false(ranges_remove(&set, 2, 3));
    assert_memory_equal(&before, &set, sizeof(set));
    assert_true(ranges_add(&set, 2, 12));
    assert_true(ranges_remove(&set, 2, 3));
    assert_int_equal(set.count, RANGES_MAX);
}

static void the_ends_of_the_address_space_work(void **state)
{
    (void)state;
    set.count = 0;
    assert_true(ranges_add(&set, 0, UINT64_MAX));
    assert_true(ranges_remove(&set, 0, 1));
    assert_true(ranges_remove(&set, UINT64_MAX - 1, UINT64_MAX));
    assert_int_equal(set.count, 1);
    assert_true(set.at[0].base == 1 && set.at[0].end == UINT64_MAX - 1);
    assert_true(ranges_add(&set, 5, 5) && ranges_remove(&set, 9, 3));
    assert_int_equal(set.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sets_equal_a_bit_array),
        cmocka_unit_test(a_full_set_refuses_and_stays_as_it_is),
        cmocka_unit_test(the_ends_of_the_address_space_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
