/* SPDX-License-Identifier: MIT */
/* core/proc/reaper.c: after a pass what was dead and unreferenced is free; without one, too, a little later. */
#include "booted.h"
#include "unit.h"

#include <mm/kstack.h>
#include <proc/id.h>
#include <proc/task.h>
#include <smp/preempt.h>
#include <time/clock.h>

#define TASKS 12

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static uint64_t alive(void)
{
    struct proc_stats stats;

    proc_stats_get(&stats);
    return stats.tasks_alive;
}

static bool is_dead(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.state == TASK_DEAD;
}

static void make_dead(struct task *task[TASKS])
{
    for (unsigned i = 0; i < TASKS; i++)
        task[i] = spawn("mortal", nothing, NULL, 60, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        CHECK(task_join(task[i], NULL, TIME_NEVER) == 0);
        WAIT_FOR(is_dead(task[i]));
    }
    /* Dead is said under the lock of the switch that leaves it: one more switch there, and each is listed. */
    CHECK(task_sleep_for(50 * NS_PER_US) == 0);
}

/* Stacks go with the CPU's leaving, objects and ids with the last reference. */
static void pass(void)
{
    struct task *task[TASKS];
    uint64_t before = alive();
    unsigned stacks = kstack_used_count();
    unsigned ids = id_used_count();

    make_dead(task);
    reaper_wait_pass();
    CHECK(kstack_used_count() == stacks);
    CHECK(alive() == before + TASKS && id_used_count() == ids + TASKS);
    for (unsigned i = 0; i < TASKS; i++)
        task_put(task[i]);
    reaper_wait_pass();
    CHECK(alive() == before && id_used_count() == ids);
}

/* Nobody asks: a backlog is not left lying, also if it is small. */
static void by_itself(void)
{
    uint64_t before = alive();
    struct task *task[TASKS];

    make_dead(task);
    for (unsigned i = 0; i < 3; i++)
        task_put(task[i]);
    CHECK(task_sleep_for(20 * NS_PER_MS) == 0);
    CHECK(alive() == before + TASKS - 3);
    for (unsigned i = 3; i < TASKS; i++)
        task_put(task[i]);
    CHECK(task_sleep_for(20 * NS_PER_MS) == 0);
    CHECK(alive() == before);
}

/* Told to be patient, it waits for a call, or for many dead. */
static void patience(void)
{
    uint64_t before = alive();
    struct task *task[TASKS];

    reaper_set_patience(TIME_NEVER);
    reaper_wait_pass();
    CHECK(task_sleep_for(20 * NS_PER_MS) == 0); /* a timer that was armed before is over */
    reaper_wait_pass();
    make_dead(task);
    for (unsigned i = 0; i < TASKS; i++)
        task_put(task[i]);
    CHECK(task_sleep_for(20 * NS_PER_MS) == 0);
    CHECK(alive() == before + TASKS);
    make_dead(task);
    for (unsigned i = 0; i < TASKS; i++)
        task_put(task[i]);
    CHECK(task_sleep_for(20 * NS_PER_MS) == 0);
    CHECK(alive() <= before + TASKS); /* two times twelve are a backlog */
    reaper_wait_pass();
    CHECK(alive() == before);
    reaper_set_patience(NS_PER_MS);
}

static _Atomic(bool) stop;

static int never_switch(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

/* A CPU that runs one real-time task for ever, and never switches, holds a pass up only until it is poked. */
static void busy_cpu(void)
{
    struct task *task[TASKS];
    uint64_t before = alive();

    if (online_count() < 2)
        return;
    struct task *busy = spawn_on("busy", never_switch, NULL, 0, online_cpu(1));

    make_dead(task);
    for (unsigned i = 0; i < TASKS; i++)
        task_put(task[i]);
    uint64_t start = clock_ns();

    reaper_wait_pass();
    CHECK(alive() == before + 1);
    CHECK(clock_ns() - start < 20 * NS_PER_MS);
    store_relaxed(&stop, true);
    CHECK(finish(busy) == 0);
}

static _Atomic(bool) is_inside;

static int stay_in_section(void *arg)
{
    (void)arg;
    preempt_disable();
    store_relaxed(&is_inside, true);
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    preempt_enable();
    return 0;
}

/* A read section that does not end holds objects and numbers back, and nothing else: stacks go on coming back. */
static void long_section(void)
{
    unsigned stacks = kstack_used_count();
    uint64_t before = alive();

    if (online_count() < 2)
        return;
    store_relaxed(&stop, false);
    struct task *reader = spawn_on("reader", stay_in_section, NULL, 0, online_cpu(1));

    WAIT_FOR(load_relaxed(&is_inside));
    for (unsigned round = 0; round < 6; round++) {
        struct task *task[TASKS];

        make_dead(task);
        for (unsigned i = 0; i < TASKS; i++)
            task_put(task[i]);
        CHECK(task_sleep_for(3 * NS_PER_MS) == 0);
        CHECK(kstack_used_count() == stacks + 1);
    }
    CHECK(alive() > before + 5 * TASKS);
    store_relaxed(&stop, true);
    CHECK(finish(reader) == 0);
    reaper_wait_pass();
    reaper_wait_pass();
    CHECK(alive() == before && kstack_used_count() == stacks);
}

/* More urgent than the reaper, on its only CPU: it runs when we let it. So the dead become many, but not ever more. */
static void urgent_lives(void)
{
    const unsigned many = 400;
    unsigned stacks = kstack_used_count();
    unsigned most = 0;

    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_NORMAL) == 0);
    for (unsigned i = 0; i < many; i++) {
        CHECK(finish(spawn("mortal", nothing, NULL, PRIORITY_REALTIME_NORMAL, NULL)) == 0);
        most = MAX(most, kstack_used_count() - stacks);
    }
    CHECK(most > 16 && most < many / 2);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    reaper_wait_pass();
}

static int wait_for_passes(void *arg)
{
    for (uintptr_t i = 0; i < 3 + (uintptr_t)arg; i++) {
        CHECK(finish(spawn("mortal", nothing, NULL, 60, NULL)) == 0);
        reaper_wait_pass();
    }
    return 0;
}

/* Many wait for passes at once: each gets one that began after it asked. */
static void many_waiters(void)
{
    struct task *task[5];

    for (uintptr_t i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("waiter", wait_for_passes, (void *)i, i % 2 == 0 ? 10 : 60, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
}

const struct kernel_test booted_tests[] = {
    { "pass", pass },
    { "by-itself", by_itself },
    { "patience", patience },
    { "busy-cpu", busy_cpu },
    { "many-waiters", many_waiters },
    { "long-section", long_section },
    { "urgent-lives", urgent_lives },
    { NULL, NULL },
};

static void a_pass_frees_what_was_dead_and_unreferenced(void **state)
{
    (void)state;
    booted_run("pass", 80);
}

static void the_dead_are_freed_without_being_asked_for(void **state)
{
    (void)state;
    booted_run("by-itself", 24);
}

static void a_patient_reaper_waits_for_a_call_or_for_many(void **state)
{
    (void)state;
    booted_run("patience", 24);
}

static void a_cpu_that_never_switches_does_not_stop_the_reaper(void **state)
{
    (void)state;
    booted_run("busy-cpu", 40);
}

static void everybody_who_waits_for_a_pass_gets_one(void **state)
{
    (void)state;
    booted_run("many-waiters", 80);
}

static void a_read_section_that_lasts_holds_no_stacks_back(void **state)
{
    (void)state;
    booted_run("long-section", 24);
}

static void a_reaper_that_is_not_let_run_is_waited_for(void **state)
{
    (void)state;
    booted_run_on(1, "urgent-lives", "", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pass_frees_what_was_dead_and_unreferenced),
        cmocka_unit_test(the_dead_are_freed_without_being_asked_for),
        cmocka_unit_test(a_patient_reaper_waits_for_a_call_or_for_many),
        cmocka_unit_test(a_cpu_that_never_switches_does_not_stop_the_reaper),
        cmocka_unit_test(everybody_who_waits_for_a_pass_gets_one),
        cmocka_unit_test(a_read_section_that_lasts_holds_no_stacks_back),
        cmocka_unit_test(a_reaper_that_is_not_let_run_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
