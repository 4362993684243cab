/* SPDX-License-Identifier: MIT */
/* sched(7): Linux's policies and numbers, and this kernel's. No state. */
#include <syscall/table.h>

#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <proc/process.h>
#include <proc/schedule.h>
#include <sched/sched.h>
#include <smp/cpu.h>

#include "syscall_priv.h"

enum { SCHED_OTHER = 0, SCHED_FIFO = 1, SCHED_RR = 2, SCHED_BATCH = 3, SCHED_IDLE = 5, SCHED_DEADLINE = 6 };

#define RESET_ON_FORK 0x40000000u /* SCHED_RESET_ON_FORK, beside a policy */
#define RT_PRIORITY_MAX 99 /* is level 0 */

/* struct sched_attr of sched_setattr(2), as of Linux 5.3. */
struct sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};
#define ATTR_BYTES_FIRST 48u /* the first version's: without the last two */

#define ATTR_RESET_ON_FORK 0x01u
#define ATTR_KEEP_POLICY 0x08u
#define ATTR_KEEP_PARAMS 0x10u
#define ATTR_UTIL 0x60u
#define ATTR_KNOWN (ATTR_RESET_ON_FORK | ATTR_KEEP_POLICY | ATTR_KEEP_PARAMS | ATTR_UTIL)

/* ---- The two languages ---- */

static bool is_rt(uint32_t policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

static uint32_t policy_out(const struct sched_params *params)
{
    switch (params->policy) {
    case SCHED_POLICY_FIFO:
        return SCHED_FIFO;
    case SCHED_POLICY_RR:
        return SCHED_RR;
    case SCHED_POLICY_DEADLINE:
        return SCHED_DEADLINE;
    case SCHED_POLICY_IDLE:
        return SCHED_IDLE;
    default:
        return SCHED_OTHER;
    }
}

static uint32_t priority_out(const struct sched_params *params)
{
    return is_rt(policy_out(params)) ? RT_PRIORITY_MAX - params->rt_level : 0;
}

/* The same with what only Linux's names tell apart. */
static uint32_t linux_policy(const struct sched_params *params, uint32_t marks)
{
    return params->policy == SCHED_POLICY_FAIR && (marks & THREAD_MARK_BATCH) != 0 ? SCHED_BATCH : policy_out(params);
}

static uint32_t marks_of(uint32_t policy, bool resets)
{
    return (policy == SCHED_BATCH ? THREAD_MARK_BATCH : 0) | (resets ? THREAD_MARK_RESETS : 0);
}

static int look_up(tid_t tid, struct sched_params *out, uint32_t *out_marks)
{
    int result = thread_policy_get(tid, out);

    return result != 0 ? result : thread_marks_get(tid, out_marks);
}

/* What `attr` asks for, whose flags have been checked. Only deadline tasks may be -EBUSY later. */
static int params_of(const struct sched_attr *attr, struct sched_params *out)
{
    *out = (struct sched_params){ .policy = SCHED_POLICY_FAIR };
    if (is_rt(attr->policy) != (attr->priority != 0) || attr->priority > RT_PRIORITY_MAX)
        return -EINVAL;
    switch (attr->policy) {
    case SCHED_FIFO:
    case SCHED_RR:
        out->policy = attr->policy == SCHED_FIFO ? SCHED_POLICY_FIFO : SCHED_POLICY_RR;
        out->rt_level = (uint8_t)(RT_PRIORITY_MAX - attr->priority);
        return 0;
    case SCHED_OTHER:
    case SCHED_BATCH:
        out->nice = (int8_t)MAX(NICE_MIN, MIN(attr->nice, NICE_MAX));
        if (attr->runtime != 0)
            out->slice_ns = MAX(SCHED_SLICE_NS_MIN, MIN(attr->runtime, SCHED_SLICE_NS_MAX));
        return 0;
    case SCHED_IDLE:
        out->policy = SCHED_POLICY_IDLE;
        return 0;
    case SCHED_DEADLINE:
        out->policy = SCHED_POLICY_DEADLINE;
        out->runtime_ns = attr->runtime;
        out->deadline_ns = attr->deadline;
        out->period_ns = attr->period;
        return 0;
    default:
        return -EINVAL;
    }
}

/* ---- sched_setattr(2), sched_getattr(2) ---- */

static int attr_copy_in(struct sched_attr *out, vaddr_t from)
{
    const uint32_t own_bytes = sizeof *out;
    uint32_t bytes = 0;
    int result = user_copy_in(&bytes, from, sizeof bytes);

    if (result != 0)
        return result;
    if (bytes == 0)
        bytes = ATTR_BYTES_FIRST;
    result = bytes < ATTR_BYTES_FIRST ? -E2BIG : copy_in_versioned(out, sizeof *out, from, bytes);
    if (result == -E2BIG && user_copy_out(from, &own_bytes, sizeof own_bytes) != 0)
        return -EFAULT;
    return result;
}

/* What is to be kept is as it is now. */
static void attr_keep(struct sched_attr *attr, const struct sched_params *now, uint32_t marks)
{
    if ((attr->flags & ATTR_KEEP_POLICY) != 0)
        attr->policy = linux_policy(now, marks);
    if ((attr->flags & ATTR_KEEP_PARAMS) != 0) {
        attr->priority = priority_out(now);
        attr->nice = now->nice;
        attr->runtime = now->policy == SCHED_POLICY_FAIR ? now->slice_ns : now->runtime_ns;
        attr->deadline = now->deadline_ns;
        attr->period = now->period_ns;
    }
}

SYSCALL(sched_setattr)
{
    tid_t tid = (tid_t)args->arg[0];
    struct sched_attr attr;
    struct sched_params params, now;
    uint32_t marks = 0;

    if (args->arg[1] == 0 || tid < 0 || (uint32_t)args->arg[2] != 0)
        return -EINVAL;
    int result = attr_copy_in(&attr, args->arg[1]);

    if (result != 0)
        return result;
    if ((attr.flags & ~(uint64_t)ATTR_KNOWN) != 0 || (int32_t)attr.policy < 0)
        return -EINVAL;
    if ((attr.flags & ATTR_UTIL) != 0)
        return -EOPNOTSUPP;
    result = look_up(tid, &now, &marks);
    if (result != 0)
        return result;
    attr_keep(&attr, &now, marks);
    result = params_of(&attr, &params);
    marks = marks_of(attr.policy, (attr.flags & ATTR_RESET_ON_FORK) != 0);
    return result != 0 ? result : thread_policy_set_marked(tid, &params, marks);
}

SYSCALL(sched_getattr)
{
    tid_t tid = (tid_t)args->arg[0];
    uint32_t bytes = (uint32_t)args->arg[2];
    struct sched_params now;
    uint32_t marks = 0;

    if (args->arg[1] == 0 || tid < 0 || bytes < ATTR_BYTES_FIRST || bytes > PAGE_BYTES || (uint32_t)args->arg[3] != 0)
        return -EINVAL;
    int result = look_up(tid, &now, &marks);

    if (result != 0)
        return result;
    const struct sched_attr attr = {
        .size = MIN(bytes, (uint32_t)sizeof attr),
        .policy = linux_policy(&now, marks),
        .flags = (marks & THREAD_MARK_RESETS) != 0 ? ATTR_RESET_ON_FORK : 0,
        .nice = now.nice,
        .priority = priority_out(&now),
        .runtime = now.policy == SCHED_POLICY_FAIR ? now.slice_ns : now.runtime_ns,
        .deadline = now.deadline_ns,
        .period = now.policy == SCHED_POLICY_DEADLINE && now.period_ns == 0 ? now.deadline_ns : now.period_ns,
    };

    return user_copy_out(args->arg[1], &attr, attr.size);
}

/* ---- The older calls ---- */

static int64_t set_scheduler(tid_t tid, int32_t wanted, bool keeps_policy, vaddr_t param)
{
    struct sched_attr attr = { .policy = (uint32_t)wanted & ~RESET_ON_FORK };
    bool resets = ((uint32_t)wanted & RESET_ON_FORK) != 0;
    struct sched_params params, now;
    int32_t priority = 0;
    uint32_t marks = 0;

    if (param == 0 || tid < 0)
        return -EINVAL;
    int result = user_copy_in(&priority, param, sizeof priority);

    if (result == 0)
        result = look_up(tid, &now, &marks);
    if (result != 0)
        return result;
    attr.priority = (uint32_t)priority;
    attr.nice = now.nice;
    if (keeps_policy) {
        attr.policy = linux_policy(&now, marks);
        resets = (marks & THREAD_MARK_RESETS) != 0;
    }
    if (attr.policy == SCHED_DEADLINE)
        return -EINVAL; /* a number is not enough */
    result = params_of(&attr, &params);
    return result != 0 ? result : thread_policy_set_marked(tid, &params, marks_of(attr.policy, resets));
}

SYSCALL(sched_setscheduler)
{
    int32_t policy = (int32_t)args->arg[1];

    return policy < 0 ? -EINVAL : set_scheduler((tid_t)args->arg[0], policy, false, args->arg[2]);
}

SYSCALL(sched_setparam)
{
    return set_scheduler((tid_t)args->arg[0], 0, true, args->arg[1]);
}

SYSCALL(sched_getscheduler)
{
    tid_t tid = (tid_t)args->arg[0];
    struct sched_params now;
    uint32_t marks = 0;
    int result = tid < 0 ? -EINVAL : look_up(tid, &now, &marks);

    if (result != 0)
        return result;
    return linux_policy(&now, marks) | ((marks & THREAD_MARK_RESETS) != 0 ? RESET_ON_FORK : 0);
}

SYSCALL(sched_getparam)
{
    tid_t tid = (tid_t)args->arg[0];
    struct sched_params now;
    int result = args->arg[1] == 0 || tid < 0 ? -EINVAL : thread_policy_get(tid, &now);

    if (result != 0)
        return result;
    const uint32_t priority = priority_out(&now);

    return user_copy_out(args->arg[1], &priority, sizeof priority);
}

static int64_t priority_bound(int32_t policy, int64_t of_rt)
{
    switch (policy) {
    case SCHED_FIFO:
    case SCHED_RR:
        return of_rt;
    case SCHED_OTHER:
    case SCHED_BATCH:
    case SCHED_IDLE:
    case SCHED_DEADLINE:
        return 0;
    default:
        return -EINVAL;
    }
}

SYSCALL(sched_get_priority_max)
{
    return priority_bound((int32_t)args->arg[0], RT_PRIORITY_MAX);
}

SYSCALL(sched_get_priority_min)
{
    return priority_bound((int32_t)args->arg[0], 1);
}

SYSCALL(sched_rr_get_interval)
{
    tid_t tid = (tid_t)args->arg[0];
    uint64_t ns = 0;
    int result = tid < 0 ? -EINVAL : thread_slice_get(tid, &ns);

    return result != 0 ? result : timespec_copy_out(args->arg[1], ns);
}

/* ---- CPUs ---- */

/* Bytes of a mask that has room for all CPUs that there may be, in words as Linux has them. */
static size_t mask_bytes(void)
{
    size_t cpus = 0;

    while (cpus < CPU_MAX && cpu_table[cpus] != NULL)
        cpus++;
    return ROUND_UP(cpus, 64) / 8;
}

SYSCALL(sched_setaffinity)
{
    struct cpumask mask;
    size_t bytes = MIN((size_t)(uint32_t)args->arg[1], sizeof mask);

    cpumask_clear(&mask);
    int result = user_copy_in(&mask, args->arg[2], bytes); /* what is behind it names no CPU */

    if (result != 0)
        return result;
    return (tid_t)args->arg[0] < 0 ? -ESRCH : thread_affinity_set((tid_t)args->arg[0], &mask);
}

SYSCALL(sched_getaffinity)
{
    struct cpumask mask;
    size_t bytes = (uint32_t)args->arg[1];

    if (bytes < mask_bytes() || bytes % sizeof(uint64_t) != 0)
        return -EINVAL;
    int result = (tid_t)args->arg[0] < 0 ? -ESRCH : thread_affinity_get((tid_t)args->arg[0], &mask);

    if (result != 0)
        return result;
    for (unsigned i = 0; i < CPUMASK_WORDS; i++)
        mask.word[i] &= cpu_online_mask.word[i];
    bytes = MIN(bytes, mask_bytes());
    result = user_copy_out(args->arg[2], &mask, bytes);
    return result != 0 ? result : (int64_t)bytes;
}

SYSCALL(getcpu)
{
    const uint32_t cpu = this_cpu_id(), node = cpu_table[cpu]->node;
    int result = args->arg[0] != 0 ? user_copy_out(args->arg[0], &cpu, sizeof cpu) : 0;

    if (result == 0 && args->arg[1] != 0)
        result = user_copy_out(args->arg[1], &node, sizeof node);
    return result;
}

/* ---- Nice ---- */

SYSCALL(setpriority)
{
    if ((uint32_t)args->arg[0] > NICE_USER)
        return -EINVAL;
    return nice_set((enum nice_kind)(uint32_t)args->arg[0], (int32_t)args->arg[1], (int32_t)args->arg[2]);
}

/* The kernel's result is 20 - nice: a negative one would be an error. */
SYSCALL(getpriority)
{
    int nice = 0;

    if ((uint32_t)args->arg[0] > NICE_USER)
        return -EINVAL;
    int result = nice_get((enum nice_kind)(uint32_t)args->arg[0], (int32_t)args->arg[1], &nice);

    return result != 0 ? result : 20 - nice;
}
