/* SPDX-License-Identifier: MIT */
/*
 * Files of memory without a place (memfd_create(2)), and seals on files (fcntl(2), "File Sealing"): what is sealed
 * against a change cannot be changed so any more, by anybody.
 *
 *   seals of a file: 0 or some -> more; never fewer.  SEAL_SEAL: what there is, is all that there will be
 *
 * Files of tmpfs have seals, too, as on Linux: SEAL_SEAL from the beginning. A file that is sealed against writes has
 * no mapping that could write to it: such a mapping keeps the seal away, and the seal such mappings (vm/object.h).
 *
 * Guarded by inode->mutex. Context of all: task, may sleep.
 */
#pragma once

#include <stdbool.h>

#include <fs/file.h>
#include <k/compiler.h>

struct cred;

/* Linux's numbers. */
#define SEAL_SEAL 0x01u
#define SEAL_SHRINK 0x02u
#define SEAL_GROW 0x04u
#define SEAL_WRITE 0x08u
#define SEAL_FUTURE_WRITE 0x10u /* mappings that are there may go on */
#define SEAL_EXEC 0x20u         /* the rights to execute stay as they are */
#define SEALS_ALL 0x3fu

/* The prefix makes it a name as long as names may be. */
#define MEMFD_PREFIX "memfd:"
#define MEMFD_NAME_MAX (NAME_BYTES_MAX - 6u)

void memfd_init(void); /* boot, behind inodes and names */

/* An empty file, to read and write, with these seals and permissions, of who `cred` stands for. All of them together
 * have at most half of the memory: then a write is -ENOSPC. -ENOMEM, -EINVAL: the name is too long. */
int memfd_file_create(const char *name, uint32_t permissions, uint32_t seals, const struct cred *cred,
                      struct file **out) MUST_USE;

/* -EPERM: not open for writing, or SEAL_SEAL; -EINVAL: unknown seals, or a file that has none; -EBUSY: SEAL_WRITE, and
 * it is mapped so that it could be written. */
int file_seals_add(struct file *file, uint32_t seals) MUST_USE;
/* -EINVAL: it has none. */
int file_seals_get(struct file *file) MUST_USE;

/* Is it sealed against writes by way of a mapping to be made? A mapping that could write is refused later, too, if the
 * seal comes meanwhile. */
bool file_is_sealed_for_maps(struct file *file);
