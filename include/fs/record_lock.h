/* SPDX-License-Identifier: MIT */
/*
 * Locks of ranges of bytes: fcntl(2) F_SETLK and its relatives. They are advice: nothing but this looks at them.
 *
 * An owner is a descriptor table, which stands for the process (F_SETLK: any close of the file by it gives all of its
 * locks on that file back), or an open file (F_OFD_SETLK: its last close does). An owner has at most one kind of lock
 * on each byte; what touches and is of one kind is one lock.
 *
 *   byte and owner:  NONE -> SHARED, EXCLUSIVE (no other owner has what excludes it) -> another kind, NONE
 *
 * A change of kind is one step. Who waits is woken by what is given back and looks again: there is no queue. Tables
 * that wait for each other in a circle are found: the one that would close it is refused. Open files are not looked at
 * for that, as on Linux.
 *
 * One mutex guards all locks: held for a walk over those of one file, or of those who wait. Context: task, may sleep.
 */
#pragma once

#include <fs/file.h>

struct fd_table;

enum record_lock_kind { RECORD_NONE, RECORD_SHARED, RECORD_EXCLUSIVE };

#define RECORD_LOCK_END ((uint64_t)INT64_MAX) /* of `last`: as far as the file may ever go */
#define RECORD_LOCKS_MAX 65536u              /* of all files together */

struct record_lock_request {
    const void *owner;
    bool is_of_file; /* the owner is an open file */
    enum record_lock_kind kind;
    uint64_t first, last; /* both belong to it */
    int64_t pid;          /* for those who ask */
};

void record_lock_init(void); /* boot */

/* RECORD_NONE unlocks. -EAGAIN: it would have to wait, and is not to; -EDEADLK; -EINTR; -ENOLCK: no memory for it,
 * which unlocking all of a file never needs. */
int record_lock_set(struct inode *inode, const struct record_lock_request *request, bool waits) MUST_USE;

/* What is in its way, in its place, or RECORD_NONE as its kind. */
void record_lock_find(struct inode *inode, struct record_lock_request *request);

/* All that the owner has there is given back. */
void record_lock_drop(struct inode *inode, const void *owner);

/* The owner closes the file: a descriptor of the table goes, or the open file itself. Order: a lock that was set
 * through a descriptor is seen by who took that out of its table afterwards; who sets one looks at the table
 * afterwards. */
static inline void record_lock_closed(struct file *file, const void *owner)
{
    if (UNLIKELY(load_relaxed(&file->inode->record_locks) > 0))
        record_lock_drop(file->inode, owner);
}
