/* SPDX-License-Identifier: MIT */
/* Descriptors of files without a place: eventfd(2), memfd_create(2). No state. */
#include <syscall/table.h>

#include <fs/eventfd.h>
#include <fs/fd.h>
#include <fs/file.h>
#include <fs/memfd.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/process.h>

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

#define MFD_CLOEXEC 0x1u
#define MFD_ALLOW_SEALING 0x2u
#define MFD_HUGETLB 0x4u
#define MFD_NOEXEC_SEAL 0x8u
#define MFD_EXEC 0x10u
#define MFD_FLAGS (MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)

SYSCALL(memfd_create)
{
    uint32_t flags = (uint32_t)args->arg[1];
    bool is_data = (flags & MFD_NOEXEC_SEAL) != 0;
    uint32_t seals = is_data ? SEAL_EXEC : (flags & MFD_ALLOW_SEALING) != 0 ? 0 : SEAL_SEAL;
    char name[MEMFD_NAME_MAX + 1];
    struct file *file;

    if ((flags & MFD_HUGETLB) != 0)
        return -ENOSYS; /* no pages are set aside: as a Linux without them */
    if ((flags & ~MFD_FLAGS) != 0 || (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
        return -EINVAL;
    int64_t result = user_copy_string(name, args->arg[0], sizeof name);

    if (result < 0)
        return result == -ENAMETOOLONG ? -EINVAL : result;
    result = memfd_file_create(name, is_data ? 0666 : 0777, seals, thread_current()->user.cred, &file);
    return result != 0 ? result : install_file(file, (flags & MFD_CLOEXEC) != 0);
}
