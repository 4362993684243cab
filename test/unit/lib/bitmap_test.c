/* SPDX-License-Identifier: MIT */
/* Tests of core/lib/bitmap.c against an array of bools. */
#include "unit.h"

#include <string.h>

#include <lib/bitmap.h>

#define BITS 331 /* no whole number of words */

struct model {
    bool bit[BITS];
};

static size_t model_find(const struct model *model, size_t bits, size_t from, bool value)
{
    for (size_t i = from; i < bits; i++)
        if (model->bit[i] == value)
            return i;
    return BITMAP_NONE;
}

static size_t model_find_run(const struct model *model, size_t bits, size_t from, size_t count)
{
    for (size_t first = from; first < bits && bits - first >= count; first++) {
        size_t set = model_find(model, first + count, first, true);

        if (set == BITMAP_NONE)
            return first;
    }
    return BITMAP_NONE;
}

static void expect_same(const uint64_t *map, const struct model *model)
{
    for (size_t i = 0; i < BITS; i++)
        assert_int_equal(bitmap_test(map, i), model->bit[i]);
}

/* Bits behind the end are set: no search may find or count them. */
static void poison_tail(uint64_t *map)
{
    for (size_t i = BITS; i < BITMAP_WORDS(BITS) * 64; i++)
        bitmap_set(map, i);
}

static void random_ranges_and_searches_agree_with_a_model(void **state)
{
    uint64_t map[BITMAP_WORDS(BITS)] = {0};
    struct model model = {0};
    struct unit_random random = {2};

    (void)state;
    poison_tail(map);
    for (int i = 0; i < 20000; i++) {
        size_t first = unit_random_below(&random, BITS + 1);
        size_t count = unit_random_below(&random, unit_random_below(&random, BITS + 1 - first) + 1);
        bool value = unit_random_below(&random, 2) != 0;
        size_t bits = unit_random_below(&random, BITS + 1), from = unit_random_below(&random, BITS + 70);
        size_t run = 1 + unit_random_below(&random, 140), population = 0;

        if (value)
            bitmap_set_range(map, first, count);
        else
            bitmap_clear_range(map, first, count);
        for (size_t bit = first; bit < first + count; bit++)
            model.bit[bit] = value;
        expect_same(map, &model);
        for (size_t bit = 0; bit < bits; bit++)
            population += model.bit[bit];
        assert_int_equal(bitmap_count(map, bits), population);
        assert_int_equal(bitmap_find_set(map, bits, from), model_find(&model, bits, from, true));
        assert_int_equal(bitmap_find_clear(map, bits, from), model_find(&model, bits, from, false));
        assert_int_equal(bitmap_find_clear_run(map, bits, from, run), model_find_run(&model, bits, from, run));
    }
    for (size_t bit = BITS; bit < BITMAP_WORDS(BITS) * 64; bit++)
        assert_true(bitmap_test(map, bit));
}

static void single_bits_change_alone(void **state)
{
    uint64_t map[BITMAP_WORDS(BITS)];
    struct model model;

    (void)state;
    for (size_t bit = 0; bit < BITS; bit++) {
        memset(map, 0, sizeof(map));
        memset(&model, 0, sizeof(model));
        bitmap_set(map, bit);
        model.bit[bit] = true;
        expect_same(map, &model);
        memset(map, 0xff, sizeof(map));
        memset(&model, 1, sizeof(model));
        bitmap_clear(map, bit);
        model.bit[bit] = false;
        expect_same(map, &model);
    }
}

static void an_empty_range_changes_nothing(void **state)
{
    uint64_t map[2] = {0x123456789abcdef0, 0x0fedcba987654321}, copy[2];

    (void)state;
    memcpy(copy, map, sizeof(map));
    for (size_t first = 0; first <= 128; first++) {
        bitmap_set_range(map, first, 0);
        bitmap_clear_range(map, first, 0);
    }
    assert_memory_equal(map, copy, sizeof(map));
}

static void a_run_may_fill_the_map_exactly(void **state)
{
    uint64_t map[2] = {0};

    (void)state;
    assert_int_equal(bitmap_find_clear_run(map, 128, 0, 128), 0);
    assert_int_equal(bitmap_find_clear_run(map, 128, 0, 129), BITMAP_NONE);
    assert_int_equal(bitmap_find_clear_run(map, 128, 1, 128), BITMAP_NONE);
    bitmap_set(map, 64);
    assert_int_equal(bitmap_find_clear_run(map, 128, 0, 64), 0);
    assert_int_equal(bitmap_find_clear_run(map, 128, 0, 65), BITMAP_NONE);
    assert_int_equal(bitmap_find_clear_run(map, 128, 1, 63), 1);
    assert_int_equal(bitmap_find_clear_run(map, 128, 2, 63), 65);
}

static void a_run_of_nothing_and_a_range_that_wraps_are_bugs(void **state)
{
    uint64_t map[1] = {0};

    (void)state;
    expect_assert_failure((void)bitmap_find_clear_run(map, 64, 0, 0));
    expect_assert_failure(bitmap_set_range(map, 2, SIZE_MAX));
    expect_assert_failure(bitmap_clear_range(map, 2, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_ranges_and_searches_agree_with_a_model),
        cmocka_unit_test(single_bits_change_alone),
        cmocka_unit_test(an_empty_range_changes_nothing),
        cmocka_unit_test(a_run_may_fill_the_map_exactly),
        cmocka_unit_test(a_run_of_nothing_and_a_range_that_wraps_are_bugs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
