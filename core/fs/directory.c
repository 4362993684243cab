/* SPDX-License-Identifier: MIT */
/* Open directories of the tree of names: what a reader sees while names come and go. */
#include "fs_priv.h"

#include <fs/name.h>
#include <k/errno.h>

/* "." and "..": positions 0 and 1. False: no room. */
static bool emit_dots(struct file *file, struct dir_sink *sink)
{
    if (file->position == 0) {
        const struct dir_entry self = {".", 1, file->inode->number, S_IFDIR, 1};

        if (!sink->emit(sink, &self))
            return false;
    }
    if (file->position == 1) {
        struct name *up = name_up(file->name, NULL);
        const struct dir_entry parent = {"..", 2, up->inode->number, S_IFDIR, 2};

        name_put(up);
        return sink->emit(sink, &parent);
    }
    return true;
}

static bool is_dead(struct inode *dir)
{
    mutex_lock(&dir->mutex);
    bool result = dir->dir.is_dead;

    mutex_unlock(&dir->mutex);
    return result;
}

/* The sink moves file->position. A name that is there all the while is told once; one that comes or goes meanwhile,
 * once or not at all. */
static int iterate(struct file *file, struct dir_sink *sink)
{
    struct inode *dir = file->inode;
    struct name *name;

    /* One that is removed has not even dots; if it is removed from here on, it is empty. */
    if (is_dead(dir))
        return -ENOENT;
    if (!emit_dots(file, sink))
        return 0;
    mutex_lock(&dir->mutex);
    while ((name = name_at_position(dir, file->position)) != NULL) {
        const struct dir_entry entry = {name->text, name->text_bytes, name->inode->number, name->inode->type,
                                        name->position + 1};

        if (!sink->emit(sink, &entry))
            break;
    }
    mutex_unlock(&dir->mutex);
    store_relaxed(&dir->accessed_ns, fs_now_ns());
    return 0;
}

static uint64_t end(struct file *file)
{
    struct inode *dir = file->inode;

    mutex_lock(&dir->mutex);
    uint64_t position = dir->dir.next_position;

    mutex_unlock(&dir->mutex);
    return position;
}

const struct file_ops directory_ops = {.iterate = iterate, .end = end};
