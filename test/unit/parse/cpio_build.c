/* SPDX-License-Identifier: MIT */
/* See cpio_build.h. */
#include "cpio_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cpio_build_begin(struct cpio_build *build, int format)
{
    memset(build, 0, sizeof(*build));
    build->format = format;
}

void cpio_build_zeros(struct cpio_build *build, size_t bytes)
{
    if (bytes > sizeof(build->data) - build->bytes)
        abort();
    build->bytes += bytes; /* they are there already */
}

static void put(struct cpio_build *build, const void *data, size_t bytes)
{
    size_t at = build->bytes;

    cpio_build_zeros(build, bytes);
    if (bytes > 0)
        memcpy(build->data + at, data, bytes);
}

void cpio_build_field(struct cpio_build *build, size_t header, int field, uint32_t value)
{
    char text[9];

    snprintf(text, sizeof(text), "%08X", value);
    memcpy(build->data + header + CPIO_FIELD_AT(field), text, 8);
}

static void pad(struct cpio_build *build)
{
    cpio_build_zeros(build, (4 - build->bytes % 4) % 4);
}

static size_t add(struct cpio_build *build, const char *name, const void *data, size_t bytes,
                  const uint32_t field[CPIO_FIELDS])
{
    size_t header = build->bytes;
    char magic[8];

    snprintf(magic, sizeof(magic), "07070%d", build->format);
    put(build, magic, 6);
    cpio_build_zeros(build, CPIO_FIELDS * 8);
    for (int i = 0; i < CPIO_FIELDS; i++)
        cpio_build_field(build, header, i, field[i]);
    put(build, name, strlen(name) + 1);
    pad(build);
    put(build, data, bytes);
    pad(build);
    return header;
}

size_t cpio_build_add(struct cpio_build *build, const char *name, uint32_t mode, const void *data, size_t bytes)
{
    uint32_t ino = ++build->ino, sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum += ((const uint8_t *)data)[i];
    return add(build, name, data, bytes,
               (const uint32_t[CPIO_FIELDS]){ino, mode, 1, 2, 1, 1000 + ino, (uint32_t)bytes, 3, 4, 5, 6,
                                             (uint32_t)strlen(name) + 1, build->format == 2 ? sum : 0});
}

size_t cpio_build_end(struct cpio_build *build)
{
    return add(build, "TRAILER!!!", NULL, 0,
               (const uint32_t[CPIO_FIELDS]){[CPIO_NLINK] = 1, [CPIO_NAME_BYTES] = sizeof("TRAILER!!!")});
}

void cpio_build_two(struct cpio_build *build)
{
    cpio_build_begin(build, 1);
    cpio_build_add(build, ".", 040755, NULL, 0);
    cpio_build_add(build, "bin", 040755, NULL, 0);
    cpio_build_add(build, "bin/busybox", 0100755, "\177ELF and so on", 14);
    cpio_build_add(build, "bin/sh", 0120777, "busybox", 7);
    cpio_build_add(build, "dev/console", 0020600, NULL, 0);
    cpio_build_end(build);
    cpio_build_zeros(build, 512 - build->bytes % 512);
    build->format = 2;
    cpio_build_add(build, "etc/motd", 0100644, "hello\n", 6);
    cpio_build_add(build, "pipe", 0010644, NULL, 0);
    cpio_build_add(build, "empty", 0100600, NULL, 0);
    cpio_build_end(build);
    cpio_build_zeros(build, 512 - build->bytes % 512);
}
