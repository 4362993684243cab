/* SPDX-License-Identifier: MIT */
/* core/sched/agenda.c: the CPU's timer is armed for the first thing to do, once per change, and only while there is
 * one. */
#include "deadline_test.h"

#define RQ (&sched_test.rq[0])
#define MS NS_PER_MS

static uint64_t armed_ns(void)
{
    struct rb_node *node = rb_first(&sched_test.timers[0].tree);

    return node == NULL ? TIME_NEVER
                        : clock_ticks_to_ns(container_of(node, struct timer, node)->deadline_ticks);
}

static void only_what_comes_earlier_asks_for_a_switch(void **state)
{
    uint64_t now = clock_ns();

    (void)state;
    agenda_want(RQ, now + 5 * MS);
    assert_true((RQ->after_switch & AFTER_AGENDA) != 0 && load_relaxed(&RQ->cpu.need_resched) == 1);
    RQ->after_switch = 0;
    store_relaxed(&RQ->cpu.need_resched, 0);
    agenda_arm(RQ);
    assert_in_range(armed_ns(), now + 5 * MS, now + 5 * MS + 2 * DEADLINE_TICK_NS);
    agenda_want(RQ, now + 7 * MS);
    assert_true(RQ->after_switch == 0 && load_relaxed(&RQ->cpu.need_resched) == 0);
    agenda_want(RQ, now + 2 * MS);
    assert_true((RQ->after_switch & AFTER_AGENDA) != 0);
    agenda_arm(RQ);
    assert_in_range(armed_ns(), now + 2 * MS, now + 2 * MS + 2 * DEADLINE_TICK_NS);
    (void)timer_cancel(&RQ->agenda);
}

static void the_timer_replenishes_and_is_armed_for_the_next(void **state)
{
    struct sched_params fast = deadline_test_params(MS, 10 * MS, 0);
    struct sched_params slow = deadline_test_params(MS, 15 * MS, 0);
    uint64_t start = clock_ns();
    struct task *first = deadline_test_new(0, 0, &fast);
    struct task *second = deadline_test_new(1, 0, &slow);

    (void)state;
    runq_enqueue(RQ, second, ENQUEUE_YIELDED);
    runq_enqueue(RQ, first, ENQUEUE_YIELDED);
    agenda_arm(RQ);
    assert_in_range(armed_ns(), start + 10 * MS, start + 10 * MS + 2 * DEADLINE_TICK_NS);
    deadline_test_go_to(start + 11 * MS);
    timer_run_expired(&RQ->cpu, hal_clock_ticks());
    assert_ptr_equal(runq_pick(RQ), first);
    assert_true(second->is_throttled);
    assert_in_range(armed_ns(), start + 15 * MS, start + 15 * MS + 2 * DEADLINE_TICK_NS);
    deadline_test_go_to(start + 16 * MS);
    timer_run_expired(&RQ->cpu, hal_clock_ticks());
    assert_ptr_equal(runq_pick(RQ), second);
    assert_true(armed_ns() == TIME_NEVER && RQ->agenda_ns == TIME_NEVER); /* nothing to do, no timer */
    admit_give_locked(first, 0);
    admit_give_locked(second, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        deadline_unit_test(only_what_comes_earlier_asks_for_a_switch),
        deadline_unit_test(the_timer_replenishes_and_is_armed_for_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
