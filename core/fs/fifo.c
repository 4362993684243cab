/* SPDX-License-Identifier: MIT */
/*
 * The ends of pipes and FIFOs: how they are opened and counted, and go. A pipe belongs to an inode, which has it while
 * somebody has an end open; that of pipe(2) has no name. inode->fifo.mutex serialises opens and last closes.
 */
#include <fs/pipe.h>

#include "fs_priv.h"

#include <fs/filesystem.h>
#include <k/errno.h>
#include <sched/sched.h>

static struct filesystem pipe_fs = {.type = "pipefs", .magic = 0x50495045, .inodes_max = UINT64_MAX,
                                    .is_dynamic = true};
static const struct inode_ops pipe_inode_ops;

void fifo_init(void)
{
    pipe_fs.device = fs_next_device();
}

/* ---- Closing ---- */

/* An end goes; the last one takes the pipe along. inode->fifo.mutex is held. */
static void leave_locked(struct inode *inode, bool reads, bool writes)
{
    struct pipe *pipe = inode->fifo.pipe;

    mutex_lock(&pipe->mutex);
    uint32_t readers = load_relaxed(&pipe->readers) - reads, writers = load_relaxed(&pipe->writers) - writes;

    store_relaxed(&pipe->readers, readers);
    store_relaxed(&pipe->writers, writers);
    pipe_ring_note_readers(pipe);
    mutex_unlock(&pipe->mutex);
    if (readers + writers == 0) {
        inode->fifo.pipe = NULL;
        pipe_ring_destroy(pipe);
        return;
    }
    if (reads && readers == 0)
        poll_wake(&pipe->can_write);
    if (writes && writers == 0)
        poll_wake(&pipe->can_read);
}

static void leave(struct inode *inode, bool reads, bool writes)
{
    mutex_lock(&inode->fifo.mutex);
    leave_locked(inode, reads, writes);
    mutex_unlock(&inode->fifo.mutex);
}

void fifo_release(struct file *file)
{
    leave(file->inode, file->can_read, file->can_write);
}

/* ---- Opening ---- */

static void count_open(struct pipe *pipe, bool reads, bool writes)
{
    mutex_lock(&pipe->mutex);
    store_relaxed(&pipe->readers, load_relaxed(&pipe->readers) + reads);
    store_relaxed(&pipe->writers, load_relaxed(&pipe->writers) + writes);
    store_relaxed(&pipe->reader_opens, load_relaxed(&pipe->reader_opens) + reads);
    store_relaxed(&pipe->writer_opens, load_relaxed(&pipe->writer_opens) + writes);
    pipe_ring_note_readers(pipe);
    mutex_unlock(&pipe->mutex);
}

/* The inode's pipe has this end. inode->fifo.mutex is held. */
static int open_end(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    int error = 0;

    if (inode->fifo.pipe == NULL)
        error = pipe_ring_create(&inode->fifo.pipe);
    if (error != 0)
        return error;
    struct pipe *pipe = inode->fifo.pipe;

    error = file_create(inode, name, &pipe_ops, flags, out);
    if (error != 0) {
        if (load_relaxed(&pipe->readers) + load_relaxed(&pipe->writers) == 0) {
            inode->fifo.pipe = NULL;
            pipe_ring_destroy(pipe);
        }
        return error;
    }
    (*out)->data = pipe;
    /* What the other side's count was: a pipe's end has no other use for a position. */
    (*out)->position = load_relaxed((*out)->can_read ? &pipe->writer_opens : &pipe->reader_opens);
    count_open(pipe, (*out)->can_read, (*out)->can_write);
    return 0;
}

int pipe_create(uint32_t flags, struct file **out_read, struct file **out_write)
{
    const struct inode_spec spec = {.mode = S_IFIFO | 0600};
    struct inode *inode;
    int error = inode_create(&pipe_fs, &pipe_inode_ops, &spec, &inode);

    if (error != 0)
        return error;
    mutex_lock(&inode->fifo.mutex);
    error = open_end(inode, NULL, (flags & O_NONBLOCK) | O_RDONLY, out_read);
    if (error == 0)
        error = open_end(inode, NULL, (flags & O_NONBLOCK) | O_WRONLY, out_write);
    mutex_unlock(&inode->fifo.mutex);
    if (error != 0 && inode->fifo.pipe != NULL)
        file_put(*out_read);
    inode_put(inode);
    return error;
}

/* Wait until the other side has been there since we came: it may be gone again by now. */
static int wait_for_peer(struct pipe *pipe, struct file *file)
{
    struct poll_queue *queue = file->can_read ? &pipe->can_read : &pipe->can_write;
    _Atomic(uint32_t) *peers = file->can_read ? &pipe->writers : &pipe->readers;
    _Atomic(uint32_t) *opens = file->can_read ? &pipe->writer_opens : &pipe->reader_opens;
    uint32_t seen = (uint32_t)file->position;

    return waitq_wait_until(&queue->wait, load_relaxed(opens) != seen || load_relaxed(peers) > 0, TIME_NEVER,
                            FILE_WAIT);
}

int fifo_open(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    uint32_t mode = flags & O_ACCMODE;
    bool waits = mode != O_RDWR && inode->fs != &pipe_fs; /* a pipe(2), opened by /proc, had both ends */
    struct pipe *pipe;
    int error = 0;

    if (mode == O_ACCMODE) /* for ioctl(2) alone, neither reading nor writing: no end, so nothing would keep the pipe */
        return -EINVAL;
    mutex_lock(&inode->fifo.mutex);
    pipe = inode->fifo.pipe;
    if (mode == O_WRONLY && waits && (flags & O_NONBLOCK) != 0 && (pipe == NULL || load_relaxed(&pipe->readers) == 0))
        error = -ENXIO;
    if (error == 0)
        error = open_end(inode, name, flags, out);
    mutex_unlock(&inode->fifo.mutex);
    if (error != 0)
        return error;
    pipe = (*out)->data;
    if ((*out)->can_read)
        poll_wake(&pipe->can_write);
    if ((*out)->can_write)
        poll_wake(&pipe->can_read);
    if (waits && (flags & O_NONBLOCK) == 0)
        error = wait_for_peer(pipe, *out);
    if (error != 0)
        file_put(*out);
    return error;
}
