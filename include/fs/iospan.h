/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of a read go, or those of a write come from: pieces of user or kernel memory, and how much of them is
 * left. Copies consume it from the front, so several in a row, of several layers, make one transfer.
 *
 * A copy may stop early, at the first byte that the user may not be given (or that may not be read): exactly what came
 * before it has been transferred and is consumed. So a transfer that moved something ends with that count, and one that
 * moved nothing with -EFAULT: io_result().
 *
 * Context: task. User memory may be brought in, so no spinlock is held; a fault may sleep on the mutex of the space and
 * on those of memory objects, and on nothing of this room.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/errno.h>
#include <k/types.h>

struct io_piece {
    vaddr_t at;
    size_t bytes;
};

struct io_span {
    size_t left; /* bytes in all that remains; at most SSIZE_MAX */
    vaddr_t at;  /* of the first piece that remains */
    size_t piece_left; /* with IO_KERNEL, it is memory of the kernel */
    const struct io_piece *next; /* those behind it; not set if it is the only one */
};

#define IO_KERNEL (SIZE_MAX / 2 + 1) /* so one comparison with a number of bytes excludes such a piece */
#define IO_BYTES_MAX ((size_t)0x7ffff000) /* what one call transfers at most, as Linux has it */

static inline void io_span_user(struct io_span *span, vaddr_t at, size_t bytes)
{
    span->left = span->piece_left = MIN(bytes, IO_BYTES_MAX);
    span->at = at;
}

static inline void io_span_kernel(struct io_span *span, void *at, size_t bytes)
{
    *span = (struct io_span){.left = bytes, .at = (vaddr_t)at, .piece_left = bytes | IO_KERNEL};
}

/* Pieces of user memory, which stay where they are and as they are. More than IO_BYTES_MAX is cut. -EINVAL: the sum
 * does not fit a ssize_t. */
int io_span_pieces(struct io_span *span, const struct io_piece *pieces, size_t count) MUST_USE;

/* Into the span, or out of it; how many bytes: at most span->left. Fewer than min(bytes, left): a fault. */
size_t io_copy_to(struct io_span *span, const void *from, size_t bytes) MUST_USE;
size_t io_copy_from(struct io_span *span, void *to, size_t bytes) MUST_USE;
size_t io_zero(struct io_span *span, size_t bytes) MUST_USE;

/* The same for all that is left, which is no more than IO_BYTES_MAX; nobody uses the span afterwards. How many bytes
 * were not copied: 0, or a fault. */
size_t io_copy_all_to(struct io_span *span, const void *from) MUST_USE;
size_t io_copy_all_from(struct io_span *span, void *to) MUST_USE;

/* Consume without a copy; bytes <= left. */
void io_skip(struct io_span *span, size_t bytes);

/* The result of a transfer that stopped because of `error`, or of nothing (0). */
static inline int64_t io_result(size_t done, int error)
{
    return done > 0 || error == 0 ? (int64_t)done : error;
}
