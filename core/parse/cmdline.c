/* SPDX-License-Identifier: MIT */
/*
 * The boot command line, word by word, and numbers in it. Owns no state, no lock; trusts only that the text ends in a
 * NUL. A quote (") switches the protection of blanks on and off anywhere in a word and is itself dropped.
 */
#include <parse/cmdline.h>

#include <k/errno.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct field {
    char *to;
    size_t room; /* with the NUL */
    size_t length;
    bool overflowed;
};

static void field_put(struct field *field, char c)
{
    if (field->length + 1 < field->room) {
        field->to[field->length++] = c;
        field->to[field->length] = '\0';
    } else {
        field->overflowed = true;
    }
}

int cmdline_next(const char **cursor, struct cmdline_option *out)
{
    struct field key = {.to = out->key, .room = sizeof(out->key)};
    struct field value = {.to = out->value, .room = sizeof(out->value)};
    const char *at = *cursor;
    bool quoted = false;

    out->key[0] = '\0';
    out->value[0] = '\0';
    out->has_value = false;
    while (is_blank(*at))
        at++;
    *cursor = at;
    if (*at == '\0')
        return -ENOENT;
    for (; *at != '\0' && (quoted || !is_blank(*at)); at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (*at == '=' && !out->has_value)
            out->has_value = true;
        else
            field_put(out->has_value ? &value : &key, *at);
    }
    *cursor = at;
    if (quoted || key.length == 0)
        return -EINVAL;
    return key.overflowed || value.overflowed ? -E2BIG : 0;
}

int cmdline_next_word(const char **cursor, char *out, size_t room)
{
    struct field word = {.to = out, .room = room};
    const char *at = *cursor;
    bool quoted = false;

    out[0] = '\0';
    while (is_blank(*at))
        at++;
    bool is_end = *at == '\0';

    for (; *at != '\0' && (quoted || !is_blank(*at)); at++) {
        if (*at == '"')
            quoted = !quoted;
        else
            field_put(&word, *at);
    }
    *cursor = at;
    return is_end ? -ENOENT : quoted ? -EINVAL : word.overflowed ? -E2BIG : 0;
}

/* The value of a digit, or a number above every base. */
static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return UINT32_MAX;
}

static unsigned suffix_shift(char c)
{
    switch (c) {
    case 'K':
    case 'k':
        return 10;
    case 'M':
    case 'm':
        return 20;
    case 'G':
    case 'g':
        return 30;
    default:
        return 0;
    }
}

int parse_u64(const char *text, uint64_t *out)
{
    unsigned base = 10, shift;
    uint64_t number = 0;
    bool overflowed = false;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (digit_of(*text) >= base)
        return -EINVAL;
    for (; digit_of(*text) < base; text++) {
        overflowed |= __builtin_mul_overflow(number, (uint64_t)base, &number);
        overflowed |= __builtin_add_overflow(number, (uint64_t)digit_of(*text), &number);
    }
    shift = suffix_shift(*text);
    if (shift != 0)
        text++;
    if (*text != '\0')
        return -EINVAL;
    if (overflowed || number > UINT64_MAX >> shift)
        return -ERANGE;
    *out = number << shift;
    return 0;
}
