/* SPDX-License-Identifier: MIT */
/* core/sched/class_fair.c: shares, bounded lag, placement, wrap-around of the virtual clock. */
#include "sched_test.h"

#define RQ (&sched_test.rq[0])
#define OTHER (&sched_test.rq[1])

/* Virtual clocks at which everything must work the same. */
static const uint64_t epochs[] = {
    0, 1000000, INT64_MAX - UINT64_C(1000000), (uint64_t)INT64_MAX + 5, UINT64_MAX - 1000000, UINT64_MAX,
};

static struct task *fair_task(unsigned i, int priority, uint64_t epoch)
{
    struct task *task = sched_test_ready(i, priority, RQ);

    assert_ptr_equal(task->class, &class_fair);
    task->fair_vruntime = epoch;
    return task;
}

static void start_at(uint64_t epoch)
{
    RQ->fair.vruntime_min = epoch;
    OTHER->fair.vruntime_min = epoch;
}

/* A tick at nice 0 in the unit of fair_vruntime. */
#define TICK UINT64_C(1024)

/* ran / weight, in the unit of fair_vruntime. */
static uint64_t weighted(uint64_t ran, const struct task *task)
{
    return ran * 1024 * TICK / task->fair_weight;
}

/* The longest virtual time that one slice, run by any of the tasks, may take. */
static uint64_t longest_slice(unsigned tasks, uint64_t slice)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < tasks; i++)
        longest = MAX(longest, weighted(slice, &sched_test.task[i]));
    return longest + 2;
}

/* All tasks runnable, turns of up to a slice: each one's share follows its weight, and at every moment its weighted run
 * time lies within one slice of everybody else's. */
static void share(const int *priorities, unsigned tasks, uint64_t epoch)
{
    struct unit_random random = { epoch + tasks };
    uint64_t slice = sched_tunables.fair_slice_ticks;
    uint64_t ran[SCHED_TEST_TASKS] = { 0 };
    uint64_t weights = 0;
    uint64_t total = 0;

    start_at(epoch);
    for (unsigned i = 0; i < tasks; i++) {
        struct task *task = fair_task(i, priorities[i], epoch);

        weights += task->fair_weight;
        class_fair.enqueue(RQ, task, ENQUEUE_PREEMPTED);
    }
    uint64_t lag_max = longest_slice(tasks, slice);

    for (unsigned turn = 0; turn < 20000; turn++) {
        struct task *task = class_fair.pick(RQ);
        uint64_t turn_ticks = 1 + unit_random_below(&random, slice);
        uint64_t clock = RQ->fair.vruntime_min;

        class_fair.account(RQ, task, turn_ticks);
        assert_true((int64_t)(RQ->fair.vruntime_min - clock) >= 0);
        ran[task - sched_test.task] += turn_ticks;
        total += turn_ticks;
        class_fair.enqueue(RQ, task, ENQUEUE_PREEMPTED);
        for (unsigned i = 0; i < tasks && turn % 64 == 0; i++) {
            int64_t ahead = (int64_t)(sched_test.task[i].fair_vruntime - RQ->fair.vruntime_min);

            assert_true(ahead >= 0 && (uint64_t)ahead <= lag_max);
        }
    }
    for (unsigned i = 0; i < tasks; i++) {
        uint64_t fair = (uint64_t)((unsigned __int128)total * sched_test.task[i].fair_weight / weights);
        uint64_t away = ran[i] > fair ? ran[i] - fair : fair - ran[i];

        /* One slice of one's own, and what the others' lags amount to; plus a thousandth of rounding by
         * 2^32 / weight. */
        assert_true(away <= slice + (lag_max / TICK * sched_test.task[i].fair_weight >> 10) + fair / 1000);
        class_fair.dequeue(RQ, &sched_test.task[i]);
    }
}

static void shares_follow_the_weights_at_every_epoch(void **state)
{
    static const int equal[] = { 60, 60, 60, 60 };
    static const int named[] = { 30, 40, 50, 60, 70 };
    static const int extremes[] = { 21, 98, 98, 60 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(epochs); i++) {
        share(equal, ARRAY_COUNT(equal), epochs[i]);
        share(named, ARRAY_COUNT(named), epochs[i]);
        share(extremes, ARRAY_COUNT(extremes), epochs[i]);
    }
}

/* Tasks that come and go cannot make the clock go back, and the pick is always the least virtual time, first come first
 * served among equals. */
static void random_queues_are_ordered_by_virtual_time(void **state)
{
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        struct unit_random random = { e };
        bool queued[SCHED_TEST_TASKS] = { false };
        uint64_t order[SCHED_TEST_TASKS] = { 0 };
        uint64_t arrivals = 0;
        unsigned in = 0;

        (void)state;
        start_at(epochs[e]);
        for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
            (void)fair_task(i, 21 + (int)unit_random_below(&random, 78),
                            epochs[e] + unit_random_below(&random, 8) * 1000 * TICK);
        for (unsigned step = 0; step < 5000; step++) {
            unsigned i = (unsigned)unit_random_below(&random, SCHED_TEST_TASKS);
            struct task *task = &sched_test.task[i];

            if (!queued[i]) {
                class_fair.enqueue(RQ, task, unit_random_below(&random, 2) == 0 ? ENQUEUE_WOKEN : ENQUEUE_PREEMPTED);
                order[i] = ++arrivals;
                queued[i] = true;
                in++;
            } else if (unit_random_below(&random, 3) == 0) {
                class_fair.dequeue(RQ, task);
                queued[i] = false;
                in--;
            } else {
                uint64_t clock = RQ->fair.vruntime_min;
                struct task *picked = class_fair.pick(RQ);
                unsigned p = (unsigned)(picked - sched_test.task);

                assert_true(queued[p]);
                for (unsigned j = 0; j < SCHED_TEST_TASKS; j++) {
                    int64_t later = (int64_t)(sched_test.task[j].fair_vruntime - picked->fair_vruntime);

                    assert_true(!queued[j] || later > 0 || (later == 0 && order[p] <= order[j]));
                }
                class_fair.account(RQ, picked, unit_random_below(&random, 2000));
                assert_true((int64_t)(RQ->fair.vruntime_min - clock) >= 0);
                queued[p] = false;
                in--;
            }
            assert_int_equal(rb_check(&RQ->fair.tree), in);
            assert_int_equal(RQ->ready_classes, in != 0 ? 1u << CLASS_FAIR : 0);
        }
        while (in-- > 0)
            (void)class_fair.pick(RQ);
    }
}

/* A task that slept for very long is served next, but for half a slice only before a busy one has its turn. */
static void a_sleeper_cannot_cash_in_its_absence(void **state)
{
    uint64_t slice = sched_tunables.fair_slice_ticks;

    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        start_at(epochs[e]);
        struct task *busy = fair_task(0, 60, epochs[e]);
        struct task *sleeper = fair_task(1, 60, epochs[e] - 1000 * slice * TICK);

        class_fair.enqueue(RQ, busy, ENQUEUE_PREEMPTED);
        class_fair.enqueue(RQ, sleeper, ENQUEUE_WOKEN);
        assert_true(sleeper->fair_vruntime == epochs[e] - slice * TICK / 2);
        assert_ptr_equal(class_fair.pick(RQ), sleeper);
        class_fair.account(RQ, sleeper, slice / 2 + 1);
        class_fair.enqueue(RQ, sleeper, ENQUEUE_PREEMPTED);
        assert_ptr_equal(class_fair.pick(RQ), busy);
        class_fair.dequeue(RQ, sleeper);
    }
}

/* One that owes run time still owes it after a short sleep. */
static void sleeping_does_not_forgive_a_debt(void **state)
{
    (void)state;
    start_at(5000);
    struct task *debtor = fair_task(0, 60, 90000);

    class_fair.enqueue(RQ, debtor, ENQUEUE_WOKEN);
    assert_int_equal(debtor->fair_vruntime, 90000);
    class_fair.dequeue(RQ, debtor);
}

/* The first start of a task, at whatever the queue's clock says: it neither starves nor starves the others. */
static void a_new_task_joins_near_the_clock_at_every_epoch(void **state)
{
    uint64_t slice = sched_tunables.fair_slice_ticks;

    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        start_at(epochs[e]);
        struct task *task = sched_test_new(0, PRIORITY_DEFAULT);

        assert_int_equal(task_start(task), 0);
        int64_t ahead = (int64_t)(task->fair_vruntime - epochs[e]);

        /* Behind those who wait, so that many short-lived tasks cannot overtake them for ever; by a
         * slice of its own. */
        if (ahead < 0 || ahead > (int64_t)weighted(slice, task))
            fail_msg("queue clock %#llx: the new task is %lld ahead", (unsigned long long)epochs[e], (long long)ahead);
        runq_dequeue(RQ, task);
    }
}

static void one_that_yields_runs_after_the_next_one(void **state)
{
    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++)
        for (uint64_t behind = 0; behind < 4; behind++) {
            start_at(epochs[e]);
            struct task *self = fair_task(0, 60, epochs[e] + 100);
            struct task *next = fair_task(1, 60, epochs[e] + 99 + behind);
            struct task *last = fair_task(2, 60, epochs[e] + 200);

            class_fair.enqueue(RQ, next, ENQUEUE_PREEMPTED);
            class_fair.enqueue(RQ, last, ENQUEUE_PREEMPTED);
            class_fair.enqueue(RQ, self, ENQUEUE_YIELDED);
            assert_ptr_equal(class_fair.pick(RQ), next);
            assert_ptr_equal(class_fair.pick(RQ), self);
            assert_ptr_equal(class_fair.pick(RQ), last);
            /* It steps back just behind the next, not further: it keeps its share. */
            assert_true((int64_t)(self->fair_vruntime - next->fair_vruntime) <= 1);
        }
}

static void a_yield_with_nobody_else_changes_nothing(void **state)
{
    (void)state;
    start_at(50);
    struct task *self = fair_task(0, 60, 70);

    class_fair.enqueue(RQ, self, ENQUEUE_YIELDED);
    assert_int_equal(self->fair_vruntime, 70);
    assert_ptr_equal(class_fair.pick(RQ), self);
}

static void moving_keeps_the_distance_to_the_clock(void **state)
{
    struct unit_random random = { 9 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t from = unit_random_next(&random);
        uint64_t to = unit_random_next(&random);
        uint64_t ahead = unit_random_below(&random, 1000000) - 500000;
        struct task *task = fair_task(0, 60, from + ahead);

        RQ->fair.vruntime_min = from;
        OTHER->fair.vruntime_min = to;
        class_fair.rebase(task, RQ, OTHER);
        assert_true(task->fair_vruntime - to == ahead);
    }
}

static void a_wake_preempts_only_beyond_the_margin(void **state)
{
    uint64_t margin = sched_tunables.fair_slice_ticks * TICK / 4;

    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        struct task *running = fair_task(0, 60, epochs[e]);
        struct task *woken = fair_task(1, 60, epochs[e] - margin);

        assert_false(class_fair.preempts(RQ, woken, running));
        woken->fair_vruntime--;
        assert_true(class_fair.preempts(RQ, woken, running));
        woken->fair_vruntime = epochs[e] + margin;
        assert_false(class_fair.preempts(RQ, woken, running));
    }
}

static void time_is_charged_by_weight(void **state)
{
    (void)state;
    for (int priority = PRIORITY_REALTIME_LOW + 1; priority < PRIORITY_IDLE; priority++) {
        start_at(0);
        struct task *task = fair_task(0, priority, 0);

        class_fair.account(RQ, task, 10000000);
        uint64_t exact = weighted(10000000, task);

        assert_true(task->fair_vruntime <= exact && exact - task->fair_vruntime <= exact / 40000 + 1);
    }
}

/* Alone on a CPU that takes no timer interrupts, a task may run for months before it is accounted. Whatever
 * it is charged, it must then be behind one that has not run, and the queue's clock must not go back. */
static void a_very_long_run_leaves_the_order_right(void **state)
{
    static const int priorities[] = { 21, 60, 98 };

    (void)state;
    for (unsigned p = 0; p < ARRAY_COUNT(priorities); p++)
        for (unsigned bits = 30; bits < 60; bits++) {
            start_at(5000);
            struct task *hog = fair_task(0, priorities[p], 5000);
            struct task *fresh = sched_test_ready(1, 60, RQ);

            class_fair.account(RQ, hog, UINT64_C(1) << bits);
            if ((int64_t)(hog->fair_vruntime - 5000) <= 0 || (int64_t)(RQ->fair.vruntime_min - 5000) < 0)
                fail_msg("priority %d: after 2^%u ticks the virtual clock stands at %lld", priorities[p], bits,
                         (long long)(hog->fair_vruntime - 5000));
            class_fair.enqueue(RQ, fresh, ENQUEUE_STARTED);
            class_fair.enqueue(RQ, hog, ENQUEUE_PREEMPTED);
            (void)class_fair.pick(RQ);
            struct task *second = class_fair.pick(RQ);
            /* They are served in turn from here on: neither is ahead of the other by more than a slice. */
            int64_t apart = (int64_t)(fresh->fair_vruntime - hog->fair_vruntime);

            assert_true(second != NULL && apart <= (int64_t)longest_slice(2, sched_tunables.fair_slice_ticks));
        }
}

/* Short runs of a heavy task are not lost in rounding. */
static void a_thousand_short_runs_cost_what_one_long_run_costs(void **state)
{
    (void)state;
    for (int priority = PRIORITY_REALTIME_LOW + 1; priority < PRIORITY_IDLE; priority++) {
        start_at(0);
        struct task *task = fair_task(0, priority, 0);

        for (unsigned i = 0; i < 1000; i++)
            class_fair.account(RQ, task, 3);
        uint64_t exact = weighted(3000, task);

        assert_true(task->fair_vruntime <= exact && exact - task->fair_vruntime <= exact / 20 + 1);
    }
}

static void a_slice_matters_only_if_somebody_waits(void **state)
{
    struct task *a = fair_task(0, 60, 0);
    struct task *b = fair_task(1, 60, 0);

    (void)state;
    assert_true(class_fair.slice(RQ, a) == TIME_NEVER);
    class_fair.enqueue(RQ, b, ENQUEUE_WOKEN);
    assert_int_equal(class_fair.slice(RQ, a), sched_tunables.fair_slice_ticks);
    class_fair.dequeue(RQ, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(shares_follow_the_weights_at_every_epoch),
        sched_unit_test(random_queues_are_ordered_by_virtual_time),
        sched_unit_test(a_sleeper_cannot_cash_in_its_absence),
        sched_unit_test(sleeping_does_not_forgive_a_debt),
        sched_unit_test(a_new_task_joins_near_the_clock_at_every_epoch),
        sched_unit_test(one_that_yields_runs_after_the_next_one),
        sched_unit_test(a_yield_with_nobody_else_changes_nothing),
        sched_unit_test(moving_keeps_the_distance_to_the_clock),
        sched_unit_test(a_wake_preempts_only_beyond_the_margin),
        sched_unit_test(time_is_charged_by_weight),
        sched_unit_test(a_very_long_run_leaves_the_order_right),
        sched_unit_test(a_thousand_short_runs_cost_what_one_long_run_costs),
        sched_unit_test(a_slice_matters_only_if_somebody_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
