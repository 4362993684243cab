/* SPDX-License-Identifier: MIT */
/* core/sched/class_fair.c: how far a task's service may be from its share; docs/SCHEDULER.md, "The bound". */
#include "fair_test.h"

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

/*
 * The bounds while tasks come and go with lags of their own, which the theorem does not cover. Who comes with a lag l,
 * or goes with it, moves V, so that the lags of the others sum up to 0 again: each loses, or gains, its part of that by
 * weight.
 *
 * From below: a task is picked with a lag of 0 at least. So it owes no more than what it ran then, and its part of the
 * credits that came and the debts that went since.
 *
 * From above: let d be the deadline of a task j, and t the last time that somebody with a later one was picked. Nobody
 * with a deadline up to d was eligible then: the lags of all those are 0 at most. Since t only they run, but for what
 * the one picked at t ran, q; and none of them further than d. If V is before d, the lag of j is less than its request.
 * Else all their lags are 0 at least, so that of j is no more than their sum, which has grown by q and by the lags of
 * those who came or went since t at most.
 */
#define COMERS 16u
#define HISTORY 65536u

static struct {
    bool is_present[COMERS];
    double may_owe[COMERS]; /* the bound from below, in units of lag */
    struct moment {         /* a pick, or somebody who came or went */
        bool is_pick;
        uint64_t deadline;
        double lag; /* what it moved, or ran: in units of lag */
    } history[HISTORY];
    unsigned moments;
} comers;

static void note_moment(bool is_pick, uint64_t deadline, double lag)
{
    assert_true(comers.moments < HISTORY);
    comers.history[comers.moments++] = (struct moment){ is_pick, deadline, lag < 0 ? -lag : lag };
}

/* `by` is what all the others together lose. */
static void note_shift(const struct task *mover, double by)
{
    for (unsigned i = 0; i < COMERS; i++)
        if (by > 0 && comers.is_present[i] && &sched_test.task[i] != mover)
            comers.may_owe[i] += by * sched_test.task[i].fair_weight /
                                 (double)(RQ->fair.weights - (comers.is_present[mover - sched_test.task]
                                                                  ? mover->fair_weight : 0));
    note_moment(false, 0, by);
}

static void come(unsigned i, enum enqueue_kind kind)
{
    struct task *task = &sched_test.task[i];

    class_fair.enqueue(RQ, task, kind);
    comers.is_present[i] = true;
    int64_t lag = lag_of(task);

    if ((lag < 0 ? -lag : lag) > (int64_t)(2 * task->slice_ticks + 64) * TICK)
        fail_msg("task %u came with a lag of %lld ticks, its slice is %llu", i, (long long)(lag / TICK),
                 (unsigned long long)task->slice_ticks);
    comers.may_owe[i] = MAX(-(double)lag, 0.0);
    note_shift(task, (double)lag);
}

/* The next one runs, for `most` ticks, and goes or stays. */
static void run_comer(uint64_t most, bool goes)
{
    struct task *task = run_next();
    unsigned i = (unsigned)(task - sched_test.task);
    uint64_t ran = MIN(class_fair.slice(RQ, task), most), deadline = task->fair_deadline;

    class_fair.account(RQ, task, ran);
    note_moment(true, deadline, (double)ran * TICK);
    comers.may_owe[i] = (double)ran * TICK;
    if (!goes) {
        end_run(ENQUEUE_PREEMPTED);
        return;
    }
    double lag = (double)lag_of(task);

    sched_test_stop(RQ);
    comers.is_present[i] = false;
    note_shift(task, -lag);
    if (RQ->fair.weights == 0)
        comers.moments = 0;
}

/* What a task may be owed by the bound from above. */
static double may_be_owed(const struct task *task)
{
    double sum = 0;

    for (unsigned i = comers.moments; i-- > 0;) {
        const struct moment *moment = &comers.history[i];

        if (!moment->is_pick)
            sum += moment->lag;
        else if ((int64_t)(moment->deadline - task->fair_deadline) > 0)
            return sum + moment->lag;
    }
    return sum;
}

static void check_bounds(unsigned turn)
{
    for (unsigned i = 0; i < COMERS; i++) {
        const struct task *task = &sched_test.task[i];
        double lag = comers.is_present[i] ? (double)lag_of(task) : 0, rounding = 64.0 * TICK;

        if (lag >= 0)
            comers.may_owe[i] = 0;
        if (lag < -comers.may_owe[i] - rounding)
            fail_msg("turn %u: task %u owes %f ticks, the bound is %f", turn, i, -lag / TICK,
                     comers.may_owe[i] / TICK);
        if (lag > (double)task->slice_ticks * TICK + rounding && lag > may_be_owed(task) + rounding)
            fail_msg("turn %u: task %u is owed %f ticks, the bound is %f, its slice %llu", turn, i, lag / TICK,
                     may_be_owed(task) / TICK, (unsigned long long)task->slice_ticks);
    }
}

static void lags_stay_bounded_while_tasks_come_and_go(void **state)
{
    struct unit_random random = { 11 };

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        memset(&comers, 0, sizeof comers);
        for (unsigned i = 0; i < COMERS; i++)
            (void)fair_task(i, NICE_MIN + (int)unit_random_below(&random, 40),
                            SLICE / 4 << unit_random_below(&random, 5));
        for (unsigned turn = 0; turn < 10000; turn++) {
            unsigned i = (unsigned)unit_random_below(&random, COMERS);

            if (!comers.is_present[i])
                come(i, turn < 100 ? ENQUEUE_STARTED : ENQUEUE_WOKEN);
            else
                run_comer(unit_random_below(&random, 4 * SLICE), unit_random_below(&random, 4) == 0);
            check_bounds(turn);
        }
        for (unsigned i = 0; i < COMERS; i++)
            if (comers.is_present[i])
                class_fair.dequeue(RQ, &sched_test.task[i]);
    }
}

/* The ideal machine of tasks that come and go: who goes while it owes something stays until that is paid, unserved, as
 * the paper asks. So what is fair to one that stays is a share among those who are there and those who still owe. */
#define DEBTORS 64u

static struct {
    double clock;
    struct debtor {
        double clock, weight; /* it is gone when the machine's clock gets there */
    } debtor[DEBTORS];
    unsigned debtors;
} ideal;

/* `ticks` pass with those of `weights` there: what one of weight 1 gets. */
static double ideal_pass(double ticks, double weights)
{
    double before = ideal.clock;

    while (ticks > 0) {
        double all = weights, next = 0;

        for (unsigned i = 0; i < ideal.debtors; i++) {
            all += ideal.debtor[i].weight;
            next = i == 0 ? ideal.debtor[i].clock : MIN(next, ideal.debtor[i].clock);
        }
        double step = ideal.debtors == 0 ? ticks : MIN(ticks, (next - ideal.clock) * all);

        ticks -= step;
        ideal.clock = ticks > 0 ? next : ideal.clock + step / all;
        for (unsigned i = ideal.debtors; i-- > 0;)
            if (ideal.debtor[i].clock <= ideal.clock)
                ideal.debtor[i] = ideal.debtor[--ideal.debtors];
    }
    return ideal.clock - before;
}

/* One that began to compete at `since` goes after it ran for `ticks`. */
static void ideal_leave(double since, double ticks, double weight)
{
    if (since + ticks / weight <= ideal.clock)
        return;
    assert_true(ideal.debtors < DEBTORS);
    ideal.debtor[ideal.debtors++] = (struct debtor){ since + ticks / weight, weight };
}

/* Each of a stream of short-lived tasks is new and owed nothing, runs and ends before its turn is over, and the next is
 * there already: with a slice, a weight that would always bring it to the front. One that wants to go on runs, too. */
static void short_lived_tasks_do_not_starve_a_patient_one(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        uint64_t slice = kind % 2 == 0 ? SLICE : SLICE / 16, ran = 0;
        double share = 0; /* of an ideal fluid machine */
        int nice = kind < 2 ? 0 : NICE_MIN / 2;
        struct task *patient = started(0, 0, 0);
        unsigned next = 1;
        double since = 0;

        memset(&ideal, 0, sizeof ideal);

        (void)started(next, nice, slice);
        for (unsigned turn = 0; turn < 20000; turn++) {
            struct task *task = run_next();
            uint64_t ticks = MIN(class_fair.slice(RQ, task), slice / 2);

            class_fair.account(RQ, task, ticks);
            share += patient->fair_weight * ideal_pass((double)ticks, (double)RQ->fair.weights);
            if (task == patient) {
                ran += ticks;
                end_run(ENQUEUE_PREEMPTED);
            } else {
                ideal_leave(since, (double)ticks, task->fair_weight);
                since = ideal.clock;
                next = 3 - next;
                (void)started(next, nice, slice);
                sched_test_stop(RQ);
            }
        }
        if ((double)ran < share - (double)SLICE)
            fail_msg("kind %u: it got %llu ticks, its share is %f", kind, (unsigned long long)ran, share);
        class_fair.dequeue(RQ, patient);
        class_fair.dequeue(RQ, &sched_test.task[next]);
    }
}

/* Each of many runs briefly, sleeps, and is back as soon as another has run. */
static void sleepers_do_not_starve_a_patient_one(void **state)
{
    enum { SLEEPERS = 8 };
    uint64_t ran = 0;
    double total = 0;
    unsigned sleeps = 0;
    struct task *patient = started(0, 0, 0);
    struct task *asleep = NULL;

    (void)state;
    for (unsigned i = 1; i <= SLEEPERS; i++)
        (void)started(i, 0, SLICE / 16);
    for (unsigned turn = 0; turn < 50000; turn++) {
        struct task *task = run_next();
        uint64_t ticks = MIN(class_fair.slice(RQ, task), SLICE / 20);

        class_fair.account(RQ, task, ticks);
        total += (double)ticks;
        sleeps += task != patient;
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
    /* Who sleeps for so short a time owes something all the while: all of them share. But a debt shrinks with the clock
     * of those who stay, SLEEPERS of them, which is faster than if it were one of them: so much it is forgiven at each
     * sleep, and that is everybody's loss. */
    double forgiven = sleeps * (double)(SLICE / 20) * (1 / (double)SLEEPERS - 1 / (double)(SLEEPERS + 1));
    double share = (total - forgiven) / (SLEEPERS + 1);

    if ((double)ran < share - (double)SLICE)
        fail_msg("it got %llu ticks, its share is %f", (unsigned long long)ran, share);
    for (unsigned i = 0; i <= SLEEPERS; i++)
        if (&sched_test.task[i] != asleep)
            class_fair.dequeue(RQ, &sched_test.task[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(no_task_deviates_from_its_share_by_more_than_the_longest_request),
        sched_unit_test(lags_stay_bounded_while_tasks_come_and_go),
        sched_unit_test(short_lived_tasks_do_not_starve_a_patient_one),
        sched_unit_test(sleepers_do_not_starve_a_patient_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
