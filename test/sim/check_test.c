/* SPDX-License-Identifier: MIT */
/* The checkers of tasks: states, wake-ups, lists and sums, locks; and the map that they share. */
#include "check_test.h"

/* ---- States ---- */

static void story_edges(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    say(&checker_edges, TRACE_TASK_REQUEUE, a, 0);
    on(is_wrong ? 2 : 1); /* another CPU takes it out of the queue of CPU 1 */
    hold(sim_now.cpu);
    say(&checker_edges, TRACE_TASK_RUN, a, 0);
}

static void story_start_twice(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    if (is_wrong)
        say(&checker_edges, TRACE_TASK_START, a, 1);
}

static void story_after_exit(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    say(&checker_edges, TRACE_TASK_EXIT, a, 0);
    if (is_wrong)
        say(&checker_edges, TRACE_TASK_WAKE, a, 1);
    say(&checker_edges, TRACE_TASK_FREE, a, 1);
}

static void story_free_alive(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    say(&checker_edges, is_wrong ? TRACE_TASK_REQUEUE : TRACE_TASK_EXIT, a, 0);
    say(&checker_edges, TRACE_TASK_FREE, a, 1);
}

static void story_lock(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    if (is_wrong)
        drop_all();
    say(&checker_edges, TRACE_TASK_BLOCK, a, TASK_BLOCKED);
}

static void story_dropped(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    if (!is_wrong)
        say(&checker_edges, TRACE_TASK_BLOCK, a, TASK_SLEEPING);
    say(&checker_edges, TRACE_TASK_INIT, b, 2);
    say(&checker_edges, TRACE_TASK_START, b, 1);
    say(&checker_edges, TRACE_TASK_RUN, b, 0);
}

static void story_speaker(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    on(is_wrong ? 3 : 1);
    hold(1);
    say(&checker_edges, TRACE_TASK_BLOCK, a, TASK_BLOCKED);
}

static void only_legal_edges_pass(void **state)
{
    (void)state;
    both(story_edges, PROMISE_EDGES);
    both(story_start_twice, PROMISE_EDGES);
    both(story_after_exit, PROMISE_EDGES);
    both(story_free_alive, PROMISE_EDGES);
    both(story_lock, PROMISE_EDGES);
    both(story_dropped, PROMISE_EDGES);
    both(story_speaker, PROMISE_EDGES);
}

static void story_two_cpus(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    if (!is_wrong) {
        say(&checker_edges, TRACE_TASK_REQUEUE, a, 0);
        hold(2);
        say(&checker_edges, TRACE_TASK_MIGRATE, a, 2);
    }
    on(2);
    hold(2);
    say(&checker_edges, TRACE_TASK_RUN, a, 0);
}

static void story_stack(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    say(&checker_edges, TRACE_TASK_REQUEUE, a, 0);
    hold(2);
    say(&checker_edges, TRACE_TASK_MIGRATE, a, 2);
    a->base.context.running_on = is_wrong ? 1 + 1 : 0;
    on(2);
    hold(2);
    say(&checker_edges, TRACE_TASK_RUN, a, 0);
}

static void no_task_is_on_two_cpus(void **state)
{
    (void)state;
    both(story_two_cpus, PROMISE_ONE_CPU);
    both(story_stack, PROMISE_ONE_CPU);
}

/* ---- Wake-ups ---- */

static void story_latch(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    say(&checker_edges, TRACE_TASK_LATCH, a, 0);
    if (!is_wrong)
        say(&checker_edges, TRACE_TASK_UNLATCH, a, 1);
    say(&checker_edges, TRACE_TASK_BLOCK, a, TASK_BLOCKED);
}

static void story_wake_twice(bool is_wrong)
{
    begin_a_on_1(&checker_edges);
    say(&checker_edges, TRACE_TASK_BLOCK, a, TASK_BLOCKED);
    say(&checker_edges, TRACE_TASK_WAKE, a, 1);
    if (is_wrong)
        say(&checker_edges, TRACE_TASK_WAKE, a, 1);
}

static void both_hear(enum trace_event event, const void *object, uint64_t value)
{
    say(&checker_edges, event, object, value);
    say(&checker_wait, event, object, value);
}

/* a waits on CPU 1 with a record, and is blocked. */
static void begin_wait(const int *record, bool blocks)
{
    begin_a_on_1(&checker_edges);
    say(&checker_wait, TRACE_WAIT_BEGIN, record, (uintptr_t)a);
    if (blocks)
        both_hear(TRACE_TASK_BLOCK, a, TASK_BLOCKED);
    on(0);
}

static void story_lost(bool is_wrong)
{
    int record = 0;

    begin_wait(&record, true);
    say(&checker_wait, TRACE_WAIT_SETTLE, &record, 2);
    hold(1);
    if (!is_wrong)
        both_hear(TRACE_TASK_WAKE, a, 1);
    step(&checker_wait, true); /* the settler takes interrupts again: it will not wake any more */
}

static void story_lost_latch(bool is_wrong)
{
    int record = 0;

    begin_wait(&record, false);
    say(&checker_wait, TRACE_WAIT_SETTLE, &record, 2);
    step(&checker_wait, false);
    if (is_wrong)
        step(&checker_wait, true);
    on(1);
    hold(1);
    both_hear(TRACE_TASK_BLOCK, a, TASK_BLOCKED);
}

static void story_settled_twice(bool is_wrong)
{
    int record = 0;

    begin_wait(&record, true);
    say(&checker_wait, TRACE_WAIT_SETTLE, &record, 2);
    if (is_wrong)
        say(&checker_wait, TRACE_WAIT_SETTLE, &record, 3);
}

static void story_unsettled(bool is_wrong)
{
    int record = 0;

    begin_wait(&record, false);
    if (!is_wrong)
        say(&checker_wait, TRACE_WAIT_SETTLE, &record, 3);
    on(1);
    say(&checker_wait, TRACE_WAIT_END, &record, 3);
}

static void story_other_status(bool is_wrong)
{
    int record = 0;

    begin_wait(&record, false);
    say(&checker_wait, TRACE_WAIT_SETTLE, &record, 2);
    on(1);
    say(&checker_wait, TRACE_WAIT_END, &record, is_wrong ? 3 : 2);
}

static void a_wake_up_comes_once(void **state)
{
    (void)state;
    both(story_latch, PROMISE_WAKE_ONCE);
    both(story_wake_twice, PROMISE_WAKE_ONCE);
    both(story_lost, PROMISE_WAKE_ONCE);
    both(story_lost_latch, PROMISE_WAKE_ONCE);
    both(story_settled_twice, PROMISE_WAKE_ONCE);
    both(story_unsettled, PROMISE_WAKE_ONCE);
    both(story_other_status, PROMISE_WAKE_ONCE);
}

/* ---- Lists, counts and sums ---- */

static struct runq *queue_with_a(void)
{
    struct runq *rq = &sched_test.rq[0];

    a->state = TASK_READY;
    store_relaxed(&a->base.cpu, &rq->cpu);
    runq_enqueue(rq, a, ENQUEUE_STARTED);
    return rq;
}

static void story_count(bool is_wrong)
{
    struct runq *rq = queue_with_a();

    store_relaxed(&rq->queued, is_wrong ? 2 : 1);
    checker_queue.queue(0);
}

static void story_movable(bool is_wrong)
{
    struct runq *rq = queue_with_a();

    store_relaxed(&rq->movable_count, is_wrong ? 0 : 1);
    checker_queue.queue(0);
}

static void story_forbidden(bool is_wrong)
{
    (void)queue_with_a();
    if (is_wrong)
        cpumask_remove(&a->affinity, 0);
    checker_queue.queue(0);
}

static void story_state_in_queue(bool is_wrong)
{
    (void)queue_with_a();
    if (is_wrong)
        a->state = TASK_BLOCKED;
    checker_queue.queue(0);
}

static void story_sum(bool is_wrong)
{
    struct runq *rq = queue_with_a();

    on(0);
    hold(0);
    say(&checker_edges, TRACE_TASK_INIT, a, 1);
    say(&checker_edges, TRACE_TASK_START, a, 0);
    rq->started = 1;
    if (is_wrong)
        runq_dequeue(rq, a); /* and put nowhere */
    checker_census.quiet();
}

static void story_sum_of_events(bool is_wrong)
{
    on(0);
    hold(0);
    say(&checker_edges, TRACE_TASK_INIT, a, 1);
    if (is_wrong)
        say(&checker_edges, TRACE_TASK_START, a, 0);
    checker_census.quiet();
}

static void lists_and_counts_agree(void **state)
{
    (void)state;
    both(story_count, PROMISE_COUNTS);
    both(story_movable, PROMISE_COUNTS);
    both(story_forbidden, PROMISE_AFFINITY);
    both(story_state_in_queue, PROMISE_CENSUS);
    both(story_sum, PROMISE_CENSUS);
    both(story_sum_of_events, PROMISE_COUNTS);
}

/* ---- Locks ---- */

/* As at a switch: CPU 1 runs a, which holds the run queue's lock. */
static void begin_switch(void)
{
    struct runq *rq = &sched_test.rq[1];

    sched_test_run(rq, a);
    a->base.lock_depth = 1;
    a->base.lock_held[0] = &rq->lock;
    on(1);
    hold(1);
}

static void story_lock_across(bool is_wrong)
{
    static struct spinlock other = SPINLOCK_INIT(LOCK_SLAB);

    begin_switch();
    a->base.lock_held[1] = &other;
    a->base.lock_depth = is_wrong ? 2 : 1;
    say(&checker_locks, TRACE_TASK_RUN, b, 0);
}

static void story_atomic_sleep(bool is_wrong)
{
    begin_switch();
    a->base.preempt_count = is_wrong;
    say(&checker_locks, TRACE_TASK_BLOCK, a, TASK_BLOCKED);
}

static void story_circle(bool is_wrong)
{
    static struct spinlock one = SPINLOCK_INIT(LOCK_SLAB);
    static struct spinlock two = SPINLOCK_INIT(LOCK_PHYS);

    atomic_store(&one.word, 0 + 1);
    atomic_store(&two.word, 1 + 1);
    on(0);
    say(&checker_locks, TRACE_SPIN_ENTER, &two, LOCK_PHYS); /* CPU 0 has one, and waits for two */
    if (!is_wrong)
        say(&checker_locks, TRACE_SPIN_EXIT, &two, LOCK_PHYS);
    on(1);
    say(&checker_locks, TRACE_SPIN_ENTER, &one, LOCK_SLAB); /* CPU 1 has two, and waits for one */
}

static void locks_are_held_where_they_may_be(void **state)
{
    (void)state;
    both(story_lock_across, PROMISE_LOCKS);
    both(story_atomic_sleep, PROMISE_LOCKS);
    both(story_circle, PROMISE_LOCKS);
}

/* ---- The parts ---- */

SIM_MAP(numbers, "numbers", 10);

static void the_map_finds_what_was_put_and_not_removed(void **state)
{
    struct unit_random random = { 1 };
    uint64_t value[600] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        size_t n = unit_random_below(&random, ARRAY_COUNT(value));
        const void *key = (const void *)(8 * (n + 1));
        const uint64_t *at = sim_map_find(&numbers, key);

        assert_true(value[n] == 0 ? at == NULL : at != NULL && *at == value[n]);
        if (value[n] == 0 || i % 3 == 0) {
            value[n] = i + 1;
            *sim_map_put(&numbers, key) = value[n];
        } else {
            value[n] = 0;
            sim_map_remove(&numbers, key);
        }
    }
    sim_map_clear(&numbers);
    assert_null(sim_map_find(&numbers, (const void *)8));
}

static void a_panic_names_its_promise(void **state)
{
    static const struct {
        const char *console;
        enum sim_promise promise;
    } said[] = {
        { "error: panic: CPU 1: lock order: rank 3 taken while rank 4 is held\n", PROMISE_LOCKS },
        { "error: panic: CPU 1: spinlock of rank 9: this CPU holds it already", PROMISE_LOCKS },
        { "error: panic: CPU 0: assertion failed: task->state == from (sched_priv.h:9)\n", PROMISE_EDGES },
        { "error: panic: CPU 0: assertion failed: all == load_relaxed(&rq->queued) (runq.c:9)\n", PROMISE_COUNTS },
        { "error: panic: CPU 0: slab task: free of 0x1, which is free already", PROMISE_MEMORY },
        { "error: panic: CPU 0: phys: free page 0x80 was written to: word 0x8 is 0x1", PROMISE_MEMORY },
        { "error: panic: CPU 0: the sky falls\nlock order: no", PROMISE_NONE },
        { "init: done\n", PROMISE_NONE },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(said); i++)
        assert_int_equal(sim_promise_of_console(said[i].console), said[i].promise);
    assert_int_equal(sim_promise_of_report("stale TLB entry: CPU 1 still translates\n"), PROMISE_TLB);
    assert_int_equal(sim_promise_of_report("CPU 1 resumes a task that CPU 2 still runs\n"), PROMISE_ONE_CPU);
    for (unsigned i = 0; i < PROMISE_COUNT; i++)
        assert_true(sim_promise_name((enum sim_promise)i)[0] != '\0' &&
                    sim_promise_sentence((enum sim_promise)i)[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        story_test(only_legal_edges_pass),
        story_test(no_task_is_on_two_cpus),
        story_test(a_wake_up_comes_once),
        story_test(lists_and_counts_agree),
        story_test(locks_are_held_where_they_may_be),
        cmocka_unit_test(the_map_finds_what_was_put_and_not_removed),
        cmocka_unit_test(a_panic_names_its_promise),
    };

    sim_outcome_now = host_shared_alloc(sizeof *sim_outcome_now);
    return sim_outcome_now == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
