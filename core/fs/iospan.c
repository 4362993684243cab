/* SPDX-License-Identifier: MIT */
/*
 * Transfers between the kernel and the pieces of an io_span. The pieces are read once each, when their turn comes, and
 * every user address is checked before it is touched. No state, no lock.
 */
#include <fs/iospan.h>

#include <hal/user.h>
#include <k/assert.h>
#include <lib/string.h>
#include <mm/user.h>

int io_span_pieces(struct io_span *span, const struct io_piece *pieces, size_t count)
{
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        if (pieces[i].bytes > (size_t)INT64_MAX - left)
            return -EINVAL;
        left += pieces[i].bytes;
    }
    *span = (struct io_span){.left = MIN(left, IO_BYTES_MAX), .next = pieces};
    return 0;
}

/* The next piece that is not empty. span->left > 0: there is one. */
static void next_piece(struct io_span *span)
{
    while (span->piece_left == 0) {
        span->at = span->next->at;
        span->piece_left = span->next->bytes;
        span->next++;
    }
}

static ALWAYS_INLINE void consume(struct io_span *span, size_t bytes)
{
    span->at += bytes;
    span->piece_left -= bytes;
    span->left -= bytes;
}

enum transfer { TRANSFER_TO, TRANSFER_FROM, TRANSFER_ZERO };

/* Zeros for the user, in pieces, so that it is known how many arrived. */
static size_t zero_user(vaddr_t at, size_t bytes)
{
    static ALIGNED(CACHE_LINE_BYTES) const uint8_t zeros[PAGE_BYTES];
    size_t done = 0;

    while (done < bytes) {
        size_t part = MIN(bytes - done, sizeof zeros);
        size_t failed = hal_user_copy((void *)(uintptr_t)zeros, at + done, part, USER_COPY_OUT);

        done += part - failed;
        if (failed > 0)
            break;
    }
    return done;
}

/* How many of `bytes`, all in one piece, were transferred. */
static ALWAYS_INLINE size_t transfer_piece(const struct io_span *span, char *kernel, size_t bytes, enum transfer how)
{
    if ((span->piece_left & IO_KERNEL) == 0) {
        if (!user_range_is_valid(span->at, bytes))
            return 0;
        if (how == TRANSFER_ZERO)
            return zero_user(span->at, bytes);
        return bytes - hal_user_copy(kernel, span->at, bytes, how == TRANSFER_TO ? USER_COPY_OUT : USER_COPY_IN);
    }
    if (how == TRANSFER_TO)
        memcpy((void *)span->at, kernel, bytes);
    else if (how == TRANSFER_FROM)
        memcpy(kernel, (const void *)span->at, bytes);
    else
        memset((void *)span->at, 0, bytes);
    return bytes;
}

static NOINLINE size_t transfer(struct io_span *span, char *kernel, size_t bytes, enum transfer how)
{
    size_t done = 0;

    bytes = MIN(bytes, span->left);
    while (done < bytes) {
        if (span->piece_left == 0)
            next_piece(span);
        size_t part = MIN(bytes - done, span->piece_left & ~IO_KERNEL);
        size_t moved = transfer_piece(span, how == TRANSFER_ZERO ? NULL : kernel + done, part, how);

        consume(span, moved);
        done += moved;
        if (UNLIKELY(moved < part))
            break;
    }
    return done;
}

/* Nearly all copies: all of it in the piece at hand, which is the user's. */
static ALWAYS_INLINE size_t copy(struct io_span *span, char *kernel, size_t bytes, enum transfer how)
{
    if (UNLIKELY(bytes > span->piece_left || bytes > span->left || (span->piece_left & IO_KERNEL) != 0 ||
                 bytes > HAL_USER_END || span->at > HAL_USER_END - bytes))
        return transfer(span, kernel, bytes, how);
    size_t moved = bytes - hal_user_copy(kernel, span->at, bytes, how == TRANSFER_TO ? USER_COPY_OUT : USER_COPY_IN);

    consume(span, moved);
    return moved;
}

/* The same, which notes nothing. */
static ALWAYS_INLINE size_t copy_all(struct io_span *span, char *kernel, enum transfer how)
{
    size_t bytes = span->left;

    DEBUG_ASSERT(bytes <= IO_BYTES_MAX); /* and user memory is larger */
    if (UNLIKELY(bytes != span->piece_left || span->at > HAL_USER_END - bytes))
        return bytes - transfer(span, kernel, bytes, how);
    return hal_user_copy(kernel, span->at, bytes, how == TRANSFER_TO ? USER_COPY_OUT : USER_COPY_IN);
}

size_t io_copy_all_to(struct io_span *span, const void *from)
{
    return copy_all(span, (char *)(uintptr_t)from, TRANSFER_TO);
}

size_t io_copy_all_from(struct io_span *span, void *to)
{
    return copy_all(span, to, TRANSFER_FROM);
}

size_t io_copy_to(struct io_span *span, const void *from, size_t bytes)
{
    return copy(span, (char *)(uintptr_t)from, bytes, TRANSFER_TO);
}

size_t io_copy_from(struct io_span *span, void *to, size_t bytes)
{
    return copy(span, to, bytes, TRANSFER_FROM);
}

size_t io_zero(struct io_span *span, size_t bytes)
{
    return transfer(span, NULL, bytes, TRANSFER_ZERO);
}

void io_skip(struct io_span *span, size_t bytes)
{
    while (bytes > 0) {
        if (span->piece_left == 0)
            next_piece(span);
        size_t part = MIN(bytes, span->piece_left & ~IO_KERNEL);

        consume(span, part);
        bytes -= part;
    }
}
