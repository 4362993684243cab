/* SPDX-License-Identifier: MIT */
/*
 * cpio archives in the "newc" formats, as an initrd holds them (cpio(5); Linux's documentation of early user space,
 * "initramfs buffer format"): magic 070701, or 070702 with checksums. Several archives may follow each other, with
 * zeros between and behind them, and more NULs behind a name may bring its data to a boundary. Untrusted bytes in, one
 * checked entry after the other out. Nothing is allocated or copied: an entry points into the archive. Context: any;
 * time: the bytes of the entry, for checksums.
 */
#pragma once

#include <stdbool.h>

#include <k/compiler.h>
#include <k/types.h>

#define CPIO_NAME_MAX 4096 /* with the NUL: PATH_MAX of Linux */

/* The types of mode (inode(7)). */
#define CPIO_TYPE_MASK 0170000u
#define CPIO_SOCKET 0140000u
#define CPIO_LINK 0120000u
#define CPIO_FILE 0100000u
#define CPIO_BLOCK 0060000u
#define CPIO_FOLDER 0040000u
#define CPIO_CHARACTER 0020000u
#define CPIO_FIFO 0010000u

struct cpio_entry {
    const char *name;  /* ends in a NUL; not empty; may begin with '/' or "./" and have ".." anywhere */
    const uint8_t *data; /* contents of a file, or target of a symbolic link, which has no NUL */
    uint32_t bytes;    /* of data: 0 for all other types */
    uint32_t mode;     /* type and permissions; the type is one of those above */
    uint32_t uid, gid, mtime_seconds;
    /* Links of a file share ino and dev inside one archive. Only one of them may have the data: GNU cpio's the last. */
    uint32_t link_count, ino, dev_major, dev_minor;
    uint32_t rdev_major, rdev_minor; /* of devices */
    size_t archive;    /* offset of the archive that the entry is in: tells equal ino of two archives apart */
};

struct cpio {
    const uint8_t *data;
    size_t bytes;
    size_t at;            /* the next entry's header, or what is wrong */
    size_t archive;       /* offset of the first header of this archive */
    bool is_inside;       /* an archive has begun and not ended */
    const char *reason;   /* why cpio_next() returned -EINVAL, else NULL; `at` is where */
};

/* `data` stays the caller's and must not change meanwhile. */
void cpio_open(struct cpio *cpio, const void *data, size_t bytes);

/*
 * The next entry. 0; -ENOENT: the end, all archives were whole; -EINVAL: damaged at cpio->at for cpio->reason, now and
 * from now on. The entries before it are good. The end-of-archive entries are not told.
 */
int cpio_next(struct cpio *cpio, struct cpio_entry *out) MUST_USE;
