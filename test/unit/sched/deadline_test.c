/* SPDX-License-Identifier: MIT */
/* core/sched/deadline.c: into, within and out of the deadline class, in every state, and off a CPU that goes. */
#include "booted.h"
#include "story.h"

#include "deadline_test.h"

#include <k/errno.h>

#define MS NS_PER_MS

static int change_begin(void **state)
{
    int result = deadline_test_begin(state);

    for (unsigned i = 1; i < SCHED_TEST_CPUS; i++)
        store_relaxed(&sched_test.rq[i].cpu.need_resched, 1); /* asked already: the other CPUs cannot be poked */
    return result;
}

#define change_test(fn) cmocka_unit_test_setup_teardown(fn, change_begin, deadline_test_end)

/* task_set_affinity() of a deadline task, in a context that may not sleep: nobody has to be waited for. */
static int set_affinity(struct task *task, const struct cpumask *mask)
{
    return deadline_change(task, NULL, mask);
}

static int to_fair(struct task *task)
{
    return task_set_params(task, &(struct sched_params){ .policy = SCHED_POLICY_FAIR });
}

static void a_queued_task_joins_moves_and_leaves(void **state)
{
    struct sched_params params = deadline_test_params(6 * MS, 10 * MS, 0);
    struct task *task = sched_test_ready(0, PRIORITY_DEFAULT, &sched_test.rq[2]);
    struct cpumask mask;

    (void)state;
    runq_enqueue(&sched_test.rq[2], task, ENQUEUE_WOKEN);
    assert_int_equal(task_set_params(task, &params), 0);
    assert_true(task->class == &class_deadline && task->rank == RANK_DEADLINE && task->is_pinned);
    assert_ptr_equal(load_relaxed(&task->base.cpu), &sched_test.rq[2].cpu); /* all are empty: it stays */
    assert_int_equal(load_relaxed(&sched_test.rq[2].movable_count), 0);
    assert_int_equal(task->deadline.due_ns, clock_ns() + 10 * MS);
    cpumask_set_single(&mask, 1);
    assert_int_equal(set_affinity(task, &mask), 0);
    assert_ptr_equal(load_relaxed(&task->base.cpu), &sched_test.rq[1].cpu);
    assert_true(sched_test.rq[2].admission.low == 0 && sched_test.rq[1].admission.count == 1);
    cpumask_add(&mask, 3);
    assert_int_equal(set_affinity(task, &mask), 0); /* it may stay, and does */
    assert_ptr_equal(load_relaxed(&task->base.cpu), &sched_test.rq[1].cpu);
    assert_int_equal(cpumask_count(&task->affinity), 1);
    assert_int_equal(to_fair(task), 0);
    assert_true(task->class == &class_fair && !task->is_admitted && !task->is_pinned);
    assert_true(cpumask_count(&task->affinity) == 2 && cpumask_contains(&task->affinity, 3)); /* its own again */
    assert_int_equal(sched_test.rq[1].admission.count, 0);
    runq_dequeue(&sched_test.rq[1], task);
}

static void what_has_no_room_changes_nothing(void **state)
{
    struct sched_params most = deadline_test_params(9 * MS, 10 * MS, 0);
    struct sched_params little = deadline_test_params(2 * MS, 10 * MS, 0);
    struct task *late = sched_test_new(8, 30);
    struct cpumask mask;

    (void)state;
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++) {
        struct task *task = sched_test_ready(i, PRIORITY_DEFAULT, &sched_test.rq[0]);

        runq_enqueue(&sched_test.rq[0], task, ENQUEUE_WOKEN);
        assert_int_equal(task_set_params(task, &most), 0);
        assert_int_equal(task->deadline.home, i); /* each needs a CPU for itself */
    }
    assert_int_equal(task_set_params(late, &little), -EBUSY);
    assert_true(late->class == &class_fair && late->priority == 30 && !late->is_admitted && !late->is_pinned);
    cpumask_set_single(&mask, 2);
    assert_int_equal(set_affinity(&sched_test.task[0], &mask), -EBUSY);
    assert_true(sched_test.task[0].deadline.home == 0 && cpumask_contains(&sched_test.task[0].affinity, 0));
    little.runtime_ns = 11 * MS / 10;
    assert_int_equal(task_set_params(late, &little), -EBUSY);
    little.runtime_ns = MS;
    assert_int_equal(task_set_params(late, &little), 0); /* exactly what is left */
    for (unsigned i = 0; i < SCHED_TEST_CPUS; i++) {
        assert_int_equal(to_fair(&sched_test.task[i]), 0);
        runq_dequeue(runq_of(load_relaxed(&sched_test.task[i].base.cpu)), &sched_test.task[i]);
    }
    late->state = TASK_DEAD;
    assert_int_equal(task_set_params(late, &most), -ESRCH);
    assert_int_equal(set_affinity(late, &mask), -ESRCH);
    deadline_release_dead(late);
}

/* Neither by new numbers nor by leaving and coming back does a task get a second runtime in the same period. */
static void changes_bring_no_runtime_that_was_used_already(void **state)
{
    struct sched_params params = deadline_test_params(8 * MS, 10 * MS, 0);
    struct task *task = sched_test_ready(0, PRIORITY_DEFAULT, &sched_test.rq[0]);
    uint64_t start = clock_ns();
    struct cpumask mask;

    (void)state;
    cpumask_set_single(&mask, 0);
    task->affinity = mask;
    task->is_pinned = true;
    runq_enqueue(&sched_test.rq[0], task, ENQUEUE_WOKEN);
    assert_int_equal(task_set_params(task, &params), 0);
    runq_dequeue(&sched_test.rq[0], task);
    sched_test_run(&sched_test.rq[0], task);
    deadline_test_go_to(start + 4 * MS);
    params.runtime_ns = 9 * MS;
    assert_int_equal(task_set_params(task, &params), 0); /* half was used by 4 ms: fair by 5 ms */
    assert_true(task->deadline.next_ns == start + 5 * MS && class_deadline.slice(&sched_test.rq[0], task) == 0);
    task->state = TASK_READY;
    sched_test.rq[0].running = &sched_test.idle[0];
    runq_enqueue(&sched_test.rq[0], task, ENQUEUE_PREEMPTED);
    assert_true(task->is_throttled && task->stats.deadline_overruns == 0);
    deadline_test_go_to(start + 5 * MS);
    assert_true(deadline_replenish_one(&sched_test.rq[0], clock_ns()));
    assert_int_equal(task->deadline.due_ns, start + 15 * MS);
    assert_int_equal(to_fair(task), 0);
    assert_int_equal(task_set_params(task, &params), 0); /* nothing was used since */
    runq_dequeue(&sched_test.rq[0], task);
    sched_test_run(&sched_test.rq[0], task);
    deadline_test_go_to(start + 14 * MS);
    assert_int_equal(to_fair(task), 0);
    assert_int_equal(task_set_params(task, &params), -EBUSY); /* all of it was, up to 15 ms */
    deadline_test_go_to(start + 15 * MS);
    assert_int_equal(task_set_params(task, &params), 0);
    task->state = TASK_DEAD;
    sched_test.rq[0].running = &sched_test.idle[0];
    deadline_release_dead(task);
}

static void a_cpu_is_left_by_all_or_by_none(void **state)
{
    struct sched_params params = deadline_test_params(4 * MS, 10 * MS, 0);
    unsigned on[SCHED_TEST_CPUS] = { 0 };
    struct cpumask mask;

    (void)state;
    cpumask_set_single(&mask, 1);
    for (unsigned i = 0; i < 4; i++) {
        struct task *task = sched_test_ready(i, PRIORITY_DEFAULT, &sched_test.rq[1]);

        runq_enqueue(&sched_test.rq[1], task, ENQUEUE_WOKEN);
        assert_int_equal(task_set_params(task, &params), 0); /* two each on CPUs 1 and 0 */
    }
    assert_true(sched_test.rq[1].admission.count == 2 && sched_test.rq[0].admission.count == 2);
    assert_int_equal(set_affinity(&sched_test.task[1], &mask), 0); /* this one must stay */
    assert_int_equal(deadline_evacuate(1), -EBUSY);
    for (unsigned i = 0; i < 4; i++)
        on[sched_test.task[i].deadline.home]++;
    assert_true(on[0] == 2 && on[1] == 2 && sched_test.rq[1].admission.count == 2);
    cpumask_add(&mask, 3);
    assert_int_equal(set_affinity(&sched_test.task[1], &mask), 0);
    assert_int_equal(deadline_evacuate(1), 0);
    assert_true(sched_test.rq[1].admission.count == 0 && load_relaxed(&sched_test.rq[1].queued) == 0);
    assert_int_equal(sched_test.task[1].deadline.home, 3);
    cpumask_set_single(&mask, 1);
    assert_int_equal(set_affinity(&sched_test.task[1], &mask), -EBUSY); /* it is closed until it is said to be back */
    deadline_admit_again(1);
    for (unsigned i = 0; i < 4; i++) {
        struct task *task = &sched_test.task[i];

        assert_true(cpumask_contains(&task->affinity, task->deadline.home) && cpumask_is_single(&task->affinity));
        assert_ptr_equal(load_relaxed(&task->base.cpu), cpu_table[task->deadline.home]);
        assert_int_equal(to_fair(task), 0);
        runq_dequeue(runq_of(load_relaxed(&task->base.cpu)), task);
    }
}

/* ---- Booted ---- */

#define CHURNED 6
#define CHANGES 60

static _Atomic(bool) stop;

static int live(void *arg)
{
    uint64_t random = booted_seed() + (uintptr_t)arg;

    while (!load_relaxed(&stop) && !task_is_killed()) {
        switch (random_next(&random) % 4) {
        case 0:
            task_yield();
            break;
        case 1:
            (void)task_sleep_for(random_next(&random) % (200 * NS_PER_US));
            break;
        default:
            for (unsigned i = 0; i < 40; i++)
                hal_cpu_relax();
            break;
        }
    }
    return 0;
}

static void some_deadline(uint64_t *random, struct sched_params *out)
{
    *out = (struct sched_params){ .policy = SCHED_POLICY_DEADLINE };
    out->deadline_ns = 100 * NS_PER_US + random_next(random) % (900 * NS_PER_US);
    out->runtime_ns = 10 * NS_PER_US + random_next(random) % (out->deadline_ns / 2);
    if (random_next(random) % 2 == 0)
        out->period_ns = out->deadline_ns + random_next(random) % NS_PER_MS;
}

static void change_one(struct task *task, uint64_t *random)
{
    struct sched_params params;
    struct sched_params is;
    struct cpumask mask;
    int result;

    switch (random_next(random) % 4) {
    case 0:
        random_online_mask(random, &mask);
        result = task_set_affinity(task, &mask);
        CHECK(result == 0 || result == -EBUSY);
        break;
    case 1:
        CHECK(task_set_priority(task, 1 + (int)(random_next(random) % 99)) == 0);
        break;
    default:
        some_deadline(random, &params);
        result = task_set_params(task, &params);
        CHECK(result == 0 || result == -EBUSY);
        task_get_params(task, &is);
        CHECK(result != 0 || (is.policy == SCHED_POLICY_DEADLINE && is.runtime_ns == params.runtime_ns));
        break;
    }
}

static bool books_are_empty(void)
{
    for_each_online_cpu(id)
        if (runq_by_id(id)->admission.count != 0 || runq_by_id(id)->admission.low != 0)
            return false;
    return true;
}

static void churn(void)
{
    uint64_t random = booted_seed() * 77 + 5;
    struct task *task[CHURNED];

    store_relaxed(&stop, false);
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    for (uintptr_t i = 0; i < CHURNED; i++)
        task[i] = spawn("churned", live, (void *)i, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < CHANGES; i++) {
        change_one(task[random_next(&random) % CHURNED], &random);
        if (random_next(&random) % 3 == 0)
            (void)task_sleep_for(random_next(&random) % (300 * NS_PER_US));
    }
    CHECK(task_kill(task[0]) == 0);
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < CHURNED; i++)
        CHECK(finish(task[i]) == 0);
    /* Each one's room is given back when its CPU has left it, and its joiner may be faster. */
    WAIT_FOR(books_are_empty());
    CHECK(task_set_priority(current_task(), PRIORITY_DEFAULT) == 0);
}

/* Promised 30 % of a CPU each, three tasks that want all of it, and a fair one beside them: all have what they were
 * promised, and no more. */
static void overruns(void)
{
    struct sched_params params = { .policy = SCHED_POLICY_DEADLINE, .runtime_ns = 300 * NS_PER_US,
                                   .deadline_ns = NS_PER_MS };
    cpu_id_t cpu = online_cpu(online_count() - 1);
    struct task_snapshot snapshot;
    struct task *task[3];

    if (online_count() < 2)
        return;
    struct cpumask mask;

    cpumask_set_single(&mask, online_cpu(0));
    CHECK(task_set_affinity(current_task(), &mask) == 0);
    store_relaxed(&stop, false);
    struct task *fair = spawn_on("fair", live, NULL, PRIORITY_DEFAULT, cpu);

    for (unsigned i = 0; i < 3; i++) {
        task[i] = spawn_on("hog", live, (void *)0, PRIORITY_DEFAULT, cpu);
        CHECK(task_set_params(task[i], &params) == 0);
    }
    CHECK(task_set_params(fair, &params) == -EBUSY);
    task_get_snapshot(fair, &snapshot);
    uint64_t fair_before = snapshot.stats.run_ticks;

    (void)task_sleep_for(100 * NS_PER_MS);
    task_get_snapshot(fair, &snapshot);
    CHECK(snapshot.stats.run_ticks > fair_before);
    for (unsigned i = 0; i < 3; i++) {
        task_get_snapshot(task[i], &snapshot);
        CHECK(snapshot.policy == SCHED_POLICY_DEADLINE && snapshot.cpu == cpu);
        CHECK(clock_ticks_to_ns(snapshot.stats.run_ticks) <= 103 * 300 * NS_PER_US);
        CHECK(snapshot.stats.deadline_misses == 0);
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(finish(fair) == 0);
}

static void yields(void)
{
    unsigned turns = story_yields(NS_PER_MS, 50);

    CHECK(turns >= 49 && turns <= 52);
}

const struct kernel_test booted_tests[] = {
    { "churn", churn },
    { "overruns", overruns },
    { "yields", yields },
    { NULL, NULL },
};

static void changes_hold_whatever_the_task_does(void **state)
{
    (void)state;
    booted_run("churn", 100);
}

static void overruns_are_throttled_and_harm_nobody(void **state)
{
    (void)state;
    booted_run("overruns", 8);
}

static void a_yield_waits_for_the_next_period(void **state)
{
    (void)state;
    booted_run("yields", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_hold_whatever_the_task_does),
        cmocka_unit_test(overruns_are_throttled_and_harm_nobody),
        cmocka_unit_test(a_yield_waits_for_the_next_period),
        change_test(a_queued_task_joins_moves_and_leaves),
        change_test(what_has_no_room_changes_nothing),
        change_test(changes_bring_no_runtime_that_was_used_already),
        change_test(a_cpu_is_left_by_all_or_by_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
