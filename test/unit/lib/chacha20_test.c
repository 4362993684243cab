/* SPDX-License-Identifier: MIT */
/* core/lib/chacha20.c: the vector of RFC 8439, section 2.3.2. */
#include "unit.h"

#include <lib/chacha20.h>
#include <lib/string.h>

static void block_is_that_of_the_rfc(void **state)
{
    static const uint32_t input[] = {0x00000001, 0x09000000, 0x4a000000, 0x00000000};
    static const uint32_t expected[] = {
        0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
        0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9, 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2,
    };
    uint32_t key[CHACHA20_KEY_WORDS], block[CHACHA20_BLOCK_WORDS];

    (void)state;
    for (uint32_t i = 0; i < CHACHA20_KEY_WORDS; i++)
        key[i] = 0x03020100 + 0x04040404 * i;
    chacha20_block(key, input, block);
    assert_memory_equal(block, expected, sizeof block);
}

static void wiped_is_zero(void **state)
{
    char secret[] = "secret", zeros[sizeof secret] = "";

    (void)state;
    chacha20_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zeros, sizeof secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_is_that_of_the_rfc),
        cmocka_unit_test(wiped_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
