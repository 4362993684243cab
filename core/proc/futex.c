/* SPDX-License-Identifier: MIT */
/*
 * Futexes without owners: the table of buckets, waiting and waking. Knows nothing of what the words mean. The locks are
 * the buckets'; proc/futex.h has the protocol.
 */
#include <proc/futex.h>

#include <k/errno.h>
#include <k/trace.h>
#include <mm/user.h>
#include <sched/sched.h>
#include <time/timer.h>
#include <vm/object.h>

#include "proc_priv.h"

#define FUTEX_BUCKETS 256u /* a power of two */

struct futex_bucket {
    struct spinlock lock;     /* LOCK_FUTEX */
    struct list_node waiters; /* guarded by lock: most urgent first, equals in order of arrival */
} CACHE_ALIGNED;

struct futex_waiter {
    /* Guarded by the lock of `bucket`. */
    struct list_node link;
    struct futex_key key; /* a reference to its object */
    _Atomic(struct futex_bucket *) bucket; /* PAIRS(futex_bucket): changes with both buckets' locks held */

    /* Immutable while it waits. */
    struct task *task;
    const struct futex_key *target; /* of futex_wait_requeue_pi(): the lock; otherwise NULL */
    uint32_t bitset;
    uint8_t rank;

    _Atomic(uint32_t) status; /* PAIRS(futex_waiter): enum waiter_status */
    _Atomic(bool) is_expired;
    struct timer timer;
};

static struct futex_bucket buckets[FUTEX_BUCKETS];

void futex_init(void)
{
    futex_pi_init();
    for (unsigned i = 0; i < FUTEX_BUCKETS; i++) {
        spin_init(&buckets[i].lock, LOCK_FUTEX);
        list_init(&buckets[i].waiters);
    }
}

/* ---- Keys ---- */

int futex_key_get(struct futex_word word, struct futex_key *out)
{
    struct space *space = space_current();
    int result = 0;

    if (!IS_ALIGNED(word.at, sizeof(uint32_t)))
        return -EINVAL;
    if (space == NULL || !user_range_is_valid(word.at, sizeof(uint32_t)))
        return -EFAULT;
    *out = (struct futex_key){ .place = (uintptr_t)space, .at = word.at };
    if (word.is_private)
        return 0;
    result = space_shared_place(space, word.at, &out->object, &out->at);
    if (result == 0 && out->object != NULL)
        out->place = (uintptr_t)out->object;
    return result;
}

void futex_key_put(const struct futex_key *key)
{
    if (key->object != NULL)
        vm_object_put(key->object);
}

static struct futex_bucket *bucket_of(const struct futex_key *key)
{
    return &buckets[futex_key_hash(key) & (FUTEX_BUCKETS - 1)];
}

static void lock_two(struct futex_bucket *a, struct futex_bucket *b) NO_LOCK_ANALYSIS
{
    spin_lock(a < b ? &a->lock : &b->lock);
    if (a != b)
        spin_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b) NO_LOCK_ANALYSIS
{
    if (a != b)
        spin_unlock(&b->lock);
    spin_unlock(&a->lock);
}

/* ---- Wake ---- */

/* Into the list by urgency. */
static void enqueue_locked(struct futex_bucket *bucket, struct futex_waiter *waiter)
{
    struct list_node *before = bucket->waiters.prev;

    while (before != &bucket->waiters && list_entry(before, struct futex_waiter, link)->rank > waiter->rank)
        before = before->prev;
    list_insert_between(&waiter->link, before, before->next);
}

static ALWAYS_INLINE bool is_match(const struct futex_waiter *waiter, const struct futex_key *key, uint32_t bitset)
{
    return futex_key_is_equal(&waiter->key, key) && (waiter->bitset & bitset) != 0 && waiter->target == NULL;
}

static void claim_locked(struct futex_waiter *waiter, struct list_node *out)
{
    list_remove(&waiter->link);
    store_relaxed(&waiter->status, WAITER_CLAIMED); /* neither timeout nor signal settles it now */
    list_push_back(out, &waiter->link);
}

static uint32_t claim_matching_locked(struct futex_bucket *bucket, const struct futex_key *key, uint32_t count,
                                      uint32_t bitset, struct list_node *out)
{
    uint32_t claimed = 0;

    list_for_each_safe(node, &bucket->waiters) {
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);

        if (claimed == count)
            break;
        if (!is_match(waiter, key, bitset))
            continue;
        claim_locked(waiter, out);
        claimed++;
    }
    return claimed;
}

/* From here to the way to sleep, or to the end of a wake, with interrupts disabled: whoever wants this CPU meanwhile is
 * met there. */
static ALWAYS_INLINE void unlock_irqoff(struct futex_bucket *bucket) NO_LOCK_ANALYSIS
{
    spin_unlock_irqoff(&bucket->lock);
    preempt_enable_no_resched();
}

static ALWAYS_INLINE void irq_enable_and_look(void)
{
    hal_irq_enable();
    sched_check();
}

/* One of them: mostly there is no more than one. Its record may vanish with the store; no one else is at it, since the
 * lock is held. */
static ALWAYS_INLINE uint32_t wake_one(struct futex_bucket *bucket, const struct futex_key *key,
                                       uint32_t bitset) NO_LOCK_ANALYSIS
{
    spin_lock(&bucket->lock);
    list_for_each(node, &bucket->waiters) {
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);

        if (!is_match(waiter, key, bitset))
            continue;
        hal_irq_disable(); /* the task outlives its record: this is a read section */
        struct task *task = waiter->task;

        list_remove(node);
        trace(TRACE_WAIT_SETTLE, waiter, WAITER_WOKEN);
        store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(futex_waiter) */
        unlock_irqoff(bucket);
        (void)task_wake_irqoff(task);
        irq_enable_and_look();
        return 1;
    }
    spin_unlock(&bucket->lock);
    return 0;
}

/* Claimed records are nobody's but ours; each may vanish with the store. The task cannot: interrupts are disabled. */
static void finish_all(struct list_node *claimed)
{
    struct list_node *node;

    while ((node = list_pop_front(claimed)) != NULL) {
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);
        struct task *task = waiter->task;
        uintptr_t state = hal_irq_save();

        trace(TRACE_WAIT_SETTLE, waiter, WAITER_WOKEN);
        store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(futex_waiter) */
        (void)task_wake(task);
        sched_irq_restore(state);
    }
}

static NOINLINE uint32_t wake_several(struct futex_bucket *bucket, const struct futex_key *key, uint32_t count,
                                      uint32_t bitset)
{
    struct list_node claimed = LIST_INIT(claimed);

    spin_lock(&bucket->lock);
    uint32_t woken = claim_matching_locked(bucket, key, count, bitset, &claimed);

    spin_unlock(&bucket->lock);
    finish_all(&claimed);
    return woken;
}

int64_t futex_wake(struct futex_word word, uint32_t count, uint32_t bitset)
{
    struct futex_key key;

    if (bitset == 0)
        return -EINVAL;
    int result = futex_key_get(word, &key);

    if (result != 0)
        return result;
    struct futex_bucket *bucket = bucket_of(&key);
    uint32_t woken = LIKELY(count == 1) ? wake_one(bucket, &key, bitset) : wake_several(bucket, &key, count, bitset);

    futex_key_put(&key);
    return woken;
}

/* ---- Wait ---- */

static void waiter_timeout(struct timer *timer)
{
    struct futex_waiter *waiter = container_of(timer, struct futex_waiter, timer);

    store_relaxed(&waiter->is_expired, true);
    (void)task_wake(waiter->task);
}

/* Leave as one who was not woken. False: somebody has claimed the record. */
static NOINLINE bool give_up(struct futex_waiter *waiter, enum waiter_status status) NO_LOCK_ANALYSIS
{
    struct futex_bucket *bucket = load_acquire(&waiter->bucket); /* PAIRS(futex_bucket) */

    spin_lock_irqoff(&bucket->lock);
    while (bucket != load_relaxed(&waiter->bucket)) {
        spin_unlock_irqoff(&bucket->lock);
        bucket = load_acquire(&waiter->bucket); /* PAIRS(futex_bucket) */
        spin_lock_irqoff(&bucket->lock);
    }
    bool is_queued = load_relaxed(&waiter->status) == WAITER_QUEUED;

    if (is_queued) {
        list_remove(&waiter->link);
        trace(TRACE_WAIT_SETTLE, waiter, status);
        store_relaxed(&waiter->status, status);
    }
    spin_unlock_irqoff(&bucket->lock);
    return is_queued;
}

/* Sleep until the record is settled. Interrupts are disabled. */
static enum waiter_status sleep_on(struct futex_waiter *waiter)
{
    enum waiter_status status;

    while ((status = load_acquire(&waiter->status)) <= WAITER_CLAIMED) { /* PAIRS(futex_waiter) */
        if (UNLIKELY(load_relaxed(&waiter->is_expired)) && give_up(waiter, WAITER_TIMED_OUT))
            continue;
        /* A waker that has claimed the record may stand behind us on this CPU: it comes to its end only if we let it,
         * whatever there is to do for us. */
        sched_block(TASK_BLOCKED, status == WAITER_CLAIMED ? WAIT_UNINTERRUPTED : WAIT_INTERRUPTIBLE);
        if (UNLIKELY((load_relaxed(&waiter->task->notices) & WAIT_INTERRUPTIBLE) != 0) &&
            load_relaxed(&waiter->status) == WAITER_QUEUED)
            (void)give_up(waiter, WAITER_KILLED);
    }
    trace(TRACE_WAIT_END, waiter, status);
    return status;
}

/* Interrupts are disabled before, and enabled after. */
static ALWAYS_INLINE int sleep_until(struct futex_waiter *waiter, uint64_t deadline_ns)
{
    if (deadline_ns != TIME_NEVER) {
        timer_init(&waiter->timer, waiter_timeout);
        timer_arm(&waiter->timer, deadline_ns);
    }
    enum waiter_status status = sleep_on(waiter);

    if (deadline_ns != TIME_NEVER)
        (void)timer_cancel(&waiter->timer);
    irq_enable_and_look();
    return status == WAITER_WOKEN ? 0 : status == WAITER_TIMED_OUT ? -ETIMEDOUT : -ERESTARTSYS;
}

/* Lock the bucket with the word in it being `expected`. Otherwise not locked: an error. A page that others take away as
 * fast as it is brought in costs time, but the task can be killed meanwhile. */
static ALWAYS_INLINE int lock_if_equal(struct futex_bucket *bucket, vaddr_t word, uint32_t expected) NO_LOCK_ANALYSIS
{
    uint32_t value = 0;

    for (;;) {
        spin_lock(&bucket->lock);
        bool is_present = user_read32(word, &value) == 0;

        if (is_present && value == expected)
            return 0;
        spin_unlock(&bucket->lock);
        if (is_present)
            return -EAGAIN;
        if (user_read32(word, &value) != 0)
            return -EFAULT;
        if (task_is_killed())
            return -EINTR;
    }
}

static ALWAYS_INLINE int wait(struct futex_word word, uint32_t expected, uint32_t bitset, uint64_t deadline_ns,
                              const struct futex_key *target) NO_LOCK_ANALYSIS
{
    struct task *self = current_task();
    struct futex_waiter waiter; /* its timer is looked at only with a deadline */

    if (bitset == 0)
        return -EINVAL;
    int result = futex_key_get(word, &waiter.key);

    if (result != 0)
        return result;
    struct futex_bucket *bucket = bucket_of(&waiter.key);

    waiter.task = self;
    waiter.target = target;
    waiter.bitset = bitset;
    store_relaxed(&waiter.is_expired, false);
    store_relaxed(&waiter.bucket, bucket);
    store_relaxed(&waiter.status, WAITER_QUEUED);
    result = lock_if_equal(bucket, word.at, expected);
    if (result == 0) {
        waiter.rank = task_own_rank();
        enqueue_locked(bucket, &waiter);
        trace(TRACE_WAIT_BEGIN, &waiter, (uintptr_t)self);
        hal_irq_disable();
        unlock_irqoff(bucket);
        result = sleep_until(&waiter, deadline_ns);
    }
    futex_key_put(&waiter.key); /* a requeue may have changed it, but never with the reference */
    return result;
}

int futex_wait(struct futex_word word, uint32_t expected, uint32_t bitset, uint64_t deadline_ns)
{
    return wait(word, expected, bitset, deadline_ns, NULL);
}

/* ---- Requeue ---- */

static void move_locked(struct futex_waiter *waiter, struct futex_bucket *to, const struct futex_key *key)
{
    list_remove(&waiter->link);
    waiter->key = *key;
    if (key->object != NULL)
        vm_object_get(key->object);
    enqueue_locked(to, waiter);
    store_release(&waiter->bucket, to); /* PAIRS(futex_bucket) */
}

/* Both buckets are locked. Returns how many were moved. */
static uint32_t move_matching_locked(struct futex_bucket *bucket, const struct futex_key *from, struct futex_bucket *to,
                                     const struct futex_key *key, uint32_t count)
{
    struct list_node moving = LIST_INIT(moving);
    uint32_t moved = 0;

    /* First off the list, all of them: it may be the one that they come to. */
    list_for_each_safe(node, &bucket->waiters) {
        if (moved == count)
            break;
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);

        if (!futex_key_is_equal(&waiter->key, from) || waiter->target != NULL)
            continue;
        list_remove(node);
        list_push_back(&moving, node);
        moved++;
    }
    list_for_each_safe(node, &moving)
        move_locked(list_entry(node, struct futex_waiter, link), to, key);
    return moved;
}

/* Lock both; the first word must be *expected, if that is not NULL. */
static int lock_two_if_equal(struct futex_bucket *a, struct futex_bucket *b, vaddr_t word,
                             const uint32_t *expected) NO_LOCK_ANALYSIS
{
    uint32_t value = 0;

    for (;;) {
        lock_two(a, b);
        bool is_present = expected == NULL || user_read32(word, &value) == 0;

        if (is_present && (expected == NULL || value == *expected))
            return 0;
        unlock_two(a, b);
        if (is_present)
            return -EAGAIN;
        if (user_read32(word, &value) != 0)
            return -EFAULT;
        if (task_is_killed())
            return -EINTR;
    }
}

static int64_t requeue(const struct futex_key *from, const struct futex_key *to, vaddr_t word, const uint32_t counts[2],
                       const uint32_t *expected) NO_LOCK_ANALYSIS
{
    struct list_node claimed = LIST_INIT(claimed);
    struct futex_bucket *source = bucket_of(from), *target = bucket_of(to);
    int result = lock_two_if_equal(source, target, word, expected);

    if (result != 0)
        return result;
    uint32_t woken = claim_matching_locked(source, from, counts[0], FUTEX_BITSET_ALL, &claimed);
    uint32_t moved = move_matching_locked(source, from, target, to, counts[1]);

    unlock_two(source, target);
    finish_all(&claimed);
    for (uint32_t i = 0; from->object != NULL && i < moved; i++)
        vm_object_put(from->object); /* what the moved ones held; ours is another one, so none of these is the last */
    return (int64_t)woken + moved;
}

int64_t futex_requeue(struct futex_word from, struct futex_word to, uint32_t wake, uint32_t move,
                      const uint32_t *expected)
{
    struct futex_key key, key2;
    int64_t result = futex_key_get(from, &key);

    if (result != 0)
        return result;
    result = futex_key_get(to, &key2);
    if (result == 0) {
        const uint32_t counts[2] = { wake, move };

        result = requeue(&key, &key2, from.at, counts, expected);
        futex_key_put(&key2);
    }
    futex_key_put(&key);
    return result;
}

/* ---- Requeue to a lock ---- */

int futex_wait_requeue_pi(struct futex_word word, uint32_t expected, uint64_t deadline_ns, struct futex_word lock)
{
    struct futex_key key, target;
    int result = futex_key_get(word, &key);

    if (result != 0)
        return result;
    result = futex_key_get(lock, &target);
    if (result == 0) {
        result = futex_key_is_equal(&key, &target)
                     ? -EINVAL
                     : wait(word, expected, FUTEX_BITSET_ALL, deadline_ns, &target);
        futex_key_put(&target);
    }
    futex_key_put(&key);
    if (result != 0)
        return result == -ERESTARTSYS ? -ERESTARTNOINTR : result;
    result = futex_lock_pi(lock, deadline_ns);
    return result == -ERESTARTNOINTR ? -EAGAIN : result; /* made anew, it would find the word changed */
}

/* The lock's own tree puts those who come into the order of their urgency, so each goes there by itself. */
static int64_t claim_for_lock_locked(struct futex_bucket *bucket, const struct futex_key *from,
                                     const struct futex_key *lock, uint64_t count, struct list_node *out)
{
    int64_t claimed = 0;

    list_for_each_safe(node, &bucket->waiters) {
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);

        if ((uint64_t)claimed == count)
            break;
        if (!futex_key_is_equal(&waiter->key, from))
            continue;
        if (waiter->target == NULL || !futex_key_is_equal(waiter->target, lock))
            return claimed > 0 ? claimed : -EINVAL;
        claim_locked(waiter, out);
        claimed++;
    }
    return claimed;
}

int64_t futex_requeue_pi(struct futex_word from, struct futex_word lock, uint32_t move,
                         uint32_t expected) NO_LOCK_ANALYSIS
{
    struct list_node claimed = LIST_INIT(claimed);
    struct futex_key key, target;
    int64_t result = futex_key_get(from, &key);

    if (result != 0)
        return result;
    result = futex_key_get(lock, &target);
    if (result == 0) {
        struct futex_bucket *bucket = bucket_of(&key);

        result = futex_key_is_equal(&key, &target) ? -EINVAL : lock_if_equal(bucket, from.at, expected);
        if (result == 0) {
            result = claim_for_lock_locked(bucket, &key, &target, (uint64_t)move + 1, &claimed);
            spin_unlock(&bucket->lock);
            finish_all(&claimed);
        }
        futex_key_put(&target);
    }
    futex_key_put(&key);
    return result;
}

/* ---- Wake with an operation ---- */

/* FUTEX_OP() of futex(2): operation, comparison, and two signed arguments of 12 bits. */
#define OP_SHIFTS 8u /* the first argument is the number of a bit */

struct operation {
    uint32_t op, comparison;
    int32_t arg, compared;
};

static int operation_decode(uint32_t word, struct operation *out)
{
    uint32_t op = word >> 28;

    out->op = op & ~OP_SHIFTS;
    out->comparison = word >> 24 & 15;
    out->arg = (int32_t)(word << 8) >> 20;
    out->compared = (int32_t)(word << 20) >> 20;
    if ((op & OP_SHIFTS) != 0)
        out->arg = (int32_t)(1u << (out->arg & 31)); /* as Linux does with numbers that no bit has */
    return out->op > 4 || out->comparison > 5 ? -ENOSYS : 0;
}

static uint32_t operation_apply(const struct operation *operation, uint32_t old)
{
    uint32_t arg = (uint32_t)operation->arg;

    switch (operation->op) {
    case 0:
        return arg;
    case 1:
        return old + arg;
    case 2:
        return old | arg;
    case 3:
        return old & ~arg;
    default:
        return old ^ arg;
    }
}

static bool operation_compares(const struct operation *operation, uint32_t old)
{
    int32_t value = (int32_t)old;

    switch (operation->comparison) {
    case 0:
        return value == operation->compared;
    case 1:
        return value != operation->compared;
    case 2:
        return value < operation->compared;
    case 3:
        return value <= operation->compared;
    case 4:
        return value > operation->compared;
    default:
        return value >= operation->compared;
    }
}

/* 0: done, *out_old is what was there. Under the buckets' locks nothing is brought in. */
static int change_word(vaddr_t word, const struct operation *operation, uint32_t *out_old)
{
    uint32_t seen = 0;
    int result = user_read32(word, &seen);

    while (result == 0) {
        uint32_t before = seen;

        result = user_cas32(word, &seen, operation_apply(operation, before));
        if (result == 0 && seen == before)
            break;
    }
    *out_old = seen;
    return result;
}

static int64_t wake_op(const struct futex_key *key, const struct futex_key *key2, vaddr_t word2,
                       const uint32_t counts[2], const struct operation *operation) NO_LOCK_ANALYSIS
{
    struct list_node claimed = LIST_INIT(claimed);
    struct futex_bucket *first = bucket_of(key), *second = bucket_of(key2);
    uint32_t old = 0;

    for (;;) {
        lock_two(first, second);
        if (change_word(word2, operation, &old) == 0)
            break;
        unlock_two(first, second);
        uint32_t value = 0;

        /* An exchange of equals brings the page in, writable. */
        if (user_read32(word2, &value) != 0 || user_cas32(word2, &value, value) != 0)
            return -EFAULT;
        if (task_is_killed())
            return -EINTR;
    }
    uint32_t woken = claim_matching_locked(first, key, counts[0], FUTEX_BITSET_ALL, &claimed);

    if (operation_compares(operation, old))
        woken += claim_matching_locked(second, key2, counts[1], FUTEX_BITSET_ALL, &claimed);
    unlock_two(first, second);
    finish_all(&claimed);
    return woken;
}

int64_t futex_wake_op(struct futex_word word, struct futex_word word2, uint32_t count, uint32_t count2,
                      uint32_t operation)
{
    const uint32_t counts[2] = { count, count2 };
    struct operation decoded;
    struct futex_key key, key2;
    int64_t result = operation_decode(operation, &decoded);

    if (result != 0)
        return result;
    result = futex_key_get(word, &key);
    if (result != 0)
        return result;
    result = futex_key_get(word2, &key2);
    if (result == 0) {
        result = wake_op(&key, &key2, word2.at, counts, &decoded);
        futex_key_put(&key2);
    }
    futex_key_put(&key);
    return result;
}
