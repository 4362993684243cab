/* SPDX-License-Identifier: MIT */
/*
 * Who runs where: a task only where its affinity allows it, and not while a more urgent one is queued there.
 *
 * Both are found at the moment of a switch, and between switches when a mask, a priority or the queue changes under a
 * running task. Then the CPU is asked to switch, by a poke if another CPU made the change, before the lock is released
 * that the change was made under; or, if the running task itself was changed, after it and before interrupts are
 * enabled. So the bound is the machine's own: a poke takes up to ipi_delay_ns_max; from then on the CPU takes it at the
 * first step with interrupts enabled, and switches when the handler is left, or when preemption is enabled again. A CPU
 * that changed its own queue looks at its flag where it enables interrupts or preemption. What is left are the few
 * steps between enabling and looking: OPEN_STEPS_MAX of them are waited for, however much virtual time passes while the
 * CPU is deaf or in a read section.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "watch.h"

/* Enable, look at the flag, disable for the switch: three steps, and as many once more for a poke that comes just
 * between the look and the end of it. */
#define OPEN_STEPS_MAX 8u

/* A CPU that must switch, and since when it must. */
struct demand {
    uint64_t since_ns; /* 0: it need not */
    unsigned open_steps;
};

static struct demand misplaced[CPU_MAX];
static struct demand urgent[CPU_MAX];

static void place_reset(const struct host_config *config)
{
    (void)config;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        misplaced[id] = (struct demand){ 0 };
}

static void order_reset(const struct host_config *config)
{
    (void)config;
    for (cpu_id_t id = 0; id < CPU_MAX; id++)
        urgent[id] = (struct demand){ 0 };
}

/* The CPU of the moment takes another step while it must switch. True: it has had its time. */
static bool demand_goes_on(struct demand *demand, uint64_t bound_ns)
{
    if (demand->since_ns == 0) {
        demand->since_ns = MAX(sim_now.ns, UINT64_C(1));
        demand->open_steps = 0;
        return false;
    }
    if (!sim_now.is_open || sim_now.ns - demand->since_ns <= bound_ns)
        return false;
    return ++demand->open_steps > OPEN_STEPS_MAX;
}

static void place_run(const struct task *task, bool is_idle_task)
{
    if (is_idle_task)
        return;
    if (UNLIKELY(!cpumask_contains(&task->affinity, sim_now.cpu)))
        sim_broken(PROMISE_AFFINITY, "CPU %u runs '%s', which may not run there", sim_now.cpu, task->name);
    if (UNLIKELY(task->is_leaving || task->is_misplaced))
        sim_broken(PROMISE_AFFINITY, "CPU %u runs '%s', which is thought not to be allowed there", sim_now.cpu,
                   task->name);
    if (UNLIKELY(task->is_pinned != cpumask_is_single(&task->affinity)))
        sim_broken(PROMISE_AFFINITY, "'%s' is%s pinned by its mask, and thought otherwise", task->name,
                   task->is_pinned ? " not" : "");
}

static void place_event(enum trace_event event, const void *object, uint64_t value)
{
    if (event != TRACE_TASK_RUN)
        return;
    misplaced[sim_now.cpu].since_ns = 0;
    place_run(object, value != 0);
}

/* What the CPU runs and has queued may be looked at. */
static bool is_settled(void)
{
    return sim_now.rq != NULL && sim_peek(&sim_now.rq->lock.word) == 0 && sim_now.task == sim_now.rq->running;
}

static void place_step(void)
{
    if (!is_settled())
        return;
    const struct task *task = sim_now.task;

    if (LIKELY(cpumask_contains(&task->affinity, sim_now.cpu))) {
        misplaced[sim_now.cpu].since_ns = 0;
        return;
    }
    if (UNLIKELY(!task->is_leaving))
        sim_broken(PROMISE_AFFINITY, "'%s' runs on CPU %u, which its mask forbids, and was not asked to leave",
                   task->name, sim_now.cpu);
    if (UNLIKELY(demand_goes_on(&misplaced[sim_now.cpu], sim_ipi_delay_ns())))
        sim_broken(PROMISE_AFFINITY, "'%s' runs on CPU %u %llu ns after its mask forbade it", task->name, sim_now.cpu,
                   (unsigned long long)(sim_now.ns - misplaced[sim_now.cpu].since_ns));
}

/* Rank of the most urgent task that is queued, without a walk. */
static unsigned queued_rank(const struct runq *rq)
{
    uint32_t ready = rq->ready_classes & ~(1u << CLASS_BELOW);

    /* While those behind the real-time class have their share, it waits, also until they have been stopped. */
    if (rq->rt_limit.is_serving)
        ready &= ~(1u << CLASS_RT);
    if (ready == 0)
        return RANK_NOTHING;
    unsigned first = (unsigned)__builtin_ctz(ready);

    return sched_classes[first]->rank + (first == CLASS_RT ? rq->rt.first : 0);
}

static void order_step(void)
{
    if (!is_settled())
        return;
    const struct runq *rq = sim_now.rq;
    struct demand *demand = &urgent[sim_now.cpu];

    /* The idle task gives way in its own loop, interrupts disabled: check_idle.c. */
    if (LIKELY(rq->ready_classes == 0 || sim_now.task == rq->cpu.idle_task || queued_rank(rq) >= sim_now.task->rank)) {
        demand->since_ns = 0;
        return;
    }
    /* Who changes a running task asks its CPU after the hold (apply_and_unlock()), interrupts still disabled. */
    if (UNLIKELY(demand_goes_on(demand, sim_ipi_delay_ns() + sim_deaf_ns_max())))
        sim_broken(PROMISE_ORDER, "CPU %u runs '%s' of rank %u %llu ns after one of rank %u was queued there",
                   sim_now.cpu, sim_now.task->name, sim_now.task->rank,
                   (unsigned long long)(sim_now.ns - demand->since_ns), queued_rank(rq));
}

static void order_event(enum trace_event event, const void *object, uint64_t value)
{
    const struct runq *rq = sim_now.rq;
    const struct task *task = object;

    if (event != TRACE_TASK_RUN)
        return;
    urgent[sim_now.cpu].since_ns = 0;
    if (rq != NULL && UNLIKELY(queued_rank(rq) < (value != 0 ? RANK_NOTHING : task->rank)))
        sim_broken(PROMISE_ORDER, "CPU %u switches to '%s' of rank %u while one of rank %u is queued there",
                   sim_now.cpu, task->name, value != 0 ? RANK_NOTHING : task->rank, queued_rank(rq));
}

const struct sim_checker checker_place = {
    .promise = PROMISE_AFFINITY,
    .name = "affinity",
    .reset = place_reset,
    .event = place_event,
    .step = place_step,
};

const struct sim_checker checker_order = {
    .promise = PROMISE_ORDER,
    .name = "order",
    .reset = order_reset,
    .event = order_event,
    .step = order_step,
};
