/* SPDX-License-Identifier: MIT */
/* open(2), and truncate(2) by path. */
#include "fs_priv.h"

#include <fs/path.h>

#include <fs/cred.h>
#include <fs/dev.h>
#include <fs/filesystem.h>
#include <fs/pipe.h>
#include <k/errno.h>

static const struct file_ops path_only_ops; /* O_PATH: a place, nothing to read or write */

static unsigned wanted_rights(uint32_t flags)
{
    static const uint8_t rights[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};

    return rights[flags & O_ACCMODE] | ((flags & O_TRUNC) != 0 ? MAY_WRITE : 0);
}

/* May it be opened so? */
static int check(struct inode *inode, const struct cred *cred, uint32_t flags)
{
    unsigned may = wanted_rights(flags);

    if (inode_is(inode, S_IFLNK))
        return -ELOOP;
    if ((flags & O_DIRECTORY) != 0 && !inode_is(inode, S_IFDIR))
        return -ENOTDIR;
    if (inode_is(inode, S_IFDIR) && (may & MAY_WRITE) != 0)
        return -EISDIR;
    if ((flags & O_NOATIME) != 0 && !inode_is_owner(inode, cred))
        return -EPERM;
    return inode_permission(inode, cred, may);
}

/* The file, by what it is. */
static int open_inode(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    if ((inode_is(inode, S_IFCHR) || inode_is(inode, S_IFBLK)) && (filesystem_flags(inode->fs) & MS_NODEV) != 0)
        return -EACCES;
    if (inode->ops->open != NULL)
        return inode->ops->open(inode, name, flags, out);
    if (inode_is(inode, S_IFDIR))
        return file_create(inode, name, &directory_ops, flags, out);
    if (inode_is(inode, S_IFIFO))
        return fifo_open(inode, name, flags, out);
    if (inode_is(inode, S_IFCHR))
        return device_open(inode, name, flags, out);
    return -ENXIO;
}

/* For somebody who does not have it open for writing. */
static int cut(struct inode *inode, int64_t bytes)
{
    int error = inode_writer_begin(inode);

    if (error != 0)
        return error;
    error = inode_truncate(inode, bytes);
    inode_writer_end(inode);
    return error;
}

static int open_and_cut(struct name *name, uint32_t flags, struct file **out)
{
    struct inode *inode = name->inode;
    int error = open_inode(inode, name, flags, out);

    if (error == 0 && (flags & O_TRUNC) != 0 && inode_is(inode, S_IFREG)) {
        error = cut(inode, 0);
        if (error != 0)
            file_put(*out);
    }
    return error;
}

int name_open(struct name *name, const struct cred *cred, uint32_t flags, struct file **out)
{
    int error;

    if ((flags & O_PATH) != 0)
        return file_create(name->inode, name, &path_only_ops, flags, out);
    error = check(name->inode, cred, flags);
    return error != 0 ? error : open_and_cut(name, flags, out);
}

/* What is not there is not made. */
static int open_existing(const struct path_place *place, const char *path, uint32_t flags, struct file **out)
{
    unsigned how = ((flags & O_NOFOLLOW) != 0 ? 0 : PATH_FOLLOW) | ((flags & O_DIRECTORY) != 0 ? PATH_DIRECTORY : 0);
    struct name *name;
    int error = path_lookup(place, path, how, &name);

    if (error != 0)
        return error;
    error = name_open(name, place->cred, flags, out);
    name_put(name);
    return error;
}

/* walk->last is not there: make it, unless somebody has been faster: -EAGAIN. The maker may write to it, whatever its
 * permissions say to others. */
static int make_and_open(struct path_walk *walk, const struct path_place *place, uint32_t flags, uint32_t mode,
                         struct file **out)
{
    struct inode *dir = walk->at->inode;
    struct inode_spec spec = {.mode = S_IFREG | (mode & S_PERMISSIONS)};
    struct name *name;
    int error = -EAGAIN;

    if (dir->ops->make == NULL)
        return dir->ops->lookup != NULL ? -ENOENT : -EACCES; /* what is made up is not there, and that is all */
    mutex_lock(&dir->mutex);
    if (name_find(dir, walk->last, walk->last_bytes) == NULL)
        error = path_make_locked(walk, place->context, &spec, &name);
    mutex_unlock(&dir->mutex);
    if (error != 0)
        return error;
    error = open_and_cut(name, flags & ~O_TRUNC, out);
    name_put(name);
    return error;
}

/* walk->last is there. 1: it was a symlink, go on. */
static int open_found(struct path_walk *walk, struct name *name, uint32_t flags, struct file **out)
{
    int error;

    if ((flags & O_EXCL) != 0) {
        error = -EEXIST;
    } else if (inode_is(name->inode, S_IFLNK)) {
        if ((flags & O_NOFOLLOW) == 0) {
            error = path_walk_follow(walk, name);
            return error != 0 ? error : 1;
        }
        error = -ELOOP;
    } else {
        name = name_cross_mounts(name);
        error = inode_is(name->inode, S_IFDIR) ? -EISDIR : name_open(name, walk->cred, flags, out);
    }
    name_put(name);
    return error;
}

static int open_or_make(const struct path_place *place, const char *path, uint32_t flags, uint32_t mode,
                        struct file **out)
{
    struct path_walk walk;
    struct name *name;
    int error = path_walk_begin(&walk, place, path, 0);

    if (error == 0)
        error = path_walk_parent(&walk);
    while (error == 0) {
        if (walk.last_bytes == 0 && !inode_is(walk.at->inode, S_IFDIR)) { /* what a magic link has led to */
            error = name_open(walk.at, walk.cred, flags, out);
            break;
        }
        if (walk.last_bytes == 0 || path_walk_last_is_dots(&walk) || walk.has_slash) {
            error = -EISDIR;
            break;
        }
        error = path_walk_last(&walk, &name);
        if (error == -ENOENT) {
            error = make_and_open(&walk, place, flags, mode, out);
            if (error != -EAGAIN)
                break;
            error = 0; /* it is there now: look again */
        } else if (error == 0) {
            error = open_found(&walk, name, flags, out);
            if (error != 1)
                break;
            error = path_walk_parent(&walk);
        }
    }
    path_walk_end(&walk);
    return error;
}

int path_open(const struct path_place *place, const char *path, uint32_t flags, uint32_t mode, struct file **out)
{
    if ((flags & O_TMPFILE) != 0)
        return -EOPNOTSUPP;
    if ((flags & O_PATH) != 0)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & O_CREAT) == 0)
        return open_existing(place, path, flags, out);
    return (flags & O_DIRECTORY) != 0 ? -EINVAL : open_or_make(place, path, flags, mode, out);
}

int path_truncate(const struct path_place *place, const char *path, int64_t bytes)
{
    struct name *name;
    int error = bytes < 0 ? -EINVAL : path_lookup(place, path, PATH_FOLLOW, &name);

    if (error != 0)
        return error;
    error = inode_is(name->inode, S_IFDIR) ? -EISDIR : inode_permission(name->inode, place->cred, MAY_WRITE);
    if (error == 0)
        error = cut(name->inode, bytes);
    name_put(name);
    return error;
}
