/* SPDX-License-Identifier: MIT */
/* Files that have an inode and no name: eventfd(2), epoll(7), sockets. Owns the file system of the first two. */
#include "fs_priv.h"

#include <fs/filesystem.h>

static struct filesystem anon_fs = {.type = "anon_inodefs", .magic = 0x09041934, .inodes_max = UINT64_MAX,
                                    .is_dynamic = true};
static const struct inode_ops nameless_inode_ops;

void anon_init(void)
{
    anon_fs.device = fs_next_device();
}

int nameless_file_create(struct filesystem *fs, uint32_t mode, const struct file_ops *ops, uint32_t flags, void *data,
                         struct file **out)
{
    const struct inode_spec spec = {.mode = mode};
    struct inode *inode;
    int error = inode_create(fs, &nameless_inode_ops, &spec, &inode);

    if (error != 0)
        return error;
    error = file_create(inode, NULL, ops, flags, out);
    inode_put(inode); /* the file has one of its own */
    if (error == 0)
        (*out)->data = data;
    return error;
}

int anon_file_create(const struct file_ops *ops, uint32_t flags, void *data, struct file **out)
{
    return nameless_file_create(&anon_fs, 0600, ops, flags, data, out);
}
