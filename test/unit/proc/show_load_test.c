/* SPDX-License-Identifier: MIT */
/* core/proc/show_load.c: averages as getloadavg(3) has them, by numbers and by a task that runs. */
#include "show_file.h"

#include <hal/cpu.h>
#include <k/errno.h>
#include <lib/string.h>
#include <proc/show.h>
#include <time/clock.h>

/* exp(-t) in steps of five seconds: after one minute of one task 1 - 1/e, and at last all of it, both ways. */
static void load_test(void)
{
    static const unsigned steps[LOAD_AVERAGES] = { 12, 60, 180 };

    for (unsigned i = 0; i < LOAD_AVERAGES; i++) {
        uint32_t average = 0;

        for (unsigned step = 0; step < steps[i]; step++)
            average = load_next(i, average, 1);
        CHECK(average > 41000 && average < 41800); /* 0.632 of 65536 is 41427 */
        for (unsigned step = 0; step < 40 * steps[i]; step++)
            average = load_next(i, average, 1);
        CHECK(average == 65536);
        for (unsigned step = 0; step < 40 * steps[i]; step++)
            average = load_next(i, average, 0);
        CHECK(average == 0);
        CHECK(load_next(i, UINT32_MAX, 65535) >= 65535u << 16); /* nothing wraps */
    }
}

#define STEP_NS (5 * NS_PER_SEC)
#define AROUND_NS (100 * NS_PER_US)

/* It runs around the moments at which samples are taken, and the machine has nothing else to do. */
static int run_around(void *arg)
{
    const uint64_t *begin_ns = arg;

    for (unsigned step = 1; step <= 12; step++) {
        uint64_t due_ns = *begin_ns + step * STEP_NS;

        CHECK(task_sleep_for(due_ns - AROUND_NS - clock_ns()) == 0);
        while (clock_ns() < due_ns + AROUND_NS)
            hal_cpu_relax();
    }
    return 0;
}

/* A minute of one task that runs: what is shown is its share of that. Then it falls. */
static void averages_test(void)
{
    CHECK(memcmp(shown("/proc/loadavg"), "0.00 0.00 0.00 ", 15) == 0);
    uint64_t begin_ns = clock_ns();

    show_load_begin();
    CHECK(finish(spawn("runner", run_around, &begin_ns, 60, NULL)) == 0);
    if (!CHECK(memcmp(shown("/proc/loadavg"), "0.63 0.18 0.06 ", 15) == 0))
        log_error("%s", text);
    CHECK(task_sleep_for(12 * STEP_NS) == 0);
    CHECK(memcmp(shown("/proc/loadavg"), "0.23 0.14 0.06 ", 15) == 0);
}

const struct kernel_test booted_tests[] = { { "load", load_test }, { "averages", averages_test }, { NULL, NULL } };

static void averages_follow_the_tasks_that_run(void **state)
{
    (void)state;
    booted_run("load", 1);
    booted_run("averages", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(averages_follow_the_tasks_that_run) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
