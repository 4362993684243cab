/* SPDX-License-Identifier: MIT */
/*
 * core/sched/stat.c: time is neither lost nor counted twice, for tasks and for CPUs; counts that agree with each other.
 */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <time/clock.h>

#define TASKS 6

static _Atomic(bool) stop;

static int live(void *arg)
{
    uint64_t random = booted_seed() * 5 + (uintptr_t)arg;

    while (!load_relaxed(&stop)) {
        if (random_next(&random) % 3 == 0)
            (void)task_sleep_for(random_next(&random) % 10000);
        else if (random_next(&random) % 2 == 0)
            task_yield();
        for (uint64_t spins = random_next(&random) % 50; spins > 0; spins--)
            hal_cpu_relax();
    }
    return 0;
}

static void check_one(struct task *task, uint64_t born, struct task_snapshot *last)
{
    struct task_snapshot now;

    task_get_snapshot(task, &now);
    uint64_t age = hal_clock_ticks() - born;

    /* On a CPU, or waiting for one, or neither: never both. */
    CHECK(now.stats.run_ticks + now.stats.wait_ticks <= age);
    CHECK(now.stats.wake_to_run_ticks_max <= now.stats.wait_ticks);
    CHECK(now.run_count == now.stats.voluntary + now.stats.involuntary + (now.state == TASK_RUNNING));
    CHECK(now.stats.run_ticks >= last->stats.run_ticks && now.stats.wait_ticks >= last->stats.wait_ticks);
    CHECK(now.run_count >= last->run_count && now.stats.migrations >= last->stats.migrations);
    CHECK(now.stats.voluntary >= last->stats.voluntary && now.stats.involuntary >= last->stats.involuntary);
    CHECK(now.priority == task->priority);
    *last = now;
}

static void numbers(void)
{
    struct task_snapshot last[TASKS] = { 0 };
    struct task *task[TASKS];
    uint64_t born = hal_clock_ticks();

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("counted", live, (void *)i, i % 2 == 0 ? 10 : 60, NULL);
    for (unsigned round = 0; round < 10; round++) {
        (void)task_sleep_for(5000);
        for (unsigned i = 0; i < TASKS; i++)
            check_one(task[i], born, &last[i]);
        CHECK(check_census());
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < TASKS; i++) {
        CHECK(task_join(task[i], NULL, TIME_NEVER) == 0);
        check_one(task[i], born, &last[i]);
        task_put(task[i]);
    }
}

/* A CPU either idles or runs a task: the two add up to the time since it is online. */
static void cpu_time(void)
{
    struct sched_cpu_stats first[8];
    struct task *task[TASKS];
    uint64_t start = hal_clock_ticks();

    for (unsigned n = 0; n < online_count(); n++)
        sched_cpu_stats_get(online_cpu(n), &first[n]);
    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("counted", live, (void *)i, 60, NULL);
    (void)task_sleep_for(200 * NS_PER_US);
    for (unsigned n = 0; n < online_count(); n++) {
        struct sched_cpu_stats now;
        uint64_t before = hal_clock_ticks();

        sched_cpu_stats_get(online_cpu(n), &now);
        uint64_t after = hal_clock_ticks();
        uint64_t passed = now.idle_ticks - first[n].idle_ticks + now.run_ticks - first[n].run_ticks;

        CHECK(now.idle_ticks >= first[n].idle_ticks && now.run_ticks >= first[n].run_ticks);
        CHECK(passed <= after - start);
        CHECK(passed + 100000 >= before - start); /* 1 ms: from `start` to when the first numbers were read */
        CHECK(now.switches >= now.preemptions);
        CHECK(now.steals <= now.migrations_in);
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
}

static int spin(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

/* A task that never gives up its CPU has its present run in its snapshot. */
static void present_run(void)
{
    struct task_snapshot snapshot;

    if (online_count() < 2)
        return;
    struct task *task = spawn_on("spin", spin, NULL, 10, online_cpu(1));

    WAIT_FOR((task_get_snapshot(task, &snapshot), snapshot.state == TASK_RUNNING));
    uint64_t ran = snapshot.stats.run_ticks;

    (void)task_sleep_for(100 * NS_PER_US);
    task_get_snapshot(task, &snapshot);
    CHECK(snapshot.cpu == online_cpu(1) && snapshot.policy == SCHED_POLICY_RR && snapshot.priority == 10);
    if (snapshot.stats.involuntary == 0 && snapshot.stats.voluntary == 0)
        CHECK(snapshot.stats.run_ticks - ran >= clock_ns_to_ticks(100 * NS_PER_US));
    store_relaxed(&stop, true);
    CHECK(finish(task) == 0);
}

static int sleep_for_ever(void *arg)
{
    return task_sleep_for(arg == NULL ? UINT64_MAX : UINT64_MAX - 5) == -EINTR ? 0 : 1;
}

static void saturation(void)
{
    for (uintptr_t i = 0; i < 2; i++) {
        struct task *task = spawn("for ever", sleep_for_ever, (void *)i, 60, NULL);

        CHECK(task_join(task, NULL, clock_ns() + 300 * NS_PER_US) == -ETIMEDOUT);
        CHECK(task_kill(task) == 0);
        CHECK(finish(task) == 0);
    }
}

const struct kernel_test booted_tests[] = {
    { "numbers", numbers }, { "cpu-time", cpu_time }, { "present-run", present_run }, { "saturation", saturation },
    { NULL, NULL },
};

static void the_numbers_of_a_task_add_up_and_never_go_back(void **state)
{
    (void)state;
    booted_run("numbers", 100);
}

static void idle_and_run_time_of_a_cpu_make_its_whole_time(void **state)
{
    (void)state;
    booted_run("cpu-time", 100);
}

static void a_snapshot_includes_the_present_run(void **state)
{
    (void)state;
    booted_run("present-run", 40);
}

static void a_sleep_of_all_time_does_not_wrap_around(void **state)
{
    (void)state;
    booted_run("saturation", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_of_a_task_add_up_and_never_go_back),
        cmocka_unit_test(idle_and_run_time_of_a_cpu_make_its_whole_time),
        cmocka_unit_test(a_snapshot_includes_the_present_run),
        cmocka_unit_test(a_sleep_of_all_time_does_not_wrap_around),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
