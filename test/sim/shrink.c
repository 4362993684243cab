/* SPDX-License-Identifier: MIT */
/*
 * Shrinking: a smaller run that breaks the same promise. First fewer rounds and CPUs, each with a few seeds, because
 * any change of them is another run. Then the choices of the run that is left, as a script, of which ever smaller parts
 * are left out (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 2002). What is
 * left out shifts what follows, so each candidate is run, and only the same broken promise counts. Bounded by tries
 * and time. State: of the one shrinking that goes on in this process.
 */
#include <stdlib.h>
#include <string.h>

#include <k/compiler.h>

#include "campaign.h"

#define TRIES_MAX 3000u
#define SECONDS_MAX 60.0
#define SEEDS_EACH 12u
#define RECORD_ROOM ((size_t)1 << 20)

static struct {
    enum sim_promise broken;
    unsigned tries;
    double deadline;
    struct sim_outcome outcome;
    struct host_preemption *candidate;
} state;

static bool is_spent(void)
{
    return state.tries >= TRIES_MAX || clock_seconds() >= state.deadline;
}

static bool breaks(const struct sim_run *run)
{
    if (is_spent())
        return false;
    state.tries++;
    return sim_execute(run, &state.outcome) == state.broken;
}

/* The seed of `run`, or one of those behind it. */
static bool breaks_with_some_seed(struct sim_run *run)
{
    uint64_t first = run->seed;

    for (unsigned i = 0; i < SEEDS_EACH; i++) {
        run->seed = first + i;
        if (breaks(run))
            return true;
    }
    run->seed = first;
    return false;
}

static void fewer_rounds(struct sim_run *run)
{
    for (unsigned rounds = 1; rounds < run->rounds && !is_spent(); rounds *= 2) {
        struct sim_run smaller = *run;

        smaller.rounds = rounds;
        if (breaks_with_some_seed(&smaller))
            *run = smaller;
    }
}

static void fewer_cpus(struct sim_run *run)
{
    for (unsigned cpus = MAX(run->scenario->cpus_min, 1u); cpus < run->cpus && !is_spent(); cpus++) {
        struct sim_run smaller = *run;

        smaller.cpus = cpus;
        if (breaks_with_some_seed(&smaller))
            *run = smaller;
    }
}

/* Run it once more, and keep its choices. False: it did not repeat itself, or there are too many. */
static bool record(const struct sim_run *run, struct host_preemption **out, size_t *count)
{
    struct host_record *kept = host_shared_alloc(sizeof *kept);
    struct host_preemption *shared = host_shared_alloc(RECORD_ROOM * sizeof *shared);
    struct sim_run recorded = *run;

    *out = NULL;
    if (kept != NULL && shared != NULL) {
        kept->preemption = shared;
        kept->preemption_room = RECORD_ROOM;
        recorded.record = kept;
        if (sim_execute(&recorded, &state.outcome) == state.broken && kept->preemption_count <= RECORD_ROOM)
            *out = malloc((kept->preemption_count + 1) * sizeof **out);
        *count = kept->preemption_count;
        if (*out != NULL)
            memcpy(*out, shared, *count * sizeof **out);
    }
    host_shared_free(shared, RECORD_ROOM * sizeof *shared);
    host_shared_free(kept, sizeof *kept);
    return *out != NULL;
}

/* Does the script without [from, from + length) still do it? Then it is the script from now on. */
static bool leave_out(struct sim_run *run, struct host_preemption *script, size_t from, size_t length)
{
    struct sim_run smaller = *run;
    size_t behind = run->script_count - from - length;

    memcpy(state.candidate, script, from * sizeof *script);
    memcpy(state.candidate + from, script + from + length, behind * sizeof *script);
    smaller.script = state.candidate;
    smaller.script_count = from + behind;
    if (!breaks(&smaller))
        return false;
    memmove(script + from, script + from + length, behind * sizeof *script);
    run->script_count = from + behind;
    return true;
}

/* From the end of the run to its beginning: the story before a failure is often none of its business, but what comes
 * last is what led to it, and goes slowly. */
static void minimise(struct sim_run *run, struct host_preemption *script)
{
    bool is_smaller = true;

    for (size_t chunk = run->script_count / 2; chunk > 0 && !is_spent(); chunk /= 2)
        for (size_t from = 0; from < run->script_count && !is_spent();)
            if (!leave_out(run, script, from, MIN(chunk, run->script_count - from)))
                from += chunk;
    while (is_smaller && !is_spent()) {
        is_smaller = false;
        for (size_t from = 0; from < run->script_count && !is_spent();)
            if (leave_out(run, script, from, 1))
                is_smaller = true;
            else
                from++;
    }
}

/* Turn *run into a script; false: its choices alone do not repeat it. */
static bool to_script(FILE *to, struct sim_run *run)
{
    struct host_preemption *script = NULL;
    struct sim_run scripted = *run;
    size_t all = 0;
    bool is_recorded = record(run, &script, &all);

    scripted.strategy = HOST_SCRIPT;
    scripted.script = script;
    scripted.script_count = all;
    state.candidate = malloc((all + 1) * sizeof *state.candidate);
    if (!is_recorded || state.candidate == NULL || !breaks(&scripted)) {
        (void)fprintf(to, "not made a script: its %zu choices do not repeat the run\n", all);
        free(script);
        free(state.candidate);
        return false;
    }
    minimise(&scripted, script);
    free(state.candidate);
    (void)fprintf(to, "shrunk to %u CPUs, %u rounds, %zu of %zu choices, after %u runs\n", scripted.cpus,
                  scripted.rounds, scripted.script_count, all, state.tries);
    *run = scripted;
    return true;
}

bool shrink(FILE *to, struct sim_run *run, enum sim_promise broken)
{
    char spec[SPEC_BYTES];

    state.broken = broken;
    state.tries = 0;
    state.deadline = clock_seconds() + SECONDS_MAX;
    fewer_rounds(run);
    fewer_cpus(run);
    spec_print(run, spec);
    (void)fprintf(to, "smaller:  ./verdant sim%s --replay %s\n", sanitizer_option(), spec);
    state.deadline = clock_seconds() + SECONDS_MAX;
    if (!to_script(to, run))
        return false;
    explain_script(to, run);
    return true;
}
