/* SPDX-License-Identifier: MIT */
/* core/proc/exit.c: codes reach their joiners, in every order of exit, join, kill and timeout. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <proc/id.h>
#include <proc/task.h>
#include <time/clock.h>

#define JOINERS 3

static int leave_after(void *arg)
{
    uint64_t wait = (uintptr_t)arg % 100 * 100;

    if (wait != 0)
        (void)task_sleep_for(wait);
    if ((uintptr_t)arg % 2 == 0)
        task_exit((int)(uintptr_t)arg);
    return (int)(uintptr_t)arg;
}

struct joiner {
    struct task *target;
    uint64_t patience_ns;
};

/* 0 if all went as it may. */
static int join_it(void *arg)
{
    const struct joiner *joiner = arg;
    int code = -1;
    uint64_t deadline = joiner->patience_ns == TIME_NEVER ? TIME_NEVER : clock_ns() + joiner->patience_ns;
    int result = task_join(joiner->target, &code, deadline);

    if (result == -ETIMEDOUT)
        return deadline != TIME_NEVER && clock_ns() >= deadline && code == -1 ? 0 : 1;
    if (result == -EINTR)
        return task_is_killed() && code == -1 ? 0 : 2;
    return result == 0 && code == joiner->target->exit_code ? 0 : 3;
}

static void joins(void)
{
    uint64_t random = booted_seed() + 21;

    for (unsigned round = 0; round < 6; round++) {
        uintptr_t code = random_next(&random) % 1000;
        struct joiner joiner[JOINERS];
        struct task *joining[JOINERS];
        struct task *target = spawn("target", leave_after, (void *)code, (int)(random_next(&random) % 100), NULL);
        int seen = -1;

        for (unsigned i = 0; i < JOINERS; i++) {
            joiner[i] = (struct joiner){ target, i == 0 ? random_next(&random) % 10000 : TIME_NEVER };
            joining[i] = spawn("joiner", join_it, &joiner[i], 60, NULL);
        }
        if (random_next(&random) % 2 == 0)
            CHECK(task_kill(joining[1]) == 0 || joining[1]->has_exited);
        CHECK(task_join(target, &seen, TIME_NEVER) == 0 && seen == (int)code);
        CHECK(task_join(target, NULL, 0) == 0); /* as often as one likes, and without a wait */
        for (unsigned i = 0; i < JOINERS; i++)
            CHECK(finish(joining[i]) == 0);
        CHECK(list_is_empty(&target->exit_waiters.waiters));
        task_put(target);
    }
}

static void oneself(void)
{
    int code = 5;

    CHECK(task_join(current_task(), &code, TIME_NEVER) == -EDEADLK && code == 5);
}

static int for_ever(void *arg)
{
    (void)arg;
    while (task_sleep_for(NS_PER_SEC) == 0)
        continue;
    return 9;
}

static void impatience(void)
{
    struct task *task = spawn("slow", for_ever, NULL, 60, NULL);
    int code = 5;

    CHECK(task_join(task, &code, 0) == -ETIMEDOUT && code == 5);
    uint64_t deadline = clock_ns() + 50000;

    CHECK(task_join(task, &code, deadline) == -ETIMEDOUT && clock_ns() >= deadline && code == 5);
    CHECK(task_kill(task) == 0);
    CHECK(finish(task) == 9);
}

/* From the first moment of an exit the number finds nobody. */
static void not_found(void)
{
    for (unsigned i = 0; i < 10; i++) {
        struct task *task = spawn("short", leave_after, (void *)1, 60, NULL);
        tid_t tid = task->tid;

        CHECK(task_join(task, NULL, TIME_NEVER) == 0);
        CHECK(task_lookup(tid) == NULL);
        task_put(task);
    }
}

static void exit_preempt_off(void)
{
    preempt_disable();
    task_exit(0);
}

const struct kernel_test booted_tests[] = {
    { "joins", joins },           { "oneself", oneself },
    { "impatience", impatience }, { "not-found", not_found },
    { "exit-preempt-off", exit_preempt_off },
    { NULL, NULL },
};

static void every_joiner_gets_the_code_or_the_reason_why_not(void **state)
{
    (void)state;
    booted_run("joins", 160);
}

static void joining_oneself_is_refused(void **state)
{
    (void)state;
    booted_run("oneself", 8);
}

static void a_join_may_give_up(void **state)
{
    (void)state;
    booted_run("impatience", 24);
}

static void an_exited_task_cannot_be_looked_up(void **state)
{
    (void)state;
    booted_run("not-found", 60);
}

static void exiting_where_sleeping_is_forbidden_panics(void **state)
{
    (void)state;
    booted_panics(2, "exit-preempt-off", "context_can_sleep", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_joiner_gets_the_code_or_the_reason_why_not),
        cmocka_unit_test(joining_oneself_is_refused),
        cmocka_unit_test(a_join_may_give_up),
        cmocka_unit_test(an_exited_task_cannot_be_looked_up),
        cmocka_unit_test(exiting_where_sleeping_is_forbidden_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
