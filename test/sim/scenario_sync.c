/* SPDX-License-Identifier: MIT */
/* What else tasks block on, against deadlines and kills: rwlock, semaphore, completion, condition variable. */
#include "scenario.h"

#include <lib/string.h>
#include <mm/kmalloc.h>
#include <sched/completion.h>
#include <sched/condvar.h>
#include <sched/rwlock.h>
#include <sched/semaphore.h>

#define TASKS 5
#define PLACES 2

static struct {
    struct sim_line line;
    struct mutex mutex;
    struct condvar filled, emptied;
    struct rwlock rwlock;
    struct semaphore semaphore;
    struct task *task[TASKS];
    unsigned stored;           /* guarded by mutex */
    unsigned value, copy;      /* guarded by rwlock */
    _Atomic(unsigned) readers; /* inside */
    _Atomic(unsigned) inside;  /* the semaphore */
    _Atomic(bool) stop;
} shared;

static void begin(int (*entry)(void *))
{
    sim_line_init(&shared.line);
    mutex_init(&shared.mutex);
    condvar_init(&shared.filled);
    condvar_init(&shared.emptied);
    rwlock_init(&shared.rwlock);
    semaphore_init(&shared.semaphore, PLACES);
    shared.stored = shared.value = shared.copy = 0;
    store_relaxed(&shared.stop, false);
    for (uintptr_t i = 0; i < TASKS; i++)
        shared.task[i] = spawn("user", entry, (void *)i, sim_some_fair_priority(), NULL);
    sim_line_open(&shared.line, TASKS);
}

static uint64_t some_deadline(void)
{
    return sim_chance(2) ? TIME_NEVER : clock_ns() + sim_random_below(6 * NS_PER_US);
}

/* Half of a hand-over each; the last one gives and takes as much. Who is forgotten waits for ever. */
static int pass_items(void *arg) NO_LOCK_ANALYSIS
{
    bool gives = (uintptr_t)arg % 2 == 0;
    bool takes = (uintptr_t)arg % 2 == 1 || (uintptr_t)arg == TASKS - 1;

    sim_line_wait(&shared.line);
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        if (gives) {
            mutex_lock(&shared.mutex);
            while (shared.stored == PLACES)
                (void)condvar_wait(&shared.emptied, &shared.mutex, TIME_NEVER, WAIT_UNINTERRUPTED);
            shared.stored++;
            mutex_unlock(&shared.mutex);
            condvar_signal(&shared.filled);
        }
        if (takes) {
            mutex_lock(&shared.mutex);
            while (shared.stored == 0)
                (void)condvar_wait(&shared.filled, &shared.mutex, TIME_NEVER, WAIT_UNINTERRUPTED);
            CHECK(mutex_is_held(&shared.mutex));
            shared.stored--;
            mutex_unlock(&shared.mutex);
            condvar_signal(&shared.emptied);
        }
    }
    return 0;
}

static void condvar_buffer(void)
{
    begin(pass_items);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(shared.stored == 0);
}

static int wait_impatiently(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    sim_line_wait(&shared.line);
    mutex_lock(&shared.mutex);
    while (!load_relaxed(&shared.stop)) {
        int result = condvar_wait(&shared.filled, &shared.mutex, some_deadline(), WAIT_KILLABLE);

        CHECK(mutex_is_held(&shared.mutex));
        if (result == -EINTR)
            break;
        sim_delay();
    }
    mutex_unlock(&shared.mutex);
    return 0;
}

/* Signals, broadcasts, deadlines and a kill at once. */
static void condvar_kill(void) NO_LOCK_ANALYSIS
{
    begin(wait_impatiently);
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        if (sim_chance(2))
            condvar_signal(&shared.filled);
        else
            condvar_broadcast(&shared.filled);
        sim_nap(3 * NS_PER_US);
    }
    int killed = task_kill(shared.task[0]);

    CHECK(killed == 0 || killed == -ESRCH);
    mutex_lock(&shared.mutex);
    store_relaxed(&shared.stop, true);
    mutex_unlock(&shared.mutex);
    condvar_broadcast(&shared.filled);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(list_is_empty(&shared.filled.waiters.waiters));
}

static void be_inside(bool is_writer)
{
    if (is_writer) {
        CHECK(load_relaxed(&shared.readers) == 0 && shared.value == shared.copy);
        shared.value++;
        sim_delay();
        shared.copy = shared.value;
    } else {
        (void)fetch_add_relaxed(&shared.readers, 1);
        CHECK(shared.value == shared.copy);
        sim_delay();
        (void)fetch_sub_relaxed(&shared.readers, 1);
    }
}

static int read_and_write(void *arg)
{
    (void)arg;
    sim_line_wait(&shared.line);
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        bool is_writer = sim_chance(2);
        int result = is_writer ? rwlock_write_lock_until(&shared.rwlock, some_deadline(), WAIT_KILLABLE)
                               : rwlock_read_lock_until(&shared.rwlock, some_deadline(), WAIT_KILLABLE);

        CHECK(result == 0 || result == -ETIMEDOUT);
        if (result != 0)
            continue;
        be_inside(is_writer);
        if (sim_chance(3))
            sim_nap(2 * NS_PER_US);
        if (is_writer)
            rwlock_write_unlock(&shared.rwlock);
        else
            rwlock_read_unlock(&shared.rwlock);
    }
    return 0;
}

static void rwlock_crowd(void)
{
    begin(read_and_write);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(shared.rwlock.holders == 0 && list_is_empty(&shared.rwlock.writers));
    CHECK(list_is_empty(&shared.rwlock.readers.waiters));
}

static struct {
    _Atomic(unsigned) writers, readers; /* that have been inside */
    unsigned writers_before;            /* of a reader's turn, by the rule */
} turn;

static int take_a_turn_writing(void *arg)
{
    (void)arg;
    rwlock_write_lock(&shared.rwlock);
    (void)fetch_add_relaxed(&turn.writers, 1);
    be_inside(true);
    rwlock_write_unlock(&shared.rwlock);
    return 0;
}

static int take_a_turn_reading(void *arg)
{
    (void)arg;
    rwlock_read_lock(&shared.rwlock);
    CHECK(load_relaxed(&turn.writers) == turn.writers_before);
    (void)fetch_add_relaxed(&turn.readers, 1);
    be_inside(false);
    sim_nap(2 * NS_PER_US);
    rwlock_read_unlock(&shared.rwlock);
    return 0;
}

static struct task *queue_up(int (*entry)(void *))
{
    struct task *task = spawn("turn", entry, NULL, sim_some_fair_priority(), NULL);

    while (task != NULL && !is_blocked(task))
        sim_pause();
    return task;
}

/* Two writers and some readers wait, in any order but for a writer first. Whoever is inside now: a reader, then it is
 * one writer's turn and then all readers'; a writer, then the readers' at once. */
static void rwlock_turns(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        bool is_writer_inside = sim_chance(2);
        unsigned second = 1 + (unsigned)sim_random_below(TASKS - 1);

        rwlock_init(&shared.rwlock);
        shared.value = shared.copy = 0;
        store_relaxed(&turn.writers, 0);
        turn.writers_before = !is_writer_inside;
        if (is_writer_inside)
            rwlock_write_lock(&shared.rwlock);
        else
            rwlock_read_lock(&shared.rwlock);
        for (unsigned i = 0; i < TASKS; i++)
            shared.task[i] = queue_up(i == 0 || i == second ? take_a_turn_writing : take_a_turn_reading);
        CHECK(!rwlock_try_read_lock(&shared.rwlock));
        if (is_writer_inside)
            rwlock_write_unlock(&shared.rwlock);
        else
            rwlock_read_unlock(&shared.rwlock);
        CHECK(sim_finish_all(shared.task, TASKS) == 0);
        CHECK(load_relaxed(&turn.writers) == 2 && shared.rwlock.holders == 0);
    }
}

static int wait_to_write(void *arg)
{
    uint64_t deadline = clock_ns() + sim_random_below(8 * NS_PER_US);
    int result = rwlock_write_lock_until(&shared.rwlock, deadline, WAIT_KILLABLE);

    (void)arg;
    CHECK(result == -ETIMEDOUT);
    return 0;
}

/* Readers come while a writer waits that then gives up. Who is inside leaves only when they have been in. */
static void rwlock_give_up(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        rwlock_init(&shared.rwlock);
        shared.value = shared.copy = 0;
        store_relaxed(&turn.writers, 0);
        turn.writers_before = 0;
        rwlock_read_lock(&shared.rwlock);
        for (unsigned i = 0; i < TASKS; i++)
            shared.task[i] = spawn("turn", i < 2 ? wait_to_write : take_a_turn_reading, NULL, sim_some_fair_priority(),
                                   NULL);
        CHECK(sim_finish_all(shared.task, TASKS) == 0);
        CHECK(shared.rwlock.holders == 1);
        rwlock_read_unlock(&shared.rwlock);
    }
}

static int take_a_place(void *arg)
{
    (void)arg;
    sim_line_wait(&shared.line);
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        if (semaphore_down(&shared.semaphore, some_deadline(), WAIT_KILLABLE) != 0)
            continue;
        CHECK(fetch_add_relaxed(&shared.inside, 1) < PLACES);
        sim_delay();
        if (sim_chance(3))
            sim_nap(NS_PER_US);
        (void)fetch_sub_relaxed(&shared.inside, 1);
        semaphore_up(&shared.semaphore);
    }
    return 0;
}

static void semaphore_places(void)
{
    begin(take_a_place);
    CHECK(sim_finish_all(shared.task, TASKS) == 0);
    CHECK(shared.semaphore.count == PLACES && list_is_empty(&shared.semaphore.waiters.waiters));
}

/* One of these, whose memory goes with the waiter. */
struct brief {
    unsigned kind;
    struct completion completion;
    struct semaphore semaphore;
    struct rwlock rwlock;
    struct mutex mutex;
    struct condvar condvar;
    bool is_set; /* guarded by mutex */
};

static int end_brief(void *arg) NO_LOCK_ANALYSIS
{
    struct brief *brief = arg;

    sim_delay();
    switch (brief->kind) {
    case 0:
        completion_done(&brief->completion);
        break;
    case 1:
        completion_done_all(&brief->completion);
        break;
    case 2:
        semaphore_up(&brief->semaphore);
        break;
    default:
        mutex_lock(&brief->mutex);
        brief->is_set = true;
        condvar_broadcast(&brief->condvar);
        mutex_unlock(&brief->mutex);
        break;
    }
    return 0;
}

static void wait_brief(struct brief *brief) NO_LOCK_ANALYSIS
{
    switch (brief->kind) {
    case 0:
    case 1:
        CHECK(completion_wait(&brief->completion, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        break;
    case 2:
        CHECK(semaphore_down(&brief->semaphore, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        break;
    default:
        mutex_lock(&brief->mutex);
        while (!brief->is_set)
            CHECK(condvar_wait(&brief->condvar, &brief->mutex, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        mutex_unlock(&brief->mutex); /* the signaller's unlock came before: nobody else comes */
        break;
    }
}

/* The waiter frees what it waited on as soon as it may. */
static void sync_vanishes(void)
{
    for (unsigned round = 2 * sim_rounds(); round > 0; round--) {
        struct brief *brief = kmalloc(sizeof *brief);

        if (!CHECK(brief != NULL))
            return;
        brief->kind = (unsigned)sim_random_below(4);
        brief->is_set = false;
        completion_init(&brief->completion);
        semaphore_init(&brief->semaphore, 0);
        mutex_init(&brief->mutex);
        condvar_init(&brief->condvar);
        struct task *task = sim_spawn_nth("ender", end_brief, brief, 1);

        sim_delay();
        wait_brief(brief);
        kfree(brief);
        CHECK(finish(task) == 0);
    }
}

const struct sim_scenario sim_scenarios_sync[] = {
    { .name = "condvar-buffer", .aim = "a signal comes while a waiter lets go of the mutex, and is lost",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = condvar_buffer },
    { .name = "condvar-kill", .aim = "signal, deadline and kill end one wait, and it comes back without the mutex",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = condvar_kill },
    { .name = "rwlock-crowd", .aim = "readers and a writer are inside together, or somebody is forgotten",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = rwlock_crowd },
    { .name = "rwlock-turns", .aim = "readers pass a writer that waits, or writers pass readers",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = rwlock_turns },
    { .name = "rwlock-give-up", .aim = "a writer gives up, and the readers behind it wait on",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = rwlock_give_up },
    { .name = "semaphore-places", .aim = "a place is lost with a waiter that gives up, or given twice",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = semaphore_places },
    { .name = "sync-vanishes", .aim = "a waker touches an object that its waiter has freed already",
      .cpus = 3, .cpus_min = 2, .rounds = 6, .run = sync_vanishes },
    { .name = NULL },
};
