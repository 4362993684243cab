/* SPDX-License-Identifier: MIT */
/* core/sched/class_fair.c: shares, bounded lag, joining and leaving, yielding, preemption. Picks: fair_model_test.c. */
#include "sched_test.h"

#define RQ (&sched_test.rq[0])
#define OTHER (&sched_test.rq[1])
#define SLICE (sched_tunables.fair_slice_ticks)
#define TICK (1 << 20) /* in units of lag */

/* Virtual clocks at which everything must work the same. */
static const uint64_t epochs[] = {
    0, 1000000, INT64_MAX - UINT64_C(1000000), (uint64_t)INT64_MAX + 5, UINT64_MAX - 1000000, UINT64_MAX,
};

static struct task *fair_task(unsigned i, int nice, uint64_t slice_ticks)
{
    struct task *task = sched_test_ready(i, PRIORITY_DEFAULT, RQ);
    const struct sched_params params = { .policy = SCHED_POLICY_FAIR, .nice = (int8_t)nice };

    policy_apply(task, &params, PRIORITY_DEFAULT);
    if (slice_ticks != 0) {
        task->slice_ticks = slice_ticks;
        task->fair_request = class_fair_virtual(task, slice_ticks);
    }
    return task;
}

static struct task *started(unsigned i, int nice, uint64_t slice_ticks)
{
    struct task *task = fair_task(i, nice, slice_ticks);

    class_fair.enqueue(RQ, task, ENQUEUE_STARTED);
    return task;
}

/* What a competing task is owed, in units of lag, to a rounding of its weight. */
static int64_t lag_of(const struct task *task)
{
    return (int64_t)(RQ->fair.vtime - task->fair_vruntime) * task->fair_weight;
}

static bool is_near(int64_t a, int64_t b)
{
    return a - b <= TICK && b - a <= TICK;
}

static struct task *run_next(void)
{
    struct task *task = class_fair.pick(RQ);

    RQ->running = task;
    return task;
}

/* The next task runs, for `ticks` at most; then it steps aside. */
static struct task *run_for(uint64_t ticks, enum enqueue_kind kind, uint64_t *out_ran)
{
    struct task *task = run_next();
    uint64_t ran = MIN(class_fair.slice(RQ, task), ticks);

    class_fair.account(RQ, task, ran);
    class_fair.enqueue(RQ, task, kind);
    RQ->running = RQ->cpu.idle_task;
    *out_ran = ran;
    return task;
}

static void end_run(enum enqueue_kind kind)
{
    class_fair.enqueue(RQ, RQ->running, kind);
    RQ->running = RQ->cpu.idle_task;
}

static void empty_queue(unsigned tasks)
{
    for (unsigned i = 0; i < tasks; i++)
        class_fair.dequeue(RQ, &sched_test.task[i]);
}

/* What shares really go by: charges are by 2^32 / weight, rounded up. */
static double weight_of(const struct task *task)
{
    return 4294967296.0 / task->fair_inverse_weight;
}

/*
 * The theorem: with requests of up to r, each served without a break at worst, the service of a task that competes all
 * the time differs from its share in an ideal fluid machine by less than the longest r of the set. Plus rounding, of
 * less than a unit of virtual time at each of `turns` turns: weight / 2^20 ticks.
 */
static void deviate(unsigned tasks, struct unit_random *random, uint64_t epoch, unsigned turns)
{
    double ran[SCHED_TEST_TASKS] = { 0 }, weights = 0, total = 0, longest = 0;

    RQ->fair.vtime = epoch;
    for (unsigned i = 0; i < tasks; i++) {
        uint64_t slice = SLICE / 16 << unit_random_below(random, 8);

        longest = MAX(longest, (double)slice);
        weights += weight_of(started(i, NICE_MIN + (int)unit_random_below(random, 40), slice));
    }
    for (unsigned turn = 0; turn < turns; turn++) {
        uint64_t most = unit_random_below(random, 4) == 0 ? unit_random_below(random, SLICE) + 1 : TIME_NEVER;
        uint64_t turn_ticks;
        struct task *task = run_for(most, ENQUEUE_PREEMPTED, &turn_ticks);

        ran[task - sched_test.task] += (double)turn_ticks;
        total += (double)turn_ticks;
        for (unsigned i = 0; i < tasks; i++) {
            double away = total * weight_of(&sched_test.task[i]) / weights - ran[i];
            double rounding = 2 + (turn + 2) * weight_of(&sched_test.task[i]) / TICK;

            if (away > longest + rounding || -away > longest + rounding)
                fail_msg("%u tasks, turn %u: task %u of weight %u is %f ticks away; the longest slice is %f", tasks,
                         turn, i, sched_test.task[i].fair_weight, away, longest);
        }
    }
    empty_queue(tasks);
}

static void no_task_deviates_from_its_share_by_more_than_the_longest_request(void **state)
{
    struct unit_random random = { 7 };

    (void)state;
    for (unsigned round = 0; round < 60; round++)
        deviate(2 + (unsigned)unit_random_below(&random, 20), &random, epochs[round % ARRAY_COUNT(epochs)], 2000);
}

/* They come and go at random; when one goes is up to it, so the others' lags jump. Nobody is owed, or owes, more than
 * the longest request and what comers may bring along, two slices. */
static void lags_stay_bounded_while_tasks_come_and_go(void **state)
{
    struct unit_random random = { 11 };
    bool present[16] = { false };
    int64_t longest = (int64_t)(SLICE * 4) * TICK;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(present); i++)
        (void)fair_task(i, NICE_MIN + (int)unit_random_below(&random, 40), SLICE / 4 << unit_random_below(&random, 5));
    for (unsigned turn = 0; turn < 200000; turn++) {
        unsigned i = (unsigned)unit_random_below(&random, ARRAY_COUNT(present));

        if (!present[i]) {
            class_fair.enqueue(RQ, &sched_test.task[i], turn < 1000 ? ENQUEUE_STARTED : ENQUEUE_WOKEN);
            present[i] = true;
        } else if ((RQ->ready_classes & 1u << CLASS_FAIR) != 0) {
            struct task *task = run_next();

            class_fair.account(RQ, task, MIN(class_fair.slice(RQ, task), unit_random_below(&random, 4 * SLICE)));
            present[task - sched_test.task] = unit_random_below(&random, 4) != 0;
            if (present[task - sched_test.task])
                end_run(ENQUEUE_PREEMPTED);
            else
                sched_test_stop(RQ);
        }
        for (unsigned j = 0; j < ARRAY_COUNT(present); j++) {
            int64_t lag = present[j] ? lag_of(&sched_test.task[j]) : 0;

            if (lag > 3 * longest || lag < -3 * longest)
                fail_msg("turn %u: a lag of %lld ticks, the longest slice is %lld", turn, (long long)(lag / TICK),
                         (long long)(longest / TICK));
        }
    }
    for (unsigned j = 0; j < ARRAY_COUNT(present); j++)
        if (present[j])
            class_fair.dequeue(RQ, &sched_test.task[j]);
}

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

/* Each of a stream of short-lived tasks is new and owed nothing, runs and ends before its turn is over, and the next is
 * there already: with a slice, a weight that would always bring it to the front. One that wants to go on runs, too. */
static void short_lived_tasks_do_not_starve_a_patient_one(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t slice = kind % 2 == 0 ? SLICE : SLICE / 16, total = 0, ran = 0;
        int nice = kind < 2 ? 0 : NICE_MIN / 2;
        struct task *patient = started(0, 0, 0);
        unsigned next = 1;

        (void)started(next, nice, slice);
        for (unsigned turn = 0; turn < 20000; turn++) {
            struct task *task = run_next();
            uint64_t ticks = MIN(class_fair.slice(RQ, task), slice / 2);

            class_fair.account(RQ, task, ticks);
            total += ticks;
            if (task == patient) {
                ran += ticks;
                end_run(ENQUEUE_PREEMPTED);
            } else {
                next = 3 - next;
                (void)started(next, nice, slice);
                sched_test_stop(RQ);
            }
        }
        /* One other at a time: its share, but for the moments in which there are two. */
        double share = 1024.0 / (1024 + 2.0 * sched_test.task[next].fair_weight);

        if ((double)ran < (double)total * share * 0.9)
            fail_msg("kind %u: it got %f of the time, its share is %f", kind, (double)ran / (double)total, share);
        class_fair.dequeue(RQ, patient);
        class_fair.dequeue(RQ, &sched_test.task[next]);
    }
}

/* Each of many runs briefly, sleeps, and is back as soon as another has run. */
static void sleepers_do_not_starve_a_patient_one(void **state)
{
    enum { SLEEPERS = 8 };
    uint64_t total = 0, ran = 0;
    struct task *patient = started(0, 0, 0);
    struct task *asleep = NULL;

    (void)state;
    for (unsigned i = 1; i <= SLEEPERS; i++)
        (void)started(i, 0, SLICE / 16);
    for (unsigned turn = 0; turn < 50000; turn++) {
        struct task *task = run_next();
        uint64_t ticks = MIN(class_fair.slice(RQ, task), SLICE / 20);

        class_fair.account(RQ, task, ticks);
        total += ticks;
        if (asleep != NULL)
            class_fair.enqueue(RQ, asleep, ENQUEUE_WOKEN);
        asleep = NULL;
        if (task == patient) {
            ran += ticks;
            end_run(ENQUEUE_PREEMPTED);
        } else {
            asleep = task;
            sched_test_stop(RQ);
        }
    }
    assert_true(ran * (SLEEPERS + 1) >= total * 9 / 10);
    for (unsigned i = 0; i <= SLEEPERS; i++)
        if (&sched_test.task[i] != asleep)
            class_fair.dequeue(RQ, &sched_test.task[i]);
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
        sched_unit_test(no_task_deviates_from_its_share_by_more_than_the_longest_request),
        sched_unit_test(lags_stay_bounded_while_tasks_come_and_go),
        sched_unit_test(two_equal_tasks_share_a_second_evenly),
        sched_unit_test(short_lived_tasks_do_not_starve_a_patient_one),
        sched_unit_test(sleepers_do_not_starve_a_patient_one),
        sched_unit_test(lag_is_kept_over_sleep),
        sched_unit_test(a_credit_is_clamped_to_two_slices),
        sched_unit_test(an_empty_queue_ends_all_debts),
        sched_unit_test(a_new_task_is_owed_nothing_and_asks_for_a_whole_slice),
        sched_unit_test(whoever_yields_lets_another_run),
        sched_unit_test(a_yield_with_nobody_else_costs_nothing),
        sched_unit_test(moving_keeps_the_lag_and_the_rest_of_the_request),
        sched_unit_test(a_wake_preempts_if_due_earlier_but_not_at_once),
        sched_unit_test(time_is_charged_by_weight),
        sched_unit_test(a_very_long_run_leaves_the_order_right),
        sched_unit_test(a_slice_lasts_until_the_request_is_used_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
