/* SPDX-License-Identifier: MIT */
/*
 * Pipes: bytes in a ring of pages. What tasks sleep on, the number of bytes and of ends, is atomic, so that a wait can
 * look at it under its queue's lock; it is changed with the mutex held, before the wake. Pages are made when a write
 * first reaches them, and all but the first are freed when the pipe is empty: then the ring begins at its start again.
 */
#include <fs/pipe.h>

#include "fs_priv.h"

#include <k/errno.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <mm/user.h>
#include <sched/sched.h>

static struct slab_cache pipe_cache;

void pipe_init(void)
{
    slab_cache_init(&pipe_cache, "pipe", sizeof(struct pipe), _Alignof(struct pipe));
    fifo_init();
}

/* ---- The ring ---- */

int pipe_ring_create(struct pipe **out)
{
    struct pipe *pipe = slab_alloc(&pipe_cache);

    if (pipe == NULL)
        return -ENOMEM;
    pipe->page = kzalloc(PIPE_BYTES_DEFAULT / PAGE_BYTES * sizeof(char *));
    if (pipe->page == NULL) {
        slab_free(&pipe_cache, pipe);
        return -ENOMEM;
    }
    mutex_init(&pipe->mutex);
    pipe->capacity = PIPE_BYTES_DEFAULT;
    pipe->start = 0;
    pipe->last_page = 0;
    store_relaxed(&pipe->pages, 0);
    store_relaxed(&pipe->used, 0);
    store_relaxed(&pipe->room_total, pipe->capacity);
    store_relaxed(&pipe->readers, 0);
    store_relaxed(&pipe->writers, 0);
    store_relaxed(&pipe->reader_opens, 0);
    store_relaxed(&pipe->writer_opens, 0);
    store_relaxed(&pipe->is_polled, false);
    pipe->is_plain = false;
    poll_queue_init(&pipe->can_read);
    poll_queue_init(&pipe->can_write);
    *out = pipe;
    return 0;
}

/* Free pages from an index on. */
static void free_pages(struct pipe *pipe, unsigned first)
{
    unsigned pages = load_relaxed(&pipe->pages);

    for (unsigned i = first; i <= pipe->last_page; i++) {
        if (pipe->page[i] == NULL)
            continue;
        phys_free(virt_to_phys(pipe->page[i]), 0);
        pipe->page[i] = NULL;
        pages--;
    }
    store_relaxed(&pipe->pages, pages);
    pipe->last_page = 0;
}

void pipe_ring_destroy(struct pipe *pipe)
{
    free_pages(pipe, 0);
    kfree(pipe->page);
    slab_free(&pipe_cache, pipe);
}

char *pipe_ring_make_page(struct pipe *pipe, size_t index)
{
    unsigned pages = load_relaxed(&pipe->pages);
    paddr_t pa = phys_is_short_for_kept(pages == 0) ? 0 : phys_alloc_user(0, MM_OBJECT);

    if (pa == 0)
        return NULL;
    pipe->page[index] = phys_to_virt(pa);
    store_relaxed(&pipe->pages, pages + 1);
    pipe->last_page = MAX(pipe->last_page, (unsigned)index);
    return pipe->page[index];
}

/* Copy up to `bytes` bytes, for which there is room, behind those that are there. Fewer: *out_error says why. */
static NOINLINE size_t fill_pages(struct pipe *pipe, struct io_span *from, size_t bytes, int *out_error)
{
    size_t at = pipe->start + load_relaxed(&pipe->used), done = 0;

    while (done < bytes) {
        size_t place = (at + done) & (pipe->capacity - 1), offset = place % PAGE_BYTES;
        size_t part = MIN(bytes - done, PAGE_BYTES - offset);
        char *page = pipe->page[place / PAGE_BYTES];

        if (UNLIKELY(page == NULL) && (page = pipe_ring_make_page(pipe, place / PAGE_BYTES)) == NULL) {
            *out_error = -ENOMEM;
            break;
        }
        size_t copied = io_copy_from(from, page + offset, part);

        done += copied;
        if (UNLIKELY(copied < part)) {
            *out_error = -EFAULT;
            break;
        }
    }
    return done;
}

/* The same: mostly all of it goes into a page that is there. */
static ALWAYS_INLINE size_t fill(struct pipe *pipe, struct io_span *from, size_t bytes, int *out_error)
{
    size_t place = (pipe->start + load_relaxed(&pipe->used)) & (pipe->capacity - 1), offset = place % PAGE_BYTES;
    char *page = pipe->page[place / PAGE_BYTES];

    if (UNLIKELY(page == NULL || bytes > PAGE_BYTES - offset))
        return fill_pages(pipe, from, bytes, out_error);
    size_t done = io_copy_from(from, page + offset, bytes);

    if (UNLIKELY(done < bytes))
        *out_error = -EFAULT;
    return done;
}

/* The other way. */
static NOINLINE size_t drain_pages(struct pipe *pipe, struct io_span *to, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        size_t place = (pipe->start + done) & (pipe->capacity - 1), offset = place % PAGE_BYTES;
        size_t part = MIN(bytes - done, PAGE_BYTES - offset);
        size_t copied = io_copy_to(to, pipe->page[place / PAGE_BYTES] + offset, part);

        done += copied;
        if (UNLIKELY(copied < part))
            break;
    }
    return done;
}

static ALWAYS_INLINE size_t drain(struct pipe *pipe, struct io_span *to, size_t bytes)
{
    size_t offset = pipe->start % PAGE_BYTES;

    if (UNLIKELY(bytes > PAGE_BYTES - offset))
        return drain_pages(pipe, to, bytes);
    return io_copy_to(to, pipe->page[pipe->start / PAGE_BYTES] + offset, bytes);
}

static ALWAYS_INLINE void forget(struct pipe *pipe, size_t used, size_t bytes)
{
    size_t left = used - bytes;

    pipe->start = left == 0 ? 0 : (pipe->start + bytes) & (pipe->capacity - 1);
    store_relaxed(&pipe->used, left);
    if (left == 0 && UNLIKELY(load_relaxed(&pipe->pages) > 1))
        free_pages(pipe, 1);
}

/* ---- Read and write ---- */

/* Bytes, or the end. */
static ALWAYS_INLINE bool has_news(struct pipe *pipe)
{
    return load_relaxed(&pipe->used) > 0 || load_relaxed(&pipe->writers) == 0;
}

static int wait_for_bytes(struct pipe *pipe)
{
    return waitq_wait_until(&pipe->can_read.wait, has_news(pipe), TIME_NEVER, FILE_WAIT);
}

/* A writer waits only if there is less room than it needs, and no one waits for more than PIPE_BUF_BYTES. */
static ALWAYS_INLINE bool may_be_awaited(const struct pipe *pipe, size_t used)
{
    return pipe->capacity - used < PIPE_BUF_BYTES;
}

/* `done` of `used` bytes have been read. */
static ALWAYS_INLINE void read_end(struct pipe *pipe, size_t used, size_t done) RELEASES(pipe->mutex)
{
    bool was_full = may_be_awaited(pipe, used);

    forget(pipe, used, done);
    mutex_unlock(&pipe->mutex);
    if (UNLIKELY(was_full))
        poll_wake(&pipe->can_write);
}

/* A fault has stopped it. */
static NOINLINE int64_t read_cut(struct pipe *pipe, size_t used, size_t done) RELEASES(pipe->mutex)
{
    read_end(pipe, used, done);
    return io_result(done, -EFAULT);
}

/* There are `used` bytes, more than none: read what is wanted of them. */
static NOINLINE int64_t read_parts(struct pipe *pipe, struct io_span *to, size_t used) RELEASES(pipe->mutex)
{
    size_t done = drain(pipe, to, MIN(used, to->left));

    read_end(pipe, used, done);
    return io_result(done, -EFAULT);
}

static NOINLINE int64_t read_ring(struct pipe *pipe, struct io_span *to, bool never_waits)
{
    int error;

    for (;;) {
        if (has_news(pipe)) { /* else there is nothing to lock it for */
            mutex_lock(&pipe->mutex);
            size_t used = load_relaxed(&pipe->used);

            if (LIKELY(used > 0))
                return read_parts(pipe, to, used);
            bool is_over = load_relaxed(&pipe->writers) == 0;

            mutex_unlock(&pipe->mutex);
            if (is_over)
                return 0;
        }
        if (never_waits)
            return -EAGAIN;
        error = wait_for_bytes(pipe);
        if (error != 0)
            return error;
    }
}

/* Mostly all that is wanted is there, and in one page, and nobody else is at it. to->left > 0. Whatever differs is
 * somebody else's, so that this needs few registers. */
static int64_t pipe_read(struct file *file, struct io_span *to, uint64_t *position)
{
    struct pipe *pipe = file->data;

    (void)position;
    if (UNLIKELY(load_relaxed(&pipe->used) == 0) || UNLIKELY(!mutex_try_lock(&pipe->mutex)))
        return read_ring(pipe, to, file_never_waits(file));
    size_t used = load_relaxed(&pipe->used), offset = pipe->start % PAGE_BYTES, bytes = to->left;

    if (UNLIKELY(used < bytes) || UNLIKELY(bytes + offset > PAGE_BYTES)) {
        if (used > 0)
            return read_parts(pipe, to, used);
        mutex_unlock(&pipe->mutex);
        return read_ring(pipe, to, file_never_waits(file));
    }
    size_t failed = io_copy_all_to(to, pipe->page[pipe->start / PAGE_BYTES] + offset);

    if (UNLIKELY(failed != 0))
        return read_cut(pipe, used, bytes - failed);
    read_end(pipe, used, bytes);
    return (int64_t)bytes;
}

int64_t pipe_ring_read(struct pipe *pipe, struct io_span *to, bool never_waits)
{
    return read_ring(pipe, to, never_waits);
}

int64_t pipe_ring_peek(struct pipe *pipe, struct io_span *to)
{
    size_t bytes, done = 0;

    mutex_lock(&pipe->mutex);
    bytes = MIN(load_relaxed(&pipe->used), to->left);
    if (bytes > 0)
        done = drain_pages(pipe, to, bytes);
    bool is_over = load_relaxed(&pipe->writers) == 0;

    mutex_unlock(&pipe->mutex);
    return io_result(done, bytes > 0 ? -EFAULT : is_over ? 0 : -EAGAIN);
}

static bool has_room(struct pipe *pipe, size_t needed)
{
    size_t used = load_relaxed(&pipe->used), total = load_relaxed(&pipe->room_total);

    return total >= used && total - used >= needed; /* the two may be of different moments */
}

static int wait_for_room(struct pipe *pipe, size_t needed)
{
    return waitq_wait_until(&pipe->can_write.wait, has_room(pipe, needed) || load_relaxed(&pipe->readers) == 0,
                            TIME_NEVER, FILE_WAIT);
}

/* One turn at the pipe: *out_error 0: go on if there is more; -EAGAIN: there was not enough room. */
static ALWAYS_INLINE size_t write_turn(struct pipe *pipe, struct io_span *from, size_t needed, int *out_error)
    RELEASES(pipe->mutex)
{
    size_t used = load_relaxed(&pipe->used), room = pipe->capacity - used, done = 0;

    *out_error = 0;
    if (UNLIKELY(load_relaxed(&pipe->readers) == 0)) {
        *out_error = -EPIPE;
    } else if (UNLIKELY(room < needed)) {
        *out_error = -EAGAIN;
    } else {
        done = fill(pipe, from, MIN(room, from->left), out_error);
        store_relaxed(&pipe->used, used + done);
    }
    mutex_unlock(&pipe->mutex);
    /* Readers wait only for the first byte. */
    if (done > 0 && (used == 0 || UNLIKELY(load_relaxed(&pipe->is_polled))))
        poll_wake(&pipe->can_read);
    return done;
}

static NOINLINE size_t write_some(struct pipe *pipe, struct io_span *from, size_t needed, int *out_error)
{
    mutex_lock(&pipe->mutex);
    return write_turn(pipe, from, needed, out_error);
}

/* `done` bytes are written; `error` is what came next. */
static NOINLINE int64_t write_on(struct pipe *pipe, struct io_span *from, size_t needed, bool never_waits, size_t done,
                                 int error)
{
    for (;;) {
        if (error != 0) {
            if (error != -EAGAIN || never_waits)
                break;
            error = wait_for_room(pipe, needed);
            if (error != 0)
                break;
        } else if (from->left == 0) {
            break;
        }
        done += write_some(pipe, from, needed, &error);
    }
    return io_result(done, error);
}

/* From the beginning, which finds the mutex held. */
static ALWAYS_INLINE int64_t write_ring(struct pipe *pipe, struct io_span *from, size_t needed, bool never_waits)
    RELEASES(pipe->mutex)
{
    size_t bytes = from->left;
    int error;
    size_t done = write_turn(pipe, from, needed, &error);

    return LIKELY(done == bytes) ? (int64_t)done : write_on(pipe, from, needed, never_waits, done, error);
}

static NOINLINE int64_t write_parts(struct file *file, struct pipe *pipe, struct io_span *from) RELEASES(pipe->mutex)
{
    return write_ring(pipe, from, from->left <= PIPE_BUF_BYTES ? from->left : 1, file_never_waits(file));
}

static NOINLINE int64_t write_after_others(struct file *file, struct pipe *pipe, struct io_span *from)
{
    mutex_lock(&pipe->mutex);
    return write_parts(file, pipe, from);
}

/* `done` bytes stand behind the `used` ones. */
static ALWAYS_INLINE void write_end(struct pipe *pipe, size_t used, size_t done) RELEASES(pipe->mutex)
{
    store_relaxed(&pipe->used, used + done);
    mutex_unlock(&pipe->mutex);
    if (used == 0 && done > 0)
        poll_wake(&pipe->can_read);
}

static NOINLINE int64_t write_cut(struct pipe *pipe, size_t used, size_t done) RELEASES(pipe->mutex)
{
    write_end(pipe, used, done);
    return io_result(done, -EFAULT);
}

/* Mostly all of it goes into a page that is there, and nobody else is at it. from->left > 0. As pipe_read(). */
static int64_t pipe_write(struct file *file, struct io_span *from, uint64_t *position)
{
    struct pipe *pipe = file->data;

    (void)position;
    if (UNLIKELY(!mutex_try_lock(&pipe->mutex)))
        return write_after_others(file, pipe, from);
    size_t used = load_relaxed(&pipe->used), place = (pipe->start + used) & (pipe->capacity - 1), bytes = from->left;
    char *page = pipe->page[place / PAGE_BYTES];

    if (UNLIKELY(page == NULL || bytes + place % PAGE_BYTES > PAGE_BYTES || bytes > pipe->capacity - used ||
                 !pipe->is_plain))
        return write_parts(file, pipe, from);
    size_t failed = io_copy_all_from(from, page + place % PAGE_BYTES);

    if (UNLIKELY(failed != 0))
        return write_cut(pipe, used, bytes - failed);
    write_end(pipe, used, bytes);
    return (int64_t)bytes;
}

int64_t pipe_ring_write(struct pipe *pipe, struct io_span *from, bool never_waits)
{
    mutex_lock(&pipe->mutex);
    return write_ring(pipe, from, 1, never_waits);
}

void pipe_ring_close(struct pipe *pipe)
{
    mutex_lock(&pipe->mutex);
    store_relaxed(&pipe->readers, 0);
    store_relaxed(&pipe->writers, 0);
    pipe_ring_note_readers(pipe);
    mutex_unlock(&pipe->mutex);
    poll_wake(&pipe->can_read);
    poll_wake(&pipe->can_write);
}

bool pipe_ring_has_room(struct pipe *pipe)
{
    return has_room(pipe, PIPE_BUF_BYTES);
}

int pipe_ring_wait_for_bytes(struct pipe *pipe)
{
    return wait_for_bytes(pipe);
}

int pipe_ring_wait_for_room(struct pipe *pipe)
{
    return wait_for_room(pipe, 1);
}

void pipe_ring_read_end(struct pipe *pipe, size_t used, size_t done)
{
    read_end(pipe, used, done);
}

void pipe_ring_write_end(struct pipe *pipe, size_t used, size_t done)
{
    write_end(pipe, used, done);
    if (done > 0 && used > 0 && UNLIKELY(load_relaxed(&pipe->is_polled)))
        poll_wake(&pipe->can_read);
}

/* ---- Everything else about an end ---- */

void pipe_ring_note_readers(struct pipe *pipe)
{
    pipe->is_plain = load_relaxed(&pipe->readers) != 0 && !load_relaxed(&pipe->is_polled);
}

void pipe_ring_poll_read(struct pipe *pipe, struct poll_wait *wait)
{
    /* A write that does not see it yet was there before, or is seen by the look that follows. */
    if (!load_relaxed(&pipe->is_polled)) {
        mutex_lock(&pipe->mutex);
        store_relaxed(&pipe->is_polled, true);
        pipe_ring_note_readers(pipe);
        mutex_unlock(&pipe->mutex);
    }
    poll_enter(wait, &pipe->can_read);
}

static uint32_t pipe_poll(struct file *file, struct poll_wait *wait)
{
    struct pipe *pipe = file->data;
    uint32_t got = 0;

    if (file->can_read) {
        pipe_ring_poll_read(pipe, wait);
        if (load_relaxed(&pipe->used) > 0)
            got |= POLLIN | POLLRDNORM;
        /* A FIFO that no writer has had since this reader came is not hung up. */
        if (load_relaxed(&pipe->writers) == 0 && load_relaxed(&pipe->writer_opens) != (uint32_t)file->position)
            got |= POLLHUP;
    }
    if (file->can_write) {
        poll_enter(wait, &pipe->can_write);
        if (has_room(pipe, PIPE_BUF_BYTES))
            got |= POLLOUT | POLLWRNORM;
        if (load_relaxed(&pipe->readers) == 0)
            got |= POLLERR;
    }
    return got;
}

static int64_t pipe_ioctl(struct file *file, uint32_t command, uintptr_t argument)
{
    struct pipe *pipe = file->data;

    if (command != FIONREAD)
        return -ENOTTY;
    int used = (int)load_relaxed(&pipe->used);

    return user_copy_out(argument, &used, sizeof used);
}

/* Its reader's; what is left behind without one, the writers'. */
static uint64_t pipe_held(struct file *file)
{
    struct pipe *pipe = file->data;

    return file->can_read || load_relaxed(&pipe->readers) == 0 ? load_relaxed(&pipe->pages) : 0;
}

const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .held = pipe_held,
    .release = fifo_release,
};

bool file_is_pipe(const struct file *file)
{
    return file->ops == &pipe_ops;
}

/* ---- Size ---- */

int64_t pipe_size_get(struct file *file)
{
    return file_is_pipe(file) ? (int64_t)load_relaxed(&((struct pipe *)file->data)->room_total) : -EBADF;
}

/* All bytes into a ring of another size, from its start. */
static int64_t resize_locked(struct pipe *pipe, char **page, size_t bytes)
{
    struct pipe old = {.page = pipe->page, .pages = load_relaxed(&pipe->pages), .last_page = pipe->last_page};
    size_t used = load_relaxed(&pipe->used), start = pipe->start, capacity = pipe->capacity, done = 0;
    struct io_span span;
    int error = 0;

    if (used > bytes)
        return -EBUSY;
    pipe->page = page;
    pipe->last_page = 0;
    store_relaxed(&pipe->pages, 0);
    pipe->capacity = bytes;
    pipe->start = 0;
    store_relaxed(&pipe->used, 0);
    for (size_t part; done < used && error == 0; done += part) {
        size_t place = (start + done) & (capacity - 1);

        part = MIN(used - done, PAGE_BYTES - place % PAGE_BYTES);
        io_span_kernel(&span, old.page[place / PAGE_BYTES] + place % PAGE_BYTES, part);
        store_relaxed(&pipe->used, done + fill(pipe, &span, part, &error));
    }
    if (error != 0) { /* as it was */
        free_pages(pipe, 0);
        pipe->page = old.page;
        store_relaxed(&pipe->pages, load_relaxed(&old.pages));
        pipe->last_page = old.last_page;
        pipe->capacity = capacity;
        pipe->start = start;
        store_relaxed(&pipe->used, used);
        return error;
    }
    store_relaxed(&pipe->room_total, bytes);
    free_pages(&old, 0);
    kfree(old.page);
    return (int64_t)bytes;
}

int64_t pipe_size_set(struct file *file, size_t bytes)
{
    struct pipe *pipe = file->data;
    size_t rounded = PAGE_BYTES;

    if (!file_is_pipe(file))
        return -EBADF;
    if (bytes > PIPE_BYTES_WANTED_MAX)
        return -EINVAL;
    if (bytes > PIPE_BYTES_MAX)
        return -EPERM;
    while (rounded < bytes)
        rounded *= 2;
    char **page = kzalloc(rounded / PAGE_BYTES * sizeof(char *));

    if (page == NULL)
        return -ENOMEM;
    mutex_lock(&pipe->mutex);
    int64_t result = resize_locked(pipe, page, rounded);

    mutex_unlock(&pipe->mutex);
    if (result < 0)
        kfree(page);
    /* Who looked at the counts meanwhile has seen anything. */
    poll_wake(&pipe->can_read);
    poll_wake(&pipe->can_write);
    return result;
}
