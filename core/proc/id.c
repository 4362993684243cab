/* SPDX-License-Identifier: MIT */
/*
 * Ids in a two-level table. Numbers are reserved under LOCK_TID; look-up takes no lock: it reads leaf
 * and pointer inside a read section and takes a reference that a dying object refuses. A leaf without
 * users is freed after a grace period.
 */
#include <proc/id.h>

#include <k/atomic.h>
#include <k/errno.h>
#include <k/limits.h>
#include <lib/bitmap.h>
#include <lib/string.h>

#include "proc_priv.h"

#define LEAF_SHIFT 7
#define LEAF_IDS (1u << LEAF_SHIFT)
#define LEAF_COUNT (TID_MAX >> LEAF_SHIFT)

struct id_leaf {
    struct quiesce_head reclaim;
    unsigned used;             /* guarded by lock: numbers reserved in it */
    uint8_t users[LEAF_IDS];   /* guarded by lock: users of each number */
    struct {
        _Atomic(struct task *) task;       /* PAIRS(id_publish) */
        _Atomic(struct process *) process; /* PAIRS(id_publish) */
        struct process_group *group;       /* guarded by the tree lock */
    } slot[LEAF_IDS];
};

static struct {
    struct spinlock lock;
    struct slab_cache leaves;
    _Atomic(struct id_leaf *) leaf[LEAF_COUNT]; /* PAIRS(id_leaf); written under lock */
    uint64_t reserved[BITMAP_WORDS(TID_MAX)];   /* guarded by lock */
    size_t next;                                /* guarded by lock: where the search goes on */
    unsigned used;                              /* guarded by lock */
} ids = { .lock = SPINLOCK_INIT(LOCK_TID), .next = PID_INIT + 1 };

void id_init(void)
{
    slab_cache_init(&ids.leaves, "id leaf", sizeof(struct id_leaf), alignof(struct id_leaf));
    bitmap_set(ids.reserved, 0);
    bitmap_set(ids.reserved, PID_INIT); /* for ever: id_alloc() never gives it */
}

static void leaf_free(struct quiesce_head *head)
{
    slab_free(&ids.leaves, container_of(head, struct id_leaf, reclaim));
}

/* A leaf that nothing uses leaves the table; the one that the search stands in is kept for the next number. */
static NOINLINE void drop_leaf_if_empty(size_t index, bool keep_current) REQUIRES(ids.lock)
{
    struct id_leaf *leaf = load_relaxed(&ids.leaf[index]);

    if (leaf == NULL || leaf->used != 0 || (keep_current && ids.next >> LEAF_SHIFT == index))
        return;
    store_relaxed(&ids.leaf[index], NULL);
    quiesce_call(&leaf->reclaim, leaf_free);
}

static size_t find_free(void) REQUIRES(ids.lock)
{
    size_t id = bitmap_find_clear(ids.reserved, TID_MAX, ids.next);

    return id != BITMAP_NONE ? id : bitmap_find_clear(ids.reserved, TID_MAX, PID_INIT + 1);
}

/* The number is free, and `leaf` is its leaf. */
static ALWAYS_INLINE void reserve(struct id_leaf *leaf, size_t id) REQUIRES(ids.lock)
{
    leaf->used++;
    leaf->users[id % LEAF_IDS] = 1;
    bitmap_set(ids.reserved, id);
    ids.used++;
}

/* The search goes on behind the number. */
static void advance(size_t id) REQUIRES(ids.lock)
{
    size_t previous = ids.next >> LEAF_SHIFT;

    ids.next = id + 1 < TID_MAX ? id + 1 : PID_INIT + 1;
    if (previous != ids.next >> LEAF_SHIFT)
        drop_leaf_if_empty(previous, true);
}

static bool is_used(size_t id) REQUIRES(ids.lock)
{
    struct id_leaf *leaf = load_relaxed(&ids.leaf[id >> LEAF_SHIFT]);

    return leaf != NULL && leaf->users[id % LEAF_IDS] != 0;
}

/* `wanted`, or 0: the next that is free, perhaps the first one of a leaf that does not exist yet. */
static NOINLINE int alloc(size_t wanted, tid_t *out)
{
    struct id_leaf *spare = NULL;

    for (;;) {
        spin_lock(&ids.lock);
        size_t id = wanted == 0 ? find_free() : is_used(wanted) ? BITMAP_NONE : wanted;

        if (id == BITMAP_NONE) {
            spin_unlock(&ids.lock);
            if (spare != NULL)
                slab_free(&ids.leaves, spare);
            return -EAGAIN;
        }
        size_t index = id >> LEAF_SHIFT;

        if (load_relaxed(&ids.leaf[index]) == NULL && spare != NULL) {
            store_release(&ids.leaf[index], spare); /* PAIRS(id_leaf) */
            spare = NULL;
        }
        struct id_leaf *leaf = load_relaxed(&ids.leaf[index]);

        if (leaf != NULL) {
            reserve(leaf, id);
            if (wanted == 0)
                advance(id);
            spin_unlock(&ids.lock);
            if (spare != NULL)
                slab_free(&ids.leaves, spare);
            *out = (tid_t)id;
            return 0;
        }
        spin_unlock(&ids.lock);
        spare = slab_alloc(&ids.leaves);
        if (spare == NULL)
            return -ENOMEM;
        (void)memset(spare, 0, sizeof *spare);
    }
}

ALWAYS_INLINE int id_alloc(tid_t *out)
{
    spin_lock(&ids.lock);
    size_t id = ids.next;
    struct id_leaf *leaf = load_relaxed(&ids.leaf[id >> LEAF_SHIFT]);

    /* Nearly always the next number is free, its leaf is there, and the one after it is in the same leaf. */
    if (UNLIKELY(leaf == NULL || bitmap_test(ids.reserved, id) || id % LEAF_IDS == LEAF_IDS - 1)) {
        spin_unlock(&ids.lock);
        return alloc(0, out);
    }
    reserve(leaf, id);
    ids.next = id + 1;
    spin_unlock(&ids.lock);
    *out = (tid_t)id;
    return 0;
}

int id_alloc_init(void)
{
    tid_t id;

    return alloc(PID_INIT, &id);
}

/* The leaf of a reserved number: it exists as long as the number is. */
static struct id_leaf *leaf_of(tid_t id)
{
    ASSERT(id > 0 && id < TID_MAX);
    struct id_leaf *leaf = load_acquire(&ids.leaf[(size_t)id >> LEAF_SHIFT]); /* PAIRS(id_leaf) */

    ASSERT(leaf != NULL);
    return leaf;
}

void id_hold(tid_t id)
{
    spin_lock(&ids.lock);
    uint8_t *users = &leaf_of(id)->users[(size_t)id % LEAF_IDS];

    ASSERT(*users > 0 && *users < UINT8_MAX);
    (*users)++;
    spin_unlock(&ids.lock);
}

ALWAYS_INLINE void id_release(tid_t id)
{
    spin_lock(&ids.lock);
    struct id_leaf *leaf = leaf_of(id);
    size_t slot = (size_t)id % LEAF_IDS;

    ASSERT(leaf->users[slot] > 0);
    if (--leaf->users[slot] == 0) {
        ASSERT(load_relaxed(&leaf->slot[slot].task) == NULL && load_relaxed(&leaf->slot[slot].process) == NULL);
        if (id != PID_INIT)
            bitmap_clear(ids.reserved, (size_t)id);
        ids.used--;
        if (UNLIKELY(--leaf->used == 0))
            drop_leaf_if_empty((size_t)id >> LEAF_SHIFT, true);
    }
    spin_unlock(&ids.lock);
}

ALWAYS_INLINE void id_publish_task(tid_t id, struct task *task)
{
    ASSERT(task->tid == id);
    store_release(&leaf_of(id)->slot[(size_t)id % LEAF_IDS].task, task); /* PAIRS(id_publish): a complete task */
}

void id_unpublish_task(tid_t id)
{
    store_relaxed(&leaf_of(id)->slot[(size_t)id % LEAF_IDS].task, NULL);
}

void id_publish_process(pid_t id, struct process *process)
{
    ASSERT(process->pid == id);
    store_release(&leaf_of(id)->slot[(size_t)id % LEAF_IDS].process, process); /* PAIRS(id_publish) */
}

void id_unpublish_process(pid_t id)
{
    store_relaxed(&leaf_of(id)->slot[(size_t)id % LEAF_IDS].process, NULL);
}

void id_publish_group(pid_t id, struct process_group *group)
{
    leaf_of(id)->slot[(size_t)id % LEAF_IDS].group = group;
}

struct process_group *id_group_locked(pid_t id)
{
    if (id <= 0 || id >= TID_MAX)
        return NULL;
    preempt_disable(); /* a leaf without users may go */
    struct id_leaf *leaf = load_acquire(&ids.leaf[(size_t)id >> LEAF_SHIFT]); /* PAIRS(id_leaf) */
    struct process_group *group = leaf != NULL ? leaf->slot[(size_t)id % LEAF_IDS].group : NULL;

    preempt_enable();
    return group;
}

struct task *task_lookup(tid_t tid)
{
    struct task *task = NULL;

    if (tid <= 0 || tid >= TID_MAX)
        return NULL;
    preempt_disable(); /* the read section: neither leaf nor task is freed inside it */
    struct id_leaf *leaf = load_acquire(&ids.leaf[(size_t)tid >> LEAF_SHIFT]); /* PAIRS(id_leaf) */

    if (leaf != NULL)
        task = load_acquire(&leaf->slot[(size_t)tid % LEAF_IDS].task); /* PAIRS(id_publish) */
    if (task != NULL && !task_try_get(task))
        task = NULL;
    preempt_enable();
    return task;
}

/* The first task in the rest of one leaf, which begins with `from`. */
static struct task *lookup_in_leaf(tid_t from)
{
    struct task *task = NULL;

    preempt_disable(); /* the read section of task_lookup(), for up to LEAF_IDS slots */
    struct id_leaf *leaf = load_acquire(&ids.leaf[(size_t)from >> LEAF_SHIFT]); /* PAIRS(id_leaf) */

    for (size_t slot = (size_t)from % LEAF_IDS; leaf != NULL && slot < LEAF_IDS && task == NULL; slot++) {
        task = load_acquire(&leaf->slot[slot].task); /* PAIRS(id_publish) */
        if (task != NULL && !task_try_get(task))
            task = NULL;
    }
    preempt_enable();
    return task;
}

struct task *task_lookup_next(tid_t from)
{
    struct task *task = NULL;

    for (size_t id = (size_t)MAX(from, 1); id < TID_MAX && task == NULL; id = ROUND_UP(id + 1, (size_t)LEAF_IDS))
        task = lookup_in_leaf((tid_t)id);
    return task;
}

static bool process_try_get(struct process *process)
{
    uint32_t refs = load_relaxed(&process->refs);

    while (refs != 0)
        if (cas_acquire(&process->refs, &refs, refs + 1)) /* PAIRS(process_ref) */
            return true;
    return false;
}

struct process *process_lookup(pid_t pid)
{
    struct process *process = NULL;

    if (pid <= 0 || pid >= TID_MAX)
        return NULL;
    preempt_disable();
    struct id_leaf *leaf = load_acquire(&ids.leaf[(size_t)pid >> LEAF_SHIFT]); /* PAIRS(id_leaf) */

    if (leaf != NULL)
        process = load_acquire(&leaf->slot[(size_t)pid % LEAF_IDS].process); /* PAIRS(id_publish) */
    if (process != NULL && !process_try_get(process))
        process = NULL;
    preempt_enable();
    return process;
}

static struct process *lookup_process_in_leaf(pid_t from)
{
    struct process *process = NULL;

    preempt_disable(); /* as in lookup_in_leaf() */
    struct id_leaf *leaf = load_acquire(&ids.leaf[(size_t)from >> LEAF_SHIFT]); /* PAIRS(id_leaf) */

    for (size_t slot = (size_t)from % LEAF_IDS; leaf != NULL && slot < LEAF_IDS && process == NULL; slot++) {
        process = load_acquire(&leaf->slot[slot].process); /* PAIRS(id_publish) */
        if (process != NULL && !process_try_get(process))
            process = NULL;
    }
    preempt_enable();
    return process;
}

struct process *process_lookup_next(pid_t from)
{
    struct process *process = NULL;

    for (size_t id = (size_t)MAX(from, 1); id < TID_MAX && process == NULL; id = ROUND_UP(id + 1, (size_t)LEAF_IDS))
        process = lookup_process_in_leaf((pid_t)id);
    return process;
}

unsigned id_used_count(void)
{
    spin_lock(&ids.lock);
    unsigned used = ids.used;

    spin_unlock(&ids.lock);
    return used;
}

tid_t id_last(void)
{
    spin_lock(&ids.lock);
    tid_t last = (tid_t)ids.next - 1;

    spin_unlock(&ids.lock);
    return last;
}

void id_reclaim(void)
{
    spin_lock(&ids.lock);
    drop_leaf_if_empty(ids.next >> LEAF_SHIFT, false);
    spin_unlock(&ids.lock);
}
