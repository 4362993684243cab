/* SPDX-License-Identifier: MIT */
/* core/proc/create.c: what a created task is, every refusal, and failures at every allocation that leave nothing. */
#include "booted.h"
#include "unit.h"

#include <string.h>

#include <k/errno.h>
#include <mm/fail.h>
#include <mm/kstack.h>
#include <proc/id.h>
#include <proc/task.h>
#include <time/clock.h>

static int answer(void *arg)
{
    return (int)(intptr_t)arg;
}

static struct task_spec good_spec(void)
{
    return (struct task_spec){
        .name = "good", .entry = answer, .arg = (void *)17, .stack_bytes = STACK_BYTES_DEFAULT, .priority = 60,
    };
}

static void refused(const struct task_spec *spec)
{
    struct task *task = (struct task *)&task;
    unsigned ids = id_used_count();

    CHECK(task_create(spec, &task) == -EINVAL);
    CHECK(task_try_create(spec, &task) == -EINVAL);
    CHECK(task == (struct task *)&task && id_used_count() == ids);
}

static void refusals(void)
{
    struct cpumask mask;
    struct task_spec spec = good_spec();

    spec.name = NULL;
    refused(&spec);
    spec.name = "";
    refused(&spec);
    spec = good_spec();
    spec.entry = NULL;
    refused(&spec);
    spec = good_spec();
    spec.stack_bytes = 0;
    refused(&spec);
    spec.stack_bytes = STACK_BYTES_MAX + 1;
    refused(&spec);
    spec.stack_bytes = SIZE_MAX;
    refused(&spec);
    spec = good_spec();
    spec.priority = -1;
    refused(&spec);
    spec.priority = 100;
    refused(&spec);
    spec = good_spec();
    cpumask_clear(&mask);
    spec.affinity = &mask;
    refused(&spec);
    cpumask_add(&mask, CPU_MAX - 1);
    refused(&spec);
    cpumask_add(&mask, online_cpu(0));
    struct task *task = NULL;

    CHECK(task_create(&spec, &task) > 0);
    CHECK(finish(task) == 17);
}

static _Atomic(bool) go;

static int wait_for_go(void *arg)
{
    while (!load_relaxed(&go))
        (void)task_sleep_for(5000);
    return (int)(intptr_t)arg;
}

static void facts(void)
{
    static const size_t stacks[] = { 12000, 16384, 20000, STACK_BYTES_MAX };

    for (int priority = 0; priority <= PRIORITY_IDLE; priority += 11) {
        struct task_spec spec = good_spec();
        struct task *task = NULL;

        store_relaxed(&go, false);
        spec.entry = wait_for_go;
        spec.name = "a name beyond its room";
        spec.priority = priority;
        spec.stack_bytes = stacks[priority / 11 % ARRAY_COUNT(stacks)];
        tid_t tid = task_create(&spec, &task);

        CHECK(tid > 0 && task->tid == tid && task->pid == tid && task->parent_tid == current_task()->tid);
        CHECK(strcmp(task->name, "a name beyond i") == 0);
        CHECK(task->priority == priority);
        CHECK(task->stack_bytes >= spec.stack_bytes && task->stack_bytes < spec.stack_bytes + PAGE_BYTES);
        CHECK(task->stack_bytes % PAGE_BYTES == 0 && task->space == current_task()->space);
        struct task *found = task_lookup(tid); /* reachable from the moment it is registered */

        CHECK(found == task);
        if (found != NULL)
            task_put(found);
        store_relaxed(&go, true);
        CHECK(finish(task) == 17);
    }
}

/* The n-th allocation of a creation fails, for every n: an error, and every count as before. */
static void fail_each_allocation(bool uses_fpu)
{
    uint32_t failed = 0;
    bool fired = true;

    while (fired && failed < 100) {
        struct check_counts before, after;
        struct task_spec spec = good_spec();
        struct task *task = NULL;

        spec.uses_fpu = uses_fpu;
        spec.stack_bytes = booted_seed() % 2 == 0 ? STACK_BYTES_DEFAULT : 3 * STACK_BYTES_DEFAULT;
        check_counts_get(&before);
        mm_fail_at(failed + 1);
        tid_t tid = task_try_create(&spec, &task);

        fired = mm_fail_fired();
        failed += fired;
        CHECK(fired ? tid == -ENOMEM && task == NULL : tid > 0);
        if (tid > 0)
            CHECK(finish(task) == 17);
        check_counts_get(&after);
        CHECK(check_counts_compare(&before, &after) == 0);
    }
    CHECK(failed >= 3 && failed < 100); /* at least object, stack and its mapping; and then it worked */
}

static void failures(void)
{
    fail_each_allocation(false);
    fail_each_allocation(true);
}

/* task_create() asks the reaper for a pass before it gives up, so one failure is none. */
static void second_try(void)
{
    struct task_spec spec = good_spec();
    struct task *task = NULL;

    mm_fail_at(1);
    CHECK(task_create(&spec, &task) > 0);
    CHECK(mm_fail_fired());
    CHECK(finish(task) == 17);
}

/* Out of memory for real: the last creation says so, and everything comes back. */
static void exhaustion(void)
{
    static struct task *task[2000];
    struct task_spec spec = good_spec();
    unsigned count = 0;
    tid_t tid = 0;

    store_relaxed(&go, false);
    spec.entry = wait_for_go;
    spec.stack_bytes = STACK_BYTES_MAX;
    while (count < ARRAY_COUNT(task) && (tid = task_create(&spec, &task[count])) > 0)
        count++;
    CHECK(tid == -ENOMEM && count > 10);
    store_relaxed(&go, true);
    for (unsigned i = 0; i < count; i++)
        CHECK(finish(task[i]) == 17);
}

static int make_children(void *arg)
{
    uint64_t random = booted_seed() * 19 + (uintptr_t)arg;

    for (unsigned i = 0; i < 8; i++) {
        struct task_spec spec = good_spec();
        struct task *task = NULL;
        int code = (int)(random_next(&random) % 1000);

        spec.arg = (void *)(intptr_t)code;
        spec.priority = (int)(random_next(&random) % 100);
        spec.uses_fpu = random_next(&random) % 4 == 0;
        if (random_next(&random) % 3 == 0) {
            CHECK(task_create(&spec, NULL) > 0); /* nobody's: it frees itself */
            continue;
        }
        CHECK(task_create(&spec, &task) > 0);
        CHECK(finish(task) == code);
    }
    return 0;
}

static uint64_t alive(void)
{
    struct proc_stats stats;

    proc_stats_get(&stats);
    return stats.tasks_alive;
}

static void crowd(void)
{
    uint64_t before = alive();
    struct task *task[5];

    for (uintptr_t i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("maker", make_children, (void *)i, 60, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    WAIT_FOR(alive() == before); /* those that nobody waits for may not even have run */
}

const struct kernel_test booted_tests[] = {
    { "refusals", refusals },     { "facts", facts },           { "failures", failures },
    { "second-try", second_try }, { "exhaustion", exhaustion }, { "crowd", crowd },
    { NULL, NULL },
};

static void bad_specs_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    booted_run("refusals", 16);
}

static void a_created_task_is_what_its_spec_says(void **state)
{
    (void)state;
    booted_run("facts", 24);
}

static void a_failure_at_any_allocation_leaves_nothing(void **state)
{
    (void)state;
    booted_run("failures", 16);
}

static void one_failure_is_made_up_for_by_the_second_try(void **state)
{
    (void)state;
    booted_run("second-try", 16);
}

static void memory_may_run_out_and_comes_back(void **state)
{
    (void)state;
    booted_run("exhaustion", 3);
}

static void creations_from_many_tasks_do_not_disturb_each_other(void **state)
{
    (void)state;
    booted_run("crowd", 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_specs_are_refused_and_leave_nothing),
        cmocka_unit_test(a_created_task_is_what_its_spec_says),
        cmocka_unit_test(a_failure_at_any_allocation_leaves_nothing),
        cmocka_unit_test(one_failure_is_made_up_for_by_the_second_try),
        cmocka_unit_test(memory_may_run_out_and_comes_back),
        cmocka_unit_test(creations_from_many_tasks_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
