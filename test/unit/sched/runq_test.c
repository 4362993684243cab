/* SPDX-License-Identifier: MIT */
/* core/sched/runq.c: counts equal lists whatever happens; classes in order; whom a queued task disturbs; two locks. */
#include "sched_test.h"

/* Where the model thinks a task is: a run queue or nowhere. */
static struct runq *where[SCHED_TEST_TASKS];
static bool is_misplaced[SCHED_TEST_TASKS];

static void check_against_model(struct runq *rq)
{
    unsigned queued = 0;
    unsigned movable = 0;

    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) {
        const struct task *task = &sched_test.task[i];

        if (where[i] != rq)
            continue;
        queued++;
        movable += !is_misplaced[i] && !task->is_pinned;
        assert_int_equal(list_is_linked(&task->movable_link), !is_misplaced[i] && !task->is_pinned);
        assert_int_equal(task->is_misplaced, is_misplaced[i]);
    }
    assert_int_equal(load_relaxed(&rq->queued), queued);
    assert_int_equal(load_relaxed(&rq->movable_count), movable);
    runq_check(rq);
}

/* No queued task of a lower rank is left behind, and nothing that is misplaced is ever picked. */
static void check_picked(const struct runq *rq, const struct task *picked)
{
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        assert_true(where[i] != rq || is_misplaced[i] || sched_test.task[i].rank >= picked->rank);
    assert_true(where[picked - sched_test.task] == rq && !is_misplaced[picked - sched_test.task]);
    assert_false(list_is_linked(&picked->movable_link));
}

static void leave(unsigned i)
{
    where[i] = NULL;
    is_misplaced[i] = false;
}

/* Nothing runs here: a fair task that is queued has not competed before. */
static enum enqueue_kind some_kind(struct unit_random *random, const struct task *task)
{
    static const enum enqueue_kind fair[] = { ENQUEUE_STARTED, ENQUEUE_WOKEN, ENQUEUE_MOVED };

    return task->class == &class_fair ? fair[unit_random_below(random, ARRAY_COUNT(fair))]
                                      : (enum enqueue_kind)unit_random_below(random, ENQUEUE_MOVED + 1);
}

static void random_step(struct unit_random *random)
{
    unsigned i = (unsigned)unit_random_below(random, SCHED_TEST_TASKS);
    struct task *task = &sched_test.task[i];
    struct runq *rq = &sched_test.rq[unit_random_below(random, 2)];

    if (where[i] == NULL) {
        int priority = (int)unit_random_below(random, PRIORITY_IDLE + 1);

        (void)sched_test_ready(i, unit_random_below(random, 5) == 0 ? PRIORITY_IDLE : priority, rq);
        task->fair_lag = (int64_t)unit_random_below(random, 100) - 50;
        if (unit_random_below(random, 3) == 0) {
            cpumask_set_single(&task->affinity, rq->cpu.id);
            task->is_pinned = true;
        }
        where[i] = rq;
        is_misplaced[i] = unit_random_below(random, 8) == 0;
        enum enqueue_kind kind = some_kind(random, task);

        if (kind != ENQUEUE_WOKEN)
            class_fair_sort(rq); /* as who queued the last one; but there are looks at the queue before */
        if (is_misplaced[i])
            runq_misplace(rq, task);
        else
            runq_enqueue(rq, task, kind);
    } else if (unit_random_below(random, 2) == 0) {
        runq_dequeue(where[i], task);
        leave(i);
    } else {
        struct task *picked = runq_pick(rq);

        if (picked == NULL) {
            assert_int_equal(rq->ready_classes, 0);
            return;
        }
        check_picked(rq, picked);
        class_fair_sort(rq); /* as after each switch: it may come to the other queue next */
        if (picked->class->block != NULL)
            picked->class->block(rq, picked);
        leave((unsigned)(picked - sched_test.task));
    }
}

static void counts_equal_lists_under_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct unit_random random = { seed };

        for (unsigned step = 0; step < 2000; step++) {
            random_step(&random);
            check_against_model(&sched_test.rq[step % 2]);
        }
        for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) {
            if (where[i] != NULL)
                runq_dequeue(where[i], &sched_test.task[i]);
            leave(i);
        }
        check_against_model(&sched_test.rq[0]);
        check_against_model(&sched_test.rq[1]);
    }
}

static void an_empty_queue_has_nothing_to_pick(void **state)
{
    (void)state;
    assert_null(runq_pick(&sched_test.rq[0]));
    runq_misplace(&sched_test.rq[0], sched_test_ready(0, 60, &sched_test.rq[0]));
    assert_null(runq_pick(&sched_test.rq[0]));
    runq_dequeue(&sched_test.rq[0], &sched_test.task[0]);
}

static void on_one_cpu_nothing_is_movable(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    runq_enqueue(rq, sched_test_ready(0, 60, rq), ENQUEUE_WOKEN);
    assert_int_equal(load_relaxed(&rq->movable_count), 0);
    assert_ptr_equal(runq_pick(rq), &sched_test.task[0]);
    class_fair.block(rq, &sched_test.task[0]);
}

/* Each count and list, damaged in turn: the check sees it. */
static void damage(void *arg)
{
    struct runq *rq = &sched_test.rq[0];

    runq_enqueue(rq, sched_test_ready(0, 10, rq), ENQUEUE_WOKEN);
    runq_enqueue(rq, sched_test_ready(1, 60, rq), ENQUEUE_WOKEN);
    runq_enqueue(rq, sched_test_ready(2, 99, rq), ENQUEUE_WOKEN);
    runq_enqueue(rq, sched_test_ready(3, 60, rq), ENQUEUE_WOKEN);
    runq_enqueue(rq, sched_test_ready(4, 30, rq), ENQUEUE_WOKEN); /* due earlier: it belongs into the tree */
    class_fair_sort(rq);
    cpumask_set_single(&cpu_live_mask, 0); /* the others cannot be told to stop */
    runq_check(rq);
    switch ((uintptr_t)arg) {
    case 0:
        store_relaxed(&rq->queued, 6);
        break;
    case 1:
        rq->rt.bitmap[1] |= 1;
        break;
    case 2:
        rq->rt.bitmap[sched_test.task[0].rt_level / 64] = 0;
        break;
    case 3:
        rq->ready_classes &= ~(1u << CLASS_FAIR);
        break;
    case 4:
        store_relaxed(&rq->movable_count, 4);
        break;
    case 5:
        list_remove(&sched_test.task[2].queue_link);
        break;
    case 6:
        list_remove(&sched_test.task[1].queue_link);
        break;
    case 7:
        rq->fair.excess++;
        break;
    case 8:
        rq->fair.weights--;
        break;
    case 9:
        sched_test.task[4].fair_least--;
        break;
    case 10:
        sched_test.task[3].fair_vruntime--;
        break;
    default:
        rq->fair.tree.first = NULL;
        break;
    }
    runq_check(rq);
}

static void runq_check_sees_each_kind_of_damage(void **state)
{
    (void)state;
    for (uintptr_t kind = 0; kind < 12; kind++)
        assert_panics(damage, (void *)kind, "assertion failed");
}

/* At the last of so many switches on a queue of 40. */
static void switch_with_damage(void *arg)
{
    struct runq *rq = &sched_test.rq[0];

    for (unsigned i = 0; i < 40; i++)
        runq_enqueue(rq, sched_test_ready(i, PRIORITY_DEFAULT, rq), ENQUEUE_WOKEN);
    rq->ready_classes |= 1u << CLASS_RT;
    spin_lock_irqoff(&rq->lock);
    for (unsigned i = 0; i < *(const unsigned *)arg; i++)
        runq_check_switch(rq);
    rq->ready_classes &= ~(1u << CLASS_RT);
    spin_unlock_irqoff(&rq->lock);
}

static void damage_of_a_long_queue_is_seen_within_a_few_switches(void **state)
{
    static unsigned switches[] = { 2, 3 };

    (void)state;
    assert_true(host_unit_returns_forked(switch_with_damage, &switches[0], &sched_test_result));
    assert_panics(switch_with_damage, &switches[1], "assertion failed");
}

static void time_is_charged_to_whoever_runs(void **state)
{
    struct runq *rq = &sched_test.rq[0];
    uint64_t start = hal_clock_ticks();

    (void)state;
    runq_account(rq, start);
    uint64_t idle = rq->stats.idle_ticks;

    runq_account(rq, start + 100);
    assert_int_equal(rq->stats.idle_ticks, idle + 100);
    for (int priority = 0; priority <= PRIORITY_IDLE; priority++) {
        struct task *task = sched_test_ready(0, priority, rq);

        sched_test_run(rq, task);
        task->since_ticks = 5000;
        task->slice_left_ticks = 1000;
        runq_account(rq, 5400);
        runq_account(rq, 5400); /* nothing has passed since */
        assert_int_equal(task->stats.run_ticks, 400);
        assert_int_equal(task->since_ticks, 5400);
        if (task->class == &class_rt)
            assert_int_equal(task->slice_left_ticks, 600);
        sched_test_stop(rq);
    }
    assert_int_equal(rq->stats.idle_ticks, idle + 100);
}

/* Does a task that is queued here make the CPU look? */
static bool disturbs(int running_priority, enum sched_policy policy, int queued_priority)
{
    struct runq *rq = &sched_test.rq[0];
    struct task *running = sched_test_ready(0, running_priority, rq);
    struct task *queued = sched_test_ready(1, queued_priority, rq);

    if (running->class == &class_rt)
        running->policy = policy;
    running->slice_left_ticks = 1000;
    sched_test_run(rq, running);
    store_relaxed(&rq->cpu.need_resched, false);
    store_relaxed(&rq->cpu.slice_deadline_ticks, TIME_NEVER);
    runq_enqueue(rq, queued, ENQUEUE_WOKEN);
    runq_notice(rq, queued);
    bool noticed = load_relaxed(&rq->cpu.need_resched);

    runq_dequeue(rq, queued);
    sched_test_stop(rq);
    return noticed;
}

static unsigned class_rank(int priority)
{
    return priority <= PRIORITY_REALTIME_LOW ? priority_rt_level(priority)
           : priority < PRIORITY_IDLE        ? 1000
                                             : 2000;
}

/* Real-time preempts normal, strictly higher real-time preempts lower, everything preempts the idle class; otherwise
 * the running task goes on and gets a timer for the end of its slice, unless it is FIFO. */
static void a_queued_task_disturbs_only_less_urgent_ones(void **state)
{
    (void)state;
    for (int running = 0; running <= PRIORITY_IDLE; running += 3)
        for (int queued = 0; queued <= PRIORITY_IDLE; queued += 3) {
            bool is_peer = class_rank(queued) == class_rank(running);

            assert_int_equal(disturbs(running, SCHED_POLICY_RR, queued), class_rank(queued) < class_rank(running));
            /* A peer waits for the end of the slice, so a timer was set; nobody else does. */
            assert_int_equal(load_relaxed(&sched_test.rq[0].cpu.slice_deadline_ticks) != TIME_NEVER, is_peer);
        }
}

static void a_fifo_task_is_not_timed_for_its_peers(void **state)
{
    (void)state;
    assert_false(disturbs(PRIORITY_REALTIME_NORMAL, SCHED_POLICY_FIFO, PRIORITY_REALTIME_NORMAL));
    assert_true(load_relaxed(&sched_test.rq[0].cpu.slice_deadline_ticks) == TIME_NEVER);
    assert_true(disturbs(PRIORITY_REALTIME_NORMAL, SCHED_POLICY_FIFO, PRIORITY_REALTIME_HIGH));
}

static void an_idle_cpu_is_disturbed_by_anything(void **state)
{
    struct runq *rq = &sched_test.rq[0];

    (void)state;
    for (int priority = 0; priority <= PRIORITY_IDLE; priority++) {
        struct task *task = sched_test_ready(0, priority, rq);

        store_relaxed(&rq->cpu.need_resched, false);
        runq_enqueue(rq, task, ENQUEUE_WOKEN);
        runq_notice(rq, task);
        assert_true(load_relaxed(&rq->cpu.need_resched));
        runq_dequeue(rq, task);
    }
}

static void the_second_lock_is_taken_upwards_or_by_a_try(void **state)
{
    struct runq *low = &sched_test.rq[0];
    struct runq *high = &sched_test.rq[2];

    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        struct runq *held = turn == 0 ? low : high;
        struct runq *other = turn == 0 ? high : low;

        spin_lock_irqoff(&held->lock);
        assert_true(runq_lock_second(held, other));
        assert_true(spin_is_held_here(&held->lock) && spin_is_held_here(&other->lock));
        spin_unlock_irqoff(&held->lock);
        spin_unlock_irqoff(&other->lock);
    }
}

static void the_queue_that_a_task_names_is_locked(void **state)
{
    struct task *task = sched_test_ready(0, 60, &sched_test.rq[3]);

    (void)state;
    assert_ptr_equal(runq_lock_of(task), &sched_test.rq[3]);
    assert_true(spin_is_held_here(&sched_test.rq[3].lock));
    spin_unlock_irqoff(&sched_test.rq[3].lock);
}

/* Two CPUs, each with its own queue locked, go for the other's at once: no deadlock, and "false"
 * exactly when the caller may have been overtaken. */
static struct {
    struct runq rq[2];
    struct task task[2];
    unsigned generation[2]; /* guarded by rq[i].lock: counts its critical sections */
    unsigned overtaken;
} team;

static void lock_both(cpu_id_t cpu, void *arg)
{
    struct runq *own = &team.rq[cpu];
    struct runq *other = &team.rq[1 - cpu];

    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        spin_lock_irqoff(&own->lock);
        unsigned before = ++team.generation[cpu];

        if (runq_lock_second(own, other))
            ASSERT(team.generation[cpu] == before);
        else
            team.overtaken += team.generation[cpu] != before;
        ASSERT(spin_is_held_here(&own->lock) && spin_is_held_here(&other->lock));
        team.generation[0]++;
        team.generation[1]++;
        spin_unlock_irqoff(&other->lock);
        spin_unlock_irqoff(&own->lock);
    }
}

static void two_cpus_lock_each_others_queues_without_deadlock(void **state)
{
    unsigned overtaken = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct task *tasks[2] = { &team.task[0], &team.task[1] };
        const struct host_team host_team = { .tasks = tasks, .body = lock_both };
        struct host_config config = { .cpus = 2, .seed = seed, .max_steps = 200000, .memory_bytes = 4 << 20 };

        memset(&team, 0, sizeof team);
        for (unsigned i = 0; i < 2; i++) {
            team.rq[i].cpu.id = i;
            spin_init(&team.rq[i].lock, LOCK_RUNQ);
            store_relaxed(&team.task[i].base.cpu, &team.rq[i].cpu);
        }
        if (host_team_run(&config, &host_team, &sched_test_result) != 0) {
            host_result_print(&config, &sched_test_result);
            fail();
        }
        overtaken += team.overtaken != 0;
    }
    assert_true(overtaken > 10); /* the hard case was met */
}

static void cpu_memory_begins_with_the_cpu(void **state)
{
    (void)state;
    assert_true(sched_cpu_bytes() >= sizeof(struct runq));
    for (cpu_id_t id = 0; id < SCHED_TEST_CPUS; id++) {
        struct cpu *cpu = cpu_table[id];

        assert_ptr_equal(cpu, &sched_test.rq[id]);
        assert_true(cpu->id == id && cpu->hw_id == 100 + id && cpu->idle_task == &sched_test.idle[id]);
        assert_int_equal(cpu->idle_task->state, TASK_RUNNING);
        assert_true(cpu->idle_task->is_pinned && cpumask_contains(&cpu->idle_task->affinity, id));
        assert_int_equal(load_relaxed(&sched_test.rq[id].running_rank), RANK_NOTHING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_smp_test(counts_equal_lists_under_random_operations),
        sched_smp_test(an_empty_queue_has_nothing_to_pick),
        sched_unit_test(on_one_cpu_nothing_is_movable),
        sched_smp_test(runq_check_sees_each_kind_of_damage),
        sched_unit_test(damage_of_a_long_queue_is_seen_within_a_few_switches),
        sched_unit_test(time_is_charged_to_whoever_runs),
        sched_unit_test(a_queued_task_disturbs_only_less_urgent_ones),
        sched_unit_test(a_fifo_task_is_not_timed_for_its_peers),
        sched_unit_test(an_idle_cpu_is_disturbed_by_anything),
        sched_smp_test(the_second_lock_is_taken_upwards_or_by_a_try),
        sched_smp_test(the_queue_that_a_task_names_is_locked),
        cmocka_unit_test(two_cpus_lock_each_others_queues_without_deadlock),
        sched_smp_test(cpu_memory_begins_with_the_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
