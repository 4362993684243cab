/* SPDX-License-Identifier: MIT */
/*
 * Renames. One at a time between directories: then nobody else moves a directory, and which of two is above the other
 * is known. All that may fail, memory for the new text included, comes before the first change.
 */
#include <fs/path.h>

#include <fs/cred.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

static struct mutex rename_mutex = MUTEX_INIT(rename_mutex);

/* Both parents' mutexes, and the rename mutex if they are two: fs/path.h has the order. */
static void lock_both(struct name *a, struct name *b) NO_LOCK_ANALYSIS
{
    if (a->inode == b->inode) {
        mutex_lock(&a->inode->mutex);
        return;
    }
    mutex_lock(&rename_mutex);
    bool a_first = name_is_below(b, a) || (!name_is_below(a, b) && (uintptr_t)a->inode < (uintptr_t)b->inode);

    mutex_lock(a_first ? &a->inode->mutex : &b->inode->mutex);
    mutex_lock(a_first ? &b->inode->mutex : &a->inode->mutex);
}

static void unlock_both(struct name *a, struct name *b) NO_LOCK_ANALYSIS
{
    mutex_unlock(&a->inode->mutex);
    if (a->inode == b->inode)
        return;
    mutex_unlock(&b->inode->mutex);
    mutex_unlock(&rename_mutex);
}

struct renaming {
    struct path_walk *old, *new;
    struct name *source, *target; /* references; target NULL: there is none */
    unsigned flags;
    char *text, *other_text; /* kmalloc: of the source, and for an exchange of the target; in the end what is left */
};

static int find(struct renaming *r)
{
    r->source = name_find(r->old->at->inode, r->old->last, r->old->last_bytes);
    r->target = name_find(r->new->at->inode, r->new->last, r->new->last_bytes);
    if (r->source != NULL)
        name_get(r->source);
    if (r->target != NULL)
        name_get(r->target);
    if (r->source == NULL)
        return -ENOENT;
    if (r->target != NULL && (r->flags & RENAME_NOREPLACE) != 0)
        return -EEXIST;
    return r->target == NULL && (r->flags & RENAME_EXCHANGE) != 0 ? -ENOENT : 0;
}

/* Would a directory become part of itself? */
static int check_loops(const struct renaming *r)
{
    bool exchanges = (r->flags & RENAME_EXCHANGE) != 0;

    if (name_is_below(r->new->at, r->source))
        return -EINVAL;
    if (r->target != NULL && name_is_below(r->old->at, r->target))
        return exchanges ? -EINVAL : -ENOTEMPTY;
    return 0;
}

static int check_types(const struct renaming *r)
{
    bool source_is_dir = inode_is(r->source->inode, S_IFDIR);
    bool target_is_dir = r->target != NULL && inode_is(r->target->inode, S_IFDIR);

    if ((r->flags & RENAME_EXCHANGE) != 0)
        return (r->old->has_slash && !source_is_dir) || (r->new->has_slash && !target_is_dir) ? -ENOTDIR : 0;
    if (!source_is_dir && (r->old->has_slash || r->new->has_slash))
        return -ENOTDIR;
    if (r->target != NULL && source_is_dir != target_is_dir)
        return source_is_dir ? -ENOTDIR : -EISDIR;
    return 0;
}

/* A directory that gets another parent changes its "..". */
static int may_move(struct name *name, struct name *from, struct name *to, const struct cred *cred)
{
    int error = path_may_remove(from, name, cred);

    if (error == 0 && from->inode != to->inode && inode_is(name->inode, S_IFDIR))
        error = inode_permission(name->inode, cred, MAY_WRITE);
    return error;
}

static int check_rights(const struct renaming *r)
{
    const struct cred *cred = r->new->cred;
    struct name *from = r->old->at, *to = r->new->at;
    int error = may_move(r->source, from, to, cred);

    if (error != 0)
        return error;
    if (to->inode->dir.is_dead)
        return -ENOENT;
    if (r->target == NULL)
        return inode_permission(to->inode, cred, MAY_WRITE | MAY_EXEC);
    return (r->flags & RENAME_EXCHANGE) != 0 ? may_move(r->target, to, from, cred)
                                             : path_may_remove(to, r->target, cred);
}

static char *copy_text(const struct path_walk *walk)
{
    char *text = kmalloc(walk->last_bytes + 1);

    if (text != NULL) {
        memcpy(text, walk->last, walk->last_bytes);
        text[walk->last_bytes] = 0;
    }
    return text;
}

/* Links of parents follow the directories that move. */
static void count_move(struct inode *inode, struct inode *from, struct inode *to)
{
    if (from != to && inode_is(inode, S_IFDIR)) {
        inode_add_links(from, -1);
        inode_add_links(to, 1);
    }
    inode_add_links(inode, 0); /* the time of change */
}

static void move(struct renaming *r)
{
    struct inode *from = r->old->at->inode, *to = r->new->at->inode;

    r->text = name_move(r->source, r->new->at, r->text, r->new->last_bytes);
    count_move(r->source->inode, from, to);
    if ((r->flags & RENAME_EXCHANGE) != 0) {
        r->other_text = name_move(r->target, r->old->at, r->other_text, r->old->last_bytes);
        count_move(r->target->inode, to, from);
    }
    inode_touch_modified(from);
    inode_touch_modified(to);
}

/* Both mutexes are held. */
static int rename_locked(struct renaming *r)
{
    bool exchanges = (r->flags & RENAME_EXCHANGE) != 0;
    int error = find(r);

    if (error == 0)
        error = check_loops(r);
    if (error == 0)
        error = check_types(r);
    if (error == 0)
        error = check_rights(r);
    if (error != 0)
        return error;
    if (r->target != NULL && r->target->inode == r->source->inode)
        return 0; /* links of one file: nothing to do */
    if (r->target != NULL && !exchanges)
        error = name_remove_locked(r->new->at, r->target, inode_is(r->target->inode, S_IFDIR));
    if (error == 0)
        move(r);
    return error;
}

static int rename_walked(struct path_walk *old, struct path_walk *new, unsigned flags)
{
    struct renaming r = {.old = old, .new = new, .flags = flags};
    int error = -ENOMEM;

    if (old->at->inode->fs != new->at->inode->fs)
        return -EXDEV;
    if (old->at->inode->ops->lookup != NULL)
        return -EPERM;
    if (MAX(old->last_bytes, new->last_bytes) > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    r.text = copy_text(new);
    r.other_text = (flags & RENAME_EXCHANGE) != 0 ? copy_text(old) : NULL;
    if (r.text != NULL && (r.other_text != NULL || (flags & RENAME_EXCHANGE) == 0)) {
        lock_both(old->at, new->at);
        error = rename_locked(&r);
        unlock_both(old->at, new->at);
    }
    kfree(r.text);
    kfree(r.other_text);
    if (r.source != NULL)
        name_put(r.source);
    if (r.target != NULL)
        name_put(r.target);
    return error;
}

/* To a last component that is a name. */
static int walk_to_name(struct path_walk *walk, const struct path_place *place, const char *path)
{
    int error = path_walk_begin(walk, place, path, 0);

    if (error == 0)
        error = path_walk_parent(walk);
    if (error == 0 && (walk->last_bytes == 0 || path_walk_last_is_dots(walk)))
        error = -EBUSY;
    return error;
}

int path_rename(const struct path_place *old_place, const char *old_path, const struct path_place *place,
                const char *path, unsigned flags)
{
    struct path_walk old, new;
    int error;

    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    error = walk_to_name(&old, old_place, old_path);
    if (error == 0) {
        error = walk_to_name(&new, place, path);
        if (error == 0)
            error = rename_walked(&old, &new, flags);
        path_walk_end(&new);
    }
    path_walk_end(&old);
    return error;
}
