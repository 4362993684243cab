/* SPDX-License-Identifier: MIT */
/* core/sched/class_fair.c: shares, joining and leaving, yielding, preemption. Picks: fair_model_test.c. */
#include "fair_test.h"

static void two_equal_tasks_share_a_second_evenly(void **state)
{
    uint64_t second = clock_ns_to_ticks(NS_PER_SEC), ran[2] = { 0 }, turn_ticks, total = 0;

    (void)state;
    (void)started(0, 0, 0);
    (void)started(1, 0, 0);
    while (total < second) {
        const struct task *task = run_for(TIME_NEVER, ENQUEUE_PREEMPTED, &turn_ticks);

        ran[task - sched_test.task] += turn_ticks;
        total += turn_ticks;
    }
    assert_true(ran[0] * 100 >= total * 48 && ran[0] * 100 <= total * 52);
    empty_queue(2);
}

/* One that blocks with a credit has it when it wakes, up to two slices; a debt goes down with the queue's clock. */
static void lag_is_kept_over_sleep(void **state)
{
    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        RQ->fair.vtime = epochs[e];
        struct task *busy = started(0, 0, 0), *sleeper = started(1, 0, 0);
        uint64_t ticks;

        while (run_next() != busy)
            end_run(ENQUEUE_YIELDED);
        class_fair.account(RQ, busy, SLICE * 3 / 4);
        int64_t owed = lag_of(sleeper);

        assert_true(owed > 0);
        class_fair.dequeue(RQ, sleeper);
        class_fair.account(RQ, busy, SLICE * 50);
        class_fair.enqueue(RQ, sleeper, ENQUEUE_WOKEN);
        assert_true(is_near(lag_of(sleeper), owed));
        end_run(ENQUEUE_PREEMPTED);

        assert_ptr_equal(run_next(), sleeper); /* and now it is in debt */
        class_fair.account(RQ, sleeper, SLICE);
        owed = lag_of(sleeper);
        assert_true(owed < 0);
        sched_test_stop(RQ);
        assert_ptr_equal(run_for(SLICE / 16, ENQUEUE_PREEMPTED, &ticks), busy);
        class_fair.enqueue(RQ, sleeper, ENQUEUE_WOKEN);
        int64_t later = lag_of(sleeper);

        assert_true(is_near(later, MIN(owed + (int64_t)ticks * TICK, 0)));
        class_fair.dequeue(RQ, sleeper);
        (void)run_next();
        class_fair.account(RQ, busy, SLICE * 10);
        class_fair.enqueue(RQ, sleeper, ENQUEUE_WOKEN);
        assert_true(is_near(lag_of(sleeper), 0));
        end_run(ENQUEUE_PREEMPTED);
        empty_queue(2);
    }
}

static void a_credit_is_clamped_to_two_slices(void **state)
{
    struct task *busy = started(0, 0, 0), *waits = started(1, 0, 0);

    (void)state;
    while (run_next() != busy)
        end_run(ENQUEUE_YIELDED);
    class_fair.account(RQ, busy, SLICE * 1000); /* with interrupts disabled, say */
    class_fair.dequeue(RQ, waits);
    class_fair.enqueue(RQ, waits, ENQUEUE_WOKEN);
    assert_true(is_near(lag_of(waits), 2 * (int64_t)SLICE * TICK));
    end_run(ENQUEUE_PREEMPTED);
    empty_queue(2);
}

/* Whoever sleeps while the queue runs dry owes nothing to those who come later. */
static void an_empty_queue_ends_all_debts(void **state)
{
    struct task *debtor = started(0, 0, 0), *other = started(1, 0, 0);

    (void)state;
    while (run_next() != debtor)
        end_run(ENQUEUE_YIELDED);
    class_fair.account(RQ, debtor, SLICE);
    sched_test_stop(RQ);
    assert_true(debtor->fair_lag < 0);
    assert_ptr_equal(run_next(), other);
    sched_test_stop(RQ);
    class_fair.enqueue(RQ, other, ENQUEUE_WOKEN);
    class_fair.enqueue(RQ, debtor, ENQUEUE_WOKEN);
    assert_true(lag_of(debtor) == 0 && lag_of(other) == 0);
    empty_queue(2);
}

static void a_new_task_is_owed_nothing_and_asks_for_a_whole_slice(void **state)
{
    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        RQ->fair.vtime = epochs[e];
        (void)started(0, -5, 0);
        (void)started(1, 5, 0);
        struct task *task = sched_test_new(2, PRIORITY_DEFAULT);

        assert_int_equal(task_start(task), 0);
        assert_true(task->fair_vruntime == RQ->fair.vtime);
        assert_true(task->fair_deadline - task->fair_vruntime == task->fair_request);
        runq_dequeue(RQ, task);
        empty_queue(2);
    }
}

/* Tasks that only yield have turns in a row, whatever their weights and slices are and whatever each turn costs. */
static void whoever_yields_lets_another_run(void **state)
{
    struct unit_random random = { 5 };

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        unsigned tasks = 2 + (unsigned)unit_random_below(&random, 6);
        struct task *last = NULL;
        uint64_t ticks;

        RQ->fair.vtime = epochs[round % ARRAY_COUNT(epochs)];
        for (unsigned i = 0; i < tasks; i++)
            (void)started(i, round < 100 ? 0 : NICE_MIN + (int)unit_random_below(&random, 40),
                          round < 200 ? 0 : SLICE / 16 << unit_random_below(&random, 8));
        for (unsigned turn = 0; turn < 200; turn++) {
            struct task *task = run_for(1 + unit_random_below(&random, 2000), ENQUEUE_YIELDED, &ticks);

            assert_ptr_not_equal(task, last);
            last = task;
        }
        empty_queue(tasks);
    }
}

/* One that is far ahead comes to stand at the lane's end. The others, who yield and are all before it, stay a lane. */
static void one_far_ahead_leaves_the_others_a_lane(void **state)
{
    enum { TASKS = 10 };
    uint64_t ticks;

    (void)state;
    for (unsigned i = 0; i < TASKS; i++)
        (void)started(i, 0, 0);
    (void)run_next();
    class_fair.account(RQ, RQ->running, 4 * SLICE);
    end_run(ENQUEUE_PREEMPTED);
    for (unsigned turn = 0; turn < 200; turn++) {
        unsigned in_lane = 0;

        (void)run_for(1000, ENQUEUE_YIELDED, &ticks);
        class_fair_sort(RQ); /* as after each switch */
        list_for_each(node, &RQ->fair.lane)
            in_lane++;
        assert_true(turn < TASKS || in_lane >= TASKS - 1);
    }
    empty_queue(TASKS);
}

/* Who loosens tasks and does not come for them fills no list: those before go back. */
static void tasks_loosened_in_vain_are_few(void **state)
{
    unsigned in_tree = 0, loosened = 0;

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) { /* each due earlier than the last one: no lane */
        (void)started(i, 0, SLICE * (SCHED_TEST_TASKS - i));
        class_fair_sort(RQ);
    }
    for (unsigned i = 0; i < 4 * SCHED_TEST_TASKS; i++) {
        struct task *task = &sched_test.task[i % SCHED_TEST_TASKS];

        if (!runq_is_loose(task)) {
            in_tree++;
            runq_loosen(RQ, task);
            loosened += runq_is_loose(task);
        }
        assert_int_equal(class_fair.check(RQ, NULL), SCHED_TEST_TASKS); /* and the list is short */
    }
    assert_true(in_tree > 2 * SCHED_TEST_TASKS && loosened > SCHED_TEST_TASKS / 2);
    empty_queue(SCHED_TEST_TASKS);
}

static void a_yield_with_nobody_else_costs_nothing(void **state)
{
    struct task *self = started(0, 0, 0);
    uint64_t v = RQ->fair.vtime;

    (void)state;
    assert_ptr_equal(run_next(), self);
    end_run(ENQUEUE_YIELDED);
    assert_true(self->fair_vruntime == v && RQ->fair.vtime == v);
    assert_ptr_equal(run_next(), self);
    sched_test_stop(RQ);
}

static void moving_keeps_the_lag_and_the_rest_of_the_request(void **state)
{
    struct unit_random random = { 9 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        RQ->fair.vtime = unit_random_next(&random);
        OTHER->fair.vtime = unit_random_next(&random);
        struct task *busy = started(0, 0, 0), *there = fair_task(2, 0, 0), *task = started(1, 0, 0);

        class_fair.enqueue(OTHER, there, ENQUEUE_STARTED);
        RQ->running = class_fair.pick(RQ);
        class_fair.account(RQ, RQ->running, unit_random_below(&random, SLICE));
        end_run(ENQUEUE_PREEMPTED);
        int64_t lag = lag_of(task);
        uint64_t left = task->fair_deadline - task->fair_vruntime;

        class_fair.dequeue(RQ, task);
        class_fair.rebase(task, RQ, OTHER);
        class_fair.enqueue(OTHER, task, ENQUEUE_MOVED);
        int64_t now = (int64_t)(OTHER->fair.vtime - task->fair_vruntime) * task->fair_weight;

        assert_true(is_near(now, lag) && task->fair_deadline - task->fair_vruntime == left);
        class_fair.dequeue(OTHER, task);
        class_fair.dequeue(OTHER, there);
        class_fair.dequeue(RQ, busy);
    }
}

/* Eligible, due earlier, and the running one has had a quarter of the shorter slice: all three. Until it has, the slice
 * ends where it will. */
static void a_wake_preempts_if_due_earlier_but_not_at_once(void **state)
{
    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        RQ->fair.vtime = epochs[e];
        struct task *running = started(0, 0, 0);
        uint64_t quarter = SLICE / 4 / 4;

        assert_ptr_equal(run_next(), running);
        struct task *equal = started(1, 0, 0);

        assert_false(class_fair.preempts(RQ, equal, running)); /* due when the running one is */
        struct task *quick = started(2, 0, SLICE / 4);

        assert_false(class_fair.preempts(RQ, quick, running));
        assert_true(RQ->is_slice_shorter);
        assert_in_range(class_fair.slice(RQ, running), quarter, quarter + 1);
        class_fair.account(RQ, running, quarter + 1);
        assert_true(class_fair.preempts(RQ, quick, running));
        quick->fair_vruntime += 2 * (RQ->fair.vtime - quick->fair_vruntime); /* not eligible */
        assert_false(class_fair.preempts(RQ, quick, running));
        quick->fair_vruntime = running->fair_vruntime; /* the sums are not looked at any more */
        memset(&RQ->fair, 0, sizeof RQ->fair);
        list_init(&RQ->fair.lane);
        list_init(&RQ->fair.unsorted);
        RQ->ready_classes = 0;
        RQ->is_slice_shorter = false;
        RQ->running = RQ->cpu.idle_task;
    }
}

static void time_is_charged_by_weight(void **state)
{
    (void)state;
    for (int nice = NICE_MIN; nice <= NICE_MAX; nice++)
        for (unsigned bits = 1; bits < 39; bits++) {
            struct task *task = started(0, nice, 0);
            uint64_t ticks = UINT64_C(3) << bits >> 1, start = task->fair_vruntime;

            (void)run_next();
            class_fair.account(RQ, task, ticks);
            uint64_t exact = (uint64_t)(((unsigned __int128)ticks << 20) / task->fair_weight);
            uint64_t charged = task->fair_vruntime - start;

            assert_true(charged >= exact && charged - exact <= exact / 40000 + 1); /* 2^32 / weight is rounded up */
            assert_true(RQ->fair.vtime == task->fair_vruntime);
            sched_test_stop(RQ);
        }
}

/* Alone on a CPU that takes no timer interrupts, a task may run for months before it is accounted. */
static void a_very_long_run_leaves_the_order_right(void **state)
{
    (void)state;
    for (int nice = NICE_MIN; nice <= NICE_MAX; nice++)
        for (unsigned bits = 30; bits < 64; bits++) {
            struct task *hog = started(0, nice, 0);

            (void)run_next();
            class_fair.account(RQ, hog, UINT64_C(1) << bits);
            struct task *fresh = started(1, 0, 0);

            assert_true(is_near(lag_of(fresh), 0) && is_near(lag_of(hog), 0));
            assert_true(class_fair.slice(RQ, hog) <= SLICE + SLICE / 10000 + 2);
            end_run(ENQUEUE_PREEMPTED);
            empty_queue(2);
        }
}

/* It runs until its request is used up, and its clock then says so. */
static void a_slice_lasts_until_the_request_is_used_up(void **state)
{
    (void)state;
    for (int nice = NICE_MIN; nice <= NICE_MAX; nice++) {
        struct task *task = started(0, nice, 0);

        assert_ptr_equal(run_next(), task);
        assert_true(class_fair.slice(RQ, task) == TIME_NEVER);
        (void)started(1, 0, 0);
        uint64_t due = task->fair_deadline, part = SLICE / 3;

        class_fair.account(RQ, task, part);
        assert_true(task->fair_deadline == due);
        uint64_t left = class_fair.slice(RQ, task);

        assert_in_range(left, SLICE - part - 1, SLICE - part + SLICE / 10000 + 2);
        class_fair.account(RQ, task, left);
        assert_true(task->fair_deadline == task->fair_vruntime + task->fair_request);
        end_run(ENQUEUE_PREEMPTED);
        empty_queue(2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(two_equal_tasks_share_a_second_evenly),
        sched_unit_test(lag_is_kept_over_sleep),
        sched_unit_test(a_credit_is_clamped_to_two_slices),
        sched_unit_test(an_empty_queue_ends_all_debts),
        sched_unit_test(a_new_task_is_owed_nothing_and_asks_for_a_whole_slice),
        sched_unit_test(whoever_yields_lets_another_run),
        sched_unit_test(one_far_ahead_leaves_the_others_a_lane),
        sched_unit_test(tasks_loosened_in_vain_are_few),
        sched_unit_test(a_yield_with_nobody_else_costs_nothing),
        sched_unit_test(moving_keeps_the_lag_and_the_rest_of_the_request),
        sched_unit_test(a_wake_preempts_if_due_earlier_but_not_at_once),
        sched_unit_test(time_is_charged_by_weight),
        sched_unit_test(a_very_long_run_leaves_the_order_right),
        sched_unit_test(a_slice_lasts_until_the_request_is_used_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
