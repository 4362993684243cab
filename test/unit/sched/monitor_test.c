/* SPDX-License-Identifier: MIT */
/* core/sched/monitor.c: how long a task waited beside an idle CPU, and no longer than that. */
#include "sched_test.h"

#define MS_TICKS clock_ns_to_ticks(NS_PER_MS)

/* CPU 0 idles since so many ms; a task waits on CPU 1 since so many, and may be taken since so many. */
static const struct sched_cpu_stats *steal_after(unsigned idle_ms, unsigned wait_ms, unsigned allowed_ms)
{
    struct runq *rq = &sched_test.rq[0];
    struct task *task = sched_test_ready(0, 60, &sched_test.rq[1]);
    bool contended = false;

    rq->stats = (struct sched_cpu_stats){ 0 };
    runq_enqueue(&sched_test.rq[1], task, ENQUEUE_WOKEN);
    store_relaxed(&rq->idle_since_ticks, hal_clock_ticks() - idle_ms * MS_TICKS);
    task->since_ticks = hal_clock_ticks() - wait_ms * MS_TICKS;
    task->allowed_since_ticks = hal_clock_ticks() - allowed_ms * MS_TICKS;
    assert_true(steal_idle(rq, &contended));
    runq_dequeue(rq, task);
    return &rq->stats;
}

static void assert_near_ms(uint64_t ticks, unsigned ms)
{
    assert_true(ticks >= ms * MS_TICKS && ticks < ms * MS_TICKS + MS_TICKS / 2);
}

static void the_shorter_of_waiting_and_idling_counts(void **state)
{
    const struct sched_cpu_stats *stats = steal_after(5, 3, 100);

    (void)state;
    assert_near_ms(stats->idle_beside_work_ticks_max, 3);
    assert_int_equal(stats->idle_beside_work, 1);
    assert_int_equal(stats->idle_beside_work_on, 1);
    assert_int_equal(stats->idle_beside_work_tid, sched_test.task[0].tid);
    assert_near_ms(steal_after(3, 5, 100)->idle_beside_work_ticks_max, 3);
    assert_near_ms(steal_after(9, 7, 4)->idle_beside_work_ticks_max, 4);
}

static void within_the_bound_nothing_is_counted(void **state)
{
    (void)state;
    assert_true(SCHED_IDLE_BESIDE_WORK_NS == NS_PER_MS);
    assert_int_equal(steal_after(0, 50, 50)->idle_beside_work, 0);
    assert_int_equal(steal_after(50, 0, 50)->idle_beside_work, 0);
    assert_int_equal(steal_after(50, 50, 0)->idle_beside_work, 0);
    assert_int_equal(steal_after(2, 2, 2)->idle_beside_work, 1);
}

static void a_thief_that_was_busy_until_now_overlooked_nothing(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    sched_test_run(rq, sched_test_new(2, 10));
    assert_int_equal(steal_after(9, 9, 9)->idle_beside_work, 0);
    rq->running = &sched_test.idle[0];
    store_relaxed(&rq->running_rank, RANK_NOTHING);
}

static void a_cpu_that_leaves_tasks_waiting_counts_idle_ones(void **state)
{
    struct runq *rq = &sched_test.rq[2];
    struct task *task = sched_test_ready(0, 60, rq);

    (void)state;
    runq_enqueue(rq, task, ENQUEUE_WOKEN);
    task->since_ticks = hal_clock_ticks() - 6 * MS_TICKS;
    task->allowed_since_ticks = task->since_ticks;
    monitor_overlooked(rq);
    assert_int_equal(rq->stats.idle_beside_work, 0); /* nobody idles */
    place_mark_idle(&sched_test.rq[3].cpu, true);
    store_relaxed(&sched_test.rq[3].idle_since_ticks, hal_clock_ticks() - 4 * MS_TICKS);
    monitor_overlooked(rq);
    assert_int_equal(rq->stats.idle_beside_work, 1);
    assert_near_ms(rq->stats.idle_beside_work_ticks_max, 4);
    store_relaxed(&sched_test.rq[3].cpu.need_resched, 1); /* it has been told */
    monitor_overlooked(rq);
    assert_int_equal(rq->stats.idle_beside_work, 1);
    store_relaxed(&sched_test.rq[3].cpu.need_resched, 0);
    place_mark_idle(&sched_test.rq[3].cpu, false);
    runq_dequeue(rq, task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_smp_test(the_shorter_of_waiting_and_idling_counts),
        sched_smp_test(within_the_bound_nothing_is_counted),
        sched_smp_test(a_thief_that_was_busy_until_now_overlooked_nothing),
        sched_smp_test(a_cpu_that_leaves_tasks_waiting_counts_idle_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
