/* SPDX-License-Identifier: MIT */
/* The example class (docs/SCHEDULING-CLASS.md): shares, and tasks that come into it and leave it in every state. */
#include "scenario.h"
#include "watch.h"

#include <hal/cpu.h>

#define TASKS 4
#define SLICE_NS SCHED_SLICE_NS_MIN
#define NICE_SPREAD (NICE_MAX - NICE_MIN + 1)

static struct {
    struct task *task[TASKS];
    int nice[TASKS];
    _Atomic(unsigned) awake; /* hogs that sleep no more */
    _Atomic(bool) stop;
} stride;

static struct sched_params stride_params(int nice)
{
    return (struct sched_params){ .policy = SCHED_POLICY_STRIDE, .nice = (int8_t)nice, .slice_ns = SLICE_NS };
}

/* It has slept before, so that what it takes along then counts, too; while it sleeps, it has no share. A yield is not
 * in it: whoever yields may lose as much as the one that it lets pass is ahead. */
static int hog(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 12; i++) {
        sim_delay();
        sim_nap(SLICE_NS / 4);
    }
    fetch_add_relaxed(&stride.awake, 1);
    while (!load_relaxed(&stride.stop))
        hal_cpu_relax();
    return 0;
}

/* What each has had, and how long it took to ask them all, by which the first and the last answer may be apart. */
static uint64_t read_all(uint64_t ran_ns[TASKS])
{
    uint64_t from_ns = clock_ns();

    for (unsigned i = 0; i < TASKS; i++) {
        struct task_snapshot snapshot;

        task_get_snapshot(stride.task[i], &snapshot);
        ran_ns[i] = clock_ticks_to_ns(snapshot.stats.run_ticks);
    }
    return clock_ns() - from_ns;
}

/* Time times 840 / tickets, as much as of the strides. 840 is a multiple of many numbers up to 40; the rest is cut. */
static int64_t worth(uint64_t ns, unsigned i)
{
    return (int64_t)(ns * 840 / (uint64_t)(NICE_MAX + 1 - stride.nice[i]));
}

/*
 * Hogs on one CPU, of tickets by the seed. At any two moments, the times that two of them have had, each over its
 * tickets, differ by no more than a slice of one of them; so the times between the moments by no more than two. What
 * the two looks take comes on top, and by how much a timer may end a slice late.
 */
static void stride_shares(void)
{
    uint64_t before_ns[TASKS], after_ns[TASKS];

    store_relaxed(&stride.stop, false);
    store_relaxed(&stride.awake, 0);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    sim_stay_on(online_cpu(0));
    for (unsigned i = 0; i < TASKS; i++) {
        stride.nice[i] = NICE_MAX - (int)sim_random_below(NICE_SPREAD);
        stride.task[i] = spawn_on("hog", hog, NULL, PRIORITY_DEFAULT, online_cpu(online_count() - 1));
        struct sched_params params = stride_params(stride.nice[i]);

        CHECK(stride.task[i] != NULL && task_set_params(stride.task[i], &params) == 0);
    }
    for (unsigned round = sim_rounds(); round > 0; round--) {
        do
            sim_nap(16 * SLICE_NS);
        while (load_relaxed(&stride.awake) != TASKS);
        uint64_t slack_ns = read_all(before_ns);

        sim_nap(64 * SLICE_NS);
        slack_ns += read_all(after_ns) + 3 * (sim_ipi_delay_ns() + sim_deaf_ns_max());
        for (unsigned i = 0; i < TASKS; i++)
            for (unsigned j = 0; j < TASKS; j++) {
                unsigned fewer = stride.nice[i] > stride.nice[j] ? i : j;

                CHECK(worth(after_ns[i] - before_ns[i], i) - worth(after_ns[j] - before_ns[j], j) <=
                      worth(2 * SLICE_NS + slack_ns, fewer) + 1);
            }
    }
    store_relaxed(&stride.stop, true);
    CHECK(sim_finish_all(stride.task, TASKS) == 0);
    sim_roam();
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

/* ---- Into the class and out of it ---- */

static struct mutex shared;

static int live_on(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stride.stop)) {
        sim_delay();
        if (sim_chance(3)) {
            mutex_lock(&shared);
            sim_delay();
            mutex_unlock(&shared);
        } else if (sim_chance(2)) {
            task_yield();
        } else {
            sim_nap(2 * NS_PER_US);
        }
    }
    return 0;
}

static void change_one(struct task *task)
{
    struct sched_params params = stride_params(NICE_MAX - (int)sim_random_below(NICE_SPREAD));
    struct cpumask mask;

    switch (sim_random_below(6)) {
    case 0:
        params.policy = SCHED_POLICY_FAIR;
        break;
    case 1:
        params = (struct sched_params){ .policy = SCHED_POLICY_RR, .rt_level = (uint8_t)(1 + sim_random_below(98)) };
        break;
    case 2:
        params = (struct sched_params){ .policy = SCHED_POLICY_IDLE };
        break;
    case 3:
        sim_some_cpus(&mask);
        CHECK(task_set_affinity(task, &mask) == 0);
        return;
    }
    CHECK(task_set_params(task, &params) == 0);
    struct sched_params is;

    task_get_params(task, &is);
    CHECK(is.policy == params.policy && is.nice == params.nice);
}

/* Tasks change between all classes while they wait, run, sleep, hold a mutex or inherit from those who want it. */
static void stride_change(void)
{
    store_relaxed(&stride.stop, false);
    mutex_init(&shared);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < TASKS; i++) {
        stride.task[i] = spawn("changed", live_on, NULL, PRIORITY_DEFAULT, NULL);
        CHECK(stride.task[i] != NULL);
    }
    for (unsigned i = 0; i < 16 * sim_rounds(); i++) {
        change_one(stride.task[sim_random_below(TASKS)]);
        sim_nap(2 * NS_PER_US);
    }
    store_relaxed(&stride.stop, true);
    CHECK(sim_finish_all(stride.task, TASKS) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

const struct sim_scenario sim_scenarios_stride[] = {
    { .name = "stride-shares", .aim = "tasks of the example class have other shares than their tickets say",
      .cpus = 2, .cpus_min = 1, .rounds = 1, .run = stride_shares },
    { .name = "stride-change", .aim = "a task is lost or misplaced on its way into the example class, or out of it",
      .cpus = 4, .cpus_min = 1, .rounds = 3, .run = stride_change },
    { .name = NULL },
};
