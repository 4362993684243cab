/* SPDX-License-Identifier: MIT */
/* Names that go. What they led to goes with its last link and its last user. */
#include <fs/path.h>

#include <fs/cred.h>
#include <k/errno.h>

int path_may_remove(struct name *dir, struct name *name, const struct cred *cred)
{
    struct inode *inode = dir->inode;
    int error = inode_permission(inode, cred, MAY_WRITE | MAY_EXEC);

    if (error != 0)
        return error;
    spin_lock(&inode->lock);
    bool is_sticky = (inode->permissions & S_ISVTX) != 0, owns_dir = cred->user.fs == inode->user;

    spin_unlock(&inode->lock);
    return is_sticky && !owns_dir && !inode_is_owner(name->inode, cred) ? -EPERM : 0;
}

/* A file of a directory whose mutex is held. */
static int remove_file(struct name *dir, struct name *name)
{
    struct inode *inode = name->inode;
    int error;

    if (inode_is(inode, S_IFDIR))
        return -EISDIR;
    error = name_unlink(dir->inode, name);
    if (error == 0)
        inode_add_links(inode, -1);
    return error;
}

/* The same of a directory: from here on nothing comes into it. */
static int remove_dir(struct name *dir, struct name *name)
{
    struct inode *inode = name->inode;
    int error;

    if (!inode_is(inode, S_IFDIR))
        return -ENOTDIR;
    mutex_lock(&inode->mutex);
    error = name_dir_is_empty(inode) ? name_unlink(dir->inode, name) : -ENOTEMPTY;
    if (error == 0)
        inode->dir.is_dead = true;
    mutex_unlock(&inode->mutex);
    if (error == 0) {
        inode_add_links(inode, -2);
        inode_add_links(dir->inode, -1);
    }
    return error;
}

int name_remove_locked(struct name *dir, struct name *name, bool is_dir)
{
    int error = is_dir ? remove_dir(dir, name) : remove_file(dir, name);

    if (error == 0)
        inode_touch_modified(dir->inode);
    return error;
}

static int remove_last(struct path_walk *walk, bool is_dir)
{
    struct name *dir = walk->at, *name;
    int error;

    if (walk->last_bytes > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (dir->inode->ops->lookup != NULL)
        return -EPERM;
    mutex_lock(&dir->inode->mutex);
    name = name_find(dir->inode, walk->last, walk->last_bytes);
    if (name == NULL) {
        mutex_unlock(&dir->inode->mutex);
        return -ENOENT;
    }
    name_get(name);
    error = path_may_remove(dir, name, walk->cred);
    if (error == 0 && walk->has_slash && !inode_is(name->inode, S_IFDIR))
        error = -ENOTDIR;
    if (error == 0)
        error = name_remove_locked(dir, name, is_dir);
    mutex_unlock(&dir->inode->mutex);
    name_put(name); /* with all of the file, perhaps: not under the directory's mutex */
    return error;
}

static int remove(const struct path_place *place, const char *path, bool is_dir)
{
    struct path_walk walk;
    int error = path_walk_begin(&walk, place, path, 0);

    if (error == 0)
        error = path_walk_parent(&walk);
    if (error == 0) {
        if (walk.last_bytes == 0)
            error = is_dir ? -EBUSY : -EISDIR;
        else if (path_walk_last_is_dots(&walk))
            error = !is_dir ? -EISDIR : walk.last_bytes == 1 ? -EINVAL : -ENOTEMPTY;
        else
            error = remove_last(&walk, is_dir);
    }
    path_walk_end(&walk);
    return error;
}

int path_unlink(const struct path_place *place, const char *path)
{
    return remove(place, path, false);
}

int path_rmdir(const struct path_place *place, const char *path)
{
    return remove(place, path, true);
}
