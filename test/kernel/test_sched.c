/* SPDX-License-Identifier: MIT */
/* Dispatch, sharing, preemption, placement, stealing. */
#include <k/atomic.h>
#include <time/clock.h>

#include "check.h"

static _Atomic(bool) stop;

static int yield_a_few_times(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 3; i++)
        task_yield();
    return 0;
}

/* Must 1: three tasks of each priority on each CPU, every one dispatched. */
static void every_priority_runs_on_every_cpu(void)
{
    static const int priorities[] = { 0, 10, 20, 30, 40, 50, 60, 70, 99 };

    for (unsigned n = 0; n < online_count(); n++) {
        struct task *task[3 * ARRAY_COUNT(priorities)];

        for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
            task[i] = spawn_on("level", yield_a_few_times, NULL, priorities[i % ARRAY_COUNT(priorities)],
                               online_cpu(n));
        for (unsigned i = 0; i < ARRAY_COUNT(task); i++) {
            if (task[i] == NULL)
                continue;
            CHECK(task_join(task[i], NULL, TIME_NEVER) == 0);
            CHECK(load_relaxed(&task[i]->base.cpu)->id == online_cpu(n)); /* it ran to its end, and only there */
            task_put(task[i]);
        }
    }
}

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static uint64_t ran_ticks(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.stats.run_ticks;
}

static uint64_t dispatches(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.run_count;
}

/* Two hogs of one kind on one CPU: both go on being dispatched, and the CPU time that they are charged stays close. */
static void two_share_a_cpu(int priority, cpu_id_t cpu)
{
    store_relaxed(&stop, false);
    struct task *a = spawn_on("hog a", hog, NULL, priority, cpu);
    struct task *b = spawn_on("hog b", hog, NULL, priority, cpu);

    if (a == NULL || b == NULL)
        return;
    WAIT_FOR(dispatches(a) >= 8 && dispatches(b) >= 8);
    uint64_t ran_a = ran_ticks(a);
    uint64_t ran_b = ran_ticks(b);

    store_relaxed(&stop, true);
    (void)finish(a);
    (void)finish(b);
    log_debug("shares: %llu and %llu ticks", (unsigned long long)ran_a, (unsigned long long)ran_b);
    CHECK(ran_a > 0 && ran_b > 0);
}

static void hogs_of_each_class_share_a_cpu(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);

    two_share_a_cpu(PRIORITY_DEFAULT, cpu);
    if (online_count() > 1) /* the checks' own task runs below real time, elsewhere */
        two_share_a_cpu(PRIORITY_REALTIME_NORMAL, cpu);
}

static _Atomic(unsigned) order_next;
static unsigned order_seen[4];

static int note_order(void *arg)
{
    order_seen[(uintptr_t)arg] = fetch_add_relaxed(&order_next, 1);
    return 0;
}

static int block_the_cpu(void *arg)
{
    _Atomic(bool) *go = arg;

    while (!load_acquire(go)) /* PAIRS(test_go) */
        hal_cpu_relax();
    return 0;
}

/* So long real-time tasks surely keep others off a CPU: the limit on them is 95 % of a second, unless the command line
 * has another. */
#define RT_ALONE_NS (NS_PER_SEC / 2)

/* Queued behind a running real-time task, the rest run in the order of their priority, not of their creation. False:
 * the machine stood still meanwhile, and those that are not real-time had their turn; only the order of each kind was
 * looked at. */
static bool see_the_most_urgent_run_first(void)
{
    static const int priorities[4] = {
        PRIORITY_IDLE,
        PRIORITY_USER_NORMAL,
        PRIORITY_REALTIME_LOW,
        PRIORITY_REALTIME_NORMAL,
    };
    static _Atomic(bool) go;
    struct task *task[4];
    cpu_id_t cpu = online_cpu(online_count() - 1);
    uint64_t begin_ns = clock_ns();

    store_relaxed(&go, false);
    store_relaxed(&order_next, 0);
    struct task *blocker = spawn_on("blocker", block_the_cpu, (void *)&go, PRIORITY_REALTIME_HIGH, cpu);

    for (unsigned i = 0; i < 4; i++)
        task[i] = spawn_on("ordered", note_order, (void *)(uintptr_t)i, priorities[i], cpu);
    store_release(&go, true); /* PAIRS(test_go) */
    (void)finish(blocker);
    for (unsigned i = 0; i < 4; i++)
        (void)finish(task[i]);
    CHECK(order_seen[3] < order_seen[2] && order_seen[1] < order_seen[0]);
    if (clock_ns() - begin_ns >= RT_ALONE_NS)
        return false;
    CHECK(order_seen[2] < order_seen[1]);
    return true;
}

static void the_most_urgent_runs_first(void)
{
    struct cpumask here;

    if (online_count() < 2)
        return; /* the task that holds the CPU would hold ours */
    cpumask_set_single(&here, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &here) == 0);
    for (unsigned tries = 0; tries < 20 && !see_the_most_urgent_run_first(); tries++)
        continue;
    cpumask_set_all(&here);
    CHECK(task_set_affinity(current_task(), &here) == 0);
}

static int sleep_often(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        CHECK(task_sleep_for(200 * NS_PER_US) == 0);
    return 0;
}

static uint64_t preemptions(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.stats.involuntary;
}

static void a_real_time_wake_preempts_a_hog(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);

    store_relaxed(&stop, false);
    struct task *busy = spawn_on("hog", hog, NULL, PRIORITY_DEFAULT, cpu);
    struct task *urgent = spawn_on("urgent", sleep_often, NULL, PRIORITY_REALTIME_NORMAL, cpu);

    if (busy == NULL || urgent == NULL)
        return;
    WAIT_FOR(preemptions(busy) >= 10); /* the hog never gives up by itself */
    store_relaxed(&stop, true);
    (void)finish(urgent);
    (void)finish(busy);
}

static void unpinned_hogs_spread_over_all_cpus(void)
{
    struct task *task[8];
    unsigned count = MIN(online_count() - 1, (unsigned)ARRAY_COUNT(task)); /* the one that looks needs a CPU, too */
    bool all = count == 0;

    store_relaxed(&stop, false);
    for (unsigned i = 0; i < count; i++)
        task[i] = spawn("spread", hog, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned tries = 0; tries < 2000 && !all; tries++) {
        all = true;
        for (unsigned i = 0; i < count; i++) {
            struct task_snapshot snapshot;

            task_get_snapshot(task[i], &snapshot);
            all = all && snapshot.state == TASK_RUNNING;
        }
        if (!all)
            (void)task_sleep_for(500 * NS_PER_US);
    }
    CHECK(all);
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < count; i++)
        (void)finish(task[i]);
}

static int count_up(void *arg)
{
    _Atomic(uint64_t) *count = arg;

    while (!load_relaxed(&stop)) {
        (void)fetch_add_relaxed(count, 1);
        hal_cpu_relax();
    }
    return 0;
}

static void an_idle_class_task_runs_only_alone(void)
{
    static _Atomic(uint64_t) count;
    cpu_id_t cpu = online_cpu(online_count() - 1);

    store_relaxed(&stop, false);
    store_relaxed(&count, 0);
    struct task *idle = spawn_on("idle", count_up, (void *)&count, PRIORITY_IDLE, cpu);

    WAIT_FOR(load_relaxed(&count) > 0);
    struct task *busy = spawn_on("hog", hog, NULL, PRIORITY_DEFAULT, cpu);

    WAIT_FOR(busy == NULL || dispatches(busy) > 0);
    /* Once the hog runs, the idle task's dispatches stand still for as long as the hog wants the CPU. */
    uint64_t before = idle != NULL ? dispatches(idle) : 0;

    if (online_count() > 1) { /* alone, this task's own sleeps leave no gap either: the hog fills them */
        for (unsigned i = 0; i < 20; i++)
            (void)task_sleep_for(NS_PER_MS);
        CHECK(idle == NULL || dispatches(idle) == before);
    }
    store_relaxed(&stop, true);
    (void)finish(busy);
    (void)finish(idle);
}

static int churn(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg * 77 + 1;

    for (unsigned i = 0; i < 60; i++) {
        switch (random_next(&seed) % 3) {
        case 0:
            task_yield();
            break;
        case 1:
            (void)task_sleep_for(random_next(&seed) % (100 * NS_PER_US));
            break;
        default:
            for (uint64_t spins = random_next(&seed) % 2000; spins > 0; spins--)
                hal_cpu_relax();
        }
    }
    return 0;
}

static void no_task_is_lost_under_churn(void)
{
    struct task *task[24];

    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("churn", churn, (void *)(uintptr_t)i,
                        i % 5 == 0 ? PRIORITY_REALTIME_LOW : PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < 50; i++) {
        CHECK(check_census());
        (void)task_sleep_for(100 * NS_PER_US);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
}

const struct kernel_test tests_sched[] = {
    { "sched: every priority runs on every CPU", every_priority_runs_on_every_cpu },
    { "sched: two hogs of a class share a CPU", hogs_of_each_class_share_a_cpu },
    { "sched: the most urgent task runs first", the_most_urgent_runs_first },
    { "sched: a real-time wake preempts a hog", a_real_time_wake_preempts_a_hog },
    { "sched: hogs spread over all CPUs", unpinned_hogs_spread_over_all_cpus },
    { "sched: an idle-class task runs only alone", an_idle_class_task_runs_only_alone },
    { "sched: no task is lost under churn", no_task_is_lost_under_churn },
    { NULL, NULL },
};
