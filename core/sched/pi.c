/* SPDX-License-Identifier: MIT */
/*
 * Priority inheritance: who waits for a mutex, in which order, and what its owner inherits from that. Owns the trees of
 * waiters and of donors, and the walk along the chain owner, mutex that it waits for, owner. The mutex's owner word
 * and sleeping are mutex.c's, what urgency does to a task is policy.c's.
 *
 * At most one mutex's lock and one task's pi.lock are held, in this order, and under them for a moment a run queue's.
 * A walk goes from a task to its mutex against that order: by try, and it looks again if that fails. Between two steps
 * it holds no lock and a reference to the next task. Each step reads afresh what that task waits for: whatever changed
 * meanwhile was changed by somebody who walks on from there himself.
 */
#include "sched_priv.h"

#include <hal/cpu.h>
#include <k/log.h>

static struct spinlock deadlock_lock = SPINLOCK_INIT(LOCK_DEADLOCK);

static bool waiter_less(const struct rb_node *a, const struct rb_node *b)
{
    return urgency_is_before(container_of(a, struct mutex_waiter, node)->urgency,
                             container_of(b, struct mutex_waiter, node)->urgency);
}

static bool donor_less(const struct rb_node *a, const struct rb_node *b)
{
    return urgency_is_before(container_of(a, struct mutex_waiter, donor_node)->urgency,
                             container_of(b, struct mutex_waiter, donor_node)->urgency);
}

static struct mutex_waiter *first_waiter(const struct mutex *mutex)
{
    struct rb_node *node = rb_first(&mutex->waiters);

    return node == NULL ? NULL : container_of(node, struct mutex_waiter, node);
}

static bool inherit(struct task *owner) REQUIRES(owner->pi.lock)
{
    struct rb_node *first = rb_first(&owner->pi.donors);

    return policy_inherit(owner, first == NULL ? SCHED_URGENCY_NONE
                                               : container_of(first, struct mutex_waiter, donor_node)->urgency);
}

/* Around every change of mutex->waiters: while it lasts, none of them is a donor. */
static void change_begin(struct mutex *mutex, struct task *owner) NO_LOCK_ANALYSIS
{
    struct mutex_waiter *first = first_waiter(mutex);

    spin_lock_irqoff(&owner->pi.lock);
    if (first != NULL)
        rb_remove(&owner->pi.donors, &first->donor_node, NULL);
}

/* How the change goes on. */
#define OWNER_CHANGED 0x1u /* the owner is more or less urgent than before */
#define OWNER_BLOCKED 0x2u /* and waits for a mutex; if not: when it begins to, it does so with its new urgency */

static unsigned change_end(struct mutex *mutex, struct task *owner) NO_LOCK_ANALYSIS
{
    struct mutex_waiter *first = first_waiter(mutex);

    if (first != NULL)
        rb_insert(&owner->pi.donors, &first->donor_node, donor_less, NULL);
    unsigned outcome = inherit(owner) ? OWNER_CHANGED : 0;

    outcome |= owner->pi.blocked_on != NULL ? OWNER_BLOCKED : 0;
    spin_unlock_irqoff(&owner->pi.lock);
    return outcome;
}

static void set_blocked_on(struct task *task, struct mutex_waiter *waiter) NO_LOCK_ANALYSIS
{
    spin_lock_irqoff(&task->pi.lock);
    task->pi.blocked_on = waiter;
    if (waiter != NULL) {
        task->pi.blocks++;
        task->waits_on = NULL; /* no wait queue */
        task->pi.due_ns = task->deadline.due_ns; /* it runs: nobody begins a new period for it now */
        waiter->urgency = task_urgency(task); /* whoever changes it from here on finds the record, and moves it */
    }
    spin_unlock_irqoff(&task->pi.lock);
}

bool pi_join(struct mutex_waiter *waiter, struct mutex *mutex, struct task *task)
{
    struct task *owner = mutex_owner(mutex);

    waiter->mutex = mutex;
    set_blocked_on(task, waiter);
    change_begin(mutex, owner);
    rb_insert(&mutex->waiters, &waiter->node, waiter_less, NULL);
    return (change_end(mutex, owner) & OWNER_BLOCKED) != 0;
}

bool pi_leave(struct mutex_waiter *waiter)
{
    struct mutex *mutex = waiter->mutex;
    struct task *owner = mutex_owner(mutex);

    set_blocked_on(waiter->waiter.task, NULL);
    change_begin(mutex, owner);
    rb_remove(&mutex->waiters, &waiter->node, NULL);
    return change_end(mutex, owner) == (OWNER_CHANGED | OWNER_BLOCKED);
}

struct mutex_waiter *pi_hand_over(struct mutex *mutex, struct task *owner) NO_LOCK_ANALYSIS
{
    struct mutex_waiter *heir = first_waiter(mutex);
    struct task *task = heir->waiter.task;

    change_begin(mutex, owner);
    rb_remove(&mutex->waiters, &heir->node, NULL);
    (void)inherit(owner); /* from the waiters of what it still owns; it waits for nothing, so the change ends here */
    spin_unlock_irqoff(&owner->pi.lock);
    spin_lock_irqoff(&task->pi.lock);
    task->pi.blocked_on = NULL;
    (void)change_end(mutex, task);
    store_relaxed(&heir->waiter.status, WAITER_CLAIMED); /* neither timeout nor kill settles it now */
    store_release(&mutex->owner, (uintptr_t)task | !rb_is_empty(&mutex->waiters)); /* PAIRS(mutex) */
    return heir;
}

/* The record of `task`, with the locks of its mutex and of the task held; or NULL, and none. Interrupts disabled.
 * Whoever holds the mutex's lock may be waiting for the task's, and must find it free: so each pause between two tries
 * is longer than the one before, until it is longer than a look of that CPU at the lock takes. */
static struct mutex_waiter *lock_wait_of(struct task *task) NO_LOCK_ANALYSIS
{
    for (unsigned pause = 1;; pause *= 2) {
        spin_lock_irqoff(&task->pi.lock);
        struct mutex_waiter *waiter = task->pi.blocked_on;

        if (waiter != NULL && spin_try_lock_irqoff(&waiter->mutex->lock))
            return waiter; /* it cannot leave the tree without that lock, and the mutex cannot go before it */
        spin_unlock_irqoff(&task->pi.lock);
        if (waiter == NULL)
            return NULL;
        for (unsigned i = 0; i < pause; i++)
            hal_cpu_relax();
    }
}

/* The waiter takes its place by its urgency of now, behind its equals. */
static bool move(struct mutex_waiter *waiter, struct task *owner, struct sched_urgency urgency)
{
    struct mutex *mutex = waiter->mutex;

    change_begin(mutex, owner);
    rb_remove(&mutex->waiters, &waiter->node, NULL);
    waiter->urgency = urgency;
    rb_insert(&mutex->waiters, &waiter->node, waiter_less, NULL);
    return change_end(mutex, owner) == (OWNER_CHANGED | OWNER_BLOCKED);
}

/* One step; the owner that the change has reached, with a reference, or NULL. */
static struct task *walk_step(struct task *task) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct mutex_waiter *waiter = lock_wait_of(task);
    struct task *next = NULL;

    if (waiter != NULL) {
        struct sched_urgency urgency = task_urgency(task);
        struct mutex *mutex = waiter->mutex;
        struct task *owner = mutex_owner(mutex);

        spin_unlock_irqoff(&task->pi.lock);
        /* If it changes once more, whoever does that comes here, too, and waits for the lock. */
        if (!urgency_is_equal(urgency, waiter->urgency) && move(waiter, owner, urgency)) {
            task_get(owner); /* it owns a mutex: it has not ended */
            next = owner;
        }
        spin_unlock_irqoff(&mutex->lock);
    }
    sched_irq_restore(state);
    return next;
}

void pi_walk(struct task *task)
{
    struct task *held = NULL;

    while ((task = walk_step(task)) != NULL) {
        if (held != NULL)
            task_put(held);
        held = task;
    }
    if (held != NULL)
        task_put(held);
}

/* The owner of what `task` waits for, or NULL. The caller is in a read section, which keeps its memory. */
static struct task *next_in_chain(struct task *task, uint64_t *out_blocks) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct mutex_waiter *waiter = lock_wait_of(task);
    struct task *owner = NULL;

    if (waiter != NULL) {
        struct mutex *mutex = waiter->mutex;

        owner = mutex_owner(mutex);
        *out_blocks = task->pi.blocks;
        spin_unlock_irqoff(&task->pi.lock);
        spin_unlock_irqoff(&mutex->lock);
    }
    hal_irq_restore(state);
    return owner;
}

enum pass { PASS_LOOK, PASS_MARK, PASS_CONFIRM };

/* A chain that runs into a circle of others ends there: somebody of that circle reports it, who may be waiting for this
 * CPU. It is recognised by a task that comes again (Brent, 1980). */
static bool chain_returns(struct task *self, enum pass pass)
{
    struct task *task = self;
    struct task *landmark = NULL;
    unsigned since = 0;

    for (unsigned span = 1;;) {
        uint64_t blocks = 0;
        struct task *owner = next_in_chain(task, &blocks);

        if (owner == NULL || (pass == PASS_CONFIRM && task->pi.blocks_seen != blocks))
            return false;
        if (pass == PASS_MARK)
            task->pi.blocks_seen = blocks;
        if (owner == self)
            return true;
        if (owner == landmark)
            return false;
        if (++since == span) {
            landmark = owner;
            span *= 2;
            since = 0;
        }
        task = owner;
    }
}

/*
 * A look reads one link after the other, so it may see a circle that never was: a link may go before the next one
 * comes. Hence two more passes. If the second one finds every task still in the same wait as the first, all links
 * existed at the moment between the passes: nobody acquires or releases a mutex inside of a wait.
 * No circle is missed: the last of its members to join finds it whole, and so do all passes.
 */
bool pi_waits_for_itself(struct task *task)
{
    preempt_disable();
    bool is_so = chain_returns(task, PASS_LOOK);

    if (UNLIKELY(is_so)) {
        spin_lock(&deadlock_lock);
        is_so = chain_returns(task, PASS_MARK) && chain_returns(task, PASS_CONFIRM);
        spin_unlock(&deadlock_lock);
    }
    preempt_enable();
    return is_so;
}

void pi_panic_of_circle(struct task *task)
{
    struct task *at = task;

    preempt_disable();
    for (;;) {
        uint64_t blocks = 0;
        const struct mutex *mutex = at->pi.blocked_on != NULL ? at->pi.blocked_on->mutex : NULL; /* it stays as it is */
        struct task *owner = next_in_chain(at, &blocks);

        if (owner == NULL)
            break;
        log_error("task %d '%s' waits for mutex %p, owned by task %d '%s'", at->tid, at->name, (const void *)mutex,
                  owner->tid, owner->name);
        if (owner == task)
            break;
        at = owner;
    }
    panic("mutex deadlock: task %d '%s' waits for itself", task->tid, task->name);
}
