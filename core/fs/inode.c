/* SPDX-License-Identifier: MIT */
/*
 * Inodes: their life, who may do what with them, and their attributes. Knows nothing of names and paths.
 */
#include <fs/inode.h>

#include <fs/cred.h>
#include <fs/filesystem.h>
#include <fs/memfd.h>
#include <fs/pipe.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/slab.h>
#include <time/wall.h>
#include <vm/object.h>

static struct slab_cache inode_cache;
static _Atomic(uint32_t) devices;

void inode_init(void)
{
    slab_cache_init(&inode_cache, "inode", sizeof(struct inode), _Alignof(struct inode));
}

int64_t fs_now_ns(void)
{
    return (int64_t)wall_ns();
}

uint32_t fs_next_device(void)
{
    return DEVICE(0, fetch_add_relaxed(&devices, 1) + 1);
}

/* ---- Life ---- */

/* One more of the file system's inodes, or false. */
static bool take_place(struct filesystem *fs)
{
    uint64_t count = load_relaxed(&fs->inodes);

    while (count < fs->inodes_max)
        if (cas_relaxed(&fs->inodes, &count, count + 1))
            return true;
    return false;
}

static void init_by_type(struct inode *inode)
{
    if (inode_is(inode, S_IFDIR)) {
        rb_init(&inode->dir.by_name);
        rb_init(&inode->dir.by_position);
        inode->dir.next_position = 2; /* behind "." and ".." */
        inode->dir.is_dead = false;
    } else if (inode_is(inode, S_IFIFO)) {
        mutex_init(&inode->fifo.mutex);
        inode->fifo.pipe = NULL;
    }
}

static int copy_link(struct inode *inode, const char *link)
{
    inode->link = NULL;
    if (link == NULL)
        return 0;
    size_t bytes = strlen(link);

    inode->link = kmalloc(bytes + 1);
    if (inode->link == NULL)
        return -ENOMEM;
    memcpy(inode->link, link, bytes + 1);
    store_relaxed(&inode->bytes, bytes);
    return 0;
}

int inode_create(struct filesystem *fs, const struct inode_ops *ops, const struct inode_spec *spec, struct inode **out)
{
    if (!take_place(fs))
        return -ENOSPC;
    struct inode *inode = slab_alloc(&inode_cache);

    if (inode == NULL)
        goto fail_place;
    store_relaxed(&inode->bytes, 0);
    if (copy_link(inode, spec->link) != 0)
        goto fail_inode;
    int64_t now = fs_now_ns();

    store_relaxed(&inode->refs, 1);
    vm_object_budget_get(&fs->pages);
    inode->fs = fs;
    inode->ops = ops;
    inode->number = fetch_add_relaxed(&fs->next_number, 1) + 1;
    inode->type = spec->mode & S_IFMT;
    inode->device = spec->device;
    inode->data = NULL;
    inode->object = NULL;
    store_relaxed(&inode->writers, 0);
    inode->flock_holders = 0;
    inode->flock_is_exclusive = false;
    inode->has_seals = false;
    inode->seals = 0;
    inode->records = NULL;
    store_relaxed(&inode->record_locks, 0);
    mutex_init(&inode->mutex);
    spin_init(&inode->lock, LOCK_INODE);
    inode->permissions = spec->mode & S_PERMISSIONS;
    inode->user = spec->user;
    inode->group = spec->group;
    inode->links = 0;
    store_relaxed(&inode->accessed_ns, now);
    store_relaxed(&inode->modified_ns, now);
    store_relaxed(&inode->changed_ns, now);
    inode->born_ns = now;
    init_by_type(inode);
    *out = inode;
    return 0;

fail_inode:
    slab_free(&inode_cache, inode);
fail_place:
    (void)fetch_sub_relaxed(&fs->inodes, 1);
    return -ENOMEM;
}

void inode_put(struct inode *inode)
{
    uint32_t before = fetch_sub_acq_rel(&inode->refs, 1); /* PAIRS(inode_ref): both ends, as its users come and go */

    ASSERT(before > 0);
    if (before > 1)
        return;
    ASSERT(inode->records == NULL); /* an owner has the file open */
    struct filesystem *fs = inode->fs;

    if (inode->ops->destroy != NULL)
        inode->ops->destroy(inode);
    if (inode->object != NULL)
        vm_object_put(inode->object);
    ASSERT(!inode_is(inode, S_IFDIR) || rb_is_empty(&inode->dir.by_name));
    kfree(inode->link);
    slab_free(&inode_cache, inode);
    (void)fetch_sub_relaxed(&fs->inodes, 1);
    filesystem_put(fs);
}

#define ONE_WRITER (UINT64_C(1) << 32)

int filesystem_writer_begin(struct filesystem *fs)
{
    uint64_t state = load_relaxed(&fs->state);

    do {
        if ((state & MS_RDONLY) != 0)
            return -EROFS;
    } while (!cas_relaxed(&fs->state, &state, state + ONE_WRITER));
    return 0;
}

void filesystem_writer_end(struct filesystem *fs)
{
    uint64_t before = fetch_sub_relaxed(&fs->state, ONE_WRITER);

    ASSERT(before >= ONE_WRITER);
}

int filesystem_set_flags(struct filesystem *fs, uint32_t flags)
{
    uint64_t state = load_relaxed(&fs->state);

    do {
        if ((flags & MS_RDONLY) != 0 && state >= ONE_WRITER)
            return -EBUSY;
    } while (!cas_relaxed(&fs->state, &state, (state & ~(ONE_WRITER - 1)) | flags));
    return 0;
}

/* ---- Rights ---- */

/* Devices and FIFOs are not written to where they lie. */
static bool is_kept_from_writing(const struct inode *inode)
{
    return (filesystem_flags(inode->fs) & MS_RDONLY) != 0 &&
           (inode_is(inode, S_IFREG) || inode_is(inode, S_IFDIR) || inode_is(inode, S_IFLNK));
}

int inode_permission(struct inode *inode, const struct cred *cred, unsigned may)
{
    if ((may & MAY_WRITE) != 0 && is_kept_from_writing(inode))
        return -EROFS;
    spin_lock(&inode->lock);
    uint32_t mode = inode->permissions, user = inode->user, group = inode->group;

    spin_unlock(&inode->lock);
    unsigned shift = cred->user.fs == user ? 6 : cred_in_group(cred, group) ? 3 : 0;

    if ((mode >> shift & may) == may)
        return 0;
    if (!cred_can(cred, CAP_DAC_OVERRIDE))
        return -EACCES;
    /* Nobody executes a file that is executable for nobody. */
    return (may & MAY_EXEC) != 0 && !inode_is(inode, S_IFDIR) && (mode & 0111) == 0 ? -EACCES : 0;
}

bool inode_is_owner(struct inode *inode, const struct cred *cred)
{
    spin_lock(&inode->lock);
    uint32_t user = inode->user;

    spin_unlock(&inode->lock);
    return cred->user.fs == user || cred_can(cred, CAP_FOWNER);
}

/* ---- Attributes ---- */

void inode_stat_get(struct inode *inode, struct inode_stat *out)
{
    spin_lock(&inode->lock);
    out->mode = inode->type | inode->permissions;
    out->user = inode->user;
    out->group = inode->group;
    out->links = inode->links;
    spin_unlock(&inode->lock);
    out->number = inode->number;
    out->bytes = load_relaxed(&inode->bytes);
    out->blocks = inode->ops->blocks != NULL ? inode->ops->blocks(inode) : 0;
    out->device = inode->device;
    out->on_device = inode->fs->device;
    out->block_bytes = PAGE_BYTES;
    out->accessed_ns = load_relaxed(&inode->accessed_ns);
    out->modified_ns = load_relaxed(&inode->modified_ns);
    out->changed_ns = load_relaxed(&inode->changed_ns);
    out->born_ns = inode->born_ns;
}

static void touch_changed(struct inode *inode)
{
    store_relaxed(&inode->changed_ns, fs_now_ns());
}

void inode_touch_modified(struct inode *inode)
{
    int64_t now = fs_now_ns();

    store_relaxed(&inode->modified_ns, now);
    store_relaxed(&inode->changed_ns, now);
}

void inode_add_links(struct inode *inode, int links)
{
    spin_lock(&inode->lock);
    inode->links += (uint32_t)links;
    spin_unlock(&inode->lock);
    touch_changed(inode);
}

static bool changes_execution(struct inode *inode, uint32_t permissions)
{
    spin_lock(&inode->lock);
    bool changes = ((inode->permissions ^ permissions) & 0111) != 0;

    spin_unlock(&inode->lock);
    return changes;
}

static int set_mode(struct inode *inode, const struct cred *cred, uint32_t permissions)
{
    int error = 0;

    if ((filesystem_flags(inode->fs) & MS_RDONLY) != 0)
        return -EROFS;
    spin_lock(&inode->lock);
    if (cred->user.fs != inode->user && !cred_can(cred, CAP_FOWNER)) {
        error = -EPERM;
    } else {
        if (!cred_in_group(cred, inode->group) && !cred_can(cred, CAP_FSETID))
            permissions &= ~S_ISGID;
        inode->permissions = permissions & S_PERMISSIONS;
    }
    spin_unlock(&inode->lock);
    if (error == 0)
        touch_changed(inode);
    return error;
}

int inode_set_mode(struct inode *inode, const struct cred *cred, uint32_t permissions)
{
    if (!inode->has_seals)
        return set_mode(inode, cred, permissions);
    mutex_lock(&inode->mutex); /* seals are not added meanwhile */
    bool is_sealed = (inode->seals & SEAL_EXEC) != 0 && changes_execution(inode, permissions);
    int error = is_sealed ? -EPERM : set_mode(inode, cred, permissions);

    mutex_unlock(&inode->mutex);
    return error;
}

/* S_ISGID without the group's right to execute is no set-id bit. Directories keep theirs. */
static void drop_set_ids_locked(struct inode *inode)
{
    if (inode_is(inode, S_IFDIR))
        return;
    inode->permissions &= ~S_ISUID;
    if ((inode->permissions & S_IXGRP) != 0)
        inode->permissions &= ~S_ISGID;
}

int inode_set_owner(struct inode *inode, const struct cred *cred, uint32_t user, uint32_t group)
{
    int error = 0;

    if ((filesystem_flags(inode->fs) & MS_RDONLY) != 0)
        return -EROFS;
    spin_lock(&inode->lock);
    bool is_owner = cred->user.fs == inode->user;
    bool changes_user = user != ID_KEEP && !(is_owner && user == inode->user);
    bool changes_group = group != ID_KEEP && !(is_owner && (group == inode->group || cred_in_group(cred, group)));

    if ((changes_user || changes_group) && !cred_can(cred, CAP_CHOWN)) {
        error = -EPERM;
    } else {
        if (user != ID_KEEP)
            inode->user = user;
        if (group != ID_KEEP)
            inode->group = group;
        if (user != ID_KEEP || group != ID_KEEP)
            drop_set_ids_locked(inode);
    }
    spin_unlock(&inode->lock);
    if (error == 0)
        touch_changed(inode);
    return error;
}

void inode_drop_set_ids(struct inode *inode)
{
    spin_lock(&inode->lock);
    drop_set_ids_locked(inode);
    spin_unlock(&inode->lock);
}

int inode_set_times(struct inode *inode, const struct cred *cred, int64_t accessed_ns, int64_t modified_ns)
{
    int64_t now = fs_now_ns();

    if (accessed_ns == TIME_KEEP && modified_ns == TIME_KEEP)
        return 0;
    if ((filesystem_flags(inode->fs) & MS_RDONLY) != 0)
        return -EROFS;
    if (!inode_is_owner(inode, cred)) {
        if (accessed_ns != TIME_NOW || modified_ns != TIME_NOW)
            return -EPERM;
        if (inode_permission(inode, cred, MAY_WRITE) != 0)
            return -EACCES;
    }
    if (accessed_ns != TIME_KEEP)
        store_relaxed(&inode->accessed_ns, accessed_ns == TIME_NOW ? now : accessed_ns);
    if (modified_ns != TIME_KEEP)
        store_relaxed(&inode->modified_ns, modified_ns == TIME_NOW ? now : modified_ns);
    store_relaxed(&inode->changed_ns, now);
    return 0;
}

/* One more on the side of `sign`, if nobody is on the other. */
static int take_side(struct inode *inode, int32_t sign)
{
    int32_t now = load_relaxed(&inode->writers);

    do {
        if (now * sign < 0)
            return -ETXTBSY;
    } while (!cas_acq_rel(&inode->writers, &now, now + sign)); /* PAIRS(inode_writers) */
    return 0;
}

static void leave_side(struct inode *inode, int32_t sign)
{
    int32_t before = fetch_sub_acq_rel(&inode->writers, sign); /* PAIRS(inode_writers) */

    ASSERT(before * sign > 0);
}

int inode_writer_begin(struct inode *inode)
{
    return take_side(inode, 1);
}

void inode_writer_end(struct inode *inode)
{
    leave_side(inode, 1);
}

int inode_execution_begin(struct inode *inode)
{
    return take_side(inode, -1);
}

void inode_execution_end(struct inode *inode)
{
    leave_side(inode, -1);
}

static inode_growth_fn *growth_check;

void inode_set_growth_check(inode_growth_fn *check)
{
    growth_check = check;
}

int inode_may_grow(uint64_t at, uint64_t *end)
{
    return growth_check != NULL ? growth_check(at, end) : 0;
}

int inode_truncate(struct inode *inode, int64_t bytes)
{
    int error;

    if (inode_is(inode, S_IFDIR))
        return -EISDIR;
    if (!inode_is(inode, S_IFREG) || inode->ops->resize == NULL || bytes < 0)
        return -EINVAL;
    mutex_lock(&inode->mutex);
    error = inode->ops->resize(inode, (uint64_t)bytes);
    mutex_unlock(&inode->mutex);
    if (error == 0)
        inode_touch_modified(inode);
    return error;
}
