/* SPDX-License-Identifier: MIT */
/* Writes cpio archives for tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CPIO_BUILD_BYTES 8192

enum { /* fields of a header, in order: 8 digits each behind the magic */
    CPIO_INO, CPIO_MODE, CPIO_UID, CPIO_GID, CPIO_NLINK, CPIO_MTIME, CPIO_BYTES, CPIO_DEV_MAJOR, CPIO_DEV_MINOR,
    CPIO_RDEV_MAJOR, CPIO_RDEV_MINOR, CPIO_NAME_BYTES, CPIO_CHECKSUM, CPIO_FIELDS
};
#define CPIO_FIELD_AT(field) (6 + 8 * (size_t)(field))

struct cpio_build {
    uint8_t data[CPIO_BUILD_BYTES];
    size_t bytes;
    uint32_t ino; /* of the last entry */
    int format;   /* 1 or 2: the magic's last digit; 2 also writes checksums of files */
};

void cpio_build_begin(struct cpio_build *build, int format);

/* An entry with mtime 1000 + its ino, uid 1, gid 2, on device 3:4, which is device 5:6. Returns its header's offset. */
size_t cpio_build_add(struct cpio_build *build, const char *name, uint32_t mode, const void *data, size_t bytes);
size_t cpio_build_end(struct cpio_build *build); /* TRAILER!!! */
void cpio_build_zeros(struct cpio_build *build, size_t bytes);
void cpio_build_field(struct cpio_build *build, size_t header, int field, uint32_t value);

/* Two archives with zeros between and behind them: folders, files, links, a device; the second with checksums. */
void cpio_build_two(struct cpio_build *build);
