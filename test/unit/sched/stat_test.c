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
    /* Each tick of its life is one of the three. */
    CHECK(now.stats.run_ticks + now.stats.wait_ticks + now.sleep_ticks == now.lifetime_ticks);
    CHECK(now.sleep_ticks >= last->sleep_ticks && now.lifetime_ticks <= age && now.utilisation <= UTIL_ONE);
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
        CHECK(now.run_ticks + now.idle_ticks == now.elapsed_ticks);
        CHECK(passed + 100000 >= before - start); /* 1 ms: from `start` to when the first numbers were read */
        CHECK(now.switches >= now.preemptions);
        CHECK(now.steals <= now.migrations_in);
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
}

static void spin_a_while(void)
{
    for (unsigned i = 0; i < 30; i++)
        hal_cpu_relax();
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

/* It knows how long it slept, by its own clock: from before the sleep until it ran again. */
static _Atomic(uint64_t) slept_ticks;

static int sleep_and_tell(void *arg)
{
    uint64_t sum = 0;

    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = hal_clock_ticks();

        (void)task_sleep_for(200000);
        sum += hal_clock_ticks() - before;
        spin_a_while();
    }
    store_relaxed(&slept_ticks, sum);
    return 0;
}

static void sleeps(void)
{
    struct task *rival = spawn_on("rival", spin, NULL, 60, online_cpu(1)); /* so that it waits, too */
    struct task *task = spawn_on("sleeper", sleep_and_tell, NULL, 60, online_cpu(1));
    struct task_snapshot now;

    CHECK(task_join(task, NULL, TIME_NEVER) == 0);
    WAIT_FOR((task_get_snapshot(task, &now), now.state == TASK_DEAD));
    CHECK(now.stats.run_ticks + now.stats.wait_ticks + now.sleep_ticks == now.lifetime_ticks);
    CHECK(now.sleep_ticks >= 18 * clock_ns_to_ticks(200000)); /* the way to sleep is part of what it asks for */
    CHECK(now.sleep_ticks <= load_relaxed(&slept_ticks));
    CHECK(now.sleep_ticks + now.stats.wait_ticks + now.stats.run_ticks >= load_relaxed(&slept_ticks));
    uint64_t lived = now.lifetime_ticks;

    (void)task_sleep_for(10000);
    task_get_snapshot(task, &now);
    CHECK(now.lifetime_ticks == lived); /* the dead grow no older */
    task_put(task);
    store_relaxed(&stop, true);
    CHECK(finish(rival) == 0);
}

/* All that a CPU has run is what its tasks have run: nothing is lost between them. */
static void tasks_and_cpu(void)
{
    cpu_id_t cpu = online_cpu(1);
    struct sched_cpu_stats before, after;
    struct task_snapshot snapshot;
    uint64_t sum = 0;

    if (online_count() < 2)
        return;
    struct task *first = spawn_on("first", spin, NULL, 60, cpu);
    struct task *second = spawn_on("second", spin, NULL, 60, cpu);

    WAIT_FOR((task_get_snapshot(second, &snapshot), snapshot.stats.run_ticks > 0));
    task_get_snapshot(first, &snapshot);
    sum -= snapshot.stats.run_ticks;
    task_get_snapshot(second, &snapshot);
    sum -= snapshot.stats.run_ticks;
    sched_cpu_stats_get(cpu, &before);
    uint64_t looked = hal_clock_ticks();

    (void)task_sleep_for(5 * NS_PER_MS);
    sched_cpu_stats_get(cpu, &after);
    task_get_snapshot(first, &snapshot);
    sum += snapshot.stats.run_ticks;
    task_get_snapshot(second, &snapshot);
    sum += snapshot.stats.run_ticks;
    uint64_t slack = 20000; /* 0.2 ms: from one look to the next, of which there are six */

    CHECK(after.idle_ticks == before.idle_ticks && hal_clock_ticks() - looked >= clock_ns_to_ticks(5 * NS_PER_MS));
    CHECK(sum + slack >= after.run_ticks - before.run_ticks && sum <= after.run_ticks - before.run_ticks + slack);
    store_relaxed(&stop, true);
    CHECK(finish(first) == 0 && finish(second) == 0);
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
    { "sleeps", sleeps }, { "tasks-and-cpu", tasks_and_cpu },
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

static void sleep_is_what_a_task_slept_by_its_own_clock(void **state)
{
    (void)state;
    booted_run("sleeps", 40);
}

static void what_tasks_ran_is_what_their_cpu_ran(void **state)
{
    (void)state;
    booted_run("tasks-and-cpu", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_of_a_task_add_up_and_never_go_back),
        cmocka_unit_test(idle_and_run_time_of_a_cpu_make_its_whole_time),
        cmocka_unit_test(a_snapshot_includes_the_present_run),
        cmocka_unit_test(sleep_is_what_a_task_slept_by_its_own_clock),
        cmocka_unit_test(what_tasks_ran_is_what_their_cpu_ran),
        cmocka_unit_test(a_sleep_of_all_time_does_not_wrap_around),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
