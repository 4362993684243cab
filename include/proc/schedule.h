/* SPDX-License-Identifier: MIT */
/*
 * Scheduling of programs' threads, with the rights that sched(7) and setpriority(2) ask for: the caller's effective
 * user id is the thread's real or effective one, or it has CAP_SYS_NICE, without which the limits RLIMIT_NICE and
 * RLIMIT_RTPRIO hold, too. A thread id of 0 is the caller's. -ESRCH: there is no such thread. Context: task, may sleep.
 */
#pragma once

#include <k/cpumask.h>
#include <sched/params.h>

int thread_policy_get(tid_t tid, struct sched_params *out) MUST_USE;

/* -EPERM; others as task_set_params(). */
int thread_policy_set(tid_t tid, const struct sched_params *params) MUST_USE;

/* What Linux knows of a policy and the scheduler does not: SCHED_BATCH, which is fair here; SCHED_RESET_ON_FORK, which
 * clone(2) looks at. With the policy they are set; -EPERM, too: RESETS is taken away without CAP_SYS_NICE. */
#define THREAD_MARK_BATCH 0x1u
#define THREAD_MARK_RESETS 0x2u
int thread_marks_get(tid_t tid, uint32_t *out) MUST_USE;
int thread_policy_set_marked(tid_t tid, const struct sched_params *params, uint32_t marks) MUST_USE;

/* How long it runs in one go while others wait; 0: as long as it likes. */
int thread_slice_get(tid_t tid, uint64_t *out_ns) MUST_USE;

/* -EPERM; others as task_set_affinity(). */
int thread_affinity_get(tid_t tid, struct cpumask *out) MUST_USE;
int thread_affinity_set(tid_t tid, const struct cpumask *mask) MUST_USE;

/* Whose nice value: PRIO_PROCESS (a thread, as on Linux), PRIO_PGRP, PRIO_USER. `who` 0: the caller's. */
enum nice_kind { NICE_THREAD, NICE_GROUP, NICE_USER };

/* Of all of them; those of other classes have none, and are passed over. -EACCES: lower than RLIMIT_NICE allows;
 * -EPERM. */
int nice_set(enum nice_kind kind, int32_t who, int nice) MUST_USE;

/* The lowest of them. */
int nice_get(enum nice_kind kind, int32_t who, int *out_nice) MUST_USE;
