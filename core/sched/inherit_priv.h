/* SPDX-License-Identifier: MIT */
/*
 * The part of sched_priv.h, which includes it, that is about who waits: what the queues go by, which is the more urgent
 * of what a task asked for and what it inherits; waiters' records; the chains of those who wait for mutexes.
 */
#pragma once

/* policy.c: what the queues go by, from parameters that are valid and from what the task inherits. The task is in no
 * queue. `priority` is for show. Locks: both that guard them, or the task is nobody else's yet. */
void policy_apply(struct task *task, const struct sched_params *params, int priority);
void policy_init(struct task *task, int priority); /* of a task that is all zero but for what inherits nothing */
/* policy_apply() for a task of `rq`, with the classes that it leaves and joins told. */
void policy_apply_on(struct runq *rq, struct task *task, const struct sched_params *params, int priority)
    REQUIRES(rq->lock);
/* `task`, in any state, inherits that much urgency, and no more. True: it is more or less urgent than before. */
bool policy_inherit(struct task *task, struct sched_urgency inherited) REQUIRES(task->pi.lock);
/* Is it more urgent than it is by itself? Then how much, on the scale of priorities. Locks: as task_urgency(). */
bool policy_is_boosted(const struct task *task);
int policy_effective_priority(const struct task *task);

/* How urgent the task is now. Locks: its pi.lock or its run queue's. */
static inline struct sched_urgency task_urgency(const struct task *task)
{
    if (LIKELY(task->rank != RANK_DEADLINE))
        return (struct sched_urgency){ .rank = task->rank };
    uint64_t own_ns = task->is_admitted ? task->pi.due_ns : TIME_NEVER;

    return (struct sched_urgency){ .rank = task->rank,
                                   .deadline_ns = task->is_inherited ? MIN(own_ns, task->deadline.inherited_ns)
                                                                     : own_ns };
}

static inline bool urgency_is_before(struct sched_urgency a, struct sched_urgency b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.deadline_ns < b.deadline_ns;
}

static inline bool urgency_is_equal(struct sched_urgency a, struct sched_urgency b)
{
    return a.rank == b.rank && a.deadline_ns == b.deadline_ns;
}

/* A waiter's record. waitq.c: */
struct waiter {
    struct list_node link; /* guarded by queue->lock */
    struct task *task; /* task->waits_on is the queue, as long as the record is valid; of a mutex: NULL */
    _Atomic(enum waiter_status) status; /* PAIRS(waiter): written under queue->lock, or the mutex's */
    struct timer timer;
};

/* The two halves of waitq_wait_locked(), for who has something to do between joining, which releases the lock, and
 * sleeping; interrupts stay disabled. */
void waiter_join(struct waiter *waiter, struct waitq *queue);
int waiter_sleep(struct waiter *waiter, uint64_t deadline_ns, enum wait_mode mode) MUST_USE;

/* pi.c. A waiter of a mutex: a record on its stack, in the tree from pi_join() to its settlement under mutex->lock. */
struct mutex_waiter {
    struct waiter waiter;
    struct mutex *mutex;
    struct rb_node node;          /* in mutex->waiters; guarded by mutex->lock */
    struct rb_node donor_node;    /* while it is the first there, in the owner's donors; guarded by owner->pi.lock */
    struct sched_urgency urgency; /* by which it stands in both; of a first one, changed under both locks */
    _Atomic(bool) is_expired;     /* its deadline has passed: it settles itself */
    uintptr_t irq_state;          /* of its task, before it began to wait */
};

static inline struct task *mutex_owner(const struct mutex *mutex)
{
    return (struct task *)(load_relaxed(&((struct mutex *)mutex)->owner) & ~(uintptr_t)1);
}

/* All under mutex->lock, which keeps the owner of a mutex with waiters from letting go. True: the owner waits, too, so
 * pi_walk() from it must follow; after a join also pi_waits_for_itself(). */
bool pi_join(struct mutex_waiter *waiter, struct mutex *mutex, struct task *task);
bool pi_leave(struct mutex_waiter *waiter);
/* The mutex passes from `owner`, who runs or is dead, to its most urgent waiter, which is returned, claimed. */
struct mutex_waiter *pi_hand_over(struct mutex *mutex, struct task *owner);

/* The urgency of `task`, of which the caller has a reference, has changed: so may the order of waiters of the mutex
 * that it waits for, and the urgency of that one's owner, and so on. Context: task, no lock held. */
void pi_walk(struct task *task);
/* Does `task`, in a tree of waiters, wait for itself? The same context. */
bool pi_waits_for_itself(struct task *task);
[[noreturn]] void pi_panic_of_circle(struct task *task);
