/* SPDX-License-Identifier: MIT */
/*
 * core/sched/waitq.c: each wait ends for exactly one reason, none is lost, the oldest is first,
 * deadlines are not early.
 */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <time/clock.h>

#define TASKS 6

static struct waitq queue = WAITQ_INIT(queue);
static unsigned tokens; /* guarded by queue.lock */

/* Wakers, timeouts and kills race for the same waiters. Every token is taken once; a wait says which of
 * the three it was. */

static _Atomic(unsigned) taken;
static _Atomic(unsigned) timed_out;
static _Atomic(unsigned) given;

static int take_tokens(void *arg)
{
    uint64_t random = booted_seed() * 31 + (uintptr_t)arg;

    for (unsigned i = 0; i < 8; i++) {
        bool hurry = random_next(&random) % 2 == 0;
        uint64_t deadline = hurry ? clock_ns() + random_next(&random) % 8000 : TIME_NEVER;
        int result = waitq_wait_until(&queue, tokens > 0 && tokens-- > 0, deadline, WAIT_KILLABLE);

        if (result == 0) {
            (void)fetch_add_relaxed(&taken, 1);
        } else if (result == -ETIMEDOUT) {
            CHECK(hurry && clock_ns() >= deadline);
            (void)fetch_add_relaxed(&timed_out, 1);
        } else {
            CHECK(result == -EINTR && task_is_killed());
            return 1;
        }
    }
    return 0;
}

static void give_token(void) NO_LOCK_ANALYSIS
{
    uintptr_t state = waitq_enter(&queue);

    tokens++;
    (void)waitq_wake_locked(&queue, 1);
    waitq_leave(&queue, true, state);
    (void)fetch_add_relaxed(&given, 1);
}

static void race(void)
{
    uint64_t random = booted_seed() + 1000;
    struct task *task[TASKS];
    unsigned alive = TASKS;

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("taker", take_tokens, (void *)i, i % 3 == 0 ? 10 : 60, NULL);
    while (alive > 0) {
        unsigned before = alive;

        if (random_next(&random) % 40 == 0)
            (void)task_kill(task[random_next(&random) % TASKS]);
        else
            give_token();
        if (random_next(&random) % 2 == 0)
            (void)task_sleep_for(random_next(&random) % 4000);
        else
            task_yield();
        alive = 0;
        for (unsigned i = 0; i < TASKS; i++)
            alive += task_join(task[i], NULL, 0) == -ETIMEDOUT;
        CHECK(alive <= before);
    }
    for (unsigned i = 0; i < TASKS; i++)
        task_put(task[i]);
    CHECK(load_relaxed(&taken) + tokens == load_relaxed(&given));
    CHECK(list_is_empty(&queue.waiters));
}

/* Order. */

static int wait_in_line(void *arg)
{
    uintptr_t state = waitq_enter(&queue);
    int result = waitq_wait_locked(&queue, TIME_NEVER, WAIT_UNINTERRUPTED);

    waitq_leave(&queue, false, state);
    CHECK(result == 0);
    return (int)(intptr_t)arg;
}

static void line(void)
{
    struct task *task[TASKS];

    CHECK(waitq_wake(&queue, 3) == 0); /* nobody: not remembered */
    for (uintptr_t i = 0; i < TASKS; i++) {
        task[i] = spawn("line", wait_in_line, (void *)i, i % 2 == 0 ? 60 : 0, NULL);
        WAIT_FOR(is_blocked(task[i]));
    }
    CHECK(waitq_wake(&queue, 0) == 0);
    CHECK(waitq_wake(&queue, 1) == 1);
    CHECK(finish(task[0]) == 0);
    CHECK(is_blocked(task[1]) && is_blocked(task[5]));
    CHECK(waitq_wake(&queue, 2) == 2);
    CHECK(finish(task[1]) == 1 && finish(task[2]) == 2);
    CHECK(is_blocked(task[3]) && is_blocked(task[4]) && is_blocked(task[5]));
    CHECK(waitq_wake_all(&queue) == 3);
    for (int i = 3; i < TASKS; i++)
        CHECK(finish(task[i]) == i);
    CHECK(waitq_wake_all(&queue) == 0);
}

/* Deadlines. */

static void deadlines(void)
{
    uint64_t random = booted_seed() + 3;

    for (unsigned i = 0; i < 20; i++) {
        uint64_t start = clock_ns();
        uint64_t length = random_next(&random) % (i % 2 == 0 ? 1000 : 3000000);

        if (i % 4 < 2) {
            CHECK(task_sleep_until(start + length) == 0);
        } else {
            uintptr_t state = waitq_enter(&queue);

            CHECK(waitq_wait_locked(&queue, start + length, WAIT_UNINTERRUPTED) == -ETIMEDOUT);
            waitq_leave(&queue, false, state);
        }
        uint64_t end = clock_ns();

        CHECK(end >= start + length);
        CHECK(end - start - length < 100 * NS_PER_US); /* virtual time: an interrupt and a few switches */
    }
    CHECK(task_sleep_until(0) == 0);
    CHECK(waitq_wait_until(&queue, true, 0, WAIT_KILLABLE) == 0); /* what holds already needs no wait */
    CHECK(waitq_wait_until(&queue, false, 0, WAIT_KILLABLE) == -ETIMEDOUT);
}

/* Kills. */

static int be_killed(void *arg)
{
    (void)arg;
    CHECK(task_sleep_until(TIME_NEVER) == -EINTR);
    /* From now on every killable wait ends at once, an uninterrupted one does not. */
    CHECK(task_sleep_for(NS_PER_SEC) == -EINTR);
    CHECK(waitq_wait_until(&queue, false, TIME_NEVER, WAIT_KILLABLE) == -EINTR);
    CHECK(waitq_wait_until(&queue, false, clock_ns() + 20000, WAIT_UNINTERRUPTED) == -ETIMEDOUT);
    CHECK(task_is_killed());
    return 5;
}

static void kills(void)
{
    uint64_t random = booted_seed() + 9;

    for (unsigned i = 0; i < 6; i++) {
        struct task *task = spawn("victim", be_killed, NULL, 60, NULL);

        (void)task_sleep_for(random_next(&random) % 20000);
        CHECK(task_kill(task) == 0);
        CHECK(finish(task) == 5);
    }
    CHECK(!task_is_killed());
}

const struct kernel_test booted_tests[] = {
    { "race", race }, { "line", line }, { "deadlines", deadlines }, { "kills", kills }, { NULL, NULL },
};

static void each_wait_ends_once_and_no_token_is_lost(void **state)
{
    (void)state;
    booted_run("race", 200);
}

static void waiters_are_woken_oldest_first_and_counted(void **state)
{
    (void)state;
    booted_run("line", 40);
}

static void deadlines_are_kept_and_never_early(void **state)
{
    (void)state;
    booted_run("deadlines", 40);
}

static void a_kill_ends_killable_waits_only_now_and_later(void **state)
{
    (void)state;
    booted_run("kills", 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wait_ends_once_and_no_token_is_lost),
        cmocka_unit_test(waiters_are_woken_oldest_first_and_counted),
        cmocka_unit_test(deadlines_are_kept_and_never_early),
        cmocka_unit_test(a_kill_ends_killable_waits_only_now_and_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
