/* SPDX-License-Identifier: MIT */
/* Crowds of fair tasks of all kinds, which are sent away as they run, wait, and are displaced. */
#include "scenario.h"

#include <host/machine.h>
#include <sched/params.h>
#include <sched/task.h>

#define CROWDED 2u /* CPUs */
#define EACH_MAX 12u
#define SENDERS 2u

static struct {
    struct task *fair[CROWDED * EACH_MAX], *urgent[CROWDED], *sender[SENDERS];
    unsigned count; /* of the fair ones */
    _Atomic(bool) stop;
} crowd;

/* Of the longest and the shortest slices, so that whoever comes seldom has the latest deadline: then it is sorted. */
static int compute_and_wait(void *arg)
{
    const struct sched_params params = { .policy = SCHED_POLICY_FAIR, .nice = (int8_t)(sim_random_below(30) - 15),
                                         .slice_ns = SCHED_SLICE_NS_MIN << sim_random_below(5) };

    (void)arg;
    CHECK(task_set_params(current_task(), &params) == 0);
    while (!load_relaxed(&crowd.stop)) {
        host_compute(sim_random_below(20 * NS_PER_US));
        if (sim_chance(3))
            sim_nap(10 * NS_PER_US);
        else if (sim_chance(3))
            task_yield();
    }
    return 0;
}

/* Whoever has just been chosen is queued again at once, and another class has the CPU. */
static int displace(void *arg)
{
    (void)arg;
    while (!load_relaxed(&crowd.stop)) {
        sim_nap(20 * NS_PER_US);
        host_compute(sim_random_below(10 * NS_PER_US));
        sim_delay();
    }
    return 0;
}

static void send(struct task *task)
{
    struct cpumask mask;
    cpu_id_t cpu = (cpu_id_t)sim_random_below(CROWDED);

    cpumask_set_single(&mask, online_cpu(cpu));
    if (sim_chance(2))
        cpumask_add(&mask, sim_some_cpu());
    CHECK(task_set_affinity(task, &mask) == 0);
}

static int send_around(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 15 * sim_rounds(); i++) {
        send(crowd.fair[sim_random_below(crowd.count)]);
        if (sim_chance(3))
            sim_nap(10 * NS_PER_US);
        else
            sim_delay();
    }
    return 0;
}

static void fair_crowds(void)
{
    store_relaxed(&crowd.stop, false);
    /* Of few, others than the one that runs may all go at once; of many, some wait to be sorted. */
    crowd.count = CROWDED * (unsigned)(sim_chance(4) ? EACH_MAX : 2 + sim_random_below(3));
    for (unsigned i = 0; i < CROWDED; i++)
        crowd.urgent[i] = spawn_on("urgent", displace, NULL, PRIORITY_REALTIME_LOW, online_cpu(i));
    for (unsigned i = 0; i < crowd.count; i++)
        crowd.fair[i] = spawn_on("fair", compute_and_wait, NULL, PRIORITY_DEFAULT, online_cpu(i % CROWDED));
    for (unsigned i = 0; i < SENDERS; i++)
        crowd.sender[i] = spawn("sender", send_around, NULL, PRIORITY_REALTIME_LOW, NULL);
    CHECK(sim_finish_all(crowd.sender, SENDERS) == 0);
    store_relaxed(&crowd.stop, true);
    CHECK(sim_finish_all(crowd.fair, crowd.count) == 0 && sim_finish_all(crowd.urgent, CROWDED) == 0);
}

const struct sim_scenario sim_scenarios_fair[] = {
    { .name = "fair-crowds", .aim = "a task has left a CPU, and that CPU's tree of fair tasks still has it",
      .cpus = 3, .cpus_min = 3, .rounds = 4, .run = fair_crowds },
    { .name = NULL },
};
