/* SPDX-License-Identifier: MIT */
/* Tests of test/lab/stats.c, against what is plainly computed: sorted values, sums in floating point. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "stats.h"

#define VALUES 20000

static uint64_t values[VALUES];

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void compare_percentiles(size_t count)
{
    static const unsigned wanted[] = { 0, 1, 100, 2500, 5000, 9000, 9900, 9999, 10000 };
    static struct lab_histogram histogram;
    uint64_t sum = 0;

    memset(&histogram, 0, sizeof histogram);
    for (size_t i = 0; i < count; i++) {
        lab_histogram_add(&histogram, values[i]);
        sum += values[i];
    }
    qsort(values, count, sizeof values[0], by_value);
    assert_int_equal(histogram.count, count);
    assert_int_equal(histogram.sum, sum);
    assert_int_equal(histogram.max, values[count - 1]);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        size_t rank = (count * wanted[i] + 9999) / 10000;
        uint64_t exact = values[rank > 0 ? rank - 1 : 0];
        uint64_t found = lab_percentile(&histogram, wanted[i]);

        assert_true(found >= exact);
        assert_true(found - exact <= exact / 32);
    }
}

static void percentiles_are_those_of_sorted_values(void **state)
{
    struct unit_random random = { 1 };

    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        size_t count = 1 + unit_random_below(&random, round < 10 ? 5 : VALUES);

        for (size_t i = 0; i < count; i++)
            values[i] = unit_random_next(&random) >> (22 + unit_random_below(&random, 42));
        compare_percentiles(count);
    }
}

static void an_empty_histogram_has_no_percentiles(void **state)
{
    static struct lab_histogram histogram;

    (void)state;
    assert_int_equal(lab_percentile(&histogram, 5000), 0);
}

static void values_beyond_the_buckets_keep_their_maximum(void **state)
{
    static struct lab_histogram histogram;

    (void)state;
    lab_histogram_add(&histogram, UINT64_C(1) << 60);
    assert_int_equal(lab_percentile(&histogram, 5000), UINT64_C(1) << 60);
}

static void merged_histograms_are_one_of_all_values(void **state)
{
    static struct lab_histogram part[2], whole;
    struct unit_random random = { 2 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = unit_random_next(&random) >> 30;

        lab_histogram_add(&part[i % 2], value);
        lab_histogram_add(&whole, value);
    }
    lab_histogram_merge(&part[0], &part[1]);
    assert_memory_equal(&part[0], &whole, sizeof whole);
}

static unsigned jain_of(size_t count)
{
    struct lab_jain jain = { 0 };

    for (size_t i = 0; i < count; i++)
        lab_jain_sum(&jain, values[i]);
    for (size_t i = 0; i < count; i++)
        lab_jain_square(&jain, values[i]);
    return lab_jain_per_10000(&jain);
}

static void jains_index_is_that_of_floating_point(void **state)
{
    struct unit_random random = { 3 };

    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        size_t count = 1 + unit_random_below(&random, round < 50 ? 20 : VALUES);
        unsigned shift = (unsigned)unit_random_below(&random, 20);
        double sum = 0, squares = 0;

        for (size_t i = 0; i < count; i++) {
            /* Some have much more than the others. */
            values[i] = 100000 + unit_random_below(&random, 100000);
            values[i] <<= unit_random_below(&random, 8) == 0 ? shift : 0;
            sum += (double)values[i];
            squares += (double)values[i] * (double)values[i];
        }
        double exact = sum * sum / ((double)count * squares);

        assert_true(jain_of(count) / 10000.0 <= exact + 0.003);
        assert_true(jain_of(count) / 10000.0 >= exact - 0.003);
    }
}

static void jains_index_has_its_limits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        values[i] = 12345;
    assert_int_equal(jain_of(100), 10000);
    memset(values, 0, sizeof values);
    assert_int_equal(jain_of(100), 10000);
    assert_int_equal(jain_of(0), 10000);
    values[7] = UINT64_C(1) << 20;
    assert_int_equal(jain_of(100), 100); /* one has everything: 1/n */
}

static void uniform_lengths_fill_their_range(void **state)
{
    uint64_t random = 5, low = UINT64_MAX, high = 0, sum = 0;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = lab_uniform(&random, 1000, 1009);

        low = value < low ? value : low;
        high = value > high ? value : high;
        sum += value;
    }
    assert_int_equal(low, 1000);
    assert_int_equal(high, 1009);
    assert_in_range(sum, 100440000, 100460000);
    assert_int_equal(lab_uniform(&random, 7, 7), 7);
}

/* An exponential variable exceeds t with probability exp(-t / mean): 0.6065, 0.3679, 0.1353, 0.0183. */
static void exponential_lengths_are_spread_as_they_should(void **state)
{
    static const struct {
        uint64_t halves; /* of the mean */
        unsigned of_million;
    } tails[] = { { 1, 606531 }, { 2, 367879 }, { 4, 135335 }, { 8, 18316 } };
    const uint64_t mean = 1000000;
    uint64_t random = 6, sum = 0;
    unsigned beyond[4] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t value = lab_exponential(&random, mean);

        assert_in_range(value, 1, 23 * mean);
        sum += value;
        for (unsigned tail = 0; tail < 4; tail++)
            beyond[tail] += value > tails[tail].halves * mean / 2;
    }
    assert_in_range(sum / 1000000, mean - 4000, mean + 4000);
    for (unsigned tail = 0; tail < 4; tail++)
        assert_in_range(beyond[tail], tails[tail].of_million - 2000, tails[tail].of_million + 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_those_of_sorted_values),
        cmocka_unit_test(an_empty_histogram_has_no_percentiles),
        cmocka_unit_test(values_beyond_the_buckets_keep_their_maximum),
        cmocka_unit_test(merged_histograms_are_one_of_all_values),
        cmocka_unit_test(jains_index_is_that_of_floating_point),
        cmocka_unit_test(jains_index_has_its_limits),
        cmocka_unit_test(uniform_lengths_fill_their_range),
        cmocka_unit_test(exponential_lengths_are_spread_as_they_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
