/* SPDX-License-Identifier: MIT */
/* Where paths begin, and what is mounted. No state. */
#include <syscall/table.h>

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/path.h>
#include <k/errno.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/process.h>

#include "syscall_priv.h"

static struct thread_user *own(void)
{
    return &thread_current()->user;
}

static int find_dir(vaddr_t path, struct name **out)
{
    struct path_arg arg;
    int result = path_arg_begin(&arg, AT_FDCWD, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_lookup(&place, arg.text, PATH_FOLLOW | PATH_DIRECTORY, out);
    path_arg_end(&arg);
    return result;
}

SYSCALL(chdir)
{
    struct name *dir;
    int result = find_dir(args->arg[0], &dir);

    if (result != 0)
        return result;
    result = fs_context_set_cwd(own()->paths, own()->cred, dir);
    name_put(dir);
    return result;
}

SYSCALL(fchdir)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    int result = fd.file == NULL ? -EBADF : fd.file->name == NULL ? -ENOTDIR : 0;

    if (result == 0)
        result = fs_context_set_cwd(own()->paths, own()->cred, fd.file->name);
    fd_return(fd);
    return result;
}

SYSCALL(chroot)
{
    struct name *dir;
    int result = find_dir(args->arg[0], &dir);

    if (result != 0)
        return result;
    result = cred_can(own()->cred, CAP_SYS_CHROOT) ? fs_context_set_root(own()->paths, own()->cred, dir) : -EPERM;
    name_put(dir);
    return result;
}

/* The raw call returns the bytes with the NUL. */
SYSCALL(getcwd)
{
    size_t room = args->arg[1];
    char *text = kmalloc(PATH_BYTES_MAX);

    if (text == NULL)
        return -ENOMEM;
    struct name *root = fs_context_root(own()->paths);
    struct name *cwd = fs_context_cwd(own()->paths);
    int64_t result = name_path(cwd, root, false, text, PATH_BYTES_MAX);

    if (result >= 0 && (size_t)result + 1 > room)
        result = -ERANGE;
    if (result >= 0)
        result = user_copy_out(args->arg[0], text, (size_t)result + 1) != 0 ? -EFAULT : result + 1;
    name_put(cwd);
    name_put(root);
    kfree(text);
    return result;
}

/* ---- mount(2) ---- */

#define MS_REMOUNT 0x20u
#define MS_BIND 0x1000u
#define MS_MOVE 0x2000u
#define MS_PROPAGATION 0x1e0000u /* unbindable, private, slave, shared */
#define TYPE_BYTES 32
#define OPTIONS_BYTES 256

/* NULL stands for an empty string. */
static int64_t string_or_none(char *to, vaddr_t from, size_t room)
{
    to[0] = '\0';
    return from == 0 ? 0 : user_copy_string(to, from, room);
}

SYSCALL(mount)
{
    char type[TYPE_BYTES], options[OPTIONS_BYTES];
    struct path_arg arg;
    uint64_t flags = args->arg[3];

    if (!cred_can(own()->cred, CAP_SYS_ADMIN))
        return -EPERM;
    if ((flags & (MS_BIND | MS_MOVE | MS_PROPAGATION)) != 0)
        return -EINVAL; /* what is mounted is at one place */
    int64_t result = string_or_none(type, args->arg[2], sizeof type);

    if (result >= 0)
        result = string_or_none(options, args->arg[4], sizeof options);
    if (result < 0)
        return result == -ENAMETOOLONG ? -EINVAL : result;
    result = path_arg_begin(&arg, AT_FDCWD, args->arg[1]);
    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    if ((flags & MS_REMOUNT) != 0)
        result = options[0] != '\0' ? -EINVAL : path_remount(&place, arg.text, (uint32_t)flags & MS_KEPT);
    else
        result = path_mount(&place, type, arg.text, options[0] != '\0' ? options : NULL, (uint32_t)flags & MS_KEPT);
    path_arg_end(&arg);
    return result;
}

SYSCALL(umount2)
{
    uint32_t flags = (uint32_t)args->arg[1];
    struct path_arg arg;

    if ((flags & ~(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW)) != 0) /* who has looked lately is not known: no EXPIRE */
        return -EINVAL;
    if (!cred_can(own()->cred, CAP_SYS_ADMIN))
        return -EPERM;
    int64_t result = path_arg_begin(&arg, AT_FDCWD, args->arg[0]);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_unmount(&place, arg.text, flags);
    path_arg_end(&arg);
    return result;
}
