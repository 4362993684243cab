/* SPDX-License-Identifier: MIT */
/*
 * How a task is scheduled, in the terms of its policy. sched/priority.h maps the one scale of the kernel onto this, and
 * docs/PRIORITIES.md Linux's policies.
 */
#pragma once

#include <stdint.h>

#include <k/compiler.h>
#include <sched/classes.h>

struct task;

/* The real-time class has two; FIFO is 0. The others have one each: sched/classes.h. */
#define SCHED_POLICY_ID(id, name) SCHED_POLICY_##id,
enum sched_policy {
    SCHED_POLICY_FIFO,
    SCHED_POLICY_RR,
    SCHED_CLASSES(SCHED_LIST_NOTHING, SCHED_POLICY_ID) SCHED_POLICY_COUNT
};
#undef SCHED_POLICY_ID

#define NICE_MIN (-20)
#define NICE_MAX 19

/* A fair task's slice: what it asks for, in virtual time of its queue. */
#define SCHED_SLICE_NS_MIN (UINT64_C(100) * 1000)
#define SCHED_SLICE_NS_MAX (UINT64_C(100) * 1000 * 1000)

/* Of a deadline task: runtime <= deadline <= period. A runtime is rounded down to the clock's ticks, and is one at
 * least: else -EINVAL. */
#define SCHED_DEADLINE_RUNTIME_NS_MIN (UINT64_C(10) * 1000)
#define SCHED_DEADLINE_NS_MIN (UINT64_C(100) * 1000)              /* of deadline and period */
#define SCHED_DEADLINE_NS_MAX (UINT64_C(10) * 1000 * 1000 * 1000) /* the same */

struct sched_params {
    enum sched_policy policy;
    uint8_t rt_level;  /* FIFO, RR: 0..99, 0 most urgent; else 0 */
    int8_t nice;       /* FAIR, and classes that say so: NICE_MIN..NICE_MAX; else 0 */
    uint64_t slice_ns; /* FAIR, RR, the same: SCHED_SLICE_NS_MIN..MAX, or 0: the system's; else 0 */
    /* DEADLINE: up to so much run time, by a deadline after the beginning of each period; else 0. */
    uint64_t runtime_ns;
    uint64_t deadline_ns;
    uint64_t period_ns; /* 0: the deadline */
};

/* What a priority of the scale (sched/priority.h) means; real-time ones are round robin. `priority` is valid. */
void sched_params_of_priority(int priority, struct sched_params *out);

/* The nearest number of the scale, for people to read. */
int sched_params_priority(const struct sched_params *params);

/* Change how `task`, in any state, is scheduled: effective before the call returns. -EINVAL: a field is out of its
 * range, or not 0 where the policy has no use for it. -ESRCH: dead. -EBUSY: no CPU of its affinity has room for a
 * deadline task of these numbers. Nothing has changed then. A task that becomes a deadline task runs from now on only
 * on the CPU that has room for it, and has moved there. Context: task, may sleep. */
int task_set_params(struct task *task, const struct sched_params *params) MUST_USE;
void task_get_params(struct task *task, struct sched_params *out); /* Context: any, no run-queue lock held. */
