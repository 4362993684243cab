/* SPDX-License-Identifier: MIT */
/*
 * Locks of ranges: fs/record_lock.h. Owns all records, those who wait, and the mutex over both. A record is in the list
 * of its inode, in no order.
 */
#include <fs/record_lock.h>

#include <k/errno.h>
#include <k/list.h>
#include <mm/slab.h>
#include <sched/waitq.h>
#include <time/clock.h>

#define BUCKETS 16u

struct record_lock {
    struct record_lock_request what;
    struct record_lock *next;
};

/* On the stack of who waits. */
struct waiter {
    struct list_node link; /* guarded by the mutex */
    struct inode *inode;
    const struct record_lock_request *request;
};

static struct {
    struct mutex mutex;
    struct list_node waiting;
    unsigned waiters;         /* in it */
    _Atomic(uint32_t) records; /* that exist */
    struct slab_cache cache;
    struct bucket {
        _Atomic(uint32_t) returns; /* changed under the mutex, before the wake. PAIRS(record_returns) */
        struct waitq wait;         /* for another number of them */
    } bucket[BUCKETS];
} all = {.mutex = MUTEX_INIT(all.mutex), .waiting = LIST_INIT(all.waiting)};

void record_lock_init(void)
{
    slab_cache_init(&all.cache, "record-lock", sizeof(struct record_lock), _Alignof(struct record_lock));
    for (unsigned i = 0; i < BUCKETS; i++)
        waitq_init(&all.bucket[i].wait);
}

static struct bucket *bucket_of(const struct inode *inode)
{
    return &all.bucket[inode->number % BUCKETS];
}

/* ---- Records ---- */

static void record_free(struct record_lock *lock)
{
    if (lock == NULL)
        return;
    slab_free(&all.cache, lock);
    (void)fetch_sub_relaxed(&all.records, 1);
}

static struct record_lock *record_alloc(void)
{
    struct record_lock *lock = NULL;

    if (fetch_add_relaxed(&all.records, 1) < RECORD_LOCKS_MAX)
        lock = slab_alloc(&all.cache);
    if (lock == NULL)
        (void)fetch_sub_relaxed(&all.records, 1);
    return lock;
}

/* What a change may need: a record for itself, and one for the end of what it cuts in two. */
struct spares {
    struct record_lock *own, *cut;
};

static int spares_get(struct spares *spares, const struct record_lock_request *request)
{
    bool unlocks = request->kind == RECORD_NONE;
    bool may_cut = request->first > 0 && request->last < RECORD_LOCK_END;

    spares->own = unlocks ? NULL : record_alloc();
    spares->cut = may_cut ? record_alloc() : NULL;
    return (spares->own == NULL && !unlocks) || (spares->cut == NULL && may_cut) ? -ENOLCK : 0;
}

static void link_record(struct inode *inode, struct record_lock **at, struct record_lock *lock)
{
    lock->next = *at;
    *at = lock;
    (void)fetch_add_relaxed(&inode->record_locks, 1);
}

static void remove_record(struct inode *inode, struct record_lock **at)
{
    struct record_lock *lock = *at;

    *at = lock->next;
    (void)fetch_sub_relaxed(&inode->record_locks, 1);
    record_free(lock);
}

static bool overlap(const struct record_lock_request *a, const struct record_lock_request *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static bool touch(const struct record_lock_request *a, const struct record_lock_request *b)
{
    return a->first <= b->last + 1 && b->first <= a->last + 1;
}

/* What is in the way of the request, or NULL: the first in the file. */
static const struct record_lock_request *conflict_locked(const struct inode *inode,
                                                         const struct record_lock_request *request)
{
    const struct record_lock_request *first = NULL;

    for (const struct record_lock *lock = inode->records; lock != NULL; lock = lock->next)
        if (lock->what.owner != request->owner && overlap(&lock->what, request) &&
            (lock->what.kind == RECORD_EXCLUSIVE || request->kind == RECORD_EXCLUSIVE) &&
            (first == NULL || lock->what.first < first->first))
            first = &lock->what;
    return first;
}

static void tell_waiters(struct inode *inode)
{
    struct bucket *bucket = bucket_of(inode);

    (void)fetch_add_acq_rel(&bucket->returns, 1); /* PAIRS(record_returns) */
    (void)waitq_wake_all(&bucket->wait);
}

/* Take the request's bytes out of a record of another kind: the record after it in the list. */
static struct record_lock **cut_locked(struct inode *inode, struct record_lock **at,
                                       const struct record_lock_request *request, struct spares *spares)
{
    struct record_lock *lock = *at, *right = spares->cut;
    bool keeps_left = lock->what.first < request->first, keeps_right = lock->what.last > request->last;

    if (!keeps_left && !keeps_right) {
        remove_record(inode, at);
        return at;
    }
    if (keeps_left && keeps_right) { /* once: no other record of the owner has any of these bytes */
        spares->cut = NULL;
        right->what = lock->what;
        right->what.first = request->last + 1;
        link_record(inode, &lock->next, right);
    }
    if (keeps_left)
        lock->what.last = request->first - 1;
    else
        lock->what.first = request->last + 1;
    return &lock->next;
}

/* Nothing is in the way. The request grows by what it touches of its own kind: that touches nothing else of it. */
static void change_locked(struct inode *inode, struct record_lock_request request, struct spares *spares)
{
    bool returns = false;

    for (struct record_lock **at = &inode->records; *at != NULL;) {
        struct record_lock_request *what = &(*at)->what;

        if (what->owner == request.owner && what->kind == request.kind && touch(what, &request)) {
            request.first = MIN(request.first, what->first);
            request.last = MAX(request.last, what->last);
            remove_record(inode, at);
        } else if (what->owner == request.owner && overlap(what, &request)) {
            at = cut_locked(inode, at, &request, spares);
            returns = true;
        } else {
            at = &(*at)->next;
        }
    }
    if (request.kind != RECORD_NONE) {
        spares->own->what = request;
        link_record(inode, &inode->records, spares->own);
        spares->own = NULL;
    }
    if (returns)
        tell_waiters(inode);
}

/* ---- Waiting ---- */

static const struct waiter *waiter_of_locked(const void *owner)
{
    list_for_each(node, &all.waiting) {
        const struct waiter *waiter = list_entry(node, struct waiter, link);

        if (waiter->request->owner == owner)
            return waiter;
    }
    return NULL;
}

/* Would the owner wait for itself, if it waited for who has `conflict`? What others wait for is looked at anew: a lock
 * that has been given back is in nobody's way, although who waited for it may not know yet. */
static bool is_circle_locked(const void *owner, const struct record_lock_request *conflict)
{
    for (unsigned left = all.waiters + 1; left > 0 && conflict != NULL && !conflict->is_of_file; left--) {
        const struct waiter *waiter = waiter_of_locked(conflict->owner);

        if (conflict->owner == owner)
            return true;
        conflict = waiter == NULL ? NULL : conflict_locked(waiter->inode, waiter->request);
    }
    return false;
}

/* 1: wait until there have been more returns than *out_seen. */
static int try_set_locked(struct inode *inode, const struct record_lock_request *request, bool waits,
                          struct spares *spares, uint32_t *out_seen)
{
    const struct record_lock_request *conflict =
        request->kind == RECORD_NONE ? NULL : conflict_locked(inode, request);

    *out_seen = load_relaxed(&bucket_of(inode)->returns);
    if (conflict == NULL) {
        change_locked(inode, *request, spares);
        return 0;
    }
    if (!waits)
        return -EAGAIN;
    return !request->is_of_file && is_circle_locked(request->owner, conflict) ? -EDEADLK : 1;
}

static void join(struct waiter *waiter)
{
    list_push_back(&all.waiting, &waiter->link);
    all.waiters++;
}

static void leave(struct waiter *waiter)
{
    list_remove(&waiter->link);
    all.waiters--;
}

static int set(struct inode *inode, const struct record_lock_request *request, bool waits, struct spares *spares)
{
    struct waiter waiter = {.inode = inode, .request = request};
    struct bucket *bucket = bucket_of(inode);
    int result, error = 0;
    bool has_joined = false;

    do {
        uint32_t seen;

        mutex_lock(&all.mutex);
        if (has_joined)
            leave(&waiter);
        result = error != 0 ? error : try_set_locked(inode, request, waits, spares, &seen);
        has_joined = result == 1;
        if (has_joined)
            join(&waiter);
        mutex_unlock(&all.mutex);
        if (has_joined)
            error = waitq_wait_until(&bucket->wait, load_acquire(&bucket->returns) != seen, /* PAIRS(record_returns) */
                                     TIME_NEVER, FILE_WAIT);
    } while (has_joined);
    return result;
}

int record_lock_set(struct inode *inode, const struct record_lock_request *request, bool waits)
{
    struct spares spares;
    int error = spares_get(&spares, request);

    if (error == 0)
        error = set(inode, request, waits, &spares);
    record_free(spares.own);
    record_free(spares.cut);
    return error;
}

void record_lock_find(struct inode *inode, struct record_lock_request *request)
{
    mutex_lock(&all.mutex);
    const struct record_lock_request *conflict = conflict_locked(inode, request);

    if (conflict != NULL)
        *request = *conflict;
    else
        request->kind = RECORD_NONE;
    mutex_unlock(&all.mutex);
}

void record_lock_drop(struct inode *inode, const void *owner)
{
    struct spares none = {NULL, NULL};

    mutex_lock(&all.mutex);
    change_locked(inode, (struct record_lock_request){.owner = owner, .last = RECORD_LOCK_END}, &none);
    mutex_unlock(&all.mutex);
}
