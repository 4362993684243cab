/* SPDX-License-Identifier: MIT */
/*
 * Archives into files. The paths of an archive are walked by somebody whose root is where it is unpacked, so neither
 * its symlinks nor its names lead out of there. Links of one file are found by what the archive calls its number.
 */
#include <fs/unpack.h>

#include <fs/cred.h>
#include <fs/path.h>
#include <k/errno.h>
#include <k/log.h>
#include <lib/bitmap.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <parse/cpio.h>
#include <vm/object.h>

#define BUCKETS 64u

/* A file that has more names to come. */
struct linked {
    struct linked *next;
    size_t archive;
    uint32_t ino, dev_major, dev_minor;
    struct name *name; /* counted */
};

struct unpacking {
    struct path_place place;
    struct unpack_result *result;
    struct linked *linked[BUCKETS];
    /* Of an archive in pages of its own: the whole ones of them. */
    const char *pages;
    uint64_t page_count;
    uint64_t *given; /* bit: an object has it */
};

/* ---- Names ---- */

/* Without what makes it absolute, and "./". */
static const char *relative(const char *path)
{
    while (*path == '/' || (path[0] == '.' && path[1] == '/'))
        path++;
    return path;
}

static bool has_dots(const char *path)
{
    for (; *path != 0; path++) {
        if (path[0] == '.' && path[1] == '.' && (path[2] == '/' || path[2] == 0))
            return true;
        while (path[1] != 0 && *path != '/')
            path++;
    }
    return false;
}

/* The directories that lead to a path. */
static int make_parents(struct unpacking *unpacking, const char *path)
{
    char *copy;
    size_t bytes = strlen(path);
    int error = 0;

    if (strchr(path, '/') == NULL)
        return 0;
    copy = kmalloc(bytes + 1);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, path, bytes + 1);
    for (size_t i = 1; i < bytes && (error == 0 || error == -EEXIST); i++) {
        if (copy[i] != '/')
            continue;
        copy[i] = 0;
        error = path_mkdir(&unpacking->place, copy, 0755);
        copy[i] = '/';
    }
    kfree(copy);
    return error == -EEXIST ? 0 : error;
}

static int set_attributes(struct inode *inode, const struct cpio_entry *entry)
{
    int64_t when = (int64_t)entry->mtime_seconds * (int64_t)NS_PER_SEC;
    int error = inode_set_owner(inode, &cred_root, entry->uid, entry->gid);

    if (error == 0 && !inode_is(inode, S_IFLNK)) /* behind the owner, since that takes set-id bits away */
        error = inode_set_mode(inode, &cred_root, entry->mode & S_PERMISSIONS);
    return error != 0 ? error : inode_set_times(inode, &cred_root, when, when);
}

/* ---- Links ---- */

static struct linked **bucket_of(struct unpacking *unpacking, const struct cpio_entry *entry)
{
    return &unpacking->linked[(entry->ino * 31 + entry->dev_minor) % BUCKETS];
}

static struct linked *find_linked(struct unpacking *unpacking, const struct cpio_entry *entry)
{
    struct linked *linked = *bucket_of(unpacking, entry);

    while (linked != NULL && (linked->archive != entry->archive || linked->ino != entry->ino ||
                              linked->dev_major != entry->dev_major || linked->dev_minor != entry->dev_minor))
        linked = linked->next;
    return linked;
}

static int remember(struct unpacking *unpacking, const struct cpio_entry *entry, const char *path)
{
    struct linked **bucket = bucket_of(unpacking, entry), *linked = kmalloc(sizeof *linked);
    int error = linked == NULL ? -ENOMEM : path_lookup(&unpacking->place, path, 0, &linked->name);

    if (error != 0) {
        kfree(linked);
        return error;
    }
    linked->archive = entry->archive;
    linked->ino = entry->ino;
    linked->dev_major = entry->dev_major;
    linked->dev_minor = entry->dev_minor;
    linked->next = *bucket;
    *bucket = linked;
    return 0;
}

static void forget_all(struct unpacking *unpacking)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        while (unpacking->linked[i] != NULL) {
            struct linked *linked = unpacking->linked[i];

            unpacking->linked[i] = linked->next;
            name_put(linked->name);
            kfree(linked);
        }
}

/* ---- Contents ---- */

/* The number of the archive's own page that begins at `data`, if all of it is contents; or page_count. */
static uint64_t own_page(const struct unpacking *unpacking, const uint8_t *data, size_t bytes)
{
    size_t offset = (size_t)((const char *)data - unpacking->pages);

    if (unpacking->pages == NULL || (const char *)data < unpacking->pages || offset % PAGE_BYTES != 0 ||
        bytes < PAGE_BYTES || offset / PAGE_BYTES >= unpacking->page_count)
        return unpacking->page_count;
    return offset / PAGE_BYTES;
}

/* The first pages of a fresh file, as far as they can be had without a copy; bytes of them. */
static int give_pages(struct unpacking *unpacking, struct inode *inode, const uint8_t *data, size_t bytes, size_t *out)
{
    uint64_t page;
    int error = vm_object_resize(inode->object, bytes);

    *out = 0;
    while (error == 0 && (page = own_page(unpacking, data + *out, bytes - *out)) != unpacking->page_count) {
        error = vm_object_give_page(inode->object, *out / PAGE_BYTES, virt_to_phys(data + *out));
        if (error != 0)
            break;
        bitmap_set(unpacking->given, page);
        *out += PAGE_BYTES;
    }
    if (error == 0)
        store_release(&inode->bytes, *out); /* PAIRS(inode_bytes) */
    unpacking->result->shared_bytes += *out;
    return error;
}

static int fill(struct unpacking *unpacking, struct file *file, const struct cpio_entry *entry)
{
    struct io_span span;
    size_t shared = 0;
    int error = 0;

    if (own_page(unpacking, entry->data, entry->bytes) != unpacking->page_count)
        error = give_pages(unpacking, file->inode, entry->data, entry->bytes, &shared);
    if (error != 0)
        return error;
    io_span_kernel(&span, (void *)(uintptr_t)(entry->data + shared), entry->bytes - shared);
    int64_t done = file_write_at(file, &span, (int64_t)shared);

    if (done < 0)
        return (int)done;
    if (span.left > 0) /* the next one would say why: no more pages, of the machine or of the file system */
        return -ENOSPC;
    unpacking->result->bytes += entry->bytes;
    return 0;
}

static int make_file(struct unpacking *unpacking, const char *path, const struct cpio_entry *entry)
{
    struct linked *linked = entry->link_count > 1 ? find_linked(unpacking, entry) : NULL;
    struct file *file;
    int error;

    if (linked != NULL) {
        const struct path_place old = {unpacking->place.context, &cred_root, linked->name};

        error = path_link(&old, "", &unpacking->place, path, PATH_EMPTY);
    } else {
        error = path_mknod(&unpacking->place, path, S_IFREG | 0600, 0);
        if (error == 0 && entry->link_count > 1)
            error = remember(unpacking, entry, path);
    }
    if (error != 0 || entry->bytes == 0)
        return error;
    error = path_open(&unpacking->place, path, O_WRONLY | O_TRUNC | O_NOFOLLOW, 0, &file);
    if (error == 0) {
        error = fill(unpacking, file, entry);
        file_put(file);
    }
    return error;
}

/* ---- Records ---- */

static int make_link(struct unpacking *unpacking, const char *path, const struct cpio_entry *entry)
{
    char *target;
    int error;

    if (entry->bytes >= PATH_BYTES_MAX || memchr(entry->data, 0, entry->bytes) != NULL)
        return -EINVAL;
    target = kmalloc(entry->bytes + 1);
    if (target == NULL)
        return -ENOMEM;
    memcpy(target, entry->data, entry->bytes);
    target[entry->bytes] = 0;
    error = path_symlink(&unpacking->place, target, path);
    kfree(target);
    return error;
}

static int make(struct unpacking *unpacking, const char *path, const struct cpio_entry *entry)
{
    struct unpack_result *result = unpacking->result;
    int error;

    switch (entry->mode & S_IFMT) {
    case S_IFDIR:
        error = path_mkdir(&unpacking->place, path, 0700);
        result->directories += error == 0;
        return error == -EEXIST ? 0 : error;
    case S_IFREG:
        error = make_file(unpacking, path, entry);
        result->files += error == 0;
        return error;
    case S_IFLNK:
        error = make_link(unpacking, path, entry);
        break;
    default:
        error = path_mknod(&unpacking->place, path, entry->mode & S_IFMT,
                           DEVICE(entry->rdev_major, entry->rdev_minor));
    }
    result->others += error == 0;
    return error;
}

static int unpack_one(struct unpacking *unpacking, const struct cpio_entry *entry)
{
    const char *path = relative(entry->name);
    bool is_dir = (entry->mode & S_IFMT) == S_IFDIR;
    struct name *name;
    int error;

    if (has_dots(path))
        return -EINVAL;
    if (*path == 0 || strcmp(path, ".") == 0)
        path = is_dir ? "/" : "";
    error = make_parents(unpacking, path);
    if (error != 0)
        return error;
    if (!is_dir)
        (void)path_unlink(&unpacking->place, path); /* what cannot go is in the way: the next call says so */
    error = make(unpacking, path, entry);
    if (error == 0)
        error = path_lookup(&unpacking->place, path, 0, &name);
    if (error == 0) {
        error = inode_is(name->inode, entry->mode & S_IFMT) ? set_attributes(name->inode, entry) : -EEXIST;
        name_put(name);
    }
    if (error != 0 && !is_dir)
        (void)path_unlink(&unpacking->place, path); /* whole or not at all */
    return error;
}

static int unpack_all(struct unpacking *unpacking, const void *archive, size_t bytes)
{
    struct unpack_result *result = unpacking->result;
    struct cpio_entry entry;
    struct cpio cpio;
    int error;

    cpio_open(&cpio, archive, bytes);
    while ((error = cpio_next(&cpio, &entry)) == 0) {
        error = unpack_one(unpacking, &entry);
        if (error != 0) {
            result->what = "a file that cannot be made";
            (void)str_copy(result->path, entry.name, sizeof result->path);
            return error;
        }
    }
    if (error == -ENOENT)
        return 0;
    result->what = cpio.reason;
    return error;
}

static int unpack(struct unpacking *unpacking, struct name *root, const void *archive, size_t bytes)
{
    struct fs_context *context;
    int error = fs_context_create(&context);

    if (error != 0)
        return error;
    (void)fs_context_set_umask(context, 0);
    error = fs_context_set_root(context, &cred_root, root);
    if (error == 0)
        error = fs_context_set_cwd(context, &cred_root, root);
    unpacking->place = (struct path_place){.context = context, .cred = &cred_root};
    if (error == 0)
        error = unpack_all(unpacking, archive, bytes);
    forget_all(unpacking);
    fs_context_put(context);
    return error;
}

int unpack_archive(struct name *root, const void *archive, size_t bytes, struct unpack_result *out)
{
    struct unpacking unpacking = {.result = out};

    *out = (struct unpack_result){.what = NULL};
    return unpack(&unpacking, root, archive, bytes);
}

int unpack_reserved(struct name *root, paddr_t archive, size_t bytes, struct unpack_result *out)
{
    paddr_t first = ROUND_UP(archive, PAGE_BYTES), end = ROUND_DOWN(archive + bytes, PAGE_BYTES);
    uint64_t count = end > first ? (end - first) / PAGE_BYTES : 0;
    struct unpacking unpacking = {.result = out};
    int error = -ENOMEM;

    *out = (struct unpack_result){.what = NULL};
    if (count > 0)
        unpacking.given = kzalloc(BITMAP_WORDS(count) * sizeof(uint64_t));
    if (unpacking.given != NULL && phys_adopt(first, count, MM_OBJECT)) {
        unpacking.pages = phys_to_virt(first);
        unpacking.page_count = count;
    }
    error = unpack(&unpacking, root, phys_to_virt(archive), bytes);
    for (uint64_t i = 0; i < unpacking.page_count; i++)
        if (!bitmap_test(unpacking.given, i))
            phys_put(first + i * PAGE_BYTES);
    kfree(unpacking.given);
    return error;
}
