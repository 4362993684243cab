/* SPDX-License-Identifier: MIT */
/* core/sched/class_stop.c: the stopper comes before everything, does what it is asked to on its CPU, and once. */
#include "booted.h"

#include "sched_test.h"

#include <k/errno.h>
#include <sched/event.h>
#include <sched/stop.h>

static void the_stopper_comes_before_the_most_urgent_task(void **state)
{
    struct runq *rq = &sched_test.rq[0];
    struct task *stopper = sched_test_new(0, 0);
    struct task *urgent = sched_test_ready(1, 0, rq);

    (void)state;
    stopper->entry = stop_main;
    cpumask_set_single(&stopper->affinity, 0);
    stopper->is_pinned = true;
    stop_set_task(0, stopper);
    stopper->state = TASK_READY;
    store_relaxed(&stopper->base.cpu, &rq->cpu);
    assert_true(stopper->rank < urgent->rank);
    runq_enqueue(rq, urgent, ENQUEUE_WOKEN);
    runq_enqueue(rq, stopper, ENQUEUE_WOKEN);
    runq_check(rq);
    assert_ptr_equal(runq_pick(rq), stopper);
    assert_ptr_equal(runq_pick(rq), urgent);
    assert_null(runq_pick(rq));
    runq_enqueue(rq, stopper, ENQUEUE_PREEMPTED);
    runq_dequeue(rq, stopper);
    assert_int_equal(rq->ready_classes, 0);
    assert_int_equal(task_set_priority(stopper, 60), -EINVAL);
    assert_int_equal(task_set_policy(stopper, SCHED_POLICY_RR), -EINVAL);
}

/* ---- Booted ---- */

static struct {
    _Atomic(unsigned) calls;
    _Atomic(bool) stop;
    _Atomic(unsigned) inside[CPU_MAX];
    _Atomic(unsigned) askers;
} story;

static void note_call(void *arg)
{
    cpu_id_t wanted = (cpu_id_t)(uintptr_t)arg;

    CHECK(this_cpu_id() == wanted && current_base()->preempt_count != 0);
    CHECK(fetch_add_relaxed(&story.inside[wanted], 1) == 0); /* one at a time */
    for (unsigned i = 0; i < 20; i++)
        hal_cpu_relax();
    (void)fetch_sub_relaxed(&story.inside[wanted], 1);
    (void)fetch_add_relaxed(&story.calls, 1);
}

#define CALLS 12u
#define ASKERS 4u

static int ask(void *arg)
{
    uint64_t random = booted_seed() * 7 + (uintptr_t)arg;

    for (unsigned i = 0; i < CALLS; i++) {
        cpu_id_t cpu = online_cpu((unsigned)random_next(&random) % 8);
        unsigned before = load_relaxed(&story.calls);

        CHECK(stop_on_cpu(cpu, note_call, (void *)(uintptr_t)cpu) == 0);
        CHECK(load_relaxed(&story.calls) > before);
    }
    (void)fetch_add_relaxed(&story.askers, 1);
    return 0;
}

static void many_askers(void)
{
    struct task *task[ASKERS];

    for (uintptr_t i = 0; i < ASKERS; i++)
        task[i] = spawn("asker", ask, (void *)i, i % 2 == 0 ? 60 : 5, NULL);
    for (unsigned i = 0; i < ASKERS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&story.calls) == CALLS * ASKERS);
    CHECK(stop_on_cpu(CPU_MAX - 1, note_call, NULL) == -EINVAL);
}

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&story.stop))
        hal_cpu_relax();
    return 0;
}

/* The most urgent task there is never gives way, and is preempted all the same. */
static void preempts_a_hog(void)
{
    struct task_snapshot before, after;
    cpu_id_t cpu = online_cpu(online_count() - 1);

    if (online_count() == 1)
        return; /* it would not give way to us either */
    struct task *task = spawn_on("hog", hog, NULL, 0, cpu);

    WAIT_FOR((task_get_snapshot(task, &before), before.state == TASK_RUNNING));
    CHECK(stop_on_cpu(cpu, note_call, (void *)(uintptr_t)cpu) == 0);
    CHECK(load_relaxed(&story.calls) == 1);
    /* The stopper gives way after it has answered. */
    WAIT_FOR((task_get_snapshot(task, &after), after.run_count > before.run_count));
    store_relaxed(&story.stop, true);
    CHECK(finish(task) == 0);
}

const struct kernel_test booted_tests[] = {
    { "many-askers", many_askers }, { "preempts-a-hog", preempts_a_hog }, { NULL, NULL },
};

static void what_is_asked_for_is_done_there_once_and_before_the_call_returns(void **state)
{
    (void)state;
    booted_run("many-askers", 96);
}

static void a_task_that_never_gives_way_is_preempted(void **state)
{
    (void)state;
    booted_run("preempts-a-hog", 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for_is_done_there_once_and_before_the_call_returns),
        cmocka_unit_test(a_task_that_never_gives_way_is_preempted),
        sched_unit_test(the_stopper_comes_before_the_most_urgent_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
