/* SPDX-License-Identifier: MIT */
/* Open files: transfers, positions, descriptors. No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/memfd.h>
#include <fs/pipe.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/process.h>

#include "syscall_priv.h"

#define PIECES_INLINE 8

/* ---- read(2), write(2) and their relatives ---- */

static ALWAYS_INLINE int64_t read_or_write(struct file *file, const struct syscall_args *args, bool is_write)
{
    struct io_span span;

    if (UNLIKELY(file == NULL))
        return -EBADF;
    io_span_user(&span, args->arg[1], args->arg[2]);
    return file_transfer(file, &span, is_write);
}

/* What fd_borrow() and fd_return() do, in line: these two are called more often than all others. */
static ALWAYS_INLINE int64_t transfer_by(const struct syscall_args *args, bool is_write)
{
    struct fd_table *table = own_files();

    if (LIKELY(fd_is_own(table)))
        return read_or_write(fd_at(table, (unsigned)args->arg[0]), args, is_write);
    struct file *file = fd_get_here(table, (unsigned)args->arg[0]);
    int64_t result = read_or_write(file, args, is_write);

    if (LIKELY(file != NULL))
        file_put(file);
    return result;
}

SYSCALL(read)
{
    return after_wait(transfer_by(args, false));
}

SYSCALL(write)
{
    return after_write(transfer_by(args, true));
}

SYSCALL(pread64)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct io_span span;

    if (fd.file == NULL)
        return -EBADF;
    io_span_user(&span, args->arg[1], args->arg[2]);
    int64_t result = file_read_at(fd.file, &span, (int64_t)args->arg[3]);

    fd_return(fd);
    return after_wait(result);
}

SYSCALL(pwrite64)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct io_span span;

    if (fd.file == NULL)
        return -EBADF;
    io_span_user(&span, args->arg[1], args->arg[2]);
    int64_t result = file_write_at(fd.file, &span, (int64_t)args->arg[3]);

    fd_return(fd);
    return after_write(result);
}

static int64_t transfer(const struct syscall_args *args, bool is_write, bool has_offset, int64_t offset)
{
    struct io_piece inline_pieces[PIECES_INLINE];
    struct io_piece *pieces;
    struct io_span span;
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);

    if (fd.file == NULL)
        return -EBADF;
    int64_t result = pieces_copy_in(args->arg[1], args->arg[2], inline_pieces, PIECES_INLINE, &pieces, &span);

    if (result == 0) {
        if (is_write)
            result = has_offset ? file_write_at(fd.file, &span, offset) : file_write(fd.file, &span);
        else
            result = has_offset ? file_read_at(fd.file, &span, offset) : file_read(fd.file, &span);
        pieces_free(pieces, inline_pieces);
    }
    fd_return(fd);
    return is_write ? after_write(result) : after_wait(result);
}

SYSCALL(readv)
{
    return transfer(args, false, false, 0);
}

SYSCALL(writev)
{
    return transfer(args, true, false, 0);
}

/* On 64-bit machines the offset is in one register, and the other one is 0. */
SYSCALL(preadv)
{
    return transfer(args, false, true, (int64_t)args->arg[3]);
}

SYSCALL(pwritev)
{
    return transfer(args, true, true, (int64_t)args->arg[3]);
}

/* preadv2(2): no flag of it means anything to files that are memory, but RWF_APPEND and RWF_NOWAIT would. */
#define RWF_HIPRI 0x1u
#define RWF_DSYNC 0x2u
#define RWF_SYNC 0x4u

static int64_t transfer_with_flags(const struct syscall_args *args, bool is_write)
{
    int64_t offset = (int64_t)args->arg[3];

    if ((args->arg[5] & ~(uint64_t)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC)) != 0)
        return -EOPNOTSUPP;
    return transfer(args, is_write, offset != -1, offset);
}

SYSCALL(preadv2)
{
    return transfer_with_flags(args, false);
}

SYSCALL(pwritev2)
{
    return transfer_with_flags(args, true);
}

SYSCALL(lseek)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);

    if (fd.file == NULL)
        return -EBADF;
    int64_t result = file_seek(fd.file, (int64_t)args->arg[1], (int)args->arg[2]);

    fd_return(fd);
    return result;
}

SYSCALL(ftruncate)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);

    if (fd.file == NULL)
        return -EBADF;
    int64_t result = file_truncate(fd.file, (int64_t)args->arg[1]);

    fd_return(fd);
    return result;
}

SYSCALL(fallocate)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);

    if (fd.file == NULL)
        return -EBADF;
    int result =
        file_allocate(fd.file, (uint32_t)args->arg[1], (int64_t)args->arg[2], (int64_t)args->arg[3]);

    fd_return(fd);
    return after_wait(result);
}

static int64_t set_nonblocking(struct file *file, vaddr_t at)
{
    int is_wanted = 0;
    int result = user_copy_in(&is_wanted, at, sizeof is_wanted);
    uint32_t flags = load_relaxed(&file->flags);

    if (result == 0)
        file_set_flags(file, is_wanted != 0 ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    return result;
}

SYSCALL(ioctl)
{
    unsigned number = (unsigned)args->arg[0];
    uint32_t command = (uint32_t)args->arg[1];
    struct fd_borrowed fd = fd_borrow(own_files(), number);
    int64_t result;

    if (fd.file == NULL)
        return -EBADF;
    if ((load_relaxed(&fd.file->flags) & O_PATH) != 0)
        result = -EBADF;
    else if (command == FIONBIO)
        result = set_nonblocking(fd.file, args->arg[2]);
    else if (command == FIOCLEX || command == FIONCLEX)
        result = fd_cloexec_set(own_files(), number, command == FIOCLEX);
    else
        result = file_ioctl(fd.file, command, args->arg[2]);
    fd_return(fd);
    return after_wait(result);
}

/* ---- Everything is in memory: nothing is ever behind ---- */

static int64_t is_open(const struct syscall_args *args)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    int64_t result = fd.file == NULL ? -EBADF : fd.file->has_position ? 0 : -EINVAL;

    fd_return(fd);
    return result;
}

SYSCALL(fsync)
{
    return is_open(args);
}

SYSCALL(fdatasync)
{
    return is_open(args);
}

SYSCALL(syncfs)
{
    int64_t result = is_open(args);

    return result == -EINVAL ? 0 : result;
}

SYSCALL(sync)
{
    (void)args;
    return 0;
}

/* posix_fadvise(2): advice changes nothing here, wrong advice is still wrong. */
#define ADVICE_MAX 5

SYSCALL(fadvise64)
{
    int64_t result = is_open(args);

    if (result == -EINVAL)
        return -ESPIPE;
    return result != 0 ? result : args->arg[3] > ADVICE_MAX || (int64_t)args->arg[2] < 0 ? -EINVAL : 0;
}

/* readahead(2): what it is about is there. */
SYSCALL(readahead)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    int64_t result = 0;

    if (fd.file == NULL || !fd.file->can_read)
        result = -EBADF;
    else if (!inode_is(fd.file->inode, S_IFREG) || (int64_t)args->arg[2] < 0)
        result = -EINVAL;
    fd_return(fd);
    return result;
}

/* ---- Descriptors ---- */

SYSCALL(close)
{
    return fd_close(own_files(), (unsigned)args->arg[0]);
}

#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

SYSCALL(close_range)
{
    unsigned first = (unsigned)args->arg[0], last = (unsigned)args->arg[1], flags = (unsigned)args->arg[2];

    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0)
        return -EINVAL;
    if ((flags & CLOSE_RANGE_UNSHARE) != 0 && load_acquire(&own_files()->users) > 1) { /* PAIRS(fd_users) */
        struct thread *self = thread_current();
        struct fd_table *own;
        int result = fd_table_copy(self->user.files, &own);

        if (result != 0)
            return result;
        fd_table_put(self->user.files);
        self->user.files = own;
    }
    if ((flags & CLOSE_RANGE_CLOEXEC) != 0)
        fd_cloexec_range(own_files(), first, last);
    else
        fd_close_range(own_files(), first, last);
    return 0;
}

SYSCALL(dup)
{
    return fd_dup(own_files(), (unsigned)args->arg[0], 0, own_fd_limit(), false);
}

SYSCALL(dup2)
{
    unsigned from = (unsigned)args->arg[0], to = (unsigned)args->arg[1];

    if (from == to)
        return fd_cloexec_get(own_files(), from) < 0 ? -EBADF : (int64_t)to;
    return fd_dup_to(own_files(), from, to, own_fd_limit(), false);
}

SYSCALL(dup3)
{
    unsigned from = (unsigned)args->arg[0], to = (unsigned)args->arg[1], flags = (unsigned)args->arg[2];

    if (from == to || (flags & ~O_CLOEXEC) != 0)
        return -EINVAL;
    return fd_dup_to(own_files(), from, to, own_fd_limit(), (flags & O_CLOEXEC) != 0);
}

/* fcntl(2) */
#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#define F_DUPFD_CLOEXEC 1030
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define FD_CLOEXEC 1u

/* Between programs and fs/abi.h. */
uint32_t open_flags_out(uint32_t flags)
{
    const uint32_t moved = O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW;

    return (flags & ~moved) | ((flags & O_DIRECT) != 0 ? syscall_abi.o_direct : 0) |
           ((flags & O_LARGEFILE) != 0 ? syscall_abi.o_largefile : 0) |
           ((flags & O_DIRECTORY) != 0 ? syscall_abi.o_directory : 0) |
           ((flags & O_NOFOLLOW) != 0 ? syscall_abi.o_nofollow : 0);
}

uint32_t open_flags_in(uint32_t flags)
{
    const uint32_t moved =
        syscall_abi.o_direct | syscall_abi.o_largefile | syscall_abi.o_directory | syscall_abi.o_nofollow;

    return (flags & ~moved) | ((flags & syscall_abi.o_direct) != 0 ? O_DIRECT : 0) |
           ((flags & syscall_abi.o_largefile) != 0 ? O_LARGEFILE : 0) |
           ((flags & syscall_abi.o_directory) != 0 ? O_DIRECTORY : 0) |
           ((flags & syscall_abi.o_nofollow) != 0 ? O_NOFOLLOW : 0);
}

static int64_t control_file(struct file *file, unsigned fd, unsigned command, uint64_t value)
{
    if ((load_relaxed(&file->flags) & O_PATH) != 0 && command != F_GETFL)
        return -EBADF;
    switch (command) {
    case F_GETFL:
        return open_flags_out(load_relaxed(&file->flags));
    case F_GETLK:
    case F_OFD_GETLK:
        return record_lock_call_get(file, command == F_OFD_GETLK, value);
    case F_SETLK:
    case F_SETLKW:
        return record_lock_call_set(file, fd, false, command == F_SETLKW, value);
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return record_lock_call_set(file, fd, true, command == F_OFD_SETLKW, value);
    case F_SETFL:
        file_set_flags(file, open_flags_in((uint32_t)value));
        return 0;
    case F_GETPIPE_SZ:
        return pipe_size_get(file);
    case F_SETPIPE_SZ:
        return pipe_size_set(file, (uint32_t)value);
    case F_ADD_SEALS:
        return file_seals_add(file, (uint32_t)value);
    case F_GET_SEALS:
        return file_seals_get(file);
    default:
        return -EINVAL; /* leases, owners of signals: not there */
    }
}

SYSCALL(fcntl)
{
    struct fd_table *files = own_files();
    unsigned number = (unsigned)args->arg[0], command = (unsigned)args->arg[1];
    uint64_t value = args->arg[2];

    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return fd_dup(files, number, (unsigned)value, own_fd_limit(), command == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return fd_cloexec_get(files, number);
    case F_SETFD:
        return fd_cloexec_set(files, number, (value & FD_CLOEXEC) != 0);
    default:
        break;
    }
    struct fd_borrowed fd = fd_borrow(files, number);

    if (fd.file == NULL)
        return -EBADF;
    int64_t result = control_file(fd.file, number, command, value);

    fd_return(fd);
    return result;
}

/* ---- pipe(2) ---- */

static int64_t make_pipe(vaddr_t out, uint32_t flags)
{
    struct file *file[2];

    if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) != 0)
        return -EINVAL;
    if ((flags & O_DIRECT) != 0)
        return -EINVAL; /* pipes of packets */
    int result = pipe_create(flags & O_NONBLOCK, &file[0], &file[1]);

    return result != 0 ? result : install_pair(file, (flags & O_CLOEXEC) != 0, out);
}

SYSCALL(pipe)
{
    return make_pipe(args->arg[0], 0);
}

SYSCALL(pipe2)
{
    return make_pipe(args->arg[0], open_flags_in((uint32_t)args->arg[1]));
}
