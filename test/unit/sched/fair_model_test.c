/* SPDX-License-Identifier: MIT */
/*
 * core/sched/class_fair.c against the definitions: a list of tasks, walked in full at each step, and exact arithmetic
 * of 128 bits. Who is picked must be who the definitions say; the queue's clock must be the mean, rounded down; lags
 * must be kept as they say, but for rounding.
 */
#include "sched_test.h"

typedef __int128 wide;

#define WEIGHT_MAX 88818 /* nice -20 */

enum place { ABSENT, QUEUED, RUNS };

static struct model {
    enum place place[SCHED_TEST_TASKS];
    unsigned queue[SCHED_TEST_TASKS]; /* whose, or whose it was */
    bool was_there[SCHED_TEST_TASKS];
    wide lag[SCHED_TEST_TASKS];       /* of an absent one when it left, in ticks * 2^20 */
    uint64_t left_vtime[SCHED_TEST_TASKS];
    unsigned left_period[SCHED_TEST_TASKS];
    unsigned period[2];
    struct task *running[2];
    unsigned tasks;
} model;

static struct runq *queue_of(unsigned queue)
{
    return &sched_test.rq[queue];
}

static bool competes(unsigned i, unsigned queue)
{
    return model.place[i] != ABSENT && model.queue[i] == queue;
}

/* Sums over those who compete: of weights, and of weight * (v - vtime). */
static wide sums(unsigned queue, wide *out_weights)
{
    wide moment = 0;

    *out_weights = 0;
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        if (competes(i, queue)) {
            const struct task *task = &sched_test.task[i];

            *out_weights += task->fair_weight;
            moment += (wide)(int64_t)(task->fair_vruntime - queue_of(queue)->fair.vtime) * task->fair_weight;
        }
    return moment;
}

/* What a competing task is owed, in ticks * 2^20. */
static wide lag_of(const struct task *task, unsigned queue)
{
    wide weights;
    wide moment = sums(queue, &weights);
    wide behind = moment - (wide)(int64_t)(task->fair_vruntime - queue_of(queue)->fair.vtime) * weights;

    return behind * task->fair_weight / weights;
}

/* The clock is rounded to a unit, a tenth of a tick to the heaviest task; and so is the inverse of a weight. */
static bool is_rounding(wide away, wide lag)
{
    return (away < 0 ? -away : away) <= 4 * WEIGHT_MAX + (lag < 0 ? -lag : lag) / 20000;
}

static void check_clock(unsigned queue)
{
    wide weights;
    wide moment = sums(queue, &weights);

    assert_true(weights == queue_of(queue)->fair.weights);
    assert_true(moment == queue_of(queue)->fair.excess);
    assert_true(weights == 0 ? moment == 0 : moment >= 0 && moment < weights);
}

/* The definition: of those who are queued and have v <= V, the earliest deadline. */
static void check_picked(const struct task *picked, unsigned queue)
{
    wide weights;
    wide moment = sums(queue, &weights);
    unsigned eligible = 0;

    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) {
        const struct task *task = &sched_test.task[i];
        wide ahead = (int64_t)(task->fair_vruntime - queue_of(queue)->fair.vtime);

        if (model.place[i] != QUEUED || model.queue[i] != queue || ahead * weights > moment) {
            assert_ptr_not_equal(task, picked);
            continue;
        }
        eligible++;
        assert_true((int64_t)(picked->fair_deadline - task->fair_deadline) <= 0);
    }
    assert_true(eligible != 0);
}

static void goes(unsigned i)
{
    const struct task *task = &sched_test.task[i];
    wide bound = (wide)MIN(2 * task->slice_ticks, UINT64_C(1) << 25) << 20;
    wide lag = lag_of(task, model.queue[i]);

    model.lag[i] = MAX(MIN(lag, bound), -bound);
}

/* After `i` has gone: the clock is that of the others. */
static void has_gone(unsigned i)
{
    unsigned queue = model.queue[i];

    model.place[i] = ABSENT;
    model.left_vtime[i] = queue_of(queue)->fair.vtime;
    model.left_period[i] = model.period[queue];
    check_clock(queue);
}

/* What the definitions say that an absent one is owed by now. */
static wide kept(unsigned i)
{
    unsigned queue = model.queue[i];
    wide gone = (int64_t)(queue_of(queue)->fair.vtime - model.left_vtime[i]);

    if (model.left_period[i] != model.period[queue])
        return 0;
    return model.lag[i] > 0 ? model.lag[i]
                            : MIN(model.lag[i] + MAX(gone, (wide)0) * sched_test.task[i].fair_weight, (wide)0);
}

/* What the CPU that did the last thing here does next in the kernel, but as late as can be: so most looks at the queue
 * come in between. After a wake it may never happen. */
static void sort_late(unsigned queue)
{
    if (queue_of(queue)->after_switch != 0)
        class_fair_sort(queue_of(queue));
}

static void come(unsigned i, unsigned queue, enum enqueue_kind kind)
{
    struct task *task = &sched_test.task[i];
    struct fair_queue *fair = &queue_of(queue)->fair;
    bool is_first = fair->weights == 0;
    wide lag = kind == ENQUEUE_STARTED ? 0 : kept(i);
    uint64_t left = (uint64_t)task->fair_left_request;

    if (kind == ENQUEUE_STARTED && !is_first)
        lag = (wide)MAX(MIN((int64_t)(fair->vtime - fair->newcomer_vtime), 0), -2 * (int64_t)task->fair_request) *
              task->fair_weight;
    if (queue != model.queue[i] && kind != ENQUEUE_STARTED)
        class_fair.rebase(task, queue_of(model.queue[i]), queue_of(queue));
    store_relaxed(&task->base.cpu, &queue_of(queue)->cpu);
    model.queue[i] = queue;
    if (kind != ENQUEUE_WOKEN)
        sort_late(queue);
    class_fair.enqueue(queue_of(queue), task, kind);
    model.place[i] = QUEUED;
    check_clock(queue);
    wide away = lag_of(task, queue) - (is_first ? 0 : lag);

    if (!is_rounding(away, model.lag[i]))
        fail_msg("weight %u: comes with a lag that is %lld wrong of %lld", task->fair_weight, (long long)away,
                 (long long)lag);
    uint64_t asked = task->fair_deadline - task->fair_vruntime;

    assert_true(kind == ENQUEUE_MOVED ? asked >= 1 && asked <= task->fair_request : asked == task->fair_request);
    if (kind == ENQUEUE_MOVED && left < UINT64_C(1) << 60)
        assert_true(asked <= left / task->fair_weight * 20001 / 20000 + 2 || asked == task->fair_request);
}

static void change_params(unsigned i, struct unit_random *random)
{
    struct task *task = &sched_test.task[i];
    uint32_t weight = task->fair_weight;
    const struct sched_params params = {
        .policy = SCHED_POLICY_FAIR,
        .nice = (int8_t)(NICE_MIN + (int)unit_random_below(random, NICE_MAX - NICE_MIN + 1)),
        .slice_ns = unit_random_below(random, 2) == 0 ? 0 : SCHED_SLICE_NS_MIN << unit_random_below(random, 9),
    };

    if (model.place[i] == QUEUED) {
        goes(i);
        class_fair.dequeue(queue_of(model.queue[i]), task);
        has_gone(i);
    }
    bool runs = model.place[i] == RUNS;
    wide lag = runs ? lag_of(task, model.queue[i]) : 0;

    policy_apply(task, &params, 60);
    if (runs) {
        class_fair.reweigh(queue_of(model.queue[i]), task, weight);
        wide bound = (wide)MIN(2 * task->slice_ticks, UINT64_C(1) << 25) << 20;
        wide away = lag_of(task, model.queue[i]) - MAX(MIN(lag, bound), -bound);

        assert_true(queue_of(model.queue[i])->fair.weights == task->fair_weight ||
                    is_rounding(away, lag));
        check_clock(model.queue[i]);
    }
}

/* The running task's turn ends somehow. */
static void end_turn(unsigned queue, struct unit_random *random)
{
    struct task *task = model.running[queue];
    unsigned i = (unsigned)(task - sched_test.task);
    struct runq *rq = queue_of(queue);
    unsigned how = (unsigned)unit_random_below(random, 8);
    uint64_t ran = unit_random_below(random, how == 0 ? 10 : 2 * task->slice_ticks);

    sort_late(queue);
    class_fair.account(rq, task, ran);
    check_clock(queue);
    assert_true((int64_t)(task->fair_deadline - task->fair_vruntime) > 0);
    rq->running = rq->cpu.idle_task;
    if (how < 2) {
        goes(i);
        class_fair.block(rq, task);
        model.period[queue] += rq->fair.weights == 0;
        has_gone(i);
    } else {
        uint64_t before = task->fair_vruntime;

        class_fair.enqueue(rq, task, how == 2 ? ENQUEUE_YIELDED : ENQUEUE_PREEMPTED);
        model.place[i] = QUEUED;
        check_clock(queue);
        assert_true(how == 2 ? (int64_t)(task->fair_vruntime - before) >= 0 : task->fair_vruntime == before);
        /* Who yields does not run next, if there is another. */
        if (how == 2 && rq->fair.weights != task->fair_weight)
            assert_true((int64_t)(task->fair_vruntime - rq->fair.vtime) > 0);
    }
    model.running[queue] = NULL;
}

static void step(struct unit_random *random)
{
    unsigned i = (unsigned)unit_random_below(random, model.tasks);
    unsigned queue = (unsigned)unit_random_below(random, 2);
    struct runq *rq = queue_of(queue);
    struct task *task = &sched_test.task[i];

    switch (unit_random_below(random, 6)) {
    case 0:
        if (model.place[i] == ABSENT && model.was_there[i])
            come(i, unit_random_below(random, 4) == 0 ? queue : model.queue[i], ENQUEUE_WOKEN);
        else if (model.place[i] == ABSENT)
            come(i, queue, ENQUEUE_STARTED);
        model.was_there[i] = true;
        break;
    case 1:
        if (unit_random_below(random, 4) == 0)
            change_params(i, random);
        if (model.place[i] == ABSENT && model.was_there[i])
            come(i, model.queue[i], ENQUEUE_MOVED);
        break;
    case 2:
        if (model.place[i] != QUEUED)
            break;
        goes(i); /* stolen, or its affinity changes */
        class_fair.dequeue(queue_of(model.queue[i]), task);
        has_gone(i);
        come(i, queue, ENQUEUE_MOVED);
        break;
    default:
        if (model.running[queue] != NULL)
            end_turn(queue, random);
        if ((rq->ready_classes & 1u << CLASS_FAIR) == 0)
            break;
        struct task *picked = class_fair.pick(rq);

        check_picked(picked, queue);
        model.place[picked - sched_test.task] = RUNS;
        model.running[queue] = picked;
        rq->running = picked;
    }
}

#define STEPS 1000000u

static void empty_all(void)
{
    for (unsigned i = 0; i < SCHED_TEST_TASKS; i++)
        if (model.place[i] == QUEUED)
            class_fair.dequeue(queue_of(model.queue[i]), &sched_test.task[i]);
    for (unsigned queue = 0; queue < 2; queue++)
        if (model.running[queue] != NULL)
            sched_test_stop(queue_of(queue));
    memset(&model, 0, sizeof model);
}

static void random_operations_follow_the_definitions(void **state)
{
    static const uint64_t epochs[] = { 0, INT64_MAX - UINT64_C(1000000000), UINT64_MAX - 5000000000, 1 };
    static const unsigned tasks[] = { 2, 5, 16, SCHED_TEST_TASKS };

    (void)state;
    for (unsigned e = 0; e < ARRAY_COUNT(epochs); e++) {
        struct unit_random random = { e };

        for (unsigned queue = 0; queue < 2; queue++)
            queue_of(queue)->fair.vtime = epochs[e] + queue * 12345678;
        model.tasks = tasks[e];
        for (unsigned i = 0; i < SCHED_TEST_TASKS; i++) {
            (void)sched_test_ready(i, 21 + (int)unit_random_below(&random, 78), queue_of(0));
        }
        for (unsigned n = 0; n < STEPS / ARRAY_COUNT(epochs); n++) {
            step(&random);
            if (n % 1024 == 0)
                for (unsigned queue = 0; queue < 2; queue++)
                    (void)class_fair.check(queue_of(queue), NULL);
        }
        empty_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { sched_unit_test(random_operations_follow_the_definitions) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
