/* SPDX-License-Identifier: MIT */
/* Chooses the image's slide. Only the command line and numbers go in, only a number comes out. */
#include <shared/slide.h>

#include <k/compiler.h>
#include <k/errno.h>
#include <lib/string.h>
#include <parse/cmdline.h>

enum wish { WISH_RANDOM, WISH_NONE, WISH_EXACT };

/* The finalizer of splitmix64: each bit of the input changes half of the output's. */
static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t slide_mix(uint64_t state, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < count; i++)
        state = scramble(state + UINT64_C(0x9e3779b97f4a7c15) + at[i]);
    return scramble(state + count);
}

static enum wish read_wish(const char *cmdline, uint64_t *out_exact)
{
    enum wish wish = WISH_RANDOM;
    struct cmdline_option option;
    int result;

    while ((result = cmdline_next(&cmdline, &option)) != -ENOENT) {
        if (result != 0 || !option.has_value || strcmp(option.key, "kaslr") != 0)
            continue;
        if (strcmp(option.value, "on") == 0)
            wish = WISH_RANDOM;
        else if (strcmp(option.value, "off") == 0)
            wish = WISH_NONE;
        else if (parse_u64(option.value, out_exact) == 0)
            wish = WISH_EXACT;
    }
    return wish;
}

uint64_t slide_choose(const char *cmdline, uintptr_t start, uintptr_t end, uint64_t random, bool *out_is_random)
{
    uint64_t first = ROUND_UP(end, SLIDE_STEP) - ROUND_DOWN(start, SLIDE_STEP);
    uint64_t last = 0 - SLIDE_STEP - ROUND_UP(end, SLIDE_STEP);
    uint64_t exact = 0;
    enum wish wish = read_wish(cmdline, &exact);

    *out_is_random = false;
    if (wish == WISH_NONE || last < first || (wish == WISH_EXACT && exact == 0))
        return 0;
    if (wish == WISH_EXACT && exact % SLIDE_STEP == 0 && exact >= first && exact <= last)
        return exact;
    *out_is_random = true;
    return first + random % ((last - first) / SLIDE_STEP + 1) * SLIDE_STEP;
}
