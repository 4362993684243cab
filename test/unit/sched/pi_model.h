/* SPDX-License-Identifier: MIT */
/*
 * What the data-structure tests of inheritance share: tasks that never run lock, give up and hand over mutexes, and
 * sleep and wake as mutex.c would have it. All are of CPU 0, and time stands still but where a test moves it.
 */
#pragma once

#include "deadline_test.h"

#define MODEL_TASKS 14
#define MODEL_MUTEXES 9

static struct {
    struct mutex mutex[MODEL_MUTEXES];
    struct mutex_waiter waiter[MODEL_TASKS];
    struct task *blocked_on[MODEL_TASKS]; /* NULL, or its own task: it waits */
    uint64_t due_ns[MODEL_TASKS];         /* of a deadline task that waits: the absolute deadline that it lends */
    unsigned circles, boosts, hand_overs, timeouts, lent;
} model;

static inline int model_begin(void **state)
{
    (void)state;
    sched_test_enter(1);
    (void)host_quiet(true); /* no step, no time */
    host_clock_advance(DEADLINE_TICK_NS * 1000 - host_virtual_ns() % DEADLINE_TICK_NS * 1000);
    memset(&model, 0, sizeof model);
    for (unsigned i = 0; i < MODEL_MUTEXES; i++)
        mutex_init(&model.mutex[i]);
    return 0;
}

#define model_unit_test(fn) cmocka_unit_test_setup_teardown(fn, model_begin, deadline_test_end)

static inline struct task *model_task(unsigned i, int priority)
{
    struct task *task = sched_test_ready(i, priority, &sched_test.rq[0]);

    runq_enqueue(&sched_test.rq[0], task, ENQUEUE_WOKEN);
    return task;
}

static inline unsigned own_rank(const struct task *task)
{
    return sched_policy_class[task->params.policy]->rank + task->params.rt_level;
}

static inline unsigned task_number(const struct task *task)
{
    return (unsigned)(task - sched_test.task);
}

static inline bool waits(unsigned i)
{
    return model.blocked_on[i] != NULL;
}

static inline void goes_to_sleep(struct task *task)
{
    struct runq *rq = &sched_test.rq[0];

    runq_dequeue(rq, task);
    task->state = TASK_BLOCKED;
    rq->blocked++;
    model.blocked_on[task_number(task)] = task;
}

static inline void is_ready_again(struct task *task)
{
    struct runq *rq = &sched_test.rq[0];

    model.blocked_on[task_number(task)] = NULL;
    rq->blocked--;
    task->state = TASK_READY;
    runq_enqueue(rq, task, ENQUEUE_WOKEN);
}

static inline void set_owner(struct mutex *mutex, const struct task *owner)
{
    store_relaxed(&mutex->owner, (uintptr_t)owner | !rb_is_empty(&mutex->waiters));
}

static inline void leave(unsigned i)
{
    struct mutex *mutex = model.waiter[i].mutex;
    struct task *owner = mutex_owner(mutex);

    spin_lock_irqoff(&mutex->lock);
    bool is_chain = pi_leave(&model.waiter[i]);

    set_owner(mutex, owner);
    spin_unlock_irqoff(&mutex->lock);
    if (is_chain)
        pi_walk(owner);
    is_ready_again(&sched_test.task[i]);
}

static inline void lock(unsigned i, struct mutex *mutex)
{
    struct task *task = &sched_test.task[i];
    struct task *owner = mutex_owner(mutex);
    struct mutex_waiter *waiter = &model.waiter[i];

    if (owner == NULL)
        set_owner(mutex, task);
    if (owner == NULL || owner == task)
        return;
    model.due_ns[i] = task->deadline.due_ns;
    waiter->waiter.task = task;
    store_relaxed(&waiter->waiter.status, WAITER_QUEUED);
    spin_lock_irqoff(&mutex->lock);
    bool is_chain = pi_join(waiter, mutex, task);

    set_owner(mutex, owner);
    spin_unlock_irqoff(&mutex->lock);
    goes_to_sleep(task);
    if (is_chain)
        pi_walk(owner);

    /* Is it right about circles? */
    const struct task *at = owner;

    while (at != task && waits(task_number(at)))
        at = mutex_owner(model.waiter[task_number(at)].mutex);
    assert_true(pi_waits_for_itself(task) == (at == task));
    if (at == task) {
        assert_true(is_chain);
        model.circles++;
        leave(i);
    }
}

static inline void unlock(struct mutex *mutex)
{
    struct task *owner = mutex_owner(mutex);

    if (rb_is_empty(&mutex->waiters)) {
        set_owner(mutex, NULL);
        return;
    }
    struct sched_urgency most = { .rank = UINT8_MAX };

    for (unsigned i = 0; i < MODEL_TASKS; i++)
        if (waits(i) && model.waiter[i].mutex == mutex && urgency_is_before(task_urgency(&sched_test.task[i]), most))
            most = task_urgency(&sched_test.task[i]);
    spin_lock_irqoff(&mutex->lock);
    struct mutex_waiter *heir = pi_hand_over(mutex, owner);

    spin_unlock_irqoff(&mutex->lock);
    assert_true(urgency_is_equal(heir->urgency, most));
    assert_int_equal(load_relaxed(&heir->waiter.status), WAITER_CLAIMED);
    is_ready_again(heir->waiter.task);
    model.hand_overs++;
}

/* From now on it is a deadline task, or not; -EBUSY: there is no room. */
static inline int set_params(unsigned i, const struct sched_params *params)
{
    int result = task_set_params(&sched_test.task[i], params);

    model.due_ns[i] = sched_test.task[i].deadline.due_ns;
    return result;
}
