/* SPDX-License-Identifier: MIT */
/*
 * What tests of this room share: a machine in unit mode with memory brought up as a boot does it, and the conservation
 * check that ends every test.
 */
#pragma once

#include "unit.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include <hal/boot.h>
#include <host/machine.h>
#include <k/errno.h>
#include <mm/bootmem.h>
#include <mm/cpu.h>
#include <mm/fail.h>
#include <mm/kspace.h>
#include <mm/kstack.h>
#include <mm/phys.h>
#include <mm/slab.h>
#include <smp/cpu.h>
#include <time/timer.h>

#include "mm_priv.h"

static struct cpu mm_test_cpu;
static CACHE_ALIGNED struct mm_cpu mm_test_part;
static struct task_base mm_test_task;
static struct host_result mm_test_result;
static struct sigaction mm_test_on_fault[2];

static inline void mm_test_enter(uint64_t memory_bytes)
{
    struct host_config config = {.cpus = 1, .seed = 1, .memory_bytes = memory_bytes, .max_steps = UINT64_MAX};

    host_unit_setup(&config);
    (void)sigaction(SIGSEGV, NULL, &mm_test_on_fault[0]);
    (void)sigaction(SIGBUS, NULL, &mm_test_on_fault[1]);
    mm_test_cpu = (struct cpu){.id = 0};
    mm_test_task = (struct task_base){.cpu = &mm_test_cpu};
    host_unit_enter((struct task *)&mm_test_task);
}

/* The first line of each test that touches kmap addresses: cmocka puts handlers of its own over the machine's, which
 * fill the TLB, whenever it enters a function. */
static inline void mm_test_faults_are_the_machines(void)
{
    (void)sigaction(SIGSEGV, &mm_test_on_fault[0], NULL);
    (void)sigaction(SIGBUS, &mm_test_on_fault[1], NULL);
}

/* Group set-up: memory as after a boot. */
static inline int mm_test_boot(void **state)
{
    (void)state;
    mm_test_enter(0);
    bootmem_init(host_boot_info());
    kspace_init(host_boot_info());
    bootmem_finish();
    memset(&mm_test_part, 0, sizeof(mm_test_part));
    mm_cpu_init(&mm_test_cpu, &mm_test_part);
    return 0;
}

static inline int mm_test_shutdown(void **state)
{
    (void)state;
    host_unit_teardown();
    return 0;
}

static inline uint64_t mm_test_free_pages(void)
{
    struct phys_stats stats;

    phys_stats_get(&stats);
    return stats.free_pages;
}

/* Fail each allocation of an operation in turn: it must say -ENOMEM. Then it succeeds. How many there are. */
static inline uint32_t mm_fail_each(int (*operation)(void))
{
    uint32_t count;

    mm_fail_at(MM_FAIL_NEVER);
    assert_int_equal(operation(), 0);
    count = mm_fail_count();
    for (uint32_t nth = 1; nth <= count; nth++) {
        mm_fail_at(nth);
        assert_int_equal(operation(), -ENOMEM);
        assert_true(mm_fail_fired());
    }
    mm_fail_at(0);
    assert_int_equal(operation(), 0);
    return count;
}

/* Each test's set-up and tear-down: as many free pages as before, no lock held, no failure armed. */
static uint64_t mm_test_pages_before;

static inline int mm_test_begin(void **state)
{
    (void)state;
    mm_test_pages_before = mm_test_free_pages();
    return 0;
}

static inline int mm_test_end(void **state)
{
    (void)state;
    mm_fail_at(0);
    kstack_reclaim();
    slab_reclaim_all();
    return mm_test_free_pages() == mm_test_pages_before && mm_test_task.preempt_count == 0 ? 0 : -1;
}

/* fn(arg) panics, and says so in these words. In a process of its own: nothing of it is left here. */
#define assert_panics(fn, arg, words)                                                                \
    do {                                                                                             \
        bool mm_test_returned = host_unit_returns_forked((fn), (arg), &mm_test_result);              \
        if (mm_test_returned || mm_test_result.end != HOST_END_EXIT || mm_test_result.code == 0 ||   \
            strstr(mm_test_result.console, (words)) == NULL)                                         \
            fail_msg("no panic with \"%s\": %s%s", (words), mm_test_result.console, mm_test_result.report); \
    } while (0)

/*
 * Several CPUs at once, interleaved by a seed, in a process of its own. CPU 0 boots the memory, all run the body,
 * and when all have, CPU 0 checks that every page is back. Bodies use ASSERT: a failed one is a panic, and the
 * run's report. The CPUs are not online for smp_call(): they share one TLB, so a flush by any of them is a flush
 * for all.
 */
#define MM_TEST_CPUS 4

struct mm_test_team {
    void (*prepare)(void);
    void (*body)(cpu_id_t cpu, struct unit_random *random);
    uint64_t seed;
    _Atomic(bool) is_booted;
    _Atomic(unsigned) left;
    struct cpu cpus[MM_TEST_CPUS];
    CACHE_ALIGNED struct mm_cpu parts[MM_TEST_CPUS];
    struct task_base tasks[MM_TEST_CPUS];
};

static inline void mm_test_team_body(cpu_id_t cpu, void *arg)
{
    struct mm_test_team *team = arg;
    struct unit_random random = {team->seed * MM_TEST_CPUS + cpu};
    uint64_t pages = 0;

    if (cpu == 0) {
        bootmem_init(host_boot_info());
        kspace_init(host_boot_info());
        bootmem_finish();
        for (unsigned i = 0; i < MM_TEST_CPUS; i++)
            mm_cpu_init(&team->cpus[i], &team->parts[i]);
        team->prepare();
        pages = mm_test_free_pages();
        store_release(&team->is_booted, true);
    }
    while (!load_acquire(&team->is_booted))
        hal_cpu_relax();
    hal_mmu_activate(kspace_root(), 0);
    team->body(cpu, &random);
    (void)fetch_sub_acq_rel(&team->left, 1);
    if (cpu != 0)
        return;
    while (load_acquire(&team->left) != 0)
        hal_cpu_relax();
    kstack_reclaim();
    slab_reclaim_all();
    ASSERT(mm_test_free_pages() == pages);
}

/* On a machine like `like`, apart from its CPUs and the seed. */
static inline void mm_test_run_team_on(const struct host_config *like, void (*prepare)(void),
                                       void (*body)(cpu_id_t, struct unit_random *), unsigned seeds)
{
    static struct mm_test_team team;
    struct task *tasks[MM_TEST_CPUS];
    struct host_team host_team = {.tasks = tasks, .body = mm_test_team_body, .arg = &team};
    struct host_config config = *like;

    config.cpus = MM_TEST_CPUS;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        team = (struct mm_test_team){.prepare = prepare, .body = body, .seed = seed, .left = MM_TEST_CPUS};
        config.seed = seed;
        for (unsigned i = 0; i < MM_TEST_CPUS; i++) {
            team.cpus[i].id = i;
            team.tasks[i].cpu = &team.cpus[i];
            tasks[i] = (struct task *)&team.tasks[i];
        }
        if (host_team_run_forked(&config, &host_team, &mm_test_result) != 0) {
            host_result_print(&config, &mm_test_result);
            fail_msg("seed %llu", (unsigned long long)seed);
        }
    }
}

/* For a team whose CPUs answer each other: they are in the table and online, and take their interrupts. */
static inline void mm_test_all_online(struct cpu *cpus, struct task_base *tasks, struct timer_queue *timers)
{
    for (cpu_id_t id = 0; id < MM_TEST_CPUS; id++) {
        struct cpu *cpu = &cpus[id];

        cpu->idle_task = (struct task *)&tasks[id]; /* nobody switches away from an idle task */
        cpu->timers = &timers[id];
        timer_queue_init(cpu->timers, cpu);
        store_relaxed(&cpu->slice_deadline_ticks, TIME_NEVER);
        cpu->armed_deadline_ticks = TIME_NEVER;
        store_relaxed(&cpu->state, CPU_ONLINE);
        cpu_table[id] = cpu;
        cpumask_add(&cpu_online_mask, id);
        cpumask_add(&cpu_live_mask, id);
        cpumask_add(&cpu_started_mask, id);
    }
    store_relaxed(&cpu_started_count, MM_TEST_CPUS);
}

static inline void mm_test_run_team_with(uint64_t memory_bytes, void (*prepare)(void),
                                         void (*body)(cpu_id_t, struct unit_random *), unsigned seeds)
{
    const struct host_config config = {.memory_bytes = memory_bytes};

    mm_test_run_team_on(&config, prepare, body, seeds);
}

static inline void mm_test_run_team(void (*prepare)(void), void (*body)(cpu_id_t, struct unit_random *), unsigned seeds)
{
    mm_test_run_team_with(0, prepare, body, seeds);
}

#define mm_test(fn) cmocka_unit_test_setup_teardown(fn, mm_test_begin, mm_test_end)
