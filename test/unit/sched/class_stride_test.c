/* SPDX-License-Identifier: MIT */
/* core/sched/class_stride.c: shares by tickets, against a model that knows only the definition. */
#include "sched_test.h"

#define TASKS 12u

enum place { ABSENT, QUEUED, RUNS };

/* Wide enough for what wraps in the class; LCM of 1..40, so that shares are whole numbers. */
typedef __int128 wide;
#define LCM (INT64_C(5342931457063200))

static struct {
    unsigned tickets[TASKS];
    enum place place[TASKS];
    wide pass[TASKS];    /* absolute while it competes, else what remains */
    wide ran[TASKS];
    wide queue_pass;
    unsigned running; /* TASKS: none */
} model;

static struct runq *rq_of(unsigned cpu)
{
    return &sched_test.rq[cpu];
}

static struct task *new_stride(unsigned i, int nice)
{
    const struct sched_params params = { .policy = SCHED_POLICY_STRIDE, .nice = (int8_t)nice };
    struct task *task = sched_test_ready(i, PRIORITY_DEFAULT, rq_of(0));

    policy_apply_on(rq_of(0), task, &params, PRIORITY_DEFAULT);
    assert_ptr_equal(task->class, &class_stride);
    return task;
}

static unsigned number_of(const struct task *task)
{
    return (unsigned)(task - sched_test.task);
}

static void run_for(struct runq *rq, struct task *task, uint64_t ticks)
{
    class_stride.account(rq, task, ticks);
    model.ran[number_of(task)] += ticks;
}

/* With all of them always there, nobody is further from his share than a slice: for each two, the times that they have
 * had, each over its tickets, differ by at most a slice over the tickets of one of them. */
static void shares_are_those_of_the_tickets_within_a_slice(void **state)
{
    static const int nice[] = { -20, -13, -3, 0, 1, 10, 18, 19 };
    uint64_t slice = sched_tunables.rr_slice_ticks;

    (void)state;
    memset(&model, 0, sizeof model);
    for (unsigned i = 0; i < ARRAY_COUNT(nice); i++)
        class_stride.enqueue(rq_of(0), new_stride(i, nice[i]), ENQUEUE_STARTED);
    for (unsigned step = 0; step < 20000; step++) {
        struct task *task = class_stride.pick(rq_of(0));

        sched_test_dispatch(rq_of(0), task);
        assert_int_equal(class_stride.slice(rq_of(0), task), slice);
        run_for(rq_of(0), task, slice);
        rq_of(0)->running = rq_of(0)->cpu.idle_task;
        task->state = TASK_READY;
        class_stride.enqueue(rq_of(0), task, ENQUEUE_PREEMPTED);
        for (unsigned i = 0; i < ARRAY_COUNT(nice); i++) {
            wide mine = model.ran[i] * LCM / (20 - nice[i]);
            wide theirs = model.ran[number_of(task)] * LCM / (20 - nice[number_of(task)]);
            wide part = (wide)slice * LCM / (20 - MAX(nice[i], nice[number_of(task)]));

            /* A stride is a whole number: up to 40 / 2^20 too small. */
            wide rounding = mine / 20000;

            assert_true(mine - theirs <= part + rounding && theirs - mine <= part + rounding);
        }
    }
    for (unsigned i = 0; i < ARRAY_COUNT(nice); i++)
        class_stride.dequeue(rq_of(0), &sched_test.task[i]);
}

/* ---- Random operations ---- */

static wide least_pass(void)
{
    wide least = model.queue_pass;
    bool is_any = false;

    for (unsigned i = 0; i < TASKS; i++)
        if (model.place[i] != ABSENT && (!is_any || model.pass[i] < least)) {
            least = model.pass[i];
            is_any = true;
        }
    return least;
}

static void end_turn(struct unit_random *random)
{
    unsigned i = model.running;
    struct task *task = &sched_test.task[i];
    struct runq *rq = rq_of(0);
    unsigned how = (unsigned)unit_random_below(random, 4);
    uint64_t ran = unit_random_below(random, task->slice_left_ticks + 1);

    run_for(rq, task, ran);
    model.pass[i] += (wide)ran * ((1 << 20) / model.tickets[i]);
    model.queue_pass = least_pass();
    rq->running = rq->cpu.idle_task;
    model.running = TASKS;
    task->state = TASK_READY;
    if (how == 0) {
        class_stride.block(rq, task);
        model.pass[i] -= model.queue_pass;
        model.place[i] = ABSENT;
        return;
    }
    wide first = 0;
    bool is_any = false;

    for (unsigned other = 0; other < TASKS; other++)
        if (model.place[other] == QUEUED && (!is_any || model.pass[other] < first)) {
            first = model.pass[other];
            is_any = true;
        }
    if (how == 1 && is_any && model.pass[i] < first)
        model.pass[i] = first;
    model.place[i] = QUEUED;
    class_stride.enqueue(rq, task, how == 1 ? ENQUEUE_YIELDED : ENQUEUE_PREEMPTED);
    assert_true(how == 1 ? task->slice_left_ticks == task->slice_ticks : task->slice_left_ticks != 0);
}

static void come_or_go(unsigned i, struct unit_random *random)
{
    struct task *task = &sched_test.task[i];

    if (model.place[i] == QUEUED) {
        class_stride.dequeue(rq_of(0), task);
        model.pass[i] -= model.queue_pass;
        model.place[i] = ABSENT;
    } else if (model.place[i] == ABSENT) {
        if (model.running != TASKS)
            sched_test.task[model.running].since_ticks = hal_clock_ticks() + NS_PER_SEC; /* by end_turn() only */
        class_stride.enqueue(rq_of(0), task, unit_random_below(random, 2) == 0 ? ENQUEUE_WOKEN : ENQUEUE_MOVED);
        if (model.running != TASKS)
            model.queue_pass = least_pass(); /* whoever runs has been charged */
        model.pass[i] += model.queue_pass;
        model.place[i] = QUEUED;
    }
}

static void pick_and_compare(void)
{
    struct task *task = class_stride.pick(rq_of(0));
    unsigned i = number_of(task);

    assert_int_equal(model.place[i], QUEUED);
    for (unsigned other = 0; other < TASKS; other++)
        if (model.place[other] == QUEUED)
            assert_true(model.pass[i] <= model.pass[other]);
    model.place[i] = RUNS;
    model.running = i;
    model.queue_pass = model.pass[i];
    sched_test_dispatch(rq_of(0), task);
}

static void random_operations_follow_the_definition(void **state)
{
    static const uint64_t epochs[] = { 0, INT64_MAX - UINT64_C(1000), UINT64_MAX - 1000 };

    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        struct unit_random random = { e };

        memset(&model, 0, sizeof model);
        model.running = TASKS;
        ((uint64_t *)(void *)rq_of(0)->stride_queue)[2] = epochs[e]; /* the queue's pass, behind the tree */
        for (unsigned i = 0; i < TASKS; i++) {
            model.tickets[i] = 1 + (unsigned)unit_random_below(&random, 40);
            (void)new_stride(i, 20 - (int)model.tickets[i]);
        }
        for (unsigned step = 0; step < 20000; step++) {
            unsigned i = (unsigned)unit_random_below(&random, TASKS);
            bool is_ready = (rq_of(0)->ready_classes & 1u << CLASS_STRIDE) != 0;

            if (unit_random_below(&random, 3) == 0)
                come_or_go(i, &random);
            else if (model.running != TASKS)
                end_turn(&random);
            else if (is_ready)
                pick_and_compare();
            uint32_t count = class_stride.check(rq_of(0), NULL);

            assert_int_equal(count != 0, (rq_of(0)->ready_classes & 1u << CLASS_STRIDE) != 0);
            for (unsigned other = 0; other < TASKS; other++)
                count -= model.place[other] == QUEUED;
            assert_int_equal(count, 0);
        }
        if (model.running != TASKS)
            sched_test_stop(rq_of(0));
        for (unsigned i = 0; i < TASKS; i++)
            if (model.place[i] == QUEUED)
                class_stride.dequeue(rq_of(0), &sched_test.task[i]);
    }
}

/* The one that had the CPU for itself owes nothing for that, nor does the other get it back. */
static void a_newcomer_begins_where_the_others_are(void **state)
{
    struct task *old = new_stride(0, 0);
    struct task *young = new_stride(1, 0);
    uint64_t slice = old->slice_ticks;

    (void)state;
    class_stride.enqueue(rq_of(0), old, ENQUEUE_STARTED);
    assert_ptr_equal(class_stride.pick(rq_of(0)), old);
    sched_test_dispatch(rq_of(0), old);
    assert_true(class_stride.slice(rq_of(0), old) == TIME_NEVER); /* nobody waits */
    old->since_ticks = hal_clock_ticks() - 1000 * slice; /* and nobody has charged it since */
    class_stride.enqueue(rq_of(0), young, ENQUEUE_STARTED);
    assert_true(old->class_word[0] >= 1000 * slice * ((UINT64_C(1) << 20) / 20));
    assert_int_equal(young->class_word[0], old->class_word[0]);
    class_stride.account(rq_of(0), old, slice);
    class_stride.enqueue(rq_of(0), old, ENQUEUE_PREEMPTED);
    assert_ptr_equal(class_stride.pick(rq_of(0)), young);
    sched_test_dispatch(rq_of(0), young);
    class_stride.account(rq_of(0), young, slice + 1);
    class_stride.enqueue(rq_of(0), young, ENQUEUE_PREEMPTED);
    assert_ptr_equal(class_stride.pick(rq_of(0)), old);
    class_stride.dequeue(rq_of(0), young);
    rq_of(0)->running = rq_of(0)->cpu.idle_task;
}

/* One that has blocked and is still on the CPU competes no more: another that comes just then charges nobody. */
static void who_leaves_the_cpu_is_not_charged(void **state)
{
    struct task *task = new_stride(0, 0);

    (void)state;
    class_stride.enqueue(rq_of(0), task, ENQUEUE_STARTED);
    sched_test_dispatch(rq_of(0), class_stride.pick(rq_of(0)));
    class_stride.account(rq_of(0), task, 1000);
    task->state = TASK_BLOCKED;
    class_stride.block(rq_of(0), task);
    assert_int_equal(task->class_word[0], 0); /* it was alone */
    task->since_ticks = hal_clock_ticks() - 1000000;
    class_stride.enqueue(rq_of(0), new_stride(1, 0), ENQUEUE_MOVED);
    assert_int_equal(task->class_word[0], 0);
    assert_int_equal(sched_test.task[1].class_word[0], 1000 * ((UINT64_C(1) << 20) / 20));
    rq_of(0)->running = rq_of(0)->cpu.idle_task;
    class_stride.dequeue(rq_of(0), &sched_test.task[1]);
}

/* In whatever state a task becomes one of the class, or gets other tickets: it begins where the others are, and keeps
 * its place. */
static void classes_and_tickets_change_in_every_state(void **state)
{
    const struct sched_params fair = { .policy = SCHED_POLICY_FAIR };
    struct sched_params stride = { .policy = SCHED_POLICY_STRIDE, .nice = 19 };
    struct task *other = new_stride(0, 0);
    struct task *task = sched_test_ready(1, PRIORITY_DEFAULT, rq_of(0));

    (void)state;
    class_stride.enqueue(rq_of(0), other, ENQUEUE_STARTED);
    sched_test_dispatch(rq_of(0), class_stride.pick(rq_of(0)));
    class_stride.account(rq_of(0), other, 5000);
    other->state = TASK_READY;
    class_stride.enqueue(rq_of(0), other, ENQUEUE_PREEMPTED);
    sched_test_run(rq_of(0), task);
    policy_apply_on(rq_of(0), task, &stride, PRIORITY_DEFAULT);
    assert_int_equal(task->class_word[0], other->class_word[0]);
    class_stride.account(rq_of(0), task, 10);
    stride.nice = 0;
    policy_apply_on(rq_of(0), task, &stride, PRIORITY_DEFAULT);
    class_stride.account(rq_of(0), task, 10);
    assert_int_equal(task->class_word[0] - other->class_word[0],
                     10 * (UINT64_C(1) << 20) + 10 * ((UINT64_C(1) << 20) / 20));
    policy_apply_on(rq_of(0), task, &fair, PRIORITY_DEFAULT);
    assert_ptr_equal(task->class, &class_fair);
    sched_test_stop(rq_of(0));
    class_stride.dequeue(rq_of(0), other);
}

/* What a task is ahead goes with it, and is worth the same anywhere. */
static void what_remains_moves_to_another_cpu(void **state)
{
    struct task *task = new_stride(0, 10);

    (void)state;
    class_stride.enqueue(rq_of(0), new_stride(1, 0), ENQUEUE_STARTED);
    class_stride.enqueue(rq_of(0), task, ENQUEUE_STARTED);
    struct task *first = class_stride.pick(rq_of(0));

    sched_test_dispatch(rq_of(0), first);
    class_stride.account(rq_of(0), first, 1000);
    class_stride.enqueue(rq_of(0), first, ENQUEUE_PREEMPTED);
    class_stride.dequeue(rq_of(0), &sched_test.task[0]);
    class_stride.dequeue(rq_of(0), &sched_test.task[1]);
    rq_of(0)->running = rq_of(0)->cpu.idle_task;
    uint64_t ahead[] = { sched_test.task[0].class_word[0], sched_test.task[1].class_word[0] };

    ((uint64_t *)(void *)rq_of(1)->stride_queue)[2] = UINT64_MAX - 10; /* another clock, about to wrap */
    for (unsigned i = 0; i < 2; i++)
        class_stride.enqueue(rq_of(1), &sched_test.task[i], ENQUEUE_MOVED);
    assert_int_equal(ahead[0] + ahead[1], 1000 * ((UINT64_C(1) << 20) / (first == task ? 10 : 20)));
    assert_true(class_stride.pick(rq_of(1)) != first);
    class_stride.dequeue(rq_of(1), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(shares_are_those_of_the_tickets_within_a_slice),
        sched_unit_test(random_operations_follow_the_definition),
        sched_unit_test(a_newcomer_begins_where_the_others_are),
        sched_unit_test(who_leaves_the_cpu_is_not_charged),
        sched_unit_test(classes_and_tickets_change_in_every_state),
        sched_unit_test(what_remains_moves_to_another_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
