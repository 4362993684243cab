/* SPDX-License-Identifier: MIT */
/* flock(2): fs/flock.h. Owns the buckets; what is in files and inodes is guarded by the lock of the inode's bucket. */
#include <fs/flock.h>

#include <fs/file.h>
#include <k/errno.h>
#include <sched/waitq.h>
#include <time/clock.h>

#include "fs_priv.h"

#define BUCKETS 16u

static struct bucket {
    struct spinlock lock;
    _Atomic(uint32_t) unlocks; /* changed under lock, before the wake. PAIRS(flock_unlocks) */
    struct waitq wait;         /* for another number of them */
} buckets[BUCKETS];

void flock_init(void)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        spin_init(&buckets[i].lock, LOCK_FILES);
        waitq_init(&buckets[i].wait);
    }
}

static struct bucket *bucket_of(const struct file *file)
{
    return &buckets[file->inode->number % BUCKETS];
}

static void unlock_locked(struct bucket *bucket, struct file *file) REQUIRES(bucket->lock)
{
    if (file->flock == FLOCK_NONE)
        return;
    file->flock = FLOCK_NONE;
    file->inode->flock_holders--;
    file->inode->flock_is_exclusive = false;
    (void)fetch_add_acq_rel(&bucket->unlocks, 1); /* PAIRS(flock_unlocks) */
    (void)waitq_wake_all(&bucket->wait);
}

/* Is it there now? */
static bool try_locked(struct file *file, enum flock_kind kind)
{
    struct inode *inode = file->inode;

    if (kind == FLOCK_EXCLUSIVE ? inode->flock_holders != 0 : inode->flock_is_exclusive)
        return false;
    inode->flock_holders++;
    inode->flock_is_exclusive = kind == FLOCK_EXCLUSIVE;
    file->flock = (uint8_t)kind;
    return true;
}

/* True: done. *out_seen: the unlocks before it was looked at. */
static bool try_set(struct bucket *bucket, struct file *file, enum flock_kind kind, uint32_t *out_seen)
{
    spin_lock(&bucket->lock);
    bool is_done = file->flock == kind;

    if (!is_done) {
        unlock_locked(bucket, file);
        is_done = kind == FLOCK_NONE || try_locked(file, kind);
    }
    *out_seen = load_relaxed(&bucket->unlocks);
    spin_unlock(&bucket->lock);
    return is_done;
}

int flock_set(struct file *file, enum flock_kind kind, bool waits)
{
    struct bucket *bucket = bucket_of(file);
    uint32_t seen;

    while (!try_set(bucket, file, kind, &seen)) {
        if (!waits)
            return -EAGAIN;
        int error = waitq_wait_until(&bucket->wait, load_acquire(&bucket->unlocks) != seen, /* PAIRS(flock_unlocks) */
                                     TIME_NEVER, FILE_WAIT);

        if (error != 0)
            return error;
    }
    return 0;
}

void flock_release(struct file *file)
{
    struct bucket *bucket = bucket_of(file);

    spin_lock(&bucket->lock);
    unlock_locked(bucket, file);
    spin_unlock(&bucket->lock);
}
