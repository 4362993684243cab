/* SPDX-License-Identifier: MIT */
/* core/proc/signal_timer.c: alarms come, again and again, and not after they were taken back. */
#include "signal_program.h"
#include "unit.h"

#define PERIOD_US 20

static _Atomic(unsigned) rings;
static _Atomic(uint64_t) first_ns, last_ns;

static void ring(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)info;
    (void)frame;
    CHECK(number == SIGALRM);
    if (load_relaxed(&rings) == 0)
        store_relaxed(&first_ns, clock_ns());
    store_relaxed(&last_ns, clock_ns());
    (void)fetch_add_relaxed(&rings, 1);
}

static intptr_t set(uintptr_t area, int64_t period_us, int64_t value_us, int64_t old[4])
{
    const int64_t timer[4] = { 0, period_us, 0, value_us };

    put(area, timer, sizeof timer);
    intptr_t result = sys(SYS_setitimer, 0, area, area + 64, 0);

    get(old, area + 64, 4 * sizeof *old);
    return result;
}

static void rings_often(uintptr_t area)
{
    int64_t old[4];
    uint64_t begun_ns = clock_ns();

    CHECK(handle(area, SIGALRM, (uintptr_t)ring, SA_SIGINFO, 0) == 0);
    CHECK(set(area, PERIOD_US, 50, old) == 0 && old[1] == 0 && old[3] == 0);
    while (load_relaxed(&rings) < 5)
        CHECK(suspend(area, 0) == -EINTR);
    CHECK(load_relaxed(&first_ns) - begun_ns >= 50 * NS_PER_US);
    CHECK(load_relaxed(&last_ns) - begun_ns >= (50 + 4 * PERIOD_US) * NS_PER_US);
    CHECK(set(area, 0, 0, old) == 0 && old[1] == PERIOD_US && old[3] >= 1 && old[3] <= PERIOD_US);
    unsigned heard = load_relaxed(&rings);

    host_compute(5 * PERIOD_US * NS_PER_US);
    CHECK(load_relaxed(&rings) == heard);
    CHECK(set(area, 0, 1000000, old) == -EINVAL);
    CHECK(sys(SYS_getitimer, 3, area, 0, 0) == -EINVAL);
    CHECK(set(area, PERIOD_US, PERIOD_US, old) == 0); /* it ends while it is armed */
    for (;;)
        (void)sys(SYS_kill, (uintptr_t)process_current()->pid, SIGKILL, 0, 0);
}

static void alarms(void)
{
    struct process *process = NULL;
    struct begun begun;

    store_relaxed(&rings, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    struct task *task = program_thread(process, rings_often, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGKILL);
}

/* Nobody handles it: the end. */
static void dies(uintptr_t area)
{
    int64_t old[4];

    CHECK(set(area, 0, 30, old) == 0);
    for (;;)
        CHECK(suspend(area, 0) == -EINTR);
}

static void an_alarm_ends_it(void)
{
    struct process *process = NULL;
    struct begun begun;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    struct task *task = program_thread(process, dies, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGALRM);
}

const struct kernel_test booted_tests[] = {
    { "alarms", alarms },
    { "ends", an_alarm_ends_it },
    { NULL, NULL },
};

static void alarms_are_not_early_and_stop(void **state)
{
    (void)state;
    booted_run("alarms", 16);
}

static void an_alarm_that_nobody_handles_is_the_end(void **state)
{
    (void)state;
    booted_run("ends", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alarms_are_not_early_and_stop),
        cmocka_unit_test(an_alarm_that_nobody_handles_is_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
