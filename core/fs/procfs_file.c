/* SPDX-License-Identifier: MIT */
/* The files of procfs: a text, printed when it is opened. Owns how open(2)'s flags are shown. */
#include "procfs_priv.h"

#include <fs/file.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

#define TEXT_BYTES_MAX ((size_t)4 << 20)

static uint32_t (*flags_out)(uint32_t flags); /* set at boot; NULL: fs/abi.h's numbers are the programs' */

void procfs_set_flags_out(uint32_t (*out)(uint32_t flags))
{
    flags_out = out;
}

/* ---- Text ---- */

/* Room for so many bytes more; false: there is none. */
static bool make_room(struct procfs_text *text, size_t bytes)
{
    size_t room = MAX(text->room, (size_t)256);

    if (text->has_failed || text->used + bytes <= text->room)
        return !text->has_failed;
    while (room < text->used + bytes)
        room *= 2;
    char *larger = room <= TEXT_BYTES_MAX ? kmalloc(room) : NULL;

    if (larger == NULL) {
        text->has_failed = true;
        return false;
    }
    memcpy(larger, text->bytes, text->used);
    kfree(text->bytes);
    text->bytes = larger;
    text->room = room;
    return true;
}

void procfs_write(struct procfs_text *text, const void *bytes, size_t count)
{
    if (!make_room(text, count))
        return;
    memcpy(text->bytes + text->used, bytes, count);
    text->used += count;
}

void procfs_print(struct procfs_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int bytes = fmt_vprint(NULL, 0, format, args);

    va_end(args);
    if (bytes < 0 || !make_room(text, (size_t)bytes + 1)) /* the NUL is overwritten by what follows */
        return;
    va_start(args, format);
    (void)fmt_vprint(text->bytes + text->used, (size_t)bytes + 1, format, args);
    va_end(args);
    text->used += (size_t)bytes;
}

/* ---- Files ---- */

static int64_t read_text(struct file *file, struct io_span *to, uint64_t *position)
{
    const struct procfs_text *text = file->data;
    size_t bytes = *position < text->used ? MIN(text->used - (size_t)*position, to->left) : 0;
    size_t done = bytes > 0 ? io_copy_to(to, text->bytes + *position, bytes) : 0;

    *position += done;
    return io_result(done, bytes > 0 ? -EFAULT : 0);
}

static int64_t write_text(struct file *file, struct io_span *from, uint64_t *position)
{
    const struct node *node = file->inode->data;
    char text[PROCFS_WRITE_MAX + 1];
    size_t bytes = from->left;

    if (bytes > PROCFS_WRITE_MAX)
        return -EINVAL;
    if (io_copy_from(from, text, bytes) != bytes)
        return -EFAULT;
    text[bytes] = 0;
    int error = node->file->write(node->process, text, bytes);

    if (error != 0)
        return error;
    *position += bytes;
    return (int64_t)bytes;
}

static uint64_t end_of_text(struct file *file)
{
    return ((const struct procfs_text *)file->data)->used;
}

static void release_text(struct file *file)
{
    struct procfs_text *text = file->data;

    kfree(text->bytes);
    kfree(text);
}

static const struct file_ops text_ops = {.read = read_text, .end = end_of_text, .release = release_text};
static const struct file_ops written_ops = {
    .read = read_text, .write = write_text, .end = end_of_text, .release = release_text,
};

static void print_octal(struct procfs_text *text, uint32_t value)
{
    unsigned digits = 1;

    while (digits * 3 < 32 && value >> digits * 3 != 0)
        digits++;
    while (digits-- > 0)
        procfs_print(text, "%u", value >> digits * 3 & 7);
}

/* /proc/NUMBER/fdinfo/NUMBER. */
static int print_descriptor(const struct node *node, struct procfs_text *text)
{
    struct file *file = procfs_file_of(node, node->number);
    uint64_t position = 0;

    if (file == NULL)
        return -ENOENT;
    if (file->has_position) {
        mutex_lock(&file->position_lock);
        position = file->position;
        mutex_unlock(&file->position_lock);
    }
    uint32_t flags = load_relaxed(&file->flags);

    procfs_print(text, "pos:\t%llu\nflags:\t0", (unsigned long long)position);
    print_octal(text, flags_out != NULL ? flags_out(flags) : flags);
    procfs_print(text, "\nmnt_id:\t%u\nino:\t%llu\n", (unsigned)file->inode->fs->device,
                 (unsigned long long)file->inode->number);
    file_put(file);
    return 0;
}

static int print_any(const struct node *node, struct procfs_text *text)
{
    if (node->kind == NODE_FDINFO)
        return print_descriptor(node, text);
    return node->file->print != NULL ? node->file->print(text, node->process)
                                     : node->file->print_numbered(text, node->file->number);
}

static int print(const struct node *node, struct procfs_text *text)
{
    int error = print_any(node, text);

    if (error == 0 && text->has_failed)
        error = -ENOMEM;
    return error;
}

int procfs_open_file(struct inode *inode, struct name *name, uint32_t flags, struct file **out)
{
    const struct node *node = inode->data;
    bool can_write = node->kind == NODE_FILE && node->file->write != NULL;
    struct procfs_text *text;
    int error;

    if ((flags & O_ACCMODE) != O_RDONLY && !can_write)
        return -EACCES;
    text = kzalloc(sizeof *text);
    error = text == NULL ? -ENOMEM : print(inode->data, text);
    if (error == 0)
        error = file_create(inode, name, can_write ? &written_ops : &text_ops, flags, out);
    if (error != 0) {
        if (text != NULL)
            kfree(text->bytes);
        kfree(text);
        return error;
    }
    (*out)->data = text;
    return 0;
}
