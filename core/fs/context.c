/* SPDX-License-Identifier: MIT */
/* Root, working directory and umask. The lock guards which names they are; references are dropped outside of it. */
#include <fs/context.h>

#include <fs/filesystem.h>
#include <fs/name.h>
#include <k/errno.h>
#include <mm/slab.h>

#define UMASK_DEFAULT 022u

static struct slab_cache context_cache;

void fs_context_init(void)
{
    slab_cache_init(&context_cache, "fs-context", sizeof(struct fs_context), _Alignof(struct fs_context));
}

/* The references to root and cwd are the context's from now on, or dropped. */
static int create(struct name *root, struct name *cwd, uint32_t umask, struct fs_context **out)
{
    struct fs_context *context = slab_alloc(&context_cache);

    if (context == NULL) {
        name_put(root);
        name_put(cwd);
        return -ENOMEM;
    }
    store_relaxed(&context->refs, 1);
    spin_init(&context->lock, LOCK_FILES);
    context->root = root;
    context->cwd = cwd;
    store_relaxed(&context->umask, umask);
    *out = context;
    return 0;
}

int fs_context_create(struct fs_context **out)
{
    return create(fs_root(), fs_root(), UMASK_DEFAULT, out);
}

int fs_context_copy(struct fs_context *from, struct fs_context **out)
{
    return create(fs_context_root(from), fs_context_cwd(from), load_relaxed(&from->umask), out);
}

void fs_context_get(struct fs_context *context)
{
    uint32_t before = fetch_add_relaxed(&context->refs, 1);

    ASSERT(before > 0 && before < UINT32_MAX);
}

/* A directory that is no longer anybody's place. */
static void leave(struct name *dir)
{
    bool was_in_detached = load_relaxed(&dir->inode->fs->is_detached);

    name_put(dir);
    if (UNLIKELY(was_in_detached))
        filesystem_sweep();
}

void fs_context_put(struct fs_context *context)
{
    uint32_t before = fetch_sub_acq_rel(&context->refs, 1); /* PAIRS(fs_context_ref): both ends, as users come and go */

    ASSERT(before > 0);
    if (before > 1)
        return;
    leave(context->root);
    leave(context->cwd);
    slab_free(&context_cache, context);
}

static struct name *get_at(struct fs_context *context, struct name *const *place)
{
    spin_lock(&context->lock);
    struct name *name = *place;

    name_get(name);
    spin_unlock(&context->lock);
    return name;
}

struct name *fs_context_root(struct fs_context *context)
{
    return get_at(context, &context->root);
}

struct name *fs_context_cwd(struct fs_context *context)
{
    return get_at(context, &context->cwd);
}

static int set(struct fs_context *context, const struct cred *cred, struct name *dir, struct name **place)
{
    struct name *old;
    int error = inode_is(dir->inode, S_IFDIR) ? inode_permission(dir->inode, cred, MAY_EXEC) : -ENOTDIR;

    if (error != 0)
        return error;
    name_get(dir);
    spin_lock(&context->lock);
    old = *place;
    *place = dir;
    spin_unlock(&context->lock);
    leave(old);
    return 0;
}

int fs_context_set_cwd(struct fs_context *context, const struct cred *cred, struct name *dir)
{
    return set(context, cred, dir, &context->cwd);
}

int fs_context_set_root(struct fs_context *context, const struct cred *cred, struct name *dir)
{
    return set(context, cred, dir, &context->root);
}

uint32_t fs_context_set_umask(struct fs_context *context, uint32_t umask)
{
    return xchg_relaxed(&context->umask, umask & 0777);
}
