/* SPDX-License-Identifier: MIT */
/*
 * Trees of names that go as a whole: is anybody in one, and its end. Who is in it has a reference to a name, beside
 * those of the tree itself: of the directory to each of its names, and of each name to its parent.
 */
#include <fs/filesystem.h>

#include <fs/path.h>
#include <k/errno.h>

static bool keeps_names(const struct name *name)
{
    return inode_is(name->inode, S_IFDIR) && name->inode->ops->lookup == NULL;
}

/* The first child at or behind a position, with a reference, or NULL. */
static struct name *child_at(struct name *dir, uint64_t position)
{
    struct name *child = NULL;

    if (!keeps_names(dir))
        return NULL;
    mutex_lock(&dir->inode->mutex);
    child = name_at_position(dir->inode, position);
    if (child != NULL)
        name_get(child);
    mutex_unlock(&dir->inode->mutex);
    return child;
}

static uint32_t count_children(struct name *dir)
{
    uint32_t count = 0;

    if (!keeps_names(dir))
        return 0;
    mutex_lock(&dir->inode->mutex);
    for (struct name *child = name_at_position(dir->inode, 0); child != NULL; count++)
        child = name_at_position(dir->inode, child->position + 1);
    mutex_unlock(&dir->inode->mutex);
    return count;
}

/* The position behind a child; false: it is not there any more. */
static bool position_behind(struct name *dir, struct name *child, uint64_t *out)
{
    mutex_lock(&dir->inode->mutex);
    bool is_there = child->is_linked && child->parent == dir;

    *out = child->position + 1;
    mutex_unlock(&dir->inode->mutex);
    return is_there;
}

/* Each name is looked at before those below it: somebody's walk goes down, too, and was outside when the root was
 * looked at, or is met on its way. One reference is this walk's. */
bool filesystem_is_idle(struct filesystem *fs)
{
    struct name *at = fs->root;
    uint64_t position = 0;
    bool is_idle = true;

    name_get(at);
    while (is_idle) {
        if (position == 0) /* it comes here for the first time */
            is_idle = load_relaxed(&at->refs) == 2 + count_children(at);
        struct name *next = child_at(at, position);

        position = 0;
        if (next == NULL) {
            next = name_parent(at);
            if (next == NULL)
                break;
            is_idle = is_idle && position_behind(next, at, &position);
        }
        name_put(at);
        at = next;
    }
    name_put(at);
    return is_idle;
}

/* Remove one name without others below it. False: there is none. Somebody may still change the tree. */
static bool remove_one(struct filesystem *fs)
{
    struct name *dir = fs->root, *child;

    name_get(dir);
    for (;;) {
        child = child_at(dir, 0);
        struct name *below = child == NULL ? NULL : child_at(child, 0);

        if (below == NULL)
            break;
        name_put(below);
        name_put(dir);
        dir = child;
    }
    bool is_done = child == NULL && dir == fs->root;

    if (child != NULL) {
        mutex_lock(&dir->inode->mutex);
        if (child->is_linked && child->parent == dir) {
            int error = name_remove_locked(dir, child, inode_is(child->inode, S_IFDIR));

            ASSERT(error == 0 || error == -ENOTEMPTY); /* nothing is mounted in it, nor can be */
        }
        mutex_unlock(&dir->inode->mutex);
        name_put(child);
    }
    name_put(dir);
    return !is_done;
}

static bool try_end_root(struct inode *root)
{
    mutex_lock(&root->mutex);
    bool is_empty = name_dir_is_empty(root);

    root->dir.is_dead = is_empty;
    mutex_unlock(&root->mutex);
    return is_empty;
}

void filesystem_destroy(struct filesystem *fs)
{
    do
        while (remove_one(fs))
            continue;
    while (!try_end_root(fs->root->inode));
    name_put(fs->root);
    filesystem_put(fs);
}
