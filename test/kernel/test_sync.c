/* SPDX-License-Identifier: MIT */
/* Priority inheritance, and what else tasks block on: reader-writer lock, semaphore, completion, condition variable. */
#include <hal/cpu.h>
#include <k/atomic.h>
#include <k/errno.h>
#include <sched/completion.h>
#include <sched/condvar.h>
#include <sched/rwlock.h>
#include <sched/semaphore.h>
#include <time/clock.h>

#include "check.h"

#define HOGS 3

static struct {
    struct mutex mutex;
    struct completion locked;
    _Atomic(bool) go, stop;
    _Atomic(unsigned) work[HOGS];
    unsigned before, after;
} inversion = { .mutex = MUTEX_INIT(inversion.mutex), .locked = COMPLETION_INIT(inversion.locked) };

static unsigned all_work(void)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < HOGS; i++)
        sum += load_relaxed(&inversion.work[i]);
    return sum;
}

static int be_low(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&inversion.mutex);
    completion_done(&inversion.locked);
    while (!load_relaxed(&inversion.go))
        hal_cpu_relax();
    mutex_unlock(&inversion.mutex);
    return 0;
}

static int be_between(void *arg)
{
    while (!load_relaxed(&inversion.stop)) {
        (void)fetch_add_relaxed(&inversion.work[(uintptr_t)arg], 1);
        hal_cpu_relax();
    }
    return 0;
}

static int be_high(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    inversion.before = all_work();
    store_relaxed(&inversion.go, true);
    mutex_lock(&inversion.mutex);
    inversion.after = all_work();
    mutex_unlock(&inversion.mutex);
    store_relaxed(&inversion.stop, true);
    return 0;
}

static void nobody_between_runs_while_high_waits_for_low(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task *hog[HOGS];

    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    store_relaxed(&inversion.go, false);
    store_relaxed(&inversion.stop, false);
    struct task *low = spawn_on("low", be_low, NULL, PRIORITY_USER_LOW, cpu);

    CHECK(completion_wait(&inversion.locked, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    for (uintptr_t i = 0; i < HOGS; i++)
        hog[i] = spawn_on("between", be_between, (void *)i, PRIORITY_REALTIME_LOW, cpu);
    WAIT_FOR(all_work() > 0);
    struct task *high = spawn_on("high", be_high, NULL, PRIORITY_REALTIME_NORMAL, cpu);

    CHECK(finish(high) == 0);
    CHECK(inversion.after == inversion.before);
    CHECK(finish(low) == 0);
    for (unsigned i = 0; i < HOGS; i++)
        CHECK(finish(hog[i]) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

#define LINKS 12

static struct mutex link[LINKS];
static struct completion released = COMPLETION_INIT(released);

static int hold_link(void *arg) NO_LOCK_ANALYSIS
{
    unsigned i = (unsigned)(uintptr_t)arg;

    mutex_lock(&link[i]);
    if (i == 0) {
        CHECK(completion_wait(&released, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    } else {
        mutex_lock(&link[i - 1]);
        mutex_unlock(&link[i - 1]);
    }
    mutex_unlock(&link[i]);
    return 0;
}

static int push_end(void *arg) NO_LOCK_ANALYSIS
{
    int result = mutex_lock_until(&link[LINKS - 1], *(uint64_t *)arg, WAIT_KILLABLE);

    if (result == 0)
        mutex_unlock(&link[LINKS - 1]);
    return -result;
}

static void urgency_travels_along_a_chain_of_twelve(void)
{
    struct task *task[LINKS];
    uint64_t deadline = TIME_NEVER;

    for (uintptr_t i = 0; i < LINKS; i++) {
        mutex_init(&link[i]);
        task[i] = spawn("link", hold_link, (void *)i, PRIORITY_USER_NORMAL, NULL);
        WAIT_FOR(is_blocked(task[i]));
    }
    struct task *pusher = spawn("pusher", push_end, &deadline, 10, NULL);

    WAIT_FOR(is_blocked(pusher));
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(effective_priority(task[i]) == 10);
    CHECK(task_set_priority(pusher, 4) == 0);
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(effective_priority(task[i]) == 4);
    CHECK(task_kill(pusher) == 0 && finish(pusher) == EINTR);
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(effective_priority(task[i]) == PRIORITY_USER_NORMAL);
    deadline = clock_ns() + NS_PER_MS;
    CHECK(finish(spawn("pusher", push_end, &deadline, 10, NULL)) == ETIMEDOUT);
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(effective_priority(task[i]) == PRIORITY_USER_NORMAL);
    completion_done(&released);
    for (unsigned i = 0; i < LINKS; i++)
        CHECK(finish(task[i]) == 0);
}

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
    { "sync: a circle of mutexes is refused", a_circle_is_refused },
    { "sync: readers share and writers are alone", readers_share_and_writers_are_alone },
    { "sync: a bounded buffer loses nothing", a_bounded_buffer_loses_nothing },
    { NULL, NULL },
};
