/* SPDX-License-Identifier: MIT */
/* core/sched/place.c: placement against a search of all CPUs, near CPUs and whole cores first. */
#include "sched_test.h"

#include <smp/topology.h>

static struct runq *choose_start(const struct task *task)
{
    struct place_wish wish;

    place_wish_of(task, &wish);
    return place_choose_start(&wish);
}

/* As wake.c does it, with the two steps between which no lock is held. */
static struct runq *choose_wake(const struct task *task, struct runq *last)
{
    struct place_wish wish;

    place_wish_of(task, &wish);
    return place_is_free_for(task, last) ? last : place_search_wake(&wish, last);
}

static struct runq *least_loaded(const struct task *task)
{
    struct place_wish wish;

    place_wish_of(task, &wish);
    return place_least_loaded(&wish, 0);
}

static void load_cpu(unsigned cpu, unsigned queued, int running)
{
    store_relaxed(&sched_test.rq[cpu].queued, queued);
    store_relaxed(&sched_test.rq[cpu].running_rank, running < 0 ? RANK_NOTHING : (unsigned)running);
}

static void unload(void)
{
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
        load_cpu(i, 0, -1);
}

/* Lower is better: what the class of the task looks at. Nothing fair is queued here, so weights are 0. */
static uint64_t load_of(const struct task *task, unsigned cpu)
{
    unsigned rank = load_relaxed(&sched_test.rq[cpu].running_rank);
    uint64_t heads = load_relaxed(&sched_test.rq[cpu].queued) + (rank != RANK_NOTHING);

    if (task->class == &class_rt)
        return (rank <= task->rank ? UINT64_C(1) << 40 : 0) + (RANK_NOTHING - rank) * UINT64_C(1000) + heads;
    return heads + (task->class == &class_fair && rank < RANK_FAIR ? UINT64_C(1) << 40 : 0);
}

static void a_new_task_goes_to_the_least_loaded_allowed_cpu(void **state)
{
    struct unit_random random = { 8 };

    (void)state;
    for (unsigned step = 0; step < 5000; step++) {
        struct task *task = sched_test_new(0, (int)unit_random_below(&random, 100));
        uint64_t best = UINT64_MAX;

        cpumask_clear(&cpu_online_mask);
        cpumask_clear(&task->affinity);
        for (unsigned i = 0; i < SCHED_TEST_CPUS; i++) {
            load_cpu(i, (unsigned)unit_random_below(&random, 4), (int)unit_random_below(&random, 200) - 60);
            if (i == 0 || unit_random_below(&random, 4) != 0)
                cpumask_add(&cpu_online_mask, i);
            if (unit_random_below(&random, 2) == 0)
                cpumask_add(&task->affinity, i);
            if (cpumask_contains(&cpu_online_mask, i) && cpumask_contains(&task->affinity, i))
                best = MIN(best, load_of(task, i));
        }
        struct runq *rq = choose_start(task);

        assert_int_equal(rq == NULL, best == UINT64_MAX);
        if (rq != NULL) {
            assert_true(cpumask_contains(&task->affinity, rq->cpu.id));
            assert_true(cpumask_contains(&cpu_online_mask, rq->cpu.id));
            assert_int_equal(load_of(task, rq->cpu.id), best);
        }
    }
    unload();
}

static void a_woken_task_goes_where_it_may_run_at_once(void **state)
{
    struct unit_random random = { 2 };

    (void)state;
    for (unsigned step = 0; step < 5000; step++) {
        struct task *task = sched_test_new(0, 60);
        struct runq *last = &sched_test.rq[unit_random_below(&random, SCHED_TEST_CPUS)];
        bool idle_allowed = false;
        bool is_idle[SCHED_TEST_CPUS];

        cpumask_clear(&task->affinity);
        cpumask_add(&task->affinity, (cpu_id_t)unit_random_below(&random, SCHED_TEST_CPUS));
        for (unsigned i = 0; i < SCHED_TEST_CPUS; i++) {
            if (unit_random_below(&random, 2) == 0)
                cpumask_add(&task->affinity, i);
            is_idle[i] = unit_random_below(&random, 3) == 0;
            load_cpu(i, is_idle[i] ? 0 : (unsigned)unit_random_below(&random, 3), is_idle[i] ? -1 : (int)RANK_FAIR);
            if (is_idle[i])
                place_mark_idle(&sched_test.rq[i].cpu, true);
            idle_allowed = idle_allowed || (is_idle[i] && cpumask_contains(&task->affinity, i));
        }
        task->is_pinned = cpumask_count(&task->affinity) == 1;
        struct runq *rq = choose_wake(task, last);

        assert_true(cpumask_contains(&task->affinity, rq->cpu.id));
        if (task->is_pinned || !cpumask_contains(&task->affinity, last->cpu.id) || !idle_allowed)
            assert_true(!idle_allowed || task->is_pinned || is_idle[rq->cpu.id]);
        else
            /* Its own CPU first: its cache. */
            assert_true(is_idle[rq->cpu.id] && (rq == last || !is_idle[last->cpu.id]));
        for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
            if (is_idle[i])
                place_mark_idle(&sched_test.rq[i].cpu, false);
    }
    unload();
}

static void on_one_cpu_there_is_no_choice(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    assert_ptr_equal(choose_start(task), &sched_test.rq[0]);
    assert_ptr_equal(choose_wake(task, &sched_test.rq[0]), &sched_test.rq[0]);
    cpumask_set_single(&task->affinity, 2);
    assert_null(choose_start(task));
}

/* Two sensors fire at once, and a fair task runs on each CPU: the second sees that the first CPU is taken, though what
 * was queued there does not run yet. */
static void who_is_about_to_run_counts_as_running(void **state)
{
    struct task *first = sched_test_ready(2, 10, &sched_test.rq[0]);
    struct task *second = sched_test_new(3, 10);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        sched_test_run(&sched_test.rq[i], sched_test_new(i, 60));
        runq_enqueue(&sched_test.rq[1], sched_test_ready(4 + i, 60, &sched_test.rq[1]), ENQUEUE_WOKEN);
    }
    cpumask_set_single(&second->affinity, 0);
    cpumask_add(&second->affinity, 1);
    assert_ptr_equal(least_loaded(second), &sched_test.rq[0]); /* fewer heads */
    runq_enqueue(&sched_test.rq[0], first, ENQUEUE_WOKEN);
    runq_notice(&sched_test.rq[0], first);
    assert_ptr_equal(least_loaded(second), &sched_test.rq[1]);
    assert_true(place_would_wait(&sched_test.rq[0], second->rank));
    assert_false(place_would_wait(&sched_test.rq[1], second->rank));
    runq_dequeue(&sched_test.rq[0], first);
    for (unsigned i = 0; i < 2; i++) {
        runq_dequeue(&sched_test.rq[1], &sched_test.task[4 + i]);
        store_relaxed(&sched_test.rq[i].cpu.need_resched, 0);
        sched_test_stop(&sched_test.rq[i]);
    }
}

/* 16 CPUs would be better; with 4: two nodes of two, or one core of two threads and two others. */
static void build(const struct boot_cpu_place place[SCHED_TEST_CPUS], unsigned nodes)
{
    static struct boot_info boot;
    static ALIGNED(CACHE_LINE_BYTES) char memory[1 << 14];

    boot = (struct boot_info){ .has_places = true, .node_count = nodes };
    assert_true(topology_bytes(SCHED_TEST_CPUS) <= sizeof memory);
    memset(memory, 0, sizeof memory);
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
        boot.cpu_place[i] = place[i];
    topology_init(memory, &boot, SCHED_TEST_CPUS);
}

static void set_idle(unsigned cpus)
{
    for (cpu_id_t i = 0; i < SCHED_TEST_CPUS; i++) {
        load_cpu(i, 0, cpus >> i & 1 ? -1 : (int)RANK_FAIR);
        if (cpus >> i & 1)
            place_mark_idle(&sched_test.rq[i].cpu, true);
    }
}

static void set_busy(unsigned cpus)
{
    for (cpu_id_t i = 0; i < SCHED_TEST_CPUS; i++)
        if (cpus >> i & 1)
            place_mark_idle(&sched_test.rq[i].cpu, false);
    unload();
}

/* Each row: which CPUs are idle, where the task was, where it must go. */
struct nearest {
    unsigned idle;
    unsigned last;
    unsigned wanted;
};

static void expect_nearest(const struct nearest *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct task *task = sched_test_new(0, 60);

        set_idle(rows[i].idle);
        struct runq *rq = choose_wake(task, &sched_test.rq[rows[i].last]);

        if (rq->cpu.id != rows[i].wanted)
            fail_msg("row %u: idle %#x, last %u: CPU %u, not %u", i, rows[i].idle, rows[i].last, rq->cpu.id,
                     rows[i].wanted);
        set_busy(rows[i].idle);
    }
}

static void in_child(void (*fn)(void *), void *arg)
{
    if (!host_unit_returns_forked(fn, arg, &sched_test_result))
        fail_msg("%s%s", sched_test_result.console, sched_test_result.report);
}

static void two_nodes(void *arg)
{
    static const struct boot_cpu_place place[] = { { 0, 0, 0 }, { 1, 1, 1 }, { 2, 0, 0 }, { 3, 1, 1 } };
    static const struct nearest rows[] = {
        { 0xf, 1, 1 }, { 0xe, 0, 2 }, { 0xa, 0, 1 }, { 0xd, 1, 3 }, { 0x5, 1, 2 }, { 0xb, 2, 0 }, { 0x8, 2, 3 },
    };

    (void)arg;
    build(place, 2);
    expect_nearest(rows, ARRAY_COUNT(rows));
}

static void threads(void *arg)
{
    /* 0 and 1 are one core, 2 and 3 the other. */
    static const struct boot_cpu_place place[] = { { 0, 0, 0 }, { 0, 0, 0 }, { 1, 0, 0 }, { 1, 0, 0 } };
    static const struct nearest rows[] = {
        { 0xe, 0, 2 }, { 0xa, 0, 1 }, { 0xc, 0, 2 }, { 0xc, 1, 2 }, { 0x3, 3, 0 }, { 0x5, 1, 2 }, { 0xf, 1, 1 },
    };

    (void)arg;
    build(place, 1);
    expect_nearest(rows, ARRAY_COUNT(rows));
}

static void a_task_stays_in_its_node_while_that_has_an_idle_cpu(void **state)
{
    (void)state;
    in_child(two_nodes, NULL);
}

static void a_whole_idle_core_comes_before_a_thread_of_a_busy_one(void **state)
{
    (void)state;
    in_child(threads, NULL);
}

static void a_fair_task_goes_where_least_weight_is_not_fewest_tasks(void **state)
{
    struct task *task = sched_test_new(0, 60);

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
        load_cpu(i, i == 2 ? 3 : 1, (int)RANK_FAIR);
    store_relaxed(&sched_test.rq[0].fair.shown_weights, 1024);
    store_relaxed(&sched_test.rq[1].fair.shown_weights, 335);
    store_relaxed(&sched_test.rq[2].fair.shown_weights, 45);
    store_relaxed(&sched_test.rq[3].fair.shown_weights, 3000);
    assert_ptr_equal(choose_wake(task, &sched_test.rq[0]), &sched_test.rq[2]);
    store_relaxed(&sched_test.rq[2].running_rank, RANK_RT + 5); /* it would not run at all there */
    assert_ptr_equal(choose_wake(task, &sched_test.rq[0]), &sched_test.rq[1]);
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
        store_relaxed(&sched_test.rq[i].fair.shown_weights, 0);
    unload();
}

static void a_real_time_task_displaces_the_least_urgent(void **state)
{
    struct task *task = sched_test_new(0, 10);

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
        load_cpu(i, 0, (int)(RANK_RT + 60 + i));
    assert_ptr_equal(choose_wake(task, &sched_test.rq[0]), &sched_test.rq[3]);
    store_relaxed(&sched_test.rq[1].running_rank, RANK_FAIR);
    load_cpu(1, 9, (int)RANK_FAIR); /* however many wait there: they wait anyway */
    assert_ptr_equal(choose_wake(task, &sched_test.rq[0]), &sched_test.rq[1]);
    unload();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_smp_test(a_new_task_goes_to_the_least_loaded_allowed_cpu),
        sched_smp_test(a_woken_task_goes_where_it_may_run_at_once),
        sched_unit_test(on_one_cpu_there_is_no_choice),
        sched_smp_test(a_task_stays_in_its_node_while_that_has_an_idle_cpu),
        sched_smp_test(who_is_about_to_run_counts_as_running),
        sched_smp_test(a_whole_idle_core_comes_before_a_thread_of_a_busy_one),
        sched_smp_test(a_fair_task_goes_where_least_weight_is_not_fewest_tasks),
        sched_smp_test(a_real_time_task_displaces_the_least_urgent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
