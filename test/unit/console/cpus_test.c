/* SPDX-License-Identifier: MIT */
/* core/console/cpus.c: sched has a line for each CPU and a sum that adds up; latency shows and forgets. */
#include "booted.h"
#include "unit.h"
#include "console_test.h"

#include <stdio.h>

#include <hal/irq.h>

static unsigned count_lines(const char *text)
{
    unsigned count = 0;

    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void sched(void)
{
    unsigned long long started = 0, died = 0, queued = 0, running = 0, blocked = 0;

    (void)task_sleep_for(200000); /* so that all have idled */
    (void)answer("sched");
    CHECK(strstr(caught, "RUNNING") != NULL && strstr(caught, " init ") != NULL);
    const char *sums = strstr(caught, " started,");

    CHECK(sums != NULL && count_lines(caught) >= online_count() + 2);
    while (sums > caught && sums[-1] != '\n')
        sums--;
    CHECK(sscanf(sums, "%llu started, %llu died, %llu queued, %llu run, %llu blocked", &started, &died, &queued,
                 &running, &blocked) == 5);
    CHECK(started == died + queued + running + blocked && started > 0);
}

static void latency(void)
{
    struct cpumask here;

    cpumask_set_single(&here, 0);
    CHECK(task_set_affinity(current_task(), &here) == 0);
    uintptr_t state = hal_irq_save();

    CHECK(strstr(answer("latency reset"), "usage") == NULL);
    CHECK(strstr(answer("latency"), "CPU 0 timer") == NULL); /* no interrupt has come since */
    hal_irq_restore(state);
    (void)task_sleep_for(50000); /* the timer's interrupt has a handler, which takes some time */
    CHECK(strstr(answer("latency"), "CPU 0 handler") != NULL);
}

const struct kernel_test booted_tests[] = { { "sched", sched }, { "latency", latency }, { NULL, NULL } };

static void sched_shows_each_cpu_and_sums_that_add_up(void **state)
{
    (void)state;
    booted_run("sched", 16);
}

static void latency_shows_what_came_since_the_reset(void **state)
{
    (void)state;
    booted_run("latency", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sched_shows_each_cpu_and_sums_that_add_up),
        cmocka_unit_test(latency_shows_what_came_since_the_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
