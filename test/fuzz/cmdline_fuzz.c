/* SPDX-License-Identifier: MIT */
/* Damaged command lines: core/parse/cmdline.c ends, stays before the NUL, and reads numbers as a model does. */
#include "fuzz.h"

#include <ctype.h>
#include <string.h>

#include <parse/cmdline.h>

#include <k/errno.h>

static const char *const bases[] = {
    "console=ttyS0 quiet test=all seed=0x1234abcd mem=512M",
    "a=\"b c\" \"d=e f\" g h= =i j=k=l",
    "log=debug name=\"a rather long value, though no longer than the room for it, which is 127 bytes, has to fit\" x",
    "0x7fffffffffffffff 18446744073709551615 17179869183G 0xfffffK 4096 1k 0",
};

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    const char *line = bases[fuzz_random_below(random, sizeof(bases) / sizeof(bases[0]))];

    memcpy(to, line, strlen(line) + 1);
    return strlen(line) + 1;
}

/* A NUL at the end is the one promise that the parser gets. */
static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    (void)random;
    bytes += bytes == 0;
    data[bytes - 1] = '\0';
    return bytes;
}

static int model_number(const char *text, uint64_t *out)
{
    unsigned __int128 number = 0, limit = (unsigned __int128)1 << 70;
    unsigned base = 10, digits = 0;
    const char *suffix;

    if (strncmp(text, "0x", 2) == 0 || strncmp(text, "0X", 2) == 0) {
        base = 16;
        text += 2;
    }
    for (; base == 16 ? isxdigit((unsigned char)*text) : isdigit((unsigned char)*text); text++, digits++) {
        int low = tolower((unsigned char)*text);

        number = number * base + (unsigned)(low >= 'a' ? low - 'a' + 10 : low - '0');
        number = number > limit ? limit : number;
    }
    suffix = *text == '\0' ? NULL : strchr("kmg", tolower((unsigned char)*text));
    if (suffix != NULL) {
        number <<= 10 * (suffix - "kmg" + 1);
        text++;
    }
    if (digits == 0 || *text != '\0')
        return -EINVAL;
    *out = (uint64_t)number;
    return number > UINT64_MAX ? -ERANGE : 0;
}

static void check_number(const char *text)
{
    uint64_t number = 0, expected = 0;
    int error = parse_u64(text, &number);

    FUZZ_CHECK(error == model_number(text, &expected));
    FUZZ_CHECK(error != 0 || number == expected);
}

static bool run(const uint8_t *data, size_t bytes)
{
    const char *cursor = (const char *)data, *end = cursor + strlen(cursor);
    struct cmdline_option option;
    unsigned good = 0, bad = 0;

    FUZZ_CHECK(end < (const char *)data + bytes);
    for (;;) {
        const char *before = cursor;
        int error;

        memset(&option, 0xff, sizeof(option));
        error = cmdline_next(&cursor, &option);
        FUZZ_CHECK(memchr(option.key, '\0', sizeof(option.key)) != NULL);
        FUZZ_CHECK(memchr(option.value, '\0', sizeof(option.value)) != NULL);
        FUZZ_CHECK(option.has_value || option.value[0] == '\0');
        if (error == -ENOENT)
            break;
        FUZZ_CHECK(error == 0 || error == -E2BIG || error == -EINVAL);
        FUZZ_CHECK(error != 0 || option.key[0] != '\0');
        FUZZ_CHECK(cursor > before && cursor <= end);
        good += error == 0;
        bad += error != 0;
        check_number(option.key);
        check_number(option.value);
    }
    FUZZ_CHECK(cursor == end);
    check_number((const char *)data);
    return good > 0 && bad == 0;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "cmdline", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
