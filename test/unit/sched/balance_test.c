/* SPDX-License-Identifier: MIT */
/* core/sched/balance.c: shares of fair tasks over CPUs, by the time that they get, and how often they move for it. */
#include "booted.h"

#include "sched_test.h"

#define STORY_NS (1200 * NS_PER_MS)
#define TASKS_MAX 16

static _Atomic(bool) stop;

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

struct crowd {
    struct task *task[TASKS_MAX];
    unsigned count;
    uint64_t permille[TASKS_MAX]; /* of one CPU, of each task, in the story */
    uint64_t moves;               /* of all, in the story */
};

/* What `count` tasks of these nice values get while nothing else wants to run. */
static void measure(struct crowd *crowd, const int priority[], unsigned count)
{
    struct task_snapshot before[TASKS_MAX], after;

    *crowd = (struct crowd){ .count = count };
    /* They start as equals, evenly placed: what their weights ask for has to be found. */
    for (unsigned i = 0; i < count; i++)
        crowd->task[i] = spawn("hog", hog, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < count; i++)
        CHECK(task_set_priority(crowd->task[i], priority[i]) == 0);
    CHECK(task_sleep_for(50 * NS_PER_MS) == 0);
    uint64_t start = hal_clock_ticks();

    for (unsigned i = 0; i < count; i++)
        task_get_snapshot(crowd->task[i], &before[i]);
    CHECK(task_sleep_for(STORY_NS) == 0);
    uint64_t ticks = hal_clock_ticks() - start;

    for (unsigned i = 0; i < count; i++) {
        task_get_snapshot(crowd->task[i], &after);
        crowd->permille[i] = (after.stats.run_ticks - before[i].stats.run_ticks) * 1000 / ticks;
        crowd->moves += after.stats.migrations - before[i].stats.migrations;
        log_info("task %u: %llu permille, %llu moves", i, (unsigned long long)crowd->permille[i],
                 (unsigned long long)(after.stats.migrations - before[i].stats.migrations));
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < count; i++)
        CHECK(finish(crowd->task[i]) == 0);
    store_relaxed(&stop, false);
}

/* A story has time for some 37 trades of places, each of which is worth 13: five that chance puts together. */
static bool is_about(uint64_t permille, uint64_t wanted)
{
    return permille + 70 >= wanted && permille <= wanted + 70;
}

static void equal_shares(unsigned tasks)
{
    struct crowd crowd;
    int priority[TASKS_MAX];

    for (unsigned i = 0; i < tasks; i++)
        priority[i] = 60;
    measure(&crowd, priority, tasks);
    for (unsigned i = 0; i < tasks; i++)
        CHECK(is_about(crowd.permille[i], 1000 * MIN(online_count(), tasks) / tasks));
    /* A trade needs eight slices, on each pair of CPUs; twice as many would be coming and going. */
    CHECK(crowd.moves <= 2 * online_count() * (STORY_NS / (8 * 4 * NS_PER_MS)));
    if (tasks % online_count() == 0)
        CHECK(crowd.moves <= 2 * tasks); /* it came to rest */
}

static void three(void) { equal_shares(3); }
static void four(void) { equal_shares(4); }
static void five(void) { equal_shares(5); }
static void seven(void) { equal_shares(7); }

/* Two heavy tasks and four light ones, nice 6: weights 1024 and 268, so shares of 2 * 1024/3120 and 2 * 268/3120. */
static void weights(void)
{
    static const int priority[] = { 60, 72, 60, 72, 72, 72 };
    struct crowd crowd;

    measure(&crowd, priority, ARRAY_COUNT(priority));
    for (unsigned i = 0; i < ARRAY_COUNT(priority); i++)
        CHECK(is_about(crowd.permille[i], priority[i] == 60 ? 655 : 172));
}

/* All start on one CPU, and may go only later: nobody idles, for each of the others has a task of its own. */
static void crowded(void)
{
    struct crowd crowd;
    struct task *own[8];
    static const int priority[] = { 60, 60, 60, 60, 60 };

    for (unsigned i = 0; i < online_count(); i++)
        own[i] = spawn_on("own", hog, NULL, 60, online_cpu(i));
    measure(&crowd, priority, ARRAY_COUNT(priority));
    store_relaxed(&stop, true); /* who did not run before the crowd had ended has not seen it */
    for (unsigned i = 0; i < online_count(); i++)
        CHECK(finish(own[i]) == 0);
    store_relaxed(&stop, false);
    for (unsigned i = 0; i < crowd.count; i++)
        CHECK(crowd.permille[i] > 250 && crowd.permille[i] < 500); /* 2 CPUs, 7 tasks, two of them pinned */
}

#define LIGHT 30u

/* Thirty on one CPU and two on the other: none of them would change much by going, and half of them has to go. */
static void light(void)
{
    struct task *task[LIGHT], *own[2];
    unsigned gone = 0;

    for (unsigned i = 0; i < 2; i++)
        own[i] = spawn_on("own", hog, NULL, PRIORITY_DEFAULT, online_cpu(1));
    for (unsigned i = 0; i < LIGHT; i++)
        task[i] = spawn_on("light", hog, NULL, PRIORITY_DEFAULT, online_cpu(0));
    for (unsigned i = 0; i < LIGHT; i++)
        CHECK(task_set_affinity(task[i], &cpu_online_mask) == 0);
    CHECK(task_sleep_for(100 * NS_PER_MS) == 0);
    for (unsigned i = 0; i < LIGHT; i++) {
        struct task_snapshot snapshot;

        task_get_snapshot(task[i], &snapshot);
        gone += snapshot.cpu == online_cpu(1);
    }
    CHECK(gone >= 11 && gone <= 17); /* 14 make it even; an eighth of what one CPU has is left alone */
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(own[i]) == 0);
    for (unsigned i = 0; i < LIGHT; i++)
        CHECK(finish(task[i]) == 0);
    store_relaxed(&stop, false);
}

/* Two hogs on the threads of one core, and another core idles: one of the two goes there, though it runs on and on. */
static void active(void)
{
    struct task *task[2];
    struct task_snapshot snapshot[2];
    uint64_t moves = 0;
    struct cpumask mask;

    cpumask_set_all(&mask);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn_on("hog", hog, NULL, PRIORITY_DEFAULT, online_cpu(2 + i));
    cpumask_set_single(&mask, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &mask) == 0);
    CHECK(task_sleep_for(NS_PER_MS) == 0);
    cpumask_set_all(&mask);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(task_set_affinity(task[i], &mask) == 0);
    for (unsigned i = 0; i < 20; i++)
        CHECK(task_sleep_for(5 * NS_PER_MS) == 0); /* an idle CPU looks when it wakes */
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++) {
        task_get_snapshot(task[i], &snapshot[i]);
        CHECK(snapshot[i].state == TASK_RUNNING);
        moves += snapshot[i].stats.migrations;
    }
    /* By the stopper that was asked, or by a thief that saw what it preempted; both CPUs of the core may ask. There
     * is no coming and going in the time of a dozen looks. */
    CHECK(moves >= 1 && moves <= 4);
    CHECK(snapshot[0].cpu / 2 != snapshot[1].cpu / 2);
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
}

const struct kernel_test booted_tests[] = {
    { "three", three }, { "four", four }, { "five", five }, { "seven", seven },
    { "weights", weights }, { "active", active }, { "crowded", crowded },
    { "light", light },     { NULL, NULL },
};

static void run(unsigned cpus, const char *name, unsigned seeds)
{
    booted_machine.step_ns = 1000;
    booted_run_on(cpus, name, "", seeds);
    booted_machine.step_ns = 0;
}

static void three_equal_tasks_on_two_cpus_get_two_thirds_each(void **state)
{
    (void)state;
    run(2, "three", 3);
}

static void tasks_that_fill_the_cpus_evenly_stay_where_they_are(void **state)
{
    (void)state;
    run(2, "four", 3);
    run(4, "four", 3);
}

static void odd_numbers_of_tasks_share_odd_numbers_of_cpus(void **state)
{
    (void)state;
    run(3, "four", 2);
    run(4, "five", 2);
    run(4, "seven", 2);
}

static void weights_count_over_all_cpus(void **state)
{
    (void)state;
    run(2, "weights", 3);
}

static void pinned_tasks_are_counted_and_left(void **state)
{
    (void)state;
    run(2, "crowded", 2);
}

static void many_light_tasks_leave_the_fuller_cpu(void **state)
{
    (void)state;
    run(2, "light", 4);
}

static void a_running_task_leaves_a_crowded_core_for_an_idle_one(void **state)
{
    (void)state;
    booted_machine.threads = 2;
    run(4, "active", 6);
    booted_machine.threads = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_task_leaves_a_crowded_core_for_an_idle_one),
        cmocka_unit_test(three_equal_tasks_on_two_cpus_get_two_thirds_each),
        cmocka_unit_test(tasks_that_fill_the_cpus_evenly_stay_where_they_are),
        cmocka_unit_test(odd_numbers_of_tasks_share_odd_numbers_of_cpus),
        cmocka_unit_test(weights_count_over_all_cpus),
        cmocka_unit_test(pinned_tasks_are_counted_and_left),
        cmocka_unit_test(many_light_tasks_leave_the_fuller_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
