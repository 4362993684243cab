/* SPDX-License-Identifier: MIT */
/*
 * Exhaustive search: every schedule of a small scenario with up to `bound` preemptions inside its window, depth first.
 * Without a preemption a CPU goes on until it waits or spins (the machine's default choice), so a schedule is its list
 * of preemptions, and a script runs it. Each run records the points of its window: those behind the last preemption are
 * where the next one may strike, so the points are right for that prefix, and each list is tried once, in its order.
 *
 * Not every point counts. A preemption strikes before an access to a cache line that more than one CPU touches inside
 * the window of that run. Elsewhere it would only stand before operations that no other CPU's operations meet: moved on
 * to the CPU's next point that counts, it orders the same conflicting operations in the same way, and the core, whose
 * other accesses are ordered by its atomics (ThreadSanitizer checks that), cannot tell the two schedules apart. That
 * holds for the order of operations on shared words. It does not hold for time: an interrupt comes when virtual time
 * says so, and other arrival times are not searched; nor for lines that a second CPU touches in no schedule searched.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <k/limits.h>

#include "campaign.h"

#define TOUCH_ROOM ((size_t)1 << 16)

struct point {
    cpu_id_t cpu;
    uint64_t at;
};

/* The points of a run at which a preemption says something. */
struct points {
    struct point *point;
    size_t count;
};

/* Shared by the processes that search. */
static struct search {
    _Atomic(uint64_t) schedules; /* different ones */
    _Atomic(uint64_t) runs;
    _Atomic(uint64_t) points;    /* of the run without a preemption */
    _Atomic(bool) is_cut;        /* a window did not fit, or it was stopped */
} *search;

static struct {
    struct workers *workers;
    unsigned which;
    struct sim_run run;
    struct host_record *record;
    struct host_preemption script[BOUND_MAX];
    struct sim_outcome outcome;
} own; /* of each process */

/* How many CPUs touch each line: 0, one, or more. Open addressing; `owner` is 1 + CPU. */
#define LINES (TOUCH_ROOM * 2)
static struct {
    uintptr_t line;
    uint32_t owner;
    bool is_shared;
} lines[LINES];

static size_t line_slot(uintptr_t word)
{
    uintptr_t at = word / CACHE_LINE_BYTES;
    size_t slot = (size_t)(at * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LINES;

    while (lines[slot].owner != 0 && lines[slot].line != at)
        slot = (slot + 1) % LINES;
    lines[slot].line = at;
    return slot;
}

static void lines_count(const struct host_record *record, size_t count)
{
    memset(lines, 0, sizeof lines);
    for (size_t i = 0; i < count; i++) {
        const struct host_touch *touch = &record->touch[i];
        size_t slot;

        if (touch->word == 0)
            continue;
        slot = line_slot(touch->word);
        if (lines[slot].owner == 0)
            lines[slot].owner = touch->cpu + 1;
        else if (lines[slot].owner != touch->cpu + 1)
            lines[slot].is_shared = true;
    }
}

/* Where in the record was the last preemption? What comes behind it is new. */
static size_t prefix_end(const struct host_record *record, size_t count, unsigned depth)
{
    const struct host_preemption *last;

    if (depth == 0)
        return 0;
    last = &own.script[depth - 1];
    for (size_t i = 0; i < count; i++)
        if (record->touch[i].cpu == last->cpu && record->touch[i].at == last->at)
            return i + 1;
    return count;
}

static struct points points_take(unsigned depth)
{
    const struct host_record *record = own.record;
    size_t count = MIN(record->touch_count, TOUCH_ROOM);
    struct points points = { .point = malloc((count + 1) * sizeof *points.point) };

    if (record->touch_count > TOUCH_ROOM || points.point == NULL)
        atomic_store(&search->is_cut, true);
    if (points.point == NULL)
        return points;
    lines_count(record, count);
    for (size_t i = prefix_end(record, count, depth); i < count; i++) {
        const struct host_touch *touch = &record->touch[i];

        if (touch->word != 0 && lines[line_slot(touch->word)].is_shared)
            points.point[points.count++] = (struct point){ .cpu = touch->cpu, .at = touch->at };
    }
    return points;
}

static void run_prefix(unsigned depth)
{
    own.run.script_count = depth;
    own.record->touch_count = 0;
    (void)atomic_fetch_add(&search->runs, 1);
    (void)sim_execute(&own.run, &own.outcome);
    (void)atomic_fetch_add(&own.workers->steps, own.outcome.result.steps);
    if (own.outcome.broken == PROMISE_NONE)
        return;
    /* The failure keeps its script, which lives as long as the search. */
    struct sim_run broken = own.run;
    struct host_preemption *copy = host_shared_alloc(sizeof own.script);

    if (copy != NULL)
        memcpy(copy, own.script, sizeof own.script);
    broken.script = copy;
    broken.record = NULL;
    workers_add_failure(own.workers, own.which, &broken, &own.outcome);
}

static bool is_told_to_stop(void)
{
    if (workers_must_stop(own.workers))
        atomic_store(&search->is_cut, true);
    return atomic_load(&search->is_cut);
}

/* own.outcome and own.record are of the prefix of this depth. Process `index` of `jobs`: they share the first level. */
static void descend(unsigned depth, unsigned index, unsigned jobs)
{
    uint64_t parent = own.outcome.result.hash;
    struct points points = points_take(depth);

    if (depth == 0 && index == 0)
        atomic_store(&search->points, points.count);
    for (size_t i = 0; i < points.count && !is_told_to_stop(); i++) {
        if (depth == 0 && i % jobs != index)
            continue;
        for (cpu_id_t to = 0; to < own.run.cpus && !is_told_to_stop(); to++) {
            if (to == points.point[i].cpu)
                continue;
            own.script[depth] =
                (struct host_preemption){ .cpu = points.point[i].cpu, .to = to, .at = points.point[i].at };
            run_prefix(depth + 1);
            if (own.outcome.result.hash == parent)
                continue; /* that CPU could not run: the choice was passed over */
            (void)atomic_fetch_add(&search->schedules, 1);
            if (depth + 1 < own.workers->options->bound)
                descend(depth + 1, 0, 1);
        }
    }
    free(points.point);
}

static void search_body(struct workers *workers, unsigned index)
{
    own.workers = workers;
    own.record = host_shared_alloc(sizeof *own.record);
    if (own.record != NULL)
        own.record->touch = host_shared_alloc(TOUCH_ROOM * sizeof *own.record->touch);
    if (own.record == NULL || own.record->touch == NULL) {
        atomic_store(&search->is_cut, true);
        return;
    }
    own.record->touch_room = TOUCH_ROOM;
    own.run.record = own.record;
    own.run.script = own.script;
    run_prefix(0);
    if (index == 0)
        (void)atomic_fetch_add(&search->schedules, 1);
    if (workers->options->bound > 0)
        descend(0, index, workers->options->jobs);
}

static void search_scenario(struct workers *workers, unsigned which, uint64_t seed)
{
    const struct options *options = workers->options;
    const struct sim_scenario *scenario = options->scenario[which];
    double start = clock_seconds();

    memset(search, 0, sizeof *search);
    own.which = which;
    own.run = (struct sim_run){
        .scenario = scenario,
        .seed = seed,
        .cpus = options->cpus != 0 ? options->cpus : scenario->cpus,
        .rounds = options->rounds != 0 ? options->rounds : 1,
        .strategy = HOST_SCRIPT,
    };
    workers_start(workers, search_body);
    workers_wait();
    if (workers_died() != 0)
        atomic_store(&search->is_cut, true);
    (void)printf("%s: %u CPUs, seed %llu, up to %u preemptions at %llu points: ", scenario->name, own.run.cpus,
                 (unsigned long long)seed, options->bound, (unsigned long long)atomic_load(&search->points));
    (void)printf("%llu schedules in %llu runs, %.1f s: %s\n", (unsigned long long)atomic_load(&search->schedules),
                 (unsigned long long)atomic_load(&search->runs), clock_seconds() - start,
                 atomic_load(&search->is_cut) ? "stopped before the end" : "the bound is exhausted");
    (void)fflush(stdout);
}

int exhaustive(const struct options *options)
{
    struct workers *workers = workers_create(options);
    unsigned failures;

    search = host_shared_alloc(sizeof *search);
    if (search == NULL)
        return 2;
    for (unsigned which = 0; which < options->scenario_count; which++)
        for (uint64_t n = 0; n < options->seed_count; n++)
            search_scenario(workers, which, options->seed_first + n);
    failures = atomic_load(&workers->failure_count);
    for (unsigned i = 0; i < failures && i < FAILURES_MAX; i++)
        (void)printf("%s\n", workers->failure[i].what);
    return failures != 0 || workers_died() != 0 ? 1 : 0;
}
