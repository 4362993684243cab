/* SPDX-License-Identifier: MIT */
/*
 * The files of a cpio archive (parse/cpio.h) become files of a file system. A record is made whole or not at all; what
 * is there already is replaced, as programs that unpack do. An archive is not trusted: names with ".." in them and
 * records that are damaged end the unpacking with an error, and what was made before stays.
 */
#pragma once

#include <k/compiler.h>
#include <k/types.h>

struct name;

struct unpack_result {
    unsigned files, directories, others;
    uint64_t bytes;
    uint64_t shared_bytes; /* of these, in pages of the archive itself */
    const char *what;      /* of an error: what was wrong; else NULL */
    char path[64];         /* and the beginning of the record's name */
};

/* Unpack archive[bytes] below `root`, as user 0; directories on the way to a file are made if they are missing.
 * -EINVAL: damaged; -ENOMEM, -ENOSPC, and what the calls of those names say; see out->what then. The archive may not
 * change meanwhile. Context: task. */
int unpack_archive(struct name *root, const void *archive, size_t bytes, struct unpack_result *out) MUST_USE;

/* The same of an archive in RAM that was reserved at boot, and of which nothing is left afterwards: contents that lie
 * page by page in it are used where they are, all other pages are freed. Boot: phys_adopt(). */
int unpack_reserved(struct name *root, paddr_t archive, size_t bytes, struct unpack_result *out) MUST_USE;
