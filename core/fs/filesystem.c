/* SPDX-License-Identifier: MIT */
/* The types of file systems, what is mounted, and this room's start. One mutex guards both lists. */
#include <fs/filesystem.h>

#include <fs/tty.h>

#include <fs/cred.h>
#include <fs/eventfd.h>
#include <fs/fd.h>
#include <fs/flock.h>
#include <fs/path.h>
#include <fs/pipe.h>
#include <fs/procfs.h>
#include <k/errno.h>
#include <k/log.h>
#include <k/panic.h>
#include <lib/string.h>
#include <mm/phys.h>

static struct {
    struct mutex mutex;
    const struct filesystem_type *type[FILESYSTEM_TYPES_MAX];
    unsigned types;
    struct list_node mounted; /* oldest first */
    struct filesystem *first;
} all = {.mutex = MUTEX_INIT(all.mutex), .mounted = LIST_INIT(all.mounted)};

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
    pipe_init();
    eventfd_init();
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

/* What is mounted stays: see fs/filesystem.h. */
static int mount(const struct filesystem_type *type, struct name *at, const char *options)
{
    struct filesystem *fs;
    int error = type->create(options, &fs);

    if (error != 0)
        return error;
    mutex_lock(&all.mutex);
    error = list_is_linked(&fs->link) ? -EBUSY : name_mount(at, fs); /* the one of a single type is */
    bool is_ours = error == 0;

    if (is_ours)
        list_push_back(&all.mounted, &fs->link);
    mutex_unlock(&all.mutex);
    if (!is_ours && !type->is_single)
        filesystem_destroy(fs);
    return error;
}

void filesystem_forget(struct filesystem *fs)
{
    mutex_lock(&all.mutex);
    list_remove(&fs->link);
    name_unmount(fs);
    mutex_unlock(&all.mutex);
    filesystem_destroy(fs);
}

int path_mount(const struct path_place *place, const char *type, const char *path, const char *options)
{
    const struct filesystem_type *found = filesystem_type_find(type);
    struct name *at;
    int error = found == NULL ? -ENODEV : path_lookup(place, path, PATH_FOLLOW | PATH_DIRECTORY, &at);

    if (error != 0)
        return error;
    error = mount(found, at, options);
    name_put(at);
    return error;
}

static const struct {
    const char *path, *type;
} usual[] = {{"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/tmp", "tmpfs"}};

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
            error = path_mount(&place, usual[i].type, usual[i].path, NULL);
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
