/* SPDX-License-Identifier: MIT */
/*
 * What the tests of this room share: CPUs and tasks as far as this room looks at them, without a scheduler. A team runs
 * one body per CPU; interrupts are answered by the real handlers of core/entry, and every task counts as idle, so that
 * none of them switches.
 */
#pragma once

#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <hal/irq.h>
#include <hal/boot.h>
#include <host/machine.h>
#include <k/assert.h>
#include <smp/cpu.h>
#include <smp/preempt.h>
#include <smp/quiesce.h>
#include <smp/spinlock.h>
#include <time/timer.h>

#pragma clang diagnostic ignored "-Wthread-safety-analysis"

#define SMP_TEST_CPUS 8

static struct smp_test {
    struct cpu cpu[SMP_TEST_CPUS];
    struct timer_queue timers[SMP_TEST_CPUS];
    ALIGNED(64) struct task_base self[SMP_TEST_CPUS];
} smp_test;

static struct host_result smp_test_result;

static inline void smp_test_cpus(unsigned count)
{
    memset(&smp_test, 0, sizeof smp_test);
    memset(cpu_table, 0, sizeof cpu_table);
    cpumask_clear(&cpu_online_mask);
    cpumask_clear(&cpu_live_mask);
    cpumask_clear(&cpu_started_mask);
    for (cpu_id_t id = 0; id < count; id++) {
        struct cpu *cpu = &smp_test.cpu[id];

        cpu->id = id;
        cpu->idle_task = (struct task *)&smp_test.self[id];
        cpu->timers = &smp_test.timers[id];
        timer_queue_init(cpu->timers, cpu);
        store_relaxed(&cpu->slice_deadline_ticks, TIME_NEVER);
        cpu->armed_deadline_ticks = TIME_NEVER;
        store_relaxed(&cpu->state, CPU_ONLINE);
        store_relaxed(&smp_test.self[id].cpu, cpu);
        cpu_table[id] = cpu;
        cpumask_add(&cpu_online_mask, id);
        cpumask_add(&cpu_live_mask, id);
        cpumask_add(&cpu_started_mask, id);
    }
    store_relaxed(&cpu_started_count, count);
}

/* Unit mode: this is CPU 0, alone. */
static inline int smp_test_begin(void **state)
{
    struct host_config config = { .cpus = 1, .seed = 1, .memory_bytes = 4 << 20, .max_steps = UINT64_MAX };

    (void)state;
    host_unit_setup(&config);
    smp_test_cpus(1);
    host_unit_enter((struct task *)&smp_test.self[0]);
    return 0;
}

static inline int smp_test_end(void **state)
{
    (void)state;
    host_unit_teardown();
    return smp_test.self[0].preempt_count == 0 && smp_test.self[0].lock_depth == 0 ? 0 : -1;
}

#define smp_unit_test(fn) cmocka_unit_test_setup_teardown(fn, smp_test_begin, smp_test_end)

static inline void smp_test_team(unsigned cpus, uint64_t seed, void (*body)(cpu_id_t, void *), void *arg)
{
    struct task *tasks[SMP_TEST_CPUS];
    const struct host_team team = { .tasks = tasks, .body = body, .arg = arg };
    struct host_config config = { .cpus = cpus, .seed = seed, .max_steps = 3000000, .memory_bytes = 4 << 20 };

    smp_test_cpus(cpus);
    for (unsigned i = 0; i < cpus; i++)
        tasks[i] = (struct task *)&smp_test.self[i];
    if (host_team_run(&config, &team, &smp_test_result) != 0) {
        host_result_print(&config, &smp_test_result);
        fail_msg("%u CPUs, seed %llu", cpus, (unsigned long long)seed);
    }
}

/* fn(arg) panics, and says so in these words; in a process of its own. */
#define assert_panics(fn, arg, words)                                                                      \
    do {                                                                                                   \
        bool returned_ = host_unit_returns_forked((fn), (arg), &smp_test_result);                          \
        if (returned_ || smp_test_result.end != HOST_END_EXIT || smp_test_result.code == 0 ||              \
            strstr(smp_test_result.console, (words)) == NULL)                                              \
            fail_msg("no panic with \"%s\": %s%s", (words), smp_test_result.console, smp_test_result.report); \
    } while (0)
