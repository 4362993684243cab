/* SPDX-License-Identifier: MIT */
/*
 * How a checker is tested: stories told by hand, event by event, on four run queues that nobody runs. Each is told
 * rightly, and must pass, and with one thing wrong, and must end the run with the promise that it breaks.
 */
#pragma once

#include "sched_test.h"

#include <stdio.h>

#include "checkers.h"
#include "table.h"
#include "watch.h"

struct sim_outcome *sim_outcome_now;

static struct task *a, *b;

/* ---- How a story is told ---- */

/* CPU `cpu` speaks, with interrupts disabled, as the task that it runs. */
static inline void on(cpu_id_t cpu)
{
    struct runq *rq = &sched_test.rq[cpu];

    sim_now.step++;
    sim_now.ns += 100;
    sim_now.cpu = cpu;
    sim_now.rq = rq;
    sim_now.task = rq->running;
    sim_now.is_irq_on = sim_now.is_open = false;
}

static inline void say(const struct sim_checker *checker, enum trace_event event, const void *object, uint64_t value)
{
    sim_now.step++;
    checker->event(event, object, value);
}

/* The CPU of the moment takes a step. */
static inline void step(const struct sim_checker *checker, bool is_irq_on)
{
    sim_now.step++;
    sim_now.ns += 20;
    sim_now.is_irq_on = is_irq_on;
    sim_now.is_open = is_irq_on && sim_now.task->base.preempt_count == 0 && sim_now.rq->cpu.irq_depth == 0;
    checker->step();
}

static inline void hold(cpu_id_t cpu)
{
    atomic_store(&sched_test.rq[cpu].lock.word, sim_now.cpu + 1);
}

static inline void drop_all(void)
{
    for (cpu_id_t id = 0; id < SCHED_TEST_CPUS; id++)
        atomic_store(&sched_test.rq[id].lock.word, 0);
}

/* What is heard of two tasks, a and b, up to the first run of a on CPU 1. */
static inline void begin_a_on_1(const struct sim_checker *checker)
{
    on(0);
    say(checker, TRACE_TASK_INIT, a, 1);
    hold(1);
    say(checker, TRACE_TASK_START, a, 1);
    on(1);
    hold(1);
    say(checker, TRACE_TASK_RUN, a, 0);
    sched_test_run(&sched_test.rq[1], a);
    on(1);
}

typedef void (*story_fn)(bool is_wrong);

static story_fn told;

static inline void tell(void *is_wrong)
{
    told(is_wrong != NULL);
}

static inline void passes(story_fn story)
{
    told = story;
    sim_outcome_now->broken = PROMISE_NONE;
    if (!host_unit_returns_forked(tell, NULL, &sched_test_result))
        fail_msg("the right story breaks %s: %s %s%s", sim_promise_name(sim_outcome_now->broken),
                 sim_outcome_now->what, sched_test_result.console, sched_test_result.report);
}

static inline void breaks(story_fn story, enum sim_promise promise)
{
    told = story;
    sim_outcome_now->broken = PROMISE_NONE;
    if (host_unit_returns_forked(tell, &told, &sched_test_result) || sim_outcome_now->broken != promise)
        fail_msg("%s is not found broken, but %s: %s %s%s", sim_promise_name(promise),
                 sim_promise_name(sim_outcome_now->broken), sim_outcome_now->what, sched_test_result.console,
                 sched_test_result.report);
}

static inline void both(story_fn story, enum sim_promise promise)
{
    passes(story);
    breaks(story, promise);
}

static inline int set_up(void **state)
{
    struct host_config config = { .cpus = SCHED_TEST_CPUS };

    (void)sched_test_begin_smp(state);
    sim_watch(&config);
    a = sched_test_new(0, PRIORITY_USER_NORMAL);
    b = sched_test_new(1, PRIORITY_USER_NORMAL);
    return 0;
}

#define story_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, sched_test_end)
