/* SPDX-License-Identifier: MIT */
/* The words of `sim`'s command line, and what they ask for. */
#pragma once

#include "run.h"

#define SCENARIOS_MAX 192u
#define CPU_COUNTS_MAX 16u
#define BOUND_MAX 8u /* preemptions of an exhaustive search */

struct options {
    const struct sim_scenario *scenario[SCENARIOS_MAX];
    unsigned scenario_count;
    unsigned skipped;       /* scenarios that nobody named, for want of CPUs */
    enum host_strategy strategy[HOST_STRATEGY_COUNT];
    unsigned strategy_count;
    bool is_exhaustive;
    unsigned bound;         /* preemptions of an exhaustive search */
    uint64_t seed_first;
    uint64_t seed_count;    /* UINT64_MAX: no end */
    unsigned cpus;          /* 0: by scenario and seed, or by cpu_count[] */
    unsigned cpu_count[CPU_COUNTS_MAX]; /* each for itself: scenarios that need more are left out there */
    unsigned cpu_counts;    /* 1 and up */
    unsigned rounds;        /* 0: the scenario's own */
    uint64_t seconds;       /* 0: no limit */
    uint64_t steps;         /* in total; 0: no limit */
    unsigned jobs;
    bool stops_at_failure;
    bool shrinks;
    const char *report;     /* file, or NULL */
    const char *label;      /* for the report: which version of the source, or NULL */
    const char *save;       /* folder for the files that shrinking leaves */
    const char *replay;     /* spec or file, or NULL */
    const char *trace;      /* file, or NULL */
    uint64_t stop_at_step;
    bool is_here;
    bool is_list;
    bool is_twice;          /* run the replay twice, and compare */
};

/* Exits with one line and status 2 if a word is wrong. */
void options_parse(int count, char **words, struct options *out);
[[noreturn]] void wrong_words(const char *format, ...) PRINTF_LIKE(1, 2);

/* All of it a number up to `max`? */
bool number_parse(const char *text, uint64_t max, uint64_t *out);
