/* SPDX-License-Identifier: MIT */
/* Structs that have versions: clone3(2), "The clone3() system call", and its like. No state. */
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>

#include "syscall_priv.h"

#define PIECE_BYTES 64

/* Is all of it zero? */
static int check_zero(vaddr_t from, size_t bytes)
{
    uint8_t piece[PIECE_BYTES];

    while (bytes > 0) {
        size_t count = MIN(bytes, sizeof piece);
        int result = user_copy_in(piece, from, count);

        if (result != 0)
            return result;
        for (size_t i = 0; i < count; i++)
            if (piece[i] != 0)
                return -E2BIG;
        from += count;
        bytes -= count;
    }
    return 0;
}

int copy_in_versioned(void *to, size_t bytes, vaddr_t from, size_t user_bytes)
{
    size_t both = MIN(bytes, user_bytes);

    if (user_bytes > PAGE_BYTES)
        return -E2BIG;
    (void)memset(to, 0, bytes);
    int result = check_zero(from + both, user_bytes - both);

    return result != 0 ? result : user_copy_in(to, from, both);
}
