/* SPDX-License-Identifier: MIT */
/*
 * Walking a path. A symlink on the way puts its text in front of what is left, on a stack of as many as one walk may
 * follow: so a walk takes no memory but its own frame, and is a loop. Directories are locked one at a time.
 */
#include <fs/path.h>

#include <fs/cred.h>
#include <fs/filesystem.h>
#include <k/errno.h>
#include <lib/string.h>

int path_walk_begin(struct path_walk *walk, const struct path_place *place, const char *path, unsigned flags)
{
    walk->cred = place->cred;
    walk->root = walk->at = NULL;
    walk->rest = path;
    walk->last = path;
    walk->last_bytes = 0;
    walk->has_slash = false;
    walk->links = walk->depth = 0;
    if (path[0] == 0 && (flags & PATH_EMPTY) == 0)
        return -ENOENT;
    if (strnlen(path, PATH_BYTES_MAX) == PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    walk->root = fs_context_root(place->context);
    if (path[0] == '/') {
        name_get(walk->root);
        walk->at = walk->root;
    } else if (place->at != NULL) {
        name_get(place->at);
        walk->at = place->at;
    } else {
        walk->at = fs_context_cwd(place->context);
    }
    return 0;
}

static void pop_link(struct path_walk *walk)
{
    struct path_walk_link *link = &walk->stack[--walk->depth];

    walk->rest = link->rest;
    inode_put(link->inode);
}

void path_walk_end(struct path_walk *walk)
{
    while (walk->depth > 0)
        pop_link(walk);
    if (walk->at != NULL)
        name_put(walk->at);
    if (walk->root != NULL)
        name_put(walk->root);
}

static void go_to(struct path_walk *walk, struct name *name)
{
    name_put(walk->at);
    walk->at = name;
}

/* The next component into `last`; false: there is none. Texts of symlinks end, and the path goes on behind them. */
static bool next_component(struct path_walk *walk)
{
    for (;;) {
        while (*walk->rest == '/')
            walk->rest++;
        if (*walk->rest != 0)
            break;
        if (walk->depth == 0)
            return false;
        pop_link(walk);
    }
    walk->last = walk->rest;
    while (*walk->rest != '/' && *walk->rest != 0)
        walk->rest++;
    walk->last_bytes = (size_t)(walk->rest - walk->last);
    return true;
}

/* Does something follow the component? Sets has_slash: one that ends in slashes must be a directory. */
static bool has_more(struct path_walk *walk)
{
    const char *rest = walk->rest;

    walk->has_slash = false;
    for (unsigned depth = walk->depth;; rest = walk->stack[--depth].rest) {
        walk->has_slash |= *rest == '/';
        while (*rest == '/')
            rest++;
        if (*rest != 0)
            return true;
        if (depth == 0)
            return false;
    }
}

static int may_search(const struct path_walk *walk)
{
    struct inode *dir = walk->at->inode;

    if (!inode_is(dir, S_IFDIR))
        return -ENOTDIR;
    return inode_permission(dir, walk->cred, MAY_EXEC);
}

static int look_up_dynamic(struct name *dir, const char *text, size_t bytes, struct name **out)
{
    struct inode *inode;
    int error = dir->inode->ops->lookup(dir->inode, text, bytes, &inode);

    if (error != 0)
        return error;
    error = name_create(dir, text, bytes, inode, out);
    inode_put(inode);
    return error;
}

static int look_up(struct name *dir, const char *text, size_t bytes, struct name **out)
{
    struct name *name;

    if (dir->inode->ops->lookup != NULL)
        return look_up_dynamic(dir, text, bytes, out);
    mutex_lock(&dir->inode->mutex);
    name = name_find(dir->inode, text, bytes);
    if (name != NULL)
        name_get(name);
    mutex_unlock(&dir->inode->mutex);
    *out = name;
    return name != NULL ? 0 : -ENOENT;
}

int path_walk_last(struct path_walk *walk, struct name **out)
{
    int error = may_search(walk);

    if (error != 0)
        return error;
    if (walk->last_bytes > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (path_walk_last_is_dots(walk)) {
        *out = walk->at;
        if (walk->last_bytes == 2)
            *out = name_up(walk->at, walk->root);
        else
            name_get(walk->at);
        return 0;
    }
    return look_up(walk->at, walk->last, walk->last_bytes, out);
}

/* What a magic link leads to becomes the place. */
static int follow_magic(struct path_walk *walk, struct name *link)
{
    struct name *target;
    int error = link->inode->ops->follow(link->inode, &target);

    if (error == 0)
        go_to(walk, target);
    return error;
}

/* The link's text is walked next. */
static int follow_text(struct path_walk *walk, struct name *link)
{
    struct inode *inode = link->inode;

    if (inode->link[0] == 0)
        return -ENOENT;
    inode_get(inode);
    walk->stack[walk->depth++] = (struct path_walk_link){inode, walk->rest};
    walk->rest = inode->link;
    if (inode->link[0] == '/') {
        name_get(walk->root);
        go_to(walk, walk->root);
    }
    return 0;
}

int path_walk_follow(struct path_walk *walk, struct name *link)
{
    int error;

    if (walk->links++ >= SYMLINKS_MAX)
        error = -ELOOP;
    else if (link->inode->link == NULL)
        error = follow_magic(walk, link);
    else
        error = follow_text(walk, link);
    store_relaxed(&link->inode->accessed_ns, fs_now_ns());
    name_put(link);
    walk->last_bytes = 0;
    return error;
}

/* One component that something follows. */
static int step(struct path_walk *walk)
{
    struct name *next;
    int error = path_walk_last(walk, &next);

    if (error != 0)
        return error;
    if (inode_is(next->inode, S_IFLNK))
        return path_walk_follow(walk, next);
    go_to(walk, name_cross_mounts(next));
    return 0;
}

int path_walk_parent(struct path_walk *walk)
{
    int error = 0;

    while (error == 0) {
        walk->last_bytes = 0;
        if (!next_component(walk)) /* the end is where we are: "/", or behind a magic link */
            return 0;
        if (!has_more(walk))
            return may_search(walk);
        error = step(walk);
    }
    return error;
}

int path_walk_to_end(struct path_walk *walk, unsigned flags, struct name **out)
{
    struct name *next;
    int error;

    for (;;) {
        error = path_walk_parent(walk);
        if (error != 0)
            return error;
        if (walk->last_bytes == 0)
            break;
        error = path_walk_last(walk, &next);
        if (error != 0)
            return error;
        if (!inode_is(next->inode, S_IFLNK) || !((flags & PATH_FOLLOW) != 0 || walk->has_slash)) {
            go_to(walk, name_cross_mounts(next));
            break;
        }
        error = path_walk_follow(walk, next);
        if (error != 0)
            return error;
    }
    if (((flags & PATH_DIRECTORY) != 0 || walk->has_slash) && !inode_is(walk->at->inode, S_IFDIR))
        return -ENOTDIR;
    name_get(walk->at);
    *out = walk->at;
    return 0;
}

int path_lookup(const struct path_place *place, const char *path, unsigned flags, struct name **out)
{
    struct path_walk walk;
    int error = path_walk_begin(&walk, place, path, flags);

    if (error == 0)
        error = path_walk_to_end(&walk, flags, out);
    path_walk_end(&walk);
    return error;
}

/* ---- Symlinks ---- */

int64_t name_read_link(struct name *name, char *to, size_t room)
{
    struct inode *inode = name->inode;

    if (!inode_is(inode, S_IFLNK))
        return -EINVAL;
    if (inode->link == NULL)
        return inode->ops->read_link(inode, to, room);
    size_t bytes = MIN(strlen(inode->link), room);

    memcpy(to, inode->link, bytes);
    return (int64_t)bytes;
}

int64_t path_read_link(const struct path_place *place, const char *path, char *to, size_t room)
{
    struct name *name;
    int64_t result = path_lookup(place, path, PATH_EMPTY, &name);

    if (result != 0)
        return result;
    result = name_read_link(name, to, room);
    name_put(name);
    return result;
}
