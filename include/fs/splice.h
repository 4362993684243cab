/* SPDX-License-Identifier: MIT */
/*
 * splice(2): bytes of a pipe go to a file, or a file's into a pipe, from where they lie or to where they will.
 *
 * The pipe's mutex is held while the other file transfers, however long that takes, as on Linux: so nothing is lost
 * if that takes fewer bytes, and no other reader or writer gets between. Files other than pipes never take a pipe's
 * mutex; of two pipes both are locked, in the order of their addresses, and neither waits meanwhile.
 */
#pragma once

#include <fs/file.h>

/* One end. offset NULL: where the file stands; else it has a position, and *offset advances by what went. */
struct splice_side {
    struct file *file;
    uint64_t *offset;
};

/* Some bytes, at most `bytes`, > 0; one of the two at least is a pipe, without an offset, and `in` is open for reading,
 * `out` for writing. never_waits: not for a pipe's bytes or room: -EAGAIN. 0: the end. -EINVAL: both are the same pipe;
 * -EPIPE: nobody reads it (the caller sends the signal); -EINTR, -ENOMEM, and what the other file says.
 * Context: task, may sleep. */
int64_t splice_some(const struct splice_side *out, const struct splice_side *in, size_t bytes, bool never_waits)
    MUST_USE;
