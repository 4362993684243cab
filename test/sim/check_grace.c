/* SPDX-License-Identifier: MIT */
/*
 * Grace periods. What is freed after one was given to it before a moment at which each CPU was in no read section, and
 * that is judged here by what the CPU does, not by what it reports. A CPU is in no read section
 *
 *   at a step with interrupts and preemption enabled, outside of a handler;
 *   from a switch to the first thing that it does afterwards: takes another lock or says anything (a switch inside of a
 *     section is against the rules, which check_locks.c watches);
 *   in its idle loop: outside of handlers, holding no lock;
 *   in a handler that interrupted such a moment, if it was poked for just this question.
 *
 * The last three are as wide as core needs them, because the moment at which a CPU may truthfully say "no section" can
 * lie between two steps with interrupts disabled.
 */
#include "checkers.h"
#include "sched_priv.h"
#include "table.h"
#include "watch.h"

SIM_MAP(by_head, "heads that wait for a grace period", 18);

static struct {
    uint64_t quiet_step[CPU_MAX]; /* the last step at which the CPU was in no section */
    bool is_after_switch[CPU_MAX];
    bool is_asked[CPU_MAX]; /* in a handler, poked for a report */
    bool is_in_handler[CPU_MAX]; /* and past its first lines, which look at nothing but what the CPU itself owns */
    const void *freed;      /* the last head whose grace period has passed */
} grace;

static void grace_reset(const struct host_config *config)
{
    (void)config;
    sim_map_clear(&by_head);
    grace.freed = NULL;
    for (cpu_id_t id = 0; id < CPU_MAX; id++) {
        grace.quiet_step[id] = 0;
        grace.is_after_switch[id] = grace.is_asked[id] = grace.is_in_handler[id] = false;
    }
}

/* The idle task between handlers. */
static bool is_in_idle_loop(const struct runq *rq, const struct task *task)
{
    return task == rq->cpu.idle_task && !grace.is_in_handler[rq->cpu.id] && task->base.lock_depth == 0 &&
           task->base.preempt_count == 0;
}

static bool is_quiet_after_switch(cpu_id_t cpu)
{
    if (!grace.is_after_switch[cpu])
        return false;
    /* The run queue's lock is on its way to be released; any other one is the start of something else. */
    if (sim_now.task->base.lock_depth > 0 && !sim_runq_is_locked_here(cpu))
        grace.is_after_switch[cpu] = false;
    return grace.is_after_switch[cpu];
}

static void grace_step(void)
{
    const struct runq *rq = sim_now.rq;
    cpu_id_t cpu = sim_now.cpu;

    if (sim_now.is_open) {
        grace.quiet_step[cpu] = sim_now.step;
        grace.is_after_switch[cpu] = false;
        return;
    }
    if (rq == NULL)
        return;
    if (is_quiet_after_switch(cpu) || is_in_idle_loop(rq, sim_now.task) ||
        (grace.is_asked[cpu] && rq->cpu.irq_depth == 1 && sim_now.task->base.preempt_count == 0))
        grace.quiet_step[cpu] = sim_now.step;
}

/* A CPU that waits in its idle loop, or was poked there and has not gone on, takes no steps. */
static bool is_at_rest(cpu_id_t cpu)
{
    const struct runq *rq = sim_runq(cpu);

    return is_in_idle_loop(rq, rq->running);
}

static void head_freed(const void *head)
{
    uint64_t *at = sim_map_find(&by_head, head);

    if (UNLIKELY(at == NULL))
        sim_broken(PROMISE_GRACE, "%p is freed, but no grace period was asked for it, or it was freed before", head);
    uint64_t asked_step = *at;

    sim_map_remove(&by_head, head);
    for_each_started_cpu(id) {
        if (grace.quiet_step[id] > asked_step || is_at_rest(id))
            continue;
        sim_broken(PROMISE_GRACE, "%p, given up at step %llu, is freed while CPU %u may still be in a read section",
                   head, (unsigned long long)asked_step, id);
    }
}

/* A task that has run may be looked up without a lock: only what its own head waited for frees it. */
static void task_freed(const struct task *task)
{
    bool is_its_own = (uintptr_t)grace.freed - (uintptr_t)task <= sizeof *task; /* the head follows the task */

    if (UNLIKELY(task->state == TASK_DEAD && !is_its_own))
        sim_broken(PROMISE_GRACE, "'%s' is freed, but no grace period was asked for it", task->name);
}

static void grace_event(enum trace_event event, const void *object, uint64_t value)
{
    cpu_id_t cpu = sim_now.cpu;

    if (event == TRACE_QUIESCE_CALL) {
        uint64_t *at = sim_map_put(&by_head, object);

        if (UNLIKELY(*at != 0))
            sim_broken(PROMISE_GRACE, "%p is given up twice", object);
        *at = sim_now.step;
    } else if (event == TRACE_QUIESCE_FREE) {
        head_freed(object);
        grace.freed = object;
    } else if (event == TRACE_TASK_FREE) {
        task_freed(object);
    } else if (event == TRACE_IRQ_ENTER) {
        grace.is_in_handler[cpu] = true;
        grace.is_asked[cpu] = (value & IPI_QUIESCE) != 0;
    } else if (event == TRACE_IRQ_EXIT) {
        grace.is_in_handler[cpu] = false;
        grace.is_asked[cpu] = false;
    }
    grace.is_after_switch[cpu] = event == TRACE_TASK_RUN;
}

const struct sim_checker checker_grace = {
    .promise = PROMISE_GRACE,
    .name = "grace",
    .reset = grace_reset,
    .event = grace_event,
    .step = grace_step,
};
