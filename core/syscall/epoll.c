/* SPDX-License-Identifier: MIT */
/* Watching files: epoll(7). No state. */
#include <syscall/table.h>

#include <fs/epoll.h>
#include <fs/fd.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <time/clock.h>

#include "syscall_priv.h"

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define EXCLUSIVE_WITH (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLL_WAKEUP | EPOLL_EDGE | EPOLL_EXCLUSIVE)

/* struct epoll_event: a word of events, then 64 bits of data, packed on x86_64, where 32-bit programs have it so. */
#define EVENT_BYTES_MAX 16u

static size_t data_at(void)
{
    return syscall_abi.has_own_structs ? 4 : 8;
}

static size_t event_bytes(void)
{
    return data_at() + sizeof(uint64_t);
}

static int64_t make_epoll(bool cloexec)
{
    struct file *file;
    int result = epoll_create(&file);

    return result != 0 ? result : install_file(file, cloexec);
}

SYSCALL(epoll_create)
{
    return (int)args->arg[0] <= 0 ? -EINVAL : make_epoll(false);
}

SYSCALL(epoll_create1)
{
    uint32_t flags = (uint32_t)args->arg[0];

    return (flags & ~O_CLOEXEC) != 0 ? -EINVAL : make_epoll((flags & O_CLOEXEC) != 0);
}

/* NULL also for what is open as a path only. */
static struct file *get_open(unsigned fd)
{
    struct file *file = fd_get(own_files(), fd);

    if (file == NULL || (load_relaxed(&file->flags) & O_PATH) == 0)
        return file;
    file_put(file);
    return NULL;
}

static int64_t control(struct file *epoll, int operation, struct file *file, unsigned fd, uint32_t events,
                       uint64_t data)
{
    if (file->ops->poll == NULL)
        return -EPERM;
    if (epoll == file || !file_is_epoll(epoll))
        return -EINVAL;
    if ((events & EPOLL_EXCLUSIVE) != 0 && operation != EPOLL_CTL_DEL &&
        (operation == EPOLL_CTL_MOD || (events & ~EXCLUSIVE_WITH) != 0))
        return -EINVAL;
    switch (operation) {
    case EPOLL_CTL_ADD:
        return epoll_add(epoll, file, fd, events, data);
    case EPOLL_CTL_MOD:
        return epoll_modify(epoll, file, fd, events, data);
    case EPOLL_CTL_DEL:
        return epoll_remove(epoll, file, fd);
    default:
        return -EINVAL;
    }
}

SYSCALL(epoll_ctl)
{
    int operation = (int)args->arg[1];
    unsigned fd = (unsigned)args->arg[2];
    uint8_t event[EVENT_BYTES_MAX];
    uint32_t events = 0;
    uint64_t data = 0;
    int64_t result = -EBADF;

    if (operation != EPOLL_CTL_DEL) {
        if (user_copy_in(event, args->arg[3], event_bytes()) != 0)
            return -EFAULT;
        memcpy(&events, event, sizeof events);
        memcpy(&data, event + data_at(), sizeof data);
    }
    struct file *epoll = get_open((unsigned)args->arg[0]);

    if (epoll == NULL)
        return -EBADF;
    struct file *file = get_open(fd);

    if (file != NULL) {
        result = control(epoll, operation, file, fd, events, data);
        file_put(file);
    }
    file_put(epoll);
    return result;
}

/* An epoll_sink_fn. */
static int event_out(void *argument, unsigned index, uint32_t events, uint64_t data)
{
    uint8_t event[EVENT_BYTES_MAX] = { 0 };
    const vaddr_t *to = argument;

    memcpy(event, &events, sizeof events);
    memcpy(event + data_at(), &data, sizeof data);
    return user_copy_out(*to + index * event_bytes(), event, event_bytes());
}

static int64_t wait_for_events(unsigned epoll_fd, vaddr_t to, int max, uint64_t deadline_ns)
{
    if (max <= 0 || (size_t)max > INT32_MAX / event_bytes())
        return -EINVAL;
    if (!user_range_is_valid(to, (size_t)max * event_bytes()))
        return -EFAULT;
    struct file *epoll = get_open(epoll_fd);

    if (epoll == NULL)
        return -EBADF;
    int64_t result = file_is_epoll(epoll) ? epoll_wait(epoll, (unsigned)max, deadline_ns, event_out, &to) : -EINVAL;

    file_put(epoll);
    return result;
}

static uint64_t deadline_of(int timeout_ms)
{
    if (timeout_ms <= 0)
        return timeout_ms < 0 ? TIME_NEVER : 0;
    return clock_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

SYSCALL(epoll_wait)
{
    return wait_for_events((unsigned)args->arg[0], args->arg[1], (int)args->arg[2], deadline_of((int)args->arg[3]));
}

static int64_t masked_wait(const struct syscall_args *args, uint64_t deadline_ns)
{
    int64_t masked = mask_begin(args->arg[4], args->arg[5]);

    if (masked != 0)
        return masked;
    int64_t got = wait_for_events((unsigned)args->arg[0], args->arg[1], (int)args->arg[2], deadline_ns);

    return mask_end(got) == -ERESTARTNOHAND ? -EINTR : got; /* it is never made anew: signal(7) */
}

SYSCALL(epoll_pwait)
{
    return masked_wait(args, deadline_of((int)args->arg[3]));
}

SYSCALL(epoll_pwait2)
{
    uint64_t deadline_ns;
    int result = timeout_in(args->arg[3], &deadline_ns);

    return result != 0 ? result : masked_wait(args, deadline_ns);
}
