/* SPDX-License-Identifier: MIT */
/*
 * Paths: path_resolution(7), and what system calls do to what paths name. Strings are in kernel memory, at most
 * PATH_BYTES_MAX with their NUL.
 *
 * Locks. Whoever changes one directory holds its mutex; what it removes from there, a directory or a file, may be
 * locked next: parents before children. Whoever needs two directories (a rename) first takes the one rename mutex: then
 * no directory moves, so "above" has a meaning; it locks the upper one of the two first, unrelated ones in the order of
 * their addresses. The names' spinlock comes last.
 *
 * Errors of all: -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -ENAMETOOLONG, -ENOMEM, as the manual pages say; those listed are
 * what is special. Context: task, may sleep.
 */
#pragma once

#include <fs/context.h>
#include <fs/file.h>
#include <fs/name.h>

/* From where, and for whom. */
struct path_place {
    struct fs_context *context;
    const struct cred *cred;
    struct name *at; /* where relative paths begin, a reference of the caller's; NULL: the working directory */
};

#define PATH_FOLLOW 0x1u    /* a symlink at the end is followed */
#define PATH_DIRECTORY 0x2u /* the end must be a directory */
#define PATH_EMPTY 0x4u     /* an empty path is where it begins (AT_EMPTY_PATH) */

int path_lookup(const struct path_place *place, const char *path, unsigned flags, struct name **out) MUST_USE;

/* openat(2). flags O_..; mode as given, the umask is applied here. -EEXIST, -EISDIR, -ENXIO, -ENODEV, -EPERM
 * (O_NOATIME), -EINVAL. */
int path_open(const struct path_place *place, const char *path, uint32_t flags, uint32_t mode, struct file **out)
    MUST_USE;

/* Open what a name leads to, after a look at permissions: for magic links and exec. */
int name_open(struct name *name, const struct cred *cred, uint32_t flags, struct file **out) MUST_USE;

/* mkdir(2), mknod(2), symlink(2), link(2). -EEXIST, -ENOSPC, -EPERM, -EXDEV, -EMLINK. flags of link: PATH_FOLLOW,
 * PATH_EMPTY for the old path. */
int path_mkdir(const struct path_place *place, const char *path, uint32_t mode) MUST_USE;
int path_mknod(const struct path_place *place, const char *path, uint32_t mode, uint32_t device) MUST_USE;
int path_symlink(const struct path_place *place, const char *target, const char *path) MUST_USE;
int path_link(const struct path_place *old_place, const char *old_path, const struct path_place *place,
              const char *path, unsigned flags) MUST_USE;

/* unlink(2), rmdir(2). -EISDIR, -EPERM (sticky), -EBUSY (mounted), -ENOTEMPTY, -EINVAL (".") */
int path_unlink(const struct path_place *place, const char *path) MUST_USE;
int path_rmdir(const struct path_place *place, const char *path) MUST_USE;

/* renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE. -EINVAL: into itself; -EEXIST, -EBUSY, -EXDEV, -ENOTEMPTY,
 * -EISDIR. */
int path_rename(const struct path_place *old_place, const char *old_path, const struct path_place *place,
                const char *path, unsigned flags) MUST_USE;

/* readlink(2): bytes, cut at room. -EINVAL: no symlink. */
int64_t path_read_link(const struct path_place *place, const char *path, char *to, size_t room) MUST_USE;
int64_t name_read_link(struct name *name, char *to, size_t room) MUST_USE;

/* truncate(2). */
int path_truncate(const struct path_place *place, const char *path, int64_t bytes) MUST_USE;

/* A file system at a directory: mount(2) of what filesystem_types have; the caller has looked at CAP_SYS_ADMIN.
 * -ENODEV: no such type; -EBUSY; -EINVAL: in one that is detached. `options` as tmpfs(5) has them: "size=",
 * "nr_inodes=", "mode="; NULL: none. flags: MS_.. of MS_KEPT. */
int path_mount(const struct path_place *place, const char *type, const char *path, const char *options,
               uint32_t flags) MUST_USE;
/* Other flags for what is mounted there. -EINVAL: nothing is; -EBUSY: to be read only, and some is being written. */
int path_remount(const struct path_place *place, const char *path, uint32_t flags) MUST_USE;
/* umount2(2), flags MNT_.., UMOUNT_..: what is mounted there, the caller has looked at CAP_SYS_ADMIN. -EINVAL: nothing
 * is, or the first root; -EBUSY: somebody is in it. Memory that is mapped keeps nobody from it. */
int path_unmount(const struct path_place *place, const char *path, unsigned flags) MUST_USE;

/* ---- For the files of this room ---- */

/* A walk that stops before the last component, and can go on. */
struct path_walk {
    const struct cred *cred;
    struct name *root, *at;  /* counted */
    const char *rest;        /* not walked yet */
    const char *last;        /* the last component, not NUL-terminated; */
    size_t last_bytes;       /* 0: the path is "/" or empty: `at` is the end */
    bool has_slash;          /* behind it: it must be a directory */
    unsigned links, depth;
    struct path_walk_link {
        struct inode *inode; /* counted; its text is being walked */
        const char *rest;    /* behind the symlink */
    } stack[SYMLINKS_MAX];
};

/* Begin; path_walk_end() in any case. */
int path_walk_begin(struct path_walk *walk, const struct path_place *place, const char *path, unsigned flags) MUST_USE;
void path_walk_end(struct path_walk *walk);
/* To the last component: walk->at is the directory of walk->last. */
int path_walk_parent(struct path_walk *walk) MUST_USE;
/* What walk->last names: a reference in *out, mounts not crossed. "." and ".." are steps. -ENOENT. */
int path_walk_last(struct path_walk *walk, struct name **out) MUST_USE;
/* `link`, a symlink in walk->at, is what the path goes on with; path_walk_parent() next. Drops the reference. */
int path_walk_follow(struct path_walk *walk, struct name *link) MUST_USE;
/* All of it. The result is crossed. */
int path_walk_to_end(struct path_walk *walk, unsigned flags, struct name **out) MUST_USE;

static inline bool path_walk_last_is_dots(const struct path_walk *walk)
{
    return walk->last_bytes <= 2 && walk->last[0] == '.' && walk->last[walk->last_bytes - 1] == '.';
}

/* May the caller take `name` out of `dir` (whose mutex is held)? Write right, and sticky directories. */
int path_may_remove(struct name *dir, struct name *name, const struct cred *cred) MUST_USE;
/* Take it out, a directory or another file; the caller has a reference. -EISDIR, -ENOTDIR, -ENOTEMPTY, -EBUSY. */
int name_remove_locked(struct name *dir, struct name *name, bool is_dir) MUST_USE;
/* A new name of a fresh inode in walk->at, whose mutex is held. spec's user and group are filled in here. */
int path_make_locked(struct path_walk *walk, const struct fs_context *context, struct inode_spec *spec,
                     struct name **out)
    MUST_USE;
/* A name and a link for an inode in walk->at, whose mutex is held. Takes references. */
int path_add_locked(struct path_walk *walk, struct inode *inode, struct name **out) MUST_USE;
