/* SPDX-License-Identifier: MIT */
/*
 * Devices: what opens when a special file is opened, by number; and their names in devfs. Register at boot or later;
 * for ever. null, zero, full, random and urandom are registered by fs_init().
 */
#pragma once

#include <fs/file.h>

struct device {
    const char *name;   /* in devfs; may not contain '/' */
    uint32_t number;    /* DEVICE(major, minor) */
    uint32_t mode;      /* S_IFCHR and permissions */
    /* A file with one reference, by file_create(); NULL: file_create() with `ops`. */
    int (*open)(struct inode *inode, struct name *name, uint32_t flags, struct file **out);
    const struct file_ops *ops;
};

#define DEVICES_MAX 64u

/* -EEXIST: name or number; -ENOSPC: too many; -ENOMEM. Shows up in devfs at once. Context: task. */
int device_register(const struct device *device) MUST_USE;

/* Open the device of that number. -ENXIO. For open.c. */
int device_open(struct inode *inode, struct name *name, uint32_t flags, struct file **out) MUST_USE;

/* ---- Random numbers: random(4), getrandom(2) ---- */

/* Mix entropy in; boot, with what the firmware gave, and whoever has more. `is_enough`: it cannot be guessed. Context:
 * any. */
void random_seed(const void *entropy, size_t bytes, bool is_enough);
/* Has it been seeded with enough? */
bool random_is_ready(void);
/* Context: any, also before it is ready. Each call's key is erased when it returns. */
void random_bytes(void *to, size_t bytes);
/* getrandom(2): short only if a fault or a kill ends it. */
int64_t random_read(struct io_span *to) MUST_USE;
