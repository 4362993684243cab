/* SPDX-License-Identifier: MIT */
/*
 * The sleeping lock. The owner word holds the task and, in bit 0, "there are waiters". Without waiters both operations
 * are one compare-and-swap; with them the inner lock serialises, and the unlocker hands the mutex to the most urgent
 * waiter, which finds itself the owner when it wakes. The bit is set exactly while the tree has waiters, but for the
 * moment in which the inner lock is held.
 *
 * A waker settles a waiter's record under the inner lock. A waiter that timed out or was killed settles its own there,
 * when it runs: until then it is a waiter like the others, and may be given the mutex.
 */
#include <sched/mutex.h>

#include <k/errno.h>

#include "sched_priv.h"

#define MUTEX_WAITERS ((uintptr_t)1)

void mutex_init(struct mutex *mutex)
{
    store_relaxed(&mutex->owner, 0);
    spin_init(&mutex->lock, LOCK_MUTEX);
    rb_init(&mutex->waiters);
}

bool mutex_is_held(const struct mutex *mutex)
{
    return mutex_owner(mutex) == current_task();
}

static void waiter_timeout(struct timer *timer)
{
    struct mutex_waiter *waiter = container_of(timer, struct mutex_waiter, waiter.timer);
    struct task *task = waiter->waiter.task;

    store_relaxed(&waiter->is_expired, true);
    (void)task_wake_irqoff(task);
}

/* Leave the tree as one who does not get the mutex. False: it has been given to us. Interrupts are disabled. */
static NOINLINE bool give_up(struct mutex_waiter *waiter, enum waiter_status status) NO_LOCK_ANALYSIS
{
    struct mutex *mutex = waiter->mutex;
    struct task *self = waiter->waiter.task;
    struct task *owner = NULL;

    trace(TRACE_PI_CHANGE, self, 1);
    spin_lock_irqoff(&mutex->lock);
    bool is_queued = load_relaxed(&waiter->waiter.status) == WAITER_QUEUED;

    if (is_queued) {
        if (pi_leave(waiter)) {
            owner = mutex_owner(mutex);
            task_get(owner); /* it owns a mutex: it has not ended */
        }
        if (rb_is_empty(&mutex->waiters))
            store_release(&mutex->owner, load_acquire(&mutex->owner) & ~MUTEX_WAITERS); /* PAIRS(mutex) */
        trace(TRACE_WAIT_SETTLE, &waiter->waiter, status);
        store_relaxed(&waiter->waiter.status, status);
    }
    spin_unlock_irqoff(&mutex->lock);
    if (owner != NULL) {
        sched_irq_restore(waiter->irq_state);
        pi_walk(owner);
        task_put(owner);
        (void)hal_irq_save();
    }
    trace(TRACE_PI_CHANGE, self, 0);
    return is_queued;
}

/* Sleep until the mutex is ours, or no more. Interrupts are disabled. */
static enum waiter_status sleep_on(struct mutex_waiter *waiter, enum wait_mode mode)
{
    enum waiter_status status;

    while ((status = load_acquire(&waiter->waiter.status)) <= WAITER_CLAIMED) { /* PAIRS(waiter) */
        if (UNLIKELY(load_relaxed(&waiter->is_expired)) && give_up(waiter, WAITER_TIMED_OUT))
            continue;
        /* Who hands it over may stand behind us on this CPU, and comes to its end only if we let it. */
        sched_block(TASK_BLOCKED, status == WAITER_CLAIMED ? WAIT_UNINTERRUPTED : mode);
        if (UNLIKELY((mode & load_relaxed(&current_task()->notices)) != 0))
            (void)give_up(waiter, WAITER_KILLED);
    }
    trace(TRACE_WAIT_END, &waiter->waiter, status);
    return status;
}

static int result_of(enum waiter_status status)
{
    switch (status) {
    case WAITER_TIMED_OUT:
        return -ETIMEDOUT;
    case WAITER_KILLED:
        return -EINTR;
    case WAITER_REFUSED:
        return -EDEADLK;
    default:
        ASSERT(status == WAITER_WOKEN);
        return 0;
    }
}

/* In the tree, behind an owner who waits, too: let the chain know, and make sure that it is no circle. */
static NOINLINE void settle_chain(struct mutex_waiter *waiter, struct task *owner, bool may_fail)
{
    struct task *self = waiter->waiter.task;

    sched_irq_restore(waiter->irq_state);
    pi_walk(owner);
    task_put(owner);
    bool is_circle = pi_waits_for_itself(self);

    if (is_circle && !may_fail)
        pi_panic_of_circle(self);
    (void)hal_irq_save();
    if (is_circle)
        (void)give_up(waiter, WAITER_REFUSED);
}

/* In the tree, interrupts disabled, no lock held. */
static int wait(struct mutex_waiter *waiter, uint64_t deadline_ns, enum wait_mode mode)
{
    if (deadline_ns != TIME_NEVER) {
        timer_init(&waiter->waiter.timer, waiter_timeout);
        timer_arm(&waiter->waiter.timer, deadline_ns);
    }
    enum waiter_status status = sleep_on(waiter, mode);

    if (deadline_ns != TIME_NEVER)
        (void)timer_cancel(&waiter->waiter.timer);
    return result_of(status);
}

/* Under the inner lock: take the mutex if it is free, else have the bit set. */
static bool take_or_announce(struct mutex *mutex, struct task *self)
{
    uintptr_t owner = load_acquire(&mutex->owner); /* PAIRS(mutex): who waits touches the owner's record */

    for (;;) {
        if (owner == 0) {
            if (cas_acq_rel(&mutex->owner, &owner, (uintptr_t)self)) /* PAIRS(mutex) */
                return true;
        } else if ((owner & MUTEX_WAITERS) || cas_acquire(&mutex->owner, &owner, owner | MUTEX_WAITERS)) {
            return false;
        }
    }
}

static NOINLINE int lock_slow(struct mutex *mutex, uint64_t deadline_ns, enum wait_mode mode,
                              bool may_fail) NO_LOCK_ANALYSIS
{
    struct task *self = current_task();
    struct mutex_waiter waiter;
    struct task *blocked_owner = NULL;

    if (mutex_is_held(mutex)) {
        if (may_fail)
            return -EDEADLK;
        panic("mutex locked again by its owner, task %d '%s'", self->tid, self->name);
    }
    waiter.irq_state = spin_lock_irqsave(&mutex->lock);
    if (take_or_announce(mutex, self)) {
        spin_unlock_irqoff(&mutex->lock);
        sched_irq_restore(waiter.irq_state);
        return 0;
    }
    trace(TRACE_PI_CHANGE, self, 1);
    waiter.waiter.task = self;
    store_relaxed(&waiter.waiter.status, WAITER_QUEUED);
    store_relaxed(&waiter.is_expired, false);
    trace(TRACE_WAIT_BEGIN, &waiter.waiter, (uintptr_t)self);
    if (pi_join(&waiter, mutex, self)) {
        blocked_owner = mutex_owner(mutex);
        task_get(blocked_owner); /* it owns a mutex: it has not ended */
    }
    spin_unlock_irqoff(&mutex->lock);
    if (blocked_owner != NULL)
        settle_chain(&waiter, blocked_owner, may_fail);
    trace(TRACE_PI_CHANGE, self, 0);
    int result = wait(&waiter, deadline_ns, mode);

    /* Handed over: the unlocker has stored us as owner, and its lock released the protected data to us. */
    ASSERT((result == 0) == ((load_acquire(&mutex->owner) & ~MUTEX_WAITERS) == (uintptr_t)self)); /* PAIRS(mutex) */
    sched_irq_restore(waiter.irq_state);
    return result;
}

void mutex_lock(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    uintptr_t expected = 0;
    struct task *self = current_task();

    DEBUG_ASSERT(context_can_sleep());
    self->mutexes_held++;
    if (UNLIKELY(!cas_acq_rel(&mutex->owner, &expected, (uintptr_t)self))) /* PAIRS(mutex) */
        (void)lock_slow(mutex, TIME_NEVER, WAIT_UNINTERRUPTED, false);
}

int mutex_lock_until(struct mutex *mutex, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    uintptr_t expected = 0;
    struct task *self = current_task();
    int result = 0;

    DEBUG_ASSERT(context_can_sleep());
    if (UNLIKELY(!cas_acq_rel(&mutex->owner, &expected, (uintptr_t)self))) /* PAIRS(mutex) */
        result = lock_slow(mutex, deadline_ns, mode, true);
    if (result == 0)
        self->mutexes_held++;
    return result;
}

bool mutex_try_lock(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    uintptr_t expected = 0;

    if (!cas_acq_rel(&mutex->owner, &expected, (uintptr_t)current_task())) /* PAIRS(mutex) */
        return false;
    current_task()->mutexes_held++;
    return true;
}

struct agreement {
    int (*tell)(struct task *heir, void *arg);
    void *arg;
    int result;
};

static bool is_agreed(struct mutex *mutex, struct agreement *agreement)
{
    struct mutex_waiter *heir = container_of(rb_first(&mutex->waiters), struct mutex_waiter, node);

    agreement->result = agreement->tell(heir->waiter.task, agreement->arg);
    return agreement->result == 0;
}

/* To the most urgent waiter, if that is agreed to; NULL: there is none, or it is not. Interrupts are disabled. */
static struct mutex_waiter *let_go(struct mutex *mutex, struct task *self,
                                   struct agreement *agreement) NO_LOCK_ANALYSIS
{
    struct mutex_waiter *heir = NULL;

    trace(TRACE_PI_CHANGE, self, 1);
    spin_lock_irqoff(&mutex->lock);
    if (!mutex_is_held(mutex))
        panic("mutex unlocked by task %d '%s', which does not hold it", self->tid, self->name);
    /* The last waiter may have given up, and cleared the bit, since the fast path looked. */
    if (rb_is_empty(&mutex->waiters))
        store_release(&mutex->owner, 0); /* PAIRS(mutex) */
    else if (agreement == NULL || is_agreed(mutex, agreement))
        heir = pi_hand_over(mutex, self);
    spin_unlock_irqoff(&mutex->lock);
    trace(TRACE_PI_CHANGE, self, 0);
    return heir;
}

static NOINLINE void unlock_slow(struct mutex *mutex)
{
    uintptr_t state = hal_irq_save();
    struct mutex_waiter *heir = let_go(mutex, current_task(), NULL);

    if (heir != NULL)
        waitq_finish(&heir->waiter); /* the new owner may free the mutex from here on */
    sched_irq_restore(state);
}

void mutex_unlock(struct mutex *mutex) NO_LOCK_ANALYSIS
{
    struct task *self = current_task();
    uintptr_t expected = (uintptr_t)self;

    self->mutexes_held--;
    if (UNLIKELY(!cas_release(&mutex->owner, &expected, 0))) /* PAIRS(mutex) */
        unlock_slow(mutex);
}

void mutex_init_owned(struct mutex *mutex, struct task *owner)
{
    mutex_init(mutex);
    store_relaxed(&mutex->owner, (uintptr_t)owner); /* the caller publishes the mutex */
}

int mutex_lock_lent(struct mutex *mutex, uint64_t deadline_ns, enum wait_mode mode) NO_LOCK_ANALYSIS
{
    DEBUG_ASSERT(context_can_sleep());
    return lock_slow(mutex, deadline_ns, mode, true);
}

struct mutex_waiter *mutex_hand_over(struct mutex *mutex)
{
    uintptr_t state = hal_irq_save();
    struct mutex_waiter *heir = let_go(mutex, current_task(), NULL);

    sched_irq_restore(state);
    return heir;
}

int mutex_hand_over_if(struct mutex *mutex, int (*tell)(struct task *heir, void *arg), void *arg,
                       struct mutex_waiter **out_heir)
{
    struct agreement agreement = { .tell = tell, .arg = arg, .result = 0 };
    uintptr_t state = hal_irq_save();

    *out_heir = let_go(mutex, current_task(), &agreement);
    sched_irq_restore(state);
    return agreement.result;
}

struct task *mutex_heir_task(const struct mutex_waiter *heir)
{
    return heir->waiter.task;
}

void mutex_heir_wake(struct mutex_waiter *heir)
{
    uintptr_t state = hal_irq_save();

    waitq_finish(&heir->waiter);
    sched_irq_restore(state);
}
