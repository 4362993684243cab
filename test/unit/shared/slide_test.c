/* SPDX-License-Identifier: MIT */
/* arch/shared/slide.c: every slide is a place where the image can be, and the command line has the last word. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <k/compiler.h>

#include <shared/slide.h>

#define LINKED UINT64_C(0xffffffff80000000)
#define LAST_PLACE UINT64_C(0xffffffffffe00000) /* nothing reaches beyond */
#define ROUNDS 20000

static uint64_t choose(const char *cmdline, uint64_t start, uint64_t bytes, uint64_t random, bool *is_random)
{
    return slide_choose(cmdline, start, start + bytes, random, is_random);
}

/* What the header promises, said differently: tried out block by block. */
static bool can_be(uint64_t start, uint64_t bytes, uint64_t slide)
{
    if (slide % SLIDE_STEP != 0 || slide == 0 || slide >= UINT64_C(2) << 30)
        return false;
    if (start / SLIDE_STEP + slide / SLIDE_STEP <= (start + bytes - 1) / SLIDE_STEP)
        return false; /* a block of it is a block of the linked image */
    return start + slide > start && start + bytes + slide > start && start + bytes + slide <= LAST_PLACE;
}

static void a_random_slide_is_a_place_where_the_image_can_be(void **state)
{
    struct unit_random random = { 1 };
    bool is_random;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t start = LINKED + unit_random_below(&random, 3) * SLIDE_STEP;
        uint64_t bytes = (1 + unit_random_below(&random, 4 * SLIDE_STEP / 4096)) * 4096;
        uint64_t slide = choose("a b=c", start, bytes, unit_random_next(&random), &is_random);

        assert_true(is_random);
        assert_true(can_be(start, bytes, slide));
    }
}

static void all_places_are_taken_about_equally_often(void **state)
{
    static unsigned taken[1024];
    struct unit_random random = { 2 };
    unsigned places = 0;
    bool is_random;

    (void)state;
    for (unsigned i = 0; i < 100 * ARRAY_COUNT(taken); i++)
        taken[choose("", LINKED, 600000, unit_random_next(&random), &is_random) / SLIDE_STEP]++;
    for (unsigned i = 0; i < ARRAY_COUNT(taken); i++) {
        assert_int_equal(taken[i] != 0, can_be(LINKED, 600000, i * SLIDE_STEP));
        assert_true(taken[i] == 0 || (taken[i] > 40 && taken[i] < 200));
        places += taken[i] != 0;
    }
    assert_int_equal(places, 1022);
}

static void off_and_zero_move_nothing(void **state)
{
    bool is_random = true;

    (void)state;
    assert_int_equal(choose("kaslr=off", LINKED, 4096, 77, &is_random), 0);
    assert_false(is_random);
    assert_int_equal(choose("init=x kaslr=on kaslr=off loglevel=3", LINKED, 4096, 77, &is_random), 0);
    assert_int_equal(choose("kaslr=0", LINKED, 4096, 77, &is_random), 0);
    assert_false(is_random);
}

static void a_number_is_followed_if_it_can_be(void **state)
{
    char cmdline[64];

    (void)state;
    for (uint64_t slide = 0x100000; slide <= UINT64_C(0x80200000); slide += 0x100000) {
        bool is_random = false;

        (void)snprintf(cmdline, sizeof cmdline, "kaslr=%#llx", (unsigned long long)slide);
        uint64_t got = choose(cmdline, LINKED, SLIDE_STEP + 1, 5, &is_random);

        assert_int_equal(is_random, !can_be(LINKED, SLIDE_STEP + 1, slide));
        assert_true(is_random || got == slide);
        assert_true(can_be(LINKED, SLIDE_STEP + 1, got));
    }
}

static void what_is_not_understood_changes_nothing(void **state)
{
    static const char *const cmdlines[] = { "kaslr", "kaslr=", "kaslr=maybe", "xkaslr=off", "kaslr=\"off", "KASLR=off",
                                            "=off kaslr=-1", "kaslr=offf" };
    bool is_random;

    (void)state;
    uint64_t slide = choose("", LINKED, 4096, 123456, &is_random);

    for (unsigned i = 0; i < ARRAY_COUNT(cmdlines); i++) {
        assert_int_equal(choose(cmdlines[i], LINKED, 4096, 123456, &is_random), slide);
        assert_true(is_random);
    }
}

static void an_image_that_fills_the_place_stays(void **state)
{
    bool is_random;

    (void)state;
    assert_int_equal(choose("", LINKED, UINT64_C(1) << 30, 9, &is_random), 0);
    assert_false(is_random);
    assert_true(choose("", LINKED, (UINT64_C(1) << 30) - SLIDE_STEP, 9, &is_random) != 0);
}

static void every_bit_that_goes_in_changes_what_comes_out(void **state)
{
    uint8_t bytes[32] = { 0 };

    (void)state;
    uint64_t before = slide_mix(1, bytes, sizeof bytes);

    assert_true(slide_mix(2, bytes, sizeof bytes) != before);
    assert_true(slide_mix(1, bytes, sizeof bytes - 1) != before);
    for (unsigned bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        uint64_t changed = slide_mix(1, bytes, sizeof bytes) ^ before;

        assert_in_range(__builtin_popcountll(changed), 12, 52);
        assert_true((changed & 1023) != 0 || (changed >> 10 & 1023) != 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_slide_is_a_place_where_the_image_can_be),
        cmocka_unit_test(all_places_are_taken_about_equally_often),
        cmocka_unit_test(off_and_zero_move_nothing),
        cmocka_unit_test(a_number_is_followed_if_it_can_be),
        cmocka_unit_test(what_is_not_understood_changes_nothing),
        cmocka_unit_test(an_image_that_fills_the_place_stays),
        cmocka_unit_test(every_bit_that_goes_in_changes_what_comes_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
