/* SPDX-License-Identifier: MIT */
/* Priority inheritance, and what else tasks block on: reader-writer lock, semaphore, completion, condition variable. */
#include <k/atomic.h>
#include <k/errno.h>
#include <sched/completion.h>
#include <sched/condvar.h>
#include <sched/mutex.h>
#include <sched/rwlock.h>
#include <sched/semaphore.h>
#include <time/clock.h>

#include "check.h"
#include "story.h"

static void nobody_between_runs_while_high_waits_for_low(void)
{
    story_inversion(PRIORITY_USER_LOW, 3, 0);
}

static void urgency_travels_along_a_chain_of_twelve(void)
{
    story_chain();
}

static void a_deadline_travels_along_a_chain(void)
{
    story_lend(PRIORITY_USER_NORMAL);
    story_lend(PRIORITY_REALTIME_NORMAL);
}

static struct mutex link[2];
static struct completion first_is_locked = COMPLETION_INIT(first_is_locked);

static int lock_both(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&link[1]);
    completion_done(&first_is_locked);
    mutex_lock(&link[0]);
    mutex_unlock(&link[0]);
    mutex_unlock(&link[1]);
    return 0;
}

static void a_circle_is_refused(void) NO_LOCK_ANALYSIS
{
    mutex_init(&link[0]);
    mutex_init(&link[1]);
    mutex_lock(&link[0]);
    CHECK(mutex_lock_until(&link[0], TIME_NEVER, WAIT_KILLABLE) == -EDEADLK);
    struct task *task = spawn("other", lock_both, NULL, PRIORITY_USER_HIGH, NULL);

    CHECK(completion_wait(&first_is_locked, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    WAIT_FOR(is_blocked(task));
    CHECK(mutex_lock_until(&link[1], TIME_NEVER, WAIT_KILLABLE) == -EDEADLK);
    mutex_unlock(&link[0]);
    CHECK(finish(task) == 0);
}

#define USERS 6
#define ROUNDS 60

static struct {
    struct rwlock rwlock;
    unsigned value, copy; /* guarded by rwlock */
    _Atomic(unsigned) readers;
} page = { .rwlock = RWLOCK_INIT(page.rwlock) };

static int read_and_write(void *arg)
{
    uint64_t random = (uintptr_t)arg + 1;
    int written = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (random_next(&random) % 3 == 0) {
            uint64_t deadline = clock_ns() + random_next(&random) % NS_PER_MS;

            if (rwlock_write_lock_until(&page.rwlock, deadline, WAIT_KILLABLE) != 0)
                continue;
            CHECK(load_relaxed(&page.readers) == 0);
            page.value++;
            task_yield();
            page.copy++;
            written++;
            rwlock_write_unlock(&page.rwlock);
        } else {
            rwlock_read_lock(&page.rwlock);
            (void)fetch_add_relaxed(&page.readers, 1);
            CHECK(page.value == page.copy);
            task_yield();
            (void)fetch_sub_relaxed(&page.readers, 1);
            rwlock_read_unlock(&page.rwlock);
        }
    }
    return written;
}

static void readers_share_and_writers_are_alone(void)
{
    struct task *task[USERS];
    unsigned written = 0;

    page.value = page.copy = 0;
    for (uintptr_t i = 0; i < USERS; i++)
        task[i] = spawn("user", read_and_write, (void *)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < USERS; i++)
        written += (unsigned)finish(task[i]);
    CHECK(page.value == written && page.rwlock.holders == 0);
}

static struct {
    struct mutex mutex;
    struct condvar filled, emptied;
    struct semaphore places;
    unsigned items; /* guarded by mutex */
    _Atomic(unsigned) inside;
} buffer = { .mutex = MUTEX_INIT(buffer.mutex),
             .filled = CONDVAR_INIT(buffer.filled),
             .emptied = CONDVAR_INIT(buffer.emptied),
             .places = SEMAPHORE_INIT(buffer.places, 2) };

static int produce_or_consume(void *arg) NO_LOCK_ANALYSIS
{
    bool produces = (uintptr_t)arg % 2 == 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        mutex_lock(&buffer.mutex);
        while (buffer.items == (produces ? 2 : 0))
            CHECK(condvar_wait(produces ? &buffer.emptied : &buffer.filled, &buffer.mutex, TIME_NEVER,
                               WAIT_UNINTERRUPTED) == 0);
        buffer.items += produces ? 1 : UINT32_MAX;
        mutex_unlock(&buffer.mutex);
        condvar_signal(produces ? &buffer.filled : &buffer.emptied);
        CHECK(semaphore_down(&buffer.places, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        CHECK(fetch_add_relaxed(&buffer.inside, 1) < 2);
        task_yield();
        (void)fetch_sub_relaxed(&buffer.inside, 1);
        semaphore_up(&buffer.places);
    }
    return 0;
}

static void a_bounded_buffer_loses_nothing(void)
{
    struct task *task[USERS];

    for (uintptr_t i = 0; i < USERS; i++)
        task[i] = spawn("passer", produce_or_consume, (void *)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < USERS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(buffer.items == 0 && buffer.places.count == 2);
}

const struct kernel_test tests_sync[] = {
    { "sync: nobody between runs while high waits for low", nobody_between_runs_while_high_waits_for_low },
    { "sync: urgency travels along a chain of twelve", urgency_travels_along_a_chain_of_twelve },
    { "sync: a deadline travels along a chain", a_deadline_travels_along_a_chain },
    { "sync: a circle of mutexes is refused", a_circle_is_refused },
    { "sync: readers share and writers are alone", readers_share_and_writers_are_alone },
    { "sync: a bounded buffer loses nothing", a_bounded_buffer_loses_nothing },
    { NULL, NULL },
};
