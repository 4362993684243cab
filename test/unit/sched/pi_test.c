/* SPDX-License-Identifier: MIT */
/*
 * core/sched/pi.c: whatever waits for whatever, after every step each task is as urgent as the naive closure says.
 * First as a data structure, with tasks that never run, against the model; then in the booted kernel.
 */
#include "booted.h"
#include "story.h"

#include "pi_model.h"

#include <k/errno.h>

#define MODEL_STEPS 20000

static struct sched_urgency lent[MODEL_TASKS]; /* by the closure */

static struct sched_urgency with_what_is_lent(unsigned i)
{
    struct sched_urgency own = { .rank = (uint8_t)own_rank(&sched_test.task[i]) };

    if (own.rank == RANK_DEADLINE)
        own.deadline_ns = model.due_ns[i];
    return urgency_is_before(lent[i], own) ? lent[i] : own;
}

/* Who lends to whom, again and again, until nothing changes. */
static void find_closure(void)
{
    bool changed = true;

    for (unsigned i = 0; i < MODEL_TASKS; i++)
        lent[i] = (struct sched_urgency){ .rank = UINT8_MAX };
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < MODEL_TASKS; i++) {
            if (!waits(i))
                continue;
            unsigned owner = task_number(mutex_owner(model.waiter[i].mutex));

            if (urgency_is_before(with_what_is_lent(i), lent[owner])) {
                lent[owner] = with_what_is_lent(i);
                changed = true;
            }
        }
    }
}

static void expect_deadline(const struct task *task, struct sched_urgency from)
{
    bool is_lent = from.rank == RANK_DEADLINE;
    uint64_t key_ns = task->is_admitted ? task->deadline.due_ns : TIME_NEVER;

    assert_true(task->is_inherited == is_lent);
    if (is_lent)
        assert_int_equal(task->deadline.inherited_ns, from.deadline_ns);
    if (task->class == &class_deadline)
        assert_int_equal(task->deadline.key_ns, is_lent ? MIN(key_ns, from.deadline_ns) : key_ns);
    model.lent += is_lent;
}

static void expect_closure(void)
{
    find_closure();
    for (unsigned i = 0; i < MODEL_TASKS; i++) {
        const struct task *task = &sched_test.task[i];
        unsigned rank = MIN(own_rank(task), lent[i].rank);

        assert_int_equal(task->rank, rank);
        assert_ptr_equal(task->class, rank == RANK_DEADLINE ? &class_deadline
                                      : rank < RANK_FAIR    ? &class_rt
                                      : rank == RANK_FAIR   ? &class_fair
                                                            : &class_idle);
        if (rank == RANK_DEADLINE)
            assert_int_equal(task->policy, SCHED_POLICY_DEADLINE);
        else if (rank < RANK_FAIR)
            assert_true(task->policy == (task->params.policy == SCHED_POLICY_RR ? SCHED_POLICY_RR : SCHED_POLICY_FIFO));
        else if (rank == own_rank(task))
            assert_int_equal(task->policy, task->params.policy);
        expect_deadline(task, lent[i]);
        assert_true(policy_is_boosted(task) == (rank < own_rank(task) || task->is_inherited));
        model.boosts += policy_is_boosted(task);
    }
}

/* Some become deadline tasks, with other numbers each time, and some are none any more. */
static void change_one(struct unit_random *random, unsigned i)
{
    struct sched_params params = deadline_test_params((20 + unit_random_below(random, 50)) * NS_PER_US,
                                                      (1 + unit_random_below(random, 20)) * NS_PER_MS, 0);
    unsigned choice = (unsigned)unit_random_below(random, 4);

    if (choice == 0) {
        assert_int_equal(set_params(i, &params), 0);
    } else {
        assert_int_equal(task_set_priority(&sched_test.task[i], (int)unit_random_below(random, 100)), 0);
        if (choice == 1)
            (void)task_set_policy(&sched_test.task[i], SCHED_POLICY_FIFO);
    }
}

static void model_step(struct unit_random *random)
{
    unsigned i = (unsigned)unit_random_below(random, MODEL_TASKS);
    struct mutex *mutex = &model.mutex[unit_random_below(random, MODEL_MUTEXES)];

    deadline_test_go_to(clock_ns() + unit_random_below(random, 50) * DEADLINE_TICK_NS);
    switch (unit_random_below(random, 8)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (!waits(i))
            lock(i, mutex);
        break;
    case 4:
    case 5:
        if (mutex_owner(mutex) != NULL && !waits(task_number(mutex_owner(mutex))))
            unlock(mutex);
        break;
    case 6:
        change_one(random, i);
        break;
    default:
        if (waits(i) && unit_random_below(random, 3) == 0) {
            leave(i);
            model.timeouts++;
        }
        break;
    }
}

static void every_task_is_as_urgent_as_the_closure_says(void **state)
{
    struct unit_random random = { 11 };

    (void)state;
    for (unsigned i = 0; i < MODEL_TASKS; i++)
        (void)model_task(i, (int)unit_random_below(&random, 100));
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        model_step(&random);
        expect_closure();
        runq_check(&sched_test.rq[0]);
    }
    /* It was about something. */
    assert_true(model.circles > 100 && model.boosts > 1000 && model.hand_overs > 100 && model.timeouts > 50 &&
                model.lent > 1000);
    for (unsigned i = 0; i < MODEL_TASKS; i++)
        assert_int_equal(load_relaxed(&sched_test.task[i].refs), 1);
}

/* Equals stand in the order in which they came, and who has become an equal stands behind them. */
static void equals_are_served_in_turn(void **state)
{
    static const unsigned expected[] = { 3, 1, 2, 4, 0 };

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        runq_enqueue(&sched_test.rq[0], sched_test_ready(i, i == 3 ? 10 : 40 + (int)i, &sched_test.rq[0]),
                     ENQUEUE_WOKEN);
    lock(5, &model.mutex[0]);
    for (unsigned i = 0; i < 5; i++)
        lock(i, &model.mutex[0]);
    assert_int_equal(task_set_priority(&sched_test.task[0], 99), 0);
    assert_int_equal(task_set_priority(&sched_test.task[0], 21), 0); /* nice does not order them */
    for (unsigned i = 0; i < 5; i++) {
        unlock(&model.mutex[0]);
        assert_ptr_equal(mutex_owner(&model.mutex[0]), &sched_test.task[expected[i]]);
    }
    unlock(&model.mutex[0]);
}

/* As the mutexes of a user's dead thread will: the hand-over does not need a living owner. */
static void the_mutex_of_a_dead_owner_passes_to_its_heir(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        runq_enqueue(rq, sched_test_ready(i, i == 3 ? 50 : 12 - (int)i, rq), ENQUEUE_WOKEN);
    lock(3, &model.mutex[0]);
    lock(3, &model.mutex[1]);
    for (unsigned i = 0; i < 3; i++)
        lock(i, &model.mutex[i % 2]);
    runq_dequeue(rq, &sched_test.task[3]);
    sched_test.task[3].state = TASK_DEAD;
    assert_int_equal(sched_test.task[3].rank, sched_test.task[2].rank);
    unlock(&model.mutex[0]);
    assert_int_equal(sched_test.task[3].rank, sched_test.task[1].rank); /* the other mutex's */
    unlock(&model.mutex[1]);
    assert_int_equal(sched_test.task[3].rank, RANK_FAIR);
    assert_ptr_equal(mutex_owner(&model.mutex[0]), &sched_test.task[2]);
    assert_ptr_equal(mutex_owner(&model.mutex[1]), &sched_test.task[1]);
    unlock(&model.mutex[0]);
    assert_ptr_equal(mutex_owner(&model.mutex[0]), &sched_test.task[0]);
}

/* ---- Booted ---- */

static struct mutex mutex[3];
static _Atomic(unsigned) locked;

/* The classic: low holds, high waits, and on their CPU there are others in between who never sleep. */
static void inversion(void)
{
    story_inversion(booted_seed() % 2 == 0 ? 70 : PRIORITY_IDLE, 6, 200);
}

static void lend(void)
{
    static const int priority[] = { PRIORITY_USER_NORMAL, PRIORITY_IDLE, PRIORITY_REALTIME_LOW };

    story_lend(priority[booted_seed() % 3]);
}

static int lock_in_circle(void *arg) NO_LOCK_ANALYSIS
{
    unsigned i = (unsigned)(uintptr_t)arg;

    mutex_lock(&mutex[i]);
    (void)fetch_add_relaxed(&locked, 1);
    WAIT_FOR(load_relaxed(&locked) == 3);
    int result = mutex_lock_until(&mutex[(i + 1) % 3], TIME_NEVER, WAIT_UNINTERRUPTED);

    CHECK(result == 0 || result == -EDEADLK);
    if (result == 0)
        mutex_unlock(&mutex[(i + 1) % 3]);
    mutex_unlock(&mutex[i]);
    return result == 0 ? 0 : 1;
}

/* Three tasks close a circle at the same time: one of them at least hears of it, and then all go on. */
static void circle_with_errors(void)
{
    struct task *task[3];
    int refused = 0;

    for (uintptr_t i = 0; i < 3; i++)
        mutex_init(&mutex[i]);
    for (uintptr_t i = 0; i < 3; i++)
        task[i] = spawn("circle", lock_in_circle, (void *)i, 20 + 20 * (int)i, NULL);
    for (unsigned i = 0; i < 3; i++)
        refused += finish(task[i]);
    CHECK(refused >= 1);
}

static int lock_for_ever(void *arg) NO_LOCK_ANALYSIS
{
    unsigned i = (unsigned)(uintptr_t)arg;

    mutex_lock(&mutex[i]);
    (void)fetch_add_relaxed(&locked, 1);
    WAIT_FOR(load_relaxed(&locked) == 3);
    mutex_lock(&mutex[(i + 1) % 3]);
    return 0;
}

static void circle(void)
{
    for (uintptr_t i = 0; i < 3; i++)
        mutex_init(&mutex[i]);
    for (uintptr_t i = 0; i < 3; i++)
        (void)spawn("circle", lock_for_ever, (void *)i, PRIORITY_DEFAULT, NULL);
    (void)task_sleep_for(3600 * NS_PER_SEC);
}

const struct kernel_test booted_tests[] = {
    { "inversion", inversion }, { "chain", story_chain }, { "lend", lend }, { "circle-errors", circle_with_errors },
    { "circle", circle },       { NULL, NULL },
};

static void the_classic_inversion_is_over_when_low_lets_go(void **state)
{
    (void)state;
    booted_run("inversion", 60);
}

static void urgency_travels_along_a_chain_and_goes_with_its_cause(void **state)
{
    (void)state;
    booted_run("chain", 60);
}

static void a_deadline_travels_along_a_chain_and_goes_with_its_cause(void **state)
{
    (void)state;
    booted_run("lend", 60);
}

static void a_circle_is_an_error_where_errors_are_returned(void **state)
{
    (void)state;
    booted_run("circle-errors", 150);
}

static void a_circle_of_kernel_mutexes_panics_with_their_names(void **state)
{
    (void)state;
    booted_panics(3, "circle", "mutex deadlock: task", 10);
    assert_true(strstr(booted_console(), "waits for mutex") != NULL);
    assert_true(strstr(booted_console(), "owned by task") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_classic_inversion_is_over_when_low_lets_go),
        cmocka_unit_test(urgency_travels_along_a_chain_and_goes_with_its_cause),
        cmocka_unit_test(a_deadline_travels_along_a_chain_and_goes_with_its_cause),
        cmocka_unit_test(a_circle_is_an_error_where_errors_are_returned),
        cmocka_unit_test(a_circle_of_kernel_mutexes_panics_with_their_names),
        model_unit_test(every_task_is_as_urgent_as_the_closure_says),
        model_unit_test(equals_are_served_in_turn),
        model_unit_test(the_mutex_of_a_dead_owner_passes_to_its_heir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
