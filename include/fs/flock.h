/* SPDX-License-Identifier: MIT */
/*
 * Locks of whole files: flock(2). An open file has one, or none, whatever its descriptors; its last close gives it
 * back. They are advice: nothing but this looks at them.
 *
 *   file:  NONE -> SHARED, EXCLUSIVE (no other has a lock that excludes it) -> NONE (unlock, another kind, last close)
 *
 * A change from one kind to the other is an unlock and a lock: somebody else may be first, as on Linux. Who waits is
 * woken by every unlock that may concern it and looks again: there is no queue. Context: task, may sleep.
 */
#pragma once

#include <k/compiler.h>

struct file;

enum flock_kind { FLOCK_NONE, FLOCK_SHARED, FLOCK_EXCLUSIVE };

void flock_init(void); /* boot */

/* -EAGAIN: it would have to wait, and is not to; -EINTR. FLOCK_NONE unlocks, and never fails. */
int flock_set(struct file *file, enum flock_kind kind, bool waits) MUST_USE;

/* The last reference goes. */
void flock_release(struct file *file);
