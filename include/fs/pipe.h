/* SPDX-License-Identifier: MIT */
/*
 * Pipes and FIFOs (pipe(7), fifo(7)): a ring of bytes in pages that are made when they are needed.
 *
 * A write of at most PIPE_BUF_BYTES is one piece: it waits until there is room for all of it. A longer one may be mixed
 * with others. Readers wait while there is nothing, unless there are no writers: end of file. Without readers a write
 * is -EPIPE.
 *
 * Locks: pipe->mutex for bytes and counts, held while user memory is copied; then the locks of the queues. Wakes come
 * after the mutex is released, so that nobody wakes up to wait for it.
 */
#pragma once

#include <fs/file.h>

#define PIPE_BYTES_DEFAULT ((size_t)65536)
#define PIPE_BYTES_MAX ((size_t)1 << 20) /* without CAP_SYS_RESOURCE, and with it */
#define PIPE_BYTES_WANTED_MAX ((size_t)1 << 31)

void pipe_init(void); /* boot */

/* pipe2(2): flags O_NONBLOCK (O_CLOEXEC is the table's); two files. -ENOMEM. */
int pipe_create(uint32_t flags, struct file **out_read, struct file **out_write) MUST_USE;

/* Is it a pipe's end, or a FIFO? */
bool file_is_pipe(const struct file *file);

/* F_GETPIPE_SZ, F_SETPIPE_SZ: the new size, rounded up to a power of two of pages. -EBADF: no pipe; -EBUSY: more bytes
 * are in it; -EPERM: above PIPE_BYTES_MAX; -EINVAL: above PIPE_BYTES_WANTED_MAX; -ENOMEM. */
int64_t pipe_size_get(struct file *file) MUST_USE;
int64_t pipe_size_set(struct file *file, size_t bytes) MUST_USE;

/* open(2) of a FIFO's inode: waits for the other side (-EINTR), but for O_RDWR and O_NONBLOCK: then a writer without
 * readers is -ENXIO. For open.c. */
int fifo_open(struct inode *inode, struct name *name, uint32_t flags, struct file **out) MUST_USE;
