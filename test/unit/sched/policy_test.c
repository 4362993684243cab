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
            assert_int_equal(task->fair_inverse_weight, (UINT64_C(1) << 32) / task->fair_weight);
            weight = task->fair_weight;
        }
        assert_true(priority != PRIORITY_USER_NORMAL || task->fair_weight == 1024);
    }
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
    rq->fair.vruntime_min = UINT64_MAX - 10;
    runq_enqueue(rq, task, ENQUEUE_WOKEN);
    assert_int_equal(task_set_priority(task, 60), 0);
    assert_true(task->fair_vruntime == UINT64_MAX - 10);
    task->fair_vruntime += 500; /* what it owes within the class stays */
    assert_int_equal(task_set_priority(task, 70), 0);
    assert_true(task->fair_vruntime == UINT64_MAX - 10 + 500);
    runq_dequeue(rq, task);
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

static void random_mask(uint64_t *random, struct cpumask *mask)
{
    cpumask_clear(mask);
    cpumask_add(mask, online_cpu((unsigned)random_next(random)));
    for (unsigned i = 0; i < online_count(); i++)
        if (random_next(random) % 3 == 0)
            cpumask_add(mask, online_cpu(i));
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

        random_mask(&random, &mask);
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

static int move_about(void *arg)
{
    uint64_t random = booted_seed() * 3 + (uintptr_t)arg;

    for (unsigned i = 0; i < 15; i++) {
        struct cpumask mask;

        random_mask(&random, &mask);
        CHECK(task_set_affinity(current_task(), &mask) == 0);
        for (unsigned j = 0; j < 3; j++) {
            preempt_disable();
            CHECK(cpumask_contains(&mask, this_cpu_id()));
            preempt_enable();
            task_yield();
        }
    }
    return 0;
}

static void own_mask(void)
{
    struct task *task[4];

    for (uintptr_t i = 0; i < 4; i++)
        task[i] = spawn("moving", move_about, (void *)i, i == 0 ? 10 : 60, NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK(finish(task[i]) == 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void refusals(void)
{
    struct task *task = spawn("short", nothing, NULL, 60, NULL);
    struct task_snapshot snapshot = { 0 };
    struct cpumask offline;

    cpumask_set_single(&offline, CPU_MAX - 1);
    CHECK(task_set_affinity(current_task(), &offline) == -EINVAL);
    cpumask_clear(&offline);
    CHECK(task_set_affinity(current_task(), &offline) == -EINVAL);
    WAIT_FOR((task_get_snapshot(task, &snapshot), snapshot.state == TASK_DEAD));
    cpumask_set_all(&offline);
    CHECK(task_set_affinity(task, &offline) == -ESRCH);
    (void)finish(task);
}

const struct kernel_test booted_tests[] = {
    { "changes", changes_while_running },
    { "own-mask", own_mask },
    { "refusals", refusals },
    { NULL, NULL },
};

static void changes_hold_when_they_return_whatever_the_task_does(void **state)
{
    (void)state;
    booted_run("changes", 150);
}

static void a_task_that_changes_its_own_mask_goes_on_inside_it(void **state)
{
    (void)state;
    booted_run("own-mask", 150);
}

static void masks_without_an_online_cpu_and_dead_tasks_are_refused(void **state)
{
    (void)state;
    booted_run("refusals", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_hold_when_they_return_whatever_the_task_does),
        cmocka_unit_test(a_task_that_changes_its_own_mask_goes_on_inside_it),
        cmocka_unit_test(masks_without_an_online_cpu_and_dead_tasks_are_refused),
        cmocka_unit_test(the_named_priorities_are_the_documented_numbers),
        cmocka_unit_test(thread_numbers_map_onto_the_nine_names),
        cmocka_unit_test(the_scale_is_monotonic_in_levels_and_nice),
        sched_unit_test(every_priority_has_its_class_policy_and_weight),
        sched_smp_test(a_queued_task_changes_class_in_place),
        sched_unit_test(a_priority_change_keeps_the_policy_of_a_real_time_task),
        sched_unit_test(a_task_that_becomes_fair_starts_at_the_queues_clock),
        sched_unit_test(bad_changes_are_refused_and_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
