/* SPDX-License-Identifier: MIT */
/* Exit, join, kill and reclaim. */
#include <k/errno.h>
#include <proc/id.h>
#include <time/clock.h>

#include "check.h"

static int return_arg(void *arg)
{
    return (int)(intptr_t)arg;
}

static int exit_early(void *arg)
{
    task_exit((int)(intptr_t)arg);
}

static void both_ways_of_exit_give_the_code(void)
{
    for (int code = -2; code <= 300; code += 151) {
        CHECK(finish(spawn("returns", return_arg, (void *)(intptr_t)code, PRIORITY_DEFAULT, NULL)) == code);
        CHECK(finish(spawn("exits", exit_early, (void *)(intptr_t)code, PRIORITY_DEFAULT, NULL)) == code);
    }
}

static void join_of_oneself_is_refused(void)
{
    CHECK(task_join(current_task(), NULL, TIME_NEVER) == -EDEADLK);
}

static int sleep_until_killed(void *arg)
{
    (void)arg;
    while (task_sleep_for(3600 * NS_PER_SEC) == 0)
        continue;
    CHECK(task_is_killed());
    CHECK(task_sleep_for(1) == -EINTR); /* from now on every killable wait ends at once */
    return 99;
}

static void join_can_time_out(void)
{
    struct task *task = spawn("sleeper", sleep_until_killed, NULL, PRIORITY_DEFAULT, NULL);
    uint64_t start = clock_ns();

    if (task == NULL)
        return;
    CHECK(task_join(task, NULL, start + 2 * NS_PER_MS) == -ETIMEDOUT);
    CHECK(clock_ns() >= start + 2 * NS_PER_MS);
    CHECK(task_kill(task) == 0);
    CHECK(finish(task) == 99);
}

static void kill_of_a_dead_task_is_refused(void)
{
    struct task *task = spawn("dies", return_arg, NULL, PRIORITY_DEFAULT, NULL);
    tid_t tid = task != NULL ? task->tid : 0;
    int code = 0;

    if (task == NULL)
        return;
    CHECK(task_join(task, &code, TIME_NEVER) == 0);
    reaper_wait_pass(); /* it is off its CPU now */
    CHECK(task_kill(task) == -ESRCH);
    CHECK(!task_wake(task)); /* waking it is harmless */
    task_put(task);
    CHECK(task_lookup(tid) == NULL);
}

static struct task *joined;

static int join_it(void *arg)
{
    int code = -1;

    (void)arg;
    CHECK(task_join(joined, &code, TIME_NEVER) == 0);
    return code;
}

static void several_can_join_one(void)
{
    struct task *joiner[8];

    joined = spawn("joined", sleep_until_killed, NULL, PRIORITY_DEFAULT, NULL);
    if (joined == NULL)
        return;
    for (unsigned i = 0; i < ARRAY_COUNT(joiner); i++)
        joiner[i] = spawn("joiner", join_it, NULL, PRIORITY_DEFAULT, NULL);
    (void)task_sleep_for(NS_PER_MS);
    CHECK(task_kill(joined) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(joiner); i++)
        CHECK(finish(joiner[i]) == 99);
    CHECK(finish(joined) == 99);
}

static int create_many(void *arg)
{
    unsigned count = (unsigned)(uintptr_t)arg;
    const struct task_spec spec = {
        .name = "short",
        .entry = return_arg,
        .arg = (void *)1,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = PRIORITY_DEFAULT,
    };

    for (unsigned i = 0; i < count; i++) {
        struct task *task = NULL;
        bool watched = i % 2 == 0;

        if (!CHECK(task_create(&spec, watched ? &task : NULL) > 0))
            return 1;
        if (watched)
            CHECK(finish(task) == 1);
    }
    return 0;
}

static void a_storm_of_short_lives_leaves_nothing(void)
{
    struct task *creator[8];
    unsigned creators = MIN(online_count() + 1, (unsigned)ARRAY_COUNT(creator));
    uint64_t tasks = count_tasks();

    for (unsigned i = 0; i < creators; i++)
        creator[i] = spawn("creator", create_many, (void *)400, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < creators; i++)
        CHECK(finish(creator[i]) == 0);
    wait_for_tasks(tasks);
}

static _Atomic(bool) stop;
static _Atomic(uint64_t) lookups_hit;

static int look_up_all(void *arg)
{
    tid_t tid = 1;

    (void)arg;
    while (!load_relaxed(&stop)) {
        struct task *task = task_lookup(tid);

        if (task != NULL) {
            CHECK(task->tid == tid);
            (void)task_wake(task); /* of a task in any state: harmless */
            task_put(task);
            (void)fetch_add_relaxed(&lookups_hit, 1);
        }
        tid = tid % 8192 + 1;
        if (tid == 1)
            task_yield();
    }
    return 0;
}

static void looking_up_while_tasks_die_is_safe(void)
{
    uint64_t tasks = count_tasks();

    store_relaxed(&stop, false);
    store_relaxed(&lookups_hit, 0);
    struct task *reader = spawn("reader", look_up_all, NULL, PRIORITY_DEFAULT, NULL);
    struct task *creator[2];

    for (unsigned i = 0; i < 2; i++)
        creator[i] = spawn("creator", create_many, (void *)300, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(creator[i]) == 0);
    WAIT_FOR(load_relaxed(&lookups_hit) > 0);
    store_relaxed(&stop, true);
    CHECK(finish(reader) == 0);
    wait_for_tasks(tasks);
}

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

/* A CPU that never switches, without a tick, must not hold up a grace period for ever. */
static void a_busy_cpu_does_not_hold_up_reclaim(void)
{
    struct proc_stats before, after;
    unsigned cpus = online_count();
    struct task *busy = NULL;

    store_relaxed(&stop, false);
    if (cpus > 1)
        busy = spawn_on("busy", hog, NULL, PRIORITY_REALTIME_LOW, online_cpu(cpus - 1));
    proc_stats_get(&before);
    CHECK(finish(spawn("victim", return_arg, (void *)3, PRIORITY_DEFAULT, NULL)) == 3);
    WAIT_FOR((proc_stats_get(&after), after.tasks_alive == before.tasks_alive));
    CHECK(after.tasks_reclaimed == before.tasks_reclaimed + 1);
    store_relaxed(&stop, true);
    if (busy != NULL)
        (void)finish(busy);
}

static int die_alone(void *arg)
{
    (void)arg;
    return task_sleep_for(NS_PER_MS) == 0 ? 0 : 1;
}

static void a_held_reference_keeps_the_memory(void)
{
    struct task *task = spawn("held", die_alone, NULL, PRIORITY_DEFAULT, NULL);
    struct proc_stats stats;

    if (task == NULL)
        return;
    CHECK(task_join(task, NULL, TIME_NEVER) == 0);
    proc_reclaim_all();
    proc_stats_get(&stats);
    CHECK(task->has_exited && task->state == TASK_DEAD); /* still readable */
    uint64_t alive = stats.tasks_alive;

    task_put(task);
    proc_reclaim_all();
    proc_stats_get(&stats);
    CHECK(stats.tasks_alive == alive - 1);
}

static int killed_before_it_runs(void *arg)
{
    (void)arg;
    return task_sleep_for(3600 * NS_PER_SEC) == -EINTR ? 42 : 1;
}

static void kill_against_create(void)
{
    for (unsigned i = 0; i < 50; i++) {
        struct task *task = spawn("victim", killed_before_it_runs, NULL, PRIORITY_DEFAULT, NULL);

        if (task == NULL)
            return;
        int result = task_kill(task);

        CHECK(result == 0);
        CHECK(finish(task) == 42);
    }
}

const struct kernel_test tests_exit[] = {
    { "exit by return and by call give the code", both_ways_of_exit_give_the_code },
    { "exit: joining oneself is refused", join_of_oneself_is_refused },
    { "exit: a join can time out, a kill ends a sleep", join_can_time_out },
    { "exit: killing a dead task is refused", kill_of_a_dead_task_is_refused },
    { "exit: several tasks can join one", several_can_join_one },
    { "exit: a storm of short lives leaves nothing", a_storm_of_short_lives_leaves_nothing },
    { "exit: looking up by tid while tasks die is safe", looking_up_while_tasks_die_is_safe },
    { "exit: a busy CPU does not hold up reclaim", a_busy_cpu_does_not_hold_up_reclaim },
    { "exit: a held reference keeps the memory", a_held_reference_keeps_the_memory },
    { "exit: kill against create", kill_against_create },
    { NULL, NULL },
};
