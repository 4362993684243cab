/* SPDX-License-Identifier: MIT */
/* What the tests of this room share: the console's text is caught instead of printed. */
#pragma once

#include <string.h>

#include "console_priv.h"

static char caught[16384];
static size_t caught_bytes;

static inline void catch_text(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && caught_bytes + 1 < sizeof caught; i++)
        caught[caught_bytes++] = text[i];
    caught[caught_bytes] = '\0';
}

static inline void catch_begin(void)
{
    caught_bytes = 0;
    caught[0] = '\0';
    console_set_sink(catch_text);
}

/* What a line of input answers; the line is copied, because it is cut up. */
static inline const char *answer(const char *line)
{
    static char copy[512];

    (void)strcpy(copy, line);
    catch_begin();
    (void)console_do(copy);
    return caught;
}
