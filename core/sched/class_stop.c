/* SPDX-License-Identifier: MIT */
/*
 * The stop class: at most one task on each CPU, which comes before all others (include/sched/stop.h). What it is asked
 * to do is listed under the lock of the wait queue that it sleeps on.
 */
#include <sched/stop.h>

#include <k/errno.h>
#include <sched/event.h>

#include "sched_priv.h"

static void stop_enqueue(struct runq *rq, struct task *task, enum enqueue_kind kind)
{
    (void)kind;
    DEBUG_ASSERT(task == rq->stop.task);
    list_push_back(&rq->stop.queue, &task->queue_link);
    rq->ready_classes |= 1u << CLASS_STOP;
}

static void stop_dequeue(struct runq *rq, struct task *task)
{
    list_remove(&task->queue_link);
    rq->ready_classes &= ~(1u << CLASS_STOP);
}

static struct task *stop_pick(struct runq *rq)
{
    struct task *task = rq->stop.task;

    stop_dequeue(rq, task);
    return task;
}

/* The stopper is never charged and has no slice. Its policy is not FIFO, because a run queue whose task is looks less
 * closely at what is queued meanwhile. */
static void stop_account(struct runq *rq, struct task *task, uint64_t ran_ticks)
{
    (void)rq;
    (void)task;
    (void)ran_ticks;
}

static uint64_t stop_slice(struct runq *rq, struct task *task)
{
    (void)rq;
    (void)task;
    return TIME_NEVER;
}

static uint32_t stop_check(const struct runq *rq, runq_visit_fn visit)
{
    return runq_visit_list(&rq->stop.queue, rq, visit);
}

const struct sched_class class_stop = {
    .name = "stop",
    .id = CLASS_STOP,
    .rank = RANK_STOP,
    .enqueue = stop_enqueue,
    .dequeue = stop_dequeue,
    .pick = stop_pick,
    .account = stop_account,
    .slice = stop_slice,
    .check = stop_check,
};

void stop_init_cpu(struct runq *rq)
{
    list_init(&rq->stop.queue);
    waitq_init(&rq->stop.wake);
    list_init(&rq->stop.works);
}

void stop_set_task(cpu_id_t cpu, struct task *task)
{
    struct runq *rq = runq_by_id(cpu);

    ASSERT(rq->stop.task == NULL && task->state == TASK_NEW && task->entry == stop_main);
    ASSERT(task->is_pinned && cpumask_contains(&task->affinity, cpu));
    task->class = &class_stop;
    task->policy = SCHED_POLICY_RR;
    task->rank = RANK_STOP;
    rq->stop.task = task;
}

static struct stop_work *take_work(struct runq *rq)
{
    uintptr_t state = spin_lock_irqsave(&rq->stop.wake.lock);
    struct stop_work *work = list_first(&rq->stop.works, struct stop_work, link);

    list_remove(&work->link);
    spin_unlock_irqrestore(&rq->stop.wake.lock, state);
    return work;
}

void stop_main(void *arg)
{
    struct runq *rq = this_runq(); /* pinned: it stays so */

    (void)arg;
    ASSERT(current_task() == rq->stop.task);
    for (;;) {
        if (waitq_wait_until(&rq->stop.wake, !list_is_empty(&rq->stop.works), TIME_NEVER, WAIT_UNINTERRUPTED) != 0)
            panic("the stopper of CPU %u was woken without reason", rq->cpu.id);
        struct stop_work *work = take_work(rq);
        struct event *done = work->done;

        preempt_disable();
        work->fn(work->arg); /* from here on the work may be asked for again */
        preempt_enable();
        if (done != NULL)
            event_signal(done); /* and from here on it may be gone */
    }
}

bool stop_request(struct runq *rq, struct stop_work *work)
{
    uintptr_t state = spin_lock_irqsave(&rq->stop.wake.lock);
    bool is_new = !list_is_linked(&work->link);

    if (is_new) {
        list_push_back(&rq->stop.works, &work->link);
        (void)waitq_wake_locked(&rq->stop.wake, 1);
    }
    spin_unlock_irqoff(&rq->stop.wake.lock);
    sched_irq_restore(state);
    return is_new;
}

int stop_on_cpu(cpu_id_t cpu, void (*fn)(void *arg), void *arg)
{
    struct event done;
    struct stop_work work = { .fn = fn, .arg = arg, .done = &done };

    ASSERT(context_can_sleep());
    event_init(&done);
    list_init(&work.link);
    /* A CPU that goes off waits for those who still found it online, and then for its stopper. */
    preempt_disable();
    bool is_there = cpu < CPU_MAX && cpu_is_online(cpu);

    if (is_there)
        (void)stop_request(runq_by_id(cpu), &work);
    preempt_enable();
    if (!is_there)
        return -EINVAL;
    return event_wait(&done, TIME_NEVER, WAIT_UNINTERRUPTED);
}
