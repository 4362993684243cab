/* SPDX-License-Identifier: MIT */
/*
 * Work conservation: a CPU does not sleep in its idle loop for long while a task waits that may run there. Both bounds
 * are the machine's own; time counts in which the very task waits, with the same mask, and the CPU takes no step.
 *
 * Work in its own queue: whoever put it there has poked the CPU before it released the lock, so it sleeps for another
 * ipi_delay_ns_max at most. Or it has found that somebody else has asked the CPU already, who may still be on the way
 * from the request to the poke, with interrupts disabled: then that is one more time for which a CPU is deaf.
 *
 * Work in another queue: one CPU in the idle set was poked to take it. That one may find other work when it comes, and
 * then passes the offer on to the next, so there are up to as many pokes as CPUs, one after the other, and each CPU on
 * the way may be deaf for a while before it takes its poke. For how long CPUs are deaf (or are not stepped at all,
 * where a strategy starves them) is measured: the longest such time of the run, those included that have not ended. So
 * a schedule that holds a CPU back does not make core look lazy, and a forgotten offer is found all the same, because
 * the machine goes on while the forgotten CPU sleeps.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

#define WALKED_MAX 256u /* tasks of a queue looked at in one look */

struct sleeper {
    uint64_t since_ns;     /* seen to sleep; 0: it does not */
    uint64_t steps;        /* that it had taken then */
    uint64_t own_since_ns; /* seen with work in its own queue; 0: without */
};

static struct sleeper sleepers[CPU_MAX];

static struct {
    uint64_t open_busy_ns[CPU_MAX]; /* when the CPU was last seen to take interrupts */
    uint64_t longest_ns;
    bool has_begun; /* tasks run: boot is not counted */
} deaf;

static void idle_reset(const struct host_config *config)
{
    (void)config;
    for (cpu_id_t id = 0; id < CPU_MAX; id++) {
        sleepers[id] = (struct sleeper){ 0 };
        deaf.open_busy_ns[id] = 0;
    }
    deaf.longest_ns = 0;
    deaf.has_begun = false;
}

/* ---- For how long is a CPU deaf? ---- */

static void deaf_step(void)
{
    uint64_t *open = &deaf.open_busy_ns[sim_now.cpu];

    if (!sim_now.is_irq_on)
        return;
    if (deaf.has_begun && sim_now.busy_ns - *open > deaf.longest_ns)
        deaf.longest_ns = sim_now.busy_ns - *open;
    *open = sim_now.busy_ns;
}

/* A CPU that sleeps is not deaf; nor is one that never was there. */
static void deaf_look(void)
{
    for (cpu_id_t id = 0; id < sim_cpus; id++)
        if (host_cpu_is_idle(id) || host_cpu_steps(id) == 0 || !deaf.has_begun)
            deaf.open_busy_ns[id] = sim_now.busy_ns;
}

static void deaf_event(enum trace_event event, const void *object, uint64_t value)
{
    (void)object;
    if (UNLIKELY(!deaf.has_begun) && event == TRACE_TASK_RUN && value == 0) {
        deaf.has_begun = true;
        for (cpu_id_t id = 0; id < sim_cpus; id++)
            deaf.open_busy_ns[id] = sim_now.busy_ns;
    }
}

uint64_t sim_deaf_ns_max(void)
{
    uint64_t longest = deaf.longest_ns;

    for (cpu_id_t id = 0; id < sim_cpus; id++)
        if (!host_cpu_is_idle(id) && host_cpu_steps(id) != 0)
            longest = MAX(longest, sim_now.busy_ns - deaf.open_busy_ns[id]);
    return longest;
}

/* ---- Who sleeps beside work? ---- */

/* In its idle loop, waiting for an interrupt. */
static bool is_sleeper(cpu_id_t cpu)
{
    const struct runq *rq = sim_runq(cpu);

    return rq != NULL && host_cpu_is_idle(cpu) && is_idle_task(rq, rq->running) &&
           cpumask_contains(&cpu_online_mask, cpu);
}

/* A value that changes with the mask and the rank; 0 is none. */
static uint64_t mask_mark(const struct cpumask *mask, unsigned rank)
{
    uint64_t mark = rank;

    for (unsigned i = 0; i <= (sim_cpus - 1) / 64; i++)
        mark = (mark ^ mask->word[i]) * UINT64_C(0x9e3779b97f4a7c15) + i + 1;
    return mark != 0 ? mark : 1;
}

uint64_t sim_waits_since_ns(const struct task *task)
{
    struct sim_shadow *shadow = sim_shadow_of(task);
    uint64_t mark = mask_mark(&task->affinity, task->rank);

    if (shadow == NULL)
        return sim_now.ns;
    if (shadow->wait_mark != mark) {
        shadow->wait_mark = mark;
        shadow->wait_since_ns = sim_now.ns;
    }
    return shadow->wait_since_ns;
}

/* Has a CPU slept for as long as the task has waited, and may run it? */
static void waiter_look(const struct task *task, const struct cpumask *sleeping, uint64_t since_ns)
{
    uint64_t bound = sim_cpus * (sim_ipi_delay_ns() + sim_deaf_ns_max());

    for (cpu_id_t id = cpumask_next(sleeping, 0); id != CPU_NONE; id = cpumask_next(sleeping, id + 1)) {
        uint64_t both_ns = sim_now.ns - MAX(since_ns, sleepers[id].since_ns);

        if (LIKELY(both_ns <= bound || !cpumask_contains(&task->affinity, id)))
            continue;
        sim_broken(PROMISE_CONSERVATION,
                   "CPU %u sleeps for %llu ns while '%s' waits on CPU %u and may run there; the bound is %llu ns", id,
                   (unsigned long long)both_ns, task->name, sim_peek(&task->base.cpu)->id, (unsigned long long)bound);
    }
    sim_cost(sim_cpus);
}

/* The tasks of a queue that others may take, and those that somebody is about to send away. */
static void waiters_look(const struct list_node *head, bool is_movable, const struct cpumask *sleeping)
{
    unsigned walked = 0;

    list_for_each(node, head) {
        const struct task *task = is_movable ? list_entry(node, struct task, movable_link)
                                             : list_entry(node, struct task, queue_link);
        uint64_t since_ns = sim_waits_since_ns(task);

        /* The cheaper part of the bound first. */
        if (sim_now.ns - since_ns > sim_cpus * sim_ipi_delay_ns())
            waiter_look(task, sleeping, since_ns);
        if (++walked >= WALKED_MAX)
            break;
    }
    sim_cost(walked);
}

static uint64_t own_bound_ns(cpu_id_t cpu)
{
    bool is_asked = (sim_peek(&sim_runq(cpu)->cpu.ipi_pending) & IPI_RESCHEDULE) != 0;

    return sim_ipi_delay_ns() + (is_asked ? sim_deaf_ns_max() : 0);
}

static void own_work(cpu_id_t cpu, struct sleeper *sleeper)
{
    if ((sim_runq(cpu)->ready_classes & ~(1u << CLASS_BELOW)) == 0)
        sleeper->own_since_ns = 0;
    else if (sleeper->own_since_ns == 0)
        sleeper->own_since_ns = MAX(sim_now.ns, UINT64_C(1));
    else if (sim_now.ns - sleeper->own_since_ns > own_bound_ns(cpu))
        sim_broken(PROMISE_CONSERVATION, "CPU %u sleeps with %u tasks in its own queue, unpoked for %llu ns", cpu,
                   sim_peek(&sim_runq(cpu)->queued), (unsigned long long)(sim_now.ns - sleeper->own_since_ns));
}

/* Who sleeps, and since when? A CPU that took a step was awake in between. */
static unsigned sleepers_find(struct cpumask *out)
{
    unsigned count = 0;

    cpumask_clear(out);
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        struct sleeper *sleeper = &sleepers[id];

        if (!is_sleeper(id)) {
            sleeper->since_ns = 0;
            continue;
        }
        if (sleeper->since_ns == 0 || sleeper->steps != host_cpu_steps(id))
            *sleeper = (struct sleeper){ .steps = host_cpu_steps(id), .since_ns = MAX(sim_now.ns, UINT64_C(1)) };
        cpumask_add(out, id);
        count++;
    }
    return count;
}

static void idle_quiet(void)
{
    struct cpumask sleeping;

    deaf_look();
    if (sleepers_find(&sleeping) == 0)
        return;
    for (cpu_id_t id = 0; id < sim_cpus; id++) {
        const struct runq *rq = sim_runq(id);

        if (rq == NULL)
            continue;
        waiters_look(&rq->movable, true, &sleeping);
        waiters_look(&rq->misplaced, false, &sleeping);
    }
    for (cpu_id_t id = cpumask_next(&sleeping, 0); id != CPU_NONE; id = cpumask_next(&sleeping, id + 1))
        own_work(id, &sleepers[id]);
}

const struct sim_checker checker_idle = {
    .promise = PROMISE_CONSERVATION,
    .name = "work",
    .reset = idle_reset,
    .event = deaf_event,
    .step = deaf_step,
    .quiet = idle_quiet,
};
