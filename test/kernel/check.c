/* SPDX-License-Identifier: MIT */
/* Shared parts of the tests inside the kernel. The failure count is atomic: tests check from many tasks at once. */
#include "check.h"

#include <k/atomic.h>
#include <mm/kstack.h>
#include <mm/stats.h>
#include <proc/id.h>
#include <proc/process.h>
#include <time/clock.h>

static _Atomic(unsigned) failures;

bool check_that(bool holds, const char *text, const char *file, int line)
{
    if (!holds) {
        (void)fetch_add_relaxed(&failures, 1);
        log_error("check failed: %s (%s:%d)", text, file, line);
    }
    return holds;
}

unsigned check_failures(void)
{
    return load_relaxed(&failures);
}

void check_counts_get(struct check_counts *out)
{
    struct phys_stats pages;
    struct proc_stats tasks;
    struct mm_stats memory;

    proc_reclaim_all();
    phys_stats_get(&pages);
    mm_stats_get(&memory);
    proc_stats_get(&tasks);
    *out = (struct check_counts){
        .free_pages = pages.free_pages,
        .tasks = tasks.tasks_alive,
        .ids = id_used_count(),
        .stacks = kstack_used_count(),
        .processes = process_count(),
        .user_pages = memory.pages[MM_ANON] + memory.pages[MM_OBJECT],
    };
}

uint64_t count_tasks(void)
{
    struct proc_stats tasks;

    proc_reclaim_all();
    proc_stats_get(&tasks);
    return tasks.tasks_alive;
}

void wait_for_tasks(uint64_t count)
{
    WAIT_FOR(count_tasks() <= count);
}

static unsigned differ(const char *what, uint64_t before, uint64_t after)
{
    if (before == after)
        return 0;
    log_error("leak: %s: %llu before, %llu after", what, (unsigned long long)before, (unsigned long long)after);
    return 1;
}

unsigned check_counts_compare(const struct check_counts *before, const struct check_counts *after)
{
    return differ("free pages", before->free_pages, after->free_pages) + differ("tasks", before->tasks, after->tasks) +
           differ("ids", before->ids, after->ids) + differ("stacks", before->stacks, after->stacks) +
           differ("processes", before->processes, after->processes) +
           differ("user pages", before->user_pages, after->user_pages);
}

bool check_census(void)
{
    struct sched_census census;

    sched_census_get(&census);
    if (census.started == census.died + census.queued + census.running + census.blocked)
        return true;
    log_error("census: %llu started, %llu died, %llu queued, %llu running, %llu blocked",
              (unsigned long long)census.started, (unsigned long long)census.died, (unsigned long long)census.queued,
              (unsigned long long)census.running, (unsigned long long)census.blocked);
    return false;
}

struct task *spawn(const char *name, int (*entry)(void *), void *arg, int priority, const struct cpumask *affinity)
{
    struct task *task = NULL;
    const struct task_spec spec = {
        .name = name,
        .entry = entry,
        .arg = arg,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = priority,
        .affinity = affinity,
    };
    tid_t tid = task_create(&spec, &task);

    return CHECK(tid > 0) ? task : NULL;
}

struct task *spawn_on(const char *name, int (*entry)(void *), void *arg, int priority, cpu_id_t cpu)
{
    struct cpumask mask;

    cpumask_set_single(&mask, cpu);
    return spawn(name, entry, arg, priority, &mask);
}

int finish(struct task *task)
{
    int code = -1;

    if (task == NULL)
        return -1;
    CHECK(task_join(task, &code, TIME_NEVER) == 0);
    task_put(task);
    return code;
}

unsigned online_count(void)
{
    return cpumask_count(&cpu_online_mask);
}

cpu_id_t online_cpu(unsigned n)
{
    cpu_id_t id = cpumask_next(&cpu_online_mask, 0);

    for (n %= online_count(); n > 0; n--)
        id = cpumask_next(&cpu_online_mask, id + 1);
    return id;
}

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

bool is_blocked(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    return snapshot.state == TASK_BLOCKED;
}

int effective_priority(struct task *task)
{
    struct task_snapshot snapshot;

    task_get_snapshot(task, &snapshot);
    CHECK(snapshot.is_boosted == (snapshot.effective_priority != snapshot.priority));
    return snapshot.effective_priority;
}

void random_online_mask(uint64_t *state, struct cpumask *out)
{
    cpumask_clear(out);
    cpumask_add(out, online_cpu((unsigned)random_next(state)));
    for (unsigned i = 0; i < online_count(); i++)
        if (random_next(state) % 3 == 0)
            cpumask_add(out, online_cpu(i));
}
