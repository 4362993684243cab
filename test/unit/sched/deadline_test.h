/* SPDX-License-Identifier: MIT */
/*
 * What tests of bandwidth share: time that stands still unless the test moves it, and deadline tasks without a machine
 * that switches to them. The clock of the tests ticks every 10 ns.
 */
#pragma once

#include "sched_test.h"

#define DEADLINE_TICK_NS UINT64_C(10)

void host_clock_advance(uint64_t ps); /* of the simulated machine: arch/host/host_priv.h */

static inline void deadline_test_go_to(uint64_t ns)
{
    assert_true(ns >= clock_ns());
    host_clock_advance((ns - clock_ns()) * 1000);
}

static inline int deadline_test_begin(void **state)
{
    (void)state;
    sched_test_enter(SCHED_TEST_CPUS);
    sched_set_rt_percent(95);
    (void)host_quiet(true); /* no step, no time */
    host_clock_advance(DEADLINE_TICK_NS * 1000 - host_virtual_ns() % DEADLINE_TICK_NS * 1000);
    return 0;
}

static inline int deadline_test_end(void **state)
{
    (void)host_quiet(false);
    return sched_test_end(state);
}

static inline struct sched_params deadline_test_params(uint64_t runtime_ns, uint64_t deadline_ns, uint64_t period_ns)
{
    return (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .runtime_ns = runtime_ns,
                                  .deadline_ns = deadline_ns, .period_ns = period_ns };
}

/* A READY task in no queue, admitted to CPU `cpu` or not: NULL. */
static inline struct task *deadline_test_new(unsigned i, cpu_id_t cpu, const struct sched_params *params)
{
    struct task *task = sched_test_ready(i, PRIORITY_DEFAULT, &sched_test.rq[cpu]);

    if (!admit_fits_locked(task, params, cpu))
        return NULL;
    admit_take_locked(task, params, cpu, 0);
    policy_apply(task, params, sched_params_priority(params));
    cpumask_set_single(&task->affinity, cpu);
    task->is_pinned = true;
    deadline_begin(task, clock_ns());
    return task;
}

#define deadline_unit_test(fn) cmocka_unit_test_setup_teardown(fn, deadline_test_begin, deadline_test_end)
