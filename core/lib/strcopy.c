/* SPDX-License-Identifier: MIT */
/* Bounded string copies. Owns no state; apart from string.c because the host's libc lacks them. No lock. */
#include <lib/string.h>

bool str_copy(char *to, const char *from, size_t room)
{
    for (size_t i = 0; i < room; i++) {
        to[i] = from[i];
        if (from[i] == '\0')
            return true;
    }
    if (room > 0)
        to[room - 1] = '\0';
    return false;
}
