/* SPDX-License-Identifier: MIT */
/* From one file to another, through a piece of kernel memory: sendfile(2), copy_file_range(2); and splice(2), without
 * one. No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/pipe.h>
#include <fs/splice.h>
#include <k/errno.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/process.h>

#include "syscall_priv.h"

#define SEND_BYTES 4096

/* One end. offset NULL: where the file stands. */
struct side {
    struct file *file;
    uint64_t *offset;
};

static int64_t send_piece(const struct side *out, const struct side *in, uint8_t *buffer, size_t bytes)
{
    struct io_span span;

    io_span_kernel(&span, buffer, bytes);
    int64_t got = in->offset != NULL ? file_read_at(in->file, &span, (int64_t)*in->offset) : file_read(in->file, &span);

    if (got <= 0)
        return got;
    io_span_kernel(&span, buffer, (size_t)got);
    int64_t put = after_write(out->offset != NULL ? file_write_at(out->file, &span, (int64_t)*out->offset)
                                                  : file_write(out->file, &span));

    /* What was read and not written is read again by whoever asks next. */
    if (in->offset != NULL)
        *in->offset += (uint64_t)MAX(put, 0);
    else if (put < got)
        (void)file_seek(in->file, MAX(put, 0) - got, SEEK_CUR);
    if (out->offset != NULL)
        *out->offset += (uint64_t)MAX(put, 0);
    return put;
}

static int64_t send(const struct side *out, const struct side *in, uint64_t count)
{
    uint8_t *buffer = kmalloc(SEND_BYTES);
    int64_t done = 0, result = 0;

    if (buffer == NULL)
        return -ENOMEM;
    for (size_t left = MIN(count, IO_BYTES_MAX); left > 0; left -= (size_t)result, done += result) {
        size_t piece = MIN(left, (size_t)SEND_BYTES);

        if (file_wait_is_interrupted()) { /* what never waits would never look */
            result = after_wait(-EINTR);
            break;
        }
        result = send_piece(out, in, buffer, piece);
        if (result <= 0)
            break;
    }
    kfree(buffer);
    return done > 0 ? done : result;
}

SYSCALL(sendfile)
{
    vaddr_t offset_at = args->arg[2];
    uint64_t offset = 0;
    struct fd_borrowed out = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct fd_borrowed in = fd_borrow(own_files(), (unsigned)args->arg[1]);
    int64_t result = out.file == NULL || in.file == NULL ? -EBADF : !in.file->has_position ? -EINVAL : 0;

    if (result == 0 && (!in.file->can_read || !out.file->can_write)) /* also if there is nothing to be sent */
        result = -EBADF;
    if (result == 0 && (load_relaxed(&out.file->flags) & O_APPEND) != 0)
        result = -EINVAL;
    if (result == 0 && offset_at != 0)
        result = user_copy_in(&offset, offset_at, sizeof offset);
    if (result == 0)
        result = send(&(struct side){ out.file, NULL }, &(struct side){ in.file, offset_at != 0 ? &offset : NULL },
                      args->arg[3]);
    if (result >= 0 && offset_at != 0 && user_copy_out(offset_at, &offset, sizeof offset) != 0)
        result = -EFAULT;
    fd_return(in);
    fd_return(out);
    return result;
}

/* ---- copy_file_range(2) ---- */

static int check_files(const struct file *out, const struct file *in)
{
    if (out == NULL || in == NULL)
        return -EBADF;
    if (inode_is(in->inode, S_IFDIR) || inode_is(out->inode, S_IFDIR))
        return -EISDIR;
    if (!inode_is(in->inode, S_IFREG) || !inode_is(out->inode, S_IFREG))
        return -EINVAL;
    return !in->can_read || !out->can_write || (load_relaxed(&out->flags) & O_APPEND) != 0 ? -EBADF : 0;
}

/* Where it begins; as good as a look without the file's lock can be if it stands somewhere. */
static int64_t begin_of(const struct side *side)
{
    return side->offset != NULL ? (int64_t)*side->offset : file_seek(side->file, 0, SEEK_CUR);
}

static int64_t copy_range(const struct side *out, const struct side *in, uint64_t count)
{
    int64_t to = begin_of(out), from = begin_of(in), bytes = (int64_t)MIN(count, IO_BYTES_MAX);

    if (to < 0 || from < 0)
        return -EINVAL;
    if (to > INT64_MAX - bytes || from > INT64_MAX - bytes)
        return -EOVERFLOW;
    if (out->file->inode == in->file->inode && to < from + bytes && from < to + bytes)
        return -EINVAL; /* they overlap */
    return send(out, in, (uint64_t)bytes);
}

SYSCALL(copy_file_range)
{
    vaddr_t from_at = args->arg[1], to_at = args->arg[3];
    uint64_t from = 0, to = 0;
    struct fd_borrowed in = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct fd_borrowed out = fd_borrow(own_files(), (unsigned)args->arg[2]);
    int64_t result = check_files(out.file, in.file);

    if ((uint32_t)args->arg[5] != 0)
        result = -EINVAL;
    if (result == 0 && from_at != 0)
        result = user_copy_in(&from, from_at, sizeof from);
    if (result == 0 && to_at != 0)
        result = user_copy_in(&to, to_at, sizeof to);
    if (result == 0)
        result = copy_range(&(struct side){ out.file, to_at != 0 ? &to : NULL },
                            &(struct side){ in.file, from_at != 0 ? &from : NULL }, args->arg[4]);
    if (result > 0 && ((from_at != 0 && user_copy_out(from_at, &from, sizeof from) != 0) ||
                       (to_at != 0 && user_copy_out(to_at, &to, sizeof to) != 0)))
        result = -EFAULT;
    fd_return(out);
    fd_return(in);
    return result;
}

/* ---- splice(2) ---- */

#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_ALL 15u /* MOVE, NONBLOCK, MORE, GIFT */

/* Devices, streams and regular files; what counts or tells events is no place for bytes. */
static bool can_splice(const struct file *file)
{
    return inode_is(file->inode, S_IFREG) || inode_is(file->inode, S_IFCHR) || inode_is(file->inode, S_IFSOCK) ||
           file_is_pipe(file);
}

static int check_ends(const struct splice_side *out, const struct splice_side *in)
{
    if ((file_is_pipe(in->file) && in->offset != NULL) || (file_is_pipe(out->file) && out->offset != NULL))
        return -ESPIPE;
    if (!in->file->can_read || !out->file->can_write)
        return -EBADF;
    if ((!file_is_pipe(in->file) && !file_is_pipe(out->file)) || !can_splice(in->file) || !can_splice(out->file))
        return -EINVAL;
    if ((in->offset != NULL && !in->file->has_position) || (out->offset != NULL && !out->file->has_position))
        return -EINVAL;
    return !file_is_pipe(out->file) && (load_relaxed(&out->file->flags) & O_APPEND) != 0 ? -EINVAL : 0;
}

static bool is_nonblocking(const struct file *file)
{
    return file_is_pipe(file) && file_never_waits(file);
}

/* Waits for the first bytes only. A file that is no regular one might have no more, so it is asked once. */
static int64_t splice(const struct splice_side *out, const struct splice_side *in, uint64_t count, bool never_waits)
{
    bool goes_on = file_is_pipe(in->file) || inode_is(in->file->inode, S_IFREG);
    int64_t done = 0, result = 0;

    never_waits = never_waits || is_nonblocking(in->file) || is_nonblocking(out->file);
    for (size_t left = MIN(count, IO_BYTES_MAX); left > 0; left -= (size_t)result, done += result) {
        if (done > 0 && (!goes_on || file_wait_is_interrupted()))
            break;
        result = after_write(splice_some(out, in, left, never_waits || done > 0));
        if (result <= 0)
            break;
    }
    return done > 0 ? done : result;
}

SYSCALL(splice)
{
    vaddr_t from_at = args->arg[1], to_at = args->arg[3];
    uint32_t flags = (uint32_t)args->arg[5];
    uint64_t from = 0, to = 0;

    if (args->arg[4] == 0)
        return 0;
    if ((flags & ~SPLICE_F_ALL) != 0)
        return -EINVAL;
    struct fd_borrowed in_fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct fd_borrowed out_fd = fd_borrow(own_files(), (unsigned)args->arg[2]);
    struct splice_side in = {in_fd.file, from_at != 0 ? &from : NULL};
    struct splice_side out = {out_fd.file, to_at != 0 ? &to : NULL};
    int64_t result = in.file == NULL || out.file == NULL ? -EBADF : 0;

    if (result == 0 && ((to_at != 0 && !file_is_pipe(out.file) && user_copy_in(&to, to_at, sizeof to) != 0) ||
                        (from_at != 0 && !file_is_pipe(in.file) && user_copy_in(&from, from_at, sizeof from) != 0)))
        result = -EFAULT;
    if (result == 0)
        result = check_ends(&out, &in);
    if (result == 0)
        result = splice(&out, &in, args->arg[4], (flags & SPLICE_F_NONBLOCK) != 0);
    if (result > 0 && ((from_at != 0 && user_copy_out(from_at, &from, sizeof from) != 0) ||
                       (to_at != 0 && user_copy_out(to_at, &to, sizeof to) != 0)))
        result = -EFAULT;
    fd_return(out_fd);
    fd_return(in_fd);
    return result;
}
