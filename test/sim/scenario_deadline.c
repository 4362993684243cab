/* SPDX-License-Identifier: MIT */
/*
 * Deadline tasks: full CPUs, tasks that want more than they were promised, that come and go, and are changed meanwhile;
 * and real-time tasks that would starve the rest. The checker of deadlines knows what may be late, and by how much.
 */
#include "scenario.h"

#include <hal/cpu.h>
#include <sched/params.h>

#define TASKS 8
#define US NS_PER_US

static struct {
    struct task *task[TASKS];
    struct sched_params params[TASKS];
    _Atomic(bool) stop;
} lab;

static int want_all(void *arg)
{
    (void)arg;
    while (!load_relaxed(&lab.stop))
        hal_cpu_relax();
    return 0;
}

static uint64_t run_ns_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return clock_ticks_to_ns(snapshot.stats.run_ticks);
}

static uint64_t misses_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.stats.deadline_misses;
}

/* Tasks that share `cpu`, all of it to the last nanosecond: parts of 1 / TASKS and what sums up to it. */
static unsigned fill(cpu_id_t cpu)
{
    uint64_t deadline_ns = 100 * US * (4 + sim_random_below(8));
    uint64_t left_ns = deadline_ns;
    unsigned count = 0;

    while (left_ns > 0 && count < TASKS) {
        uint64_t part_ns = MAX(deadline_ns / 16 + sim_random_below(deadline_ns / 3), UINT64_C(20) * US);

        if (part_ns + 20 * US > left_ns || count + 1 == TASKS)
            part_ns = left_ns;
        uint64_t times = 1 + sim_random_below(3); /* the same share in a longer period */
        struct sched_params *params = &lab.params[count];

        *params = (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .runtime_ns = part_ns * times,
                                         .deadline_ns = deadline_ns * times };
        lab.task[count] = spawn_on("promised", want_all, NULL, PRIORITY_DEFAULT, cpu);
        CHECK(task_set_params(lab.task[count], params) == 0);
        left_ns -= part_ns;
        count++;
    }
    return count;
}

/* A CPU is promised as a whole, to tasks that want more, with others of all classes beside: all have their part. */
static void deadline_full(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct sched_params little = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 10 * US, .deadline_ns = NS_PER_SEC };
    struct task *other[3];

    store_relaxed(&lab.stop, false);
    sim_stay_on(online_cpu(0));
    for (unsigned i = 0; i < 3; i++)
        other[i] = spawn_on("other", want_all, NULL, i == 0 ? PRIORITY_REALTIME_HIGH : sim_some_fair_priority(), cpu);
    unsigned count = fill(cpu);

    CHECK(task_set_params(other[0], &little) == -EBUSY);
    uint64_t start_ns = clock_ns();
    uint64_t before_ns[TASKS];

    for (unsigned i = 0; i < count; i++)
        before_ns[i] = run_ns_of(lab.task[i]);
    (void)task_sleep_for(sim_rounds() * NS_PER_MS);
    for (unsigned i = 0; i < count; i++) {
        uint64_t ran_ns = run_ns_of(lab.task[i]) - before_ns[i];
        uint64_t periods = (clock_ns() - start_ns) / lab.params[i].deadline_ns;

        CHECK(ran_ns <= (periods + 3) * lab.params[i].runtime_ns);
        CHECK(ran_ns + 3 * lab.params[i].runtime_ns >= periods * lab.params[i].runtime_ns);
    }
    store_relaxed(&lab.stop, true);
    CHECK(sim_finish_all(lab.task, count) == 0);
    CHECK(sim_finish_all(other, 3) == 0);
    sim_roam();
}

static int work_each_period(void *arg)
{
    const struct sched_params *params = arg;
    uint64_t next_ns = clock_ns();
    unsigned jobs = 0;

    while (!load_relaxed(&lab.stop)) {
        uint64_t until = params->runtime_ns / 4;

        for (uint64_t begin = clock_ns(); clock_ns() - begin < until;)
            hal_cpu_relax();
        jobs++;
        next_ns += params->deadline_ns;
        (void)task_sleep_until(next_ns);
    }
    return (int)jobs;
}

/* Tasks that work and sleep, beside one that has a job now and then and one that takes all it can get. */
static void deadline_periodic(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);

    store_relaxed(&lab.stop, false);
    sim_stay_on(online_cpu(0));
    struct task *hog = spawn_on("hog", want_all, NULL, PRIORITY_REALTIME_LOW, cpu);

    for (unsigned i = 0; i < 4; i++) {
        lab.params[i] = (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 100 * US,
                                               .deadline_ns = (500 + 100 * i) * US };
        if (i == 3)
            lab.params[i].period_ns = 2 * lab.params[i].deadline_ns;
        lab.task[i] = spawn_on("periodic", i == 2 ? want_all : work_each_period, &lab.params[i], PRIORITY_DEFAULT, cpu);
        CHECK(task_set_params(lab.task[i], &lab.params[i]) == 0);
    }
    (void)task_sleep_for(sim_rounds() * NS_PER_MS);
    CHECK(run_ns_of(hog) > 0);
    for (unsigned i = 0; i < 4; i++)
        (void)misses_of(lab.task[i]); /* how late they may be knows the checker */
    store_relaxed(&lab.stop, true);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(lab.task[i]) >= (i == 2 ? 0 : 1));
    CHECK(finish(hog) == 0);
    sim_roam();
}

static int live_on(void *arg)
{
    (void)arg;
    while (!load_relaxed(&lab.stop) && !task_is_killed()) {
        sim_delay();
        switch (sim_random_below(4)) {
        case 0:
            task_yield();
            break;
        case 1:
            sim_nap(100 * US);
            break;
        default:
            for (unsigned i = 0; i < 50; i++)
                hal_cpu_relax();
            break;
        }
    }
    return 0;
}

static void change_one(struct task *task)
{
    struct sched_params params = { .policy = SCHED_POLICY_DEADLINE };
    struct cpumask mask;
    int result;

    switch (sim_random_below(4)) {
    case 0:
        sim_some_cpus(&mask);
        result = task_set_affinity(task, &mask);
        break;
    case 1:
        result = task_set_priority(task, sim_some_priority());
        break;
    default:
        params.deadline_ns = 100 * US + sim_random_below(400 * US);
        params.runtime_ns = 10 * US + sim_random_below(params.deadline_ns / 2);
        params.period_ns = sim_chance(2) ? 0 : params.deadline_ns + sim_random_below(300 * US);
        result = task_set_params(task, &params);
        break;
    }
    CHECK(result == 0 || result == -EBUSY || result == -ESRCH);
}

static int change_somebody(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 6 * sim_rounds(); i++) {
        change_one(lab.task[sim_random_below(TASKS)]);
        if (sim_chance(3))
            sim_nap(100 * US);
    }
    return 0;
}

/* Into the class, within and out of it, between CPUs, in every state, and killed; then nothing is promised any more. */
static void deadline_churn(void)
{
    struct sched_params whole = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = NS_PER_MS, .deadline_ns = NS_PER_MS };
    struct task *setter[2];

    store_relaxed(&lab.stop, false);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < TASKS; i++) {
        lab.task[i] = spawn("churned", live_on, NULL, sim_some_fair_priority(), NULL);
        if (lab.task[i] == NULL)
            return;
    }
    for (unsigned i = 0; i < 2; i++)
        setter[i] = spawn("setter", change_somebody, NULL, PRIORITY_REALTIME_HIGH, NULL);
    CHECK(sim_finish_all(setter, 2) == 0);
    CHECK(task_kill(lab.task[0]) == 0);
    store_relaxed(&lab.stop, true);
    CHECK(sim_finish_all(lab.task, TASKS) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    (void)task_sleep_for(NS_PER_MS); /* what they may have used ahead of their share is over */
    CHECK(task_set_params(current_task(), &whole) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

/* Uses up most of what it was promised at once, and then sleeps for a moment, again and again. */
static int work_and_nap(void *arg)
{
    const struct sched_params *params = arg;

    while (!load_relaxed(&lab.stop)) {
        uint64_t until = params->runtime_ns / 2 + sim_random_below(params->runtime_ns / 2);

        for (uint64_t begin = clock_ns(); clock_ns() - begin < until && !load_relaxed(&lab.stop);)
            hal_cpu_relax();
        sim_nap(10 * US);
    }
    return 0;
}

/* Up to two thirds of a CPU are promised, to tasks of all habits; a fair one always wants the rest. */
static void deadline_rest(void)
{
    static int (*const habits[])(void *) = { want_all, live_on, work_and_nap };
    cpu_id_t cpu = online_cpu(online_count() - 1);
    unsigned count = 1 + (unsigned)sim_random_below(3);

    store_relaxed(&lab.stop, false);
    sim_stay_on(online_cpu(0));
    struct task *fair = spawn_on("fair", want_all, NULL, sim_some_fair_priority(), cpu);

    for (unsigned i = 0; i < count; i++) {
        uint64_t deadline_ns = 200 * US + sim_random_below(300 * US);

        lab.params[i] = (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .deadline_ns = deadline_ns,
                                               .runtime_ns = deadline_ns / 10 + sim_random_below(deadline_ns / 9) };
        lab.task[i] = spawn_on("promised", habits[sim_random_below(3)], &lab.params[i], PRIORITY_DEFAULT, cpu);
        CHECK(task_set_params(lab.task[i], &lab.params[i]) == 0);
    }
    uint64_t before_ns = run_ns_of(fair);

    (void)task_sleep_for(sim_rounds() * NS_PER_MS);
    CHECK(run_ns_of(fair) - before_ns >= sim_rounds() * NS_PER_MS / 4); /* how much exactly knows the checker */
    store_relaxed(&lab.stop, true);
    CHECK(sim_finish_all(lab.task, count) == 0);
    CHECK(finish(fair) == 0);
    sim_roam();
}

/* Takes all it can get, and now and then stands still with its CPU, for a part of a period or for several. */
static int stand_still(void *arg)
{
    const struct sched_params *params = arg;

    while (!load_relaxed(&lab.stop)) {
        if (!sim_chance(20)) {
            hal_cpu_relax();
            continue;
        }
        uintptr_t state = hal_irq_save();
        uint64_t until_ns = clock_ns() + sim_random_below(6 * params->deadline_ns);

        while (clock_ns() < until_ns)
            hal_cpu_relax();
        hal_irq_restore(state);
    }
    return 0;
}

static uint64_t run_count_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.run_count;
}

/*
 * A machine that its host stops for a while: the task that runs is charged for all of it, and every timer is late.
 * Everybody must go on afterwards, and what was promised to those who leave must be free when the longest of their
 * deadlines has passed, whatever they owe.
 */
static void deadline_stops(void)
{
    struct sched_params whole = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = NS_PER_MS, .deadline_ns = NS_PER_MS };
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task *fair = spawn_on("behind", want_all, NULL, sim_some_fair_priority(), cpu);

    store_relaxed(&lab.stop, false);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (unsigned i = 0; i < 3; i++) {
        lab.params[i] = (struct sched_params){ .policy = SCHED_POLICY_DEADLINE, .runtime_ns = (20 + 10 * i) * US,
                                               .deadline_ns = (120 + 40 * i) * US };
        if (i == 2)
            lab.params[i].period_ns = 2 * lab.params[i].deadline_ns;
        lab.task[i] = spawn_on("stops", stand_still, &lab.params[i], PRIORITY_DEFAULT, cpu);
        CHECK(task_set_params(lab.task[i], &lab.params[i]) == 0);
    }
    for (unsigned round = 0; round < sim_rounds(); round++) {
        struct task *of[4] = { lab.task[0], lab.task[1], lab.task[2], fair };

        for (unsigned i = 0; i < 4; i++)
            for (uint64_t before = run_count_of(of[i]); run_count_of(of[i]) < before + 3;)
                (void)task_sleep_for(50 * US); /* one that is forgotten ends the run: too many steps */
    }
    store_relaxed(&lab.stop, true);
    CHECK(sim_finish_all(lab.task, 3) == 0);
    CHECK(finish(fair) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    proc_reclaim_all(); /* one that has been joined may have to wait for its next periods on its last steps */
    (void)task_sleep_for(lab.params[2].deadline_ns);
    sim_stay_on(cpu);
    CHECK(task_set_params(current_task(), &whole) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
    sim_roam();
}

/* Real-time tasks that never sleep, and a fair one behind them. */
static void rt_limit(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);

    store_relaxed(&lab.stop, false);
    sim_stay_on(online_cpu(0));
    for (unsigned i = 0; i < 2; i++) {
        lab.task[i] = spawn_on("rt-hog", want_all, NULL, PRIORITY_REALTIME_LOW, cpu);
        CHECK(i == 0 || task_set_policy(lab.task[i], SCHED_POLICY_FIFO) == 0);
    }
    lab.task[2] = spawn_on("behind", want_all, NULL, sim_some_fair_priority(), cpu);
    (void)task_sleep_for(NS_PER_SEC + NS_PER_MS);
    uint64_t ran_ns = run_ns_of(lab.task[2]);

    CHECK(ran_ns >= 49 * NS_PER_MS && ran_ns <= 51 * NS_PER_MS);
    store_relaxed(&lab.stop, true);
    CHECK(sim_finish_all(lab.task, 3) == 0);
    sim_roam();
}

const struct sim_scenario sim_scenarios_deadline[] = {
    { .name = "deadline-full", .aim = "on a CPU that is promised as a whole somebody has less than promised, or more",
      .cpus = 2, .cpus_min = 2, .rounds = 12, .run = deadline_full },
    { .name = "deadline-periodic", .aim = "a task that wakes up in its period takes time that others were promised",
      .cpus = 2, .cpus_min = 2, .rounds = 12, .run = deadline_periodic },
    { .name = "deadline-churn", .aim = "a deadline task is changed in any state, and lost between queues or CPUs",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = deadline_churn },
    { .name = "deadline-rest", .aim = "deadline tasks have more than promised, and the rest less than is left",
      .cpus = 2, .cpus_min = 2, .rounds = 12, .run = deadline_rest },
    { .name = "deadline-stops", .aim = "a CPU has stood still, and somebody is forgotten or a promise not free",
      .cpus = 2, .cpus_min = 1, .rounds = 4, .run = deadline_stops },
    { .name = "rt-limit", .aim = "real-time tasks keep the rest from a CPU for ever",
      .cpus = 2, .cpus_min = 2, .rounds = 1, .run = rt_limit },
    { .name = NULL },
};
