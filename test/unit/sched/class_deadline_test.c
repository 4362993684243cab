/* SPDX-License-Identifier: MIT */
/*
 * core/sched/class_deadline.c: the order, the rules of the server one by one, and that no admitted set misses a
 * deadline, whatever its tasks do: with time that passes in runs only, so that what is found is the class's own.
 */
#include "deadline_test.h"

#define RQ (&sched_test.rq[0])
#define MS NS_PER_MS
#define US NS_PER_US

static void forget(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        admit_give_locked(&sched_test.task[i], 0);
}

/* The task, picked, runs for so long. */
static void run(struct task *task, uint64_t ns)
{
    sched_test_run(RQ, task);
    deadline_test_go_to(clock_ns() + ns);
    runq_account(RQ, hal_clock_ticks());
    task->state = TASK_READY;
    RQ->running = RQ->cpu.idle_task;
    store_relaxed(&RQ->running_rank, RANK_NOTHING);
}

static void replenish_all(void)
{
    while (deadline_replenish_one(RQ, clock_ns()))
        continue;
}

static void random_queues_are_in_the_order_of_deadlines(void **state)
{
    struct unit_random random = { 3 };
    bool queued[SCHED_TEST_TASKS] = { false };

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) {
        uint64_t deadline = MS * (1 + unit_random_below(&random, 50));
        struct sched_params params = deadline_test_params(20 * US, deadline, 0);

        assert_non_null(deadline_test_new(i, 0, &params));
    }
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)unit_random_below(&random, SCHED_TEST_TASKS);
        struct task *task = &sched_test.task[i];
        struct task *first = NULL;

        if (!queued[i]) {
            task->deadline.due_ns = clock_ns() + unit_random_below(&random, 40); /* equal ones among them */
            runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
            queued[i] = true;
        } else if (unit_random_below(&random, 2) == 0) {
            runq_dequeue(RQ, task);
            queued[i] = false;
        } else {
            first = runq_pick(RQ);
            queued[first - sched_test.task] = false;
        }
        for (unsigned j = 0; first != NULL && j < SCHED_TEST_TASKS; j++)
            assert_true(!queued[j] || sched_test.task[j].deadline.due_ns >= first->deadline.due_ns);
        if (step % 16 == 0)
            runq_check(RQ);
    }
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        if (queued[i])
            runq_dequeue(RQ, &sched_test.task[i]);
    forget(SCHED_TEST_TASKS);
}

static void an_overrun_is_throttled_until_the_next_period(void **state)
{
    struct sched_params params = deadline_test_params(2 * MS, 10 * MS, 0);
    struct task *task = deadline_test_new(0, 0, &params);
    uint64_t start = clock_ns();

    (void)state;
    assert_int_equal(class_deadline.slice(RQ, task), 2 * MS / DEADLINE_TICK_NS);
    run(task, MS);
    assert_int_equal(class_deadline.slice(RQ, task), MS / DEADLINE_TICK_NS);
    run(task, MS + 100); /* 100 ns too long */
    assert_int_equal(class_deadline.slice(RQ, task), 0);
    runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
    assert_true(task->is_throttled && RQ->throttled == 1 && load_relaxed(&RQ->queued) == 0);
    assert_null(runq_pick(RQ));
    assert_int_equal(deadline_next_ns(RQ), start + 10 * MS);
    assert_int_equal(RQ->agenda_ns, start + 10 * MS);
    assert_true((RQ->after_switch & AFTER_AGENDA) != 0);
    assert_int_equal(task->stats.deadline_overruns, 1);
    deadline_test_go_to(start + 10 * MS - DEADLINE_TICK_NS);
    replenish_all();
    assert_null(runq_pick(RQ));
    deadline_test_go_to(start + 10 * MS);
    replenish_all();
    assert_ptr_equal(runq_pick(RQ), task);
    assert_int_equal(task->deadline.left_ticks, (2 * MS - 100) / DEADLINE_TICK_NS); /* and pays for them */
    assert_int_equal(task->deadline.due_ns, start + 20 * MS);
    assert_int_equal(task->stats.deadline_misses, 0);
    forget(1);
}

static void missed_periods_are_skipped_and_debts_are_paid_in_each(void **state)
{
    struct sched_params params = deadline_test_params(2 * MS, 10 * MS, 0);
    struct task *task = deadline_test_new(0, 0, &params);
    uint64_t start = clock_ns();

    (void)state;
    run(task, 7 * MS); /* interrupts were off: 5 ms too long, two periods and a half */
    runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
    for (unsigned period = 1; period <= 2; period++) {
        deadline_test_go_to(start + period * 10 * MS);
        replenish_all();
        assert_true(task->is_throttled);
    }
    deadline_test_go_to(start + 30 * MS);
    replenish_all();
    assert_ptr_equal(runq_pick(RQ), task);
    assert_int_equal(task->deadline.left_ticks, MS / DEADLINE_TICK_NS);
    run(task, MS);
    runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
    deadline_test_go_to(start + 75 * MS); /* the timer came late: 40, 50 and 60 are over */
    replenish_all();
    assert_ptr_equal(runq_pick(RQ), task);
    assert_int_equal(task->deadline.release_ns, start + 70 * MS);
    assert_int_equal(task->deadline.left_ticks, 2 * MS / DEADLINE_TICK_NS);
    forget(1);
}

static void yielding_gives_up_the_rest_of_the_period(void **state)
{
    struct sched_params params = deadline_test_params(2 * MS, 4 * MS, 10 * MS);
    struct task *task = deadline_test_new(0, 0, &params);
    uint64_t start = clock_ns();

    (void)state;
    run(task, MS);
    runq_enqueue(RQ, task, ENQUEUE_YIELDED);
    assert_true(task->is_throttled && task->deadline.next_ns == start + 10 * MS);
    deadline_test_go_to(start + 10 * MS);
    replenish_all();
    assert_ptr_equal(runq_pick(RQ), task);
    assert_int_equal(task->deadline.left_ticks, 2 * MS / DEADLINE_TICK_NS);
    assert_int_equal(task->deadline.due_ns, start + 14 * MS);
    assert_int_equal(task->stats.deadline_overruns, 0);
    forget(1);
}

/* Blocks after `ran`, wakes at `at`: is it ready then, with what, until when? */
static void wakes(struct sched_params params, uint64_t ran, uint64_t at, bool is_ready, uint64_t left, uint64_t due)
{
    struct task *task = deadline_test_new(0, 0, &params);
    uint64_t start = clock_ns();

    run(task, ran);
    deadline_test_go_to(start + at);
    runq_enqueue(RQ, task, ENQUEUE_WOKEN);
    assert_int_equal(task->is_throttled, !is_ready);
    if (is_ready) {
        assert_int_equal(task->deadline.left_ticks, left / DEADLINE_TICK_NS);
        assert_int_equal(task->deadline.due_ns, start + due);
    } else {
        assert_int_equal(task->deadline.next_ns, start + due);
    }
    runq_dequeue(RQ, task);
    forget(1);
}

static void a_woken_task_gets_no_more_than_its_share(void **state)
{
    struct sched_params implicit = deadline_test_params(4 * MS, 10 * MS, 0);
    struct sched_params constrained = deadline_test_params(4 * MS, 8 * MS, 20 * MS);

    (void)state;
    wakes(implicit, 2 * MS, 5 * MS, true, 2 * MS, 10 * MS);           /* 2 of 5 is its share: as it was */
    wakes(implicit, 2 * MS, 5 * MS + 10, true, 4 * MS, 15 * MS + 10); /* 2 of less than 5 is more: put off */
    wakes(implicit, 4 * MS, 6 * MS, false, 0, 10 * MS);               /* all used: the next period */
    wakes(implicit, 2 * MS, 10 * MS, true, 4 * MS, 20 * MS);          /* a period later */
    wakes(implicit, 4 * MS, 35 * MS, true, 4 * MS, 45 * MS);          /* away for long: its periods begin anew */
    wakes(constrained, 2 * MS, 4 * MS, true, 2 * MS, 8 * MS);         /* 2 of 4 is its share */
    wakes(constrained, 2 * MS, 6 * MS, true, MS, 8 * MS);             /* 1 of 2 is */
    wakes(constrained, 2 * MS, 8 * MS, false, 0, 20 * MS);            /* after its deadline */
    wakes(constrained, 2 * MS, 12 * MS, false, 0, 20 * MS);
    wakes(constrained, 2 * MS, 21 * MS, true, 4 * MS, 29 * MS);
}

static void bandwidth_is_free_when_the_share_has_caught_up(void **state)
{
    struct sched_params params = deadline_test_params(4 * MS, 10 * MS, 20 * MS);
    struct task *task = deadline_test_new(0, 0, &params);
    uint64_t start = clock_ns();

    (void)state;
    assert_int_equal(deadline_free_ns(task, start), start);
    run(task, 2 * MS);
    assert_int_equal(deadline_free_ns(task, start + 2 * MS), start + 5 * MS);
    run(task, 2 * MS);
    assert_int_equal(deadline_free_ns(task, start + 4 * MS), start + 10 * MS);
    assert_int_equal(deadline_free_ns(task, start + 12 * MS), start + 12 * MS);
    deadline_begin_at(task, start + 10 * MS, start + 4 * MS);
    runq_enqueue(RQ, task, ENQUEUE_MOVED);
    assert_true(task->is_throttled && deadline_next_ns(RQ) == start + 10 * MS);
    deadline_test_go_to(start + 10 * MS);
    replenish_all();
    assert_ptr_equal(runq_pick(RQ), task);
    assert_true(task->deadline.left_ticks == 4 * MS / DEADLINE_TICK_NS && task->deadline.due_ns == start + 20 * MS);
    forget(1);
}

static void a_late_runtime_is_a_miss_and_counted_once(void **state)
{
    struct sched_params params = deadline_test_params(4 * MS, 10 * MS, 0);
    struct task *task = deadline_test_new(0, 0, &params);
    uint64_t start = clock_ns();

    (void)state;
    deadline_test_go_to(start + 7 * MS); /* nobody let it run */
    run(task, 3 * MS);
    assert_int_equal(task->stats.deadline_misses, 0);
    run(task, MS / 2);
    assert_int_equal(task->stats.deadline_misses, 1);
    assert_int_equal(task->stats.deadline_late_ns_max, MS / 2);
    run(task, 5 * MS); /* only the first half millisecond was its own */
    assert_int_equal(task->stats.deadline_misses, 1);
    assert_int_equal(task->stats.deadline_late_ns_max, MS);
    forget(1);
}

static void an_inherited_deadline_counts_and_lifts_the_throttle(void **state)
{
    struct sched_params params = deadline_test_params(2 * MS, 10 * MS, 0);
    struct task *own = deadline_test_new(0, 0, &params);
    struct task *fair = sched_test_ready(1, PRIORITY_DEFAULT, RQ);
    uint64_t start = clock_ns();

    (void)state;
    run(own, 2 * MS);
    runq_enqueue(RQ, own, ENQUEUE_PREEMPTED);
    assert_true(own->is_throttled);
    runq_dequeue(RQ, own);
    deadline_inherit(own, start + 6 * MS);
    runq_enqueue(RQ, own, ENQUEUE_MOVED);
    assert_false(own->is_throttled);
    deadline_inherit(fair, start + 5 * MS);
    assert_true(fair->rank == RANK_DEADLINE && fair->policy == SCHED_POLICY_DEADLINE);
    runq_enqueue(RQ, fair, ENQUEUE_MOVED);
    assert_true(class_deadline.preempts(RQ, fair, own) && !class_deadline.preempts(RQ, own, fair));
    assert_ptr_equal(runq_pick(RQ), fair);
    assert_true(class_deadline.slice(RQ, fair) == TIME_NEVER); /* not throttled meanwhile */
    run(fair, MS);
    assert_ptr_equal(runq_pick(RQ), own);
    assert_true(class_deadline.slice(RQ, own) == TIME_NEVER);
    run(own, MS);
    assert_int_equal(own->stats.deadline_misses + fair->stats.deadline_misses, 0);
    deadline_end_inherited(own);
    runq_enqueue(RQ, own, ENQUEUE_MOVED);
    assert_true(own->is_throttled && deadline_next_ns(RQ) == start + 10 * MS);
    runq_dequeue(RQ, own);
    assert_int_equal(own->deadline.left_ticks, -(int64_t)(MS / DEADLINE_TICK_NS)); /* it pays later */
    deadline_end_inherited(fair);
    sched_test_apply(fair, PRIORITY_DEFAULT);
    assert_ptr_equal(fair->class, &class_fair);
    forget(1);
}

/* ---- Schedulability ---- */

/* What a task does: how much each job needs, and when the next one comes. */
enum habit { PERIODIC, SPORADIC, OVERRUNS, SUSPENDS, YIELDS, HABITS };

struct job {
    enum habit habit;
    uint64_t runtime, deadline, period;
    uint64_t work_left; /* of this job, until it blocks */
    uint64_t wakes_at;  /* blocked until then; TIME_NEVER: it is not */
    uint64_t due;       /* of a PERIODIC or SPORADIC one: absolute */
    uint64_t done;
};

struct lab {
    struct unit_random random;
    struct job job[SCHED_TEST_TASKS];
    unsigned count;
    uint64_t quantum; /* what may run undisturbed at most: others become ready in between */
    uint64_t busy;
};

static void next_job(struct lab *lab, struct job *job, uint64_t at)
{
    uint64_t tick = DEADLINE_TICK_NS;

    job->due = at + job->deadline;
    switch (job->habit) {
    case PERIODIC:
        job->work_left = job->runtime;
        break;
    case SPORADIC:
        job->work_left = tick * (1 + unit_random_below(&lab->random, job->runtime / tick));
        break;
    case OVERRUNS:
        job->work_left = job->runtime * 1000;
        break;
    default:
        job->work_left = tick * (1 + unit_random_below(&lab->random, job->runtime / tick));
        break;
    }
}

static void finish_job(struct lab *lab, struct job *job, uint64_t now)
{
    uint64_t arrived = job->due - job->deadline;
    uint64_t tick = DEADLINE_TICK_NS;

    /* Who keeps to what it promised has what it was promised. */
    if (job->habit == PERIODIC || job->habit == SPORADIC)
        assert_true(now <= job->due);
    job->done++;
    job->wakes_at = arrived + job->period;
    if (job->habit == SPORADIC)
        job->wakes_at += tick * unit_random_below(&lab->random, 2 * job->period / tick);
    if (job->habit == SUSPENDS)
        job->wakes_at = now + tick * unit_random_below(&lab->random, job->period / tick);
    job->wakes_at = MAX(job->wakes_at, now);
}

static void wake_who_is_due(struct lab *lab, uint64_t now)
{
    for (unsigned i = 0; i < lab->count; i++) {
        struct job *job = &lab->job[i];

        if (job->wakes_at > now)
            continue;
        next_job(lab, job, job->wakes_at);
        job->wakes_at = TIME_NEVER;
        sched_test.task[i].state = TASK_READY;
        runq_enqueue(RQ, &sched_test.task[i], ENQUEUE_WOKEN);
    }
}

static uint64_t next_event(const struct lab *lab)
{
    uint64_t at = deadline_next_ns(RQ);

    for (unsigned i = 0; i < lab->count; i++)
        at = MIN(at, lab->job[i].wakes_at);
    return at;
}

/* The first of the queue runs until something happens. */
static void run_first(struct lab *lab)
{
    struct task *task = runq_pick(RQ);
    uint64_t now = clock_ns();
    uint64_t until = next_event(lab);

    if (task == NULL) {
        deadline_test_go_to(until);
        return;
    }
    struct job *job = &lab->job[task - sched_test.task];
    uint64_t slice = class_deadline.slice(RQ, task) * DEADLINE_TICK_NS;

    until = MIN(until, now + MIN(MIN(slice, job->work_left), lab->quantum));
    run(task, until - now);
    job->work_left -= until - now;
    lab->busy += until - now;
    if (job->work_left == 0 && job->habit == YIELDS) {
        next_job(lab, job, until);
        runq_enqueue(RQ, task, ENQUEUE_YIELDED);
    } else if (job->work_left == 0) {
        task->state = TASK_BLOCKED;
        finish_job(lab, job, until);
    } else {
        runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
    }
}

static bool add_task(struct lab *lab, uint64_t runtime, uint64_t deadline, uint64_t period, enum habit habit)
{
    struct sched_params params = deadline_test_params(runtime, deadline, period);
    struct job *job = &lab->job[lab->count];

    if (deadline_test_new(lab->count, 0, &params) == NULL)
        return false;
    *job = (struct job){ .habit = habit, .runtime = runtime, .deadline = deadline, .period = period,
                         .wakes_at = TIME_NEVER };
    next_job(lab, job, clock_ns());
    runq_enqueue(RQ, &sched_test.task[lab->count++], ENQUEUE_STARTED);
    return true;
}

/* Random tasks, until the CPU is full to the last tick. Periods divide `hyper`, which is a multiple of ticks. */
static void fill(struct lab *lab, uint64_t hyper, bool is_constrained, bool keeps_promises)
{
    static const unsigned parts[] = { 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 120 };
    uint64_t room = hyper / DEADLINE_TICK_NS; /* in ticks of the hyperperiod */

    while (room > 0 && lab->count < SCHED_TEST_TASKS) {
        unsigned n = parts[unit_random_below(&lab->random, ARRAY_COUNT(parts))];
        uint64_t deadline = hyper / n;
        uint64_t most = MIN(room / n, deadline / DEADLINE_TICK_NS);
        bool is_last = room * 4 < hyper / DEADLINE_TICK_NS || lab->count + 1 == SCHED_TEST_TASKS;
        uint64_t runtime = is_last ? most : 1 + unit_random_below(&lab->random, 1 + most / 2);

        if (runtime == 0 || runtime > most) {
            if (room % n == 0 || room < 120)
                break;
            continue;
        }
        uint64_t period = is_constrained ? deadline * (1 + unit_random_below(&lab->random, 3)) : deadline;

        assert_true(add_task(lab, runtime * DEADLINE_TICK_NS, deadline, period,
                             keeps_promises ? PERIODIC : (enum habit)unit_random_below(&lab->random, HABITS)));
        room -= runtime * n;
    }
}

static void no_set_misses(uint64_t seed, bool is_constrained, bool keeps_promises, uint64_t hyper)
{
    struct lab lab = { .random = { seed } };
    uint64_t start = clock_ns();

    lab.quantum = seed % 3 == 0 ? 7 * DEADLINE_TICK_NS * 1000 : TIME_NEVER / 2;
    fill(&lab, hyper, is_constrained, keeps_promises);
    while (clock_ns() < start + 20 * hyper) {
        wake_who_is_due(&lab, clock_ns());
        replenish_all();
        run_first(&lab);
    }
    for (unsigned i = 0; i < lab.count; i++) {
        struct task *task = &sched_test.task[i];

        assert_int_equal(task->stats.deadline_misses, 0);
        assert_true(lab.job[i].done > 0 || lab.job[i].habit == OVERRUNS || lab.job[i].habit == YIELDS);
        /* And no more than promised: a period that has begun counts as a whole one. */
        assert_true(task->stats.run_ticks <=
                    task->deadline.runtime_ticks * ((clock_ns() - start) / task->deadline.period_ns + 1) ||
                    lab.job[i].habit == SUSPENDS);
        if (task->state == TASK_READY)
            runq_dequeue(RQ, task);
    }
    if (keeps_promises && !is_constrained)
        assert_true(lab.busy + 120 * DEADLINE_TICK_NS * 20 >= 20 * hyper); /* it was the whole CPU */
    forget(lab.count);
}

static void no_admitted_set_misses_a_deadline_up_to_the_whole_cpu(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++)
        no_set_misses(seed, false, true, 120 * MS);
}

static void no_set_with_constrained_deadlines_misses(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++)
        no_set_misses(seed, true, true, 120 * MS);
}

static void whatever_tasks_do_the_others_do_not_miss(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++)
        no_set_misses(seed, seed % 2 == 1, false, 120 * MS);
}

/* Exactly 1.0, of tasks whose periods have little in common. */
static void a_full_cpu_of_odd_periods_misses_nothing(void **state)
{
    struct lab lab = { .quantum = TIME_NEVER / 2 };
    uint64_t start = clock_ns();

    (void)state;
    assert_true(add_task(&lab, 1 * MS, 3 * MS, 3 * MS, PERIODIC));
    assert_true(add_task(&lab, 1 * MS, 5 * MS, 5 * MS, PERIODIC));
    assert_true(add_task(&lab, 1 * MS, 7 * MS, 7 * MS, PERIODIC));
    assert_true(add_task(&lab, 34 * MS, 105 * MS, 105 * MS, PERIODIC)); /* 35 + 21 + 15 + 34 of 105 */
    assert_false(add_task(&lab, 1 * US, 1000 * MS, 1000 * MS, PERIODIC));
    while (clock_ns() < start + 105 * 100 * MS) {
        wake_who_is_due(&lab, clock_ns());
        replenish_all();
        run_first(&lab);
    }
    assert_int_equal(lab.busy, clock_ns() - start);
    for (unsigned i = 0; i < lab.count; i++) {
        assert_int_equal(sched_test.task[i].stats.deadline_misses, 0);
        if (sched_test.task[i].state == TASK_READY)
            runq_dequeue(RQ, &sched_test.task[i]);
    }
    forget(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        deadline_unit_test(random_queues_are_in_the_order_of_deadlines),
        deadline_unit_test(an_overrun_is_throttled_until_the_next_period),
        deadline_unit_test(missed_periods_are_skipped_and_debts_are_paid_in_each),
        deadline_unit_test(yielding_gives_up_the_rest_of_the_period),
        deadline_unit_test(a_woken_task_gets_no_more_than_its_share),
        deadline_unit_test(bandwidth_is_free_when_the_share_has_caught_up),
        deadline_unit_test(a_late_runtime_is_a_miss_and_counted_once),
        deadline_unit_test(an_inherited_deadline_counts_and_lifts_the_throttle),
        deadline_unit_test(a_full_cpu_of_odd_periods_misses_nothing),
        deadline_unit_test(no_admitted_set_misses_a_deadline_up_to_the_whole_cpu),
        deadline_unit_test(no_set_with_constrained_deadlines_misses),
        deadline_unit_test(whatever_tasks_do_the_others_do_not_miss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
