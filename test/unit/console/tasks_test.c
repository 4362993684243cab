/* SPDX-License-Identifier: MIT */
/* core/console/tasks.c: ps and top tell the truth about tasks, also while they are born and die. */
#include "booted.h"
#include "unit.h"
#include "console_test.h"

#include <stdio.h>

#include <sched/event.h>
#include <time/clock.h>

static struct event go;
static _Atomic(bool) stop;

static int wait_for_go(void *arg)
{
    (void)arg;
    return event_wait(&go, TIME_NEVER, WAIT_UNINTERRUPTED);
}

static int spin(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static int live_shortly(void *arg)
{
    (void)arg;
    (void)task_sleep_for(1000);
    return 0;
}

static int breed(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        (void)finish(spawn("mayfly", live_shortly, NULL, 60, NULL));
    return 0;
}

/* The line of ps or top that ends with, or contains, the name. */
static bool line_of(const char *name, char *out, size_t room)
{
    const char *at = strstr(caught, name);

    if (at == NULL)
        return false;
    while (at > caught && at[-1] != '\n')
        at--;
    size_t bytes = MIN((size_t)(strchr(at, '\n') - at), room - 1);

    (void)memcpy(out, at, bytes);
    out[bytes] = '\0';
    return true;
}

static void ps(void)
{
    char line[256], queue[40];

    event_init(&go);
    struct task *task = spawn_on("patient", wait_for_go, NULL, 30, 0);
    struct task_snapshot snapshot;

    WAIT_FOR((task_get_snapshot(task, &snapshot), snapshot.state == TASK_BLOCKED));
    (void)answer("ps");
    CHECK(line_of("patient", line, sizeof line));
    (void)snprintf(queue, sizeof queue, "queue %p", (void *)&go.waiters);
    CHECK(strstr(line, " blocked ") != NULL && strstr(line, queue) != NULL && strstr(line, " fair ") != NULL);
    CHECK(strstr(line, "fair     fair   ") != NULL); /* class and policy */
    CHECK(task_set_priority(task, PRIORITY_REALTIME_LOW) == 0);
    (void)answer("ps");
    CHECK(line_of("patient", line, sizeof line) && strstr(line, " rr     ") != NULL);
    CHECK(task_set_priority(task, PRIORITY_IDLE) == 0);
    (void)answer("ps");
    CHECK(line_of("patient", line, sizeof line) && strstr(line, "idle     idle   ") != NULL);
    CHECK(line_of(" init ", line, sizeof line) && strstr(line, " running ") != NULL);
    event_signal(&go);
    CHECK(finish(task) == 0);
    (void)answer("ps");
    CHECK(strstr(caught, "patient") == NULL); /* it is past its exit */
}

static void churn(void)
{
    struct task *breeder[3];

    event_init(&go);
    struct task *lasting = spawn("lasting", wait_for_go, NULL, 60, NULL);

    for (unsigned i = 0; i < 3; i++)
        breeder[i] = spawn("breeder", breed, NULL, 60, NULL);
    for (unsigned i = 0; i < 5; i++) {
        (void)answer("ps");
        CHECK(strstr(caught, "lasting") != NULL); /* who lives all the while is there */
        (void)task_sleep_for(2000);
    }
    store_relaxed(&stop, true);
    event_signal(&go);
    CHECK(finish(lasting) == 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK(finish(breeder[i]) == 0);
}

static void top(void)
{
    char line[256];
    unsigned percent = 0;

    event_init(&go);
    struct task *hog = spawn_on("hog", spin, NULL, 60, online_cpu(1));
    struct task *idler = spawn("idler", wait_for_go, NULL, 60, NULL);

    (void)answer("top 50 1 1");
    CHECK(line_of("hog", line, sizeof line) && sscanf(line, "%*d %*u %u.", &percent) == 1); /* the first of all */
    CHECK(percent >= 90);
    CHECK(strstr(caught, "idler") == NULL); /* one line was asked for */
    CHECK(strstr(caught, "CPU0 ") != NULL);
    (void)answer("top 10 40 2");
    CHECK(line_of("idler", line, sizeof line) && strstr(line, " 0.0 ") != NULL);
    store_relaxed(&stop, true);
    event_signal(&go);
    CHECK(finish(hog) == 0 && finish(idler) == 0);
}

const struct kernel_test booted_tests[] = { { "ps", ps }, { "churn", churn }, { "top", top }, { NULL, NULL } };

static void ps_says_what_a_task_does_and_waits_on(void **state)
{
    (void)state;
    booted_run("ps", 16);
}

static void ps_walks_over_tasks_that_are_born_and_die(void **state)
{
    (void)state;
    booted_run("churn", 24);
}

static void top_puts_the_busiest_first(void **state)
{
    (void)state;
    booted_run_on(2, "top", "", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ps_says_what_a_task_does_and_waits_on),
        cmocka_unit_test(ps_walks_over_tasks_that_are_born_and_die),
        cmocka_unit_test(top_puts_the_busiest_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
