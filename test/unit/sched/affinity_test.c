/* SPDX-License-Identifier: MIT */
/*
 * core/sched/affinity.c: a mask holds when the call returns, whatever the task does. Changes from outside, together
 * with those of priority, are in policy_test.c.
 */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <time/clock.h>

static int move_about(void *arg)
{
    uint64_t random = booted_seed() * 3 + (uintptr_t)arg;

    for (unsigned i = 0; i < 15; i++) {
        struct cpumask mask;

        random_online_mask(&random, &mask);
        CHECK(task_set_affinity(current_task(), &mask) == 0);
        for (unsigned j = 0; j < 3; j++) {
            preempt_disable();
            CHECK(cpumask_contains(&mask, this_cpu_id()));
            preempt_enable();
            task_yield();
        }
    }
    return 0;
}

static void own_mask(void)
{
    struct task *task[4];

    for (uintptr_t i = 0; i < 4; i++)
        task[i] = spawn("moving", move_about, (void *)i, i == 0 ? 10 : 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void refusals(void)
{
    struct task *task = spawn("short", nothing, NULL, 60, NULL);
    struct task_snapshot snapshot = { 0 };
    struct cpumask offline;

    cpumask_set_single(&offline, CPU_MAX - 1);
    CHECK(task_set_affinity(current_task(), &offline) == -EINVAL);
    cpumask_clear(&offline);
    CHECK(task_set_affinity(current_task(), &offline) == -EINVAL);
    WAIT_FOR((task_get_snapshot(task, &snapshot), snapshot.state == TASK_DEAD));
    cpumask_set_all(&offline);
    CHECK(task_set_affinity(task, &offline) == -ESRCH);
    (void)finish(task);
}

const struct kernel_test booted_tests[] = {
    { "own-mask", own_mask },
    { "refusals", refusals },
    { NULL, NULL },
};

static void a_task_that_changes_its_own_mask_goes_on_inside_it(void **state)
{
    (void)state;
    booted_run("own-mask", 150);
}

static void masks_without_an_online_cpu_and_dead_tasks_are_refused(void **state)
{
    (void)state;
    booted_run("refusals", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_changes_its_own_mask_goes_on_inside_it),
        cmocka_unit_test(masks_without_an_online_cpu_and_dead_tasks_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
