/* SPDX-License-Identifier: MIT */
/*
 * Deadlines that are lent: whoever owns what a deadline task waits for has its absolute deadline, is not throttled
 * meanwhile, and pays for what it runs out of its own runtime, not out of the lender's. By hand, where pi_test.c has
 * them at random.
 */
#include "pi_model.h"

#include <k/errno.h>

#define RQ (&sched_test.rq[0])
#define MS NS_PER_MS
#define OWNER 0u
#define MIDDLE 1u
#define DONOR 2u

static struct task *const owner = &sched_test.task[OWNER];
static struct task *const middle = &sched_test.task[MIDDLE];
static struct task *const donor = &sched_test.task[DONOR];

static int64_t ticks(uint64_t ns)
{
    return (int64_t)(ns / DEADLINE_TICK_NS);
}

/* It is the one that the queue picks, runs for so long, and is preempted. */
static void run(struct task *task, uint64_t ns)
{
    assert_ptr_equal(runq_pick(RQ), task);
    sched_test_dispatch(RQ, task);
    deadline_test_go_to(clock_ns() + ns);
    runq_account(RQ, hal_clock_ticks());
    task->state = TASK_READY;
    RQ->running = RQ->cpu.idle_task;
    store_relaxed(&RQ->running_rank, RANK_NOTHING);
    runq_enqueue(RQ, task, ENQUEUE_PREEMPTED);
}

static void become(unsigned i, uint64_t runtime_ns, uint64_t deadline_ns)
{
    struct sched_params params = deadline_test_params(runtime_ns, deadline_ns, 0);

    assert_int_equal(set_params(i, &params), 0);
}

static void expect_lent(const struct task *task, uint64_t deadline_ns)
{
    uint64_t own_ns = task->is_admitted ? task->deadline.due_ns : TIME_NEVER;

    assert_true(task->class == &class_deadline && task->rank == RANK_DEADLINE && task->is_inherited);
    assert_int_equal(task->deadline.inherited_ns, deadline_ns);
    assert_int_equal(task->deadline.key_ns, MIN(own_ns, deadline_ns));
    assert_true(policy_is_boosted(task) && !task->is_throttled);
}

static void expect_own(const struct task *task)
{
    assert_true(!task->is_inherited && !policy_is_boosted(task));
    assert_ptr_equal(task->class, sched_policy_class[task->params.policy]);
    assert_int_equal(task->rank, own_rank(task));
    if (task->is_admitted)
        assert_int_equal(task->deadline.key_ns, task->deadline.due_ns);
}

static void make_owner(unsigned kind)
{
    static const int priority[] = { PRIORITY_DEFAULT, PRIORITY_IDLE, PRIORITY_REALTIME_NORMAL,
                                    PRIORITY_REALTIME_LOW, PRIORITY_DEFAULT };

    (void)model_task(OWNER, priority[kind]);
    if (kind == 3)
        assert_int_equal(task_set_policy(owner, SCHED_POLICY_FIFO), 0);
    if (kind == 4)
        become(OWNER, MS, 30 * MS);
}
#define OWNER_KINDS 5u

/* Fair, idle, round robin, FIFO, or of a later deadline: and as it was when the waiter times out or is killed. */
static void an_owner_of_any_class_has_the_deadline_of_who_waits(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < OWNER_KINDS; kind++) {
        struct sched_params before, now;

        make_owner(kind);
        (void)model_task(DONOR, PRIORITY_DEFAULT);
        struct task *urgent = model_task(3, PRIORITY_REALTIME_HIGH);

        become(DONOR, 2 * MS, 10 * MS);
        before = owner->params;
        lock(OWNER, &model.mutex[0]);
        lock(DONOR, &model.mutex[0]);
        expect_lent(owner, donor->deadline.due_ns);
        task_get_params(owner, &now);
        assert_memory_equal(&now, &before, sizeof now);
        assert_true(class_deadline.slice(RQ, owner) == TIME_NEVER);
        run(owner, MS); /* before the most urgent of the real-time tasks */
        leave(DONOR);
        expect_own(owner);
        assert_int_equal(model.circles, 0);
        unlock(&model.mutex[0]);
        assert_int_equal(task_set_priority(owner, PRIORITY_DEFAULT), 0); /* the books know it no more */
        assert_int_equal(task_set_priority(donor, PRIORITY_DEFAULT), 0);
        runq_dequeue(RQ, urgent);
        runq_dequeue(RQ, owner);
        runq_dequeue(RQ, donor);
    }
}

static void build_chain(void)
{
    (void)model_task(OWNER, PRIORITY_DEFAULT);
    (void)model_task(MIDDLE, PRIORITY_REALTIME_NORMAL);
    (void)model_task(DONOR, PRIORITY_DEFAULT);
    become(DONOR, 2 * MS, 10 * MS);
    lock(OWNER, &model.mutex[0]);
    lock(MIDDLE, &model.mutex[1]);
    lock(MIDDLE, &model.mutex[0]);
    assert_int_equal(owner->rank, middle->rank);
    lock(DONOR, &model.mutex[1]);
}

static void a_deadline_travels_along_a_chain(void **state)
{
    (void)state;
    build_chain();
    expect_lent(middle, donor->deadline.due_ns);
    expect_lent(owner, donor->deadline.due_ns);
    leave(DONOR);
    expect_own(middle);
    assert_true(!owner->is_inherited && owner->rank == middle->rank); /* what the one in the middle lends itself */
    lock(DONOR, &model.mutex[1]);
    expect_lent(owner, donor->deadline.due_ns);
    unlock(&model.mutex[0]);
    expect_own(owner);
    expect_lent(middle, donor->deadline.due_ns);
    unlock(&model.mutex[1]);
    expect_own(middle);
    expect_own(donor);
}

static void new_numbers_of_the_waiter_reach_the_end_of_the_chain(void **state)
{
    uint64_t first_ns;

    (void)state;
    build_chain();
    first_ns = donor->deadline.due_ns;
    deadline_test_go_to(clock_ns() + MS);
    become(DONOR, MS, 5 * MS); /* from when it has had no more than its share by the old ones, which is now */
    assert_int_equal(donor->deadline.due_ns, clock_ns() + 5 * MS);
    assert_true(donor->deadline.due_ns < first_ns);
    expect_lent(middle, donor->deadline.due_ns);
    expect_lent(owner, donor->deadline.due_ns);
    become(DONOR, MS, 50 * MS);
    assert_true(donor->deadline.due_ns > first_ns);
    expect_lent(owner, donor->deadline.due_ns);
    assert_int_equal(task_set_priority(donor, PRIORITY_DEFAULT), 0);
    expect_own(middle);
    assert_true(!owner->is_inherited && owner->rank == middle->rank);
    become(DONOR, MS, 7 * MS);
    expect_lent(owner, donor->deadline.due_ns);
}

static void an_owner_may_take_and_give_up_a_deadline_of_its_own(void **state)
{
    (void)state;
    (void)model_task(OWNER, PRIORITY_DEFAULT);
    (void)model_task(DONOR, PRIORITY_DEFAULT);
    become(DONOR, 2 * MS, 10 * MS);
    lock(OWNER, &model.mutex[0]);
    lock(DONOR, &model.mutex[0]);
    become(OWNER, MS, 5 * MS);
    expect_lent(owner, donor->deadline.due_ns); /* and goes by its own, which is earlier */
    assert_true(owner->is_admitted && owner->deadline.key_ns == owner->deadline.due_ns);
    assert_int_equal(task_set_priority(owner, PRIORITY_USER_LOW), 0);
    assert_false(owner->is_admitted);
    expect_lent(owner, donor->deadline.due_ns);
    assert_int_equal(owner->deadline.key_ns, donor->deadline.due_ns);
    become(OWNER, MS, 5 * MS);
    unlock(&model.mutex[0]);
    expect_own(owner);
    assert_int_equal(class_deadline.slice(RQ, owner), ticks(MS)); /* its runtime is limited again */
    assert_int_equal(task_set_priority(owner, PRIORITY_USER_LOW), 0);
    expect_own(owner);
}

static void the_earliest_of_several_counts(void **state)
{
    static const unsigned deadline_ms[] = { 20, 8, 12 };

    (void)state;
    (void)model_task(OWNER, PRIORITY_DEFAULT);
    lock(OWNER, &model.mutex[0]);
    lock(OWNER, &model.mutex[1]);
    for (unsigned i = 0; i < 3; i++) {
        (void)model_task(1 + i, PRIORITY_DEFAULT);
        become(1 + i, MS, deadline_ms[i] * MS);
        lock(1 + i, &model.mutex[i % 2]);
    }
    expect_lent(owner, sched_test.task[2].deadline.due_ns);
    leave(2);
    expect_lent(owner, sched_test.task[3].deadline.due_ns);
    unlock(&model.mutex[0]); /* to the earlier of the two that wait for it */
    assert_ptr_equal(mutex_owner(&model.mutex[0]), &sched_test.task[3]);
    expect_lent(&sched_test.task[3], sched_test.task[1].deadline.due_ns);
    expect_own(owner);
}

/* The owner has used up its runtime and waits for its next period, when the lender comes. */
static void an_owner_runs_on_without_runtime_and_pays_for_it(void **state)
{
    uint64_t start_ns = clock_ns();

    (void)state;
    (void)model_task(OWNER, PRIORITY_DEFAULT);
    (void)model_task(DONOR, PRIORITY_DEFAULT);
    become(OWNER, 2 * MS, 10 * MS);
    become(DONOR, MS, 20 * MS);
    lock(OWNER, &model.mutex[0]);
    run(owner, 2 * MS);
    assert_true(owner->is_throttled);
    lock(DONOR, &model.mutex[0]);
    expect_lent(owner, start_ns + 20 * MS);
    run(owner, 2 * MS);
    run(owner, MS); /* preempted in between: not throttled then, either */
    expect_lent(owner, start_ns + 20 * MS);
    assert_int_equal(owner->deadline.left_ticks, -ticks(3 * MS));
    assert_int_equal(donor->deadline.left_ticks, ticks(MS)); /* nothing of it is the lender's */
    unlock(&model.mutex[0]);
    assert_true(owner->is_throttled && !owner->is_inherited);
    assert_int_equal(owner->deadline.next_ns, start_ns + 10 * MS);

    /* 1 ms of the 15 ms up to its deadline would be more than its share: its period begins with the wake-up. */
    assert_int_equal(donor->deadline.left_ticks, ticks(MS));
    assert_int_equal(donor->deadline.due_ns, start_ns + 25 * MS);
    run(donor, MS);
    assert_true(donor->is_throttled && donor->stats.deadline_misses == 0);

    /* Two periods' runtime pays 3 ms and leaves one. */
    deadline_test_go_to(start_ns + 10 * MS);
    assert_true(deadline_replenish_one(RQ, clock_ns()) && owner->is_throttled);
    assert_int_equal(owner->deadline.left_ticks, -ticks(MS));
    deadline_test_go_to(start_ns + 20 * MS);
    assert_true(deadline_replenish_one(RQ, clock_ns()) && !owner->is_throttled);
    assert_int_equal(owner->deadline.left_ticks, ticks(MS));
    assert_int_equal(owner->deadline.due_ns, start_ns + 30 * MS);
    run(owner, MS);
    assert_true(owner->is_throttled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        model_unit_test(an_owner_of_any_class_has_the_deadline_of_who_waits),
        model_unit_test(a_deadline_travels_along_a_chain),
        model_unit_test(new_numbers_of_the_waiter_reach_the_end_of_the_chain),
        model_unit_test(an_owner_may_take_and_give_up_a_deadline_of_its_own),
        model_unit_test(the_earliest_of_several_counts),
        model_unit_test(an_owner_runs_on_without_runtime_and_pays_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
