/* SPDX-License-Identifier: MIT */
/* Priority, policy and affinity, changed while a task is queued, running or asleep. */
#include <k/atomic.h>
#include <k/errno.h>
#include <time/clock.h>

#include "check.h"

static _Atomic(bool) stop;
static _Atomic(uint64_t) misplaced_runs;

/* Looks, again and again, where it runs: on a CPU outside its mask is an error, whenever it happens. */
static int watch_own_affinity(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop)) {
        if (!sched_is_well_placed())
            (void)fetch_add_relaxed(&misplaced_runs, 1);
        task_yield();
    }
    return 0;
}

static void affinity_holds_when_the_call_returns(void)
{
    struct cpumask mask;

    store_relaxed(&stop, false);
    store_relaxed(&misplaced_runs, 0);
    struct task *task = spawn("roamer", watch_own_affinity, NULL, PRIORITY_DEFAULT, NULL);

    for (unsigned i = 0; i < 100 && task != NULL; i++) {
        struct task_snapshot snapshot;
        cpu_id_t cpu = online_cpu(i);

        cpumask_set_single(&mask, cpu);
        CHECK(task_set_affinity(task, &mask) == 0);
        task_get_snapshot(task, &snapshot);
        CHECK(snapshot.state != TASK_RUNNING || snapshot.cpu == cpu);
    }
    store_relaxed(&stop, true);
    (void)finish(task);
    CHECK(load_relaxed(&misplaced_runs) == 0);
}

static void a_task_can_move_itself(void)
{
    struct cpumask mask;

    for (unsigned i = 0; i < 20; i++) {
        cpumask_set_single(&mask, online_cpu(i));
        CHECK(task_set_affinity(current_task(), &mask) == 0);
        CHECK(this_cpu_id() == online_cpu(i));
    }
    cpumask_set_all(&mask);
    CHECK(task_set_affinity(current_task(), &mask) == 0);
}

static int sleep_until_killed(void *arg)
{
    (void)arg;
    while (task_sleep_for(3600 * NS_PER_SEC) == 0)
        continue;
    return (int)this_cpu_id();
}

static void a_sleeper_wakes_where_it_may(void)
{
    struct cpumask mask;
    cpu_id_t last = online_cpu(online_count() - 1);
    struct task *task = spawn_on("sleeper", sleep_until_killed, NULL, PRIORITY_DEFAULT, online_cpu(0));

    if (task == NULL)
        return;
    cpumask_set_single(&mask, last);
    CHECK(task_set_affinity(task, &mask) == 0);
    CHECK(task_kill(task) == 0);
    CHECK(finish(task) == (int)last);
}

static void refuses_what_makes_no_sense(void)
{
    struct cpumask mask;
    struct task *task = spawn("sleeper", sleep_until_killed, NULL, PRIORITY_DEFAULT, NULL);

    if (task == NULL)
        return;
    cpumask_clear(&mask);
    CHECK(task_set_affinity(task, &mask) == -EINVAL);
    cpumask_set_single(&mask, CPU_MAX - 1);
    CHECK(task_set_affinity(task, &mask) == -EINVAL);
    CHECK(task_set_priority(task, -1) == -EINVAL);
    CHECK(task_set_priority(task, 100) == -EINVAL);
    CHECK(task_set_policy(task, SCHED_POLICY_FIFO) == -EINVAL); /* it is a fair task */
    CHECK(task_set_priority(task, PRIORITY_REALTIME_LOW) == 0);
    CHECK(task_set_policy(task, SCHED_POLICY_FIFO) == 0);
    CHECK(task_set_policy(task, SCHED_POLICY_FAIR) == -EINVAL);
    CHECK(task_kill(task) == 0);
    CHECK(task_join(task, NULL, TIME_NEVER) == 0);
    reaper_wait_pass();
    cpumask_set_all(&mask);
    CHECK(task_set_affinity(task, &mask) == -ESRCH);
    CHECK(task_set_priority(task, PRIORITY_DEFAULT) == -ESRCH);
    task_put(task);
}

static int spin_and_yield(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop)) {
        for (unsigned i = 0; i < 200; i++)
            hal_cpu_relax();
        task_yield();
    }
    return 0;
}

/* Must 16: change everything about tasks that are queued, running or asleep; nobody is lost, and all end. */
static void everything_changes_under_load(void)
{
    static const int priorities[] = { 10, 20, 30, 60, 70, 99 };
    struct task *task[12];
    uint64_t seed = 4711;

    store_relaxed(&stop, false);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("target", i % 3 == 0 ? watch_own_affinity : spin_and_yield, NULL, PRIORITY_DEFAULT, NULL);
    store_relaxed(&misplaced_runs, 0);
    /* We change the others, so we must get to run, also on one CPU. */
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < 300; i++) {
        struct task *victim = task[random_next(&seed) % ARRAY_COUNT(task)];
        struct cpumask mask;

        if (victim == NULL)
            continue;
        if (random_next(&seed) % 2) {
            CHECK(task_set_priority(victim, priorities[random_next(&seed) % ARRAY_COUNT(priorities)]) == 0);
        } else {
            mask.word[0] = random_next(&seed);
            for (unsigned word = 1; word < CPUMASK_WORDS; word++)
                mask.word[word] = 0;
            cpumask_add(&mask, online_cpu((unsigned)random_next(&seed)));
            CHECK(task_set_affinity(victim, &mask) == 0);
        }
        if (i % 16 == 0)
            (void)task_sleep_for(200 * NS_PER_US);
    }
    CHECK(check_census());
    store_relaxed(&stop, true); /* before this task steps back: some of them are real-time now */
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&misplaced_runs) == 0);
}

static int run_until_stopped(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static void lowering_the_running_task_lets_a_queued_one_run(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task_snapshot snapshot;

    if (online_count() < 2)
        return;
    store_relaxed(&stop, false);
    struct task *high = spawn_on("high", run_until_stopped, NULL, PRIORITY_REALTIME_NORMAL, cpu);
    struct task *low = spawn_on("low", run_until_stopped, NULL, PRIORITY_REALTIME_LOW, cpu);

    if (high == NULL || low == NULL)
        return;
    WAIT_FOR((task_get_snapshot(high, &snapshot), snapshot.state == TASK_RUNNING));
    task_get_snapshot(low, &snapshot);
    CHECK(snapshot.run_count == 0);
    CHECK(task_set_priority(high, PRIORITY_DEFAULT) == 0);
    WAIT_FOR((task_get_snapshot(low, &snapshot), snapshot.state == TASK_RUNNING));
    store_relaxed(&stop, true);
    (void)finish(low);
    (void)finish(high);
}

const struct kernel_test tests_policy[] = {
    { "policy: an affinity holds when the call returns", affinity_holds_when_the_call_returns },
    { "policy: a task can move itself", a_task_can_move_itself },
    { "policy: a sleeper wakes where it may", a_sleeper_wakes_where_it_may },
    { "policy: refuses what makes no sense", refuses_what_makes_no_sense },
    { "policy: everything changes under load", everything_changes_under_load },
    { "policy: lowering the running task lets a queued one run", lowering_the_running_task_lets_a_queued_one_run },
    { NULL, NULL },
};
