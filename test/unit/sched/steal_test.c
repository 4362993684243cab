/* SPDX-License-Identifier: MIT */
/* core/sched/steal.c: what a thief takes, and no CPU that idles beside a waiting task. */
#include "booted.h"

#include "sched_test.h"

/* Steal until nothing is left, never what may not run here. What was taken is put out of the thief's sight each time:
 * it does not steal while it has something to run. */
static void a_thief_takes_everything_that_it_may_run(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct unit_random random = { seed };
        struct runq *thief = &sched_test.rq[seed % SCHED_TEST_CPUS];
        uint64_t steals = thief->stats.steals;
        unsigned stealable = 0;
        unsigned stolen = 0;
        bool contended = false;

        for (unsigned i = 0; i < 20; i++) {
            cpu_id_t cpu = (thief->cpu.id + 1 + (cpu_id_t)unit_random_below(&random, 3)) % SCHED_TEST_CPUS;
            struct task *task = sched_test_ready(i, (int)unit_random_below(&random, 100), &sched_test.rq[cpu]);

            cpumask_set_single(&task->affinity, cpu);
            for (unsigned other = 0; other < SCHED_TEST_CPUS; other++)
                if (unit_random_below(&random, 3) == 0)
                    cpumask_add(&task->affinity, other);
            task->is_pinned = cpumask_count(&task->affinity) == 1;
            runq_enqueue(&sched_test.rq[cpu], task, ENQUEUE_WOKEN);
            stealable += cpumask_contains(&task->affinity, thief->cpu.id);
        }
        while (steal_idle(thief, &contended)) {
            struct task *task = list_first(&thief->movable, struct task, movable_link);

            assert_true(cpumask_contains(&task->affinity, thief->cpu.id));
            runq_dequeue(thief, task);
            store_relaxed(&task->base.cpu, NULL);
            stolen++;
            for (unsigned i = 0; i < SCHED_TEST_CPUS; i++)
                runq_check(&sched_test.rq[i]);
        }
        assert_false(contended);
        assert_int_equal(stolen, stealable);
        assert_int_equal(thief->stats.steals - steals, stealable);
        for (unsigned i = 0; i < 20; i++) {
            struct cpu *cpu = load_relaxed(&sched_test.task[i].base.cpu);

            if (cpu != NULL)
                runq_dequeue(runq_of(cpu), &sched_test.task[i]);
        }
    }
}

static void the_best_of_one_victim_goes_first(void **state)
{
    static const int priorities[] = { 60, 99, 15, 3, 70, 20 };
    static const int wanted[] = { 3, 15, 20 };
    bool contended = false;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(priorities); i++)
        runq_enqueue(&sched_test.rq[1], sched_test_ready(i, priorities[i], &sched_test.rq[1]), ENQUEUE_WOKEN);
    for (unsigned i = 0; i < ARRAY_COUNT(wanted); i++) {
        assert_true(steal_idle(&sched_test.rq[0], &contended));
        assert_int_equal(runq_pick(&sched_test.rq[0])->priority, wanted[i]);
    }
    for (struct task *task; (task = runq_pick(&sched_test.rq[1])) != NULL;)
        if (task->class->block != NULL)
            task->class->block(&sched_test.rq[1], task);
}

/* A crowd that may not move here stands before one that may: a look sees 24 tasks, and the one is found in the end. */
static void a_look_is_bounded_and_the_next_one_goes_on(void **state)
{
    const unsigned crowd = SCHED_TEST_TASKS - 1;
    struct runq *victim = &sched_test.rq[1];
    bool contended = false;

    (void)state;
    for (unsigned i = 0; i <= crowd; i++) {
        struct task *task = sched_test_ready(i, 60, victim);

        cpumask_set_single(&task->affinity, 1);
        cpumask_add(&task->affinity, i == crowd ? 0 : 2);
        runq_enqueue(victim, task, ENQUEUE_WOKEN);
    }
    assert_null(steal_find(victim, 0)); /* it is the 48th */
    assert_ptr_equal(steal_find(victim, 0), &sched_test.task[crowd]);
    assert_ptr_equal(steal_find(victim, 2), &sched_test.task[24]); /* the first ones are behind the others now */
    runq_check(victim);
    assert_true(steal_idle(&sched_test.rq[0], &contended)); /* as many looks as it takes */
    runq_dequeue(&sched_test.rq[0], &sched_test.task[crowd]);
    assert_false(steal_idle(&sched_test.rq[0], &contended));
    for (unsigned i = 0; i < crowd; i++)
        runq_dequeue(victim, &sched_test.task[i]);
}

/* One that has inherited a deadline and waits stands in the tree of another class, which has no place for tasks that
 * are about to go. */
static void a_task_that_was_lent_a_deadline_is_taken(void **state)
{
    struct runq *thief = &sched_test.rq[0], *victim = &sched_test.rq[1];
    struct task *task = sched_test_ready(0, PRIORITY_DEFAULT, victim);
    bool contended = false;

    (void)state;
    deadline_inherit(task, clock_ns() + NS_PER_MS);
    runq_enqueue(victim, task, ENQUEUE_MOVED);
    assert_true(steal_idle(thief, &contended));
    assert_false(contended);
    assert_ptr_equal(load_relaxed(&task->base.cpu), &thief->cpu);
    runq_dequeue(thief, task);
}

static void a_locked_victim_is_reported_not_waited_for(void **state)
{
    bool contended = false;

    (void)state;
    runq_enqueue(&sched_test.rq[1], sched_test_ready(0, 60, &sched_test.rq[1]), ENQUEUE_WOKEN);
    store_relaxed(&sched_test.rq[1].lock.word, 2); /* CPU 1 holds it */
    assert_false(steal_idle(&sched_test.rq[0], &contended));
    assert_true(contended);
    store_relaxed(&sched_test.rq[1].lock.word, 0);
    runq_dequeue(&sched_test.rq[1], &sched_test.task[0]);
}

/* CPU 0 has a task that waits and offers it while CPU 1, the nearest of those that idle, leaves its idle loop for work
 * of its own. Whatever the order of their steps, CPU 1 passes the offer on or CPU 2, which idles on, has been poked. */
static _Atomic(unsigned) passed_on;
static struct unit_random when_to_leave;

static void offer_and_leave(cpu_id_t cpu, void *arg)
{
    (void)arg;
    if (cpu == 0) {
        steal_offer(&sched_test.rq[0]);
    } else if (cpu == 1) {
        for (uint64_t spins = unit_random_below(&when_to_leave, 40); spins > 0; spins--)
            hal_cpu_relax();
        place_mark_idle(&sched_test.rq[1].cpu, false);
        store_relaxed(&passed_on, steal_was_offered(&sched_test.rq[1]));
    }
}

static void an_offer_to_one_who_leaves_is_not_lost(void **state)
{
    unsigned passed = 0, poked = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct task *tasks[3] = { &sched_test.idle[0], &sched_test.idle[1], &sched_test.idle[2] };
        const struct host_team team = { .tasks = tasks, .body = offer_and_leave };
        struct host_config config = { .cpus = 3, .seed = seed, .max_steps = 200000, .memory_bytes = 4 << 20 };

        when_to_leave = (struct unit_random){ seed };
        store_relaxed(&passed_on, false);
        sched_test_enter(SCHED_TEST_CPUS);
        runq_enqueue(&sched_test.rq[0], sched_test_ready(0, 60, &sched_test.rq[0]), ENQUEUE_WOKEN);
        for (unsigned i = 1; i < 3; i++)
            place_mark_idle(&sched_test.rq[i].cpu, true);
        host_unit_teardown();
        if (host_team_run(&config, &team, &sched_test_result) != 0) {
            host_result_print(&config, &sched_test_result);
            fail();
        }
        bool is_poked = load_relaxed(&sched_test.rq[2].cpu.need_resched) != 0;

        assert_true(is_poked || load_relaxed(&passed_on));
        passed += load_relaxed(&passed_on);
        poked += is_poked;
        place_mark_idle(&sched_test.rq[2].cpu, false);
    }
    assert_true(passed > 100 && poked > 100); /* both were met */
}

/* Booted: the watch of booted.c is the test; here is the work. */

static int work(void *arg)
{
    uint64_t random = booted_seed() * 17 + (uintptr_t)arg;

    for (unsigned i = 0; i < 12; i++) {
        for (uint64_t spins = random_next(&random) % 200; spins > 0; spins--)
            hal_cpu_relax();
        switch (random_next(&random) % 4) {
        case 0:
            task_yield();
            break;
        case 1:
            (void)task_sleep_for(random_next(&random) % 20000);
            break;
        case 2: {
            struct cpumask mask;

            cpumask_set_single(&mask, online_cpu((unsigned)random_next(&random)));
            if (random_next(&random) % 2 == 0)
                cpumask_set_all(&mask);
            CHECK(task_set_affinity(current_task(), &mask) == 0);
            break;
        }
        default:
            break;
        }
    }
    return 0;
}

static void crowd(void)
{
    struct task *task[12];

    for (uintptr_t i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("worker", work, (void *)i, i % 4 == 0 ? 10 : i % 4 == 1 ? PRIORITY_IDLE : 60, NULL);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
}

/* A burst wakes everybody at once, on one CPU: the others must come and take. */
static struct waitq gate = WAITQ_INIT(gate);
static bool is_open;         /* guarded by gate.lock */
static _Atomic(unsigned) inside;
static _Atomic(unsigned) inside_max;

static int pass_gate(void *arg)
{
    (void)arg;
    CHECK(waitq_wait_until(&gate, is_open, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    unsigned now = fetch_add_relaxed(&inside, 1) + 1;
    unsigned most = load_relaxed(&inside_max);

    while (now > most && !cas_relaxed(&inside_max, &most, now))
        continue;
    uint64_t end = clock_ns() + 100 * NS_PER_US;

    while (clock_ns() < end)
        hal_cpu_relax();
    (void)fetch_sub_relaxed(&inside, 1);
    return 0;
}

static void burst(void)
{
    struct task *task[8];

    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = spawn("burst", pass_gate, NULL, 60, NULL);
    CHECK(task_sleep_for(200 * NS_PER_US) == 0);
    uintptr_t state = waitq_enter(&gate);

    is_open = true;
    (void)waitq_wake_locked(&gate, UINT32_MAX);
    waitq_leave(&gate, true, state);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        CHECK(finish(task[i]) == 0);
    CHECK(load_relaxed(&inside_max) >= MIN(online_count(), (unsigned)ARRAY_COUNT(task)));
}

/* Hogs run, one per CPU but the last; then a pinned real-time task takes the CPU of one of them. That hog, which wants
 * nothing but to go on, must be taken by the CPU that sleeps; nothing else happens that could remind it. */
static _Atomic(bool) stop;

static int hog(void *arg)
{
    (void)arg;
    while (!load_relaxed(&stop))
        hal_cpu_relax();
    return 0;
}

static bool is_running(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.state == TASK_RUNNING;
}

static void displaced(void)
{
    struct task *task[8];
    unsigned count = MIN(online_count(), (unsigned)ARRAY_COUNT(task)) - 1;

    if (count < 2)
        return; /* one CPU is ours: the looks from time to time need it for a moment only */
    for (unsigned i = 0; i < count - 1; i++) {
        task[i] = spawn("hog", hog, NULL, 60, NULL);
        WAIT_FOR(is_running(task[i]));
    }
    struct task_snapshot snapshot;

    task_get_snapshot(task[0], &snapshot);
    task[count - 1] = spawn_on("taker", hog, NULL, 0, snapshot.cpu);
    for (unsigned look = 0; look < 5; look++) {
        CHECK(task_sleep_for(NS_PER_MS) == 0);
        for (unsigned i = 0; i < count; i++)
            CHECK(is_running(task[i]));
    }
    store_relaxed(&stop, true);
    for (unsigned i = 0; i < count; i++)
        CHECK(finish(task[i]) == 0);
}

const struct kernel_test booted_tests[] = {
    { "crowd", crowd }, { "burst", burst }, { "displaced", displaced }, { NULL, NULL },
};

static void no_cpu_idles_beside_a_waiting_task(void **state)
{
    (void)state;
    booted_run("crowd", 160);
}

static void a_burst_of_wakes_fills_every_cpu(void **state)
{
    (void)state;
    booted_run("burst", 80);
}

static void a_displaced_task_is_taken_by_a_sleeping_cpu(void **state)
{
    (void)state;
    booted_run("displaced", 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cpu_idles_beside_a_waiting_task),
        cmocka_unit_test(a_burst_of_wakes_fills_every_cpu),
        cmocka_unit_test(a_displaced_task_is_taken_by_a_sleeping_cpu),
        sched_smp_test(a_thief_takes_everything_that_it_may_run),
        sched_smp_test(the_best_of_one_victim_goes_first),
        sched_smp_test(a_look_is_bounded_and_the_next_one_goes_on),
        sched_smp_test(a_task_that_was_lent_a_deadline_is_taken),
        sched_smp_test(a_locked_victim_is_reported_not_waited_for),
        cmocka_unit_test(an_offer_to_one_who_leaves_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
