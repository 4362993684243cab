/* SPDX-License-Identifier: MIT */
/*
 * User memory: checks ranges, and leaves every access to the machine. It knows no mappings and repairs no fault. No
 * state, no lock.
 */
#include <mm/user.h>

#include <hal/user.h>
#include <k/errno.h>
#include <lib/string.h>

/* A string is read in pieces that end at multiples of this. It divides a page, so no piece reaches into another. */
#define STRING_PIECE_BYTES 64u

static_assert(PAGE_BYTES % STRING_PIECE_BYTES == 0);

bool user_range_is_valid(vaddr_t va, size_t bytes)
{
    return bytes <= HAL_USER_END && va <= HAL_USER_END - bytes;
}

int user_copy_in(void *dst, vaddr_t src, size_t bytes)
{
    if (!user_range_is_valid(src, bytes))
        return -EFAULT;
    return hal_user_copy(dst, src, bytes, USER_COPY_IN) == 0 ? 0 : -EFAULT;
}

int user_copy_out(vaddr_t dst, const void *src, size_t bytes)
{
    if (!user_range_is_valid(dst, bytes))
        return -EFAULT;
    return hal_user_copy((void *)(uintptr_t)src, dst, bytes, USER_COPY_OUT) == 0 ? 0 : -EFAULT;
}

int user_clear(vaddr_t dst, size_t bytes)
{
    static ALIGNED(CACHE_LINE_BYTES) const uint8_t zeros[PAGE_BYTES];

    if (!user_range_is_valid(dst, bytes))
        return -EFAULT;
    /* The first piece ends at a page border: the others are aligned then. */
    for (size_t piece; bytes > 0; dst += piece, bytes -= piece) {
        piece = MIN(bytes, PAGE_BYTES - dst % PAGE_BYTES);
        if (hal_user_copy((void *)(uintptr_t)zeros, dst, piece, USER_COPY_OUT) != 0)
            return -EFAULT;
    }
    return 0;
}

int64_t user_copy_string(char *dst, vaddr_t src, size_t room)
{
    size_t done = 0;

    while (done < room) {
        size_t piece = MIN(room - done, STRING_PIECE_BYTES - src % STRING_PIECE_BYTES);

        if (!user_range_is_valid(src, piece))
            return -EFAULT;
        size_t copied = piece - hal_user_copy(dst + done, src, piece, USER_COPY_IN);
        size_t length = strnlen(dst + done, copied);

        if (length < copied)
            return (int64_t)(done + length);
        if (copied < piece)
            return -EFAULT;
        done += piece;
        src += piece;
    }
    return -ENAMETOOLONG;
}

int user_read32(vaddr_t word, uint32_t *out)
{
    if (!IS_ALIGNED(word, sizeof *out))
        return -EINVAL;
    return user_copy_in(out, word, sizeof *out);
}

int user_cas32(vaddr_t word, uint32_t *expected, uint32_t desired)
{
    if (!IS_ALIGNED(word, sizeof *expected))
        return -EINVAL;
    if (!user_range_is_valid(word, sizeof *expected))
        return -EFAULT;
    return hal_user_cas(word, expected, desired);
}
