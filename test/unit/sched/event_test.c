/* SPDX-License-Identifier: MIT */
/* core/sched/event.c: a signal lets one wait through, now or later; signals with nobody waiting are one. */
#include "booted.h"
#include "unit.h"

#include <string.h>

#include <k/errno.h>
#include <sched/event.h>
#include <time/clock.h>

#define WAITERS 4
#define SIGNALS 40

static struct event event = EVENT_INIT(event);

static void alone(void)
{
    CHECK(event_wait(&event, 0, WAIT_KILLABLE) == -ETIMEDOUT);
    for (unsigned i = 0; i < 3; i++)
        event_signal(&event);
    CHECK(event_wait(&event, TIME_NEVER, WAIT_KILLABLE) == 0);
    CHECK(event_wait(&event, clock_ns() + 5000, WAIT_UNINTERRUPTED) == -ETIMEDOUT); /* three were one */
    event_signal(&event);
    event_init(&event);
    CHECK(event_wait(&event, 0, WAIT_KILLABLE) == -ETIMEDOUT);
}

static int wait_once(void *arg)
{
    (void)arg;
    return -event_wait(&event, TIME_NEVER, WAIT_KILLABLE);
}

/* With as many waiters as signals, each signal lets exactly one through, the oldest. */
static void one_each(void)
{
    struct task *task[WAITERS];

    for (unsigned i = 0; i < WAITERS; i++) {
        task[i] = spawn("waiter", wait_once, NULL, i % 2 == 0 ? 60 : 10, NULL);
        WAIT_FOR(is_blocked(task[i]));
    }
    CHECK(task_kill(task[1]) == 0);
    CHECK(finish(task[1]) == EINTR);
    for (unsigned i = 0; i < WAITERS; i++) {
        if (i == 1)
            continue;
        event_signal(&event);
        CHECK(finish(task[i]) == 0);
        for (unsigned j = i + 1; j < WAITERS; j++)
            CHECK(j == 1 || is_blocked(task[j]));
    }
    CHECK(event_wait(&event, 0, WAIT_KILLABLE) == -ETIMEDOUT);
}

/* Timeouts race with signals: a signal is neither lost nor seen twice. */
static _Atomic(unsigned) got;
static _Atomic(bool) stop;

static int collect(void *arg)
{
    uint64_t random = booted_seed() * 7 + (uintptr_t)arg;

    while (!load_acquire(&stop)) {
        int result = event_wait(&event, clock_ns() + random_next(&random) % 3000, WAIT_KILLABLE);

        CHECK(result == 0 || result == -ETIMEDOUT);
        if (result == 0)
            (void)fetch_add_acq_rel(&got, 1);
    }
    return 0;
}

static void race(void)
{
    uint64_t random = booted_seed();
    struct task *task[WAITERS];

    for (uintptr_t i = 0; i < WAITERS; i++)
        task[i] = spawn("collector", collect, (void *)i, i % 2 == 0 ? 60 : 10, NULL);
    for (unsigned i = 0; i < SIGNALS; i++) {
        event_signal(&event);
        WAIT_FOR(load_acquire(&got) == i + 1); /* so that no two signals become one */
        if (random_next(&random) % 2 == 0)
            (void)task_sleep_for(random_next(&random) % 3000);
    }
    store_release(&stop, true);
    for (unsigned i = 0; i < WAITERS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_acquire(&got) == SIGNALS && !event.is_set && list_is_empty(&event.waiters.waiters));
}

/* The event lies on the waiter's stack, and is gone as soon as the waiter is: the signaller must not touch it then. */
static int signal_it(void *arg)
{
    event_signal(arg);
    return 0;
}

static NOINLINE void wait_on_stack(void)
{
    struct event local = EVENT_INIT(local);
    struct task *task = spawn("signaller", signal_it, &local, 60, NULL);

    CHECK(event_wait(&local, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    memset(&local, 0xa5, sizeof local);
    CHECK(finish(task) == 0);
}

static void short_lived(void)
{
    for (unsigned i = 0; i < 10; i++)
        wait_on_stack();
}

const struct kernel_test booted_tests[] = {
    { "alone", alone }, { "one-each", one_each }, { "race", race }, { "short-lived", short_lived }, { NULL, NULL },
};

static void signals_without_a_waiter_are_one(void **state)
{
    (void)state;
    booted_run("alone", 16);
}

static void each_signal_lets_the_oldest_waiter_through(void **state)
{
    (void)state;
    booted_run("one-each", 80);
}

static void no_signal_is_lost_or_seen_twice(void **state)
{
    (void)state;
    booted_run("race", 80);
}

static void an_event_may_go_as_soon_as_its_waiter_returns(void **state)
{
    (void)state;
    booted_run("short-lived", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_without_a_waiter_are_one),
        cmocka_unit_test(each_signal_lets_the_oldest_waiter_through),
        cmocka_unit_test(no_signal_is_lost_or_seen_twice),
        cmocka_unit_test(an_event_may_go_as_soon_as_its_waiter_returns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
