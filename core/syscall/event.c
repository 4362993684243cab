/* SPDX-License-Identifier: MIT */
/* Descriptors that are not files of a file system: eventfd(2). No state. */
#include <syscall/table.h>

#include <fs/eventfd.h>
#include <fs/fd.h>
#include <fs/file.h>
#include <k/errno.h>

#include "syscall_priv.h"

#define EFD_SEMAPHORE 1u /* the others are open(2)'s */

static int64_t make_event(uint64_t count, uint32_t flags)
{
    struct file *file;

    if ((flags & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK)) != 0)
        return -EINVAL;
    int result = eventfd_create(count, (flags & EFD_SEMAPHORE) != 0, flags & O_NONBLOCK, &file);

    return result != 0 ? result : install_file(file, (flags & O_CLOEXEC) != 0);
}

SYSCALL(eventfd)
{
    return make_event((uint32_t)args->arg[0], 0);
}

SYSCALL(eventfd2)
{
    return make_event((uint32_t)args->arg[0], (uint32_t)args->arg[1]);
}
