/* SPDX-License-Identifier: MIT */
/* What calls about files have in common: descriptors, vectors of memory, paths, timeouts. No state. */
#include <fs/fd.h>
#include <fs/path.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/limits.h>
#include <proc/process.h>
#include <proc/signal.h>
#include <proc/signo.h>
#include <time/clock.h>

#include "syscall_priv.h"

struct fd_table *own_files(void)
{
    return thread_current()->user.files;
}

unsigned own_fd_limit(void)
{
    return (unsigned)MIN(process_limit_get(process_current(), LIMIT_NOFILE), (uint64_t)FD_LIMIT_MAX);
}

int pieces_copy_in(vaddr_t iov, uint64_t count, struct io_piece *pieces, unsigned room, struct io_piece **out,
                   struct io_span *span)
{
    _Static_assert(sizeof(struct io_piece) == 16 && offsetof(struct io_piece, bytes) == 8, "as struct iovec");

    if (count > IOV_MAX_COUNT)
        return -EINVAL;
    *out = pieces;
    if (count > room) {
        *out = kmalloc(count * sizeof **out);
        if (*out == NULL)
            return -ENOMEM;
    }
    int result = user_copy_in(*out, iov, count * sizeof **out);

    if (result == 0)
        result = io_span_pieces(span, *out, count);
    if (result != 0)
        pieces_free(*out, pieces);
    return result;
}

void pieces_free(struct io_piece *pieces, struct io_piece *own)
{
    if (pieces != own)
        kfree(pieces);
}

/* The name of an open directory, or of anything for AT_EMPTY_PATH: whether it is one is the walk's to say. */
static int name_of_fd(int fd, struct name **out)
{
    struct file *file = fd_get(own_files(), (unsigned)fd);
    int result = file == NULL ? -EBADF : file->name == NULL ? -ENOTDIR : 0;

    if (result == 0) {
        *out = file->name;
        name_get(*out);
    }
    if (file != NULL)
        file_put(file);
    return result;
}

int path_arg_begin(struct path_arg *arg, int dirfd, vaddr_t path)
{
    *arg = (struct path_arg){ .text = kmalloc(PATH_BYTES_MAX) };
    if (arg->text == NULL)
        return -ENOMEM;
    int64_t result = user_copy_string(arg->text, path, PATH_BYTES_MAX);

    if (result >= 0)
        result = dirfd == AT_FDCWD || arg->text[0] == '/' ? 0 : name_of_fd(dirfd, &arg->at);
    if (result < 0)
        path_arg_end(arg);
    return (int)MIN(result, 0);
}

void path_arg_end(struct path_arg *arg)
{
    if (arg->at != NULL)
        name_put(arg->at);
    kfree(arg->text);
}

struct path_place path_arg_place(const struct path_arg *arg)
{
    const struct thread *self = thread_current();

    return (struct path_place){ .context = self->user.paths, .cred = self->user.cred, .at = arg->at };
}

int timeout_in(vaddr_t from, uint64_t *out_deadline_ns)
{
    uint64_t ns = 0;

    *out_deadline_ns = TIME_NEVER;
    if (from == 0)
        return 0;
    int result = timespec_copy_in(from, &ns);
    uint64_t now = clock_ns();

    if (result == 0 && ns < TIME_NEVER - 1 - now)
        *out_deadline_ns = now + ns;
    return result;
}

int64_t after_wait(int64_t result)
{
    if (LIKELY(result >= 0))
        return result;
    return result == -EINTR ? -ERESTARTSYS : result;
}

int64_t after_write(int64_t result)
{
    if (LIKELY(result >= 0))
        return result;
    if (result == -EPIPE)
        signal_send_self(SIGPIPE);
    return after_wait(result);
}

int64_t install_file(struct file *file, bool cloexec)
{
    int fd = fd_add(own_files(), file, 0, own_fd_limit(), cloexec);

    if (fd < 0)
        file_put(file);
    return fd;
}

int64_t install_pair(struct file *file[2], bool cloexec, vaddr_t out)
{
    struct fd_table *files = own_files();
    int number[2] = { -1, -1 }, result = 0;

    for (unsigned i = 0; i < 2 && result == 0; i++) {
        number[i] = fd_reserve(files, 0, own_fd_limit(), cloexec);
        result = MIN(number[i], 0);
    }
    if (result == 0)
        result = user_copy_out(out, number, sizeof number);
    for (unsigned i = 0; i < 2; i++) {
        if (result == 0) {
            fd_install(files, (unsigned)number[i], file[i]);
            continue;
        }
        if (number[i] >= 0)
            fd_unreserve(files, (unsigned)number[i]);
        file_put(file[i]);
    }
    return result;
}

int64_t mask_begin(vaddr_t mask, uint64_t bytes)
{
    uint64_t wanted;

    if (mask == 0)
        return 0;
    if (bytes != sizeof wanted)
        return -EINVAL;
    int result = user_copy_in(&wanted, mask, sizeof wanted);

    if (result == 0)
        signal_mask_borrow(wanted);
    return result;
}

int64_t mask_end(int64_t result)
{
    if (result == -EINTR)
        return -ERESTARTNOHAND; /* what ended the wait is to find the mask as it is */
    signal_mask_restore();
    return result;
}
