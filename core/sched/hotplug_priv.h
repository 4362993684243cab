/* SPDX-License-Identifier: MIT */
/* What hotplug.c and the rest of the room need of each other, and changes of affinity. */
#pragma once

#include "sched_priv.h"

#define CPU_STAYS 0u /* the boot CPU never goes off */

/* The task's affinity is `mask` from here on, and an online CPU of it will be there as long as that stays so. -EINVAL:
 * there is none, nothing has changed. The task is NEW, or the lock of its run queue is held. */
int anchor_change(struct task *task, const struct cpumask *mask);
void anchor_drop(struct task *task); /* no more */

/* The usual case of a task that begins: it may run on the boot CPU, which stays, so there is nothing to write down. */
static ALWAYS_INLINE bool anchor_is_needless(const struct task *task)
{
    _Static_assert(CPU_STAYS == 0, "a bit of the first word");
    return (task->affinity.word[0] & cpumask_word(&cpu_online_mask, 0) & 1) != 0 && !task->is_anchored;
}

/* There is somebody to steal from, and this CPU does not go off. */
static ALWAYS_INLINE bool may_steal(const struct runq *rq)
{
    return load_relaxed(&cpu_started_count) > 1 && cpu_is_online(rq->cpu.id);
}

[[noreturn]] void hotplug_leave(struct runq *rq); /* the CPU is STOPPING: from its idle loop, for ever */

/* affinity.c: who waits for a task to have left a CPU. */
extern struct waitq affinity_moved;

/* affinity.c: a change of the CPUs that a task may use, in steps for whoever changes more than that. */
struct affinity_rest {
    struct runq *push_from; /* misplaced there: to be pushed without a lock; NULL: not */
    bool must_wait;         /* it runs or waits where it may not */
    bool is_queued;         /* where it was, and its CPU has yet to notice: affinity_unlock() */
};
/* The mask itself, which has an online CPU, of a task in no class queue: the caller holds the books, and the task is,
 * or was, booked there. */
void affinity_set_locked(struct runq *rq, struct task *task, const struct cpumask *mask) REQUIRES(rq->lock);
/* The mask and what follows from it, as the last step under the lock. A task that was queued, and was taken out for the
 * change, is put back, or among the misplaced ones; one that runs where it may not is asked to leave. */
void affinity_change_locked(struct runq *rq, struct task *task, const struct cpumask *mask, bool was_queued,
                            struct affinity_rest *out) REQUIRES(rq->lock);
void affinity_unlock(struct runq *rq, struct task *task, const struct affinity_rest *rest) RELEASES(rq->lock)
    NO_LOCK_ANALYSIS; /* the end of that section, and a hold of its own for what is left to do */
/* Wait until the task is where it may be: 0. Context: task, no lock held. */
int affinity_settle(struct task *task, const struct affinity_rest *rest);
