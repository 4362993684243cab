/* SPDX-License-Identifier: MIT */
/* Things that change hands: mutexes, events, semaphores, against deadlines and kills. */
#include "scenario.h"

#include <lib/string.h>

#define TASKS 5

static struct {
    struct sim_line line;
    struct mutex mutex;
    unsigned guarded; /* by mutex */
    unsigned rounds;
    struct task *task[TASKS];
} locked;

static void add_one(void)
{
    unsigned seen = locked.guarded;

    sim_delay();
    if (sim_chance(3))
        task_yield();
    if (sim_chance(4))
        sim_nap(NS_PER_US);
    locked.guarded = seen + 1;
}

static int add_under_mutex(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    sim_line_wait(&locked.line);
    for (unsigned i = 0; i < locked.rounds; i++) {
        if (sim_chance(3))
            while (!mutex_try_lock(&locked.mutex))
                sim_pause();
        else
            mutex_lock(&locked.mutex);
        CHECK(mutex_is_held(&locked.mutex));
        add_one();
        mutex_unlock(&locked.mutex);
        if (sim_chance(2))
            sim_delay();
    }
    return 0;
}

/* Locks a mutex without try: those who are killed would not sleep between tries. */
static int add_while_killed(void *arg)
{
    (void)arg;
    sim_line_wait(&locked.line);
    for (unsigned i = 0; i < locked.rounds; i++) {
        mutex_lock(&locked.mutex);
        add_one();
        mutex_unlock(&locked.mutex);
    }
    return 0;
}

static void begin_locked(int (*entry)(void *))
{
    sim_line_init(&locked.line);
    mutex_init(&locked.mutex);
    locked.guarded = 0;
    locked.rounds = 3 * sim_rounds();
    for (unsigned i = 0; i < TASKS; i++)
        locked.task[i] = i == 0 ? spawn("locker", entry, NULL, sim_some_fair_priority(), NULL)
                                : sim_spawn_nth("locker", entry, NULL, i);
    sim_line_open(&locked.line, TASKS);
}

static void end_locked(void)
{
    CHECK(sim_finish_all(locked.task, TASKS) == 0);
    CHECK(locked.guarded == TASKS * locked.rounds);
    CHECK(load_relaxed(&locked.mutex.owner) == 0 && rb_is_empty(&locked.mutex.waiters));
}

/* The unlocker's look and the locker's announcement race (hazard 1); nobody gets in between an unlock and its heir. */
static void mutex_handover(void)
{
    begin_locked(add_under_mutex);
    end_locked();
}

/* The same, and all are killed in the middle of it: a mutex is handed over to the killed as well. */
static void mutex_kill(void)
{
    begin_locked(add_while_killed);
    for (unsigned i = 0; i < TASKS; i++) {
        if (locked.task[i] == NULL)
            continue;
        int result = task_kill(locked.task[i]);

        CHECK(result == 0 || result == -ESRCH);
        sim_delay();
    }
    end_locked();
}

/* Exactly one baton. Whoever gets it, in time, holds it alone. */
static struct {
    struct sim_line line;
    struct event event;
    _Atomic(bool) is_held;
    _Atomic(unsigned) taken, timed_out, killed;
    unsigned tries;
} baton;

static int run_for_baton(void *arg)
{
    bool is_killed = false;

    (void)arg;
    sim_line_wait(&baton.line);
    for (unsigned i = 0; i < baton.tries && !is_killed; i++) {
        uint64_t deadline = sim_chance(4) ? TIME_NEVER : clock_ns() + sim_random_below(4000);
        int result = event_wait(&baton.event, deadline, WAIT_KILLABLE);

        is_killed = result == -EINTR;
        CHECK(!is_killed || task_is_killed());
        (void)fetch_add_relaxed(result == 0 ? &baton.taken : is_killed ? &baton.killed : &baton.timed_out, 1);
        if (result != 0)
            continue;
        CHECK(!xchg_relaxed(&baton.is_held, true));
        sim_delay();
        CHECK(xchg_relaxed(&baton.is_held, false));
        event_signal(&baton.event);
    }
    return is_killed;
}

/* A signal is handed to a waiter whose time runs out, or who is killed: it is his, or the next one's, never lost. */
static void event_handover(void)
{
    struct task *runner[TASKS];

    sim_line_init(&baton.line);
    event_init(&baton.event);
    store_relaxed(&baton.is_held, false);
    store_relaxed(&baton.taken, 0);
    store_relaxed(&baton.timed_out, 0);
    store_relaxed(&baton.killed, 0);
    baton.tries = 4 * sim_rounds();
    for (unsigned i = 0; i < TASKS; i++)
        runner[i] = sim_spawn_nth("runner", run_for_baton, NULL, i);
    sim_line_open(&baton.line, TASKS);
    event_signal(&baton.event);
    sim_nap(20 * NS_PER_US);
    if (runner[0] != NULL)
        CHECK(task_kill(runner[0]) == 0 || load_relaxed(&baton.taken) + load_relaxed(&baton.timed_out) >= baton.tries);
    int64_t killed = sim_finish_all(runner, TASKS);

    CHECK(killed == load_relaxed(&baton.killed) && killed <= 1);
    CHECK(baton.event.is_set && list_is_empty(&baton.event.waiters.waiters));
    CHECK(killed != 0 || load_relaxed(&baton.taken) + load_relaxed(&baton.timed_out) == TASKS * baton.tries);
}

#define SIDES 2

/* A bounded buffer: as many items as places, moved by several at each end. */
static struct {
    struct sim_semaphore places, items;
    struct mutex mutex;
    unsigned stored; /* guarded by mutex */
    unsigned rounds;
    _Atomic(unsigned) given_up;
} buffer;

static int produce(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < buffer.rounds; i++) {
        CHECK(sim_down(&buffer.places, TIME_NEVER, WAIT_KILLABLE) == 0);
        mutex_lock(&buffer.mutex);
        CHECK(buffer.stored < 2);
        buffer.stored++;
        mutex_unlock(&buffer.mutex);
        sim_up(&buffer.items);
    }
    return 0;
}

static int consume(void *arg)
{
    int got = 0;

    (void)arg;
    for (unsigned i = 0; i < buffer.rounds;) {
        int result = sim_down(&buffer.items, clock_ns() + sim_random_below(5000), WAIT_KILLABLE);

        CHECK(result == 0 || result == -ETIMEDOUT);
        if (result != 0) {
            (void)fetch_add_relaxed(&buffer.given_up, 1);
            continue;
        }
        mutex_lock(&buffer.mutex);
        CHECK(buffer.stored > 0);
        buffer.stored--;
        mutex_unlock(&buffer.mutex);
        sim_up(&buffer.places);
        got++;
        i++;
    }
    return got;
}

static void semaphore_buffer(void)
{
    struct task *task[2 * SIDES];

    sim_semaphore_init(&buffer.places, 2);
    sim_semaphore_init(&buffer.items, 0);
    mutex_init(&buffer.mutex);
    buffer.stored = 0;
    buffer.rounds = 5 * sim_rounds();
    store_relaxed(&buffer.given_up, 0);
    for (unsigned i = 0; i < 2 * SIDES; i++)
        task[i] = sim_spawn_nth("buffer", i % 2 == 0 ? produce : consume, NULL, i);
    CHECK(sim_finish_all(task, 2 * SIDES) == (int64_t)SIDES * buffer.rounds);
    CHECK(buffer.stored == 0 && buffer.items.count == 0 && buffer.places.count == 2);
}

/* An object that its waiter frees as soon as it is woken: the waker must not touch it any more. */
static int signal_own(void *arg)
{
    sim_delay();
    event_signal(arg);
    return 0;
}

static int wait_for_help(unsigned i)
{
    struct event event; /* on this stack, gone with this call */

    event_init(&event);
    struct task *helper = sim_spawn_nth("helper", signal_own, &event, i);

    if (helper == NULL)
        return 1;
    sim_delay();
    CHECK(event_wait(&event, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    (void)memset(&event, 0x5a, sizeof event);
    task_put(helper); /* joined by nobody: it may still be inside event_signal() */
    return 0;
}

static int ask_for_help(void *arg)
{
    int failed = 0;

    for (unsigned i = 0; i < 4 * sim_rounds(); i++)
        failed += wait_for_help(i + (unsigned)(uintptr_t)arg);
    return failed;
}

static void event_vanishes(void)
{
    uint64_t tasks = count_tasks();
    struct task *asker[2];

    for (unsigned i = 0; i < 2; i++)
        asker[i] = sim_spawn_nth("asker", ask_for_help, (void *)(uintptr_t)i, i);
    CHECK(sim_finish_all(asker, 2) == 0);
    wait_for_tasks(tasks);
}

const struct sim_scenario sim_scenarios_handover[] = {
    { .name = "mutex-handover", .aim = "an unlock and a lock that begins to wait miss each other, or two get in",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = mutex_handover },
    { .name = "mutex-kill", .aim = "a mutex is handed to a task that is killed, and lost with it",
      .cpus = 4, .cpus_min = 1, .rounds = 12, .run = mutex_kill },
    { .name = "event-handover", .aim = "a signal is given to a waiter that times out or is killed, and is lost",
      .cpus = 4, .cpus_min = 1, .rounds = 10, .run = event_handover },
    { .name = "semaphore-buffer", .aim = "a bounded buffer loses an item or a place, or hands one out twice",
      .cpus = 4, .cpus_min = 1, .rounds = 10, .run = semaphore_buffer },
    { .name = "event-vanishes", .aim = "a waker touches an object that its waiter has freed already",
      .cpus = 3, .cpus_min = 1, .rounds = 5, .run = event_vanishes },
    { .name = NULL },
};
