/* SPDX-License-Identifier: MIT */
/*
 * core/sched/push.c: no real-time task that may move waits for long while another CPU runs something less urgent.
 * Misplaced tasks: affinity_test.c.
 */
#include "booted.h"

#include "sched_test.h"

/* Longer than it takes to look again, to be poked, and to switch. */
#define LONG_ENOUGH (3 * SCHED_PUSH_NS)

static _Atomic(bool) stop[4];

static int hog(void *arg)
{
    while (!load_relaxed(&stop[(uintptr_t)arg]))
        hal_cpu_relax();
    return 0;
}

static bool is_running(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.state == TASK_RUNNING;
}

static struct task *hog_on(unsigned stop_with, int priority, cpu_id_t cpu)
{
    struct task *task = spawn_on("hog", hog, (void *)(uintptr_t)stop_with, priority, cpu);

    WAIT_FOR(is_running(task));
    return task;
}

/* The first CPU is ours, at the highest priority; each of the others runs a fair task that may not move. */
static unsigned fill(struct task **fair)
{
    struct cpumask mask;

    cpumask_set_single(&mask, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &mask) == 0);
    CHECK(task_set_priority(current_task(), 0) == 0);
    for (unsigned i = 1; i < online_count(); i++)
        fair[i] = hog_on(0, 60, online_cpu(i));
    return online_count();
}

static void finish_fair(struct task **fair, unsigned count)
{
    store_relaxed(&stop[0], true);
    for (unsigned i = 1; i < count; i++)
        CHECK(finish(fair[i]) == 0);
}

static cpu_id_t cpu_of(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.cpu;
}

/* A real-time task is preempted by one that may not move: it goes where a fair one runs. */
static void displaced(void)
{
    struct task *fair[8];
    unsigned count = fill(fair);

    if (count >= 3) {
        struct cpumask mask;

        cpumask_set_all(&mask);
        cpumask_remove(&mask, online_cpu(0));
        struct task *urgent = spawn("urgent", hog, (void *)1, 15, &mask);

        WAIT_FOR(is_running(urgent));
        struct task *taker = hog_on(2, 5, cpu_of(urgent));

        CHECK(task_sleep_for(LONG_ENOUGH) == 0);
        CHECK(is_running(urgent) && is_running(taker));
        store_relaxed(&stop[1], true);
        store_relaxed(&stop[2], true);
        CHECK(finish(urgent) == 0);
        CHECK(finish(taker) == 0);
    }
    finish_fair(fair, count);
}

/* A real-time task waits, for all run something more urgent. Then one of them goes on to something less urgent: to a
 * fair task, or to a real-time one. */
static void lowered(bool to_real_time)
{
    struct task *fair[8];
    struct task *taker[8];
    struct task *late = NULL;
    unsigned count = fill(fair);
    struct cpumask mask;

    cpumask_set_all(&mask);
    cpumask_remove(&mask, online_cpu(0));
    for (unsigned i = 1; i < count; i++)
        taker[i] = hog_on(i == count - 1 ? 1 : 2, 5, online_cpu(i));
    struct task *urgent = spawn("urgent", hog, (void *)3, 10, &mask);

    if (to_real_time && count > 1)
        late = spawn_on("late", hog, (void *)3, 15, online_cpu(count - 1));
    CHECK(task_sleep_for(LONG_ENOUGH) == 0);
    CHECK(count == 1 || !is_running(urgent));
    store_relaxed(&stop[1], true);
    if (count > 1) {
        CHECK(task_sleep_for(LONG_ENOUGH) == 0);
        CHECK(is_running(urgent));
    }
    store_relaxed(&stop[2], true);
    store_relaxed(&stop[3], true);
    for (unsigned i = 1; i < count; i++)
        CHECK(finish(taker[i]) == 0);
    if (late != NULL)
        CHECK(finish(late) == 0);
    CHECK(task_set_priority(current_task(), 60) == 0);
    finish_fair(fair, count);
    if (count == 1) { /* it had no CPU at all until now */
        cpumask_set_all(&mask);
        CHECK(task_set_affinity(urgent, &mask) == 0);
    }
    CHECK(finish(urgent) == 0);
}

static void lowered_to_fair(void)
{
    if (online_count() > 1)
        lowered(false);
}

static void lowered_to_real_time(void)
{
    if (online_count() > 1)
        lowered(true);
}

/* The same where those who run are round robin and take turns: the end of their slice is far. */
static void lowered_round_robin(void)
{
    struct task *fair[8];
    struct task *taker[8];
    unsigned count = fill(fair);
    struct cpumask mask;

    if (count < 3) {
        finish_fair(fair, count);
        return;
    }
    for (unsigned i = 1; i < 3; i++) {
        taker[2 * i] = hog_on(2, 5, online_cpu(i));
        taker[2 * i + 1] = spawn_on("peer", hog, (void *)2, 5, online_cpu(i));
    }
    CHECK(task_sleep_for(NS_PER_MS / 2) == 0);
    cpumask_set_single(&mask, online_cpu(1));
    cpumask_add(&mask, online_cpu(2));
    struct task *urgent = spawn("urgent", hog, (void *)3, 10, &mask);

    /* It waits on one of the two; the other goes on with what is less urgent, but not fair. */
    cpu_id_t other = cpu_of(urgent) == online_cpu(1) ? online_cpu(2) : online_cpu(1);
    unsigned first = other == online_cpu(1) ? 2 : 4;

    CHECK(task_set_priority(taker[first], 15) == 0);
    CHECK(task_set_priority(taker[first + 1], 15) == 0);
    CHECK(task_sleep_for(LONG_ENOUGH) == 0);
    CHECK(is_running(urgent) && cpu_of(urgent) == other);
    store_relaxed(&stop[2], true);
    store_relaxed(&stop[3], true);
    for (unsigned i = 2; i < 6; i++)
        CHECK(finish(taker[i]) == 0);
    CHECK(finish(urgent) == 0);
    finish_fair(fair, count);
}

/* A fair task waits behind a real-time one that goes on and on: it leaves, though nobody idles. */
static void fair_behind(void)
{
    struct task *fair[8];
    unsigned count = fill(fair);

    if (count >= 3) {
        struct cpumask mask;

        cpumask_set_all(&mask);
        cpumask_remove(&mask, online_cpu(0));
        struct task *loose = spawn("loose", hog, (void *)1, 60, &mask);
        struct task *taker = hog_on(2, 5, cpu_of(loose));
        struct task_snapshot before, after;

        CHECK(task_sleep_for(LONG_ENOUGH) == 0);
        task_get_snapshot(loose, &before);
        CHECK(task_sleep_for(20 * NS_PER_MS) == 0);
        task_get_snapshot(loose, &after);
        CHECK(after.stats.run_ticks > before.stats.run_ticks);
        store_relaxed(&stop[1], true);
        store_relaxed(&stop[2], true);
        CHECK(finish(loose) == 0);
        CHECK(finish(taker) == 0);
    }
    finish_fair(fair, count);
}

/* Two sensors fire at the same moments, over a crowd of fair tasks: none waits for the other's burst, or seldom, where
 * both were woken before either had said that it is there. */
#define SENSOR_BURST_NS (100 * NS_PER_US)
#define SENSOR_BURSTS 10

static uint64_t sensors_from_ns;

static int sensor(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < SENSOR_BURSTS; i++) {
        CHECK(task_sleep_until(sensors_from_ns + i * SCHED_PUSH_NS) == 0); /* the period that a look waits for */
        uint64_t end_ns = clock_ns() + SENSOR_BURST_NS;

        while (clock_ns() < end_ns)
            hal_cpu_relax();
    }
    return 0;
}

static void sensors(void)
{
    struct task *task[2], *crowd[5];

    for (unsigned i = 0; i < ARRAY_COUNT(crowd); i++)
        crowd[i] = spawn("crowd", hog, (void *)1, 60, NULL);
    sensors_from_ns = clock_ns() + NS_PER_MS;
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("sensor", sensor, NULL, 10, NULL);
    CHECK(task_sleep_for(15 * NS_PER_MS) == 0);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++) {
        struct task_snapshot snapshot;

        task_get_snapshot(task[i], &snapshot);
        CHECK(clock_ticks_to_ns(snapshot.stats.wait_ticks) < SENSOR_BURSTS / 3 * SENSOR_BURST_NS);
        CHECK(finish(task[i]) == 0);
    }
    store_relaxed(&stop[1], true);
    for (unsigned i = 0; i < ARRAY_COUNT(crowd); i++)
        CHECK(finish(crowd[i]) == 0);
}

const struct kernel_test booted_tests[] = {
    { "sensors", sensors },
    { "displaced", displaced },
    { "lowered-to-fair", lowered_to_fair },
    { "lowered-to-rt", lowered_to_real_time },
    { "lowered-round-robin", lowered_round_robin },
    { "fair-behind", fair_behind },
    { NULL, NULL },
};

static void a_displaced_real_time_task_displaces_the_least_urgent(void **state)
{
    (void)state;
    booted_run("displaced", 32);
}

static void a_cpu_that_goes_on_to_fair_work_takes_a_waiting_real_time_task(void **state)
{
    (void)state;
    booted_run("lowered-to-fair", 32);
}

static void a_cpu_that_goes_on_to_less_urgent_work_gets_the_waiting_task(void **state)
{
    (void)state;
    booted_run("lowered-to-rt", 32);
}

static void slices_that_are_long_do_not_delay_a_waiting_task(void **state)
{
    (void)state;
    booted_run("lowered-round-robin", 24);
}

static void a_fair_task_does_not_starve_behind_a_real_time_one(void **state)
{
    (void)state;
    booted_machine.step_ns = 100;
    booted_run("fair-behind", 24);
    booted_machine.step_ns = 0;
}

static uint32_t pick_fair(struct runq *rq)
{
    uint32_t rest;

    sched_test_dispatch(rq, runq_pick(rq));
    rest = rq->after_switch & AFTER_PULL;
    rq->after_switch = 0;
    rq->running->state = TASK_READY;
    runq_enqueue(rq, rq->running, ENQUEUE_YIELDED);
    return rest;
}

/* A real-time task waits that nobody can take: others try once for each look of its own CPU, not at each switch. */
static void what_cannot_be_pulled_is_tried_once(void **state)
{
    struct runq *rq = &sched_test.rq[0];
    struct task *waiting = sched_test_ready(3, 10, &sched_test.rq[1]);

    (void)state;
    sched_test_run(&sched_test.rq[1], sched_test_new(1, 5));
    sched_test_run(&sched_test.rq[2], sched_test_new(2, 5));
    cpumask_set_single(&waiting->affinity, 1);
    cpumask_add(&waiting->affinity, 2);
    runq_enqueue(&sched_test.rq[1], waiting, ENQUEUE_WOKEN);
    runq_enqueue(rq, sched_test_ready(4, 60, rq), ENQUEUE_WOKEN);
    assert_int_equal(pick_fair(rq), 0);
    push_waiting(&sched_test.rq[1]);
    assert_true(push_is_wanted());
    assert_int_not_equal(pick_fair(rq), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(pick_fair(rq), 0);
    push_waiting(&sched_test.rq[1]);
    assert_int_not_equal(pick_fair(rq), 0);
    assert_int_equal(pick_fair(rq), 0);
    store_relaxed(&rq->running_rank, RANK_RT); /* real-time work ends here */
    assert_int_not_equal(pick_fair(rq), 0);
    runq_dequeue(rq, &sched_test.task[4]);
    rq->running = rq->cpu.idle_task;
    store_relaxed(&rq->running_rank, RANK_NOTHING);
    runq_dequeue(&sched_test.rq[1], waiting);
    push_after_pick(&sched_test.rq[1], &sched_test.idle[1], hal_clock_ticks());
    for (unsigned i = 1; i < 3; i++)
        sched_test_stop(&sched_test.rq[i]);
}

static void real_time_tasks_that_wake_together_run_on_two_cpus(void **state)
{
    (void)state;
    booted_run_on(2, "sensors", "", 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_time_tasks_that_wake_together_run_on_two_cpus),
        cmocka_unit_test(a_displaced_real_time_task_displaces_the_least_urgent),
        cmocka_unit_test(a_cpu_that_goes_on_to_fair_work_takes_a_waiting_real_time_task),
        cmocka_unit_test(a_cpu_that_goes_on_to_less_urgent_work_gets_the_waiting_task),
        cmocka_unit_test(slices_that_are_long_do_not_delay_a_waiting_task),
        cmocka_unit_test(a_fair_task_does_not_starve_behind_a_real_time_one),
        sched_smp_test(what_cannot_be_pulled_is_tried_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
