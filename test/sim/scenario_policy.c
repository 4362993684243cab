/* SPDX-License-Identifier: MIT */
/*
 * Priority and policy: changed while a task is queued, runs, sleeps or ends its slice; who goes first, and whose turn
 * it is among equals.
 */
#include "scenario.h"

#include <hal/cpu.h>
#include <hal/point.h>
#include <smp/preempt.h>

#define TASKS 6

static struct {
    struct task *task[TASKS];
    _Atomic(bool) stop;
    _Atomic(unsigned) alive;
} changed;

static int live_on(void *arg)
{
    (void)arg;
    while (!load_relaxed(&changed.stop)) {
        sim_delay();
        if (sim_chance(2))
            task_yield();
        else
            sim_nap(2 * NS_PER_US);
    }
    return 0;
}

static int change_somebody(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 8 * sim_rounds(); i++) {
        struct task *task = changed.task[sim_random_below(TASKS)];

        if (sim_chance(3)) {
            int result = task_set_policy(task, sim_chance(2) ? SCHED_POLICY_FIFO : SCHED_POLICY_RR);

            CHECK(result == 0 || result == -EINVAL); /* it may be fair at the moment */
        } else {
            CHECK(task_set_priority(task, sim_chance(8) ? PRIORITY_IDLE : sim_some_priority()) == 0);
        }
        if (sim_chance(2))
            sim_nap(2 * NS_PER_US);
    }
    return 0;
}

/* Class queues are left and joined in every state; the setters are more urgent than whatever they set, so as to end. */
static void priority_change(void)
{
    struct task *setter[2];

    store_relaxed(&changed.stop, false);
    for (unsigned i = 0; i < TASKS; i++) {
        changed.task[i] = spawn("changed", live_on, NULL, sim_some_fair_priority(), NULL);
        if (changed.task[i] == NULL)
            return;
    }
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < 2; i++)
        setter[i] = spawn("setter", change_somebody, NULL, PRIORITY_REALTIME_HIGH, NULL);
    CHECK(sim_finish_all(setter, 2) == 0);
    for (unsigned i = 0; i < TASKS; i++) {
        struct task_snapshot snapshot;

        CHECK(task_set_priority(changed.task[i], PRIORITY_USER_NORMAL) == 0);
        task_get_snapshot(changed.task[i], &snapshot);
        CHECK(snapshot.priority == PRIORITY_USER_NORMAL && snapshot.policy == SCHED_POLICY_FAIR);
    }
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    store_relaxed(&changed.stop, true);
    CHECK(sim_finish_all(changed.task, TASKS) == 0);
}

static int end_soon(void *arg)
{
    (void)arg;
    if (sim_chance(2))
        sim_nap(2 * NS_PER_US);
    sim_delay();
    return 0;
}

static int change_all(void *arg)
{
    int dead = 0;

    (void)arg;
    for (unsigned i = 0; i < TASKS; i++) {
        int result = task_set_priority(changed.task[i], sim_some_priority());

        CHECK(result == 0 || result == -ESRCH);
        dead += result != 0;
        sim_delay();
    }
    return dead;
}

/* The task that is changed ends meanwhile. */
static void priority_exit(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *setter[2];

        for (unsigned i = 0; i < TASKS; i++) {
            changed.task[i] = sim_spawn_nth("changed", end_soon, NULL, i);
            if (changed.task[i] == NULL)
                return;
        }
        for (unsigned i = 0; i < 2; i++)
            setter[i] = spawn("setter", change_all, NULL, PRIORITY_USER_HIGH, NULL);
        int64_t dead = sim_finish_all(setter, 2);

        CHECK(dead >= 0 && dead <= 2 * TASKS);
        CHECK(sim_finish_all(changed.task, TASKS) == 0);
    }
}

#define LEVELS 4

static struct {
    _Atomic(unsigned) place;
    unsigned seen[LEVELS];
    _Atomic(bool) go; /* PAIRS(sim_go) */
} order;

static int note_place(void *arg)
{
    order.seen[(uintptr_t)arg] = fetch_add_relaxed(&order.place, 1);
    return 0;
}

static int hold_the_cpu(void *arg)
{
    (void)arg;
    while (!load_acquire(&order.go)) /* PAIRS(sim_go) */
        hal_cpu_relax();
    return 0;
}

/* Behind a task that holds the CPU, others queue and have their priorities changed: they run by the last ones. */
static void priority_order(void)
{
    static const int priority[LEVELS] = { PRIORITY_REALTIME_NORMAL, PRIORITY_REALTIME_LOW, PRIORITY_USER_NORMAL,
                                          PRIORITY_IDLE };
    cpu_id_t busy = online_cpu(online_count() - 1);

    if (online_count() < 2)
        return; /* the task that holds the CPU would hold ours */
    sim_stay_on(online_cpu(0));
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *task[LEVELS];
        unsigned shift = (unsigned)sim_random_below(LEVELS);

        store_relaxed(&order.place, 0);
        store_relaxed(&order.go, false);
        struct task *holder = spawn_on("holder", hold_the_cpu, NULL, PRIORITY_REALTIME_HIGH, busy);

        for (uintptr_t i = 0; i < LEVELS; i++)
            task[i] = spawn_on("level", note_place, (void *)i, priority[sim_random_below(LEVELS)], busy);
        for (unsigned i = 0; i < LEVELS; i++)
            CHECK(task[i] != NULL && task_set_priority(task[i], priority[(i + shift) % LEVELS]) == 0);
        store_release(&order.go, true); /* PAIRS(sim_go) */
        CHECK(finish(holder) == 0);
        CHECK(sim_finish_all(task, LEVELS) == 0);
        for (unsigned i = 0; i < LEVELS; i++)
            CHECK(order.seen[i] == (i + shift) % LEVELS);
    }
    sim_roam();
}

#define PEERS 3

static struct {
    struct sim_line line;
    unsigned turns[PEERS]; /* written by tasks that are never on two CPUs at once, one CPU's own */
    unsigned rounds;
    _Atomic(bool) stop;
} peers;

static unsigned turns_of(unsigned peer)
{
    return peers.turns[peer];
}

static int yield_in_turn(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;

    sim_line_wait(&peers.line);
    for (unsigned i = 0; i < peers.rounds; i++) {
        peers.turns[self]++;
        for (unsigned other = 0; other < PEERS; other++)
            CHECK(turns_of(self) <= turns_of(other) + 1); /* nobody has a second turn before everybody had one */
        task_yield();
    }
    return 0;
}

/* FIFO tasks of one level on one CPU: yielding goes round, exactly. */
static void yield_storm(void)
{
    struct task *task[PEERS];

    sim_stay_on(online_cpu(0));
    sim_line_init(&peers.line);
    peers.rounds = 8 * sim_rounds();
    for (unsigned i = 0; i < PEERS; i++) {
        peers.turns[i] = 0;
        task[i] = spawn_on("peer", yield_in_turn, (void *)(uintptr_t)i, PRIORITY_REALTIME_NORMAL,
                           online_cpu(online_count() - 1));
        CHECK(task[i] != NULL && task_set_policy(task[i], SCHED_POLICY_FIFO) == 0);
    }
    sim_line_open(&peers.line, PEERS);
    CHECK(sim_finish_all(task, PEERS) == 0);
    for (unsigned i = 0; i < PEERS; i++)
        CHECK(peers.turns[i] == peers.rounds);
    sim_roam();
}

static int spin_until_stopped(void *arg)
{
    (void)arg;
    while (!load_relaxed(&peers.stop))
        hal_cpu_relax();
    return 0;
}

static uint64_t runs_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.run_count;
}

static bool all_ran(struct task *const *task, uint64_t times)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (task[i] == NULL || runs_of(task[i]) < times)
            return false;
    return true;
}

/* Nobody yields: the slices alone share the CPU, and policies change while slices end. All other CPUs sleep, so that
 * time, which goes by the step, is not shared with them. */
static void slices(int priority, bool with_changes)
{
    struct task *task[PEERS];

    store_relaxed(&peers.stop, false);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < PEERS; i++)
        task[i] = spawn_on("hog", spin_until_stopped, NULL, priority, online_cpu(online_count() - 1));
    for (uint64_t times = 2; times <= 1 + sim_rounds(); times++)
        while (!all_ran(task, times)) {
            struct task *one = task[sim_random_below(PEERS)];

            if (with_changes && one != NULL) {
                CHECK(task_set_policy(one, SCHED_POLICY_FIFO) == 0);
                sim_delay();
                CHECK(task_set_policy(one, SCHED_POLICY_RR) == 0);
            }
            sim_nap((with_changes ? 20 : 4) * NS_PER_MS); /* a change begins a new slice: leave some alone */
        }
    store_relaxed(&peers.stop, true);
    CHECK(sim_finish_all(task, PEERS) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

static void slice_round_robin(void)
{
    slices(PRIORITY_REALTIME_NORMAL, false);
}

static void slice_fair(void)
{
    slices(PRIORITY_USER_NORMAL, false);
}

static void slice_policy(void)
{
    slices(PRIORITY_REALTIME_LOW, true);
}

const struct sim_scenario sim_scenarios_policy[] = {
    { .name = "priority-change", .aim = "a priority is changed in any state, and the task is lost between two queues",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = priority_change },
    { .name = "priority-exit", .aim = "a priority is changed while the task ends",
      .cpus = 4, .cpus_min = 1, .rounds = 9, .run = priority_exit },
    { .name = "priority-order", .aim = "a queued task keeps its old place when its priority changes",
      .cpus = 2, .cpus_min = 2, .rounds = 12, .run = priority_order },
    { .name = "yield-storm", .aim = "among equals one is passed over, or has two turns",
      .cpus = 2, .cpus_min = 1, .rounds = 12, .run = yield_storm },
    { .name = "slice-round-robin", .aim = "the end of a slice is missed, and a real-time peer starves",
      .cpus = 2, .cpus_min = 1, .rounds = 2, .run = slice_round_robin },
    { .name = "slice-fair", .aim = "the end of a slice is missed, and a fair peer starves",
      .cpus = 2, .cpus_min = 1, .rounds = 2, .run = slice_fair },
    { .name = "slice-policy", .aim = "the policy changes as the slice ends, and nobody takes over",
      .cpus = 2, .cpus_min = 1, .rounds = 2, .run = slice_policy },
    { .name = NULL },
};
