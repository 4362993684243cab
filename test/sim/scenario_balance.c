/* SPDX-License-Identifier: MIT */
/*
 * Tasks over CPUs: shares, urgency, stoppers, and the four bugs of "The Linux Scheduler: a Decade of Wasted Cores"
 * (Lozi et al., EuroSys 2016), as stories that must not end as they did there. The simulated machine's cores, caches
 * and nodes are the seed's choice. More of CPUs that go off and come back is in scenario_hotplug.c.
 */
#include "scenario.h"
#include "watch.h"

#include <boot/hotplug.h>
#include <hal/point.h>
#include <sched/stop.h>
#include <smp/preempt.h>

#define CPUS_MAX 16u
#define BURST_POINT_NS_MAX 40u /* twice as long as a point takes whoever is stepped as often as the others */

static struct {
    _Atomic(bool) stop;
    _Atomic(unsigned) done;
    _Atomic(unsigned) inside[CPU_MAX];
} story;

static unsigned story_cpus(void)
{
    return MIN(online_count(), CPUS_MAX);
}

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&story.stop))
        hal_cpu_relax();
    return 0;
}

static void stop_all(struct task *const *task, unsigned count)
{
    store_relaxed(&story.stop, true);
    CHECK(sim_finish_all(task, count) == 0);
    store_relaxed(&story.stop, false);
}

static struct task_snapshot snapshot_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot;
}

/* As many tasks as CPUs but ours: a millisecond later, and from then on, each has one. */
static void all_run(struct task *const *task, unsigned count)
{
    for (unsigned look = 0; look < 3; look++) {
        (void)task_sleep_for(NS_PER_MS);
        for (unsigned i = 0; i < count; i++)
            CHECK(snapshot_of(task[i]).state == TASK_RUNNING);
    }
}

/* Bug 1, group imbalance: the weight of one task makes its whole group look busy, and idle CPUs of it are forgotten. */
static void wasted_group(void)
{
    struct task *task[CPUS_MAX];
    unsigned count = story_cpus() - 1;

    for (unsigned i = 0; i < count; i++)
        task[i] = spawn("hog", hog, NULL, i == 0 ? 21 : sim_chance(2) ? PRIORITY_DEFAULT : 98, NULL);
    all_run(task, count);
    stop_all(task, count);
}

/* Bug 2, construction of groups: tasks that may use CPUs far apart stay on those where they began. */
static void wasted_far(void)
{
    struct task *task[CPUS_MAX];
    unsigned cpus = story_cpus();
    struct cpumask mask;
    unsigned count = 0;

    cpumask_clear(&mask);
    for (unsigned i = cpus - 1; i > 0 && i + 2 >= cpus; i--)
        cpumask_add(&mask, online_cpu(i));
    cpumask_add(&mask, online_cpu(1));
    for (cpu_id_t id = cpumask_next(&mask, 0); id != CPU_NONE; id = cpumask_next(&mask, id + 1)) {
        struct cpumask here;

        /* Begin on the first one, and be let go there. */
        cpumask_set_single(&here, online_cpu(1));
        task[count] = spawn("hog", hog, NULL, PRIORITY_DEFAULT, &here);
        count++;
    }
    sim_stay_on(online_cpu(0));
    for (unsigned i = 0; i < count; i++)
        CHECK(task_set_affinity(task[i], &mask) == 0);
    all_run(task, count);
    sim_roam();
    stop_all(task, count);
}

static _Atomic(uint32_t) woke_on;

static int sleep_and_look(void *arg)
{
    (void)arg;
    while (!load_relaxed(&story.stop)) {
        (void)task_sleep_for(20 * NS_PER_US);
        preempt_disable();
        store_relaxed(&woke_on, this_cpu_id());
        preempt_enable();
        (void)fetch_add_relaxed(&story.done, 1);
    }
    return 0;
}

/* Bug 3, overload on wake-up: a task wakes on the busy node where it slept, while a whole node idles. */
static void wasted_wake(void)
{
    struct task *task[CPUS_MAX];
    unsigned busy = story_cpus() / 2;
    struct cpumask mask;

    store_relaxed(&story.done, 0);
    sim_stay_on(online_cpu(story_cpus() - 1));
    struct task *sleeper = sim_spawn_nth("sleeper", sleep_and_look, NULL, 0);

    while (load_relaxed(&story.done) == 0)
        sim_pause();
    for (unsigned i = 0; i < busy; i++)
        task[i] = sim_spawn_nth("hog", hog, NULL, i);
    cpumask_set_all(&mask);
    CHECK(task_set_affinity(sleeper, &mask) == 0);
    (void)task_sleep_for(200 * NS_PER_US);
    for (unsigned look = 0; look < 5; look++) {
        unsigned before = load_relaxed(&story.done);

        while (load_relaxed(&story.done) == before)
            sim_pause();
        CHECK(load_relaxed(&woke_on) >= busy);
    }
    task[busy] = sleeper;
    stop_all(task, busy + 1);
    sim_roam();
}

/* As many tasks as CPUs but one, forked on the first CPU, or let go there, reach all of them. */
static void crowd_spreads(bool is_forked)
{
    struct task *task[CPUS_MAX];
    unsigned count = story_cpus() - 1;
    struct cpumask mask;

    sim_stay_on(online_cpu(0));
    for (unsigned i = 0; i < count; i++)
        task[i] = is_forked ? spawn("hog", hog, NULL, PRIORITY_DEFAULT, NULL) : sim_spawn_nth("hog", hog, NULL, 0);
    cpumask_set_all(&mask);
    for (unsigned i = 0; i < count && !is_forked; i++)
        CHECK(task_set_affinity(task[i], &mask) == 0);
    sim_roam();
    all_run(task, count);
    stop_all(task, count);
}

/* A crowd that begins on one CPU gets through every level of the topology. */
static void wasted_level(void)
{
    crowd_spreads(false);
}

static void off_and_on(cpu_id_t cpu)
{
    CHECK(cpu_offline(cpu) == 0);
    sim_nap(10 * NS_PER_US);
    CHECK(cpu_online(cpu) == 0);
}

/* Bug 4, missing domains: since a CPU has been off and on again, nobody looks beyond a node. */
static void wasted_domains(void)
{
    off_and_on(online_cpu(1 + (unsigned)sim_random_below(story_cpus() - 1)));
    crowd_spreads(true);
    for (unsigned n = 1; n < story_cpus(); n++)
        off_and_on(online_cpu(n));
    crowd_spreads(false);
}

/* Tasks that have waited on one CPU for long are let go, and idle CPUs take them: what the kernel's monitor says of it
 * is no more than the bound by which check_idle.c judges. */
static void monitor_agrees(void)
{
    struct task *task[4];
    uint64_t longest_ns = 0;
    struct cpumask mask;

    sim_stay_on(online_cpu(0));
    for (unsigned round = sim_rounds(); round > 0; round--) {
        for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
            task[i] = sim_spawn_nth("hog", hog, NULL, 1);
        (void)task_sleep_for(2 * NS_PER_MS);
        cpumask_set_all(&mask);
        for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
            CHECK(task_set_affinity(task[i], &mask) == 0);
        (void)task_sleep_for(NS_PER_MS / 4);
        stop_all(task, ARRAY_COUNT(task));
    }
    for_each_online_cpu(id) {
        struct sched_cpu_stats stats;

        sched_cpu_stats_get(id, &stats);
        longest_ns = MAX(longest_ns, clock_ticks_to_ns(stats.idle_beside_work_ticks_max));
    }
    CHECK(longest_ns <= sim_cpus * (sim_ipi_delay_ns() + sim_deaf_ns_max()));
    sim_roam();
}

/* Three equal tasks on two CPUs take turns at being alone on one. The story is two or three trades of places long, so
 * none has had a whole CPU all the time; how equal they become in time is test/unit's. */
static void fair_shares(void)
{
    struct task *task[3];
    uint64_t before[3];
    struct cpumask mask;
    /* A look goes over so many CPUs and no more: on a large machine the other one of the two comes into sight late. */
    const uint64_t story_ns = 26 * NS_PER_MS * (1 + (load_relaxed(&cpu_started_count) + 31) / 64);

    cpumask_set_single(&mask, online_cpu(0));
    cpumask_add(&mask, online_cpu(1));
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("hog", hog, NULL, PRIORITY_DEFAULT, &mask);
    (void)task_sleep_for(2 * NS_PER_MS);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        before[i] = snapshot_of(task[i]).stats.run_ticks;
    (void)task_sleep_for(story_ns);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++) {
        uint64_t ran_ns = clock_ticks_to_ns(snapshot_of(task[i]).stats.run_ticks - before[i]);

        CHECK(ran_ns * 100 / story_ns < 92);
    }
    stop_all(task, ARRAY_COUNT(task));
}

/* Computes for a while, sleeps for a while; more urgent ones displace it. */
static int urgent_bursts(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 4; i++) {
        /* A point here is one of every other CPU, too, and a run has so many steps. A CPU may be much slower than the
         * others: there, time ends the burst. */
        uint64_t points = 2000 + sim_random_below(450000 / MAX(online_count(), 3u));
        uint64_t until_ns = clock_ns() + points * BURST_POINT_NS_MAX;

        for (; points > 0 && (points % 64 != 0 || clock_ns() < until_ns); points--)
            hal_point(NULL);
        sim_nap(200 * NS_PER_US);
    }
    return 0;
}

/* Real-time tasks of many levels, more than CPUs, some of them pinned, over fair ones. */
static void urgent_spread(void)
{
    struct task *fair[CPUS_MAX];
    struct task *urgent[6];
    unsigned cpus = story_cpus();

    for (unsigned i = 0; i < cpus; i++)
        fair[i] = sim_spawn_nth("fair", hog, NULL, i);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(urgent); i++) {
        int priority = 2 + (int)sim_random_below(18);

        urgent[i] = sim_chance(3) ? spawn_on("pinned", urgent_bursts, NULL, priority, sim_some_cpu())
                                  : spawn("urgent", urgent_bursts, NULL, priority, NULL);
    }
    CHECK(sim_finish_all(urgent, ARRAY_COUNT(urgent)) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    stop_all(fair, cpus);
}

static void note_stop(void *arg)
{
    cpu_id_t cpu = (cpu_id_t)(uintptr_t)arg;

    CHECK(this_cpu_id() == cpu);
    CHECK(fetch_add_relaxed(&story.inside[cpu], 1) == 0);
    sim_delay();
    (void)fetch_sub_relaxed(&story.inside[cpu], 1);
    (void)fetch_add_relaxed(&story.done, 1);
}

static int ask_stoppers(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3 * sim_rounds(); i++) {
        cpu_id_t cpu = sim_some_cpu();

        CHECK(stop_on_cpu(cpu, note_stop, (void *)(uintptr_t)cpu) == 0);
        if (sim_chance(3))
            sim_nap(NS_PER_US);
    }
    return 0;
}

/* Many ask the stoppers of many CPUs, themselves moved and preempted meanwhile. */
static void stop_storm(void)
{
    struct task *task[5];

    store_relaxed(&story.done, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("asker", ask_stoppers, NULL, sim_some_priority(), NULL);
    CHECK(sim_finish_all(task, ARRAY_COUNT(task)) == 0);
    CHECK(load_relaxed(&story.done) == ARRAY_COUNT(task) * 3 * sim_rounds());
}

extern const struct sim_scenario sim_scenarios_balance[];
const struct sim_scenario sim_scenarios_balance[] = {
    { .name = "wasted-group", .aim = "one heavy task makes CPUs beside it look busy, and they stay idle",
      .cpus = 8, .cpus_min = 2, .rounds = 1, .run = wasted_group },
    { .name = "wasted-far", .aim = "tasks that may use two far CPUs share the one where they began",
      .cpus = 8, .cpus_min = 3, .rounds = 1, .run = wasted_far },
    { .name = "wasted-wake", .aim = "a task wakes beside busy CPUs where it slept, while others idle",
      .cpus = 8, .cpus_min = 4, .rounds = 1, .run = wasted_wake },
    { .name = "wasted-level", .aim = "a crowd does not get from one CPU to all, for a level of the topology is missing",
      .cpus = 8, .cpus_min = 2, .rounds = 1, .run = wasted_level },
    { .name = "wasted-domains", .aim = "since a CPU has been off and on, a crowd stays in the node where it began",
      .cpus = 8, .cpus_min = 3, .rounds = 1, .run = wasted_domains },
    { .name = "monitor-agrees", .aim = "the monitor counts time in which nobody could have run the task",
      .cpus = 3, .cpus_min = 2, .rounds = 2, .run = monitor_agrees },
    { .name = "fair-shares", .aim = "who shares a CPU gets half of one for ever, while others have a whole",
      .cpus = 2, .cpus_min = 2, .rounds = 1, .options = "slice=1", .run = fair_shares },
    { .name = "urgent-spread", .aim = "a real-time task waits for a CPU while another runs something less urgent",
      .cpus = 3, .cpus_min = 2, .rounds = 1, .run = urgent_spread },
    { .name = "stop-storm", .aim = "what a stopper is asked for is done on another CPU, twice, or not at all",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = stop_storm },
    { .name = NULL },
};
