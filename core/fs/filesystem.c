/* SPDX-License-Identifier: MIT */
/* The types of file systems, what is mounted, and this room's start. One mutex guards both lists. */
#include <fs/filesystem.h>

#include "fs_priv.h"

#include <fs/cred.h>
#include <fs/fd.h>
#include <fs/flock.h>
#include <fs/memfd.h>
#include <fs/path.h>
#include <fs/pipe.h>
#include <fs/procfs.h>
#include <fs/record_lock.h>
#include <fs/socket.h>
#include <fs/tty.h>
#include <k/errno.h>
#include <k/log.h>
#include <k/panic.h>
#include <lib/string.h>
#include <mm/phys.h>

static struct {
    struct mutex mutex;
    const struct filesystem_type *type[FILESYSTEM_TYPES_MAX];
    unsigned types;
    struct list_node mounted;  /* oldest first */
    struct list_node detached; /* and not single */
    struct filesystem *first;
} all = {.mutex = MUTEX_INIT(all.mutex), .mounted = LIST_INIT(all.mounted), .detached = LIST_INIT(all.detached)};

void filesystem_register(const struct filesystem_type *type)
{
    mutex_lock(&all.mutex);
    ASSERT(all.types < FILESYSTEM_TYPES_MAX);
    all.type[all.types++] = type;
    mutex_unlock(&all.mutex);
}

const struct filesystem_type *filesystem_type_find(const char *name)
{
    const struct filesystem_type *found = NULL;

    mutex_lock(&all.mutex);
    for (unsigned i = 0; i < all.types && found == NULL; i++)
        if (strcmp(all.type[i]->name, name) == 0)
            found = all.type[i];
    mutex_unlock(&all.mutex);
    return found;
}

struct name *fs_root(void)
{
    name_get(all.first->root);
    return all.first->root;
}

void fs_limit_root(void)
{
    struct phys_stats memory;

    phys_stats_get(&memory);
    all.first->pages.max = load_relaxed(&all.first->pages.used) + memory.free_pages / 2;
}

void fs_init(void)
{
    const struct ramfs_limits none = {.mode = 0755};

    cred_init();
    inode_init();
    name_init();
    file_init();
    fd_init();
    flock_init();
    record_lock_init();
    pipe_init();
    anon_init();
    epoll_init();
    socket_init();
    memfd_init();
    fs_context_init();
    filesystem_register(&ramfs_type);
    filesystem_register(&tmpfs_type);
    filesystem_register(&devfs_type);
    if (ramfs_create("rootfs", &none, &all.first) != 0)
        panic("out of memory at boot: cannot make the first root");
    list_push_back(&all.mounted, &all.first->link);
    devfs_init();
    tty_init();
    procfs_init();
}

void filesystem_for_each(bool (*fn)(struct filesystem *fs, void *argument), void *argument)
{
    mutex_lock(&all.mutex);
    list_for_each(node, &all.mounted)
        if (!fn(list_entry(node, struct filesystem, link), argument))
            break;
    mutex_unlock(&all.mutex);
}

void filesystem_settle(void)
{
    mutex_lock(&all.mutex);
    mutex_unlock(&all.mutex);
}

static void sweep_locked(void)
{
    struct list_node *next;

    for (struct list_node *node = all.detached.next; node != &all.detached; node = next) {
        struct filesystem *fs = list_entry(node, struct filesystem, link);

        next = node->next;
        if (!filesystem_is_idle(fs))
            continue;
        list_remove(&fs->link);
        filesystem_destroy(fs);
    }
}

void filesystem_sweep(void)
{
    mutex_lock(&all.mutex);
    sweep_locked();
    mutex_unlock(&all.mutex);
}

static int mount_locked(const struct filesystem_type *type, struct filesystem *fs, struct name *at, uint32_t flags)
{
    if (list_is_linked(&fs->link)) /* the one of a single type */
        return -EBUSY;
    if (load_relaxed(&at->inode->fs->is_detached))
        return -EINVAL;
    int error = filesystem_set_flags(fs, flags);

    if (error == 0)
        error = name_mount(at, fs);
    if (error != 0)
        return error;
    fs->is_single = type->is_single;
    store_relaxed(&fs->is_detached, false);
    list_push_back(&all.mounted, &fs->link);
    return 0;
}

static int mount(const struct filesystem_type *type, struct name *at, const char *options, uint32_t flags)
{
    struct filesystem *fs;
    int error = type->create(options, &fs);

    if (error != 0)
        return error;
    mutex_lock(&all.mutex);
    sweep_locked();
    error = mount_locked(type, fs, at, flags);
    mutex_unlock(&all.mutex);
    if (error != 0 && !type->is_single)
        filesystem_destroy(fs);
    return error;
}

/* Out of the tree of all. */
static void take_out_locked(struct filesystem *fs)
{
    list_remove(&fs->link);
    name_unmount(fs);
}

void filesystem_forget(struct filesystem *fs)
{
    mutex_lock(&all.mutex);
    take_out_locked(fs);
    mutex_unlock(&all.mutex);
    filesystem_destroy(fs);
}

int path_mount(const struct path_place *place, const char *type, const char *path, const char *options, uint32_t flags)
{
    const struct filesystem_type *found = filesystem_type_find(type);
    struct name *at;
    int error = found == NULL ? -ENODEV : path_lookup(place, path, PATH_FOLLOW | PATH_DIRECTORY, &at);

    if (error != 0)
        return error;
    error = mount(found, at, options, flags);
    name_put(at);
    return error;
}

/* The caller has a reference to the name. -EINVAL: it is no root of anything that is mounted. */
static int check_mounted_locked(const struct name *name)
{
    struct filesystem *fs = name->inode->fs;

    return name == fs->root && !load_relaxed(&fs->is_detached) && list_is_linked(&fs->link) ? 0 : -EINVAL;
}

int path_remount(const struct path_place *place, const char *path, uint32_t flags)
{
    struct name *name;
    int error = path_lookup(place, path, PATH_FOLLOW, &name);

    if (error != 0)
        return error;
    mutex_lock(&all.mutex);
    error = check_mounted_locked(name);
    if (error == 0)
        error = filesystem_set_flags(name->inode->fs, flags);
    mutex_unlock(&all.mutex);
    name_put(name);
    return error;
}

static bool is_mounted_below(const struct filesystem *fs, const struct filesystem *above)
{
    while (fs != above && fs->covers != NULL)
        fs = fs->covers->inode->fs;
    return fs == above;
}

/* The newest first: what is mounted in another one is newer than that. */
static struct filesystem *newest_below_locked(const struct filesystem *above)
{
    struct list_node *node = all.mounted.prev;

    while (!is_mounted_below(list_entry(node, struct filesystem, link), above))
        node = node->prev;
    return list_entry(node, struct filesystem, link);
}

static void detach_locked(struct filesystem *top)
{
    struct filesystem *fs;

    do {
        fs = newest_below_locked(top);
        take_out_locked(fs);
        store_relaxed(&fs->is_detached, true);
        if (!fs->is_single)
            list_push_back(&all.detached, &fs->link);
    } while (fs != top);
    sweep_locked();
}

static int unmount_idle_locked(struct filesystem *fs)
{
    name_set_leaving(fs, true);
    bool is_idle = filesystem_is_idle(fs);

    if (is_idle)
        take_out_locked(fs);
    name_set_leaving(fs, false);
    if (!is_idle)
        return -EBUSY;
    if (!fs->is_single)
        filesystem_destroy(fs);
    return 0;
}

/* Takes the reference, which is one more than those who are in it have. */
static int unmount_locked(struct name *root, unsigned flags)
{
    struct filesystem *fs = root->inode->fs;
    int error = fs == all.first ? -EINVAL : check_mounted_locked(root);

    name_put(root); /* what is mounted lives on without it */
    if (error != 0)
        return error;
    if ((flags & MNT_DETACH) == 0)
        return unmount_idle_locked(fs);
    detach_locked(fs);
    return 0;
}

int path_unmount(const struct path_place *place, const char *path, unsigned flags)
{
    struct name *name;
    int error = path_lookup(place, path, (flags & UMOUNT_NOFOLLOW) != 0 ? 0 : PATH_FOLLOW, &name);

    if (error != 0)
        return error;
    mutex_lock(&all.mutex);
    sweep_locked();
    error = unmount_locked(name, flags);
    mutex_unlock(&all.mutex);
    return error;
}

static const struct {
    const char *path, *type;
} usual[] = {
    {"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}, {"/tmp", "tmpfs"},
    {"/dev/shm", "tmpfs"}, /* in the one before: shm_open(3) */
};

void fs_mount_usual(void)
{
    struct fs_context *context;
    int error = fs_context_create(&context);

    if (error != 0) {
        log_error("fs: nothing is mounted, error %d", error);
        return;
    }
    const struct path_place place = {.context = context, .cred = &cred_root};

    for (unsigned i = 0; i < ARRAY_COUNT(usual); i++) {
        error = path_mkdir(&place, usual[i].path, 0755);
        if (error == 0 || error == -EEXIST)
            error = path_mount(&place, usual[i].type, usual[i].path, NULL, 0);
        if (error != 0)
            log_error("fs: no %s at %s, error %d", usual[i].type, usual[i].path, error);
    }
    fs_context_put(context);
}

void filesystem_stat_get(struct filesystem *fs, struct filesystem_stat *out)
{
    uint64_t inodes = load_relaxed(&fs->inodes), pages = load_relaxed(&fs->pages.used);
    bool has_pages = fs->pages.max != UINT64_MAX, has_inodes = fs->inodes_max != UINT64_MAX;

    *out = (struct filesystem_stat){
        .magic = fs->magic,
        .blocks = has_pages ? fs->pages.max : 0,
        .blocks_free = has_pages ? fs->pages.max - MIN(pages, fs->pages.max) : 0,
        .inodes = has_inodes ? fs->inodes_max : 0,
        .inodes_free = has_inodes ? fs->inodes_max - MIN(inodes, fs->inodes_max) : 0,
    };
}
