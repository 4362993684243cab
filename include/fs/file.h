/* SPDX-License-Identifier: MIT */
/*
 * Open files (open(2), "open file description"): counted; what is shared by descriptors that were duplicated or
 * inherited. Reads and writes of a file with a position hold its position lock, so each gets a part of its own.
 *
 * Locks, in this order: file->position_lock, inode->mutex or a pipe's mutex, then those of the memory rooms; but
 * fs/splice.h transfers with a pipe's mutex held, so no file that is no pipe may take one below its own.
 * Context of all: task, may sleep, no spinlock held.
 */
#pragma once

#include <fs/abi.h>
#include <fs/inode.h>
#include <fs/iospan.h>
#include <fs/poll.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <sched/mutex.h>

struct cred;
struct dir_sink;
struct file;
struct name;
struct vm_object;
struct watch;

/* Transfer at *position, which advances by what the result counts; files that have none leave it alone. Called if the
 * file is open for it; the span is not empty, and nobody asks afterwards what is left of it. A short count is no
 * error. */
typedef int64_t file_transfer_fn(struct file *file, struct io_span *span, uint64_t *position);

struct file_ops {
    file_transfer_fn *read, *write; /* NULL: -EINVAL */
    /* What POLL.. bits hold now, after poll_enter(). NULL: always readable and writable. */
    uint32_t (*poll)(struct file *file, struct poll_wait *wait);
    /* `argument` is a user address or a number. NULL, and for commands that are not the file's: -ENOTTY. */
    int64_t (*ioctl)(struct file *file, uint32_t command, uintptr_t argument);
    /* The object to be mapped, with a reference; NULL in *out: anonymous memory. NULL: -ENODEV. */
    int (*map)(struct file *file, struct vm_object **out);
    /* Entries of a directory from file->position on: fs/inode.h. NULL: -ENOTDIR. */
    int (*iterate)(struct file *file, struct dir_sink *sink);
    /* The end that SEEK_END, DATA and HOLE count from. NULL: inode->bytes. */
    uint64_t (*end)(struct file *file);
    /* Pages that go with the file, but for an inode's object. NULL: none. No lock but spinlocks behind LOCK_FILES. */
    uint64_t (*held)(struct file *file);
    /* The last reference is gone. NULL: nothing to do. */
    void (*release)(struct file *file);
};

struct file {
    _Atomic(uint32_t) refs;  /* PAIRS(file_ref) */
    _Atomic(uint32_t) flags; /* O_..: access mode (immutable), and what fcntl(2) may set */

    /* Immutable once open. */
    bool can_read, can_write;
    bool has_position; /* false: a stream; lseek(2) and pread(2) are -ESPIPE */
    bool counts_as_writer; /* among inode->writers and those of the file system; immutable once others see it */
    const struct file_ops *ops;
    file_transfer_fn *stream_read, *stream_write; /* ops->read and ops->write; NULL: it has a position, or is not open
                                                   * for that, or there is none */
    struct inode *inode; /* counted */
    struct name *name;   /* counted; NULL: it never had one */
    void *data;          /* the ops' */

    _Atomic(struct watch *) watches; /* PAIRS(file_watches): guarded by fs/epoll.h, read when the file ends */
    uint8_t flock; /* enum flock_kind; guarded by fs/flock.h. Only it stores, so a last reference may read it */
    struct mutex position_lock;
    uint64_t position; /* guarded by position_lock */
};

#define FILE_FLAGS_SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME) /* by F_SETFL */

/* Boot: the cache behind files. */
void file_init(void);

/* A file with one reference, of flags O_..; takes references to inode and name (may be NULL). The caller fills in
 * `data` before others see it. -ENOMEM; -ETXTBSY: to be written, and it is executed; -EROFS. Permissions have been
 * looked at. */
int file_create(struct inode *inode, struct name *name, const struct file_ops *ops, uint32_t flags, struct file **out)
    MUST_USE;

/* It is open for writing and may be executed all the same: for who has just made it. */
void file_forget_writer(struct file *file);

/* Of file_put(): there was one reference, or, which panics, none. */
void file_end(struct file *file, uint32_t before);

/* Order: none. Context: any. */
static inline void file_get(struct file *file)
{
    uint32_t before = fetch_add_relaxed(&file->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

/* The last one closes. Order: what was done before a put happens before the release. Context: task. */
static inline void file_put(struct file *file)
{
    uint32_t before = fetch_sub_acq_rel(&file->refs, 1); /* PAIRS(file_ref): both ends, as its users come and go */

    if (UNLIKELY(before <= 1))
        file_end(file, before);
}

/* read(2), write(2) and their vectored relatives. Bytes, 0 at the end, or -EBADF: not open for it; -EINVAL; -EFAULT,
 * -EAGAIN (O_NONBLOCK), -EINTR, and of writes -ENOSPC, -EFBIG, -EPIPE (the caller sends the signal). */
int64_t file_read(struct file *file, struct io_span *to) MUST_USE;
int64_t file_write(struct file *file, struct io_span *from) MUST_USE;

/* O_NONBLOCK, which fcntl(2) may set and clear. */
static ALWAYS_INLINE bool file_never_waits(const struct file *file)
{
    return (load_relaxed(&file->flags) & O_NONBLOCK) != 0;
}

/* Of file_transfer(): no stream that is open for it. */
int64_t file_transfer_by_position(struct file *file, struct io_span *span, bool writes);

/* file_read() or file_write(), in line. */
static ALWAYS_INLINE int64_t file_transfer(struct file *file, struct io_span *span, bool writes)
{
    file_transfer_fn *stream = writes ? file->stream_write : file->stream_read;

    if (UNLIKELY(stream == NULL))
        return file_transfer_by_position(file, span, writes);
    return LIKELY(span->left != 0) ? stream(file, span, &file->position) : 0;
}

/* pread(2), pwrite(2): the position stays. -ESPIPE; -EINVAL: below 0. As on Linux, O_APPEND appends all the same. */
int64_t file_read_at(struct file *file, struct io_span *to, int64_t offset) MUST_USE;
int64_t file_write_at(struct file *file, struct io_span *from, int64_t offset) MUST_USE;

/* lseek(2). -ESPIPE, -EINVAL, -EOVERFLOW, -ENXIO. */
int64_t file_seek(struct file *file, int64_t offset, int whence) MUST_USE;

/* Where it is, and where the file ends now. */
int64_t file_position(struct file *file);
int64_t file_end_position(struct file *file);

/* getdents64(2): bytes of records, 0 at the end. -ENOTDIR, -EINVAL: no room for one; -EFAULT, -ENOENT: removed. */
int64_t file_read_dir(struct file *file, struct io_span *to) MUST_USE;
/* The same with the records of getdents(2), which have the type in their last byte. */
int64_t file_read_dir_old(struct file *file, struct io_span *to) MUST_USE;

/* ftruncate(2). -EINVAL: not open for writing, or no regular file; -EFBIG, -ENOSPC. */
int file_truncate(struct file *file, int64_t bytes) MUST_USE;

/* fallocate(2): mode 0 or FALLOC_KEEP_SIZE, ZERO_RANGE with or without KEEP_SIZE, PUNCH_HOLE with it; others are
 * -EOPNOTSUPP. -EINVAL, -EBADF: not open for writing; -ESPIPE, -EISDIR, -ENODEV: no regular file; -EFBIG, -ENOSPC,
 * -ENOMEM, -EINTR: and some of it may be done, but the size is what it was. */
int file_allocate(struct file *file, uint32_t mode, int64_t offset, int64_t bytes) MUST_USE;

int64_t file_ioctl(struct file *file, uint32_t command, uintptr_t argument) MUST_USE;

/* mmap(2): which object, counted; NULL: anonymous memory. -EACCES: not open for reading, or shared, to be written, and
 * not open for writing. -ENODEV. */
int file_map(struct file *file, bool is_shared, bool wants_write, struct vm_object **out) MUST_USE;

/* POLL.. bits of this moment. wait may be NULL. */
uint32_t file_poll(struct file *file, struct poll_wait *wait);

/* About how many bytes of memory each of its references has: that of its own, what waits in a pipe or socket, and the
 * contents of a file that has no links any more. Never sleeps, allocates nothing; exact if nobody uses it meanwhile.
 * Context: any, no spinlock from LOCK_INODE on held. */
uint64_t file_held_bytes(struct file *file);

/* F_SETFL: the settable flags, the others stay. */
void file_set_flags(struct file *file, uint32_t flags);

/* Read a piece of a regular file into kernel memory, for exec: as file_read_at(), but it may be open for O_PATH. */
int64_t file_read_kernel(struct file *file, void *to, size_t bytes, uint64_t offset) MUST_USE;
