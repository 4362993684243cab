/* SPDX-License-Identifier: MIT */
/* core/sched/condvar.c: no signal is lost, and the mutex is held on return, whatever ended the wait. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <sched/condvar.h>
#include <time/clock.h>

#define TASKS 4
#define ITEMS 20
#define ROOM 2

static struct mutex mutex = MUTEX_INIT(mutex);
static struct condvar condvar = CONDVAR_INIT(condvar);
static struct condvar has_room = CONDVAR_INIT(has_room);
static unsigned items; /* guarded by mutex */
static unsigned woken; /* guarded by mutex */
static bool is_open;   /* guarded by mutex */

static void alone(void) NO_LOCK_ANALYSIS
{
    mutex_lock(&mutex);
    condvar_signal(&condvar); /* nobody: forgotten */
    condvar_broadcast(&condvar);
    CHECK(condvar_wait(&condvar, &mutex, 0, WAIT_KILLABLE) == -ETIMEDOUT);
    CHECK(mutex_is_held(&mutex) && current_task()->mutexes_held == 1);
    uint64_t deadline = clock_ns() + 5000;

    CHECK(condvar_wait(&condvar, &mutex, deadline, WAIT_UNINTERRUPTED) == -ETIMEDOUT && clock_ns() >= deadline);
    CHECK(mutex_is_held(&mutex));
    mutex_unlock(&mutex);
}

static int wait_once(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&mutex);
    int result = condvar_wait(&condvar, &mutex, TIME_NEVER, WAIT_KILLABLE);

    CHECK(mutex_is_held(&mutex) && current_task()->mutexes_held == 1);
    woken++;
    mutex_unlock(&mutex);
    return -result;
}

static void one_each(void)
{
    struct task *task[TASKS];

    for (unsigned i = 0; i < TASKS; i++) {
        task[i] = spawn("waiter", wait_once, NULL, i % 2 == 0 ? 60 : 10, NULL);
        WAIT_FOR(is_blocked(task[i]));
    }
    CHECK(task_kill(task[1]) == 0 && finish(task[1]) == EINTR);
    condvar_signal(&condvar);
    CHECK(finish(task[0]) == 0);
    CHECK(is_blocked(task[2]) && is_blocked(task[3]));
    condvar_broadcast(&condvar);
    CHECK(finish(task[2]) == 0 && finish(task[3]) == 0 && woken == TASKS);
}

/* The mutex is taken when the deadline passes, and when the kill comes: the wait ends when it is free. */
static void held_meanwhile(void) NO_LOCK_ANALYSIS
{
    struct task *task = spawn("waiter", wait_once, NULL, 60, NULL);

    WAIT_FOR(is_blocked(task));
    mutex_lock(&mutex);
    CHECK(task_kill(task) == 0);
    WAIT_FOR(!rb_is_empty(&mutex.waiters));
    CHECK(woken == 0);
    mutex_unlock(&mutex);
    CHECK(finish(task) == EINTR && woken == 1);
}

static int produce(void *arg) NO_LOCK_ANALYSIS
{
    uint64_t random = booted_seed() * TASKS + (uintptr_t)arg + 1;

    for (unsigned i = 0; i < ITEMS; i++) {
        mutex_lock(&mutex);
        while (items == ROOM)
            CHECK(condvar_wait(&has_room, &mutex, TIME_NEVER, WAIT_KILLABLE) == 0);
        items++;
        bool inside = random_next(&random) % 2 == 0;

        if (inside)
            condvar_signal(&condvar);
        mutex_unlock(&mutex);
        if (!inside)
            condvar_signal(&condvar);
    }
    return 0;
}

static int consume(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    for (unsigned i = 0; i < ITEMS; i++) {
        mutex_lock(&mutex);
        while (items == 0)
            CHECK(condvar_wait(&condvar, &mutex, TIME_NEVER, WAIT_KILLABLE) == 0);
        items--;
        mutex_unlock(&mutex);
        condvar_signal(&has_room);
    }
    return 0;
}

/* A lost signal is a deadlock: nobody has a deadline. */
static void buffer(void)
{
    struct task *task[2 * TASKS];

    for (uintptr_t i = 0; i < TASKS; i++) {
        task[2 * i] = spawn("producer", produce, (void *)i, 10 + 20 * (int)i, NULL);
        task[2 * i + 1] = spawn("consumer", consume, NULL, 70 - 20 * (int)i, NULL);
    }
    for (unsigned i = 0; i < 2 * TASKS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(items == 0);
}

static int wait_until_open(void *arg) NO_LOCK_ANALYSIS
{
    uint64_t random = booted_seed() * TASKS + (uintptr_t)arg + 1;

    mutex_lock(&mutex);
    while (!is_open) {
        int result = condvar_wait(&condvar, &mutex, clock_ns() + random_next(&random) % 5000, WAIT_KILLABLE);

        CHECK(mutex_is_held(&mutex) && (result == 0 || result == -ETIMEDOUT));
    }
    mutex_unlock(&mutex);
    return 0;
}

static void deadlines(void) NO_LOCK_ANALYSIS
{
    struct task *task[TASKS];

    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("impatient", wait_until_open, (void *)i, 10 + 20 * (int)i, NULL);
    for (unsigned i = 0; i < ITEMS; i++) {
        condvar_signal(&condvar);
        (void)task_sleep_for(1500);
        condvar_broadcast(&condvar);
    }
    mutex_lock(&mutex);
    is_open = true;
    mutex_unlock(&mutex);
    condvar_broadcast(&condvar);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&mutex.owner) == 0 && list_is_empty(&condvar.waiters.waiters));
}

const struct kernel_test booted_tests[] = {
    { "alone", alone },   { "one-each", one_each },   { "held", held_meanwhile },
    { "buffer", buffer }, { "deadlines", deadlines }, { NULL, NULL },
};

static void without_a_signal_it_times_out_with_the_mutex(void **state)
{
    (void)state;
    booted_run("alone", 8);
}

static void a_signal_wakes_the_oldest_and_a_broadcast_all(void **state)
{
    (void)state;
    booted_run("one-each", 80);
}

static void a_killed_waiter_waits_for_the_mutex(void **state)
{
    (void)state;
    booted_run("held", 60);
}

static void no_signal_is_lost(void **state)
{
    (void)state;
    booted_run("buffer", 150);
}

static void deadlines_and_signals_do_not_mix_up(void **state)
{
    (void)state;
    booted_run("deadlines", 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_signal_it_times_out_with_the_mutex),
        cmocka_unit_test(a_signal_wakes_the_oldest_and_a_broadcast_all),
        cmocka_unit_test(a_killed_waiter_waits_for_the_mutex),
        cmocka_unit_test(no_signal_is_lost),
        cmocka_unit_test(deadlines_and_signals_do_not_mix_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
