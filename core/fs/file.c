/* SPDX-License-Identifier: MIT */
/*
 * Open files: what every kind of them shares. Checks what a call may do with the file, keeps the position, and leaves
 * the rest to the file's operations.
 */
#include <fs/file.h>

#include <fs/epoll.h>
#include <fs/filesystem.h>
#include <fs/flock.h>
#include <fs/name.h>
#include <fs/record_lock.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/slab.h>

static struct slab_cache file_cache;

void file_init(void)
{
    slab_cache_init(&file_cache, "file", sizeof(struct file), _Alignof(struct file));
}

static int begin_writing(struct inode *inode)
{
    int error = inode_writer_begin(inode);

    if (error != 0)
        return error;
    error = filesystem_writer_begin(inode->fs);
    if (error != 0)
        inode_writer_end(inode);
    return error;
}

int file_create(struct inode *inode, struct name *name, const struct file_ops *ops, uint32_t flags, struct file **out)
{
    struct file *file = slab_alloc(&file_cache);
    uint32_t mode = flags & O_ACCMODE;
    bool is_path = (flags & O_PATH) != 0;

    if (file == NULL)
        return -ENOMEM;
    file->can_write = !is_path && (mode == O_WRONLY || mode == O_RDWR);
    file->counts_as_writer = file->can_write && inode_is(inode, S_IFREG);
    if (file->counts_as_writer) {
        int error = begin_writing(inode);

        if (error != 0) {
            slab_free(&file_cache, file);
            return error;
        }
    }
    store_relaxed(&file->refs, 1);
    store_relaxed(&file->flags, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC));
    file->can_read = !is_path && (mode == O_RDONLY || mode == O_RDWR);
    file->has_position = !is_path && (inode_is(inode, S_IFREG) || inode_is(inode, S_IFDIR));
    file->ops = ops;
    file->stream_read = file->can_read && !file->has_position ? ops->read : NULL;
    file->stream_write = file->can_write && !file->has_position ? ops->write : NULL;
    inode_get(inode);
    file->inode = inode;
    if (name != NULL)
        name_get(name);
    file->name = name;
    file->data = NULL;
    file->flock = FLOCK_NONE;
    store_relaxed(&file->watches, NULL);
    mutex_init(&file->position_lock);
    file->position = 0;
    *out = file;
    return 0;
}

void file_forget_writer(struct file *file)
{
    ASSERT(file->counts_as_writer);
    file->counts_as_writer = false;
    filesystem_writer_end(file->inode->fs);
    inode_writer_end(file->inode);
}

void file_end(struct file *file, uint32_t before)
{
    ASSERT(before == 1);
    if (UNLIKELY(file->flock != FLOCK_NONE))
        flock_release(file);
    record_lock_closed(file, file);
    if (UNLIKELY(load_acquire(&file->watches) != NULL)) /* PAIRS(file_watches): NULL, it has left our queues */
        epoll_file_ended(file);
    if (file->ops->release != NULL)
        file->ops->release(file);
    bool was_in_detached = load_relaxed(&file->inode->fs->is_detached);

    if (file->name != NULL)
        name_put(file->name);
    if (file->counts_as_writer)
        file_forget_writer(file);
    inode_put(file->inode);
    slab_free(&file_cache, file);
    if (UNLIKELY(was_in_detached))
        filesystem_sweep();
}

/* ---- Transfers ---- */

COLD static int refusal(const struct file *file, bool is_open_for_it)
{
    if (!is_open_for_it)
        return -EBADF;
    return inode_is(file->inode, S_IFDIR) ? -EISDIR : -EINVAL;
}

/* Directories have neither read nor write. */
static ALWAYS_INLINE int may_transfer(const struct file *file, bool writes)
{
    bool is_open_for_it = writes ? file->can_write : file->can_read;

    if (LIKELY(is_open_for_it && (writes ? file->ops->write != NULL : file->ops->read != NULL)))
        return 0;
    return refusal(file, is_open_for_it);
}

static ALWAYS_INLINE int64_t transfer(struct file *file, struct io_span *span, uint64_t *position, bool writes)
{
    return writes ? file->ops->write(file, span, position) : file->ops->read(file, span, position);
}

int64_t file_transfer_by_position(struct file *file, struct io_span *span, bool writes)
{
    int error = may_transfer(file, writes);
    int64_t result;

    if (error != 0 || span->left == 0)
        return error;
    mutex_lock(&file->position_lock);
    result = transfer(file, span, &file->position, writes);
    mutex_unlock(&file->position_lock);
    return result;
}

int64_t file_read(struct file *file, struct io_span *to)
{
    return file_transfer(file, to, false);
}

int64_t file_write(struct file *file, struct io_span *from)
{
    return file_transfer(file, from, true);
}

static int64_t transfer_at(struct file *file, struct io_span *span, int64_t offset, bool writes)
{
    int error = may_transfer(file, writes);
    uint64_t position = (uint64_t)offset;

    if (error == -EBADF)
        return error;
    if (offset < 0)
        return -EINVAL;
    if (!file->has_position && !inode_is(file->inode, S_IFCHR)) /* null and zero have no position, and may be asked */
        return -ESPIPE;
    if (error != 0 || span->left == 0)
        return error;
    return transfer(file, span, &position, writes);
}

int64_t file_read_at(struct file *file, struct io_span *to, int64_t offset)
{
    return transfer_at(file, to, offset, false);
}

int64_t file_write_at(struct file *file, struct io_span *from, int64_t offset)
{
    return transfer_at(file, from, offset, true);
}

int64_t file_read_kernel(struct file *file, void *to, size_t bytes, uint64_t offset)
{
    struct io_span span;

    if (!inode_is(file->inode, S_IFREG) || file->ops->read == NULL)
        return -EINVAL;
    io_span_kernel(&span, to, bytes);
    return bytes == 0 ? 0 : file->ops->read(file, &span, &offset);
}

/* ---- Positions ---- */

static uint64_t end_of(struct file *file)
{
    return file->ops->end != NULL ? file->ops->end(file) : load_relaxed(&file->inode->bytes);
}

/* Where a seek leads, or an error. No file here has holes to tell. */
static int64_t seek_target(struct file *file, int64_t offset, int whence)
{
    uint64_t end = end_of(file);
    int64_t from = 0, target;

    switch (whence) {
    case SEEK_SET:
        break;
    case SEEK_CUR:
        from = (int64_t)file->position;
        break;
    case SEEK_END:
        from = (int64_t)end;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0 || (uint64_t)offset >= end)
            return -ENXIO;
        return whence == SEEK_DATA ? offset : (int64_t)end;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(from, offset, &target))
        return -EOVERFLOW;
    return target < 0 ? -EINVAL : target;
}

int64_t file_seek(struct file *file, int64_t offset, int whence)
{
    int64_t target;

    if ((load_relaxed(&file->flags) & O_PATH) != 0)
        return -EBADF;
    if (!file->has_position)
        return inode_is(file->inode, S_IFCHR) && file->ops->end != NULL ? 0 : -ESPIPE;
    mutex_lock(&file->position_lock);
    target = seek_target(file, offset, whence);
    if (target >= 0)
        file->position = (uint64_t)target;
    mutex_unlock(&file->position_lock);
    return target;
}

int64_t file_position(struct file *file)
{
    mutex_lock(&file->position_lock);
    int64_t position = (int64_t)file->position;

    mutex_unlock(&file->position_lock);
    return position;
}

int64_t file_end_position(struct file *file)
{
    return (int64_t)end_of(file);
}

/* ---- Directories ---- */

/* A record of getdents64(2), before the name. */
struct dirent_head {
    uint64_t number;
    int64_t next;
    uint16_t bytes;
    uint8_t type; /* the type's bits of the mode, shifted */
} PACKED;
_Static_assert(sizeof(struct dirent_head) == 19);
#define OLD_HEAD_BYTES 18u /* of getdents(2): there the type stands behind name and padding, as the last byte */

struct dirent_sink {
    struct dir_sink sink;
    struct io_span *to;
    uint64_t *position;
    bool is_old;
    size_t done;
    int error;
};

static bool emit_dirent(struct dir_sink *base, const struct dir_entry *entry)
{
    struct dirent_sink *sink = container_of(base, struct dirent_sink, sink);
    char record[ROUND_UP(sizeof(struct dirent_head) + NAME_BYTES_MAX + 1, 8)];
    const size_t name_at = sink->is_old ? OLD_HEAD_BYTES : sizeof(struct dirent_head);
    size_t name_end = name_at + entry->bytes, bytes = ROUND_UP(name_end + (sink->is_old ? 2 : 1), 8);
    uint8_t type = (uint8_t)(entry->type >> 12);
    struct dirent_head head = {entry->number, (int64_t)entry->next, (uint16_t)bytes, type};

    if (bytes > sizeof record || bytes > sink->to->left) {
        sink->error = -EINVAL; /* of the whole call, if it was the first */
        return false;
    }
    memcpy(record, &head, sizeof head);
    memcpy(record + name_at, entry->name, entry->bytes);
    memset(record + name_end, 0, bytes - name_end);
    if (sink->is_old)
        record[bytes - 1] = (char)type;
    if (io_copy_to(sink->to, record, bytes) < bytes) {
        sink->error = -EFAULT;
        return false;
    }
    sink->done += bytes;
    *sink->position = entry->next;
    return true;
}

static int64_t read_dir(struct file *file, struct io_span *to, bool is_old)
{
    struct dirent_sink sink = {.sink.emit = emit_dirent, .to = to, .position = &file->position, .is_old = is_old};
    int error;

    if (!file->can_read)
        return -EBADF;
    if (file->ops->iterate == NULL)
        return -ENOTDIR;
    mutex_lock(&file->position_lock);
    error = file->ops->iterate(file, &sink.sink);
    mutex_unlock(&file->position_lock);
    return io_result(sink.done, error != 0 ? error : sink.error);
}

int64_t file_read_dir(struct file *file, struct io_span *to)
{
    return read_dir(file, to, false);
}

int64_t file_read_dir_old(struct file *file, struct io_span *to)
{
    return read_dir(file, to, true);
}

/* ---- The rest ---- */

int file_truncate(struct file *file, int64_t bytes)
{
    if (!file->can_write || !inode_is(file->inode, S_IFREG))
        return -EINVAL;
    return inode_truncate(file->inode, bytes);
}

static bool is_allocation(uint32_t mode)
{
    return mode == 0 || mode == FALLOC_KEEP_SIZE || mode == FALLOC_ZERO_RANGE ||
           mode == (FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE) || mode == (FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE);
}

static int check_allocation(const struct file *file, uint32_t mode, int64_t offset, int64_t bytes)
{
    const struct inode *inode = file->inode;

    if (offset < 0 || bytes <= 0)
        return -EINVAL;
    if (!is_allocation(mode))
        return -EOPNOTSUPP;
    if (!file->can_write)
        return -EBADF;
    if (!inode_is(inode, S_IFREG))
        return inode_is(inode, S_IFIFO) ? -ESPIPE : inode_is(inode, S_IFDIR) ? -EISDIR : -ENODEV;
    if (inode->ops->allocate == NULL)
        return -EOPNOTSUPP;
    return (uint64_t)offset + (uint64_t)bytes > VM_OBJECT_BYTES_MAX ? -EFBIG : 0;
}

int file_allocate(struct file *file, uint32_t mode, int64_t offset, int64_t bytes)
{
    struct inode *inode = file->inode;
    int error = check_allocation(file, mode, offset, bytes);

    if (error != 0)
        return error;
    mutex_lock(&inode->mutex);
    error = inode->ops->allocate(inode, mode, (uint64_t)offset, (uint64_t)offset + (uint64_t)bytes);
    mutex_unlock(&inode->mutex);
    if (error == 0)
        inode_touch_modified(inode);
    return error;
}

int64_t file_ioctl(struct file *file, uint32_t command, uintptr_t argument)
{
    if ((load_relaxed(&file->flags) & O_PATH) != 0)
        return -EBADF;
    return file->ops->ioctl == NULL ? -ENOTTY : file->ops->ioctl(file, command, argument);
}

int file_map(struct file *file, bool is_shared, bool wants_write, struct vm_object **out)
{
    if ((load_relaxed(&file->flags) & O_PATH) != 0)
        return -EBADF;
    if (!file->can_read || (is_shared && wants_write && !file->can_write))
        return -EACCES;
    if (file->ops->map == NULL)
        return -ENODEV;
    return file->ops->map(file, out);
}

uint32_t file_poll(struct file *file, struct poll_wait *wait)
{
    if ((load_relaxed(&file->flags) & O_PATH) != 0)
        return POLLNVAL;
    if (file->ops->poll == NULL)
        return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
    return file->ops->poll(file, wait);
}

/* An open file and its inode. */
#define FILE_OWN_BYTES 512u

uint64_t file_held_bytes(struct file *file)
{
    struct inode *inode = file->inode;
    uint64_t pages = file->ops->held != NULL ? file->ops->held(file) : 0;

    spin_lock(&inode->lock);
    bool is_linked = inode->links != 0;

    spin_unlock(&inode->lock);
    if (inode->object != NULL && !is_linked)
        pages += vm_object_page_count(inode->object);
    return (FILE_OWN_BYTES + pages * PAGE_BYTES) / MAX(load_relaxed(&file->refs), 1u);
}

void file_set_flags(struct file *file, uint32_t flags)
{
    uint32_t old = load_relaxed(&file->flags);

    while (!cas_relaxed(&file->flags, &old, (old & ~FILE_FLAGS_SETTABLE) | (flags & FILE_FLAGS_SETTABLE)))
        continue;
}
