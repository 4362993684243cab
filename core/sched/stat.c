/* SPDX-License-Identifier: MIT */
/* Numbers about tasks and CPUs, read under the run-queue locks one after the other; and what panic says of a CPU. */
#include <k/log.h>
#include <lib/string.h>
#include <sched/latency.h>
#include <time/clock.h>
#include <trace/panic.h>

#include "sched_priv.h"

int task_sleep_for(uint64_t ns)
{
    return task_sleep_until(clock_later(clock_ns(), ns));
}

/* The whole life is run, wait and sleep. Sleep is what the other two leave: it costs no wake-up anything. */
static void snapshot_times(const struct task *task, uint64_t now, struct task_snapshot *out)
{
    uint64_t end = task->state == TASK_DEAD ? task->since_ticks : now;

    if (task->state == TASK_READY)
        out->stats.wait_ticks += elapsed_ticks(task->since_ticks, now);
    out->start_ticks = task->start_ticks;
    out->lifetime_ticks = task->state == TASK_NEW ? 0 : elapsed_ticks(task->start_ticks, end);
    out->sleep_ticks = elapsed_ticks(out->stats.run_ticks + out->stats.wait_ticks, out->lifetime_ticks);
}

static uint64_t cpu_run_ticks(const struct runq *rq, uint64_t now) REQUIRES(rq->lock)
{
    return elapsed_ticks(rq->online_ticks + rq->stats.idle_ticks, now);
}

void stat_note_preempted(struct runq *rq, struct task *prev, uint64_t now_ticks)
{
    uint64_t unit = sched_tunables.util_unit_ticks;
    bool is_idle = is_idle_task(rq, prev);

    if (now_ticks - (is_idle ? &rq->util : &prev->util)->at_ticks < unit)
        return; /* too early, as almost always */
    if (is_idle)
        util_update(&rq->util, cpu_run_ticks(rq, now_ticks), now_ticks, unit);
    else
        util_update(&prev->util, prev->stats.run_ticks, now_ticks, unit);
}

const char *sched_class_name(unsigned index)
{
    return index < CLASS_COUNT ? sched_classes[index]->name : NULL;
}

void task_get_snapshot(struct task *task, struct task_snapshot *out) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = runq_lock_of(task);

    uint64_t now = hal_clock_ticks();

    if (task->state == TASK_RUNNING)
        runq_account(rq, now);
    util_update(&task->util, task->stats.run_ticks, now, sched_tunables.util_unit_ticks);
    cputime_split(&task->cputime, load_relaxed(&task->is_user), task->stats.run_ticks);
    out->state = task->state;
    out->priority = task->priority;
    out->is_boosted = policy_is_boosted(task);
    out->effective_priority = out->is_boosted ? policy_effective_priority(task) : task->priority;
    out->policy = task->policy;
    out->cpu = rq->cpu.id;
    out->stats = task->stats;
    out->user_ticks = task->cputime.user_ticks;
    out->system_ticks = task->cputime.system_ticks;
    out->run_count = task->stats.voluntary + task->stats.involuntary + (task->state == TASK_RUNNING);
    out->utilisation = task->util.average;
    out->class_name = task->class->name;
    out->slice_ticks = task->slice_ticks;
    out->affinity = task->is_admitted ? task->deadline.allowed : task->affinity;
    out->waits_on = task->state == TASK_BLOCKED ? task->waits_on : NULL;
    snapshot_times(task, now, out);
    spin_unlock_irqoff(&rq->lock);
    hal_irq_restore(state);
}

bool sched_is_well_placed(void) NO_LOCK_ANALYSIS
{
    uintptr_t state = hal_irq_save();
    struct runq *rq = this_runq();

    spin_lock_irqoff(&rq->lock);
    bool well = cpumask_contains(&current_task()->affinity, rq->cpu.id) ||
                (current_task()->is_leaving && load_relaxed(&rq->cpu.need_resched));

    spin_unlock_irqoff(&rq->lock);
    sched_irq_restore(state);
    return well;
}

void sched_cpu_stats_get(cpu_id_t cpu, struct sched_cpu_stats *out) NO_LOCK_ANALYSIS
{
    ASSERT(cpumask_contains(&cpu_started_mask, cpu));
    struct runq *rq = runq_by_id(cpu);
    uintptr_t state = spin_lock_irqsave(&rq->lock);

    uint64_t now = hal_clock_ticks();

    runq_account(rq, now);
    *out = rq->stats;
    out->run_ticks = cpu_run_ticks(rq, now);
    cputime_split(&rq->sampler.all, rq->sampler.all.user_weight != 0, out->run_ticks);
    out->user_ticks = rq->sampler.all.user_ticks;
    out->system_ticks = rq->sampler.all.system_ticks;
    out->elapsed_ticks = elapsed_ticks(rq->online_ticks, now);
    util_update(&rq->util, out->run_ticks, now, sched_tunables.util_unit_ticks);
    out->utilisation = rq->util.average;
    out->ready_classes = rq->ready_classes;
    out->running_tid = rq->running->tid;
    (void)str_copy(out->running_name, rq->running->name, sizeof out->running_name);
    out->queued = load_relaxed(&rq->queued) + rq->throttled;
    spin_unlock_irqrestore(&rq->lock, state);
}

/* All run-queue locks at once, lowest CPU first as always: one moment of the whole machine. */
void sched_census_get(struct sched_census *out)
{
    int64_t blocked = 0;
    uintptr_t state = hal_irq_save();

    *out = (struct sched_census){ 0 };
    for_each_started_cpu(id)
        spin_lock_untracked(&runq_by_id(id)->lock);
    for_each_started_cpu(id) {
        const struct runq *rq = runq_by_id(id);

        out->started += rq->started;
        out->died += rq->died;
        out->queued += load_relaxed(&runq_by_id(id)->queued) + rq->throttled;
        out->running += !is_idle_task(rq, rq->running);
        blocked += rq->blocked;
    }
    for_each_started_cpu(id)
        spin_unlock_untracked(&runq_by_id(id)->lock);
    hal_irq_restore(state);
    out->blocked = (uint64_t)blocked;
}

/* For panic: no lock, because whoever holds it may be what broke. */
static void describe_cpu(struct cpu *cpu)
{
    if (cpu->id >= CPU_MAX || cpu_table[cpu->id] != cpu)
        return; /* early boot: not a run queue yet */
    const struct runq *rq = runq_of(cpu);
    const struct task *task = rq->running;

    log_error("CPU %u: task %d '%s' %s, priority %d, preemption count %u, %u queued, %llu switches", cpu->id, task->tid,
              task->name, task_state_name(task->state), task->priority, task->base.preempt_count,
              load_relaxed(&((struct runq *)rq)->queued), (unsigned long long)rq->stats.switches);
    latency_log_cpu_unlocked(cpu);
}

static void stack_bounds(uintptr_t *low, uintptr_t *high)
{
    const struct task *task = current_task();

    if (task->stack_bytes == 0) { /* the boot stack: the machine's own */
        *low = *high = 0;
        return;
    }
    *low = task->stack_base;
    *high = task->stack_base + task->stack_bytes;
}

void sched_register_panic_hooks(void)
{
    static const struct panic_hooks hooks = { .describe_cpu = describe_cpu, .stack_bounds = stack_bounds };

    panic_set_hooks(&hooks);
}
