/* SPDX-License-Identifier: MIT */
/*
 * Counters as files. The counter is atomic so that a wait can look at it under its queue's lock; it is changed with the
 * mutex held, before the wake, as a pipe's bytes are. Its most is UINT64_MAX - 1.
 */
#include <fs/eventfd.h>

#include "fs_priv.h"

#include <k/errno.h>
#include <mm/kmalloc.h>
#include <sched/sched.h>

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
    struct mutex mutex;
    _Atomic(uint64_t) count; /* written with mutex held */
    bool is_semaphore;       /* immutable */
    struct poll_queue can_read, can_write;
};

/* 0: nothing was there. */
static uint64_t take(struct eventfd *event)
{
    mutex_lock(&event->mutex);
    uint64_t count = load_relaxed(&event->count);
    uint64_t taken = event->is_semaphore ? MIN(count, UINT64_C(1)) : count;

    store_relaxed(&event->count, count - taken);
    mutex_unlock(&event->mutex);
    if (taken > 0)
        poll_wake(&event->can_write);
    return taken;
}

static int64_t event_read(struct file *file, struct io_span *to, uint64_t *position)
{
    struct eventfd *event = file->data;
    uint64_t taken;

    (void)position;
    if (to->left < sizeof taken)
        return -EINVAL;
    while ((taken = take(event)) == 0) {
        if (file_never_waits(file))
            return -EAGAIN;
        int error = waitq_wait_until(&event->can_read.wait, load_relaxed(&event->count) > 0, TIME_NEVER, FILE_WAIT);

        if (error != 0)
            return error;
    }
    /* As on Linux, what was taken is lost with a bad address. */
    return io_copy_to(to, &taken, sizeof taken) < sizeof taken ? -EFAULT : (int64_t)sizeof taken;
}

static bool has_room(struct eventfd *event, uint64_t more)
{
    return COUNT_MAX - load_relaxed(&event->count) >= more;
}

static bool add(struct eventfd *event, uint64_t more)
{
    mutex_lock(&event->mutex);
    bool fits = has_room(event, more);

    if (fits)
        store_relaxed(&event->count, load_relaxed(&event->count) + more);
    mutex_unlock(&event->mutex);
    if (fits && more > 0)
        poll_wake(&event->can_read);
    return fits;
}

static int64_t event_write(struct file *file, struct io_span *from, uint64_t *position)
{
    struct eventfd *event = file->data;
    uint64_t more;

    (void)position;
    if (from->left < sizeof more)
        return -EINVAL;
    if (io_copy_from(from, &more, sizeof more) < sizeof more)
        return -EFAULT;
    if (more > COUNT_MAX)
        return -EINVAL;
    while (!add(event, more)) {
        if (file_never_waits(file))
            return -EAGAIN;
        int error = waitq_wait_until(&event->can_write.wait, has_room(event, more), TIME_NEVER, FILE_WAIT);

        if (error != 0)
            return error;
    }
    return sizeof more;
}

static uint32_t event_poll(struct file *file, struct poll_wait *wait)
{
    struct eventfd *event = file->data;
    uint32_t got = 0;

    poll_enter(wait, &event->can_read);
    poll_enter(wait, &event->can_write);
    if (load_relaxed(&event->count) > 0)
        got |= POLLIN;
    if (has_room(event, 1))
        got |= POLLOUT;
    return got;
}

static void event_release(struct file *file)
{
    kfree(file->data);
}

static const struct file_ops event_ops = {
    .read = event_read, .write = event_write, .poll = event_poll, .release = event_release};

int eventfd_create(uint64_t count, bool is_semaphore, uint32_t flags, struct file **out)
{
    struct eventfd *event = kzalloc(sizeof *event);

    if (event == NULL)
        return -ENOMEM;
    mutex_init(&event->mutex);
    store_relaxed(&event->count, count);
    event->is_semaphore = is_semaphore;
    poll_queue_init(&event->can_read);
    poll_queue_init(&event->can_write);
    int error = anon_file_create(&event_ops, (flags & O_NONBLOCK) | O_RDWR, event, out);

    if (error != 0)
        kfree(event);
    return error;
}
