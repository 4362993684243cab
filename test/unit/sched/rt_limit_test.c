/* SPDX-License-Identifier: MIT */
/* core/sched/rt_limit.c: when a window begins, who runs in which part of it, and what a booted kernel makes of it. */
#include "booted.h"

#include "deadline_test.h"

#define RQ (&sched_test.rq[0])
#define MS NS_PER_MS

static struct task *queued(unsigned i, int priority)
{
    struct task *task = sched_test_ready(i, priority, RQ);

    runq_enqueue(RQ, task, ENQUEUE_WOKEN);
    runq_notice(RQ, task);
    return task;
}

static uint64_t event_at(uint64_t ns)
{
    deadline_test_go_to(ns);
    return rt_limit_event(RQ, clock_ns());
}

/* `task` runs from now until then. */
static void run_until(struct task *task, uint64_t ns)
{
    sched_test_dispatch(RQ, task);
    deadline_test_go_to(ns);
    runq_account(RQ, hal_clock_ticks());
}

/* It was running, and wants to go on. */
static void put_back(struct task *task)
{
    task->state = TASK_READY;
    runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
}

static void a_window_begins_when_somebody_waits_behind_a_real_time_task(void **state)
{
    (void)state;
    sched_test_run(RQ, sched_test_ready(0, PRIORITY_REALTIME_LOW, RQ));
    struct task *peer = queued(1, PRIORITY_REALTIME_LOW);

    assert_false(RQ->rt_limit.is_watching); /* only real-time tasks: nobody to protect, and no timer */
    assert_true(RQ->agenda_ns == TIME_NEVER);
    struct task *fair = queued(2, PRIORITY_DEFAULT);

    assert_true(RQ->rt_limit.is_watching && RQ->agenda_ns == clock_ns() + 950 * MS);
    runq_dequeue(RQ, peer);
    runq_dequeue(RQ, fair);
}

static void the_other_way_round_as_well(void **state)
{
    (void)state;
    sched_test_run(RQ, sched_test_ready(0, PRIORITY_DEFAULT, RQ));
    struct task *fair = queued(1, PRIORITY_IDLE);

    assert_false(RQ->rt_limit.is_watching);
    struct task *urgent = queued(2, PRIORITY_REALTIME_HIGH);

    assert_true(RQ->rt_limit.is_watching);
    runq_dequeue(RQ, urgent);
    runq_dequeue(RQ, fair);
}

/* The CPU has not woken up yet: it runs neither. */
static void both_may_come_to_an_idle_cpu(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        struct task *one = queued(1, first == 0 ? PRIORITY_DEFAULT : PRIORITY_REALTIME_HIGH);

        assert_false(RQ->rt_limit.is_watching);
        struct task *two = queued(2, first == 0 ? PRIORITY_REALTIME_HIGH : PRIORITY_DEFAULT);

        assert_true(RQ->rt_limit.is_watching);
        RQ->rt_limit.is_watching = false;
        runq_dequeue(RQ, one);
        runq_dequeue(RQ, two);
    }
}

static void fifo_is_seen_too_and_the_limit_can_be_switched_off(void **state)
{
    struct task *fifo = sched_test_ready(0, PRIORITY_REALTIME_HIGH, RQ);

    (void)state;
    fifo->policy = SCHED_POLICY_FIFO;
    sched_test_run(RQ, fifo);
    sched_set_rt_percent(100);
    struct task *fair = queued(1, PRIORITY_DEFAULT);

    assert_false(RQ->rt_limit.is_watching);
    runq_dequeue(RQ, fair);
    sched_set_rt_percent(95);
    fair = queued(1, PRIORITY_DEFAULT);
    assert_true(RQ->rt_limit.is_watching);
    runq_dequeue(RQ, fair);
}

static void who_had_nothing_gets_the_rest_of_the_window(void **state)
{
    struct task *rt = sched_test_ready(0, PRIORITY_REALTIME_LOW, RQ);
    uint64_t start = clock_ns();

    (void)state;
    sched_test_run(RQ, rt);
    struct task *fair = queued(1, PRIORITY_DEFAULT);

    run_until(rt, start + 950 * MS);
    assert_int_equal(event_at(start + 950 * MS), start + 1000 * MS);
    put_back(rt);
    assert_ptr_equal(runq_pick(RQ), fair); /* before the real-time one */
    run_until(fair, start + 970 * MS);
    put_back(fair);
    assert_ptr_equal(runq_pick(RQ), fair); /* not through yet */
    run_until(fair, start + 1000 * MS);
    assert_int_equal(event_at(start + 1000 * MS), start + 1950 * MS); /* the next window */
    put_back(fair);
    assert_ptr_equal(runq_pick(RQ), rt);
    runq_dequeue(RQ, fair);
    sched_test_run(RQ, rt);
    assert_true(event_at(start + 1950 * MS) == start + 2000 * MS); /* nobody waits: nothing to do in this window */
    assert_false(RQ->rt_limit.is_serving);
    assert_true(event_at(start + 2000 * MS) == TIME_NEVER && !RQ->rt_limit.is_watching);
}

static void who_had_a_part_gets_the_rest_of_it(void **state)
{
    struct task *rt = sched_test_ready(0, PRIORITY_REALTIME_LOW, RQ);
    struct task *fair = sched_test_ready(1, PRIORITY_DEFAULT, RQ);
    uint64_t start = clock_ns();

    (void)state;
    sched_test_run(RQ, rt);
    runq_enqueue(RQ, fair, ENQUEUE_WOKEN);
    assert_ptr_equal(runq_pick(RQ), fair);
    run_until(fair, start + 30 * MS); /* the real-time one slept */
    put_back(fair);
    run_until(rt, start + 950 * MS);
    assert_int_equal(event_at(start + 950 * MS), start + 970 * MS);
    put_back(rt);
    assert_ptr_equal(runq_pick(RQ), fair);
    run_until(fair, start + 970 * MS);
    assert_int_equal(event_at(start + 970 * MS), start + 1000 * MS);
    assert_false(RQ->rt_limit.is_serving);
    assert_ptr_equal(runq_pick(RQ), rt);
}

static void nobody_left_ends_the_service(void **state)
{
    struct task *rt = sched_test_ready(0, PRIORITY_REALTIME_LOW, RQ);
    uint64_t start = clock_ns();

    (void)state;
    sched_test_run(RQ, rt);
    struct task *fair = queued(1, PRIORITY_DEFAULT);

    run_until(rt, start + 950 * MS);
    (void)event_at(start + 950 * MS);
    runq_dequeue(RQ, fair); /* moved elsewhere */
    put_back(rt);
    assert_ptr_equal(runq_pick(RQ), rt);
    assert_int_equal(RQ->ready_classes, 0);
    RQ->ready_classes |= 1u << CLASS_BELOW; /* and if nothing at all is ready */
    assert_null(runq_pick(RQ));
    assert_int_equal(RQ->ready_classes, 0);
}

/* Booted: real-time tasks of both policies that never sleep, on each CPU, and a fair one behind them. */

static _Atomic(bool) stop;

static int spin(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static uint64_t run_ns(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return clock_ticks_to_ns(snapshot.stats.run_ticks);
}

static void fair_behind_hogs(void)
{
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct cpumask mask;

    if (online_count() < 2)
        return; /* they would keep us away, too: for as long as the limit lets them */
    cpumask_set_single(&mask, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &mask) == 0);
    struct task *rr = spawn_on("rr", spin, NULL, PRIORITY_REALTIME_LOW, cpu);
    struct task *fifo = spawn_on("fifo", spin, NULL, PRIORITY_REALTIME_LOW, cpu);

    CHECK(task_set_policy(fifo, SCHED_POLICY_FIFO) == 0);
    struct task *fair = spawn_on("fair", spin, NULL, PRIORITY_DEFAULT, cpu);
    uint64_t start = clock_ns();

    for (unsigned second = 1; second <= 3; second++) {
        (void)task_sleep_until(start + second * NS_PER_SEC + 10 * MS);
        /* A switch, a poke and the end of a timer's handler belong to the real-time tasks: less than 1 ms of 50. */
        CHECK(run_ns(fair) >= second * 49 * MS && run_ns(fair) <= second * 51 * MS);
    }
    store_relaxed(&stop, true);
    CHECK(finish(fair) == 0 && finish(rr) == 0 && finish(fifo) == 0);
}

const struct kernel_test booted_tests[] = {
    { "hogs", fair_behind_hogs },
    { NULL, NULL },
};

static void a_fair_task_has_its_share_behind_hogs(void **state)
{
    (void)state;
    booted_run_on(2, "hogs", "", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fair_task_has_its_share_behind_hogs),
        deadline_unit_test(a_window_begins_when_somebody_waits_behind_a_real_time_task),
        deadline_unit_test(the_other_way_round_as_well),
        deadline_unit_test(both_may_come_to_an_idle_cpu),
        deadline_unit_test(fifo_is_seen_too_and_the_limit_can_be_switched_off),
        deadline_unit_test(who_had_nothing_gets_the_rest_of_the_window),
        deadline_unit_test(who_had_a_part_gets_the_rest_of_it),
        deadline_unit_test(nobody_left_ends_the_service),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
