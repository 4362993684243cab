/* SPDX-License-Identifier: MIT */
/*
 * Devices by number, and devfs, which is a ramfs that begins with the special files of all devices. The table only
 * grows: a look-up takes no lock.
 */
#include <fs/dev.h>

#include <fs/filesystem.h>
#include <fs/name.h>
#include <k/errno.h>
#include <lib/string.h>
#include <vm/object.h>

static struct {
    struct mutex mutex; /* one registration at a time */
    const struct device *_Atomic device[DEVICES_MAX];
    _Atomic(unsigned) count; /* PAIRS(devices) */
    struct filesystem *fs;
} devices = {.mutex = MUTEX_INIT(devices.mutex)};

/* ---- The table ---- */

static const struct device *find(uint32_t number, const char *name)
{
    unsigned count = load_acquire(&devices.count); /* PAIRS(devices): the entries below it */

    for (unsigned i = 0; i < count; i++) {
        const struct device *device = load_relaxed(&devices.device[i]);

        if (device->number == number || (name != NULL && strcmp(device->name, name) == 0))
            return device;
    }
    return NULL;
}

/* A file of devfs's root. */
static int add_node(const char *text, const struct inode_spec *spec)
{
    struct name *root = devices.fs->root, *name;
    struct inode *dir = root->inode, *inode;
    int error;

    mutex_lock(&dir->mutex);
    error = name_find(dir, text, strlen(text)) != NULL ? -EEXIST : dir->ops->make(dir, spec, &inode);
    if (error == 0) {
        error = name_create(root, text, strlen(text), inode, &name);
        if (error == 0) {
            name_link(dir, name);
            name_put(name);
            inode_add_links(inode, 1);
        }
        inode_put(inode);
    }
    mutex_unlock(&dir->mutex);
    return error;
}

int device_register(const struct device *device)
{
    const struct inode_spec spec = {.mode = S_IFCHR | device->mode, .device = device->number};
    int error;

    mutex_lock(&devices.mutex);
    unsigned count = load_relaxed(&devices.count);

    if (find(device->number, device->name) != NULL)
        error = -EEXIST;
    else if (count == DEVICES_MAX)
        error = -ENOSPC;
    else
        error = add_node(device->name, &spec);
    if (error == 0) {
        store_relaxed(&devices.device[count], device);
        store_release(&devices.count, count + 1); /* PAIRS(devices) */
    }
    mutex_unlock(&devices.mutex);
    return error;
}

int device_open(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    const struct device *device = find(inode->device, NULL);

    if (device == NULL)
        return -ENXIO;
    if (device->open != NULL)
        return device->open(inode, name, flags, out);
    return file_create(inode, name, device->ops, flags, out);
}

/* ---- Those that are always there ---- */

static int64_t read_nothing(struct file *file, struct io_span *to, uint64_t *position)
{
    (void)file, (void)to, (void)position;
    return 0;
}

static int64_t read_zeros(struct file *file, struct io_span *to, uint64_t *position)
{
    (void)file, (void)position;
    return io_result(io_zero(to, to->left), -EFAULT);
}

static int64_t read_random(struct file *file, struct io_span *to, uint64_t *position)
{
    (void)file, (void)position;
    return random_read(to);
}

static int64_t write_nowhere(struct file *file, struct io_span *from, uint64_t *position)
{
    size_t bytes = from->left;

    (void)file, (void)position;
    io_skip(from, bytes);
    return (int64_t)bytes;
}

static int64_t write_full(struct file *file, struct io_span *from, uint64_t *position)
{
    (void)file, (void)from, (void)position;
    return -ENOSPC;
}

/* What a program writes is mixed in, and counts for nothing: random(4). */
static int64_t write_random(struct file *file, struct io_span *from, uint64_t *position)
{
    size_t total = 0;
    char piece[64];

    (void)file, (void)position;
    while (from->left > 0) {
        size_t part = MIN(from->left, sizeof piece), done = io_copy_from(from, piece, part);

        random_seed(piece, done, false);
        total += done;
        if (done < part)
            break;
    }
    return io_result(total, -EFAULT);
}

static int map_anonymous(struct file *file, struct vm_object **out)
{
    (void)file;
    *out = NULL;
    return 0;
}

static uint64_t no_end(struct file *file)
{
    (void)file;
    return 0;
}

static const struct file_ops null_ops = {.read = read_nothing, .write = write_nowhere, .end = no_end};
static const struct file_ops zero_ops = {
    .read = read_zeros, .write = write_nowhere, .map = map_anonymous, .end = no_end};
static const struct file_ops full_ops = {.read = read_zeros, .write = write_full, .map = map_anonymous, .end = no_end};
static const struct file_ops random_ops = {.read = read_random, .write = write_random, .end = no_end};

/* Numbers of Linux's Documentation/admin-guide/devices.txt. */
static const struct device always_there[] = {
    {.name = "null", .number = DEVICE(1, 3), .mode = 0666, .ops = &null_ops},
    {.name = "zero", .number = DEVICE(1, 5), .mode = 0666, .ops = &zero_ops},
    {.name = "full", .number = DEVICE(1, 7), .mode = 0666, .ops = &full_ops},
    {.name = "random", .number = DEVICE(1, 8), .mode = 0666, .ops = &random_ops},
    {.name = "urandom", .number = DEVICE(1, 9), .mode = 0666, .ops = &random_ops},
};

static const struct {
    const char *name, *target;
} links[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

void devfs_init(void)
{
    const struct ramfs_limits none = {.mode = 0755};
    int error = ramfs_create("devtmpfs", &none, &devices.fs);

    for (unsigned i = 0; i < ARRAY_COUNT(always_there) && error == 0; i++)
        error = device_register(&always_there[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(links) && error == 0; i++)
        error = add_node(links[i].name, &(struct inode_spec){.mode = S_IFLNK | 0777, .link = links[i].target});
    if (error != 0)
        panic("out of memory at boot: cannot make devfs, error %d", error);
}

static int create_devfs(const char *options, struct filesystem **out)
{
    (void)options;
    *out = devices.fs;
    return 0;
}

const struct filesystem_type devfs_type = {"devtmpfs", create_devfs, .is_single = true};
