/* SPDX-License-Identifier: MIT */
/* The first line of a script (execve(2)). Owns no state, allocates nothing, no lock. */
#include <parse/script.h>

#include <lib/string.h>

#include <k/errno.h>

#define MARK_BYTES 2

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool script_is(const uint8_t *first, size_t bytes)
{
    return bytes >= MARK_BYTES && first[0] == '#' && first[1] == '!';
}

static void copy(char *to, const uint8_t *from, size_t bytes)
{
    memcpy(to, from, bytes);
    to[bytes] = '\0';
}

int script_read(const uint8_t *first, size_t bytes, struct script *out)
{
    size_t at = MARK_BYTES, end = MARK_BYTES, start;
    bool is_cut;

    memset(out, 0, sizeof(*out));
    if (!script_is(first, bytes))
        return -ENOEXEC;
    bytes = MIN(bytes, (size_t)SCRIPT_FIRST_BYTES);
    while (end < bytes && end < SCRIPT_LINE_MAX && first[end] != '\n' && first[end] != '\0')
        end++;
    /* The byte behind the last that counts still says whether a word is complete. */
    is_cut = end == SCRIPT_LINE_MAX && bytes == SCRIPT_FIRST_BYTES && first[end] != '\n' && first[end] != '\0' &&
             !is_blank(first[end]);
    while (at < end && is_blank(first[at]))
        at++;
    start = at;
    while (at < end && !is_blank(first[at]))
        at++;
    if (at == start || (at == end && is_cut))
        return -ENOEXEC;
    copy(out->interpreter, first + start, at - start);
    while (at < end && is_blank(first[at]))
        at++;
    while (end > at && is_blank(first[end - 1]))
        end--;
    out->has_argument = end > at;
    copy(out->argument, first + at, end - at);
    return 0;
}
