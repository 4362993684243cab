/* SPDX-License-Identifier: MIT */
/* The task object: initial state and references. Owns no lock; the count is atomic. */
#include <sched/task.h>

#include <lib/string.h>

#include "sched_priv.h"

static void (*task_release)(struct task *task);

const char *task_state_name(enum task_state state)
{
    static const char *const names[] = { "new", "ready", "running", "blocked", "sleeping", "stopped", "dead" };

    return (unsigned)state < ARRAY_COUNT(names) ? names[state] : "?";
}

/* Where a task enters on its first run: switch.c. */
void task_first_run(void *task);

/* The fields from `first` up to `end`, which are few: so it becomes a row of stores, as wide as `first` is aligned. */
#define OFFSET(field) offsetof(struct task, field)
#define CLEAR(task, first, end)                                                                           \
    __builtin_memset_inline(__builtin_assume_aligned((char *)(task) + OFFSET(first), OFFSET(first) % 8 == 0 ? 8 : 4), \
                            0, OFFSET(end) - OFFSET(first))

/* What the struct says is cleared. The rest is set below, by the policy, or before its first use. */
static ALWAYS_INLINE void clear(struct task *task)
{
    _Static_assert(TASK_NEW == 0, "a new task's state");
    task->base.preempt_count = 0;
    task->base.lock_depth = 0;
    CLEAR(task, state, queue_link);
    CLEAR(task, is_woken, fair_vruntime);
    CLEAR(task, fair_lag, fair_left_vtime);
    CLEAR(task, slice_left_ticks, stats);
    CLEAR(task, stats, waits_on);
    CLEAR(task, waits_on, pi);
    CLEAR(task, pi, refs);
    CLEAR(task, notices, exit_waiters);
    CLEAR(task, has_exited, tid);
    CLEAR(task, user_stack, space);
}

/* Inline in what creates a task, which has the parameters in registers. */
ALWAYS_INLINE void task_init(struct task *task, const struct task_params *params)
{
    ASSERT(priority_is_valid(params->priority));
    ASSERT(params->entry != NULL && params->stack_bytes != 0);
    clear(task);
    store_relaxed(&task->base.cpu, this_cpu()); /* a NEW task is guarded by its creator's run queue */
    list_init(&task->queue_link);
    list_init(&task->movable_link);
    store_relaxed(&task->refs, 1);
    waitq_init(&task->exit_waiters);
    spin_init(&task->pi.lock, LOCK_PI);
    task->pi.inherited = SCHED_URGENCY_NONE;
    policy_init(task, params->priority);
    if (params->affinity != NULL)
        task->affinity = *params->affinity;
    else
        cpumask_set_all(&task->affinity);
    if (params->affinity != NULL)
        task_note_pinned(task);
    task->tid = params->tid;
    task->pid = params->pid;
    task->parent_tid = params->parent_tid;
    (void)str_copy(task->name, params->name, sizeof task->name);
    task->entry = params->entry;
    task->arg = params->arg;
    task->stack_base = params->stack_base;
    task->stack_bytes = params->stack_bytes;
    task->space = params->space;
    task->fpu_area = params->fpu_area;
    task->has_extras = params->space != NULL || params->fpu_area != NULL;
    hal_context_init(&task->base.context, params->stack_base + params->stack_bytes - params->stack_reserved,
                     params->stack_bytes - params->stack_reserved, task_first_run, task);
    trace(TRACE_TASK_INIT, task, (uint64_t)task->tid);
}

void task_set_release(void (*release)(struct task *task))
{
    ASSERT(task_release == NULL);
    task_release = release;
}

void task_get(struct task *task)
{
    uint32_t before = fetch_add_relaxed(&task->refs, 1); /* the caller's own reference keeps it alive */

    ASSERT(before != 0 && before < UINT32_MAX);
}

bool task_try_get(struct task *task)
{
    uint32_t refs = load_relaxed(&task->refs);

    while (refs != 0)
        if (cas_acquire(&task->refs, &refs, refs + 1)) /* PAIRS(task_ref) */
            return true;
    return false;
}

void task_put(struct task *task)
{
    /* PAIRS(task_ref): whatever a holder did to the task is done before it is released. */
    uint32_t before = fetch_sub_acq_rel(&task->refs, 1);

    ASSERT(before != 0);
    if (before == 1) {
        ASSERT(task_release != NULL);
        task_release(task);
    }
}
