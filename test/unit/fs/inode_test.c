/* SPDX-License-Identifier: MIT */
/* core/fs/inode.c: rights of owner, group and others; who may change attributes; limits of a file system. */
#include "fs_test.h"

static struct inode *some_inode(uint32_t mode, uint32_t user, uint32_t group)
{
    const struct inode_spec spec = {.mode = mode, .user = user, .group = group};
    static const struct inode_ops ops;
    struct name *root = fs_root();
    struct inode *inode = NULL;

    CHECK(inode_create(root->inode->fs, &ops, &spec, &inode) == 0);
    name_put(root);
    return inode;
}

static void rights(void)
{
    struct fs_user root = fs_user_create(0), owner = fs_user_create(5), other = fs_user_create(6);
    const uint32_t groups[] = {9};

    for (uint32_t mode = 0; mode < 01000; mode++) {
        struct inode *inode = some_inode(S_IFREG | mode, 5, 9);

        for (unsigned may = 0; may < 8; may++) {
            CHECK((inode_permission(inode, owner.cred, may) == 0) == ((mode >> 6 & may) == may));
            CHECK((inode_permission(inode, other.cred, may) == 0) == ((mode & may) == may));
            CHECK((inode_permission(inode, root.cred, may) == 0) == ((may & MAY_EXEC) == 0 || (mode & 0111) != 0));
        }
        inode_put(inode);
    }
    struct inode *inode = some_inode(S_IFREG | 0640, 5, 9);

    CHECK(cred_set_groups(other.cred, groups, 1) == 0);
    CHECK(inode_permission(inode, other.cred, MAY_READ) == 0);
    CHECK(inode_permission(inode, other.cred, MAY_WRITE) == -EACCES);
    inode_put(inode);
    fs_user_destroy(&root);
    fs_user_destroy(&owner);
    fs_user_destroy(&other);
}

static void attributes(void)
{
    struct fs_user root = fs_user_create(0), owner = fs_user_create(5), other = fs_user_create(6);
    struct inode *inode = some_inode(S_IFREG | 06755, 5, 5);
    struct inode_stat stat;

    CHECK(inode_set_mode(inode, other.cred, 0777) == -EPERM && inode_set_mode(inode, owner.cred, 07777) == 0);
    CHECK(inode_set_owner(inode, owner.cred, 6, ID_KEEP) == -EPERM);
    CHECK(inode_set_owner(inode, owner.cred, 5, 6) == -EPERM && inode_set_owner(inode, owner.cred, ID_KEEP, 5) == 0);
    inode_stat_get(inode, &stat);
    CHECK(stat.mode == (S_IFREG | 01777)); /* the set-id bits are gone */
    CHECK(inode_set_owner(inode, root.cred, 6, 9) == 0 && inode_set_mode(inode, other.cred, 02755) == 0);
    inode_stat_get(inode, &stat);
    CHECK(stat.user == 6 && stat.group == 9 && stat.mode == (S_IFREG | 0755)); /* not in that group */
    CHECK(inode_set_times(inode, owner.cred, 5, 5) == -EPERM);
    CHECK(inode_set_times(inode, owner.cred, TIME_NOW, TIME_NOW) == -EACCES);
    CHECK(inode_set_times(inode, owner.cred, TIME_KEEP, TIME_KEEP) == 0);
    CHECK(inode_set_times(inode, other.cred, 123, TIME_KEEP) == 0);
    inode_stat_get(inode, &stat);
    CHECK(stat.accessed_ns == 123 && stat.modified_ns != 123 && stat.changed_ns >= stat.born_ns);
    CHECK(inode_truncate(inode, 5) == -EINVAL);
    inode_put(inode);
    fs_user_destroy(&root);
    fs_user_destroy(&owner);
    fs_user_destroy(&other);
}

static void limits(void)
{
    const struct ramfs_limits few = {.inodes = 3, .mode = 0755};
    const struct inode_spec spec = {.mode = S_IFREG | 0644};
    struct filesystem *fs;
    struct inode *inode[3];

    CHECK(ramfs_create("tmpfs", &few, &fs) == 0);
    struct inode *dir = fs->root->inode;

    CHECK(dir->ops->make(dir, &spec, &inode[0]) == 0 && dir->ops->make(dir, &spec, &inode[1]) == 0);
    CHECK(dir->ops->make(dir, &spec, &inode[2]) == -ENOSPC);
    inode_put(inode[0]);
    CHECK(dir->ops->make(dir, &spec, &inode[2]) == 0 && inode[2]->number != inode[1]->number);
    inode_put(inode[1]);
    inode_put(inode[2]);
    filesystem_destroy(fs);
}

/* Writers and executers, by hand, and by files. */
static void sides(void)
{
    struct fs_user user = fs_user_create(0);
    struct file *file;
    struct name *name = NULL;

    CHECK(make_file(&user.place, "/side", "12345") == 0);
    if (!CHECK(path_lookup(&user.place, "/side", 0, &name) == 0))
        return;
    struct inode *inode = name->inode;

    CHECK(inode_writer_begin(inode) == 0 && inode_writer_begin(inode) == 0);
    CHECK(inode_execution_begin(inode) == -ETXTBSY);
    inode_writer_end(inode);
    CHECK(inode_execution_begin(inode) == -ETXTBSY);
    inode_writer_end(inode);
    CHECK(inode_execution_begin(inode) == 0 && inode_execution_begin(inode) == 0);
    inode_execution_end(inode);
    CHECK(inode_writer_begin(inode) == -ETXTBSY);
    CHECK(path_open(&user.place, "/side", O_WRONLY, 0, &file) == -ETXTBSY);
    CHECK(path_open(&user.place, "/side", O_RDWR | O_CREAT, 0644, &file) == -ETXTBSY);
    CHECK(path_open(&user.place, "/side", O_RDONLY | O_TRUNC, 0, &file) == -ETXTBSY);
    CHECK(path_truncate(&user.place, "/side", 1) == -ETXTBSY && holds(&user.place, "/side", "12345"));
    inode_execution_end(inode);
    CHECK(path_open(&user.place, "/side", O_RDONLY, 0, &file) == 0 && inode_execution_begin(inode) == 0);
    file_put(file); /* it was open for reading only */
    inode_execution_end(inode);
    CHECK(path_open(&user.place, "/side", O_WRONLY, 0, &file) == 0 && inode_execution_begin(inode) == -ETXTBSY);
    file_put(file);
    CHECK(path_truncate(&user.place, "/side", 1) == 0 && inode_execution_begin(inode) == 0);
    inode_execution_end(inode);
    name_put(name);
    CHECK(path_unlink(&user.place, "/side") == 0);
    fs_user_destroy(&user);
}

static int try_inode(void *arg)
{
    const struct inode_spec spec = {.mode = S_IFLNK | 0777, .link = "somewhere"};
    struct inode *dir = arg, *inode;
    int error = dir->ops->make(dir, &spec, &inode);

    if (error == 0)
        inode_put(inode);
    return error;
}

static void memory(void)
{
    struct name *root = fs_root();
    uint64_t before = load_relaxed(&root->inode->fs->inodes);

    fail_each(try_inode, root->inode);
    CHECK(load_relaxed(&root->inode->fs->inodes) == before);
    name_put(root);
}

const struct kernel_test booted_tests[] = {
    {"rights", rights}, {"attributes", attributes}, {"limits", limits}, {"sides", sides}, {"memory", memory},
    {NULL, NULL}};

BOOTED(rights_are_those_of_the_first_class_that_fits, "rights", 1)
BOOTED(attributes_are_changed_by_those_who_may, "attributes", 2)
BOOTED(a_file_system_has_as_many_inodes_as_it_may, "limits", 2)
BOOTED(what_is_executed_is_not_written_to, "sides", 2)
BOOTED(without_memory_there_is_no_inode, "memory", 2)

FS_TEST_MAIN(cmocka_unit_test(rights_are_those_of_the_first_class_that_fits),
             cmocka_unit_test(attributes_are_changed_by_those_who_may),
             cmocka_unit_test(what_is_executed_is_not_written_to),
             cmocka_unit_test(a_file_system_has_as_many_inodes_as_it_may),
             cmocka_unit_test(without_memory_there_is_no_inode))
