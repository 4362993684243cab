/* SPDX-License-Identifier: MIT */
/* What files are: stat(2), statx(2), statfs(2), getdents64(2). No state. */
#include <syscall/table.h>

#include <fs/fd.h>
#include <fs/filesystem.h>
#include <fs/path.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/process.h>

#include "syscall_priv.h"

/* ---- stat(2): struct stat of the machine's own, and the generic one ---- */

struct stat_own {
    uint64_t device, number, links;
    uint32_t mode, user, group, pad;
    uint64_t special;
    int64_t bytes, block_bytes, blocks;
    int64_t accessed[2], modified[2], changed[2]; /* seconds, nanoseconds */
    int64_t unused[3];
};
_Static_assert(sizeof(struct stat_own) == 144, "what libcs expect where the structs are not the generic ones");

struct stat_generic {
    uint64_t device, number;
    uint32_t mode, links, user, group;
    uint64_t special, pad;
    int64_t bytes;
    int32_t block_bytes, pad_end;
    int64_t blocks;
    int64_t accessed[2], modified[2], changed[2];
    uint32_t unused[2];
};
_Static_assert(sizeof(struct stat_generic) == 128, "struct stat of 64-bit machines without one of their own");

/* Rounded down, so that the nanoseconds are not negative. */
static void split(int64_t ns, int64_t out[2])
{
    int64_t seconds = ns / (int64_t)NS_PER_SEC, rest = ns % (int64_t)NS_PER_SEC;

    out[0] = rest < 0 ? seconds - 1 : seconds;
    out[1] = rest < 0 ? rest + (int64_t)NS_PER_SEC : rest;
}

#define FILL(out, from)                                          \
    do {                                                         \
        (out).device = (from)->on_device;                        \
        (out).number = (from)->number;                           \
        (out).links = (__typeof__((out).links))(from)->links;    \
        (out).mode = (from)->mode;                               \
        (out).user = (from)->user;                               \
        (out).group = (from)->group;                             \
        (out).special = (from)->device;                          \
        (out).bytes = (int64_t)(from)->bytes;                    \
        (out).block_bytes = (from)->block_bytes;                 \
        (out).blocks = (int64_t)(from)->blocks;                  \
        split((from)->accessed_ns, (out).accessed);              \
        split((from)->modified_ns, (out).modified);              \
        split((from)->changed_ns, (out).changed);                \
    } while (0)

static int stat_out(vaddr_t to, const struct inode_stat *stat)
{
    if (syscall_abi.has_own_structs) {
        struct stat_own out = { 0 };

        FILL(out, stat);
        return user_copy_out(to, &out, sizeof out);
    }
    struct stat_generic out = { 0 };

    FILL(out, stat);
    out.block_bytes = (int32_t)stat->block_bytes;
    return user_copy_out(to, &out, sizeof out);
}

static int stat_of_fd(int number, struct inode_stat *out)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)number);

    if (fd.file == NULL)
        return -EBADF;
    inode_stat_get(fd.file->inode, out);
    fd_return(fd);
    return 0;
}

/* An empty path with AT_EMPTY_PATH is the descriptor itself, which need not have a name. */
static int stat_at(int dirfd, vaddr_t path, uint32_t flags, struct inode_stat *out)
{
    struct path_arg arg;
    struct name *name;
    char first = '\0';

    if ((flags & AT_EMPTY_PATH) != 0 && dirfd != AT_FDCWD &&
        (path == 0 || (user_copy_in(&first, path, 1) == 0 && first == '\0')))
        return stat_of_fd(dirfd, out);
    int result = path_arg_begin(&arg, dirfd, path);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_lookup(&place, arg.text, ((flags & AT_SYMLINK_NOFOLLOW) == 0 ? PATH_FOLLOW : 0) |
                                               ((flags & AT_EMPTY_PATH) != 0 ? PATH_EMPTY : 0), &name);
    path_arg_end(&arg);
    if (result != 0)
        return result;
    inode_stat_get(name->inode, out);
    name_put(name);
    return 0;
}

static int64_t stat_path(int dirfd, vaddr_t path, vaddr_t to, uint32_t flags)
{
    struct inode_stat stat;

    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)) != 0)
        return -EINVAL;
    int result = stat_at(dirfd, path, flags, &stat);

    return result != 0 ? result : stat_out(to, &stat);
}

SYSCALL(stat)
{
    return stat_path(AT_FDCWD, args->arg[0], args->arg[1], 0);
}

SYSCALL(lstat)
{
    return stat_path(AT_FDCWD, args->arg[0], args->arg[1], AT_SYMLINK_NOFOLLOW);
}

SYSCALL(newfstatat)
{
    return stat_path((int)args->arg[0], args->arg[1], args->arg[2], (uint32_t)args->arg[3]);
}

SYSCALL(fstat)
{
    struct inode_stat stat;
    int result = stat_of_fd((int)args->arg[0], &stat);

    return result != 0 ? result : stat_out(args->arg[1], &stat);
}

/* ---- statx(2) ---- */

struct statx_time {
    int64_t seconds;
    uint32_t nanoseconds, pad;
};

struct statx {
    uint32_t mask, block_bytes;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, pad;
    uint64_t number, bytes, blocks, attributes_mask;
    struct statx_time accessed, born, changed, modified;
    uint32_t special_major, special_minor, device_major, device_minor;
    uint64_t mount;
    uint32_t direct[2];
    uint64_t unused[12];
};
_Static_assert(sizeof(struct statx) == 256, "uapi/linux/stat.h");

#define STATX_BASIC_STATS 0x7ffu
#define STATX_BTIME 0x800u
#define STATX_RESERVED 0x80000000u
#define AT_STATX_SYNC_TYPE 0x6000u

static struct statx_time statx_time_of(int64_t ns)
{
    int64_t pair[2];

    split(ns, pair);
    return (struct statx_time){ .seconds = pair[0], .nanoseconds = (uint32_t)pair[1] };
}

SYSCALL(statx)
{
    uint32_t flags = (uint32_t)args->arg[2];
    struct inode_stat stat;

    if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)) != 0 ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (args->arg[3] & STATX_RESERVED) != 0)
        return -EINVAL;
    int result = stat_at((int)args->arg[0], args->arg[1], flags, &stat);

    if (result != 0)
        return result;
    const struct statx out = {
        .mask = STATX_BASIC_STATS | STATX_BTIME,
        .block_bytes = stat.block_bytes,
        .links = (uint32_t)stat.links, .user = stat.user, .group = stat.group, .mode = (uint16_t)stat.mode,
        .number = stat.number, .bytes = stat.bytes, .blocks = stat.blocks,
        .accessed = statx_time_of(stat.accessed_ns), .born = statx_time_of(stat.born_ns),
        .changed = statx_time_of(stat.changed_ns), .modified = statx_time_of(stat.modified_ns),
        .special_major = DEVICE_MAJOR(stat.device), .special_minor = DEVICE_MINOR(stat.device),
        .device_major = DEVICE_MAJOR(stat.on_device), .device_minor = DEVICE_MINOR(stat.on_device),
    };

    return user_copy_out(args->arg[4], &out, sizeof out);
}

/* ---- statfs(2) ---- */

struct statfs {
    int64_t type, block_bytes;
    uint64_t blocks, blocks_free, blocks_available, files, files_free;
    int32_t id[2];
    int64_t name_bytes, fragment_bytes, flags, spare[4];
};
_Static_assert(sizeof(struct statfs) == 120, "struct statfs64");

#define ST_VALID 0x20u /* the others are MS_.. */

static int statfs_out(vaddr_t to, struct filesystem *fs)
{
    struct filesystem_stat stat;

    filesystem_stat_get(fs, &stat);
    const struct statfs out = {
        .type = stat.magic, .block_bytes = PAGE_BYTES, .blocks = stat.blocks, .blocks_free = stat.blocks_free,
        .blocks_available = stat.blocks_free, .files = stat.inodes, .files_free = stat.inodes_free,
        .flags = ST_VALID | (filesystem_flags(fs) & MS_KEPT),
        .id = { (int32_t)fs->device, 0 }, .name_bytes = NAME_BYTES_MAX, .fragment_bytes = PAGE_BYTES,
    };

    return user_copy_out(to, &out, sizeof out);
}

SYSCALL(statfs)
{
    struct path_arg arg;
    struct name *name;
    int result = path_arg_begin(&arg, AT_FDCWD, args->arg[0]);

    if (result != 0)
        return result;
    const struct path_place place = path_arg_place(&arg);

    result = path_lookup(&place, arg.text, PATH_FOLLOW, &name);
    path_arg_end(&arg);
    if (result != 0)
        return result;
    result = statfs_out(args->arg[1], name->inode->fs);
    name_put(name);
    return result;
}

SYSCALL(fstatfs)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);

    if (fd.file == NULL)
        return -EBADF;
    int result = statfs_out(args->arg[1], fd.file->inode->fs);

    fd_return(fd);
    return result;
}

/* ---- getdents64(2) ---- */

static int64_t list(const struct syscall_args *args, bool is_old)
{
    struct fd_borrowed fd = fd_borrow(own_files(), (unsigned)args->arg[0]);
    struct io_span span;

    if (fd.file == NULL)
        return -EBADF;
    io_span_user(&span, args->arg[1], (uint32_t)args->arg[2]);
    int64_t result = is_old ? file_read_dir_old(fd.file, &span) : file_read_dir(fd.file, &span);

    fd_return(fd);
    return result;
}

SYSCALL(getdents)
{
    return list(args, true);
}

SYSCALL(getdents64)
{
    return list(args, false);
}
