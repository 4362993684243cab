/* SPDX-License-Identifier: MIT */
/*
 * Futexes with owners: locks that lend their owner the urgency of those who wait. Owns the table of locks of which
 * somebody waits, and the threads' lists of them. How inheritance works is sched's (sched/mutex.h); the locks are the
 * buckets' and threads'; proc/futex.h has the protocol.
 *
 * A thread that is found in a lock as its owner has not ended: it takes itself out before it does.
 */
#include <proc/futex.h>

#include <k/errno.h>
#include <mm/kmalloc.h>
#include <mm/user.h>
#include <proc/id.h>
#include <sched/mutex.h>
#include <sched/sched.h>

#include "proc_priv.h"

#define OWNED_BUCKETS 64u /* a power of two */

struct owned_bucket {
    struct spinlock lock;   /* LOCK_FUTEX */
    struct list_node locks; /* guarded by lock */
} CACHE_ALIGNED;

struct owned_lock {
    struct futex_key key; /* immutable, a reference */
    struct mutex mutex;   /* owned by the owner's task; by nobody, or for a moment, when out of the table */

    /* Guarded by the bucket's lock. */
    struct list_node link;
    struct thread *owner;  /* NULL: out of the table */
    unsigned users;        /* calls that wait or are about to, or back from it; the last one frees it */
    bool is_inheritance;   /* the owner got it of one that ended, and has not stored its id yet */

    struct list_node owned_link; /* owner->futex.owned; guarded by that one's lock */
};

static struct owned_bucket buckets[OWNED_BUCKETS];

void futex_pi_init(void)
{
    for (unsigned i = 0; i < OWNED_BUCKETS; i++) {
        spin_init(&buckets[i].lock, LOCK_FUTEX);
        list_init(&buckets[i].locks);
    }
}

void thread_futex_init(struct thread_futex *futex)
{
    spin_init(&futex->lock, LOCK_OWNER);
    list_init(&futex->owned);
}

static struct owned_bucket *bucket_of(const struct futex_key *key)
{
    return &buckets[futex_key_hash(key) & (OWNED_BUCKETS - 1)];
}

static struct owned_lock *find_locked(struct owned_bucket *bucket, const struct futex_key *key)
{
    list_for_each(node, &bucket->locks) {
        struct owned_lock *lock = list_entry(node, struct owned_lock, link);

        if (futex_key_is_equal(&lock->key, key))
            return lock;
    }
    return NULL;
}

/* False: the thread has ended. */
static bool set_owner_locked(struct owned_lock *lock, struct thread *owner)
{
    spin_lock(&owner->futex.lock);
    bool has_ended = owner->futex.has_ended;

    if (!has_ended) {
        list_push_back(&owner->futex.owned, &lock->owned_link);
        lock->owner = owner;
    }
    spin_unlock(&owner->futex.lock);
    return !has_ended;
}

static void clear_owner_locked(struct owned_lock *lock)
{
    struct thread *owner = lock->owner;

    spin_lock(&owner->futex.lock);
    list_remove(&lock->owned_link);
    lock->owner = NULL;
    spin_unlock(&owner->futex.lock);
}

/* The running thread, who owned it, has handed the mutex over. `heir` NULL: nobody waits, and it leaves the table. */
static void change_owner_locked(struct owned_lock *lock, const struct mutex_waiter *heir, bool has_ended)
{
    clear_owner_locked(lock);
    if (heir == NULL) {
        list_remove(&lock->link);
        return;
    }
    /* It sleeps in a call of ours, so it has not ended. */
    bool is_alive = set_owner_locked(lock, object_of(mutex_heir_task(heir))->thread);

    ASSERT(is_alive);
    lock->is_inheritance = has_ended;
}

/* The running thread, who owns it and is about to end, or cannot say so in the word, lets go. */
static struct mutex_waiter *let_go_locked(struct owned_lock *lock)
{
    struct mutex_waiter *heir = mutex_hand_over(&lock->mutex);

    change_owner_locked(lock, heir, true);
    return heir;
}

/* A call is done with it. True: it was the last one; the caller frees the lock, without the bucket's lock. */
static bool drop_user_locked(struct owned_lock *lock)
{
    if (--lock->users != 0)
        return false;
    if (lock->owner != NULL) { /* nobody waits: the word alone says who owns it */
        clear_owner_locked(lock);
        list_remove(&lock->link);
    }
    return true;
}

static void free_lock(struct owned_lock *lock)
{
    futex_key_put(&lock->key);
    kfree(lock);
}

/* ---- The word ---- */

/* Bring the page in, writable: an exchange of equals. */
static int bring_in(vaddr_t word)
{
    uint32_t value = 0;

    if (user_read32(word, &value) != 0 || user_cas32(word, &value, value) != 0)
        return -EFAULT;
    return task_is_killed() ? -EINTR : 0;
}

/* Whatever is there. May sleep. */
static int store_word(vaddr_t word, uint32_t desired)
{
    uint32_t value = 0;
    int result = user_read32(word, &value);

    while (result == 0) {
        uint32_t before = value;

        result = user_cas32(word, &value, desired);
        if (result == 0 && value == before)
            break;
    }
    return result;
}

/* ---- Lock ---- */

struct attempt {
    vaddr_t word;
    struct futex_key key;
    struct owned_bucket *bucket;
    uint32_t self;
    bool may_wait;
    uint32_t value; /* what the word was */

    /* Owned by the attempt: counted, or NULL. */
    struct task *owner_task;
    struct thread *owner; /* its thread */
    uint32_t owner_id;    /* by which they were found: an exec may change the thread's own */
    struct owned_lock *spare;
};

/* How it goes on, if not with an error or 0: locked. */
enum {
    ATTEMPT_WAIT = 1,    /* in `lock`, of which the call is a user */
    ATTEMPT_AGAIN = 2,   /* something changed */
    ATTEMPT_PREPARE = 3, /* an owner's thread and memory for a lock are needed */
    ATTEMPT_FAULT = 4,   /* the word's page is not there */
};

/* The word says that the thread of the attempt owns it: the lock of the kernel's, owned by that one. */
static int make_lock_locked(struct attempt *attempt, struct owned_lock **out)
{
    struct owned_lock *lock = attempt->spare;

    lock->key = attempt->key;
    lock->users = 1;
    lock->is_inheritance = false;
    mutex_init_owned(&lock->mutex, attempt->owner_task);
    if (!set_owner_locked(lock, attempt->owner))
        return -ESRCH;
    if (lock->key.object != NULL)
        vm_object_get(lock->key.object);
    list_push_back(&attempt->bucket->locks, &lock->link);
    attempt->spare = NULL;
    *out = lock;
    return ATTEMPT_WAIT;
}

static bool is_prepared(const struct attempt *attempt, uint32_t owner)
{
    return attempt->spare != NULL && attempt->owner != NULL && attempt->owner_id == owner;
}

/* What the word says now, in attempt->value, decides. */
static int attempt_locked(struct attempt *attempt, struct owned_lock **out)
{
    uint32_t value = 0;

    if (user_read32(attempt->word, &value) != 0)
        return ATTEMPT_FAULT;
    uint32_t owner = value & FUTEX_TID_MASK, before = value;
    struct owned_lock *lock = find_locked(attempt->bucket, &attempt->key);
    bool is_free = owner == 0 && lock == NULL;

    attempt->value = value;
    if (owner == attempt->self)
        return -EDEADLK;
    if (!is_free && lock == NULL && !is_prepared(attempt, owner))
        return ATTEMPT_PREPARE;
    if (!is_free && !attempt->may_wait)
        return -EAGAIN;
    uint32_t desired = is_free ? attempt->self | (value & FUTEX_OWNER_DIED) : value | FUTEX_WAITERS;

    if (desired != value && user_cas32(attempt->word, &value, desired) != 0)
        return ATTEMPT_FAULT;
    if (value != before)
        return ATTEMPT_AGAIN;
    attempt->value = desired;
    if (is_free)
        return 0;
    if (lock == NULL)
        return make_lock_locked(attempt, out);
    lock->users++;
    *out = lock;
    return ATTEMPT_WAIT;
}

static void forget_owner(struct attempt *attempt)
{
    if (attempt->owner != NULL)
        thread_put(attempt->owner);
    if (attempt->owner_task != NULL)
        task_put(attempt->owner_task);
    attempt->owner = NULL;
    attempt->owner_task = NULL;
}

/* Nobody is behind the id in the word: then an owner that ended did so before it was read, or has changed it since. */
static int no_such_owner(const struct attempt *attempt)
{
    uint32_t value = 0;

    if (user_read32(attempt->word, &value) != 0)
        return -EFAULT;
    return value == attempt->value ? -ESRCH : ATTEMPT_AGAIN;
}

static int prepare(struct attempt *attempt)
{
    forget_owner(attempt);
    attempt->owner_id = attempt->value & FUTEX_TID_MASK;
    struct task *task = task_lookup((tid_t)attempt->owner_id);
    bool is_kernels = false;

    if (task != NULL) {
        spin_lock(&proc_tree_lock);
        attempt->owner = object_of(task)->thread;
        is_kernels = attempt->owner == NULL && task->pid == process_kernel.pid;
        if (attempt->owner != NULL)
            thread_get(attempt->owner);
        spin_unlock(&proc_tree_lock);
        attempt->owner_task = task;
    }
    if (attempt->owner == NULL)
        return is_kernels ? -EPERM : no_such_owner(attempt);
    if (attempt->spare == NULL)
        attempt->spare = kmalloc(sizeof *attempt->spare);
    return attempt->spare == NULL ? -ENOMEM : ATTEMPT_AGAIN;
}

/* The heir of a thread that ended says so in the word. */
static int store_inheritance(struct attempt *attempt)
{
    return store_word(attempt->word, attempt->self | FUTEX_WAITERS | FUTEX_OWNER_DIED);
}

/* As a user of the lock: sleep until it is ours, or no more. */
static int wait_for(struct attempt *attempt, struct owned_lock *lock, uint64_t deadline_ns)
{
    struct owned_bucket *bucket = attempt->bucket;
    struct mutex_waiter *heir = NULL;
    int result = mutex_lock_lent(&lock->mutex, deadline_ns, WAIT_INTERRUPTIBLE);

    spin_lock(&bucket->lock);
    if (result == 0 && lock->owner != NULL && lock->is_inheritance) {
        spin_unlock(&bucket->lock);
        result = store_inheritance(attempt);
        spin_lock(&bucket->lock);
        lock->is_inheritance = false;
        if (result != 0)
            heir = let_go_locked(lock);
    } else if (result == 0 && lock->owner == NULL) {
        result = ATTEMPT_AGAIN; /* its owner let go before we had begun to wait */
        heir = mutex_hand_over(&lock->mutex);
    }
    bool is_last = drop_user_locked(lock);

    spin_unlock(&bucket->lock);
    if (heir != NULL)
        mutex_heir_wake(heir);
    if (is_last)
        free_lock(lock);
    return result == -EINTR ? -ERESTARTNOINTR : result;
}

static int attempt_once(struct attempt *attempt, uint64_t deadline_ns)
{
    struct owned_lock *lock = NULL;

    spin_lock(&attempt->bucket->lock);
    int result = attempt_locked(attempt, &lock);

    spin_unlock(&attempt->bucket->lock);
    switch (result) {
    case ATTEMPT_WAIT:
        return wait_for(attempt, lock, deadline_ns);
    case ATTEMPT_PREPARE:
        return prepare(attempt);
    case ATTEMPT_FAULT:
        result = bring_in(attempt->word);
        return result == 0 ? ATTEMPT_AGAIN : result;
    case -ESRCH:
        return no_such_owner(attempt);
    default:
        return result;
    }
}

static int lock_pi(struct futex_word word, bool may_wait, uint64_t deadline_ns)
{
    struct attempt attempt = { .word = word.at, .self = (uint32_t)current_task()->tid, .may_wait = may_wait };
    int result = futex_key_get(word, &attempt.key);

    if (result != 0)
        return result;
    attempt.bucket = bucket_of(&attempt.key);
    do
        result = attempt_once(&attempt, deadline_ns);
    while (result == ATTEMPT_AGAIN && !task_is_killed());
    forget_owner(&attempt);
    kfree(attempt.spare);
    futex_key_put(&attempt.key);
    return result == ATTEMPT_AGAIN ? -EINTR : result;
}

int futex_lock_pi(struct futex_word word, uint64_t deadline_ns)
{
    return lock_pi(word, true, deadline_ns);
}

int futex_try_lock_pi(struct futex_word word)
{
    return lock_pi(word, false, TIME_NEVER);
}

/* ---- Unlock ---- */

struct unlocking {
    vaddr_t word;
    uint32_t value; /* what the word was */
};

/* The word is the heir's, or nothing has changed and the lock stays whose it is: whoever cannot tell its heir, because
 * the page is gone or may not be written, is the owner until it can, or ends. */
static int name_heir(struct task *heir, void *arg)
{
    const struct unlocking *unlocking = arg;
    uint32_t seen = unlocking->value;

    if (user_cas32(unlocking->word, &seen, (uint32_t)heir->tid | FUTEX_WAITERS) != 0)
        return ATTEMPT_FAULT;
    return seen == unlocking->value ? 0 : ATTEMPT_AGAIN;
}

/* 0: the word is 0, or it and the lock are the heir's. */
static int unlock_locked(struct owned_bucket *bucket, const struct futex_key *key, vaddr_t word,
                         struct mutex_waiter **out_heir)
{
    uint32_t value = 0;

    if (user_read32(word, &value) != 0)
        return ATTEMPT_FAULT;
    uint32_t before = value;

    if ((value & FUTEX_TID_MASK) != (uint32_t)current_task()->tid)
        return -EPERM;
    struct owned_lock *lock = find_locked(bucket, key);

    if (lock == NULL) {
        if (user_cas32(word, &value, 0) != 0)
            return ATTEMPT_FAULT;
        return value == before ? 0 : ATTEMPT_AGAIN;
    }
    if (lock->owner != thread_current())
        return -EINVAL;
    struct unlocking unlocking = { .word = word, .value = value };
    int result = mutex_hand_over_if(&lock->mutex, name_heir, &unlocking, out_heir);

    if (result != 0)
        return result;
    change_owner_locked(lock, *out_heir, false);
    return *out_heir != NULL ? 0 : ATTEMPT_AGAIN; /* the lock is gone, the word is still ours */
}

int futex_unlock_pi(struct futex_word word)
{
    struct mutex_waiter *heir = NULL;
    struct futex_key key;
    int result = futex_key_get(word, &key);

    if (result != 0)
        return result;
    struct owned_bucket *bucket = bucket_of(&key);

    do {
        spin_lock(&bucket->lock);
        result = unlock_locked(bucket, &key, word.at, &heir);
        spin_unlock(&bucket->lock);
        if (result == ATTEMPT_FAULT) {
            result = bring_in(word.at);
            result = result == 0 ? ATTEMPT_AGAIN : result;
        }
    } while (result == ATTEMPT_AGAIN);
    if (heir != NULL)
        mutex_heir_wake(heir);
    futex_key_put(&key);
    return result;
}

/* ---- A thread's end ---- */

/* One lock of the thread's, of that bucket. */
static void let_go_of_one(struct owned_bucket *bucket, const struct thread *self)
{
    struct mutex_waiter *heir = NULL;

    spin_lock(&bucket->lock);
    list_for_each_safe(node, &bucket->locks) {
        struct owned_lock *lock = list_entry(node, struct owned_lock, link);

        if (lock->owner == self) {
            heir = let_go_locked(lock);
            break;
        }
    }
    spin_unlock(&bucket->lock);
    if (heir != NULL)
        mutex_heir_wake(heir);
}

void futex_owner_end(struct thread *self)
{
    for (;;) {
        struct owned_bucket *bucket = NULL;

        /* A bucket's lock comes first, so only which one it is may be found out here; the lock may go meanwhile. */
        spin_lock(&self->futex.lock);
        self->futex.has_ended = true;
        if (!list_is_empty(&self->futex.owned))
            bucket = bucket_of(&list_first(&self->futex.owned, struct owned_lock, owned_link)->key);
        spin_unlock(&self->futex.lock);
        if (bucket == NULL)
            return;
        let_go_of_one(bucket, self);
    }
}

void futex_owner_begin(struct thread *self)
{
    spin_lock(&self->futex.lock);
    self->futex.has_ended = false;
    spin_unlock(&self->futex.lock);
}
