/* SPDX-License-Identifier: MIT */
/* core/sched/wake.c: no wake-up is lost, none counts twice, and each state of a task answers as the header says. */
#include "booted.h"

#include "sched_test.h"

#include <k/errno.h>

/* Without a second CPU: each state in turn. */

static void only_a_blocked_task_is_made_ready(void **state)
{
    static const struct {
        enum task_state state;
        bool is_woken, is_latched;
    } cases[] = {
        { TASK_NEW, false, false },     { TASK_READY, false, true },   { TASK_RUNNING, false, true },
        { TASK_BLOCKED, true, false },  { TASK_SLEEPING, true, false }, { TASK_STOPPED, true, false },
        { TASK_DEAD, false, false },
    };
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct task *task = sched_test_new(i, 60);

        store_relaxed(&task->base.cpu, &rq->cpu);
        task->state = cases[i].state;
        rq->blocked = 10;
        assert_int_equal(task_wake(task), cases[i].is_woken);
        assert_int_equal(task->wake_pending, cases[i].is_latched);
        assert_int_equal(task->state, cases[i].is_woken ? TASK_READY : cases[i].state);
        assert_int_equal(rq->blocked, cases[i].is_woken ? 9 : 10);
        if (cases[i].is_woken) {
            assert_false(task_wake(task)); /* one wake, one made ready */
            runq_dequeue(rq, task);
        }
    }
}

static void a_kill_ends_only_killable_waits_of_the_living(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    for (unsigned killable = 0; killable < 2; killable++) {
        struct task *task = sched_test_new(0, 60);

        task->state = TASK_BLOCKED;
        task->wait_mode = killable ? WAIT_KILLABLE : WAIT_UNINTERRUPTED;
        rq->blocked = 1;
        assert_int_equal(task_kill(task), 0);
        assert_true(load_relaxed(&task->notices) == TASK_NOTICE_KILL);
        assert_int_equal(task->state, killable ? TASK_READY : TASK_BLOCKED);
        assert_false(task->wake_pending); /* a kill is no wake: it must not end the next, uninterrupted wait */
        if (killable)
            runq_dequeue(rq, task);
    }
    struct task *dead = sched_test_new(1, 60);

    dead->state = TASK_DEAD;
    assert_int_equal(task_kill(dead), -ESRCH);
    assert_false(load_relaxed(&dead->notices) == TASK_NOTICE_KILL);
}

static void starting_needs_an_online_cpu(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    cpumask_set_single(&task->affinity, 3);
    assert_int_equal(task_start(task), -EINVAL);
    assert_int_equal(task->state, TASK_NEW);
    assert_int_equal(sched_test.rq[0].started, 0);
    cpumask_add(&task->affinity, 0);
    assert_int_equal(task_start(task), 0);
    assert_int_equal(task->state, TASK_READY);
    assert_int_equal(sched_test.rq[0].started, 1);
    assert_int_equal(load_relaxed(&sched_test.rq[0].queued), 1);
    assert_true(load_relaxed(&sched_test.rq[0].cpu.need_resched)); /* it idles: it must look */
    runq_dequeue(&sched_test.rq[0], task);
}

static void start_again(void *task)
{
    (void)task_start(task);
}

static void starting_twice_panics(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    assert_int_equal(task_start(task), 0);
    assert_panics(start_again, task, "TASK_NEW");
    runq_dequeue(&sched_test.rq[0], task);
}

/* Booted. */

#define WAKERS 4
#define WAKES 30

static struct {
    struct task *sleeper;
    _Atomic(unsigned) events;
    _Atomic(unsigned) successes; /* wakes that said they made it ready */
} bell;

/* The bare protocol: look, then block; a wake in between is remembered. */
static int sleep_for_events(void *arg)
{
    unsigned blocks = 0;

    (void)arg;
    while (load_acquire(&bell.events) < WAKERS * WAKES) {
        uintptr_t state = hal_irq_save();

        if (load_acquire(&bell.events) < WAKERS * WAKES) {
            sched_block(TASK_BLOCKED, WAIT_UNINTERRUPTED);
            blocks++;
        }
        sched_irq_restore(state);
    }
    return (int)blocks;
}

static int ring(void *arg)
{
    uint64_t random = booted_seed() * 13 + (uintptr_t)arg;

    for (unsigned i = 0; i < WAKES; i++) {
        (void)fetch_add_acq_rel(&bell.events, 1);
        if (task_wake(bell.sleeper))
            (void)fetch_add_relaxed(&bell.successes, 1);
        if (random_next(&random) % 3 == 0)
            (void)task_sleep_for(random_next(&random) % 3000);
    }
    return 0;
}

static void bells(void)
{
    struct task *ringer[WAKERS];

    bell.sleeper = spawn("sleeper", sleep_for_events, NULL, booted_seed() % 2 == 0 ? 10 : 60, NULL);
    for (uintptr_t i = 0; i < WAKERS; i++)
        ringer[i] = spawn("ringer", ring, (void *)i, i % 2 == 0 ? 20 : 70, NULL);
    for (unsigned i = 0; i < WAKERS; i++)
        CHECK(finish(ringer[i]) == 0);
    /* Dead by now, or soon; a wake of a dead task is harmless as long as a reference is held. */
    CHECK(task_join(bell.sleeper, NULL, TIME_NEVER) == 0);
    int blocks = bell.sleeper->exit_code;

    CHECK(!task_wake(bell.sleeper) || bell.sleeper->state != TASK_DEAD);
    /* Made ready once per real block at most; blocks that a remembered wake cut short came without one. */
    CHECK(load_relaxed(&bell.successes) <= (unsigned)blocks);
    struct task_snapshot snapshot;

    WAIT_FOR((task_get_snapshot(bell.sleeper, &snapshot), snapshot.state == TASK_DEAD));
    CHECK(!task_wake(bell.sleeper));
    CHECK(task_kill(bell.sleeper) == -ESRCH);
    task_put(bell.sleeper);
}

static int block_once(void *arg)
{
    _Atomic(bool) *go = arg;

    while (!load_acquire(go))
        task_yield();
    uint64_t before = clock_ns();
    uintptr_t state = hal_irq_save();

    sched_block(TASK_BLOCKED, WAIT_UNINTERRUPTED);
    sched_irq_restore(state);
    return clock_ns() - before < 50 * NS_PER_US ? 0 : 1;
}

static void remembered(void)
{
    static _Atomic(bool) go;
    struct task *task = spawn("latched", block_once, (void *)&go, 60, NULL);

    for (unsigned i = 0; i < 3; i++)
        CHECK(!task_wake(task)); /* it runs or is ready: one wake is remembered, however often */
    store_release(&go, true);
    CHECK(finish(task) == 0);
}

const struct kernel_test booted_tests[] = {
    { "bells", bells },
    { "remembered", remembered },
    { NULL, NULL },
};

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    booted_run("bells", 240);
}

static void a_wake_of_a_running_task_is_remembered(void **state)
{
    (void)state;
    booted_run("remembered", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(a_wake_of_a_running_task_is_remembered),
        sched_unit_test(only_a_blocked_task_is_made_ready),
        sched_unit_test(a_kill_ends_only_killable_waits_of_the_living),
        sched_unit_test(starting_needs_an_online_cpu),
        sched_unit_test(starting_twice_panics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
