/* SPDX-License-Identifier: MIT */
/*
 * What the data-structure tests of this room share: run queues and tasks in plain memory, looked at by one CPU. Nothing
 * is ever switched to, and no lock is needed, which is what the analysis of locks is told here.
 */
#pragma once

#include "unit.h"

#include <string.h>

#include <hal/boot.h>
#include <host/machine.h>
#include <time/clock.h>
#include <time/timer.h>

#include "sched_priv.h"

#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#pragma clang diagnostic ignored "-Wthread-safety-precise"

#define SCHED_TEST_CPUS 4
#define SCHED_TEST_TASKS 48

static struct sched_test {
    struct runq rq[SCHED_TEST_CPUS];
    struct timer_queue timers[SCHED_TEST_CPUS];
    struct task idle[SCHED_TEST_CPUS];
    struct task task[SCHED_TEST_TASKS];
} sched_test;

static ALIGNED(16) char sched_test_stack[SCHED_TEST_CPUS + SCHED_TEST_TASKS][256];
static struct cpu sched_test_early_cpu;
static struct task sched_test_early_task;
static struct host_result sched_test_result;

static inline void sched_test_entry(void *arg)
{
    (void)arg;
}

/* A NEW task. `stack` numbers its stack, which nobody ever stands on. */
static inline void sched_test_init(struct task *task, unsigned stack, int priority)
{
    const struct task_params params = {
        .tid = (tid_t)stack + 1,
        .name = "test",
        .entry = sched_test_entry,
        .stack_base = (vaddr_t)sched_test_stack[stack],
        .stack_bytes = sizeof sched_test_stack[stack],
        .priority = priority,
    };

    task_init(task, &params);
}

static inline struct task *sched_test_new(unsigned i, int priority)
{
    assert_true(i < SCHED_TEST_TASKS);
    sched_test_init(&sched_test.task[i], SCHED_TEST_CPUS + i, priority);
    return &sched_test.task[i];
}

/* A task in no queue becomes one of that priority. */
static inline void sched_test_apply(struct task *task, int priority)
{
    struct sched_params params;

    sched_params_of_priority(priority, &params);
    policy_apply(task, &params, priority);
}

/* A READY task that names `rq` and is in no queue. */
static inline struct task *sched_test_ready(unsigned i, int priority, struct runq *rq)
{
    struct task *task = sched_test_new(i, priority);

    task->state = TASK_READY;
    store_relaxed(&task->base.cpu, &rq->cpu);
    return task;
}

/* As if `task`, which was picked, were running there. */
static inline void sched_test_dispatch(struct runq *rq, struct task *task)
{
    task->state = TASK_RUNNING;
    store_relaxed(&task->base.cpu, &rq->cpu);
    task->since_ticks = hal_clock_ticks();
    rq->running = task;
    store_relaxed(&rq->running_rank, task->rank);
}

/* The same of one that was in no queue. */
static inline void sched_test_run(struct runq *rq, struct task *task)
{
    sched_test_dispatch(rq, task);
    if (task->class->join != NULL)
        task->class->join(rq, task);
}

/* What runs there is gone, and the CPU idles. */
static inline void sched_test_stop(struct runq *rq)
{
    struct task *task = rq->running;

    if (task->class->block != NULL)
        task->class->block(rq, task);
    rq->running = rq->cpu.idle_task;
    store_relaxed(&rq->running_rank, RANK_NOTHING);
}

/* Each test's set-up: `online` CPUs with empty queues; this is CPU 0, whose idle task runs. */
static inline void sched_test_enter(unsigned online)
{
    struct host_config config = { .cpus = 1, .seed = 1, .memory_bytes = 4 << 20, .max_steps = UINT64_MAX };

    host_unit_setup(&config);
    memset(&sched_test, 0, sizeof sched_test);
    memset(cpu_table, 0, sizeof cpu_table);
    cpumask_clear(&cpu_online_mask);
    cpumask_clear(&cpu_live_mask);
    cpumask_clear(&cpu_started_mask);
    sched_test_early_cpu = (struct cpu){ .id = 0 };
    memset(&sched_test_early_task, 0, sizeof sched_test_early_task);
    store_relaxed(&sched_test_early_task.base.cpu, &sched_test_early_cpu);
    host_unit_enter(&sched_test_early_task);
    clock_init(host_boot_info()->clock_hz);
    sched_init();
    sched_set_rt_percent(100); /* it pokes, and there are no other CPUs: rt_limit_test.c */
    for (cpu_id_t id = 0; id < SCHED_TEST_CPUS; id++) {
        sched_test_init(&sched_test.idle[id], id, PRIORITY_IDLE);
        struct cpu *cpu = sched_cpu_init(&sched_test.rq[id], id, 100 + id, &sched_test.idle[id]);

        timer_queue_init(&sched_test.timers[id], cpu);
        cpu->timers = &sched_test.timers[id];
        if (id < online) {
            cpumask_add(&cpu_online_mask, id);
            cpumask_add(&cpu_live_mask, id);
            cpumask_add(&cpu_started_mask, id);
        }
    }
    store_relaxed(&cpu_started_count, online);
    host_unit_enter(&sched_test.idle[0]);
}

static inline int sched_test_begin(void **state)
{
    (void)state;
    sched_test_enter(1);
    return 0;
}

static inline int sched_test_begin_smp(void **state)
{
    (void)state;
    sched_test_enter(SCHED_TEST_CPUS);
    return 0;
}

static inline void sched_test_check(void *arg)
{
    cpumask_set_single(&cpu_live_mask, 0); /* the others do not exist: a panic must not call them */
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++) {
        runq_check(&sched_test.rq[i]);
        *(unsigned *)arg += load_relaxed(&sched_test.rq[i].lock.word);
    }
}

/* The counts equal the lists, no lock is left held. */
static inline int sched_test_end(void **state)
{
    unsigned held = 0;
    bool holds = host_unit_returns(sched_test_check, &held, &sched_test_result);

    (void)state;
    memset(cpu_table, 0, sizeof cpu_table);
    cpumask_clear(&cpu_online_mask);
    cpumask_clear(&cpu_live_mask);
    cpumask_clear(&cpu_started_mask);
    store_relaxed(&cpu_started_count, 0);
    host_unit_teardown();
    return holds && held == 0 ? 0 : -1;
}

#define sched_unit_test(fn) cmocka_unit_test_setup_teardown(fn, sched_test_begin, sched_test_end)
#define sched_smp_test(fn) cmocka_unit_test_setup_teardown(fn, sched_test_begin_smp, sched_test_end)

/* fn(arg) panics, and says so in these words; in a process of its own. */
#define assert_panics(fn, arg, words)                                                                          \
    do {                                                                                                       \
        bool returned_ = host_unit_returns_forked((fn), (arg), &sched_test_result);                            \
        if (returned_ || sched_test_result.end != HOST_END_EXIT || sched_test_result.code == 0 ||              \
            strstr(sched_test_result.console, (words)) == NULL)                                                \
            fail_msg("no panic with \"%s\": %s%s", (words), sched_test_result.console, sched_test_result.report); \
    } while (0)
