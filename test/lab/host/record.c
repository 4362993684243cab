/* SPDX-License-Identifier: MIT */
/*
 * What ran where and when: a listener of the kernel's tracepoints, in the run's process, and the timeline made of what
 * it heard, in the program's own. Owns the shared memory between them. No lock: one host thread each.
 */
#include <stdlib.h>
#include <string.h>

#include <host/machine.h>
#include <k/limits.h>
#include <k/trace.h>
#include <sched/task.h>

#include "schedlab.h"

static struct {
    const struct workload *workload;
    struct recording *to;
    uint16_t group_of[TID_MAX]; /* of the task that has the id now */
    uint32_t index_of[TID_MAX];
} recorder;

/* "GROUP/INDEX", as the launcher names its tasks. */
static void learn(const struct task *task)
{
    const char *slash = memchr(task->name, '/', sizeof task->name);
    uint16_t group = RECORD_OTHER;

    for (uint16_t i = 0; slash != NULL && i < recorder.workload->groups; i++) {
        const char *name = recorder.workload->group[i].name;

        if (strlen(name) == (size_t)(slash - task->name) && memcmp(name, task->name, strlen(name)) == 0)
            group = i;
    }
    if (group != RECORD_OTHER && recorder.to->from_ns == 0)
        recorder.to->from_ns = host_virtual_ns();
    recorder.group_of[task->tid] = group;
    recorder.index_of[task->tid] = group != RECORD_OTHER ? (uint32_t)strtoul(slash + 1, NULL, 10) : (uint32_t)task->tid;
}

/* Of the tasks that run, idle tasks and stoppers alone have no id of their own. */
static uint16_t group_of(const struct task *task, bool is_idle)
{
    if (is_idle)
        return RECORD_IDLE;
    return task->tid == 0 ? RECORD_STOP : recorder.group_of[task->tid];
}

static void keep(const struct task *task, bool is_idle)
{
    struct recording *to = recorder.to;

    if (to->count == RECORDS_MAX) {
        to->is_full = true;
        return;
    }
    to->until_ns = host_virtual_ns();
    to->record[to->count++] = (struct record){
        .ns = host_virtual_ns(),
        .cpu = (uint16_t)host_cpu_id(),
        .group = group_of(task, is_idle),
        .index = task->tid == 0 ? 0 : recorder.index_of[task->tid],
    };
}

static void hear(enum trace_event event, const void *object, uint64_t value)
{
    const struct task *task = object;

    if (event == TRACE_TASK_INIT && task->tid >= 0 && task->tid < TID_MAX)
        learn(task);
    else if (event == TRACE_TASK_RUN)
        keep(task, value != 0);
}

struct recording *recording_begin(const struct workload *workload)
{
    recorder.workload = workload;
    recorder.to = host_shared_alloc(sizeof *recorder.to);
    if (recorder.to != NULL)
        atomic_store_explicit(&trace_listener, hear, memory_order_relaxed);
    return recorder.to;
}

/* The open stretch of each CPU is closed by its next record, or by the end. */
static size_t stretches_fill(struct timeline *out, const struct recording *recording, struct stretch *open)
{
    size_t count = 0;

    for (size_t i = 0; i < recording->count + out->cpus; i++) {
        bool is_end = i >= recording->count;
        uint16_t cpu = is_end ? (uint16_t)(i - recording->count) : recording->record[i].cpu;
        uint64_t ns = MAX(is_end ? out->to_ns : recording->record[i].ns, out->from_ns) - out->from_ns;

        open[cpu].to_ns = ns;
        if (open[cpu].group != RECORD_IDLE && ns > open[cpu].from_ns)
            out->stretch[count++] = open[cpu];
        if (!is_end)
            open[cpu] = (struct stretch){
                .from_ns = ns, .cpu = cpu, .group = recording->record[i].group, .index = recording->record[i].index
            };
    }
    return count;
}

static int by_cpu_and_time(const void *left, const void *right)
{
    const struct stretch *a = left, *b = right;

    if (a->cpu != b->cpu)
        return a->cpu < b->cpu ? -1 : 1;
    return a->from_ns < b->from_ns ? -1 : a->from_ns > b->from_ns;
}

struct timeline *timeline_make(const char *name, const struct workload *workload, unsigned cpus,
                               const struct recording *recording)
{
    struct timeline *out = calloc(1, sizeof *out);
    struct stretch *open = calloc(cpus, sizeof *open);

    if (out == NULL || open == NULL)
        return NULL;
    *out = (struct timeline){ .name = name, .workload = workload, .cpus = cpus, .from_ns = recording->from_ns };
    out->to_ns = MAX(recording->until_ns, recording->from_ns + 1);
    out->is_cut = recording->is_full;
    out->stretch = calloc(recording->count + cpus, sizeof *out->stretch);
    out->first = calloc(cpus + 1, sizeof *out->first);
    if (out->stretch == NULL || out->first == NULL)
        return NULL;
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        open[cpu].group = RECORD_IDLE;
    out->stretches = stretches_fill(out, recording, open);
    qsort(out->stretch, out->stretches, sizeof *out->stretch, by_cpu_and_time);
    for (size_t i = 0, cpu = 0; cpu <= cpus; cpu++) {
        while (i < out->stretches && out->stretch[i].cpu < cpu)
            i++;
        out->first[cpu] = cpu < cpus ? i : out->stretches;
    }
    free(open);
    return out;
}
