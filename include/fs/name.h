/* SPDX-License-Identifier: MIT */
/*
 * Names: the tree that paths walk. A name leads to an inode, once and for ever; what changes is where it is: its text
 * and its parent. A directory of ramfs holds its names by a reference each; a name holds its parent. So a name that
 * somebody uses has a path up to the root, and one that nobody uses lives if and only if it is in a directory.
 *
 * A file system is mounted at one place at most, so a name also says in which mount it is.
 *
 * Locks: the mutex of the parent's inode guards that a name is in the directory (is_linked). Text, parent and mounts
 * are changed with that mutex and the names' spinlock (LOCK_NAMES) held, and read with either of them.
 */
#pragma once

#include <fs/inode.h>

struct fs_context;

struct name {
    _Atomic(uint32_t) refs; /* PAIRS(name_ref) */

    /* Immutable. */
    struct inode *inode; /* counted */
    bool is_dynamic;     /* of a dynamic directory: never linked */

    /* See above. */
    struct name *parent;         /* counted; NULL: the root of its file system */
    char *text;                  /* NUL-terminated, owned; "" of roots */
    uint16_t text_bytes;
    bool is_linked;
    struct filesystem *mounted;  /* what covers it, or NULL */

    /* Guarded by the mutex of the parent's inode. */
    uint32_t hash;
    uint64_t position; /* in the directory: getdents64(2) tells it */
    struct rb_node by_name, by_position;
};

/* Boot. */
void name_init(void);

/* A name that is in no directory yet, with one reference; takes references to inode and parent (NULL: a root).
 * -ENOMEM. */
int name_create(struct name *parent, const char *text, size_t bytes, struct inode *inode, struct name **out) MUST_USE;

static inline void name_get(struct name *name)
{
    uint32_t before = fetch_add_relaxed(&name->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}
void name_put(struct name *name); /* task, may sleep */

/* ---- A directory's names. dir->inode->mutex is held. O(log n). ---- */

/* The name of that text, no reference taken, or NULL. */
struct name *name_find(struct inode *dir, const char *text, size_t bytes);
void name_link(struct inode *dir, struct name *name);   /* takes a reference */
/* And drops it. -EBUSY: something is mounted there, and nothing has changed. */
int name_unlink(struct inode *dir, struct name *name) MUST_USE;
bool name_dir_is_empty(const struct inode *dir);
/* The first at or behind a position, or NULL. */
struct name *name_at_position(const struct inode *dir, uint64_t position);

/* Take a name from one directory to another (or the same) under another text, which it owns from now on; the text it
 * had is returned, for kfree(). Both mutexes are held. */
char *name_move(struct name *name, struct name *to_parent, char *text, size_t bytes) MUST_USE;

/* ---- Up and across ---- */

/* The parent, with a reference; of a mounted root: the parent of what it covers; of `root` and of the first root
 * itself. */
struct name *name_up(struct name *name, const struct name *root);

/* If something is mounted there: its root in place of the name, whose reference is dropped. */
struct name *name_cross_mounts(struct name *name);

/* The parent within its file system, with a reference, or NULL. */
struct name *name_parent(struct name *name);

/* Is `above` the name itself or one of its parents, within its file system? */
bool name_is_below(struct name *name, const struct name *above);

/* The path from `root`, with its NUL; returns its bytes without. What lies outside of root begins with "(unreachable)",
 * what is removed ends with " (deleted)" if `shows_deleted`, else it is -ENOENT. -ERANGE: no room. getcwd(2),
 * /proc/PID/fd. */
int64_t name_path(struct name *name, struct name *root, bool shows_deleted, char *to, size_t room) MUST_USE;

/* For filesystem.c: put a file system there. -EBUSY: something is, or it is removed, or the first root. */
int name_mount(struct name *at, struct filesystem *fs) MUST_USE;
/* The other way. */
void name_unmount(struct filesystem *fs);
/* From here on who would come into it waits (filesystem_settle()), or no longer does. */
void name_set_leaving(struct filesystem *fs, bool is_leaving);
