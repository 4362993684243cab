/* SPDX-License-Identifier: MIT */
/*
 * What the tasks of a workload got: sums, shares and their fairness, percentiles, as a table in the log. Read after the
 * end, task by task while those still run, so each task's share is counted to the moment at which it was read.
 */
#include <lib/fmt.h>
#include <mm/kmalloc.h>
#include <time/clock.h>

#include "check.h"
#include "lab.h"

#define SHARE_SHIFT 20u /* a share is in 2^-20ths of a CPU, divided by weight / 1024 */

void lab_sum_cpus(struct sched_cpu_stats *out)
{
    *out = (struct sched_cpu_stats){ 0 };
    for_each_online_cpu(id) {
        struct sched_cpu_stats stats;

        sched_cpu_stats_get(id, &stats);
        out->switches += stats.switches;
        out->preemptions += stats.preemptions;
        out->steals += stats.steals;
        out->migrations_in += stats.migrations_in;
        out->idle_ticks += stats.idle_ticks;
        out->run_ticks += stats.run_ticks;
    }
}

void lab_measure_from_now(void)
{
    for (unsigned i = 0; i < lab->workload.groups; i++) {
        for (struct lab_task *task = lab->group[i].tasks; task != NULL; task = task->next) {
            struct task_snapshot snapshot;

            task_get_snapshot(task->task, &snapshot);
            task->base_run_ticks = snapshot.stats.run_ticks;
            task->base_ns = clock_ns();
        }
    }
    lab->measured_ns = clock_ns();
}

struct row {
    uint64_t passes, bursts, misses, run_ns, voluntary, involuntary, migrations;
    uint32_t ended;
    struct lab_jain jain;
};

/* Ended by its own report: what it was then, not what it may do on its way out. */
static void task_read(struct lab_task *task, struct row *row)
{
    struct task_snapshot snapshot;
    uint64_t until_ns;

    task->is_throughout = lab->measured_ns != 0 && task->base_ns <= lab->measured_ns;
    if (load_acquire(&task->has_ended)) { /* PAIRS(lab_ended) */
        task->is_throughout = false;
        snapshot.stats = task->at_end;
        until_ns = task->ended_ns;
        row->ended++;
    } else {
        task_get_snapshot(task->task, &snapshot);
        until_ns = clock_ns();
    }
    row->passes += load_relaxed(&task->passes);
    row->bursts += load_relaxed(&task->bursts);
    row->misses += load_relaxed(&task->misses);
    row->voluntary += snapshot.stats.voluntary;
    row->involuntary += snapshot.stats.involuntary;
    row->migrations += snapshot.stats.migrations;
    task->run_ns = clock_ticks_to_ns(snapshot.stats.run_ticks);
    row->run_ns += task->run_ns;
    /* One that ended before the measurement began counts with its whole life. */
    bool is_early = until_ns <= task->base_ns;
    uint64_t from_ns = is_early ? task->arrived_ns : task->base_ns;
    uint64_t run_ns = task->run_ns - (is_early ? 0 : clock_ticks_to_ns(task->base_run_ticks));

    task->share = until_ns > from_ns ? (run_ns << SHARE_SHIFT) / (until_ns - from_ns) : 0;
}

static void group_read(struct lab_group *group, struct row *row)
{
    *row = (struct row){ 0 };
    for (struct lab_task *task = group->tasks; task != NULL; task = task->next) {
        task_read(task, row);
        lab_jain_sum(&row->jain, task->share);
    }
    for (struct lab_task *task = group->tasks; task != NULL; task = task->next)
        lab_jain_square(&row->jain, task->share);
}

/* Tasks of the fair class that always want a CPU: theirs is the share that weights are about. Only those count that
 * were there all the time, since shares of other times are of other numbers of tasks. */
static bool is_hungry(const struct workload_group *is)
{
    if (is->policy != WORKLOAD_FAIR || is->every_ns != 0 || is->has_affinity)
        return false;
    for (unsigned i = 0; i < is->actions; i++)
        if (lab->workload.action[is->first + i].kind != WORKLOAD_RUN)
            return false;
    return true;
}

/* The n-th step of nice is a factor of 1.25: the share of a task as if all had nice 0. */
static uint64_t unweighted(uint64_t share, int nice)
{
    for (; nice > 0; nice--)
        share = share * 5 / 4;
    for (; nice < 0; nice++)
        share = share * 4 / 5;
    return share;
}

static void hungry_read(struct lab_jain *jain)
{
    *jain = (struct lab_jain){ 0 };
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < lab->workload.groups; i++) {
            const struct lab_group *group = &lab->group[i];

            for (const struct lab_task *task = is_hungry(group->is) ? group->tasks : NULL; task != NULL;
                 task = task->next)
                if (task->is_throughout)
                    (round == 0 ? lab_jain_sum : lab_jain_square)(jain, unweighted(task->share, group->is->nice));
        }
    }
}

#define MS(ns) (unsigned long long)((ns) / NS_PER_MS), (unsigned)((ns) / NS_PER_US % 1000)
#define US(ns) (unsigned long long)((ns) / NS_PER_US), (unsigned)((ns) % 1000 / 100)
#define PER_10000(n) (n) / 10000, (n) % 10000

static void print_counts(const char *name, uint32_t tasks, const struct row *row, uint64_t all_run_ns, const char *jain)
{
    uint64_t percent10 = all_run_ns != 0 ? row->run_ns * 1000 / all_run_ns : 0;

    log_info("lab: %-8s %6u %6u %9llu %9llu %9llu.%03u %4llu.%llu %6s %9llu %9llu %8llu %7llu", name, tasks,
             row->ended, (unsigned long long)row->passes, (unsigned long long)row->bursts, MS(row->run_ns),
             (unsigned long long)(percent10 / 10), (unsigned long long)(percent10 % 10), jain,
             (unsigned long long)(row->voluntary + row->involuntary), (unsigned long long)row->involuntary,
             (unsigned long long)row->migrations, (unsigned long long)row->misses);
}

static void row_add(struct row *to, const struct row *row)
{
    to->passes += row->passes;
    to->bursts += row->bursts;
    to->misses += row->misses;
    to->run_ns += row->run_ns;
    to->voluntary += row->voluntary;
    to->involuntary += row->involuntary;
    to->migrations += row->migrations;
    to->ended += row->ended;
}

static void print_measure(const char *group, const char *name, const struct lab_histogram *histogram)
{
    if (histogram->count == 0)
        return;
    log_info("lab: %-8s %-10s %9llu %11llu.%u %11llu.%u %11llu.%u %11llu.%u %11llu.%u", group, name,
             (unsigned long long)histogram->count, US(histogram->sum / histogram->count),
             US(lab_percentile(histogram, 5000)), US(lab_percentile(histogram, 9000)),
             US(lab_percentile(histogram, 9900)), US(histogram->max));
}

static void print_measures(struct lab_histogram *scratch)
{
    static const char *const names[LAB_MEASURES] = { "wake", "pass", "turnaround" };

    log_info("lab: group    time          count       mean-us           p50           p90           p99           max");
    for (unsigned i = 0; i < lab->workload.groups; i++) {
        for (unsigned measure = 0; measure < LAB_MEASURES; measure++) {
            *scratch = (struct lab_histogram){ 0 };
            for (unsigned n = 0; n < lab->shards; n++) {
                struct lab_shard *shard = &lab->group[i].shard[n];

                spin_lock(&shard->lock);
                lab_histogram_merge(scratch, &shard->histogram[measure]);
                spin_unlock(&shard->lock);
            }
            print_measure(lab->workload.group[i].name, names[measure], scratch);
        }
    }
}

static void print_machine(const struct row *all)
{
    uint64_t length_ns = lab->end_ns - lab->start_ns;
    struct sched_cpu_stats now;
    struct lab_jain jain;

    lab_sum_cpus(&now);
    uint64_t run = now.run_ticks - lab->before.run_ticks;
    uint64_t idle = now.idle_ticks - lab->before.idle_ticks;
    uint64_t busy10 = run + idle != 0 ? run * 1000 / (run + idle) : 0;

    hungry_read(&jain);
    log_info("lab: CPUs %llu.%llu%% busy, %llu switches, %llu preemptions, %llu migrations, %llu steals",
             (unsigned long long)(busy10 / 10), (unsigned long long)(busy10 % 10),
             (unsigned long long)(now.switches - lab->before.switches),
             (unsigned long long)(now.preemptions - lab->before.preemptions),
             (unsigned long long)(now.migrations_in - lab->before.migrations_in),
             (unsigned long long)(now.steals - lab->before.steals));
    log_info("lab: %llu passes/s, %llu bursts/s",
             (unsigned long long)(all->passes * 1000000 / MAX(length_ns / NS_PER_US, 1)),
             (unsigned long long)(all->bursts * 1000000 / MAX(length_ns / NS_PER_US, 1)));
    if (jain.n > 0)
        log_info("lab: fairness by weight of %llu fair tasks that always want a CPU: %u.%04u",
                 (unsigned long long)jain.n, PER_10000(lab_jain_per_10000(&jain)));
}

void lab_report(const char *name)
{
    struct row *rows = kmalloc_array(lab->workload.groups, sizeof *rows);
    struct lab_histogram *scratch = kmalloc(sizeof *scratch);
    struct row all = { 0 };

    if (!CHECK(rows != NULL && scratch != NULL))
        return;
    for (unsigned i = 0; i < lab->workload.groups; i++) {
        group_read(&lab->group[i], &rows[i]);
        row_add(&all, &rows[i]);
    }
    log_info("lab: %s: %u CPUs, %u tasks, seed %llu, %llu.%03u ms of %llu.%03u, launched in %llu.%03u", name,
             cpumask_count(&cpu_online_mask), lab->workload.tasks, (unsigned long long)lab->seed,
             MS(lab->end_ns - lab->start_ns), MS(lab->workload.duration_ns),
             MS(lab->measured_ns != 0 ? lab->measured_ns - lab->start_ns : lab->end_ns - lab->start_ns));
    log_info("lab: group     tasks  ended    passes    bursts        CPU-ms      %%   jain  switches preempted migrated"
             "  misses");
    for (unsigned i = 0; i < lab->workload.groups; i++) {
        char jain[8];

        (void)fmt_print(jain, sizeof jain, "%u.%04u", PER_10000(lab_jain_per_10000(&rows[i].jain)));
        print_counts(lab->workload.group[i].name, lab->workload.group[i].count, &rows[i], all.run_ns, jain);
    }
    print_counts("all", lab->workload.tasks, &all, all.run_ns, "-");
    print_measures(scratch);
    print_machine(&all);
    log_info("lab: end");
    kfree(rows);
    kfree(scratch);
}
