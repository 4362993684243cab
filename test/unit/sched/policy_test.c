/* SPDX-License-Identifier: MIT */
/*
 * core/sched/policy.c and include/sched/priority.h: the one scale and its mappings; changes in every state of a task.
 */
#include "booted.h"

#include "sched_test.h"

#include <k/errno.h>

/* The scale. */

static void the_named_priorities_are_the_documented_numbers(void **state)
{
    (void)state;
    assert_int_equal(PRIORITY_REALTIME_HIGH, 0);
    assert_int_equal(PRIORITY_REALTIME_NORMAL, 10);
    assert_int_equal(PRIORITY_REALTIME_LOW, 20);
    assert_int_equal(PRIORITY_SYSTEM_HIGH, 30);
    assert_int_equal(PRIORITY_SYSTEM_NORMAL, 40);
    assert_int_equal(PRIORITY_USER_HIGH, 50);
    assert_int_equal(PRIORITY_USER_NORMAL, 60);
    assert_int_equal(PRIORITY_USER_LOW, 70);
    assert_int_equal(PRIORITY_IDLE, 99);
    assert_int_equal(PRIORITY_DEFAULT, 60);
    for (int priority = -3; priority < 103; priority++)
        assert_int_equal(priority_is_valid(priority), priority >= 0 && priority <= 99);
}

static void thread_numbers_map_onto_the_nine_names(void **state)
{
    static const struct {
        int first, last, priority;
    } map[] = {
        { 0, 10, PRIORITY_REALTIME_HIGH },    { 11, 20, PRIORITY_REALTIME_NORMAL }, { 21, 30, PRIORITY_REALTIME_LOW },
        { 31, 40, PRIORITY_SYSTEM_HIGH },     { 41, 50, PRIORITY_SYSTEM_NORMAL },   { 51, 60, PRIORITY_USER_HIGH },
        { 61, 70, PRIORITY_USER_NORMAL },     { 71, 80, PRIORITY_USER_LOW },        { 81, 300, PRIORITY_IDLE },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(map); i++)
        for (int number = map[i].first; number <= map[i].last; number++)
            assert_int_equal(priority_from_thread_number(number), map[i].priority);
    assert_int_equal(priority_from_thread_number(-1), PRIORITY_REALTIME_HIGH);
    assert_int_equal(priority_from_thread_number(INT32_MIN), PRIORITY_REALTIME_HIGH);
    assert_int_equal(priority_from_thread_number(INT32_MAX), PRIORITY_IDLE);
}

static void the_scale_is_monotonic_in_levels_and_nice(void **state)
{
    (void)state;
    assert_int_equal(priority_rt_level(0), 0);
    assert_int_equal(priority_rt_level(10), 49);
    assert_int_equal(priority_rt_level(20), 98);
    for (int priority = 1; priority <= PRIORITY_REALTIME_LOW; priority++)
        assert_true(priority_rt_level(priority) > priority_rt_level(priority - 1));
    assert_int_equal(priority_nice(60), 0);
    assert_int_equal(priority_nice(21), -19);
    assert_int_equal(priority_nice(98), 19);
    for (int priority = 22; priority < PRIORITY_IDLE; priority++) {
        assert_true(priority_nice(priority) >= priority_nice(priority - 1));
        assert_true(priority_nice(priority) <= priority_nice(priority - 1) + 1);
    }
}

/* Class, policy and rank of each priority; weights a quarter more per nice level, their inverses exact to a part. */
static void every_priority_has_its_class_policy_and_weight(void **state)
{
    uint32_t weight = 0;
    unsigned rank = 0;

    (void)state;
    for (int priority = 0; priority <= PRIORITY_IDLE; priority++) {
        const struct task *task = sched_test_new(0, priority);

        assert_int_equal(task->priority, priority);
        assert_true(task->rank >= rank && task->rank < RANK_NOTHING);
        rank = task->rank;
        if (priority <= PRIORITY_REALTIME_LOW) {
            assert_ptr_equal(task->class, &class_rt);
            assert_int_equal(task->policy, SCHED_POLICY_RR);
            assert_true(task->rt_level == priority_rt_level(priority) && task->rank < RANK_FAIR);
        } else if (priority == PRIORITY_IDLE) {
            assert_ptr_equal(task->class, &class_idle);
            assert_int_equal(task->policy, SCHED_POLICY_IDLE);
        } else {
            assert_ptr_equal(task->class, &class_fair);
            assert_int_equal(task->policy, SCHED_POLICY_FAIR);
            if (weight != 0 && priority_nice(priority) != priority_nice(priority - 1))
                assert_in_range(weight * 1000 / task->fair_weight, 1150, 1350);
            else
                assert_true(weight == 0 || weight == task->fair_weight);
            assert_int_equal(task->fair_inverse_weight, (UINT64_C(0xffffffff) + task->fair_weight) / task->fair_weight);
            weight = task->fair_weight;
        }
        assert_true(priority != PRIORITY_USER_NORMAL || task->fair_weight == 1024);
    }
}

/* Parameters. */

static void levels_and_nice_values_lead_back_to_their_priority(void **state)
{
    struct sched_params params;

    (void)state;
    for (int priority = 0; priority <= PRIORITY_IDLE; priority++) {
        sched_params_of_priority(priority, &params);
        int back = sched_params_priority(&params);

        /* Two numbers have each nice value, three have 0. */
        assert_true(back == priority ||
                    (params.policy == SCHED_POLICY_FAIR && priority_nice(back) == priority_nice(priority)));
    }
    assert_int_equal(priority_of_rt_level(RT_LEVELS - 1), PRIORITY_REALTIME_LOW);
    assert_int_equal(priority_of_nice(NICE_MIN), PRIORITY_REALTIME_LOW + 1);
}

static void parameters_of_every_policy_take_effect(void **state)
{
    struct task *task = sched_test_ready(0, PRIORITY_DEFAULT, &sched_test.rq[0]);
    struct sched_params is;

    (void)state;
    runq_enqueue(&sched_test.rq[0], task, ENQUEUE_WOKEN);
    for (int level = 0; level < RT_LEVELS; level++) {
        struct sched_params wanted = { .policy = level % 2 == 0 ? SCHED_POLICY_FIFO : SCHED_POLICY_RR,
                                       .rt_level = (uint8_t)level };

        assert_int_equal(task_set_params(task, &wanted), 0);
        assert_true(task->class == &class_rt && task->policy == wanted.policy && task->rt_level == level);
        assert_int_equal(task->rank, RANK_RT + level);
        assert_int_equal(sched_test.rq[0].rt.first, level);
        task_get_params(task, &is);
        assert_memory_equal(&is, &wanted, sizeof is);
    }
    for (int nice = NICE_MIN; nice <= NICE_MAX; nice++) {
        struct sched_params wanted = { .policy = SCHED_POLICY_FAIR, .nice = (int8_t)nice, .slice_ns = 3 * NS_PER_MS };

        assert_int_equal(task_set_params(task, &wanted), 0);
        assert_true(task->class == &class_fair && task->rank == RANK_FAIR);
        assert_int_equal(task->slice_ticks, clock_ns_to_ticks(3 * NS_PER_MS));
    }
    assert_int_equal(task_set_params(task, &(struct sched_params){ .policy = SCHED_POLICY_IDLE }), 0);
    assert_ptr_equal(task->class, &class_idle);
    runq_check(&sched_test.rq[0]);
    runq_dequeue(&sched_test.rq[0], task);
}

static void parameters_out_of_range_change_nothing(void **state)
{
    static const struct sched_params bad[] = {
        { .policy = SCHED_POLICY_FIFO, .rt_level = RT_LEVELS },
        { .policy = SCHED_POLICY_FIFO, .nice = 1 },
        { .policy = SCHED_POLICY_FIFO, .slice_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_RR, .rt_level = 255 },
        { .policy = SCHED_POLICY_RR, .slice_ns = SCHED_SLICE_NS_MIN - 1 },
        { .policy = SCHED_POLICY_RR, .slice_ns = SCHED_SLICE_NS_MAX + 1 },
        { .policy = SCHED_POLICY_FAIR, .nice = NICE_MIN - 1 },
        { .policy = SCHED_POLICY_FAIR, .nice = NICE_MAX + 1 },
        { .policy = SCHED_POLICY_FAIR, .rt_level = 1 },
        { .policy = SCHED_POLICY_FAIR, .slice_ns = 1 },
        { .policy = SCHED_POLICY_IDLE, .nice = 1 },
        { .policy = SCHED_POLICY_IDLE, .slice_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_FAIR, .runtime_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_FIFO, .deadline_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_DEADLINE },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 2 * NS_PER_MS, .deadline_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 9 * NS_PER_US, .deadline_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 20 * NS_PER_US, .deadline_ns = 99 * NS_PER_US },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 20 * NS_PER_US, .deadline_ns = 10 * NS_PER_SEC + 1 },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 20 * NS_PER_US, .deadline_ns = 2 * NS_PER_MS,
          .period_ns = NS_PER_MS },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 20 * NS_PER_US, .deadline_ns = NS_PER_MS, .nice = 1 },
        { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 20 * NS_PER_US, .deadline_ns = NS_PER_MS, .rt_level = 1 },
        { .policy = (enum sched_policy)17 },
    };
    struct task *task = sched_test_ready(0, 10, &sched_test.rq[0]);
    struct sched_params before;
    struct sched_params after;

    (void)state;
    task_get_params(task, &before);
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(task_set_params(task, &bad[i]), -EINVAL);
        task_get_params(task, &after);
        assert_memory_equal(&after, &before, sizeof after);
    }
    task->state = TASK_DEAD;
    assert_int_equal(task_set_params(task, &before), -ESRCH);
}

/* Changes of a task that does not run. */

static void a_queued_task_changes_class_in_place(void **state)
{
    struct unit_random random = { 4 };
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        runq_enqueue(rq, sched_test_ready(i, (int)unit_random_below(&random, 100), rq), ENQUEUE_WOKEN);
    for (unsigned step = 0; step < 3000; step++) {
        struct task *task = &sched_test.task[unit_random_below(&random, 20)];
        int priority = (int)unit_random_below(&random, 100);
        const struct sched_class *class = priority <= 20 ? &class_rt : priority < 99 ? &class_fair : &class_idle;

        assert_int_equal(task_set_priority(task, priority), 0);
        assert_true(task->priority == priority && task->class == class && task->state == TASK_READY);
        bool fifo = unit_random_below(&random, 2) == 0;

        assert_int_equal(task_set_policy(task, fifo ? SCHED_POLICY_FIFO : SCHED_POLICY_RR),
                         class == &class_rt ? 0 : -EINVAL);
        assert_int_equal(load_relaxed(&rq->queued), 20);
        runq_check(rq);
    }
    for (uint32_t last = 0, left = 20; left > 0; left--) {
        struct task *task = runq_pick(rq);

        assert_true(task->rank >= last);
        last = task->rank;
        if (task->class->block != NULL)
            task->class->block(rq, task);
    }
}

static void a_priority_change_keeps_the_policy_of_a_real_time_task(void **state)
{
    struct task *task = sched_test_new(0, 10);

    (void)state;
    assert_int_equal(task->policy, SCHED_POLICY_RR);
    assert_int_equal(task_set_policy(task, SCHED_POLICY_FIFO), 0);
    assert_int_equal(task_set_priority(task, 5), 0);
    assert_int_equal(task->policy, SCHED_POLICY_FIFO);
    assert_int_equal(task_set_priority(task, 60), 0);
    assert_int_equal(task->policy, SCHED_POLICY_FAIR);
    assert_int_equal(task_set_priority(task, 5), 0);
    assert_int_equal(task->policy, SCHED_POLICY_RR);
}

static void a_task_that_becomes_fair_starts_at_the_queues_clock(void **state)
{
    struct runq *rq = &sched_test.rq[0];
    struct task *task = sched_test_ready(0, 10, rq);

    (void)state;
    rq->fair.vtime = UINT64_MAX - 10;
    runq_enqueue(rq, task, ENQUEUE_WOKEN);
    task->fair_lag = 12345; /* of another life in the class */
    assert_int_equal(task_set_priority(task, 60), 0);
    assert_true(task->fair_vruntime == UINT64_MAX - 10 && rq->fair.vtime == UINT64_MAX - 10);
    assert_true(task->fair_deadline == task->fair_vruntime + task->fair_request);
    runq_dequeue(rq, task);
}

/* What `task` is owed, in ticks * 2^20. */
static int64_t lag_of(const struct runq *rq, const struct task *task)
{
    return (int64_t)(rq->fair.vtime - task->fair_vruntime) * task->fair_weight;
}

static int64_t left_of(const struct task *task)
{
    return (int64_t)(task->fair_deadline - task->fair_vruntime) * task->fair_weight;
}

/* The clock is read on the way, and a running task charged: to a thousandth of a slice. */
static bool is_near(int64_t a, int64_t b)
{
    int64_t bound = (int64_t)(sched_tunables.fair_slice_ticks / 1000) << 20;

    return a - b < bound && b - a < bound;
}

/* Nice and slice change while the task is queued, running, or asleep: what it is owed, and what it has left of its
 * request, stay in time of the CPU. A shorter slice cuts the request. */
static void a_fair_task_keeps_lag_and_request_over_a_change_of_nice(void **state)
{
    struct runq *rq = &sched_test.rq[0];
    uint64_t slice = sched_tunables.fair_slice_ticks;
    int64_t owed = (int64_t)(slice / 4) << 20;

    (void)state;
    for (unsigned how = 0; how < 3; how++)
        for (int nice = NICE_MIN; nice <= NICE_MAX; nice++) {
            struct sched_params params = { .policy = SCHED_POLICY_FAIR, .nice = (int8_t)nice };
            struct task *other = sched_test_ready(0, 60, rq), *task = sched_test_ready(1, 60, rq);
            int64_t lag = how == 0 ? 0 : how == 1 ? owed : -owed;

            runq_enqueue(rq, other, ENQUEUE_STARTED);
            task->fair_lag = lag;
            task->fair_left_period = rq->fair.period;
            task->fair_left_vtime = rq->fair.vtime;
            task->fair_left_request = owed;
            runq_enqueue(rq, task, ENQUEUE_MOVED);
            if (how == 0) { /* it runs */
                assert_ptr_equal(runq_pick(rq), task);
                task->state = TASK_RUNNING;
                task->since_ticks = hal_clock_ticks();
                rq->running = task;
                lag = lag_of(rq, task);
            }
            assert_true(is_near(lag_of(rq, task), lag) && is_near(left_of(task), owed));
            assert_int_equal(task_set_params(task, &params), 0);
            assert_true(is_near(lag_of(rq, task), lag) && is_near(left_of(task), owed));
            params.slice_ns = SCHED_SLICE_NS_MIN;
            assert_int_equal(task_set_params(task, &params), 0);
            assert_true(is_near(left_of(task), (int64_t)clock_ns_to_ticks(SCHED_SLICE_NS_MIN) << 20));
            if (how == 0)
                sched_test_stop(rq);
            else
                runq_dequeue(rq, task);
            store_relaxed(&rq->cpu.need_resched, 0);
            runq_dequeue(rq, other);
        }
}

static void bad_changes_are_refused_and_change_nothing(void **state)
{
    struct task *task = sched_test_new(0, 10);

    (void)state;
    assert_int_equal(task_set_priority(task, -1), -EINVAL);
    assert_int_equal(task_set_priority(task, 100), -EINVAL);
    assert_int_equal(task_set_policy(task, SCHED_POLICY_FAIR), -EINVAL);
    assert_int_equal(task_set_policy(task, SCHED_POLICY_IDLE), -EINVAL);
    assert_int_equal(task_set_policy(task, (enum sched_policy)17), -EINVAL);
    assert_true(task->priority == 10 && task->policy == SCHED_POLICY_RR);
    task->state = TASK_DEAD;
    assert_int_equal(task_set_priority(task, 60), -ESRCH);
    assert_int_equal(task_set_policy(task, SCHED_POLICY_FIFO), -ESRCH);
    assert_int_equal(task->priority, 10);
}

/* Booted: somebody changes the masks and priorities of tasks that run, wait and sleep all the time. */

#define CHANGED 5
#define CHANGES 40

static _Atomic(bool) stop;

static int live(void *arg)
{
    uint64_t random = booted_seed() + (uintptr_t)arg;

    while (!load_relaxed(&stop)) {
        switch (random_next(&random) % 4) {
        case 0:
            task_yield();
            break;
        case 1:
            (void)task_sleep_for(random_next(&random) % 5000);
            break;
        default:
            for (unsigned i = 0; i < 20; i++)
                hal_cpu_relax();
            break;
        }
    }
    return 0;
}

static void changes_while_running(void)
{
    uint64_t random = booted_seed() * 77 + 5;
    struct task *task[CHANGED];

    /* Real-time tasks of ours that never sleep would keep the changer off a single CPU. */
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (uintptr_t i = 0; i < CHANGED; i++)
        task[i] = spawn("changed", live, (void *)i, 60, NULL);
    for (unsigned i = 0; i < CHANGES; i++) {
        struct task *one = task[random_next(&random) % CHANGED];
        struct task_snapshot snapshot;
        struct cpumask mask;
        int priority = 1 + (int)(random_next(&random) % 99);

        random_online_mask(&random, &mask);
        CHECK(task_set_affinity(one, &mask) == 0);
        task_get_snapshot(one, &snapshot);
        CHECK(snapshot.state != TASK_RUNNING || cpumask_contains(&mask, snapshot.cpu));
        CHECK(task_set_priority(one, priority) == 0);
        task_get_snapshot(one, &snapshot);
        CHECK(snapshot.priority == priority);
        if (random_next(&random) % 2 == 0)
            CHECK(task_set_policy(one, SCHED_POLICY_FIFO) == (priority <= 20 ? 0 : -EINVAL));
        (void)task_sleep_for(random_next(&random) % 8000);
        task_get_snapshot(one, &snapshot);
        CHECK(snapshot.state != TASK_RUNNING || cpumask_contains(&mask, snapshot.cpu));
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < CHANGED; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

const struct kernel_test booted_tests[] = {
    { "changes", changes_while_running },
    { NULL, NULL },
};

static void changes_hold_when_they_return_whatever_the_task_does(void **state)
{
    (void)state;
    booted_run("changes", 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_hold_when_they_return_whatever_the_task_does),
        cmocka_unit_test(the_named_priorities_are_the_documented_numbers),
        cmocka_unit_test(thread_numbers_map_onto_the_nine_names),
        cmocka_unit_test(the_scale_is_monotonic_in_levels_and_nice),
        sched_unit_test(levels_and_nice_values_lead_back_to_their_priority),
        sched_unit_test(parameters_of_every_policy_take_effect),
        sched_unit_test(parameters_out_of_range_change_nothing),
        sched_unit_test(every_priority_has_its_class_policy_and_weight),
        sched_smp_test(a_queued_task_changes_class_in_place),
        sched_unit_test(a_priority_change_keeps_the_policy_of_a_real_time_task),
        sched_unit_test(a_task_that_becomes_fair_starts_at_the_queues_clock),
        sched_unit_test(a_fair_task_keeps_lag_and_request_over_a_change_of_nice),
        sched_unit_test(bad_changes_are_refused_and_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
