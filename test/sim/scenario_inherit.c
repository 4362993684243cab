/* SPDX-License-Identifier: MIT */
/* Priority inheritance: chains that grow, shrink, and change under way; circles; and the inversion that it is for. */
#include "scenario.h"

#include <hal/cpu.h>
#include <hal/point.h>
#include <sched/completion.h>

#define TASKS 6
#define MUTEXES 4

static struct {
    struct mutex mutex[MUTEXES];
    struct task *task[TASKS];
    struct sim_line line;
    _Atomic(bool) stop;
    _Atomic(unsigned) refused;
} web;

static void web_begin(void)
{
    for (unsigned i = 0; i < MUTEXES; i++)
        mutex_init(&web.mutex[i]);
    sim_line_init(&web.line);
    store_relaxed(&web.stop, false);
    store_relaxed(&web.refused, 0);
}

static void web_end(void)
{
    CHECK(sim_finish_all(web.task, TASKS) == 0);
    for (unsigned i = 0; i < MUTEXES; i++)
        CHECK(load_relaxed(&web.mutex[i].owner) == 0 && rb_is_empty(&web.mutex[i].waiters));
}

/* Not boosted, unless somebody waits for what it holds; it holds nothing now. */
static void expect_nothing_inherited(void)
{
    struct task_snapshot snapshot;

    task_get_snapshot(current_task(), &snapshot);
    CHECK(!snapshot.is_boosted && snapshot.effective_priority == snapshot.priority);
}

/* Some of the mutexes in rising order, so that there are chains and no circles; let go in any order. */
static int lock_some(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    sim_line_wait(&web.line);
    for (unsigned i = 0; i < 2 * sim_rounds(); i++) {
        unsigned held = 0;

        for (unsigned m = 0; m < MUTEXES; m++) {
            uint64_t deadline = sim_chance(3) ? clock_ns() + sim_random_below(6 * NS_PER_US) : TIME_NEVER;

            if (sim_chance(3))
                continue;
            int result = mutex_lock_until(&web.mutex[m], deadline, WAIT_UNINTERRUPTED);

            CHECK(result == 0 || (result == -ETIMEDOUT && deadline != TIME_NEVER));
            held |= (result == 0) << m;
            sim_delay();
        }
        if (sim_chance(3))
            sim_nap(NS_PER_US);
        unsigned first = (unsigned)sim_random_below(MUTEXES);

        for (unsigned n = 0; n < MUTEXES; n++) {
            unsigned m = (first + n) % MUTEXES;

            if ((held >> m & 1) != 0)
                mutex_unlock(&web.mutex[m]);
        }
        expect_nothing_inherited();
    }
    return 0;
}

static int set_some(void *arg)
{
    (void)arg;
    while (!load_relaxed(&web.stop)) {
        int result = task_set_priority(web.task[sim_random_below(TASKS)], sim_some_priority());

        CHECK(result == 0 || result == -ESRCH); /* it may have ended */
        sim_nap(3 * NS_PER_US);
    }
    return 0;
}

static void inherit_web(void)
{
    web_begin();
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < TASKS; i++)
        web.task[i] = spawn("locker", lock_some, NULL, sim_some_priority(), NULL);
    struct task *setter = spawn("setter", set_some, NULL, PRIORITY_REALTIME_HIGH, NULL);

    for (unsigned i = 0; i < TASKS; i++)
        if (web.task[i] == NULL)
            return;
    sim_line_open(&web.line, TASKS);
    sim_nap(40 * NS_PER_US);
    store_relaxed(&web.stop, true);
    CHECK(finish(setter) == 0);
    web_end();
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

/* Two mutexes each, in any order. Nobody has a deadline: a circle that is not found never ends. */
static int lock_in_any_order(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    sim_line_wait(&web.line);
    for (unsigned i = 0; i < 3 * sim_rounds(); i++) {
        unsigned a = (unsigned)sim_random_below(MUTEXES);
        unsigned b = (unsigned)sim_random_below(MUTEXES);

        mutex_lock(&web.mutex[a]);
        sim_delay();
        int result = mutex_lock_until(&web.mutex[b], TIME_NEVER, WAIT_UNINTERRUPTED);

        CHECK(result == 0 ? a != b : result == -EDEADLK);
        if (result == 0)
            mutex_unlock(&web.mutex[b]);
        else
            (void)fetch_add_relaxed(&web.refused, a != b);
        mutex_unlock(&web.mutex[a]);
        if (sim_chance(4))
            sim_nap(NS_PER_US);
    }
    return 0;
}

static void inherit_circle(void)
{
    web_begin();
    for (unsigned i = 0; i < TASKS; i++)
        web.task[i] = spawn("circler", lock_in_any_order, NULL, sim_some_fair_priority(), NULL);
    sim_line_open(&web.line, TASKS);
    web_end();
}

/* Without a chance of a circle nobody may hear of one, however the links come and go: rising order. */
static int lock_in_order(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    sim_line_wait(&web.line);
    for (unsigned i = 0; i < 2 * sim_rounds(); i++) {
        for (unsigned m = 0; m < MUTEXES; m++)
            CHECK(mutex_lock_until(&web.mutex[m], TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
        sim_delay();
        for (unsigned m = MUTEXES; m-- > 0;)
            mutex_unlock(&web.mutex[m]);
    }
    return 0;
}

static void inherit_order(void)
{
    web_begin();
    for (unsigned i = 0; i < TASKS; i++)
        web.task[i] = spawn("orderly", lock_in_order, NULL, sim_some_fair_priority(), NULL);
    sim_line_open(&web.line, TASKS);
    web_end();
}

#define LINKS 10

static struct {
    struct mutex mutex[LINKS];
    struct completion go;
    struct task *task[LINKS];
    struct task *pusher[2];
} chain;

static int hold_link(void *arg) NO_LOCK_ANALYSIS
{
    unsigned i = (unsigned)(uintptr_t)arg;

    mutex_lock(&chain.mutex[i]);
    if (i == 0) {
        CHECK(completion_wait(&chain.go, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    } else {
        mutex_lock(&chain.mutex[i - 1]);
        mutex_unlock(&chain.mutex[i - 1]);
    }
    mutex_unlock(&chain.mutex[i]);
    expect_nothing_inherited();
    return 0;
}

static int push_end(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    for (unsigned i = 0; i < sim_rounds(); i++) {
        unsigned at = (unsigned)sim_random_below(LINKS);

        if (mutex_lock_until(&chain.mutex[at], clock_ns() + sim_random_below(8 * NS_PER_US), WAIT_KILLABLE) == 0)
            mutex_unlock(&chain.mutex[at]);
        sim_delay();
    }
    return 0;
}

/* Urgent waiters come and time out at a chain of ten, are killed, and the chain unwinds under them. */
static void inherit_chain(void)
{
    completion_init(&chain.go);
    for (uintptr_t i = 0; i < LINKS; i++) {
        mutex_init(&chain.mutex[i]);
        chain.task[i] = spawn("link", hold_link, (void *)i, PRIORITY_USER_NORMAL, NULL);
        if (chain.task[i] == NULL)
            return;
        while (!is_blocked(chain.task[i]))
            sim_pause();
    }
    for (unsigned i = 0; i < 2; i++)
        chain.pusher[i] = spawn("pusher", push_end, NULL, (int)sim_random_below(PRIORITY_REALTIME_LOW), NULL);
    for (unsigned i = 0; i < sim_rounds(); i++) {
        CHECK(task_set_priority(chain.task[sim_random_below(LINKS)], sim_some_priority()) == 0);
        sim_nap(10 * NS_PER_US);
    }
    if (sim_chance(2)) {
        int killed = task_kill(chain.pusher[0]);

        CHECK(killed == 0 || killed == -ESRCH);
    }
    completion_done(&chain.go);
    CHECK(sim_finish_all(chain.pusher, 2) == 0);
    CHECK(sim_finish_all(chain.task, LINKS) == 0);
}

#define HOGS 4

static struct {
    struct mutex mutex;
    struct completion locked;
    _Atomic(bool) go, stop;
    _Atomic(unsigned) work[HOGS];
    unsigned before, after; /* of high, read after its end */
} inversion;

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
    sim_delay();
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

/* All on one CPU. While high waits for low, none of those between runs, not for a moment. */
static void inherit_inversion(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task *hog[HOGS];

    mutex_init(&inversion.mutex);
    completion_init(&inversion.locked);
    store_relaxed(&inversion.go, false);
    store_relaxed(&inversion.stop, false);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    struct task *low = spawn_on("low", be_low, NULL, sim_chance(3) ? PRIORITY_IDLE : sim_some_fair_priority(), cpu);

    CHECK(completion_wait(&inversion.locked, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    for (uintptr_t i = 0; i < HOGS; i++) {
        store_relaxed(&inversion.work[i], 0);
        hog[i] = spawn_on("between", be_between, (void *)i, PRIORITY_REALTIME_LOW, cpu);
    }
    while (all_work() == 0)
        sim_pause();
    struct task *high = spawn_on("high", be_high, NULL, PRIORITY_REALTIME_NORMAL, cpu);

    CHECK(finish(high) == 0);
    CHECK(inversion.after == inversion.before);
    CHECK(finish(low) == 0);
    CHECK(sim_finish_all(hog, HOGS) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

const struct sim_scenario sim_scenarios_inherit[] = {
    { .name = "inherit-web", .aim = "who waits for whom, and how urgently, changes while urgency travels along it",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = inherit_web },
    { .name = "inherit-chain", .aim = "a boost reaches the end of a chain late, or stays there when its cause has gone",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = inherit_chain },
    { .name = "inherit-circle", .aim = "a circle of owners and waiters is closed by several at once, unseen",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = inherit_circle },
    { .name = "inherit-order", .aim = "links that never exist at one time are taken for a circle",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = inherit_order },
    { .name = "inherit-inversion", .aim = "a low owner keeps a high waiter waiting while those between them run",
      .cpus = 2, .cpus_min = 1, .rounds = 1, .run = inherit_inversion },
    { .name = NULL },
};
