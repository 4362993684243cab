/* SPDX-License-Identifier: MIT */
/* core/fs/random.c: what comes out depends on all that was mixed in, is different each time, and looks even. */
#include "fs_test.h"

#include <boot/program.h>
#include <fs/dev.h>
#include <hal/boot.h>

static void evenness(void)
{
    static unsigned char bytes[20000];
    unsigned count[256] = {0}, ones = 0;

    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        count[bytes[i]]++;
        ones += (unsigned)__builtin_popcount(bytes[i]);
    }
    for (unsigned i = 0; i < 256; i++)
        CHECK(count[i] > 20 && count[i] < 160); /* 78 expected: 6 and 9 standard deviations away */
    CHECK(ones > 78500 && ones < 81500);        /* 80,000 expected, deviation 200 */
}

static void sizes(void)
{
    unsigned char bytes[200];
    char last[16] = "", next[16];

    for (size_t size = 0; size <= 150; size++) {
        memset(bytes, 0xaa, sizeof bytes);
        random_bytes(bytes, size);
        for (size_t i = size; i < sizeof bytes; i++)
            CHECK(bytes[i] == 0xaa);
    }
    for (unsigned i = 0; i < 20; i++) {
        random_bytes(next, sizeof next);
        CHECK(memcmp(last, next, sizeof last) != 0);
        memcpy(last, next, sizeof last);
    }
}

/* What boot had decides whether it is ready; a guess does not change that, and enough does. */
static void readiness(void)
{
    bool was_ready = boot_report.info->entropy_bytes >= 32;
    char bytes[100] = "";

    CHECK(random_is_ready() == was_ready);
    random_seed("guess me", 8, false);
    CHECK(random_is_ready() == was_ready);
    random_seed(bytes, sizeof bytes, true);
    CHECK(random_is_ready());
}

const struct kernel_test booted_tests[] = {
    {"evenness", evenness}, {"sizes", sizes}, {"readiness", readiness}, {NULL, NULL}};

BOOTED(bytes_are_even, "evenness", 4)
BOOTED(every_size_and_only_that_is_filled, "sizes", 2)

BOOTED(enough_entropy_makes_it_ready, "readiness", 2)

FS_TEST_MAIN(cmocka_unit_test(bytes_are_even), cmocka_unit_test(every_size_and_only_that_is_filled),
             cmocka_unit_test(enough_entropy_makes_it_ready))
