/* SPDX-License-Identifier: MIT */
/* core/sched/completion.c: each completion lets one wait through, before or after; one of all lets all through. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <sched/completion.h>
#include <time/clock.h>

#define WAITERS 5
#define ROUNDS 12

static struct completion completion = COMPLETION_INIT(completion);
static _Atomic(unsigned) through;

static void alone(void)
{
    CHECK(completion_wait(&completion, 0, WAIT_KILLABLE) == -ETIMEDOUT);
    completion_done(&completion);
    completion_done(&completion);
    CHECK(completion_try_wait(&completion));
    CHECK(completion_wait(&completion, 0, WAIT_UNINTERRUPTED) == 0);
    CHECK(!completion_try_wait(&completion)); /* two were two */
    completion_done_all(&completion);
    completion_done(&completion);
    for (unsigned i = 0; i < 3; i++)
        CHECK(completion_try_wait(&completion) && completion_wait(&completion, 0, WAIT_KILLABLE) == 0);
    completion_reset(&completion);
    CHECK(!completion_try_wait(&completion));
}

static int wait_once(void *arg)
{
    (void)arg;
    int result = completion_wait(&completion, TIME_NEVER, WAIT_KILLABLE);

    if (result == 0)
        (void)fetch_add_relaxed(&through, 1);
    return -result;
}

static void one_each(void)
{
    struct task *task[WAITERS];

    for (unsigned i = 0; i < WAITERS; i++) {
        task[i] = spawn("waiter", wait_once, NULL, i % 2 == 0 ? 60 : 10, NULL);
        WAIT_FOR(is_blocked(task[i]));
    }
    CHECK(task_kill(task[1]) == 0 && finish(task[1]) == EINTR);
    completion_done(&completion);
    CHECK(finish(task[0]) == 0 && load_relaxed(&through) == 1);
    for (unsigned i = 2; i < WAITERS; i++)
        CHECK(is_blocked(task[i]));
    completion_done_all(&completion);
    for (unsigned i = 2; i < WAITERS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&through) == WAITERS - 1);
    completion_init(&completion);
}

static int wait_often(void *arg)
{
    uint64_t random = booted_seed() * WAITERS + (uintptr_t)arg + 1;
    int got = 0;

    for (unsigned i = 0; i < ROUNDS; i++)
        got += completion_wait(&completion, clock_ns() + random_next(&random) % 4000, WAIT_KILLABLE) == 0;
    return got;
}

/* As many waits are let through as were completed, and what is left is counted. */
static void crowd(void)
{
    struct task *task[WAITERS];
    unsigned got = 0;
    unsigned given = 0;
    uint64_t random = booted_seed() + 99;

    for (uintptr_t i = 0; i < WAITERS; i++)
        task[i] = spawn("often", wait_often, (void *)i, 10 + 10 * (int)i, NULL);
    for (; given < WAITERS * ROUNDS / 2; given++) {
        completion_done(&completion);
        (void)task_sleep_for(random_next(&random) % 2000);
    }
    for (unsigned i = 0; i < WAITERS; i++)
        got += (unsigned)finish(task[i]);
    CHECK(completion.done == given - got && list_is_empty(&completion.waiters.waiters));
}

static int complete_it(void *arg)
{
    if (booted_seed() % 2 == 0)
        completion_done(arg);
    else
        completion_done_all(arg);
    return 0;
}

/* On the stack of its waiter, and gone when that goes on. */
static NOINLINE void wait_on_stack(void)
{
    struct completion mine = COMPLETION_INIT(mine);
    struct task *task = spawn("completer", complete_it, &mine, PRIORITY_DEFAULT, NULL);

    CHECK(completion_wait(&mine, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    mine.waiters.lock.word = 0x5a5a5a5a; /* whoever touches it now hangs, or panics */
    mine.waiters.lock.rank = 0x5a;
    CHECK(finish(task) == 0);
}

static void vanishes(void)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        wait_on_stack();
}

const struct kernel_test booted_tests[] = {
    { "alone", alone }, { "one-each", one_each }, { "crowd", crowd }, { "vanishes", vanishes }, { NULL, NULL },
};

static void it_counts_and_all_stays(void **state)
{
    (void)state;
    booted_run("alone", 8);
}

static void one_lets_the_oldest_through_and_all_everybody(void **state)
{
    (void)state;
    booted_run("one-each", 80);
}

static void none_is_lost_to_a_deadline(void **state)
{
    (void)state;
    booted_run("crowd", 150);
}

static void its_waiter_may_free_it(void **state)
{
    (void)state;
    booted_run("vanishes", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_and_all_stays),
        cmocka_unit_test(one_lets_the_oldest_through_and_all_everybody),
        cmocka_unit_test(none_is_lost_to_a_deadline),
        cmocka_unit_test(its_waiter_may_free_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
