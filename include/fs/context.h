/* SPDX-License-Identifier: MIT */
/* What a process's paths begin with: root, working directory, umask. Shared by the tasks that say so (CLONE_FS). */
#pragma once

#include <k/atomic.h>
#include <k/compiler.h>
#include <k/types.h>
#include <smp/spinlock.h>

struct cred;
struct name;
struct path_place;

struct fs_context {
    _Atomic(uint32_t) refs; /* PAIRS(fs_context_ref) */
    struct spinlock lock;   /* LOCK_FILES: guards the names */
    struct name *root, *cwd; /* counted */
    _Atomic(uint32_t) umask;
};

void fs_context_init(void); /* boot */

/* At the first root, umask 022, one reference. -ENOMEM. Context: task. */
int fs_context_create(struct fs_context **out) MUST_USE;
/* fork(2): one's own. -ENOMEM. */
int fs_context_copy(struct fs_context *from, struct fs_context **out) MUST_USE;
void fs_context_get(struct fs_context *context);
void fs_context_put(struct fs_context *context); /* may sleep */

/* References to what they are now. */
struct name *fs_context_root(struct fs_context *context);
struct name *fs_context_cwd(struct fs_context *context);

/* chdir(2), fchdir(2), chroot(2) to a directory; the caller has looked at CAP_SYS_CHROOT. -ENOTDIR, -EACCES. */
int fs_context_set_cwd(struct fs_context *context, const struct cred *cred, struct name *dir) MUST_USE;
int fs_context_set_root(struct fs_context *context, const struct cred *cred, struct name *dir) MUST_USE;

/* umask(2): the old one. */
uint32_t fs_context_set_umask(struct fs_context *context, uint32_t umask);
