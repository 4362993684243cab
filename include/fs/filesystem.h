/* SPDX-License-Identifier: MIT */
/*
 * Which file systems there are, and which are mounted. Boot makes the first root, a ramfs, which stays.
 *
 *   MOUNTED -> gone      path_unmount(): nobody is in it. Who would come in meanwhile waits for the decision
 *   MOUNTED -> DETACHED  path_unmount() with MNT_DETACH: in no tree any more, with all that was mounted in it
 *   DETACHED -> gone     whoever was in it has left: looked at when a file of it is closed, a working directory goes,
 *                        or anything is mounted or unmounted
 *
 * The one file system of a single type is not gone then, but may be mounted again. Context: task.
 */
#pragma once

#include <fs/inode.h>

struct filesystem_type {
    const char *name;
    /* -ENOMEM; -EINVAL: options. Its `link` is in no list. */
    int (*create)(const char *options, struct filesystem **out);
    bool is_single; /* there is one, which create() gives each time, and which may be mounted at one place */
};

/* Boot: everything that this room has, and an empty root. Panics if there is no memory. */
void fs_init(void);

/* Boot: devfs, procfs, sysfs and two of tmpfs at /dev, /proc, /sys, /tmp and /dev/shm, which are made if they are
 * missing. What fails is logged, and the rest goes on. */
void fs_mount_usual(void);

/* Register at boot. At most FILESYSTEM_TYPES_MAX. */
#define FILESYSTEM_TYPES_MAX 8u
void filesystem_register(const struct filesystem_type *type);
const struct filesystem_type *filesystem_type_find(const char *name); /* or NULL */

/* The first root, a reference. */
struct name *fs_root(void);
/* From now on the first file system grows by half of what memory is free, at most, as tmpfs by half of all: whoever
 * fills it must have room left to remove it. Boot, behind what was there to be unpacked. */
void fs_limit_root(void);

/* For lists of mounts: fn for each, oldest first, until it says false; nothing is mounted meanwhile. */
void filesystem_for_each(bool (*fn)(struct filesystem *fs, void *argument), void *argument);

/* Take a file system away that nobody uses, and nobody can come to any more: for tests. */
void filesystem_forget(struct filesystem *fs);

/* Is nobody in it? Who goes up meanwhile, by "..", or moves something may be overlooked. */
bool filesystem_is_idle(struct filesystem *fs);
/* Take its tree apart, which nothing is mounted in; who still uses some of it has a file or directory that was removed.
 * It is freed when they are done. */
void filesystem_destroy(struct filesystem *fs);
/* Free what is detached and idle. */
void filesystem_sweep(void);
/* Wait until no unmounting is under way. */
void filesystem_settle(void);

/* statfs(2). */
struct filesystem_stat {
    uint32_t magic;
    uint64_t blocks, blocks_free; /* of PAGE_BYTES; 0: no limit */
    uint64_t inodes, inodes_free;
};
void filesystem_stat_get(struct filesystem *fs, struct filesystem_stat *out);

/* ramfs and tmpfs: one implementation; limits in pages and inodes, 0: none. */
struct ramfs_limits {
    uint64_t pages, inodes;
    uint32_t mode, user, group; /* of the root */
};
int ramfs_create(const char *type, const struct ramfs_limits *limits, struct filesystem **out) MUST_USE;
extern const struct filesystem_type ramfs_type, tmpfs_type, devfs_type;
void devfs_init(void); /* boot: devfs and the devices that are always there. For fs_init() */
