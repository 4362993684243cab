/* SPDX-License-Identifier: MIT */
/* Locks on files: flock(2), and those of ranges by fcntl(2). No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/flock.h>
#include <fs/record_lock.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/process.h>

#include "syscall_priv.h"

/* ---- flock(2) ---- */

#define LOCK_SH 1u
#define LOCK_EX 2u
#define LOCK_NB 4u
#define LOCK_UN 8u

SYSCALL(flock)
{
    uint32_t command = (uint32_t)args->arg[1], kind = command & ~LOCK_NB;

    if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
        return -EINVAL;
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    int64_t result = -EBADF;

    if (fd.file != NULL && (load_relaxed(&fd.file->flags) & O_PATH) == 0)
        result = flock_set(fd.file, kind == LOCK_SH ? FLOCK_SHARED : kind == LOCK_EX ? FLOCK_EXCLUSIVE : FLOCK_NONE,
                           (command & LOCK_NB) == 0);
    fd_return(fd);
    return after_wait(result);
}

/* ---- Ranges ---- */

#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

/* struct flock of 64-bit machines. */
struct range {
    int16_t type, whence;
    int32_t pad;
    int64_t start, bytes;
    int32_t pid;
    int32_t pad_end;
};
_Static_assert(sizeof(struct range) == 32 && offsetof(struct range, pid) == 24, "as struct flock");

/* Its first and last byte. -EINVAL; -EOVERFLOW. */
static int range_of(struct file *file, const struct range *range, struct record_lock_request *out)
{
    int64_t start = 0, last = INT64_MAX;

    if (range->whence == SEEK_CUR || range->whence == SEEK_END)
        start = range->whence == SEEK_CUR ? file_position(file) : file_end_position(file);
    else if (range->whence != SEEK_SET)
        return -EINVAL;
    if (__builtin_add_overflow(start, range->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (range->bytes > 0) {
        if (__builtin_add_overflow(start, range->bytes - 1, &last))
            return -EOVERFLOW;
    } else if (range->bytes < 0) {
        last = start - 1;
        start += range->bytes;
        if (start < 0)
            return -EINVAL;
    }
    out->first = (uint64_t)start;
    out->last = (uint64_t)last;
    return 0;
}

static int kind_of(int16_t type, enum record_lock_kind *out)
{
    static const enum record_lock_kind kinds[] = {RECORD_SHARED, RECORD_EXCLUSIVE, RECORD_NONE};

    if (type < 0 || type > F_UNLCK)
        return -EINVAL;
    *out = kinds[type];
    return 0;
}

/* As fcntl(2) has it, whoever owns it. */
static int request_in(struct file *file, bool is_of_file, vaddr_t from, struct range *range,
                      struct record_lock_request *out)
{
    *out = (struct record_lock_request){
        .owner = is_of_file ? (const void *)file : own_files(),
        .is_of_file = is_of_file,
        .pid = is_of_file ? -1 : process_current()->pid,
    };
    int error = user_copy_in(range, from, sizeof *range);

    if (error == 0 && is_of_file && range->pid != 0)
        error = -EINVAL;
    if (error == 0)
        error = kind_of(range->type, &out->kind);
    return error != 0 ? error : range_of(file, range, out);
}

int64_t record_lock_call_get(struct file *file, bool is_of_file, vaddr_t at)
{
    struct record_lock_request request;
    struct range range;
    int error = request_in(file, is_of_file, at, &range, &request);

    if (error == 0 && request.kind == RECORD_NONE)
        error = -EINVAL;
    if (error != 0)
        return error;
    record_lock_find(file->inode, &request);
    if (request.kind == RECORD_NONE) {
        range.type = F_UNLCK;
    } else {
        range.type = request.kind == RECORD_SHARED ? F_RDLCK : F_WRLCK;
        range.whence = SEEK_SET;
        range.start = (int64_t)request.first;
        range.bytes = request.last == RECORD_LOCK_END ? 0 : (int64_t)(request.last - request.first + 1);
        range.pid = (int32_t)request.pid;
    }
    return user_copy_out(at, &range, sizeof range);
}

/* Somebody may have closed the descriptor meanwhile, and the close found nothing to give back. */
static int check_still_open(struct file *file, unsigned fd)
{
    struct file *now = fd_get(own_files(), fd);
    int error = 0;

    if (now != file) {
        record_lock_drop(file->inode, own_files());
        error = -EBADF;
    }
    if (now != NULL)
        file_put(now);
    return error;
}

int64_t record_lock_call_set(struct file *file, unsigned fd, bool is_of_file, bool waits, vaddr_t at)
{
    struct record_lock_request request;
    struct range range;
    int error = request_in(file, is_of_file, at, &range, &request);

    if (error != 0)
        return error;
    if ((request.kind == RECORD_SHARED && !file->can_read) || (request.kind == RECORD_EXCLUSIVE && !file->can_write))
        return -EBADF;
    error = record_lock_set(file->inode, &request, waits);
    if (error == 0 && !is_of_file && request.kind != RECORD_NONE)
        error = check_still_open(file, fd);
    return after_wait(error);
}
