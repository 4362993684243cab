/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, xattr(7): the file systems here have none, which is what the calls say, as Linux does of file
 * systems without them. ENOSYS would not do: programs that show or copy files take it for an error. No state.
 */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/path.h>
#include <k/errno.h>
#include <mm/user.h>

#include "syscall_priv.h"

#define ATTRIBUTE_NAME_MAX 255u
#define ATTRIBUTE_BYTES_MAX 65536u
#define XATTR_FLAGS 0x3u /* CREATE, REPLACE */

/* ---- Which file ---- */

static int by_path(vaddr_t path, unsigned flags)
{
    struct path_arg arg;
    struct name *name;
    int result = path_arg_begin(&arg, AT_FDCWD, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_lookup(&place, arg.text, flags, &name);
    path_arg_end(&arg);
    if (result == 0)
        name_put(name);
    return result;
}

static int by_fd(uint64_t number)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)number);

    if (fd.file == NULL)
        return -EBADF;
    bool is_place = (load_relaxed(&fd.file->flags) & O_PATH) != 0;

    fd_return(fd);
    return is_place ? -EBADF : 0;
}

/* ---- What of it; `found` is the result of those above ---- */

static int no_attribute(int found, vaddr_t name)
{
    char text[ATTRIBUTE_NAME_MAX + 1];

    if (found != 0)
        return found;
    int64_t bytes = user_copy_string(text, name, sizeof text);

    if (bytes == -ENAMETOOLONG || bytes == 0)
        return -ERANGE;
    return bytes < 0 ? (int)bytes : -EOPNOTSUPP;
}

static int set(int found, const struct syscall_args *args)
{
    if (found == 0 && ((uint32_t)args->arg[4] & ~XATTR_FLAGS) != 0)
        return -EINVAL;
    int result = no_attribute(found, args->arg[1]);

    return result == -EOPNOTSUPP && args->arg[3] > ATTRIBUTE_BYTES_MAX ? -E2BIG : result;
}

SYSCALL(getxattr)
{
    return no_attribute(by_path(args->arg[0], PATH_FOLLOW), args->arg[1]);
}

SYSCALL(lgetxattr)
{
    return no_attribute(by_path(args->arg[0], 0), args->arg[1]);
}

SYSCALL(fgetxattr)
{
    return no_attribute(by_fd(args->arg[0]), args->arg[1]);
}

SYSCALL(setxattr)
{
    return set(by_path(args->arg[0], PATH_FOLLOW), args);
}

SYSCALL(lsetxattr)
{
    return set(by_path(args->arg[0], 0), args);
}

SYSCALL(fsetxattr)
{
    return set(by_fd(args->arg[0]), args);
}

SYSCALL(removexattr)
{
    return no_attribute(by_path(args->arg[0], PATH_FOLLOW), args->arg[1]);
}

SYSCALL(lremovexattr)
{
    return no_attribute(by_path(args->arg[0], 0), args->arg[1]);
}

SYSCALL(fremovexattr)
{
    return no_attribute(by_fd(args->arg[0]), args->arg[1]);
}

/* Bytes of names: there are none. */
SYSCALL(listxattr)
{
    return by_path(args->arg[0], PATH_FOLLOW);
}

SYSCALL(llistxattr)
{
    return by_path(args->arg[0], 0);
}

SYSCALL(flistxattr)
{
    return by_fd(args->arg[0]);
}
