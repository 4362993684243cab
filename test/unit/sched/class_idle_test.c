/* SPDX-License-Identifier: MIT */
/* core/sched/class_idle.c: tasks of the idle class take turns, a slice each, and never preempt. */
#include "sched_test.h"

#define RQ (&sched_test.rq[0])

static void tasks_take_turns_of_a_whole_slice(void **state)
{
    uint64_t ran[4] = { 0 };
    uint64_t slice = sched_tunables.rr_slice_ticks;
    uint64_t part = slice / 4 + 1; /* four use it up */

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        class_idle.enqueue(RQ, sched_test_ready(i, PRIORITY_IDLE, RQ), ENQUEUE_WOKEN);
    /* Interrupted four times per slice by real work, they still rotate only when a slice is used up. */
    for (unsigned step = 0; step < 4 * 4 * 5; step++) {
        struct task *task = class_idle.pick(RQ);

        assert_ptr_equal(task, &sched_test.task[step / 4 % 4]);
        ran[task - sched_test.task] += MIN(part, task->slice_left_ticks);
        class_idle.account(RQ, task, part);
        class_idle.enqueue(RQ, task, ENQUEUE_PREEMPTED);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ran[i], 5 * slice);
        assert_ptr_equal(class_idle.pick(RQ), &sched_test.task[i]);
    }
}

static void random_queues_match_an_array(void **state)
{
    unsigned order[SCHED_TEST_TASKS + 1];
    unsigned count = 0;
    struct unit_random random = { 3 };

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        (void)sched_test_ready(i, PRIORITY_IDLE, RQ);
    for (unsigned step = 0; step < 10000; step++) {
        unsigned i = (unsigned)unit_random_below(&random, SCHED_TEST_TASKS);
        unsigned at = 0;

        while (at < count && order[at] != i)
            at++;
        if (at == count) {
            enum enqueue_kind kind = (enum enqueue_kind)unit_random_below(&random, ENQUEUE_MOVED + 1);
            bool front = kind == ENQUEUE_PREEMPTED && sched_test.task[i].slice_left_ticks != 0;

            class_idle.enqueue(RQ, &sched_test.task[i], kind);
            at = front ? 0 : count;
            memmove(&order[at + 1], &order[at], (count++ - at) * sizeof order[0]);
            order[at] = i;
            assert_true(front || sched_test.task[i].slice_left_ticks == sched_tunables.rr_slice_ticks);
            continue;
        }
        if (unit_random_below(&random, 2) == 0) {
            at = 0;
            i = order[0];
            assert_ptr_equal(class_idle.pick(RQ), &sched_test.task[i]);
            class_idle.account(RQ, &sched_test.task[i], unit_random_below(&random, 2 * sched_tunables.rr_slice_ticks));
        } else {
            class_idle.dequeue(RQ, &sched_test.task[i]);
        }
        memmove(&order[at], &order[at + 1], (--count - at) * sizeof order[0]);
        assert_int_equal(RQ->ready_classes, count != 0 ? 1u << CLASS_IDLE : 0);
    }
    for (unsigned at = 0; at < count; at++)
        assert_ptr_equal(class_idle.pick(RQ), &sched_test.task[order[at]]);
    assert_true(list_is_empty(&RQ->idle_tasks));
}

static void nothing_preempts_and_a_slice_needs_a_peer(void **state)
{
    struct task *a = sched_test_ready(0, PRIORITY_IDLE, RQ);
    struct task *b = sched_test_ready(1, PRIORITY_IDLE, RQ);

    (void)state;
    a->slice_left_ticks = 5;
    assert_true(class_idle.preempts == NULL);
    assert_true(class_idle.slice(RQ, a) == TIME_NEVER);
    class_idle.enqueue(RQ, b, ENQUEUE_WOKEN);
    assert_int_equal(class_idle.slice(RQ, a), 5);
    class_idle.dequeue(RQ, b);
    class_idle.account(RQ, a, 100);
    assert_int_equal(a->slice_left_ticks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(tasks_take_turns_of_a_whole_slice),
        sched_unit_test(random_queues_match_an_array),
        sched_unit_test(nothing_preempts_and_a_slice_needs_a_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
