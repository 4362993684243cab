/* SPDX-License-Identifier: MIT */
/*
 * Tasks that become deadline tasks, change their numbers or CPUs as such, and stop being some. The books (admit.c) and
 * the task change together, under the admission lock and the lock of the run queue that the task names, so an admitted
 * task is one that is booked at any time. While it is one, its `affinity` is the one CPU that has room for it; so
 * placement, wake-up, stealing and moving treat it like any task that may run nowhere else.
 *
 * Room is looked for without the run queue's lock, which must be held for a bounded time only; what was found is looked
 * at again under it.
 */
#include "hotplug_priv.h"

#include <k/errno.h>
#include <lib/string.h>
#include <time/clock.h>

struct request {
    struct sched_params params;
    struct cpumask allowed;
    bool has_params; /* other ones than the task has */
    bool has_mask;
    cpu_id_t here;
    cpu_id_t home;  /* that has room */
    bool is_waiter; /* it waits for a mutex: its urgency goes on to the owner */
};

/* What the task is, as far as the caller does not say what it shall be. */
static int look_at(struct task *task, struct request *request) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);
    int result = task->state == TASK_DEAD ? -ESRCH : !task->is_admitted && !request->has_params ? -EAGAIN : 0;

    if (!request->has_params)
        request->params = task->params;
    if (!request->has_mask)
        request->allowed = task->is_admitted ? task->deadline.allowed : task->affinity;
    request->here = task->is_admitted ? task->deadline.home : rq->cpu.id;
    spin_unlock_irqoff(&rq->lock);
    hal_irq_restore(state);
    return result;
}

static bool is_same(const struct cpumask *a, const struct cpumask *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool has_other_params(const struct task *task, const struct sched_params *params)
{
    return memcmp(&task->params, params, sizeof *params) != 0;
}

/* The task's own numbers, in no queue: a new one begins its first period, one with new parameters when it has had no
 * more than its share by the old ones, one on another CPU goes on. */
static void renew(struct runq *rq, struct task *task, const struct request *request) REQUIRES(admit_books)
    REQUIRES(rq->lock)
{
    uint64_t now_ns = clock_ns();
    bool was_admitted = task->is_admitted;
    bool is_moved = was_admitted && task->deadline.home != request->home;
    uint64_t free_ns = was_admitted ? deadline_free_ns(task, now_ns) : 0;

    admit_take_locked(task, &request->params, request->home, free_ns);
    if (request->has_params && (!was_admitted || has_other_params(task, &request->params))) {
        policy_apply_on(rq, task, &request->params, sched_params_priority(&request->params));
        deadline_begin_at(task, is_moved ? 0 : free_ns, now_ns);
    } else if (is_moved) {
        deadline_rehome(task, now_ns);
    }
}

static void take_effect(struct runq *rq, struct task *task, const struct request *request, struct affinity_rest *out)
    REQUIRES(admit_books) REQUIRES(rq->lock)
{
    bool was_queued = task_is_queued(task);
    struct cpumask home;

    cpumask_set_single(&home, request->home);
    if (task->state == TASK_RUNNING)
        runq_account(rq, hal_clock_ticks());
    if (was_queued)
        runq_dequeue(rq, task);
    renew(rq, task, request);
    task->deadline.allowed = request->allowed;
    if (task->state == TASK_RUNNING) {
        runq_rerank_running(rq, task);
        resched_cpu(rq);
    }
    affinity_change_locked(rq, task, &home, was_queued, out);
}

/* -EAGAIN: its affinity has changed since it was looked at. */
static int try_take_effect(struct task *task, struct request *request, struct affinity_rest *out) NO_LOCK_ANALYSIS
{
    uintptr_t state = spin_lock_irqsave(&task->pi.lock);
    struct runq *rq = runq_lock_of(task);
    int result = task->state == TASK_DEAD ? -ESRCH : 0;

    if (!task->is_admitted && !request->has_mask && !is_same(&task->affinity, &request->allowed))
        result = -EAGAIN;
    if (result == 0)
        take_effect(rq, task, request, out);
    task->pi.due_ns = task->deadline.due_ns;
    affinity_unlock(rq, task, out);
    request->is_waiter = task->pi.blocked_on != NULL;
    spin_unlock_irqoff(&task->pi.lock);
    hal_irq_restore(state);
    return result;
}

static int change_booked(struct task *task, struct request *request, struct affinity_rest *out) REQUIRES(admit_books)
{
    for (;;) {
        int result = look_at(task, request);

        if (result != 0)
            return result;
        /* Where it is, it stays if it can: to move costs, and those who asked for a CPU may have had a reason. */
        if (task->is_admitted && cpumask_contains(&request->allowed, request->here) &&
            admit_fits_locked(task, &request->params, request->here))
            request->home = request->here;
        else
            request->home = admit_find_locked(task, &request->params, &request->allowed, request->here, CPU_NONE);
        if (request->home == CPU_NONE)
            return -EBUSY;
        result = try_take_effect(task, request, out);
        if (result != -EAGAIN)
            return result;
    }
}

int deadline_change(struct task *task, const struct sched_params *params, const struct cpumask *mask)
{
    struct affinity_rest rest = { 0 };
    struct request request = { .has_params = params != NULL, .has_mask = mask != NULL };

    if (params != NULL)
        request.params = *params;
    if (mask != NULL)
        request.allowed = *mask;
    trace(TRACE_PI_CHANGE, task, 1);
    spin_lock(&admit_books);
    int result = change_booked(task, &request, &rest);

    spin_unlock(&admit_books);
    if (request.is_waiter)
        pi_walk(task);
    trace(TRACE_PI_CHANGE, task, 0);
    return result == 0 ? affinity_settle(task, &rest) : result;
}

void deadline_leave_locked(struct runq *rq, struct task *task)
{
    admit_give_locked(task, deadline_free_ns(task, clock_ns()));
    affinity_set_locked(rq, task, &task->deadline.allowed);
}

NOINLINE void deadline_release_dead(struct task *task)
{
    uintptr_t state = spin_lock_irqsave(&admit_books);

    admit_give_locked(task, deadline_free_ns(task, clock_ns()));
    spin_unlock_irqrestore(&admit_books, state);
}

/* ---- A CPU that goes ---- */

/* Call fn for each task that is booked elsewhere and was here. It may book it again. */
static void for_each_evacuated(cpu_id_t cpu, void (*fn)(struct task *task)) REQUIRES(admit_books)
{
    for_each_online_cpu(id) {
        list_for_each_safe(node, &runq_by_id(id)->admission.tasks) {
            struct task *task = list_entry(node, struct task, deadline.home_link);

            if (task->deadline.evacuated_from == cpu)
                fn(task);
        }
    }
}

static void book_back(struct task *task) NO_LOCK_ANALYSIS
{
    /* Nothing of it was used on the other CPU: it is free at once. */
    admit_take_locked(task, &task->params, task->deadline.evacuated_from, 0);
}

/* The task leaves for the CPU that it is booked on. */
static void send_home(struct task *task) NO_LOCK_ANALYSIS
{
    struct affinity_rest rest = { 0 };
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);
    bool was_queued = task_is_queued(task);
    struct cpumask home;

    cpumask_set_single(&home, task->deadline.home);
    task->deadline.evacuated_from = CPU_NONE;
    if (task->state == TASK_RUNNING)
        runq_account(rq, hal_clock_ticks());
    if (was_queued)
        runq_dequeue(rq, task);
    deadline_rehome(task, clock_ns());
    affinity_change_locked(rq, task, &home, was_queued, &rest);
    affinity_unlock(rq, task, &rest);
    if (rest.push_from != NULL)
        push_misplaced(rest.push_from);
    hal_irq_restore(state);
}

/* Each task of the CPU is booked elsewhere, on the fullest that has room. */
static int book_elsewhere(cpu_id_t cpu) REQUIRES(admit_books)
{
    struct admission *books = &runq_by_id(cpu)->admission;

    while (!list_is_empty(&books->tasks)) {
        struct task *task = list_first(&books->tasks, struct task, deadline.home_link);
        cpu_id_t home = admit_find_locked(task, &task->params, &task->deadline.allowed, CPU_NONE, cpu);

        if (home == CPU_NONE)
            return -EBUSY;
        admit_take_locked(task, &task->params, home, 0);
        task->deadline.evacuated_from = cpu;
    }
    return 0;
}

int deadline_evacuate(cpu_id_t cpu)
{
    spin_lock(&admit_books);
    runq_by_id(cpu)->admission.is_closed = true;
    int result = book_elsewhere(cpu);

    for_each_evacuated(cpu, result == 0 ? send_home : book_back);
    if (result != 0)
        runq_by_id(cpu)->admission.is_closed = false;
    spin_unlock(&admit_books);
    return result;
}

void deadline_admit_again(cpu_id_t cpu)
{
    uintptr_t state = spin_lock_irqsave(&admit_books);

    runq_by_id(cpu)->admission.is_closed = false;
    spin_unlock_irqrestore(&admit_books, state);
}
