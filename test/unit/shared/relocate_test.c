/* SPDX-License-Identifier: MIT */
/* arch/shared/relocate.c: exactly the words of the tables change, each by the slide. The model changes a copy, too. */
#include "unit.h"

#include <string.h>

#include <k/compiler.h>
#include <shared/slide.h>

#define IMAGE_BYTES (1u << 20)
#define PLACES_MAX 4000
#define ENTRIES_MAX (PLACES_MAX + IMAGE_BYTES / 65535 + 2)

struct table {
    uint16_t entry[ENTRIES_MAX];
    unsigned count;
    unsigned at;
};

static ALIGNED(8) char image[IMAGE_BYTES], model[IMAGE_BYTES];
static struct table words, halves;

static void add(struct table *table, unsigned place)
{
    for (; place - table->at >= 65535; table->at += 65535)
        table->entry[table->count++] = 65535;
    table->entry[table->count++] = (uint16_t)(place - table->at);
    table->at = place;
}

/* The next place of `bytes` bytes at or after `from`; mostly near, sometimes far. */
static unsigned next_place(struct unit_random *random, unsigned from, unsigned align)
{
    size_t gap = unit_random_below(random, unit_random_below(random, 50) == 0 ? 200000 : 300);

    return ROUND_UP(from + (unsigned)gap, align);
}

static void model_add(unsigned place, unsigned bytes, uint64_t slide)
{
    uint64_t value = 0;

    memcpy(&value, model + place, bytes);
    value += slide;
    memcpy(model + place, &value, bytes);
}

static void exactly_the_words_of_the_tables_change(void **state)
{
    struct unit_random random = { 3 };

    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        uint64_t slide = (1 + unit_random_below(&random, 1000)) * SLIDE_STEP;
        unsigned place = 0;

        words.count = words.at = halves.count = halves.at = 0;
        for (unsigned i = 0; i < IMAGE_BYTES; i++)
            image[i] = (char)unit_random_next(&random);
        memcpy(model, image, sizeof image);
        for (unsigned i = 0; i < PLACES_MAX; i++) {
            unsigned bytes = unit_random_below(&random, 2) == 0 ? 8 : 4;

            place = next_place(&random, place, bytes == 8 ? 8 : 1);
            if (place + bytes > IMAGE_BYTES)
                break;
            add(bytes == 8 ? &words : &halves, place);
            model_add(place, bytes, slide);
            place += bytes;
        }
        halves.entry[halves.count++] = 65535; /* what is left of the room */
        boot_relocate(image, slide, words.entry, words.entry + words.count, halves.entry, halves.entry + halves.count);
        assert_memory_equal(image, model, sizeof image);
    }
}

static void empty_tables_change_nothing(void **state)
{
    static const uint16_t filler[4] = { 65535, 65535, 65535, 65535 };

    (void)state;
    memset(image, 0x5a, sizeof image);
    memcpy(model, image, sizeof image);
    boot_relocate(image, SLIDE_STEP, filler, filler, filler, filler);
    boot_relocate(image, SLIDE_STEP, filler, filler + 4, filler, filler + 4);
    assert_memory_equal(image, model, sizeof image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_words_of_the_tables_change),
        cmocka_unit_test(empty_tables_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
