/* SPDX-License-Identifier: MIT */
/*
 * ramfs and tmpfs: files whose contents are a memory object, so that mappings share its pages with read and write. The
 * object's end is the file's, but for a write under way: then it already reaches to where that will end, and the file's
 * size follows when the bytes are there.
 *
 * Writes and sizes are serialised by the inode's mutex; reads take no lock of their own. A read beside a write sees old
 * or new bytes, page by page, as on other systems.
 */
#include <fs/filesystem.h>

#include <fs/file.h>
#include <fs/memfd.h>
#include <fs/name.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/phys.h>
#include <vm/object.h>

#define RAMFS_MAGIC 0x858458f6u
#define TMPFS_MAGIC 0x01021994u

/* ---- Files ---- */

/* relatime of mount(8): a read is noted if nothing was read since the last change. */
static void note_read(struct file *file)
{
    struct inode *inode = file->inode;
    int64_t accessed = load_relaxed(&inode->accessed_ns);

    if (UNLIKELY(accessed <= load_relaxed(&inode->modified_ns) || accessed <= load_relaxed(&inode->changed_ns)) &&
        (load_relaxed(&file->flags) & O_NOATIME) == 0 &&
        (filesystem_flags(inode->fs) & (MS_RDONLY | MS_NOATIME)) == 0)
        store_relaxed(&inode->accessed_ns, fs_now_ns());
}

static int64_t ramfs_read(struct file *file, struct io_span *to, uint64_t *position)
{
    struct inode *inode = file->inode;
    uint64_t at = *position, end = load_acquire(&inode->bytes); /* PAIRS(inode_bytes) */
    int error = 0;

    while (error == 0 && to->left > 0 && at < end) {
        size_t offset = (size_t)(at % PAGE_BYTES), part = MIN(PAGE_BYTES - offset, to->left), done;
        paddr_t page;

        part = (size_t)MIN((uint64_t)part, end - at);
        error = vm_object_peek(inode->object, at / PAGE_BYTES, &page);
        if (error == -ENXIO) { /* it has become smaller meanwhile */
            error = 0;
            break;
        }
        if (error == 0) {
            done = io_copy_to(to, (const char *)phys_to_virt(page) + offset, part);
            phys_put(page);
        } else { /* a hole */
            error = 0;
            done = io_zero(to, part);
        }
        at += done;
        if (UNLIKELY(done < part))
            error = -EFAULT;
    }
    size_t done = (size_t)(at - *position);

    *position = at;
    note_read(file);
    return io_result(done, error);
}

/* Up to the end of one page; *out_done bytes are there. */
static int write_page(struct inode *inode, struct io_span *from, uint64_t at, size_t *out_done)
{
    size_t offset = (size_t)(at % PAGE_BYTES), part = MIN(PAGE_BYTES - offset, from->left);
    paddr_t page;
    int error = vm_object_page(inode->object, at / PAGE_BYTES, &page);

    *out_done = 0;
    if (error != 0)
        return error;
    *out_done = io_copy_from(from, (char *)phys_to_virt(page) + offset, part);
    vm_object_stored(inode->object, at / PAGE_BYTES);
    phys_put(page);
    return *out_done < part ? -EFAULT : 0;
}

/* inode->mutex is held; the object has room. */
static size_t write_pages(struct inode *inode, struct io_span *from, uint64_t at, int *out_error)
{
    size_t total = 0, done;

    *out_error = 0;
    while (*out_error == 0 && from->left > 0) {
        *out_error = write_page(inode, from, at + total, &done);
        total += done;
    }
    return total;
}

/* Of a file that must not grow, only what lies in whole pages before its end is written, as on Linux. */
static int keep_seals(uint32_t seals, uint64_t at, uint64_t size, uint64_t *end)
{
    if ((seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0)
        return -EPERM;
    if (*end > size)
        *end = ROUND_DOWN(size, PAGE_BYTES);
    return *end > at ? 0 : -EPERM;
}

static int64_t write_locked(struct inode *inode, struct io_span *from, uint64_t at)
{
    uint64_t size = load_relaxed(&inode->bytes), end;
    int error = 0;

    if (at >= VM_OBJECT_BYTES_MAX)
        return -EFBIG;
    end = at + MIN(from->left, VM_OBJECT_BYTES_MAX - at);
    if (end > at) {
        error = inode_may_grow(at, &end);
        if (error != 0)
            return error;
        from->left = (size_t)(end - at);
    }
    if (UNLIKELY((inode->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE | SEAL_GROW)) != 0)) {
        error = keep_seals(inode->seals, at, size, &end);
        if (error != 0)
            return error;
        from->left = (size_t)(end - at);
    }
    if (end > size)
        error = vm_object_resize(inode->object, end);
    if (error != 0)
        return error;
    size_t done = write_pages(inode, from, at, &error);

    if (at + done > size && done > 0) {
        size = at + done;
        store_release(&inode->bytes, size); /* PAIRS(inode_bytes): the bytes come before the size that shows them */
    }
    if (end > size) { /* what was not written is not there */
        int shrink_error = vm_object_resize(inode->object, size);

        ASSERT(shrink_error == 0); /* only a size out of range is refused */
    }
    if (done > 0) {
        inode_touch_modified(inode);
        inode_drop_set_ids(inode);
    }
    return io_result(done, error);
}

static int64_t ramfs_write(struct file *file, struct io_span *from, uint64_t *position)
{
    struct inode *inode = file->inode;
    int64_t result;

    mutex_lock(&inode->mutex);
    if ((load_relaxed(&file->flags) & O_APPEND) != 0)
        *position = load_relaxed(&inode->bytes);
    result = write_locked(inode, from, *position);
    mutex_unlock(&inode->mutex);
    if (result > 0)
        *position += (uint64_t)result;
    return result;
}

static int ramfs_map(struct file *file, struct vm_object **out)
{
    vm_object_get(file->inode->object);
    *out = file->inode->object;
    return 0;
}

static const struct file_ops ramfs_file_ops = {.read = ramfs_read, .write = ramfs_write, .map = ramfs_map};

/* ---- Inodes ---- */

static int ramfs_open(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    return file_create(inode, name, &ramfs_file_ops, flags, out);
}

/* All of it or nothing. */
static int may_become(uint64_t bytes)
{
    return inode_may_grow(bytes - 1, &bytes);
}

static int ramfs_resize(struct inode *inode, uint64_t bytes)
{
    uint64_t size = load_relaxed(&inode->bytes);
    int error = bytes > VM_OBJECT_BYTES_MAX ? -EFBIG : bytes > size ? may_become(bytes) : 0;

    if ((bytes < size && (inode->seals & SEAL_SHRINK) != 0) || (bytes > size && (inode->seals & SEAL_GROW) != 0))
        return -EPERM;

    if (error == 0)
        error = vm_object_resize(inode->object, bytes);
    if (error == 0)
        store_release(&inode->bytes, bytes); /* PAIRS(inode_bytes) */
    return error;
}

/* Below the end of the object. */
static int zero(struct inode *inode, uint64_t first, uint64_t end)
{
    end = MIN(end, load_relaxed(&inode->bytes)); /* beyond it there is nothing */
    while (first < end && !vm_object_zero(inode->object, &first, end))
        if (file_wait_is_interrupted())
            return -EINTR;
    return 0;
}

static int make_pages(struct inode *inode, uint64_t first, uint64_t end)
{
    for (uint64_t at = first / PAGE_BYTES; at * PAGE_BYTES < end; at++) {
        paddr_t page;
        int error = file_wait_is_interrupted() ? -EINTR : vm_object_page(inode->object, at, &page);

        if (error != 0)
            return error;
        phys_put(page);
    }
    return 0;
}

/* KEEP_SIZE has no pages beyond the end: the object ends where the file does. */
static int ramfs_allocate(struct inode *inode, uint32_t mode, uint64_t first, uint64_t end)
{
    uint64_t size = load_relaxed(&inode->bytes);
    bool writes = (mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE)) != 0;

    if ((writes && (inode->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0) ||
        ((mode & FALLOC_PUNCH_HOLE) == 0 && end > size && (inode->seals & SEAL_GROW) != 0))
        return -EPERM;
    int error = end > size && (mode & FALLOC_KEEP_SIZE) == 0 ? may_become(end) : 0;

    if (error == 0 && writes)
        error = zero(inode, first, end);
    if ((mode & FALLOC_KEEP_SIZE) != 0)
        end = MIN(end, size);
    if (error != 0 || (mode & FALLOC_PUNCH_HOLE) != 0 || first >= end)
        return error;
    if (end > size)
        error = vm_object_resize(inode->object, end);
    if (error == 0)
        error = make_pages(inode, first, end);
    if (error == 0 && end > size)
        store_release(&inode->bytes, end); /* PAIRS(inode_bytes) */
    if (error != 0 && end > size) {
        int shrink_error = vm_object_resize(inode->object, size);

        ASSERT(shrink_error == 0); /* only a size out of range is refused */
    }
    return error;
}

static uint64_t ramfs_blocks(struct inode *inode)
{
    return inode->object == NULL ? 0 : vm_object_page_count(inode->object) * (PAGE_BYTES / 512);
}

static int ramfs_make(struct inode *dir, const struct inode_spec *spec, struct inode **out);

static const struct inode_ops ramfs_file_inode_ops = {
    .open = ramfs_open,
    .resize = ramfs_resize,
    .allocate = ramfs_allocate,
    .blocks = ramfs_blocks,
};
static const struct inode_ops ramfs_dir_inode_ops = {.make = ramfs_make};
static const struct inode_ops ramfs_other_inode_ops;

static int ramfs_make_in(struct filesystem *fs, const struct inode_spec *spec, struct inode **out)
{
    uint32_t type = spec->mode & S_IFMT;
    struct vm_object *object = NULL;
    int error = 0;

    if (type == S_IFREG)
        error = vm_object_create(0, &object);
    if (error != 0)
        return error;
    error = inode_create(fs,
                         type == S_IFREG ? &ramfs_file_inode_ops
                                         : type == S_IFDIR ? &ramfs_dir_inode_ops : &ramfs_other_inode_ops,
                         spec, out);
    if (object == NULL)
        return error;
    if (error != 0) {
        vm_object_put(object);
        return error;
    }
    vm_object_set_budget(object, &fs->pages);
    (*out)->object = object;
    if (fs->magic == TMPFS_MAGIC) {
        (*out)->has_seals = true;
        (*out)->seals = SEAL_SEAL;
    }
    return 0;
}

static int ramfs_make(struct inode *dir, const struct inode_spec *spec, struct inode **out)
{
    return ramfs_make_in(dir->fs, spec, out);
}

/* ---- File systems ---- */

static void release_fs(struct vm_object_budget *pages)
{
    struct filesystem *fs = container_of(pages, struct filesystem, pages);

    ASSERT(load_relaxed(&fs->inodes) == 0 && load_relaxed(&pages->used) == 0);
    kfree(fs);
}

int ramfs_create(const char *type, const struct ramfs_limits *limits, struct filesystem **out)
{
    struct filesystem *fs = kzalloc(sizeof *fs);
    const struct inode_spec spec = {.mode = S_IFDIR | limits->mode, .user = limits->user, .group = limits->group};
    struct inode *root;
    int error = -ENOMEM;

    if (fs == NULL)
        return -ENOMEM;
    fs->type = type;
    fs->magic = strcmp(type, "ramfs") == 0 ? RAMFS_MAGIC : TMPFS_MAGIC;
    fs->device = fs_next_device();
    fs->inodes_max = limits->inodes != 0 ? limits->inodes : UINT64_MAX;
    fs->pages.max = limits->pages != 0 ? limits->pages : UINT64_MAX;
    store_relaxed(&fs->pages.refs, 1);
    fs->pages.release = release_fs;
    list_init(&fs->link);
    error = ramfs_make_in(fs, &spec, &root);
    if (error != 0)
        goto fail_fs;
    root->links = 2;
    error = name_create(NULL, "", 0, root, &fs->root);
    inode_put(root);
    if (error != 0)
        goto fail_fs;
    *out = fs;
    return 0;

fail_fs:
    kfree(fs);
    return error;
}

static int create_ramfs(const char *options, struct filesystem **out)
{
    const struct ramfs_limits none = {.mode = 0755};

    (void)options; /* ramfs ignores what it does not know */
    return ramfs_create("ramfs", &none, out);
}

/* A number with k, m, g or % (of `whole`) behind it, up to a ',' or the end. False: no such thing. */
static bool parse_size(const char **text, uint64_t whole, uint64_t *out)
{
    const char *at = *text;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    if (at == *text)
        return false;
    char unit = (char)(*at | 0x20);
    unsigned shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 0;

    if (shift != 0 && value > UINT64_MAX >> shift)
        return false;
    value <<= shift;
    if (*at == '%')
        value = value <= 100 ? whole / 100 * value : whole;
    at += shift != 0 || *at == '%';
    *out = value;
    *text = at;
    return *at == 0 || *at == ',';
}

static bool parse_mode(const char **text, uint32_t *out)
{
    const char *at = *text;

    for (*out = 0; *at >= '0' && *at <= '7' && *out <= S_PERMISSIONS; at++)
        *out = *out * 8 + (uint32_t)(*at - '0');
    bool is_good = at != *text && *out <= S_PERMISSIONS && (*at == 0 || *at == ',');

    *text = at;
    return is_good;
}

static bool begins(const char **text, const char *word)
{
    size_t bytes = strlen(word);

    if (strncmp(*text, word, bytes) != 0)
        return false;
    *text += bytes;
    return true;
}

static int create_tmpfs(const char *options, struct filesystem **out)
{
    struct phys_stats memory;
    bool is_good = true;

    phys_stats_get(&memory);
    struct ramfs_limits limits = {.pages = memory.total_pages / 2, .inodes = memory.total_pages / 2, .mode = 01777};
    uint64_t bytes = limits.pages * PAGE_BYTES;

    for (const char *at = options; is_good && at != NULL && *at != 0; at += *at == ',') {
        if (begins(&at, "size="))
            is_good = parse_size(&at, memory.total_pages * PAGE_BYTES, &bytes);
        else if (begins(&at, "nr_inodes="))
            is_good = parse_size(&at, memory.total_pages, &limits.inodes);
        else if (begins(&at, "mode="))
            is_good = parse_mode(&at, &limits.mode);
        else
            is_good = false;
        is_good = is_good && (*at == 0 || *at == ',');
    }
    if (!is_good)
        return -EINVAL;
    limits.pages = bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
    return ramfs_create("tmpfs", &limits, out);
}

const struct filesystem_type ramfs_type = {"ramfs", create_ramfs, .is_single = false};
const struct filesystem_type tmpfs_type = {"tmpfs", create_tmpfs, .is_single = false};
