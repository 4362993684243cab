/* SPDX-License-Identifier: MIT */
/* core/sched/class_rt.c against one plain array per level. */
#include "sched_test.h"

#define RQ (&sched_test.rq[0])

/* The model: indices of tasks, in the order in which they must be picked. */
static struct {
    unsigned at[RT_LEVELS][SCHED_TEST_TASKS];
    unsigned count[RT_LEVELS];
} model;

static unsigned level_of(unsigned i)
{
    return sched_test.task[i].rt_level;
}

static void model_push(unsigned i, bool front)
{
    unsigned level = level_of(i);
    unsigned at = front ? 0 : model.count[level];

    memmove(&model.at[level][at + 1], &model.at[level][at], (model.count[level] - at) * sizeof model.at[level][0]);
    model.at[level][at] = i;
    model.count[level]++;
}

static void model_remove(unsigned i)
{
    unsigned level = level_of(i);
    unsigned at = 0;

    while (model.at[level][at] != i)
        at++;
    model.count[level]--;
    memmove(&model.at[level][at], &model.at[level][at + 1], (model.count[level] - at) * sizeof model.at[level][0]);
}

static unsigned model_pick(void)
{
    for (unsigned level = 0; level < RT_LEVELS; level++)
        if (model.count[level] > 0) {
            unsigned i = model.at[level][0];

            model_remove(i);
            return i;
        }
    fail();
    return 0;
}

static void check_bitmap(void)
{
    bool any = false;

    for (unsigned level = 0; level < RT_LEVELS; level++) {
        unsigned listed = 0;

        list_for_each(node, &RQ->rt.level[level])
            assert_int_equal(list_entry(node, struct task, queue_link) - sched_test.task, model.at[level][listed++]);
        assert_int_equal(listed, model.count[level]);
        any = any || listed != 0;
        assert_int_equal(RQ->rt.bitmap[level / 64] >> (level % 64) & 1, model.count[level] != 0);
    }
    assert_int_equal(RQ->ready_classes, any ? 1u << CLASS_RT : 0);
}

static void random_queues_match_a_list_per_level(void **state)
{
    static const enum enqueue_kind kinds[] = {
        ENQUEUE_STARTED, ENQUEUE_WOKEN, ENQUEUE_PREEMPTED, ENQUEUE_YIELDED, ENQUEUE_MOVED,
    };
    struct unit_random random = { 5 };
    bool queued[SCHED_TEST_TASKS] = { false };
    unsigned in = 0;

    (void)state;
    memset(&model, 0, sizeof model);
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        (void)sched_test_ready(i, 0, RQ);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)unit_random_below(&random, SCHED_TEST_TASKS);
        struct task *task = &sched_test.task[i];

        if (!queued[i]) {
            enum enqueue_kind kind = kinds[unit_random_below(&random, ARRAY_COUNT(kinds))];

            /* Many on few levels, and now and then any. */
            task->rt_level = (uint8_t)(unit_random_below(&random, 2) == 0 ? 62 + unit_random_below(&random, 4)
                                                                          : unit_random_below(&random, RT_LEVELS));
            task->policy = unit_random_below(&random, 2) == 0 ? SCHED_POLICY_RR : SCHED_POLICY_FIFO;
            task->slice_left_ticks = unit_random_below(&random, 3) * 5;
            uint64_t slice = task->slice_left_ticks;
            bool keeps_turn = kind == ENQUEUE_PREEMPTED && (task->policy == SCHED_POLICY_FIFO || slice != 0);

            /* FIFO tasks have no slice: the number stays what it is. */
            if (task->policy == SCHED_POLICY_RR && !keeps_turn && (slice == 0 || kind == ENQUEUE_YIELDED))
                slice = sched_tunables.rr_slice_ticks;
            class_rt.enqueue(RQ, task, kind);
            model_push(i, keeps_turn);
            assert_int_equal(task->slice_left_ticks, slice);
            queued[i] = true;
            in++;
        } else if (unit_random_below(&random, 2) == 0) {
            class_rt.dequeue(RQ, task);
            model_remove(i);
            queued[i] = false;
            in--;
        } else {
            unsigned wanted = model_pick();

            assert_ptr_equal(class_rt.pick(RQ), &sched_test.task[wanted]);
            queued[wanted] = false;
            in--;
        }
        if (step % 16 == 0)
            check_bitmap();
    }
    while (in-- > 0)
        assert_ptr_equal(class_rt.pick(RQ), &sched_test.task[model_pick()]);
    check_bitmap();
}

static void every_level_is_found_and_lower_levels_run_first(void **state)
{
    (void)state;
    for (unsigned level = RT_LEVELS; level-- > 0;) {
        struct task *task = sched_test_ready(level % SCHED_TEST_TASKS, 0, RQ);

        task->rt_level = (uint8_t)level;
        class_rt.enqueue(RQ, task, ENQUEUE_WOKEN);
        if (level % SCHED_TEST_TASKS == 0)
            for (unsigned next = level; next < level + SCHED_TEST_TASKS && next < RT_LEVELS; next++)
                assert_int_equal(class_rt.pick(RQ)->rt_level, next);
    }
    assert_true(RQ->rt.bitmap[0] == 0 && RQ->rt.bitmap[1] == 0);
}

static void a_slice_ends_only_for_round_robin_with_a_peer(void **state)
{
    struct task *running = sched_test_ready(0, PRIORITY_REALTIME_NORMAL, RQ);
    struct task *other = sched_test_ready(1, PRIORITY_REALTIME_LOW, RQ);
    struct task *peer = sched_test_ready(2, PRIORITY_REALTIME_NORMAL, RQ);

    (void)state;
    running->slice_left_ticks = 77;
    assert_int_equal(running->policy, SCHED_POLICY_RR);
    assert_true(class_rt.slice(RQ, running) == TIME_NEVER);
    class_rt.enqueue(RQ, other, ENQUEUE_WOKEN); /* of another level: it waits in any case */
    assert_true(class_rt.slice(RQ, running) == TIME_NEVER);
    class_rt.enqueue(RQ, peer, ENQUEUE_WOKEN);
    assert_int_equal(class_rt.slice(RQ, running), 77);
    running->policy = SCHED_POLICY_FIFO;
    assert_true(class_rt.slice(RQ, running) == TIME_NEVER);
    class_rt.dequeue(RQ, other);
    class_rt.dequeue(RQ, peer);
}

static void a_slice_is_used_up_and_no_further(void **state)
{
    struct task *task = sched_test_ready(0, PRIORITY_REALTIME_NORMAL, RQ);

    (void)state;
    task->slice_left_ticks = 100;
    class_rt.account(RQ, task, 30);
    assert_int_equal(task->slice_left_ticks, 70);
    class_rt.account(RQ, task, UINT64_MAX);
    assert_int_equal(task->slice_left_ticks, 0);
}

/* Hazard 18: interrupted every few ticks, each of the peers still gets its whole slice before the next one's turn. */
static void a_frequently_preempted_task_keeps_its_turn(void **state)
{
    unsigned turns[3] = { 0 };
    uint64_t ran[3] = { 0 };
    uint64_t part = sched_tunables.rr_slice_ticks / 7;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        class_rt.enqueue(RQ, sched_test_ready(i, PRIORITY_REALTIME_NORMAL, RQ), ENQUEUE_WOKEN);
    for (unsigned step = 0; step < 8 * 3 * 10; step++) {
        struct task *task = class_rt.pick(RQ);
        unsigned i = (unsigned)(task - sched_test.task);

        ran[i] += MIN(part, task->slice_left_ticks);
        class_rt.account(RQ, task, part);
        turns[i] += task->slice_left_ticks == 0;
        class_rt.enqueue(RQ, task, ENQUEUE_PREEMPTED);
        for (unsigned j = 0; j < 3; j++)
            assert_true(turns[j] + 1 >= turns[0] && turns[0] + 1 >= turns[j]);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(turns[i], 10);
        assert_int_equal(ran[i], 10 * sched_tunables.rr_slice_ticks);
        class_rt.dequeue(RQ, &sched_test.task[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sched_unit_test(random_queues_match_a_list_per_level),
        sched_unit_test(every_level_is_found_and_lower_levels_run_first),
        sched_unit_test(a_slice_ends_only_for_round_robin_with_a_peer),
        sched_unit_test(a_slice_is_used_up_and_no_further),
        sched_unit_test(a_frequently_preempted_task_keeps_its_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
