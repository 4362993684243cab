/* SPDX-License-Identifier: MIT */
/*
 * Inodes: files without a name; and the file systems that they belong to. Everything is in memory, so an inode is the
 * file: there is no other copy to be read or written back.
 *
 * Directories are of two kinds. Those of ramfs and devfs are trees of names that this room keeps and changes by itself
 * (fs/name.h). Those of other file systems are *dynamic*: they have a lookup() and their files an iterate(), and
 * nothing is kept; their names and inodes live as long as somebody uses them.
 *
 * Locks, in this order:
 *   inode->mutex  of directories: what is in them, and is_dead; of files: their size, and writes. Of two directories
 *                 see fs/path.h.
 *   inode->lock   LOCK_INODE, for a few instructions: permissions, owner, links
 * Times and size are atomic: read without a lock.
 */
#pragma once

#include <stdbool.h>

#include <fs/abi.h>
#include <k/assert.h>
#include <k/atomic.h>
#include <k/compiler.h>
#include <k/types.h>
#include <lib/rbtree.h>
#include <sched/mutex.h>
#include <smp/spinlock.h>
#include <vm/object.h>

struct cred;
struct file;
struct filesystem;
struct inode;
struct inode_spec;
struct name;
struct pipe;

/* What getdents64(2) tells of one entry. False: there is no room for it, stop. `next` is the position behind it. */
struct dir_entry {
    const char *name;
    size_t bytes;
    uint64_t number;
    uint32_t type; /* S_IFMT */
    uint64_t next;
};
struct dir_sink {
    bool (*emit)(struct dir_sink *sink, const struct dir_entry *entry);
};

/* NULL members: the operation is not there. Context: task, may sleep. */
struct inode_ops {
    /* Of dynamic directories. A new reference, or -ENOENT, -ENOMEM. name[bytes] need not be NUL. */
    int (*lookup)(struct inode *dir, const char *name, size_t bytes, struct inode **out);
    /* Of directories in which names can be made: a fresh inode, not linked. dir->mutex is held. `link`: of a symlink.
     * -ENOSPC, -ENOMEM, -EPERM. NULL: -EACCES. */
    int (*make)(struct inode *dir, const struct inode_spec *spec, struct inode **out);
    /* Of symlinks without a text of their own (inode->link), magic ones: where it leads, a reference. */
    int (*follow)(struct inode *link, struct name **out);
    /* The text of a magic link: bytes, at most room, no NUL. */
    int64_t (*read_link)(struct inode *link, char *to, size_t room);
    /* A new size; inode->mutex is held. NULL: -EINVAL. */
    int (*resize)(struct inode *inode, uint64_t bytes);
    /* fallocate(2): FALLOC_.. of what fs/file.h has, bytes [first, end); inode->mutex is held. NULL: -EOPNOTSUPP. */
    int (*allocate)(struct inode *inode, uint32_t mode, uint64_t first, uint64_t end);
    /* Open: a file with one reference, by file_create(). NULL: by type (directories, FIFOs, devices), else -ENXIO. */
    int (*open)(struct inode *inode, struct name *name, uint32_t flags, struct file **out);
    /* How many blocks of 512 bytes it takes. NULL: 0. */
    uint64_t (*blocks)(struct inode *inode);
    /* A dynamic name is about to be used again: is it still there? NULL: yes. */
    bool (*is_alive)(struct inode *inode);
    /* The last reference is gone: what `data` and `object` are. */
    void (*destroy)(struct inode *inode);
};

/* What an inode is made from. */
struct inode_spec {
    uint32_t mode; /* type and permissions */
    uint32_t user, group;
    uint32_t device;   /* of S_IFCHR and S_IFBLK */
    const char *link;  /* of S_IFLNK: copied */
};

struct inode {
    _Atomic(uint32_t) refs; /* PAIRS(inode_ref) */

    /* Immutable. */
    struct filesystem *fs;
    const struct inode_ops *ops;
    uint64_t number;
    uint32_t type;   /* S_IFMT bits */
    uint32_t device;
    char *link;      /* S_IFLNK: NUL-terminated, owned; NULL: a magic link */
    void *data;      /* the file system's */
    struct vm_object *object; /* of regular files in memory: contents, counted; its end is `bytes` */

    _Atomic(int32_t) writers; /* above 0: who may write to it; below: who executes it. PAIRS(inode_writers) */
    struct mutex mutex;
    struct spinlock lock;
    uint32_t permissions; /* S_PERMISSIONS; guarded by lock */
    uint32_t user, group; /* guarded by lock */
    uint32_t links;       /* guarded by lock */

    _Atomic(uint64_t) bytes; /* written with mutex held. PAIRS(inode_bytes): what was written below it */
    _Atomic(int64_t) accessed_ns, modified_ns, changed_ns; /* since 1970 */
    int64_t born_ns;

    uint32_t flock_holders; /* open files with such a lock, and whether it is exclusive; guarded by fs/flock.h */
    bool flock_is_exclusive;
    bool has_seals;                    /* immutable */
    uint8_t seals;                     /* SEAL_.. of fs/memfd.h; guarded by mutex */
    struct record_lock *records;       /* guarded by fs/record_lock.h, */
    _Atomic(uint32_t) record_locks;    /* and how many */

    union {
        struct {
            struct rb_tree by_name;     /* guarded by mutex */
            struct rb_tree by_position;
            uint64_t next_position;
            bool is_dead;               /* removed: nothing comes in any more */
        } dir;
        struct {
            struct mutex mutex; /* opens and the last close; before the pipe's */
            struct pipe *pipe;  /* guarded by it; NULL: nobody has it open */
        } fifo;
    };
};

static inline bool inode_is(const struct inode *inode, uint32_t type)
{
    return inode->type == type;
}

/* A file system. It lives as long as its tree, any inode, or any memory of its files: `pages` counts them. */
struct filesystem {
    const char *type;  /* "tmpfs" */
    uint32_t magic;    /* of statfs(2) */
    uint32_t device;   /* st_dev */
    struct name *root; /* counted */
    struct name *covers; /* what it is mounted on, counted; NULL: the first one. Guarded by the names' lock */
    bool is_dynamic;
    bool is_internal;  /* mounted nowhere: what is in it has no place, and is not out of reach for that */
    _Atomic(uint64_t) next_number;
    _Atomic(uint64_t) inodes; /* that exist */
    uint64_t inodes_max;      /* UINT64_MAX: no limit */
    struct vm_object_budget pages;
    _Atomic(uint64_t) state;   /* MS_.. flags that it has, and above them how many files are open for writing */
    bool is_single;            /* of a type that has but this one. Guarded, as what follows, by the list's mutex */
    struct list_node link;     /* of all that are mounted, or of all that are detached */
    _Atomic(bool) is_detached; /* it was mounted, is not, and somebody is in it */
    bool is_leaving;           /* guarded by the names' lock: nobody comes in until it is decided */
    void *data;
};

/* Boot. */
void inode_init(void);

/* The time of day (time/wall.h), for times of files. Context: any. */
int64_t fs_now_ns(void);

/* A device number for a file system that is about to be made. */
uint32_t fs_next_device(void);

static inline void filesystem_put(struct filesystem *fs)
{
    vm_object_budget_put(&fs->pages);
}

/* MS_.. flags of its mount. */
static inline uint32_t filesystem_flags(struct filesystem *fs)
{
    return (uint32_t)load_relaxed(&fs->state);
}

/* A file is open for writing. -EROFS. */
int filesystem_writer_begin(struct filesystem *fs) MUST_USE;
void filesystem_writer_end(struct filesystem *fs);
/* -EBUSY: it is to be read only, and some files are open for writing. */
int filesystem_set_flags(struct filesystem *fs, uint32_t flags) MUST_USE;

/* An inode with one reference and no links. -ENOSPC: the file system has no more. -ENOMEM. */
int inode_create(struct filesystem *fs, const struct inode_ops *ops, const struct inode_spec *spec, struct inode **out)
    MUST_USE;

static inline void inode_get(struct inode *inode)
{
    uint32_t before = fetch_add_relaxed(&inode->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}
void inode_put(struct inode *inode); /* task, may sleep */

/* ---- Rights ---- */

#define MAY_EXEC 1u /* of directories: search */
#define MAY_WRITE 2u
#define MAY_READ 4u

/* 0 or -EACCES: path_resolution(7). Context: task. */
int inode_permission(struct inode *inode, const struct cred *cred, unsigned may) MUST_USE;

/* Is it the owner, or may it act as one (CAP_FOWNER)? */
bool inode_is_owner(struct inode *inode, const struct cred *cred);

/* ---- Writing and executing exclude each other ----
 *
 * Of regular files: whoever has one open for writing, or cuts it, counts; and so does each process that executes it.
 * Who would be of the other kind gets -ETXTBSY. What a writer did happens before what an executer does after it, and
 * the other way round. Context: any. */
int inode_writer_begin(struct inode *inode) MUST_USE;
void inode_writer_end(struct inode *inode);
int inode_execution_begin(struct inode *inode) MUST_USE;
void inode_execution_end(struct inode *inode);

/* ---- Attributes ---- */

struct inode_stat {
    uint64_t number, links, bytes, blocks;
    uint32_t mode, user, group, device, on_device; /* device: of the special file; on_device: it is stored on */
    uint32_t block_bytes;
    int64_t accessed_ns, modified_ns, changed_ns, born_ns;
};
void inode_stat_get(struct inode *inode, struct inode_stat *out);

/* chmod(2): -EPERM. S_ISGID goes if the caller is not in the group. */
int inode_set_mode(struct inode *inode, const struct cred *cred, uint32_t permissions) MUST_USE;

/* chown(2): ID_KEEP keeps. -EPERM. The set-id bits go. */
int inode_set_owner(struct inode *inode, const struct cred *cred, uint32_t user, uint32_t group) MUST_USE;

/* utimensat(2). TIME_KEEP leaves one as it is, TIME_NOW is now. -EPERM: not the owner; -EACCES: both are now, and it
 * may not write. */
#define TIME_NOW INT64_MAX
#define TIME_KEEP INT64_MIN
int inode_set_times(struct inode *inode, const struct cred *cred, int64_t accessed_ns, int64_t modified_ns) MUST_USE;

/* Is asked before the bytes of a regular file from `at` on, up to *end, are written, or it is made as long as *end:
 * 0, and *end may be less; -EFBIG: not even the first one may be. RLIMIT_FSIZE is a process's, so proc has it. Called
 * with the inode's mutex. Set once, at boot; until then all may. */
typedef int inode_growth_fn(uint64_t at, uint64_t *end);
void inode_set_growth_check(inode_growth_fn *check);
/* For file systems: asks. */
int inode_may_grow(uint64_t at, uint64_t *end) MUST_USE;

/* truncate(2) after the look at permissions. -EINVAL: no regular file or below 0; -EISDIR; -EFBIG, -ENOSPC. */
int inode_truncate(struct inode *inode, int64_t bytes) MUST_USE;

/* Contents have changed: times. */
void inode_touch_modified(struct inode *inode);
/* They were written by a program: the set-id bits go, whoever wrote. */
void inode_drop_set_ids(struct inode *inode);

/* One link more (less), and the time of change. inode->lock is not held. */
void inode_add_links(struct inode *inode, int links);
