/* SPDX-License-Identifier: MIT */
/* Resource limits and what processes have used: getrlimit(2), getrusage(2). Under the tree lock. */
#include <proc/limits.h>

#include <fs/inode.h>
#include <hal/clock.h>
#include <k/errno.h>
#include <mm/phys.h>
#include <proc/signal.h>
#include <proc/signo.h>
#include <sched/sched.h>

#include "proc_priv.h"

#define FILES_SOFT 1024u
#define FILES_HARD 4096u
#define FILES_MOST (1u << 20) /* Linux's fs.nr_open, which nobody may raise here */
#define LOCKED_BYTES (UINT64_C(8) << 20)
#define QUEUE_BYTES 819200u /* of POSIX message queues: Linux's */

void limits_init(struct process_limit limit[PROCESS_LIMITS])
{
    struct phys_stats memory;

    phys_stats_get(&memory);
    /* As Linux: half of what the memory could hold if there were nothing but kernel stacks and their like. */
    uint64_t processes = MIN(memory.total_pages / 8, (uint64_t)TID_MAX) / 2;

    for (unsigned i = 0; i < PROCESS_LIMITS; i++)
        limit[i] = (struct process_limit){ .soft = LIMIT_NONE, .hard = LIMIT_NONE };
    limit[LIMIT_STACK].soft = SPACE_STACK_BYTES_MAX;
    limit[LIMIT_CORE].soft = 0; /* nobody writes one */
    limit[LIMIT_NPROC] = (struct process_limit){ .soft = processes, .hard = processes };
    limit[LIMIT_NOFILE] = (struct process_limit){ .soft = FILES_SOFT, .hard = FILES_HARD };
    limit[LIMIT_MEMLOCK] = (struct process_limit){ .soft = LOCKED_BYTES, .hard = LOCKED_BYTES };
    limit[LIMIT_SIGPENDING] = (struct process_limit){ .soft = processes, .hard = processes };
    limit[LIMIT_MSGQUEUE] = (struct process_limit){ .soft = QUEUE_BYTES, .hard = QUEUE_BYTES };
    limit[LIMIT_NICE] = (struct process_limit){ .soft = 0, .hard = 0 };
    limit[LIMIT_RTPRIO] = (struct process_limit){ .soft = 0, .hard = 0 };
}

/* RLIMIT_FSIZE of who writes, in its inode's mutex. */
static int check_growth(uint64_t at, uint64_t *end)
{
    struct process *process = process_current();

    if (!process->has_user) /* it has none */
        return 0;
    uint64_t most = process_limit_get(process, LIMIT_FSIZE);

    if (at >= most) {
        signal_send_self(SIGXFSZ);
        return -EFBIG;
    }
    *end = MIN(*end, most);
    return 0;
}

void limits_start(void)
{
    inode_set_growth_check(check_growth);
}

/* Records are counted by number; under the lock that counts them. */
void limits_apply_locked(struct process *process)
{
    struct process_signals *signals = &process->signals;
    uintptr_t state = signals_lock(signals);

    signals->queued_max = (unsigned)MIN(process->limit[LIMIT_SIGPENDING].soft, (uint64_t)UINT32_MAX);
    signals_unlock(signals, state);
}

/* A stack grows as far as the limit of now says. Memory that a vfork lends is its maker's, with that one's limit. */
static void apply_to_stack(struct process *process)
{
    struct thread *self = thread_current();
    bool is_lent = self != NULL && self->process == process && load_relaxed(&self->user.is_lent);
    struct space *space = process->has_user && !is_lent ? process_space_get(process) : NULL;

    if (space == NULL)
        return;
    space_set_stack_max(space, image_stack_bytes_max(process_limit_get(process, LIMIT_STACK)));
    space_put(space);
}

int process_limit_change(struct process *process, unsigned which, const struct process_limit *wanted, bool may_raise,
                         struct process_limit *out_old)
{
    int result = 0;

    if (which >= PROCESS_LIMITS)
        return -EINVAL;
    if (wanted != NULL && wanted->soft > wanted->hard)
        return -EINVAL;
    spin_lock(&proc_tree_lock);
    if (out_old != NULL)
        *out_old = process->limit[which];
    if (wanted != NULL && wanted->hard > process->limit[which].hard && !may_raise)
        result = -EPERM;
    else if (wanted != NULL && which == LIMIT_NOFILE && wanted->hard > FILES_MOST)
        result = -EPERM;
    else if (wanted != NULL)
        process->limit[which] = *wanted;
    if (wanted != NULL && result == 0 && which == LIMIT_SIGPENDING)
        limits_apply_locked(process);
    if (wanted != NULL && result == 0 && (which == LIMIT_CPU || which == LIMIT_RTTIME))
        cpu_limit_changed_locked(process);
    spin_unlock(&proc_tree_lock);
    if (wanted != NULL && result == 0 && which == LIMIT_STACK)
        apply_to_stack(process);
    return result;
}

uint64_t process_limit_get(struct process *process, unsigned which)
{
    spin_lock(&proc_tree_lock);
    uint64_t soft = process->limit[which].soft;

    spin_unlock(&proc_tree_lock);
    return soft;
}

static void add_task(struct process_usage *usage, struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    usage->user_ticks += snapshot.user_ticks;
    usage->system_ticks += snapshot.system_ticks;
    usage->voluntary += snapshot.stats.voluntary;
    usage->involuntary += snapshot.stats.involuntary;
}

static void add_space(struct process_usage *usage, struct space *space)
{
    struct space_stats stats;

    space_stats_get(space, &stats);
    usage->faults += stats.faults;
    usage->resident_pages_max = MAX(usage->resident_pages_max, stats.resident_pages);
}

void usage_add_self_locked(struct process *process)
{
    add_task(&process->usage, current_task());
}

void usage_add_space_locked(struct process *process, struct space *space)
{
    add_space(&process->usage, space);
}

void process_usage_get(struct process *process, struct process_usage *out)
{
    spin_lock(&proc_tree_lock);
    *out = process->usage;
    list_for_each(node, &process->threads) {
        struct thread *thread = list_entry(node, struct thread, link);

        if (thread->state == THREAD_SCHEDULED)
            add_task(out, thread->task);
    }
    if (process->space != NULL)
        add_space(out, process->space);
    spin_unlock(&proc_tree_lock);
}

void process_children_usage_get(struct process *process, struct process_usage *out)
{
    spin_lock(&proc_tree_lock);
    *out = process->children_usage;
    spin_unlock(&proc_tree_lock);
}

void thread_usage_get(struct process_usage *out)
{
    *out = (struct process_usage){ .faults = 0 };
    add_task(out, current_task());
}
