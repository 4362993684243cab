/* SPDX-License-Identifier: MIT */
/* Paths: what is opened, made, removed and changed by name. No state. */
#include <syscall/table.h>

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/path.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/process.h>

#include "syscall_priv.h"

/* The umask goes where names are made. */
#define MODE(value) ((uint32_t)(value) & S_PERMISSIONS)

static const struct cred *own_cred(void)
{
    return thread_current()->user.cred;
}

/* ---- open(2) ---- */

static int64_t open_at(int dirfd, vaddr_t path, uint32_t flags, uint32_t mode)
{
    struct path_arg arg;
    struct file *file = NULL;
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    if ((flags & O_PATH) == 0)
        flags |= O_LARGEFILE; /* each program's files may be large */
    result = path_open(&place, arg.text, flags, MODE(mode), &file);
    path_arg_end(&arg);
    if (result != 0)
        return (int)after_wait(result); /* a FIFO waits for its other end */
    result = fd_add(own_files(), file, 0, own_fd_limit(), (flags & O_CLOEXEC) != 0);
    if (result < 0)
        file_put(file);
    return result;
}

SYSCALL(open)
{
    return open_at(AT_FDCWD, args->arg[0], open_flags_in((uint32_t)args->arg[1]), (uint32_t)args->arg[2]);
}

SYSCALL(creat)
{
    return open_at(AT_FDCWD, args->arg[0], O_CREAT | O_WRONLY | O_TRUNC, (uint32_t)args->arg[1]);
}

SYSCALL(openat)
{
    return open_at((int)args->arg[0], args->arg[1], open_flags_in((uint32_t)args->arg[2]), (uint32_t)args->arg[3]);
}

/* ---- What takes one path ---- */

/* Walk to it: a reference in *out. */
static int find(int dirfd, vaddr_t path, unsigned flags, struct name **out)
{
    struct path_arg arg;
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_lookup(&place, arg.text, flags, out);
    path_arg_end(&arg);
    return result;
}

static unsigned walk_flags(uint32_t at_flags, bool follows)
{
    return (follows ? PATH_FOLLOW : 0) | ((at_flags & AT_EMPTY_PATH) != 0 ? PATH_EMPTY : 0);
}

static int64_t make_dir(int dirfd, vaddr_t path, uint32_t mode)
{
    struct path_arg arg;
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_mkdir(&place, arg.text, MODE(mode));
    path_arg_end(&arg);
    return result;
}

SYSCALL(mkdir)
{
    return make_dir(AT_FDCWD, args->arg[0], (uint32_t)args->arg[1]);
}

SYSCALL(mkdirat)
{
    return make_dir((int)args->arg[0], args->arg[1], (uint32_t)args->arg[2]);
}

static int64_t make_node(int dirfd, vaddr_t path, uint32_t mode, uint32_t device)
{
    struct path_arg arg;
    uint32_t type = mode & S_IFMT;

    if (type == S_IFDIR)
        return -EPERM;
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_mknod(&place, arg.text, MODE(mode) | (type == 0 ? S_IFREG : type), device);
    path_arg_end(&arg);
    return result;
}

SYSCALL(mknod)
{
    return make_node(AT_FDCWD, args->arg[0], (uint32_t)args->arg[1], (uint32_t)args->arg[2]);
}

SYSCALL(mknodat)
{
    return make_node((int)args->arg[0], args->arg[1], (uint32_t)args->arg[2], (uint32_t)args->arg[3]);
}

static int64_t take_away(int dirfd, vaddr_t path, bool is_dir)
{
    struct path_arg arg;
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = is_dir ? path_rmdir(&place, arg.text) : path_unlink(&place, arg.text);
    path_arg_end(&arg);
    return result;
}

SYSCALL(unlink)
{
    return take_away(AT_FDCWD, args->arg[0], false);
}

SYSCALL(rmdir)
{
    return take_away(AT_FDCWD, args->arg[0], true);
}

SYSCALL(unlinkat)
{
    uint32_t flags = (uint32_t)args->arg[2];

    if ((flags & ~AT_REMOVEDIR) != 0)
        return -EINVAL;
    return take_away((int)args->arg[0], args->arg[1], flags != 0);
}

static int64_t read_link(int dirfd, vaddr_t path, vaddr_t to, uint64_t room)
{
    struct path_arg arg;

    if ((int)room <= 0)
        return -EINVAL;
    char *text = kmalloc(PATH_BYTES_MAX);

    if (text == NULL)
        return -ENOMEM;
    int64_t result = path_arg_begin(&arg, dirfd, path);

    if (result == 0) {
        const struct path_place place = path_arg_place(&arg);
        size_t bytes = MIN((size_t)(unsigned)room, (size_t)PATH_BYTES_MAX);

        /* An empty path stands for a link that was opened with O_PATH and O_NOFOLLOW. */
        bool is_empty = arg.text[0] == '\0';

        result = is_empty && arg.at != NULL ? name_read_link(arg.at, text, bytes)
                                            : path_read_link(&place, arg.text, text, bytes);
        if (is_empty && result == -EINVAL)
            result = -ENOENT; /* of anything else */
        path_arg_end(&arg);
    }
    if (result > 0 && user_copy_out(to, text, (size_t)result) != 0)
        result = -EFAULT;
    kfree(text);
    return result;
}

SYSCALL(readlink)
{
    return read_link(AT_FDCWD, args->arg[0], args->arg[1], args->arg[2]);
}

SYSCALL(readlinkat)
{
    return read_link((int)args->arg[0], args->arg[1], args->arg[2], args->arg[3]);
}

SYSCALL(truncate)
{
    struct path_arg arg;
    int result = path_arg_begin(&arg, AT_FDCWD, args->arg[0]);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_truncate(&place, arg.text, (int64_t)args->arg[1]);
    path_arg_end(&arg);
    return result;
}

/* ---- access(2): with the real ids, which a copy of the credentials acts with ---- */

#define F_OK 0u

/* The running thread's credentials, with the real ids where files look. */
static int cred_of_real(struct cred **out)
{
    int result = cred_copy(own_cred(), out);

    if (result != 0)
        return result;
    struct cred *cred = *out;

    cred->user.fs = cred->user.real;
    cred->group.fs = cred->group.real;
    cred->caps_effective = cred->user.real == 0 ? cred->caps_permitted : 0;
    return 0;
}

static int64_t may_access(int dirfd, vaddr_t path, uint32_t may, uint32_t flags)
{
    struct name *name = NULL;
    struct cred *acts = NULL;

    if ((may & ~(MAY_READ | MAY_WRITE | MAY_EXEC)) != 0)
        return -EINVAL;
    if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
        return -EINVAL;
    struct path_arg arg;
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    struct path_place place = path_arg_place(&arg);

    if ((flags & AT_EACCESS) == 0) {
        result = cred_of_real(&acts);
        place.cred = acts;
    }
    if (result == 0)
        result = path_lookup(&place, arg.text, walk_flags(flags, (flags & AT_SYMLINK_NOFOLLOW) == 0), &name);
    if (result == 0) {
        if (may != F_OK)
            result = inode_permission(name->inode, place.cred, may);
        name_put(name);
    }
    if (acts != NULL)
        cred_put(acts);
    path_arg_end(&arg);
    return result;
}

SYSCALL(access)
{
    return may_access(AT_FDCWD, args->arg[0], (uint32_t)args->arg[1], 0);
}

SYSCALL(faccessat)
{
    return may_access((int)args->arg[0], args->arg[1], (uint32_t)args->arg[2], 0);
}

SYSCALL(faccessat2)
{
    return may_access((int)args->arg[0], args->arg[1], (uint32_t)args->arg[2], (uint32_t)args->arg[3]);
}

/* ---- chmod(2), chown(2), utimensat(2) ---- */

static int64_t set_mode(int dirfd, vaddr_t path, uint32_t mode, uint32_t flags)
{
    struct name *name;

    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
        return -EINVAL;
    int result = find(dirfd, path, walk_flags(flags, (flags & AT_SYMLINK_NOFOLLOW) == 0), &name);

    if (result != 0)
        return result;
    /* A symlink has no permissions of its own. */
    result = inode_is(name->inode, S_IFLNK) ? -EOPNOTSUPP : inode_set_mode(name->inode, own_cred(), MODE(mode));
    name_put(name);
    return result;
}

SYSCALL(chmod)
{
    return set_mode(AT_FDCWD, args->arg[0], (uint32_t)args->arg[1], 0);
}

SYSCALL(fchmodat)
{
    return set_mode((int)args->arg[0], args->arg[1], (uint32_t)args->arg[2], 0);
}

SYSCALL(fchmodat2)
{
    return set_mode((int)args->arg[0], args->arg[1], (uint32_t)args->arg[2], (uint32_t)args->arg[3]);
}

SYSCALL(fchmod)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    int result = fd.file == NULL || (load_relaxed(&fd.file->flags) & O_PATH) != 0 ? -EBADF : 0;

    if (result == 0)
        result = inode_set_mode(fd.file->inode, own_cred(), MODE(args->arg[1]));
    fd_return(fd);
    return result;
}

static int64_t set_owner(int dirfd, vaddr_t path, uint64_t user, uint64_t group, uint32_t flags)
{
    struct name *name;

    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
        return -EINVAL;
    int result = find(dirfd, path, walk_flags(flags, (flags & AT_SYMLINK_NOFOLLOW) == 0), &name);

    if (result != 0)
        return result;
    result = inode_set_owner(name->inode, own_cred(), (uint32_t)user, (uint32_t)group);
    name_put(name);
    return result;
}

SYSCALL(chown)
{
    return set_owner(AT_FDCWD, args->arg[0], args->arg[1], args->arg[2], 0);
}

SYSCALL(lchown)
{
    return set_owner(AT_FDCWD, args->arg[0], args->arg[1], args->arg[2], AT_SYMLINK_NOFOLLOW);
}

SYSCALL(fchownat)
{
    return set_owner((int)args->arg[0], args->arg[1], args->arg[2], args->arg[3], (uint32_t)args->arg[4]);
}

SYSCALL(fchown)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    int result = fd.file == NULL || (load_relaxed(&fd.file->flags) & O_PATH) != 0 ? -EBADF : 0;

    if (result == 0)
        result = inode_set_owner(fd.file->inode, own_cred(), (uint32_t)args->arg[1], (uint32_t)args->arg[2]);
    fd_return(fd);
    return result;
}

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

static int time_of(const int64_t pair[2], int64_t *out)
{
    if (pair[1] == UTIME_NOW || pair[1] == UTIME_OMIT) {
        *out = pair[1] == UTIME_NOW ? TIME_NOW : TIME_KEEP;
        return 0;
    }
    if (pair[1] < 0 || pair[1] >= (int64_t)NS_PER_SEC)
        return -EINVAL;
    if (pair[0] > INT64_MAX / (int64_t)NS_PER_SEC - 1 || pair[0] < INT64_MIN / (int64_t)NS_PER_SEC + 1)
        return -EINVAL;
    *out = pair[0] * (int64_t)NS_PER_SEC + pair[1];
    return 0;
}

static int64_t set_times(struct inode *inode, vaddr_t times)
{
    int64_t pair[4], accessed = TIME_NOW, modified = TIME_NOW;
    int result = times == 0 ? 0 : user_copy_in(pair, times, sizeof pair);

    if (result == 0 && times != 0)
        result = time_of(pair, &accessed);
    if (result == 0 && times != 0)
        result = time_of(pair + 2, &modified);
    return result != 0 ? result : inode_set_times(inode, own_cred(), accessed, modified);
}

SYSCALL(utimensat)
{
    int dirfd = (int)args->arg[0];
    vaddr_t path = args->arg[1];
    uint32_t flags = (uint32_t)args->arg[3];
    int64_t result;

    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
        return -EINVAL;
    if (path == 0 && dirfd != AT_FDCWD) { /* futimens(3) */
        struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)dirfd);

        result = fd.file == NULL ? -EBADF : set_times(fd.file->inode, args->arg[2]);
        fd_return(fd);
        return result;
    }
    struct name *name;

    result = find(dirfd, path, walk_flags(flags, (flags & AT_SYMLINK_NOFOLLOW) == 0), &name);
    if (result != 0)
        return result;
    result = set_times(name->inode, args->arg[2]);
    name_put(name);
    return result;
}

/* utime(2) has seconds, the other two microseconds; `times` 0: now. */
static int64_t set_times_at(int dirfd, vaddr_t path, const int64_t pair[4])
{
    int64_t accessed = TIME_NOW, modified = TIME_NOW;
    struct name *name;
    int result = pair == NULL ? 0 : time_of(pair, &accessed);

    if (result == 0 && pair != NULL)
        result = time_of(pair + 2, &modified);
    if (result == 0)
        result = find(dirfd, path, PATH_FOLLOW, &name);
    if (result != 0)
        return result;
    result = inode_set_times(name->inode, own_cred(), accessed, modified);
    name_put(name);
    return result;
}

SYSCALL(utime)
{
    int64_t seconds[2] = { 0, 0 };
    int result = args->arg[1] == 0 ? 0 : user_copy_in(seconds, args->arg[1], sizeof seconds);
    const int64_t pair[4] = { seconds[0], 0, seconds[1], 0 };

    return result != 0 ? result : set_times_at(AT_FDCWD, args->arg[0], args->arg[1] == 0 ? NULL : pair);
}

static int64_t set_microseconds(int dirfd, vaddr_t path, vaddr_t times)
{
    int64_t pair[4];
    int result = times == 0 ? 0 : user_copy_in(pair, times, sizeof pair);

    if (result != 0)
        return result;
    for (unsigned i = 1; i < 4 && times != 0; i += 2) {
        if (pair[i] < 0 || pair[i] >= (int64_t)(NS_PER_SEC / NS_PER_US))
            return -EINVAL;
        pair[i] *= (int64_t)NS_PER_US;
    }
    return set_times_at(dirfd, path, times == 0 ? NULL : pair);
}

SYSCALL(utimes)
{
    return set_microseconds(AT_FDCWD, args->arg[0], args->arg[1]);
}

SYSCALL(futimesat)
{
    return set_microseconds((int)args->arg[0], args->arg[1], args->arg[2]);
}

/* ---- What takes two paths ---- */

static int64_t move(int old_dirfd, vaddr_t old_path, int dirfd, vaddr_t path, uint32_t flags)
{
    struct path_arg from, to;

    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0)
        return -EINVAL;
    if (flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int result = path_arg_begin(&from, old_dirfd, old_path);

    if (result != 0)
        return result;
    result = path_arg_begin(&to, dirfd, path);
    if (result == 0) {
        const struct path_place from_place = path_arg_place(&from), to_place = path_arg_place(&to);

        result = path_rename(&from_place, from.text, &to_place, to.text, flags);
        path_arg_end(&to);
    }
    path_arg_end(&from);
    return result;
}

SYSCALL(rename)
{
    return move(AT_FDCWD, args->arg[0], AT_FDCWD, args->arg[1], 0);
}

SYSCALL(renameat)
{
    return move((int)args->arg[0], args->arg[1], (int)args->arg[2], args->arg[3], 0);
}

SYSCALL(renameat2)
{
    return move((int)args->arg[0], args->arg[1], (int)args->arg[2], args->arg[3], (uint32_t)args->arg[4]);
}

static int64_t make_link(int old_dirfd, vaddr_t old_path, int dirfd, vaddr_t path, uint32_t flags)
{
    struct path_arg from, to;

    if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0)
        return -EINVAL;
    int result = path_arg_begin(&from, old_dirfd, old_path);

    if (result != 0)
        return result;
    result = path_arg_begin(&to, dirfd, path);
    if (result == 0) {
        const struct path_place from_place = path_arg_place(&from), to_place = path_arg_place(&to);

        result = path_link(&from_place, from.text, &to_place, to.text,
                           walk_flags(flags, (flags & AT_SYMLINK_FOLLOW) != 0));
        path_arg_end(&to);
    }
    path_arg_end(&from);
    return result;
}

SYSCALL(link)
{
    return make_link(AT_FDCWD, args->arg[0], AT_FDCWD, args->arg[1], 0);
}

SYSCALL(linkat)
{
    return make_link((int)args->arg[0], args->arg[1], (int)args->arg[2], args->arg[3], (uint32_t)args->arg[4]);
}

static int64_t make_symlink(vaddr_t target, int dirfd, vaddr_t path)
{
    struct path_arg arg;
    char *text = kmalloc(PATH_BYTES_MAX);

    if (text == NULL)
        return -ENOMEM;
    int64_t result = user_copy_string(text, target, PATH_BYTES_MAX);

    if (result == 0)
        result = -ENOENT;
    if (result > 0)
        result = path_arg_begin(&arg, dirfd, path);
    if (result == 0) {
        const struct path_place place = path_arg_place(&arg);

        result = path_symlink(&place, text, arg.text);
        path_arg_end(&arg);
    }
    kfree(text);
    return result;
}

SYSCALL(symlink)
{
    return make_symlink(args->arg[0], AT_FDCWD, args->arg[1]);
}

SYSCALL(symlinkat)
{
    return make_symlink(args->arg[0], (int)args->arg[1], args->arg[2]);
}
