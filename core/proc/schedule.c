/* SPDX-License-Identifier: MIT */
/* Who may change how a thread is scheduled. No state; the tree lock for a look at whose it is. */
#include <proc/schedule.h>

#include <fs/cred.h>
#include <hal/clock.h>
#include <k/errno.h>
#include <proc/group.h>
#include <proc/id.h>
#include <proc/limits.h>
#include <sched/sched.h>
#include <time/clock.h>

#include "proc_priv.h"

#define NICE_LIMIT_BASE 20 /* RLIMIT_NICE: nice 20 - limit */
#define RT_PRIORITY_BASE 99

/* A reference in *out. */
static int find(tid_t tid, struct task **out)
{
    struct task *task = tid == 0 ? current_task() : task_lookup(tid);

    if (task == NULL)
        return -ESRCH;
    if (tid == 0)
        task_get(task);
    *out = task;
    return 0;
}

/* ---- Rights ---- */

static bool is_privileged(void)
{
    const struct thread *self = thread_current();

    return self == NULL || self->user.cred == NULL || cred_can(self->user.cred, CAP_SYS_NICE);
}

/* The real and effective user of a thread. False: it is the kernel's, or gone. */
static bool users_of(const struct task *task, uint32_t *out_real, uint32_t *out_effective)
{
    struct process *process = process_lookup(task->pid);
    bool is_there = false;

    if (process == NULL)
        return false;
    spin_lock(&proc_tree_lock);
    list_for_each(node, &process->threads) {
        const struct thread *thread = list_entry(node, struct thread, link);

        if (thread->tid != task->tid || thread->user.cred == NULL)
            continue;
        *out_real = thread->user.cred->user.real;
        *out_effective = thread->user.cred->user.effective;
        is_there = true;
    }
    spin_unlock(&proc_tree_lock);
    process_put(process);
    return is_there;
}

/* The caller is not privileged. */
static bool is_own(const struct task *task)
{
    uint32_t own = thread_current()->user.cred->user.effective, real = 0, effective = 0;

    return task == current_task() || (users_of(task, &real, &effective) && (own == real || own == effective));
}

static uint64_t limit_of(const struct task *task, unsigned which)
{
    struct process *process = process_lookup(task->pid);
    uint64_t limit = 0;

    if (process != NULL) {
        limit = process_limit_get(process, which);
        process_put(process);
    }
    return limit;
}

static bool may_be_nice(const struct task *task, int nice)
{
    uint64_t limit = limit_of(task, LIMIT_NICE);

    return limit >= (uint64_t)(NICE_LIMIT_BASE - nice);
}

/* Is that more than the thread may have? The caller is not privileged. */
static bool is_beyond_limits(const struct task *task, const struct sched_params *old, const struct sched_params *wanted)
{
    bool was_rt = old->policy == SCHED_POLICY_FIFO || old->policy == SCHED_POLICY_RR;

    switch (wanted->policy) {
    case SCHED_POLICY_FIFO:
    case SCHED_POLICY_RR: {
        uint64_t limit = limit_of(task, LIMIT_RTPRIO);

        if (old->policy != wanted->policy && limit == 0)
            return true;
        return (!was_rt || wanted->rt_level < old->rt_level) && (uint64_t)(RT_PRIORITY_BASE - wanted->rt_level) > limit;
    }
    case SCHED_POLICY_FAIR: {
        bool was_fair = old->policy == SCHED_POLICY_FAIR;

        if (old->policy == SCHED_POLICY_IDLE || wanted->nice < (was_fair ? old->nice : 0))
            return !may_be_nice(task, wanted->nice);
        return false;
    }
    case SCHED_POLICY_IDLE:
        return false;
    default:
        return true;
    }
}

/* ---- Policy and CPUs ---- */

int thread_policy_get(tid_t tid, struct sched_params *out)
{
    struct task *task = NULL;
    int result = find(tid, &task);

    if (result != 0)
        return result;
    task_get_params(task, out);
    task_put(task);
    return 0;
}

/* RLIMIT_RTTIME of a thread that may have become a real-time one. */
static void look_at_limits(struct task *task)
{
    struct thread *thread = thread_get_of_task(task);

    if (thread == NULL)
        return;
    cpu_limit_policy_changed(thread);
    thread_put(thread);
}

int thread_policy_set(tid_t tid, const struct sched_params *params)
{
    struct task *task = NULL;
    struct sched_params old;
    int result = find(tid, &task);

    if (result != 0)
        return result;
    task_get_params(task, &old);
    if (!is_privileged() && (!is_own(task) || is_beyond_limits(task, &old, params)))
        result = -EPERM;
    else
        result = task_set_params(task, params);
    if (result == 0 && (params->policy == SCHED_POLICY_FIFO || params->policy == SCHED_POLICY_RR))
        look_at_limits(task);
    task_put(task);
    return result;
}

int thread_marks_get(tid_t tid, uint32_t *out)
{
    struct task *task = NULL;
    int result = find(tid, &task);

    if (result != 0)
        return result;
    struct thread *thread = thread_get_of_task(task);

    *out = thread != NULL ? load_relaxed(&thread->policy_marks) : 0; /* one of the kernel's own has none */
    if (thread != NULL)
        thread_put(thread);
    task_put(task);
    return 0;
}

int thread_policy_set_marked(tid_t tid, const struct sched_params *params, uint32_t marks)
{
    uint32_t old = 0;
    struct task *task = NULL;
    int result = thread_marks_get(tid, &old);

    if (result == 0 && (old & ~marks & THREAD_MARK_RESETS) != 0 && !is_privileged())
        result = -EPERM;
    if (result == 0)
        result = thread_policy_set(tid, params);
    if (result == 0)
        result = find(tid, &task);
    if (result != 0)
        return result;
    struct thread *thread = thread_get_of_task(task);

    if (thread != NULL) {
        store_relaxed(&thread->policy_marks, marks);
        thread_put(thread);
    }
    task_put(task);
    return 0;
}

int thread_slice_get(tid_t tid, uint64_t *out_ns)
{
    struct task_snapshot snapshot;
    struct task *task = NULL;
    int result = find(tid, &task);

    if (result != 0)
        return result;
    task_get_snapshot(task, &snapshot);
    bool has_slice = snapshot.policy == SCHED_POLICY_RR || snapshot.policy == SCHED_POLICY_FAIR ||
                     snapshot.policy == SCHED_POLICY_IDLE;

    *out_ns = has_slice ? clock_ticks_to_ns(snapshot.slice_ticks) : 0;
    task_put(task);
    return 0;
}

int thread_affinity_get(tid_t tid, struct cpumask *out)
{
    struct task_snapshot snapshot;
    struct task *task = NULL;
    int result = find(tid, &task);

    if (result != 0)
        return result;
    task_get_snapshot(task, &snapshot);
    *out = snapshot.affinity;
    task_put(task);
    return 0;
}

int thread_affinity_set(tid_t tid, const struct cpumask *mask)
{
    struct task *task = NULL;
    int result = find(tid, &task);

    if (result != 0)
        return result;
    result = is_privileged() || is_own(task) ? task_set_affinity(task, mask) : -EPERM;
    task_put(task);
    return result;
}

/* ---- Nice ---- */

static bool is_meant(struct task *task, enum nice_kind kind, int32_t who)
{
    uint32_t real = 0, effective = 0;

    if (kind == NICE_USER)
        return users_of(task, &real, &effective) && real == (uint32_t)who;
    struct process *process = process_lookup(task->pid);
    bool is_so = process != NULL && process_group_id(process) == who;

    if (process != NULL)
        process_put(process);
    return is_so;
}

/* Do that with each of them: the first error, or -ESRCH if there is none. */
typedef int nice_fn(struct task *task, void *arg);

static int for_each_meant(enum nice_kind kind, int32_t who, nice_fn *fn, void *arg)
{
    struct task *task = NULL;
    int result = -ESRCH;

    if (kind == NICE_THREAD) {
        if (find(who, &task) != 0)
            return -ESRCH;
        result = fn(task, arg);
        task_put(task);
        return result;
    }
    if (who == 0 && kind == NICE_GROUP)
        who = process_group_id(process_current());
    else if (who == 0)
        who = (int32_t)thread_current()->user.cred->user.real;
    for (tid_t next = 1; (task = task_lookup_next(next)) != NULL; task_put(task)) {
        next = task->tid + 1;
        if (!is_meant(task, kind, who))
            continue;
        int own = fn(task, arg);

        if (result == -ESRCH || result == 0)
            result = own;
    }
    return result;
}

static int set_nice(struct task *task, void *arg)
{
    int nice = *(const int *)arg;
    struct sched_params params;

    task_get_params(task, &params);
    if (!is_privileged() && !is_own(task))
        return -EPERM;
    if (params.policy != SCHED_POLICY_FAIR)
        return 0;
    if (nice < params.nice && !is_privileged() && !may_be_nice(task, nice))
        return -EACCES;
    params.nice = (int8_t)nice;
    return task_set_params(task, &params);
}

static int get_nice(struct task *task, void *arg)
{
    int *lowest = arg;
    struct sched_params params;

    task_get_params(task, &params);
    *lowest = MIN(*lowest, params.policy == SCHED_POLICY_FAIR ? params.nice : 0);
    return 0;
}

int nice_set(enum nice_kind kind, int32_t who, int nice)
{
    nice = MAX(NICE_MIN, MIN(nice, NICE_MAX));
    return for_each_meant(kind, who, set_nice, &nice);
}

int nice_get(enum nice_kind kind, int32_t who, int *out_nice)
{
    *out_nice = NICE_MAX;
    return for_each_meant(kind, who, get_nice, out_nice);
}
