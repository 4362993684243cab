/* SPDX-License-Identifier: MIT */
/* Campaigns, and what is done with a run that broke a promise. */
#pragma once

#include <stdio.h>

#include "options.h"

/* campaign.c: runs what the options ask for. The exit status: 0, or 1 if a promise was broken. */
int campaign(const struct options *options);

/* The run of a campaign with this seed, on so many CPUs; 0: by scenario and seed. */
void run_choose(const struct options *options, const struct sim_scenario *scenario, enum host_strategy strategy,
                unsigned cpus, uint64_t seed, struct sim_run *out);

/* workers.c: the processes of a campaign. */
#define FAILURES_MAX 256u

struct tally {
    _Atomic(uint64_t) runs;
    _Atomic(uint64_t) steps;
    _Atomic(uint64_t) failures;
};

/* Of a run that broke a promise: what repeats it, and what must come out again. */
struct failure {
    _Atomic(bool) is_set;
    unsigned which; /* of options.scenario */
    struct sim_run run;
    enum sim_promise broken;
    uint64_t hash;
    char what[256];
};

struct workers {
    const struct options *options;
    double deadline;                 /* of clock_seconds() */
    _Atomic(bool) is_stopping;
    _Atomic(uint64_t) next;          /* the next run's number */
    _Atomic(uint64_t) runs;
    _Atomic(uint64_t) twice;         /* runs that were told twice, to compare */
    _Atomic(uint64_t) steps;
    _Atomic(unsigned) failure_count; /* may exceed what was kept */
    struct tally tally[SCENARIOS_MAX];
    struct tally cell[HOST_STRATEGY_COUNT][CPU_COUNTS_MAX]; /* by options.strategy[], options.cpu_count[] */
    struct failure failure[FAILURES_MAX];
};
double clock_seconds(void);
struct workers *workers_create(const struct options *options); /* shared memory; exits if there is none */
void workers_start(struct workers *workers, void (*body)(struct workers *workers, unsigned index));
unsigned workers_left(void); /* how many still work; looks without waiting */
void workers_wait(void);     /* until none does */
bool workers_must_stop(struct workers *workers); /* told so, or its time is over */
unsigned workers_died(void); /* how many ended otherwise than by coming to their end, of all that were started */
void workers_body(struct workers *workers, unsigned index);
void workers_add_failure(struct workers *workers, unsigned which, const struct sim_run *run,
                         const struct sim_outcome *outcome);
void cells_print(FILE *to, struct workers *workers); /* cells.c: the table of strategies and numbers of CPUs */

/* spec.c: "SCENARIO:STRATEGY:CPUS:ROUNDS:SEED", or a file with that line and its preemptions. */
#define SPEC_BYTES 256
void spec_print(const struct sim_run *run, char out[SPEC_BYTES]);
bool spec_parse(const char *text, struct sim_run *out);                /* false: after a line that says why */
bool spec_write(const char *name, const struct sim_run *run, const char *why); /* a file for spec_parse() */

/* report.c: a run that broke a promise, in full: a child runs it again. */
void report_failure(FILE *to, const struct sim_run *run, const struct sim_outcome *expected);
void report_outcome(FILE *to, const struct sim_run *run, const struct sim_outcome *outcome);

/* explain.c: run a script again, and print where each of its preemptions struck. */
void explain_script(FILE *to, const struct sim_run *run);

/* shrink.c: look for a smaller run that breaks the same promise. True: *run is that run, of HOST_SCRIPT, its script is
 * the caller's to free. What was tried goes to `to`. */
bool shrink(FILE *to, struct sim_run *run, enum sim_promise broken);

/* replay.c, timeline.c, exhaustive.c */
int replay(const struct options *options);
int exhaustive(const struct options *options);
void timeline_begin(void);                /* the run that follows is recorded */
bool timeline_write(const char *file, const struct sim_run *run); /* false: after a line that says why */
