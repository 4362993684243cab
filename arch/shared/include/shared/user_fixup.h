/* SPDX-License-Identifier: MIT */
/* Where the accesses to user memory stand in a machine's user.S, and where a failed one goes on. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct user_fixup {
    const char *start, *end; /* code that touches user memory */
    const char *failed;      /* continues with the registers of the fault, in the state that user.S says */
};

/* The pc to go on at when an access at `pc` fails; 0: no access to user memory. */
static inline uintptr_t user_fixup_find(const struct user_fixup fixups[], size_t count, uintptr_t pc)
{
    for (size_t i = 0; i < count; i++)
        if (pc - (uintptr_t)fixups[i].start < (uintptr_t)fixups[i].end - (uintptr_t)fixups[i].start)
            return (uintptr_t)fixups[i].failed;
    return 0;
}
