/* SPDX-License-Identifier: MIT */
/* What the tests of the fair class share: tasks of any weight and slice on the first run queue, and turns. */
#pragma once

#include "sched_test.h"

#define RQ (&sched_test.rq[0])
#define OTHER (&sched_test.rq[1])
#define SLICE (sched_tunables.fair_slice_ticks)
#define TICK (1 << 20) /* in units of lag */

/* Virtual clocks at which everything must work the same. */
static const uint64_t epochs[] = {
    0, 1000000, INT64_MAX - UINT64_C(1000000), (uint64_t)INT64_MAX + 5, UINT64_MAX - 1000000, UINT64_MAX,
};

static inline struct task *fair_task(unsigned i, int nice, uint64_t slice_ticks)
{
    struct task *task = sched_test_ready(i, PRIORITY_DEFAULT, RQ);
    const struct sched_params params = { .policy = SCHED_POLICY_FAIR, .nice = (int8_t)nice };

    policy_apply(task, &params, PRIORITY_DEFAULT);
    if (slice_ticks != 0) {
        task->slice_ticks = slice_ticks;
        task->fair_request = class_fair_virtual(task, slice_ticks);
    }
    return task;
}

static inline struct task *started(unsigned i, int nice, uint64_t slice_ticks)
{
    struct task *task = fair_task(i, nice, slice_ticks);

    class_fair.enqueue(RQ, task, ENQUEUE_STARTED);
    return task;
}

/* What a competing task is owed, in units of lag, to a rounding of its weight. */
static inline int64_t lag_of(const struct task *task)
{
    return (int64_t)(RQ->fair.vtime - task->fair_vruntime) * task->fair_weight;
}

static inline bool is_near(int64_t a, int64_t b)
{
    return a - b <= TICK && b - a <= TICK;
}

static inline struct task *run_next(void)
{
    struct task *task = class_fair.pick(RQ);

    RQ->running = task;
    class_fair_sort(RQ); /* as after each switch */
    return task;
}

/* The next task runs, for `ticks` at most; then it steps aside. */
static inline struct task *run_for(uint64_t ticks, enum enqueue_kind kind, uint64_t *out_ran)
{
    struct task *task = run_next();
    uint64_t ran = MIN(class_fair.slice(RQ, task), ticks);

    class_fair.account(RQ, task, ran);
    class_fair.enqueue(RQ, task, kind);
    RQ->running = RQ->cpu.idle_task;
    *out_ran = ran;
    return task;
}

static inline void end_run(enum enqueue_kind kind)
{
    class_fair.enqueue(RQ, RQ->running, kind);
    RQ->running = RQ->cpu.idle_task;
}

static inline void empty_queue(unsigned tasks)
{
    for (unsigned i = 0; i < tasks; i++)
        class_fair.dequeue(RQ, &sched_test.task[i]);
}
