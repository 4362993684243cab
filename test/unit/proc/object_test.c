/* SPDX-License-Identifier: MIT */
/* core/proc/object.c: the counts of a task's life, and memory that outlives the last reference by a grace period. */
#include "booted.h"
#include "unit.h"

#include <proc/id.h>
#include <proc/task.h>

#define TASKS 10

static struct proc_stats stats(void)
{
    struct proc_stats now;

    proc_stats_get(&now);
    return now;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Each created task is alive until it is reclaimed, and that happens only after its last reference went. */
static void counts(void)
{
    struct task *task[TASKS];

    proc_reclaim_all();
    struct proc_stats before = stats();

    for (unsigned i = 0; i < TASKS; i++)
        task[i] = spawn("counted", nothing, NULL, 60, NULL);
    CHECK(stats().tasks_created == before.tasks_created + TASKS);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(task_join(task[i], NULL, TIME_NEVER) == 0);
    proc_reclaim_all();
    CHECK(stats().tasks_alive == before.tasks_alive + TASKS); /* held: their objects stay, and their ids */
    CHECK(stats().tasks_reclaimed == before.tasks_reclaimed);
    for (unsigned i = 0; i < TASKS; i++) {
        CHECK(task[i]->exit_code == 0 && task[i]->state == TASK_DEAD);
        CHECK(task_lookup(task[i]->tid) == NULL);
    }
    for (unsigned i = 0; i < TASKS; i++) {
        if (i % 2 == 0) {
            task_get(task[i]);
            task_put(task[i]);
        }
        task_put(task[i]);
        proc_reclaim_all();
        CHECK(stats().tasks_alive == before.tasks_alive + TASKS - 1 - i);
        CHECK(stats().tasks_reclaimed == before.tasks_reclaimed + i + 1);
    }
}

/* A reader that found a task by its number may look at it until the end of its section, whoever drops it meanwhile. */
static _Atomic(tid_t) current_tid;
static _Atomic(bool) stop;

static int look_up(void *arg)
{
    unsigned found = 0;

    (void)arg;
    while (!load_relaxed(&stop)) {
        tid_t tid = load_relaxed(&current_tid);
        struct task *task = task_lookup(tid);

        if (task == NULL) {
            task_yield();
            continue;
        }
        found++;
        CHECK(task->tid == tid && load_relaxed(&task->refs) > 0 && task->name[0] == 'p');
        task_put(task); /* perhaps the last one */
        task_yield();
    }
    return (int)found;
}

static int publish_self(void *arg)
{
    (void)arg;
    store_relaxed(&current_tid, current_task()->tid);
    for (unsigned i = 0; i < 20; i++)
        hal_cpu_relax();
    return 0;
}

static void lookups(void)
{
    struct task *reader[3];

    for (unsigned i = 0; i < ARRAY_COUNT(reader); i++)
        reader[i] = spawn("reader", look_up, NULL, 60, NULL);
    for (unsigned i = 0; i < 30; i++)
        CHECK(finish(spawn("published", publish_self, NULL, 60, NULL)) == 0);
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < ARRAY_COUNT(reader); i++)
        CHECK(finish(reader[i]) >= 0);
}

const struct kernel_test booted_tests[] = { { "counts", counts }, { "lookups", lookups }, { NULL, NULL } };

static void objects_live_until_their_last_reference(void **state)
{
    (void)state;
    booted_run("counts", 60);
}

static void a_looked_up_task_is_whole_whoever_drops_it(void **state)
{
    (void)state;
    booted_run("lookups", 160);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_live_until_their_last_reference),
        cmocka_unit_test(a_looked_up_task_is_whole_whoever_drops_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
