/* SPDX-License-Identifier: MIT */
/*
 * A task of a workload: passes through its group's actions until it has had its number of them, or until the end. Owns
 * what it writes about itself; histograms are shared and locked. A wait on the workload's events can be measured from
 * the signal, because a signal is handed to one waiter, with its time.
 */
#include <k/errno.h>
#include <sched/stop.h>
#include <time/clock.h>

#include "check.h"
#include "lab.h"

void lab_event_init(struct lab_event *event)
{
    spin_init(&event->lock, LOCK_OBJECT);
    event->count = 0;
    list_init(&event->waiting);
}

static bool is_over(void)
{
    return load_relaxed(&lab->is_over);
}

static void record(const struct lab_task *self, enum lab_measure measure, uint64_t ns)
{
    preempt_disable();
    struct lab_shard *shard = &lab->group[self->group].shard[this_cpu_id() % lab->shards];

    spin_lock(&shard->lock);
    lab_histogram_add(&shard->histogram[measure], ns);
    spin_unlock(&shard->lock);
    preempt_enable();
}

static void count(_Atomic(uint64_t) *counter)
{
    store_relaxed(counter, load_relaxed(counter) + 1);
}

/* ---- Events ---- */

/* Somebody was taken off the list, which belongs to us: with the time, because the wait ends from here on. */
static void hand_over(struct list_node *node)
{
    struct lab_task *waiter = list_entry(node, struct lab_task, wait_link);

    waiter->signal_ns = clock_ns();
    event_signal(&waiter->wake);
}

static struct list_node *take_waiter(struct lab_event *event, bool keeps)
{
    struct list_node *node = NULL;

    spin_lock(&event->lock);
    if (!list_is_empty(&event->waiting))
        node = list_pop_front(&event->waiting);
    else if (keeps)
        event->count++;
    spin_unlock(&event->lock);
    return node;
}

static void event_give(struct lab_event *event, uint32_t signals)
{
    for (; signals > 0; signals--) {
        struct list_node *node = take_waiter(event, true);

        if (node != NULL)
            hand_over(node);
    }
}

/* Who waits now, and not who comes meanwhile: a task that is woken may be back before the last one is. */
static void event_give_all(struct lab_event *event, bool for_ever)
{
    struct list_node woken;

    list_init(&woken);
    spin_lock(&event->lock);
    while (!list_is_empty(&event->waiting))
        list_push_back(&woken, list_pop_front(&event->waiting));
    if (for_ever)
        event->count = LAB_FOR_EVER;
    spin_unlock(&event->lock);
    while (!list_is_empty(&woken))
        hand_over(list_pop_front(&woken));
}

static void event_take(struct lab_task *self, struct lab_event *event)
{
    bool has_waited = false;

    spin_lock(&event->lock);
    if (event->count == 0) {
        list_push_back(&event->waiting, &self->wait_link);
        has_waited = true;
    } else if (event->count != LAB_FOR_EVER) {
        event->count--;
    }
    spin_unlock(&event->lock);
    if (!has_waited)
        return;
    CHECK(event_wait(&self->wake, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    record(self, LAB_WAKE, clock_ns() - self->signal_ns);
}

/* ---- Actions ---- */

static uint64_t draw(struct lab_task *self, const struct workload_time *time)
{
    switch (time->spread) {
    case WORKLOAD_UNIFORM:
        return lab_uniform(&self->random, time->ns, time->ns_max);
    case WORKLOAD_EXPONENTIAL:
        return lab_exponential(&self->random, time->ns);
    case WORKLOAD_CONSTANT:
        break;
    }
    return time->ns;
}

static void sleep_until(struct lab_task *self, uint64_t deadline_ns)
{
    (void)task_sleep_until(deadline_ns);
    uint64_t now = clock_ns();

    record(self, LAB_WAKE, now - MIN(now, deadline_ns));
}

static void burst(struct lab_task *self, const struct workload_time *time)
{
    lab_compute(draw(self, time));
    count(&self->bursts);
}

static void move(cpu_id_t cpu)
{
    struct cpumask mask;

    cpumask_set_single(&mask, cpu);
    CHECK(task_set_affinity(current_task(), &mask) == 0); /* lab_run.c looked: it is online */
}

static void compute(void *ns)
{
    lab_compute(*(const uint64_t *)ns);
}

static void stop(cpu_id_t cpu, uint64_t ns)
{
    CHECK(stop_on_cpu(cpu, compute, &ns) == 0);
}

static void act(struct lab_task *self, const struct workload_action *action)
{
    switch (action->kind) {
    case WORKLOAD_RUN:
        burst(self, &action->time);
        break;
    case WORKLOAD_SLEEP:
        sleep_until(self, clock_ns() + draw(self, &action->time));
        break;
    case WORKLOAD_SIGNAL:
        event_give(&lab->event[action->object], action->count);
        break;
    case WORKLOAD_BROADCAST:
        event_give_all(&lab->event[action->object], false);
        break;
    case WORKLOAD_WAIT:
        event_take(self, &lab->event[action->object]);
        break;
    case WORKLOAD_HOLD:
        mutex_lock(&lab->mutex[action->object]);
        burst(self, &action->time);
        mutex_unlock(&lab->mutex[action->object]);
        break;
    case WORKLOAD_JOIN:
        event_take(self, &lab->group[action->object].end);
        break;
    case WORKLOAD_YIELD:
        task_yield();
        break;
    case WORKLOAD_MOVE:
        move(action->object);
        break;
    case WORKLOAD_STOP:
        stop(action->object, draw(self, &action->time));
        count(&self->bursts);
        break;
    }
}

static void pass(struct lab_task *self, const struct workload_group *is, uint64_t begin_ns)
{
    for (unsigned i = 0; i < is->actions; i++) {
        act(self, &lab->workload.action[is->first + i]);
        if (is_over())
            return;
    }
    uint64_t took = clock_ns() - begin_ns;

    record(self, LAB_PASS, took);
    count(&self->passes);
    if (is->deadline_ns != 0 && took > is->deadline_ns)
        count(&self->misses);
}

/* What it was, before nobody can ask it any more. */
static void end(struct lab_task *self)
{
    struct lab_group *group = &lab->group[self->group];
    struct task_snapshot snapshot;

    task_get_snapshot(current_task(), &snapshot);
    self->ended_ns = clock_ns();
    self->at_end = snapshot.stats;
    record(self, LAB_TURNAROUND, self->ended_ns - self->arrived_ns);
    store_release(&self->has_ended, true); /* PAIRS(lab_ended) */
    if (fetch_add_acq_rel(&group->ended, 1) + 1 == group->is->count) { /* PAIRS(lab_group_end): the last one sees all */
        event_give_all(&group->end, true);
        event_signal(&lab->launcher);
    }
}

int lab_task_main(void *arg)
{
    struct lab_task *self = arg;
    const struct lab_group *group = &lab->group[self->group];
    const struct workload_group *is = group->is;
    uint64_t release_ns = self->arrived_ns;

    int result = task_set_params(current_task(), &group->params);

    if (result != 0)
        log_error("schedlab: group %s: task %u: %s", is->name, self->index,
                  result == -EBUSY ? "no CPU has room for its runtime in each deadline"
                                   : "the kernel does not take its policy's numbers");
    CHECK(result == 0);
    for (uint32_t done = 0; !is_over() && (is->repeat == 0 || done < is->repeat); done++) {
        if (is->every_ns != 0 && clock_ns() < release_ns)
            sleep_until(self, release_ns);
        if (is_over())
            break;
        pass(self, is, is->every_ns != 0 ? release_ns : clock_ns());
        release_ns += is->every_ns;
    }
    if (!is_over())
        end(self);
    else
        (void)task_sleep_until(TIME_NEVER - 1); /* the launcher counts, and switches the machine off */
    return 0;
}
