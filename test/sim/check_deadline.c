/* SPDX-License-Identifier: MIT */
/*
 * Deadline tasks. One that is throttled, or has no runtime left, is not switched to; one that has used up its runtime
 * is stopped; what is promised on a CPU is no more than the CPU; and nobody has its runtime later than at its deadline,
 * but for what the kernel itself takes.
 *
 * That bound: a CPU is closed while it cannot be preempted (interrupts or preemption disabled, or not stepped at all).
 * The longest such time of the run is measured, as in check_idle.c. Somebody of less urgency may hold the CPU for so
 * long when a deadline task becomes ready, each of the n tasks may run too long by as much before it is stopped (and
 * pays in its next period), and a replenishment or a move may come as much later, and by a poke.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

#include <time/clock.h>

/* The timer is taken at the first step with interrupts enabled; a handler, and three steps to the switch, twice. If
 * another CPU has taken the runtime away, a poke comes first. */
#define OPEN_STEPS_MAX 12u

static struct {
    uint64_t open_busy_ns[CPU_MAX]; /* when the CPU could last be preempted */
    uint64_t closed_ns;             /* the longest time in which one could not, since there are deadline tasks */
    uint64_t closed_asked_ns;       /* the same, since somebody asks */
    bool is_asked;
    bool was_idle[CPU_MAX]; /* at the last look */
    uint64_t over_since_ns[CPU_MAX]; /* what it runs has had no runtime since then; 0: it has */
    unsigned over_steps[CPU_MAX];    /* and has taken so many open steps when a poke would have come */
    unsigned most;                  /* tasks of one CPU */
} deadline;

static void deadline_reset(const struct host_config *config)
{
    (void)config;
    for (cpu_id_t id = 0; id < CPU_MAX; id++) {
        deadline.open_busy_ns[id] = 0;
        deadline.was_idle[id] = true;
        deadline.over_since_ns[id] = 0;
    }
    deadline.closed_ns = deadline.closed_asked_ns = 0;
    deadline.is_asked = false;
    deadline.most = 0;
}

static bool is_limited(const struct task *task)
{
    return task->is_admitted && !task->is_inherited && task->class == &class_deadline;
}

uint64_t sim_closed_ns_max(void)
{
    deadline.is_asked = true;
    return deadline.closed_asked_ns;
}

static void deadline_event(enum trace_event event, const void *object, uint64_t value)
{
    const struct task *task = object;
    const struct runq *rq = sim_now.rq;

    if (event != TRACE_TASK_RUN)
        return;
    deadline.over_since_ns[sim_now.cpu] = 0;
    if (value != 0 || task->class != &class_deadline || rq == NULL)
        return;
    deadline.most = MAX(deadline.most, 1u); /* on many CPUs it may be late before the books are looked at first */
    if (UNLIKELY(task->is_throttled || (is_limited(task) && task->deadline.left_ticks <= 0)))
        sim_broken(PROMISE_DEADLINE, "CPU %u switches to '%s', which has to wait for its next period", sim_now.cpu,
                   task->name);
    const struct rb_node *first = rq->deadline.ready.first;

    if (UNLIKELY(first != NULL &&
                 container_of(first, struct task, deadline.node)->deadline.key_ns < task->deadline.key_ns))
        sim_broken(PROMISE_DEADLINE, "CPU %u switches to '%s' while one with an earlier deadline is queued there",
                   sim_now.cpu, task->name);
}

static void closed_step(void)
{
    uint64_t *open = &deadline.open_busy_ns[sim_now.cpu];
    bool is_idle = sim_now.rq == NULL || sim_now.task == sim_now.rq->cpu.idle_task;

    if (!sim_now.is_open && !is_idle)
        return;
    uint64_t closed_ns = sim_now.busy_ns - *open;

    /* From one step of the idle task to the next the CPU waited for something to do, and could have been preempted. */
    if (is_idle && deadline.was_idle[sim_now.cpu])
        closed_ns = 0;
    if (deadline.most > 0 && closed_ns > deadline.closed_ns)
        deadline.closed_ns = closed_ns;
    if (deadline.is_asked && closed_ns > deadline.closed_asked_ns)
        deadline.closed_asked_ns = closed_ns;
    deadline.was_idle[sim_now.cpu] = is_idle;
    *open = sim_now.busy_ns;
}

static void deadline_step(void)
{
    closed_step();
    if (!sim_now.is_open || sim_peek(&sim_now.rq->lock.word) != 0 || sim_now.task != sim_now.rq->running)
        return;
    const struct task *task = sim_now.task;
    uint64_t *since_ns = &deadline.over_since_ns[sim_now.cpu];
    unsigned *over = &deadline.over_steps[sim_now.cpu];

    if (LIKELY(!is_limited(task))) {
        *since_ns = 0;
        return;
    }
    uint64_t ran_ns = sim_now.ns - MIN(sim_now.ns, clock_ticks_to_ns(task->since_ticks));
    int64_t left = task->deadline.left_ticks;
    bool is_over = left <= 0 || ran_ns > clock_ticks_to_ns((uint64_t)left + 4);

    if (!is_over) {
        *since_ns = 0;
        return;
    }
    if (*since_ns == 0) {
        *since_ns = MAX(sim_now.ns, UINT64_C(1));
        *over = 0;
    }
    if (UNLIKELY(sim_now.ns - *since_ns > sim_ipi_delay_ns() && ++*over > OPEN_STEPS_MAX))
        sim_broken(PROMISE_DEADLINE, "'%s' has used up its runtime, and goes on on CPU %u", task->name, sim_now.cpu);
}

static void books_task(const struct runq *rq, const struct task *task)
{
    uint64_t late_ns = task->stats.deadline_late_ns_max;
    uint64_t bound_ns = (deadline.most + 2) * (deadline.closed_ns + sim_ipi_delay_ns());

    if (UNLIKELY(!task->is_admitted || task->deadline.home != rq->cpu.id))
        sim_broken(PROMISE_DEADLINE, "'%s' is in the books of CPU %u, and does not belong there", task->name,
                   rq->cpu.id);
    if (UNLIKELY(task->state != TASK_DEAD && !cpumask_contains(&task->affinity, rq->cpu.id) &&
                 task->deadline.evacuated_from == CPU_NONE))
        sim_broken(PROMISE_DEADLINE, "'%s' was promised CPU %u, where it may not run", task->name, rq->cpu.id);
    if (UNLIKELY(late_ns > bound_ns))
        sim_broken(PROMISE_DEADLINE, "'%s' had its runtime %llu ns after its deadline on CPU %u; the bound is %llu ns",
                   task->name, (unsigned long long)late_ns, rq->cpu.id, (unsigned long long)bound_ns);
}

/* The books of a CPU, while nobody writes them. */
static void deadline_queue_look(cpu_id_t cpu)
{
    const struct runq *rq = sim_runq(cpu);
    long double sum = 0;
    unsigned count = 0;

    if (sim_peek(&admit_books.word) != 0)
        return;
    deadline.most = MAX(deadline.most, (unsigned)rq->admission.count);
    list_for_each(node, &rq->admission.tasks) {
        const struct task *task = list_entry(node, struct task, deadline.home_link);

        books_task(rq, task);
        sum += (long double)task->params.runtime_ns / (long double)task->params.deadline_ns;
        if (UNLIKELY(++count > ADMITTED_MAX))
            sim_broken(PROMISE_DEADLINE, "the list of tasks promised CPU %u has no end", cpu);
    }
    if (UNLIKELY(count != rq->admission.count))
        sim_broken(PROMISE_DEADLINE, "CPU %u is promised to %u tasks, and counts %u", cpu, count, rq->admission.count);
    if (UNLIKELY(sum > 1.0L + 1e-15L))
        sim_broken(PROMISE_DEADLINE, "%Lf of CPU %u are promised", sum, cpu);
    sim_cost(count);
}

const struct sim_checker checker_deadline = {
    .promise = PROMISE_DEADLINE,
    .name = "deadlines",
    .reset = deadline_reset,
    .event = deadline_event,
    .step = deadline_step,
    .queue = deadline_queue_look,
};
