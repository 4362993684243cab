/* SPDX-License-Identifier: MIT */
/* What files of this room share: the inside of a pipe, and the operations of open directories. */
#pragma once

#include <fs/file.h>

extern const struct file_ops directory_ops;
extern const struct file_ops pipe_ops;

struct pipe {
    struct mutex mutex;
    size_t capacity;  /* a power of two, at least a page; guarded by mutex, as what follows up to the atomics */
    size_t start;     /* of the oldest byte in the ring */
    unsigned last_page; /* none exists above it */
    bool is_plain;    /* a write has to think of readers that wait for the first byte, and of nobody else */
    char **page;      /* capacity / PAGE_BYTES; NULL: not there */

    /* Written with mutex held. */
    _Atomic(size_t) used;
    _Atomic(unsigned) pages;    /* that exist */
    _Atomic(size_t) room_total; /* capacity, for those who do not hold the mutex */
    _Atomic(uint32_t) readers, writers;
    _Atomic(uint32_t) reader_opens, writer_opens; /* ever */

    _Atomic(bool) is_polled; /* for reading, ever: perhaps by who is told of each piece that comes (fs/epoll.h) */

    struct poll_queue can_read, can_write;
};

/* An empty pipe without ends. -ENOMEM. */
int pipe_ring_create(struct pipe **out) MUST_USE;
void pipe_ring_destroy(struct pipe *pipe);

/* For streams that are no pipes (socket.c): as read(2) and write(2) of a pipe, but a write waits for any room, however
 * short it is. Context: task. */
int64_t pipe_ring_read(struct pipe *pipe, struct io_span *to, bool never_waits) MUST_USE;
int64_t pipe_ring_write(struct pipe *pipe, struct io_span *from, bool never_waits) MUST_USE;
/* What is there now, which stays there; 0: nothing will come; -EAGAIN: nothing is there. */
int64_t pipe_ring_peek(struct pipe *pipe, struct io_span *to) MUST_USE;
int pipe_ring_wait_for_bytes(struct pipe *pipe) MUST_USE; /* or the end. -EINTR */
bool pipe_ring_has_room(struct pipe *pipe);
/* For bytes that go where they lie (splice.c). A page of the ring that is not there, NULL: none is left; mutex is held.
 * Any room, or no readers: -EINTR. `done` of `used` bytes have been read, or have come behind them. */
char *pipe_ring_make_page(struct pipe *pipe, size_t index);
int pipe_ring_wait_for_room(struct pipe *pipe) MUST_USE;
void pipe_ring_read_end(struct pipe *pipe, size_t used, size_t done) RELEASES(pipe->mutex);
void pipe_ring_write_end(struct pipe *pipe, size_t used, size_t done) RELEASES(pipe->mutex);
/* `readers` or `is_polled` has changed; mutex is held. */
void pipe_ring_note_readers(struct pipe *pipe);
/* poll_enter() for who reads. Context: task. */
void pipe_ring_poll_read(struct pipe *pipe, struct poll_wait *wait);
/* No readers and no writers any more, and whoever waits is told. */
void pipe_ring_close(struct pipe *pipe);

/* A file that is in no directory, with flags O_..; `data` is the ops'. The anonymous ones are all of one file system.
 * -ENOMEM. */
int nameless_file_create(struct filesystem *fs, uint32_t mode, const struct file_ops *ops, uint32_t flags, void *data,
                         struct file **out) MUST_USE;
int anon_file_create(const struct file_ops *ops, uint32_t flags, void *data, struct file **out) MUST_USE;
void anon_init(void); /* boot */

void epoll_init(void); /* boot */

void fifo_init(void);
void fifo_release(struct file *file); /* of pipe_ops */
