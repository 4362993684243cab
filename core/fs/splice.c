/* SPDX-License-Identifier: MIT */
/* From a pipe to a file, from a file into a pipe, from pipe to pipe: piece by piece, none beyond a page. No state. */
#include <fs/splice.h>

#include "fs_priv.h"

#include <fs/pipe.h>
#include <k/errno.h>
#include <lib/string.h>

/* Where the oldest bytes lie, of `used`: *inout_bytes becomes how many of them lie there. */
static char *first_bytes(struct pipe *pipe, size_t used, size_t *inout_bytes)
{
    size_t offset = pipe->start % PAGE_BYTES;

    *inout_bytes = MIN(*inout_bytes, MIN(used, PAGE_BYTES - offset));
    return pipe->page[pipe->start / PAGE_BYTES] + offset;
}

/* Where the next ones will, likewise; there is room. NULL: no memory. */
static char *next_bytes(struct pipe *pipe, size_t used, size_t *inout_bytes)
{
    size_t place = (pipe->start + used) & (pipe->capacity - 1), offset = place % PAGE_BYTES;
    char *page = pipe->page[place / PAGE_BYTES];

    *inout_bytes = MIN(*inout_bytes, MIN(pipe->capacity - used, PAGE_BYTES - offset));
    if (page == NULL)
        page = pipe_ring_make_page(pipe, place / PAGE_BYTES);
    return page == NULL ? NULL : page + offset;
}

static int64_t put(const struct splice_side *out, struct pipe *pipe, size_t used, size_t bytes) RELEASES(pipe->mutex)
{
    struct io_span span;
    char *from = first_bytes(pipe, used, &bytes);

    io_span_kernel(&span, from, bytes);
    int64_t done = out->offset != NULL ? file_write_at(out->file, &span, (int64_t)*out->offset)
                                       : file_write(out->file, &span);

    pipe_ring_read_end(pipe, used, (size_t)MAX(done, 0));
    return done;
}

static int64_t take(const struct splice_side *in, struct pipe *pipe, size_t used, size_t bytes) RELEASES(pipe->mutex)
{
    struct io_span span;
    char *to = next_bytes(pipe, used, &bytes);
    int64_t done = -ENOMEM;

    if (to != NULL) {
        io_span_kernel(&span, to, bytes);
        done = in->offset != NULL ? file_read_at(in->file, &span, (int64_t)*in->offset) : file_read(in->file, &span);
    }
    pipe_ring_write_end(pipe, used, (size_t)MAX(done, 0));
    return done;
}

static int64_t from_pipe(const struct splice_side *out, struct pipe *pipe, size_t bytes, bool never_waits)
{
    for (;;) {
        mutex_lock(&pipe->mutex);
        size_t used = load_relaxed(&pipe->used);

        if (used > 0)
            return put(out, pipe, used, bytes);
        bool is_over = load_relaxed(&pipe->writers) == 0;

        mutex_unlock(&pipe->mutex);
        if (is_over)
            return 0;
        int error = never_waits ? -EAGAIN : pipe_ring_wait_for_bytes(pipe);

        if (error != 0)
            return error;
    }
}

static int64_t to_pipe(const struct splice_side *in, struct pipe *pipe, size_t bytes, bool never_waits)
{
    for (;;) {
        mutex_lock(&pipe->mutex);
        size_t used = load_relaxed(&pipe->used);
        bool is_read = load_relaxed(&pipe->readers) > 0;

        if (is_read && used < pipe->capacity)
            return take(in, pipe, used, bytes);
        mutex_unlock(&pipe->mutex);
        if (!is_read)
            return -EPIPE;
        int error = never_waits ? -EAGAIN : pipe_ring_wait_for_room(pipe);

        if (error != 0)
            return error;
    }
}

/* ---- Two pipes ---- */

/* There are bytes in the one and there is room in the other. */
static int64_t move(struct pipe *to, struct pipe *from, size_t bytes) RELEASES(from->mutex, to->mutex)
{
    size_t used_from = load_relaxed(&from->used), used_to = load_relaxed(&to->used);
    char *old = first_bytes(from, used_from, &bytes), *new = next_bytes(to, used_to, &bytes);
    size_t done = new != NULL ? bytes : 0;

    if (done > 0)
        memcpy(new, old, done);
    pipe_ring_read_end(from, used_from, done);
    pipe_ring_write_end(to, used_to, done);
    return done > 0 ? (int64_t)done : -ENOMEM;
}

static void lock_both(struct pipe *a, struct pipe *b) ACQUIRES(a->mutex, b->mutex) NO_LOCK_ANALYSIS
{
    if ((uintptr_t)a < (uintptr_t)b) {
        mutex_lock(&a->mutex);
        mutex_lock(&b->mutex);
    } else {
        mutex_lock(&b->mutex);
        mutex_lock(&a->mutex);
    }
}

static int64_t between_pipes(struct pipe *to, struct pipe *from, size_t bytes, bool never_waits)
{
    if (to == from)
        return -EINVAL;
    for (;;) {
        lock_both(to, from);
        bool is_read = load_relaxed(&to->readers) > 0, is_over = load_relaxed(&from->writers) == 0;
        bool has_bytes = load_relaxed(&from->used) > 0, has_room = load_relaxed(&to->used) < to->capacity;

        if (is_read && has_bytes && has_room)
            return move(to, from, bytes);
        mutex_unlock(&from->mutex);
        mutex_unlock(&to->mutex);
        if (!is_read || (!has_bytes && is_over))
            return is_read ? 0 : -EPIPE;
        int error = never_waits ? -EAGAIN : has_bytes ? pipe_ring_wait_for_room(to) : pipe_ring_wait_for_bytes(from);

        if (error != 0)
            return error;
    }
}

int64_t splice_some(const struct splice_side *out, const struct splice_side *in, size_t bytes, bool never_waits)
{
    int64_t done;

    if (file_is_pipe(in->file) && file_is_pipe(out->file))
        return between_pipes(out->file->data, in->file->data, bytes, never_waits);
    if (file_is_pipe(in->file))
        done = from_pipe(out, in->file->data, bytes, never_waits);
    else
        done = to_pipe(in, out->file->data, bytes, never_waits);
    if (done > 0 && out->offset != NULL)
        *out->offset += (uint64_t)done;
    if (done > 0 && in->offset != NULL)
        *in->offset += (uint64_t)done;
    return done;
}
