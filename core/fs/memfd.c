/* SPDX-License-Identifier: MIT */
/*
 * Files of memory without a place: of a tmpfs of their own that is mounted nowhere, each with a name that is in no
 * directory, by which /proc shows it and leads to it. And seals; who writes, cuts and maps looks at them.
 */
#include <fs/memfd.h>

#include "fs_priv.h"

#include <fs/cred.h>
#include <fs/filesystem.h>
#include <fs/name.h>
#include <k/errno.h>
#include <k/panic.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/phys.h>

static struct filesystem *memfd_fs; /* immutable after boot */

_Static_assert(sizeof MEMFD_PREFIX - 1 + MEMFD_NAME_MAX == NAME_BYTES_MAX, "a name with its prefix is a name");

void memfd_init(void)
{
    struct phys_stats memory;

    phys_stats_get(&memory);
    const uint64_t half = memory.total_pages / 2;
    const struct ramfs_limits limits = {.pages = half, .inodes = half, .mode = 0700};

    if (ramfs_create("tmpfs", &limits, &memfd_fs) != 0)
        panic("no memory for the files without a place");
    memfd_fs->is_internal = true;
}

static int make(const char *name, uint32_t permissions, const struct cred *cred, struct name **out)
{
    const struct inode_spec spec = {.mode = S_IFREG | permissions, .user = cred->user.fs, .group = cred->group.fs};
    struct inode *dir = memfd_fs->root->inode, *inode;
    char text[NAME_BYTES_MAX + 1];
    int bytes = fmt_print(text, sizeof text, MEMFD_PREFIX "%s", name);
    int error = dir->ops->make(dir, &spec, &inode);

    if (error != 0)
        return error;
    error = name_create(memfd_fs->root, text, (size_t)bytes, inode, out);
    inode_put(inode);
    return error;
}

int memfd_file_create(const char *name, uint32_t permissions, uint32_t seals, const struct cred *cred,
                      struct file **out)
{
    struct name *made;

    if (strnlen(name, MEMFD_NAME_MAX + 1) > MEMFD_NAME_MAX)
        return -EINVAL;
    int error = make(name, permissions, cred, &made);

    if (error != 0)
        return error;
    made->inode->seals = (uint8_t)seals;
    error = made->inode->ops->open(made->inode, made, O_RDWR | O_LARGEFILE, out);
    if (error == 0)
        file_forget_writer(*out); /* as on Linux, where programs fill such a file and execute it by this descriptor */
    name_put(made);               /* the file has one of its own */
    return error;
}

/* ---- Seals ---- */

static bool has_seals(const struct inode *inode)
{
    return inode->object != NULL && inode->has_seals;
}

/* inode->mutex is held. */
static int add_locked(struct inode *inode, uint32_t seals)
{
    if ((inode->seals & SEAL_SEAL) != 0)
        return -EPERM;
    spin_lock(&inode->lock);
    bool is_executable = (inode->permissions & 0111) != 0;

    spin_unlock(&inode->lock);
    /* A program that is to stay as it is. */
    if ((seals & SEAL_EXEC) != 0 && is_executable)
        seals |= SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE;
    int error = (seals & ~inode->seals & SEAL_WRITE) != 0 ? vm_object_deny_writing(inode->object) : 0;

    if (error == 0)
        inode->seals |= (uint8_t)seals;
    return error;
}

int file_seals_add(struct file *file, uint32_t seals)
{
    struct inode *inode = file->inode;

    if (!file->can_write)
        return -EPERM;
    if ((seals & ~SEALS_ALL) != 0 || !has_seals(inode))
        return -EINVAL;
    mutex_lock(&inode->mutex);
    int error = add_locked(inode, seals);

    mutex_unlock(&inode->mutex);
    return error;
}

static uint32_t seals_of(struct inode *inode)
{
    mutex_lock(&inode->mutex);
    uint32_t seals = inode->seals;

    mutex_unlock(&inode->mutex);
    return seals;
}

int file_seals_get(struct file *file)
{
    return has_seals(file->inode) ? (int)seals_of(file->inode) : -EINVAL;
}

bool file_is_sealed_for_maps(struct file *file)
{
    return has_seals(file->inode) && (seals_of(file->inode) & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0;
}
