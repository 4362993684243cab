/* SPDX-License-Identifier: MIT */
/* Priority inheritance: chains that grow, shrink, and change under way; circles; and the inversion that it is for. */
#include "scenario.h"

#include <hal/cpu.h>
#include <hal/point.h>
#include <sched/completion.h>

#include "story.h"

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
        struct task *task = web.task[sim_random_below(TASKS)];
        struct sched_params params = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 100 * NS_PER_US,
                                       .deadline_ns = 200 * NS_PER_US + sim_random_below(NS_PER_MS) };
        int result = sim_chance(3) ? task_set_params(task, &params) : task_set_priority(task, sim_some_priority());

        CHECK(result == 0 || result == -ESRCH || result == -EBUSY); /* it may have ended */
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

static void inherit_inversion(void)
{
    story_inversion(sim_chance(3) ? PRIORITY_IDLE : sim_some_fair_priority(), 4, (unsigned)sim_random_below(100));
}

static void inherit_deadline(void)
{
    story_lend(sim_chance(3) ? PRIORITY_IDLE : sim_some_priority());
}

#define RUNTIME_NS (200 * NS_PER_US)
#define PERIOD_NS (2 * NS_PER_MS)
#define HELD_NS (3 * RUNTIME_NS)

static struct {
    struct mutex mutex;
    struct completion locked, begin;
    _Atomic(bool) go, stop;
    uint64_t want_ns, got_ns; /* of the lender, read after its end */
} overdraft;

static void work_until(uint64_t ns)
{
    while (clock_ns() < ns)
        hal_cpu_relax();
}

static int overdraw(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    mutex_lock(&overdraft.mutex);
    completion_done(&overdraft.locked);
    CHECK(completion_wait(&overdraft.begin, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    while (!load_relaxed(&overdraft.go))
        hal_cpu_relax();
    work_until(clock_ns() + HELD_NS);
    mutex_unlock(&overdraft.mutex);
    while (!load_relaxed(&overdraft.stop))
        hal_cpu_relax();
    return 0;
}

static int want_it(void *arg) NO_LOCK_ANALYSIS
{
    (void)arg;
    overdraft.want_ns = clock_ns();
    store_relaxed(&overdraft.go, true);
    mutex_lock(&overdraft.mutex);
    overdraft.got_ns = clock_ns();
    mutex_unlock(&overdraft.mutex);
    return 0;
}

static uint64_t run_ns_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return clock_ticks_to_ns(snapshot.stats.run_ticks);
}

static struct task *promised(const char *name, int (*entry)(void *), uint64_t runtime_ns, uint64_t deadline_ns)
{
    struct sched_params params = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = runtime_ns,
                                   .deadline_ns = deadline_ns };
    struct task *task = spawn_on(name, entry, NULL, PRIORITY_REALTIME_HIGH, online_cpu(online_count() - 1));

    CHECK(task_set_params(task, &params) == 0);
    return task;
}

/* A deadline task needs three times its runtime for what another one waits for. It is not throttled until it lets go,
 * and does without what it has run too long in the periods after that. */
static void inherit_overdraft(void)
{
    unsigned periods = 3 + sim_rounds();

    mutex_init(&overdraft.mutex);
    completion_init(&overdraft.locked);
    completion_init(&overdraft.begin);
    store_relaxed(&overdraft.go, false);
    store_relaxed(&overdraft.stop, false);
    sim_stay_on(online_cpu(0));
    struct task *owner = promised("owner", overdraw, RUNTIME_NS, PERIOD_NS);

    CHECK(completion_wait(&overdraft.locked, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    uint64_t begin_ns = clock_ns(), before_ns = run_ns_of(owner);

    completion_done(&overdraft.begin);
    struct task *lender = promised("lender", want_it, RUNTIME_NS / 2, 10 * PERIOD_NS);

    CHECK(finish(lender) == 0);
    /* Up to its next period is where it would stand still, twice over. */
    CHECK(overdraft.got_ns - overdraft.want_ns >= HELD_NS && overdraft.got_ns - overdraft.want_ns < PERIOD_NS);
    (void)task_sleep_until(begin_ns + periods * PERIOD_NS);
    CHECK(run_ns_of(owner) - before_ns <= ((clock_ns() - begin_ns) / PERIOD_NS + 1) * RUNTIME_NS + RUNTIME_NS / 2);
    store_relaxed(&overdraft.stop, true);
    CHECK(finish(owner) == 0);
    sim_roam();
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
    { .name = "inherit-deadline", .aim = "a deadline that is lent is not the lender's, or stays where nobody lends it",
      .cpus = 4, .cpus_min = 1, .rounds = 1, .run = inherit_deadline },
    { .name = "inherit-overdraft", .aim = "an owner is throttled while a deadline task waits, or never pays for that",
      .cpus = 2, .cpus_min = 2, .rounds = 3, .run = inherit_overdraft },
    { .name = NULL },
};
