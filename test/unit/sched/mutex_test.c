/* SPDX-License-Identifier: MIT */
/* core/sched/mutex.c: exclusion, hand-over in order, deadlines and kills, no lost wake-up; and what it refuses. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <sched/mutex.h>
#include <time/clock.h>

#define TASKS 6
#define ROUNDS 5

static struct mutex mutex = MUTEX_INIT(mutex);
static unsigned inside;   /* guarded by mutex */
static unsigned entries;  /* guarded by mutex */

static int enter_often(void *arg)
{
    uint64_t random = booted_seed() * TASKS + (uintptr_t)arg + 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (random_next(&random) % 4 == 0) {
            while (!mutex_try_lock(&mutex))
                (void)task_sleep_for(random_next(&random) % 10000);
        } else {
            mutex_lock(&mutex);
        }
        CHECK(mutex_is_held(&mutex) && current_task()->mutexes_held == 1);
        CHECK(inside++ == 0);
        if (random_next(&random) % 2 == 0)
            task_yield();
        else if (random_next(&random) % 2 == 0)
            CHECK(task_sleep_for(random_next(&random) % 20000) == 0);
        CHECK(--inside == 0);
        entries++;
        mutex_unlock(&mutex);
        CHECK(current_task()->mutexes_held == 0);
    }
    return 0;
}

static void crowd(void)
{
    static const int priorities[] = {
        PRIORITY_USER_NORMAL,
        PRIORITY_REALTIME_NORMAL,
        PRIORITY_IDLE,
        PRIORITY_USER_LOW,
    };
    struct task *task[TASKS];

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("crowd", enter_often, (void *)i, priorities[i % ARRAY_COUNT(priorities)], NULL);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(entries == TASKS * ROUNDS && load_relaxed(&mutex.owner) == 0 && rb_is_empty(&mutex.waiters));
}

static unsigned order[TASKS];
static unsigned order_count; /* guarded by mutex */

static int note_turn(void *arg)
{
    mutex_lock(&mutex);
    order[order_count++] = (unsigned)(uintptr_t)arg;
    mutex_unlock(&mutex);
    return 0;
}

/* Each is seen to wait before the next is made, so the order is known: by urgency, and by age among equals. */
static void in_turn(void)
{
    struct task *task[TASKS];

    mutex_lock(&mutex);
    for (uintptr_t i = 0; i < TASKS; i++) {
        struct task_snapshot snapshot = { 0 };

        task[i] = spawn("turn", note_turn, (void *)i, i % 2 == 0 ? PRIORITY_USER_LOW : PRIORITY_REALTIME_HIGH, NULL);
        WAIT_FOR((task_get_snapshot(task[i], &snapshot), snapshot.state == TASK_BLOCKED));
    }
    CHECK(!mutex_try_lock(&mutex));
    mutex_unlock(&mutex);
    CHECK(!mutex_is_held(&mutex));
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(order[i] == (i < TASKS / 2 ? 2 * i + 1 : 2 * (i - TASKS / 2)));
}

static int lock_and_answer(void *arg)
{
    (void)arg;
    mutex_lock(&mutex);
    int result = task_is_killed() ? 7 : 8;

    mutex_unlock(&mutex);
    return result;
}

static void a_kill_waits(void)
{
    struct task_snapshot snapshot = { 0 };

    mutex_lock(&mutex);
    struct task *task = spawn("victim", lock_and_answer, NULL, PRIORITY_DEFAULT, NULL);

    WAIT_FOR((task_get_snapshot(task, &snapshot), snapshot.state == TASK_BLOCKED));
    CHECK(task_kill(task) == 0);
    CHECK(task_sleep_for(100 * NS_PER_US) == 0);
    task_get_snapshot(task, &snapshot);
    CHECK(snapshot.state == TASK_BLOCKED);
    mutex_unlock(&mutex);
    CHECK(finish(task) == 7);
}

static int lock_in_time(void *arg) NO_LOCK_ANALYSIS
{
    int result = mutex_lock_until(&mutex, *(uint64_t *)arg, WAIT_KILLABLE);

    CHECK(mutex_is_held(&mutex) == (result == 0) && current_task()->mutexes_held == (result == 0));
    if (result == 0)
        mutex_unlock(&mutex);
    return -result;
}

static void limits(void) NO_LOCK_ANALYSIS
{
    static uint64_t never = TIME_NEVER;
    struct task_snapshot snapshot = { 0 };
    uint64_t soon = clock_ns() + 20 * NS_PER_US;

    CHECK(mutex_lock_until(&mutex, 0, WAIT_KILLABLE) == 0); /* free: the deadline does not matter */
    CHECK(mutex_lock_until(&mutex, TIME_NEVER, WAIT_KILLABLE) == -EDEADLK);
    struct task *late = spawn("late", lock_in_time, &soon, PRIORITY_DEFAULT, NULL);

    CHECK(finish(late) == ETIMEDOUT);
    CHECK(load_relaxed(&mutex.owner) == (uintptr_t)current_task()); /* without the mark of waiters */
    struct task *killed = spawn("killed", lock_in_time, &never, PRIORITY_DEFAULT, NULL);
    struct task *heir = spawn("heir", lock_in_time, &never, PRIORITY_USER_LOW, NULL);

    WAIT_FOR((task_get_snapshot(killed, &snapshot), snapshot.state == TASK_BLOCKED));
    CHECK(task_kill(killed) == 0);
    CHECK(finish(killed) == EINTR);
    mutex_unlock(&mutex);
    CHECK(finish(heir) == 0);
}

#define LIMITED_ROUNDS 30

static int lock_if_in_time(void *arg) NO_LOCK_ANALYSIS
{
    uint64_t random = booted_seed() * TASKS + (uintptr_t)arg + 1;
    int got = 0;

    for (unsigned i = 0; i < LIMITED_ROUNDS; i++) {
        uint64_t deadline = clock_ns() + random_next(&random) % 4000;
        int result = mutex_lock_until(&mutex, deadline, WAIT_UNINTERRUPTED);

        CHECK(result == 0 || (result == -ETIMEDOUT && clock_ns() >= deadline));
        if (result != 0)
            continue;
        CHECK(inside++ == 0);
        (void)task_sleep_for(random_next(&random) % 2000);
        inside--;
        got++;
        mutex_unlock(&mutex);
    }
    return got;
}

/* Hand-overs and deadlines meet: whoever says that it has the mutex has it, and it is free in the end. */
static void impatient_crowd(void)
{
    struct task *task[TASKS];
    int got = 0;

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("impatient", lock_if_in_time, (void *)i, i % 2 == 0 ? 10 : 60, NULL);
    for (unsigned i = 0; i < TASKS; i++)
        got += finish(task[i]);
    CHECK(got > 0 && load_relaxed(&mutex.owner) == 0 && rb_is_empty(&mutex.waiters));
}

static void lock_twice(void) NO_LOCK_ANALYSIS
{
    mutex_lock(&mutex);
    mutex_lock(&mutex);
}

static void unlock_free(void) NO_LOCK_ANALYSIS
{
    mutex_unlock(&mutex);
}

static void exit_holding(void) NO_LOCK_ANALYSIS
{
    mutex_lock(&mutex);
    task_exit(0);
}

const struct kernel_test booted_tests[] = {
    { "crowd", crowd },
    { "in-turn", in_turn },
    { "kill", a_kill_waits },
    { "limits", limits },
    { "impatient", impatient_crowd },
    { "lock-twice", lock_twice },
    { "unlock-free", unlock_free },
    { "exit-holding", exit_holding },
    { NULL, NULL },
};

static void one_task_at_a_time_is_inside(void **state)
{
    (void)state;
    booted_run("crowd", 200);
}

static void the_mutex_goes_to_the_most_urgent_waiter_the_oldest_of_equals(void **state)
{
    (void)state;
    booted_run("in-turn", 100);
}

static void a_wait_ends_at_its_deadline_or_by_a_kill_and_leaves_nothing(void **state)
{
    (void)state;
    booted_run("limits", 100);
}

static void a_hand_over_and_a_deadline_do_not_both_count(void **state)
{
    (void)state;
    booted_run("impatient", 100);
}

static void a_kill_does_not_end_a_wait_for_a_mutex(void **state)
{
    (void)state;
    booted_run("kill", 50);
}

static void locking_twice_panics(void **state)
{
    (void)state;
    booted_panics(2, "lock-twice", "mutex locked again by its owner", 3);
}

static void unlocking_a_free_mutex_panics(void **state)
{
    (void)state;
    booted_panics(2, "unlock-free", "which does not hold it", 3);
}

static void exiting_with_a_mutex_panics(void **state)
{
    (void)state;
    booted_panics(2, "exit-holding", "exits while it holds 1 mutexes", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_task_at_a_time_is_inside),
        cmocka_unit_test(the_mutex_goes_to_the_most_urgent_waiter_the_oldest_of_equals),
        cmocka_unit_test(a_wait_ends_at_its_deadline_or_by_a_kill_and_leaves_nothing),
        cmocka_unit_test(a_hand_over_and_a_deadline_do_not_both_count),
        cmocka_unit_test(a_kill_does_not_end_a_wait_for_a_mutex),
        cmocka_unit_test(locking_twice_panics),
        cmocka_unit_test(unlocking_a_free_mutex_panics),
        cmocka_unit_test(exiting_with_a_mutex_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
