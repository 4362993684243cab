/* SPDX-License-Identifier: MIT */
/*
 * Pairs of connected stream sockets: two rings of bytes, each written by one end and read by the other. The pair lives
 * until both ends are closed. A ring's counts of readers and writers are both 1 while that direction is open, then both
 * 0; its own mutex guards them. No lock of this file.
 */
#include <fs/socket.h>

#include "fs_priv.h"

#include <fs/filesystem.h>
#include <k/errno.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <sched/sched.h>

struct pair {
    _Atomic(uint32_t) ends; /* PAIRS(socket_ends) */
    struct pipe *ring[2];   /* immutable: ring[i] is read by end i */
};

/* What an open file has. */
struct end {
    struct pair *pair;
    struct pipe *in, *out;
};

static struct filesystem socket_fs = {.type = "sockfs", .magic = 0x534f434b, .inodes_max = UINT64_MAX,
                                      .is_dynamic = true};
static const struct file_ops socket_ops;

void socket_init(void)
{
    socket_fs.device = fs_next_device();
}

bool file_is_socket(const struct file *file)
{
    return file->ops == &socket_ops;
}

/* ---- Bytes ---- */

static bool is_over(struct pipe *ring)
{
    return load_relaxed(&ring->writers) == 0;
}

static bool is_nonblocking(const struct file *file, uint32_t flags)
{
    return file_never_waits(file) || (flags & MSG_DONTWAIT) != 0;
}

static int64_t peek(struct file *file, struct io_span *to, bool never_waits)
{
    const struct end *end = file->data;
    int64_t result;

    while ((result = pipe_ring_peek(end->in, to)) == -EAGAIN && !never_waits) {
        result = pipe_ring_wait_for_bytes(end->in);
        if (result != 0)
            break;
    }
    return result;
}

/* All that was asked for, unless the end comes before, or a signal, or an error. */
static int64_t read_all(struct pipe *in, struct io_span *to)
{
    int64_t total = 0, result = 0;

    while (to->left > 0) {
        result = pipe_ring_read(in, to, false);
        if (result <= 0)
            break;
        total += result;
    }
    return total > 0 ? total : result;
}

int64_t socket_receive(struct file *file, struct io_span *to, uint32_t flags)
{
    const struct end *end = file->data;

    if (!file_is_socket(file))
        return -ENOTSOCK;
    bool never_waits = is_nonblocking(file, flags);

    if (to->left == 0)
        return 0;
    if ((flags & MSG_PEEK) != 0)
        return peek(file, to, never_waits);
    if ((flags & MSG_WAITALL) != 0 && !never_waits)
        return read_all(end->in, to);
    return pipe_ring_read(end->in, to, never_waits);
}

int64_t socket_send(struct file *file, struct io_span *from, uint32_t flags)
{
    const struct end *end = file->data;

    if (!file_is_socket(file))
        return -ENOTSOCK;
    if (is_over(end->out))
        return -EPIPE;
    return from->left == 0 ? 0 : pipe_ring_write(end->out, from, is_nonblocking(file, flags));
}

static int64_t socket_read(struct file *file, struct io_span *to, uint64_t *position)
{
    (void)position;
    return socket_receive(file, to, 0);
}

static int64_t socket_write(struct file *file, struct io_span *from, uint64_t *position)
{
    (void)position;
    return socket_send(file, from, 0);
}

/* ---- Everything else ---- */

static uint32_t socket_poll(struct file *file, struct poll_wait *wait)
{
    const struct end *end = file->data;
    uint32_t got = 0;

    pipe_ring_poll_read(end->in, wait);
    poll_enter(wait, &end->out->can_write);
    bool no_more_in = is_over(end->in), no_more_out = is_over(end->out);

    if (no_more_in || load_relaxed(&end->in->used) > 0)
        got |= POLLIN | POLLRDNORM;
    if (no_more_in)
        got |= POLLRDHUP;
    if (no_more_in && no_more_out)
        got |= POLLHUP;
    if (no_more_out || pipe_ring_has_room(end->out))
        got |= POLLOUT | POLLWRNORM;
    return got;
}

static int64_t socket_ioctl(struct file *file, uint32_t command, uintptr_t argument)
{
    const struct end *end = file->data;

    if (command != FIONREAD)
        return -ENOTTY;
    int used = (int)load_relaxed(&end->in->used);

    return user_copy_out(argument, &used, sizeof used);
}

static uint64_t socket_held(struct file *file)
{
    const struct end *end = file->data;

    return load_relaxed(&end->in->pages);
}

int socket_shutdown(struct file *file, int how)
{
    const struct end *end = file->data;

    if (!file_is_socket(file))
        return -ENOTSOCK;
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (how != SHUT_WR)
        pipe_ring_close(end->in);
    if (how != SHUT_RD)
        pipe_ring_close(end->out);
    return 0;
}

static void pair_put(struct pair *pair)
{
    if (fetch_sub_acq_rel(&pair->ends, 1) > 1) /* PAIRS(socket_ends): both ends, as they close */
        return;
    pipe_ring_destroy(pair->ring[0]);
    pipe_ring_destroy(pair->ring[1]);
    kfree(pair);
}

static void socket_release(struct file *file)
{
    struct end *end = file->data;

    if (end == NULL) /* it never came so far as to be one of two */
        return;
    pipe_ring_close(end->in);
    pipe_ring_close(end->out);
    pair_put(end->pair);
    kfree(end);
}

static const struct file_ops socket_ops = {
    .read = socket_read, .write = socket_write, .poll = socket_poll, .ioctl = socket_ioctl, .held = socket_held,
    .release = socket_release};

/* ---- Making ---- */

/* Two rings with a reader and a writer each. */
static int make_pair(struct pair **out)
{
    struct pair *pair = kmalloc(sizeof *pair);
    int error = pair == NULL ? -ENOMEM : pipe_ring_create(&pair->ring[0]);

    if (error != 0)
        goto fail_pair;
    error = pipe_ring_create(&pair->ring[1]);
    if (error != 0)
        goto fail_ring;
    for (unsigned i = 0; i < 2; i++) {
        store_relaxed(&pair->ring[i]->readers, 1);
        store_relaxed(&pair->ring[i]->writers, 1);
    }
    store_relaxed(&pair->ends, 2);
    *out = pair;
    return 0;

fail_ring:
    pipe_ring_destroy(pair->ring[0]);
fail_pair:
    kfree(pair);
    return error;
}

/* A file without an end yet. */
static int make_file(uint32_t flags, struct file **out)
{
    return nameless_file_create(&socket_fs, S_IFSOCK | 0777, &socket_ops, (flags & O_NONBLOCK) | O_RDWR, NULL, out);
}

static void set_end(struct file *file, struct end *end, struct pair *pair, unsigned which)
{
    *end = (struct end){.pair = pair, .in = pair->ring[which], .out = pair->ring[1 - which]};
    file->data = end;
}

int socket_create_pair(uint32_t flags, struct file *out[2])
{
    struct end *first = kmalloc(sizeof *first), *second = kmalloc(sizeof *second);
    struct pair *pair;
    int error = first == NULL || second == NULL ? -ENOMEM : make_file(flags, &out[0]);

    if (error != 0)
        goto fail_ends;
    error = make_file(flags, &out[1]);
    if (error != 0)
        goto fail_first;
    error = make_pair(&pair);
    if (error != 0)
        goto fail_second;
    set_end(out[0], first, pair, 0);
    set_end(out[1], second, pair, 1);
    return 0;

fail_second:
    file_put(out[1]);
fail_first:
    file_put(out[0]);
fail_ends:
    kfree(first);
    kfree(second);
    return error;
}
