/* SPDX-License-Identifier: MIT */
/* New names: of fresh inodes, and of those that have one already. */
#include <fs/path.h>

#include <fs/cred.h>
#include <fs/filesystem.h>
#include <k/errno.h>
#include <lib/string.h>

#define LINKS_MAX 65000u /* as ext4: programs that count links keep them in 16 bits more often than not */

/* May names be made in the directory? Its mutex is held. */
static int may_add(const struct path_walk *walk)
{
    struct inode *dir = walk->at->inode;

    if (dir->dir.is_dead)
        return -ENOENT;
    return inode_permission(dir, walk->cred, MAY_WRITE | MAY_EXEC);
}

/* Whose it is: the directory's group, if that says so. */
static void set_owner(struct inode *dir, const struct cred *cred, struct inode_spec *spec)
{
    spin_lock(&dir->lock);
    bool inherits = (dir->permissions & S_ISGID) != 0;
    uint32_t group = dir->group;

    spin_unlock(&dir->lock);
    spec->user = cred->user.fs;
    spec->group = inherits ? group : cred->group.fs;
    if (!inherits)
        return;
    if ((spec->mode & S_IFMT) == S_IFDIR)
        spec->mode |= S_ISGID;
    else if ((spec->mode & S_IXGRP) != 0 && !cred_in_group(cred, group) && !cred_can(cred, CAP_FSETID))
        spec->mode &= ~S_ISGID;
}

static int add(struct path_walk *walk, struct inode *inode, struct name **out)
{
    struct name *dir = walk->at;
    int error = name_create(dir, walk->last, walk->last_bytes, inode, out);

    if (error != 0)
        return error;
    name_link(dir->inode, *out);
    inode_touch_modified(dir->inode);
    return 0;
}

int path_add_locked(struct path_walk *walk, struct inode *inode, struct name **out)
{
    int error = may_add(walk);

    return error != 0 ? error : add(walk, inode, out);
}

int path_make_locked(struct path_walk *walk, const struct fs_context *context, struct inode_spec *spec,
                     struct name **out)
{
    struct inode *dir = walk->at->inode, *inode;
    int error = may_add(walk);

    if (error != 0)
        return error;
    if (dir->ops->make == NULL)
        return -EACCES;
    if ((spec->mode & S_IFMT) != S_IFLNK)
        spec->mode &= ~(load_relaxed(&context->umask) & 0777);
    set_owner(dir, walk->cred, spec);
    error = dir->ops->make(dir, spec, &inode);
    if (error != 0)
        return error;
    error = add(walk, inode, out);
    if (error == 0) {
        bool is_dir = inode_is(inode, S_IFDIR);

        inode_add_links(inode, is_dir ? 2 : 1);
        if (is_dir)
            inode_add_links(dir, 1);
    }
    inode_put(inode);
    return error;
}

/* To the place of a name that is not there yet. */
static int walk_to_new(struct path_walk *walk, bool may_end_in_slash)
{
    struct name *there;
    int error = path_walk_parent(walk);

    if (error != 0)
        return error;
    if (walk->last_bytes == 0 || path_walk_last_is_dots(walk))
        return -EEXIST;
    error = path_walk_last(walk, &there);
    if (error == 0)
        name_put(there);
    if (error != -ENOENT)
        return error == 0 ? -EEXIST : error;
    if (walk->has_slash && !may_end_in_slash)
        return -ENOENT;
    return walk->at->inode->ops->make == NULL ? -EACCES : 0;
}

static int make(const struct path_place *place, const char *path, struct inode_spec *spec)
{
    struct path_walk walk;
    struct name *name = NULL;
    int error = path_walk_begin(&walk, place, path, 0);

    if (error == 0)
        error = walk_to_new(&walk, (spec->mode & S_IFMT) == S_IFDIR);
    if (error == 0) {
        struct inode *dir = walk.at->inode;

        mutex_lock(&dir->mutex);
        if (name_find(dir, walk.last, walk.last_bytes) != NULL)
            error = -EEXIST;
        else
            error = path_make_locked(&walk, place->context, spec, &name);
        mutex_unlock(&dir->mutex);
    }
    if (name != NULL)
        name_put(name);
    path_walk_end(&walk);
    return error;
}

int path_mkdir(const struct path_place *place, const char *path, uint32_t mode)
{
    struct inode_spec spec = {.mode = S_IFDIR | (mode & (0777 | S_ISVTX))};

    return make(place, path, &spec);
}

int path_mknod(const struct path_place *place, const char *path, uint32_t mode, uint32_t device)
{
    struct inode_spec spec = {.mode = (mode & S_IFMT) == 0 ? mode | S_IFREG : mode, .device = device};

    switch (spec.mode & S_IFMT) {
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
        spec.device = 0;
        break;
    case S_IFCHR:
    case S_IFBLK:
        if (!cred_can(place->cred, CAP_MKNOD))
            return -EPERM;
        break;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
    spec.mode &= S_IFMT | S_PERMISSIONS;
    return make(place, path, &spec);
}

int path_symlink(const struct path_place *place, const char *target, const char *path)
{
    struct inode_spec spec = {.mode = S_IFLNK | 0777, .link = target};

    if (target[0] == 0)
        return -ENOENT;
    if (strnlen(target, PATH_BYTES_MAX) == PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    return make(place, path, &spec);
}

/* ---- Links ---- */

/* One link more, if it has any: what has no name any more gets none again. */
static int count_link(struct inode *inode)
{
    int error = 0;

    spin_lock(&inode->lock);
    if (inode->links == 0)
        error = -ENOENT;
    else if (inode->links >= LINKS_MAX)
        error = -EMLINK;
    else
        inode->links++;
    spin_unlock(&inode->lock);
    return error;
}

static int link_inode(struct path_walk *walk, struct inode *inode)
{
    struct inode *dir = walk->at->inode;
    struct name *name;
    int error;

    if (dir->fs != inode->fs)
        return -EXDEV;
    if (inode_is(inode, S_IFDIR))
        return -EPERM;
    mutex_lock(&dir->mutex);
    error = name_find(dir, walk->last, walk->last_bytes) != NULL ? -EEXIST : count_link(inode);
    if (error == 0) {
        error = path_add_locked(walk, inode, &name);
        if (error != 0)
            inode_add_links(inode, -1);
        else
            inode_add_links(inode, 0); /* the time of change */
    }
    mutex_unlock(&dir->mutex);
    if (error == 0)
        name_put(name);
    return error;
}

int path_link(const struct path_place *old_place, const char *old_path, const struct path_place *place,
              const char *path, unsigned flags)
{
    struct path_walk walk;
    struct name *old;
    int error = path_lookup(old_place, old_path, flags, &old);

    if (error != 0)
        return error;
    error = path_walk_begin(&walk, place, path, 0);
    if (error == 0)
        error = walk_to_new(&walk, false);
    if (error == 0)
        error = link_inode(&walk, old->inode);
    path_walk_end(&walk);
    name_put(old);
    return error;
}
