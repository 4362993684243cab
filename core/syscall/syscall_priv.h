/* SPDX-License-Identifier: MIT */
/* What handlers share. */
#pragma once

#include <stddef.h>

#include <k/compiler.h>
#include <k/types.h>

struct process_usage;

/* A struct that has grown over the versions of Linux, of `user_bytes` bytes: what the user has not is zero here; what
 * it has more must be zero. -E2BIG: it is not, or more than a page. -EFAULT. */
int copy_in_versioned(void *to, size_t bytes, vaddr_t from, size_t user_bytes) MUST_USE;

/* struct rusage of getrusage(2). -EFAULT. limits.c */
int usage_copy_out(vaddr_t to, const struct process_usage *usage) MUST_USE;

/* struct timespec. -EINVAL: negative, or not that many nanoseconds; what would be too far away is TIME_NEVER - 1 at
 * most. -EFAULT. time.c */
int timespec_copy_in(vaddr_t from, uint64_t *out_ns) MUST_USE;
int timespec_copy_out(vaddr_t to, uint64_t ns) MUST_USE;
/* ---- Files ---- */

struct fd_table;
struct file;
struct io_piece;
struct io_span;
struct path_place;

struct fd_table *own_files(void);
unsigned own_fd_limit(void); /* RLIMIT_NOFILE, as far as tables go */

/* A new file, or two whose numbers go to `out`, get the lowest free numbers; the caller's references are gone in any
 * case, and of two both get one or neither. The number, or 0 for two; -EMFILE, -ENOMEM, -EFAULT. */
int64_t install_file(struct file *file, bool cloexec) MUST_USE;
int64_t install_pair(struct file *file[2], bool cloexec, vaddr_t out) MUST_USE;

/* The result of a call that a signal ends with -EINTR and SA_RESTART makes anew; of a write as write(2) has it, too:
 * -EPIPE brings the signal. */
int64_t after_wait(int64_t result);
int64_t after_write(int64_t result);

/* struct iovec[count] of the user; `pieces` has room for `room` of them, more are allocated: *out is freed by
 * pieces_free() after use. -EINVAL: too many, or their sum; -EFAULT, -ENOMEM. */
int pieces_copy_in(vaddr_t iov, uint64_t count, struct io_piece *pieces, unsigned room, struct io_piece **out,
                   struct io_span *span) MUST_USE;
void pieces_free(struct io_piece *pieces, struct io_piece *own);

/* A path of the user, from where and for whom: `dirfd` is a descriptor or AT_FDCWD. path_arg_end() in any case after
 * success. -EBADF, -ENOTDIR, -EFAULT, -ENAMETOOLONG, -ENOMEM. */
#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR 0x200u
#define AT_EACCESS 0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define AT_NO_AUTOMOUNT 0x800u
#define AT_EMPTY_PATH 0x1000u

struct name;
struct path_arg {
    char *text;         /* PATH_BYTES_MAX */
    struct name *at;    /* counted, or NULL */
};
int path_arg_begin(struct path_arg *arg, int dirfd, vaddr_t path) MUST_USE;
void path_arg_end(struct path_arg *arg);
struct path_place path_arg_place(const struct path_arg *arg);

/* open(2) flags of a program as fs/abi.h has them. */
uint32_t open_flags_in(uint32_t flags);
uint32_t open_flags_out(uint32_t flags);

/* fcntl(2) F_GETLK, F_SETLK, F_SETLKW, F_OFD_..: `at` is a struct flock. lock.c */
int64_t record_lock_call_get(struct file *file, bool is_of_file, vaddr_t at) MUST_USE;
int64_t record_lock_call_set(struct file *file, unsigned fd, bool is_of_file, bool waits, vaddr_t at) MUST_USE;

/* A deadline so far from now, of a struct timespec; `from` 0: never. As timespec_copy_in(). */
int timeout_in(vaddr_t from, uint64_t *out_deadline_ns) MUST_USE;

/* ppoll(2) and its like: the signal mask at `mask` (0: none) of `bytes` for the length of the call. -EINVAL: bytes;
 * -EFAULT. mask_end() puts the old one back, or leaves that to the delivery of the signal that ended the call. */
int64_t mask_begin(vaddr_t mask, uint64_t bytes) MUST_USE;
int64_t mask_end(int64_t result);
