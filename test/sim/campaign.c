/* SPDX-License-Identifier: MIT */
/*
 * A campaign: scenarios x strategies x seeds, told by several processes at once, while this one shows how far they are,
 * prints and shrinks what failed, and keeps the report file. Nothing stops it but its limits, Ctrl-C, or --first: a
 * failure goes into the report, and the next seed follows. No lock: this process writes no shared word but the flag
 * that stops the others.
 */
#include "campaign.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <k/limits.h>

#define CPUS_USUAL_MAX 8u
#define SHOWN_PER_SCENARIO 2u
#define LOOK_NS 100000000
#define LINE_SECONDS_TERMINAL 0.5
#define LINE_SECONDS 10.0
#define REPORT_SECONDS 30.0

static struct {
    struct workers *workers;
    double start, line_at, report_at;
    uint64_t line_steps;
    bool is_terminal;
    unsigned seen;                       /* failures that were looked at */
    unsigned shown[SCENARIOS_MAX];
    char first[SCENARIOS_MAX][SPEC_BYTES];
    enum sim_promise first_broken[SCENARIOS_MAX];
    FILE *failures;                      /* their texts, for the report */
} show;

static volatile sig_atomic_t interrupted;

void run_choose(const struct options *options, const struct sim_scenario *scenario, enum host_strategy strategy,
                unsigned cpus, uint64_t seed, struct sim_run *out)
{
    unsigned most = MAX(scenario->cpus, CPUS_USUAL_MAX);
    unsigned least = MAX(scenario->cpus_min, 1u);

    *out = (struct sim_run){
        .scenario = scenario,
        .seed = seed,
        .cpus = cpus,
        .rounds = options->rounds != 0 ? options->rounds : MAX(scenario->rounds, 1u),
        .strategy = strategy,
    };
    /* Every other seed has the scenario's own number, the others all that make sense. */
    if (out->cpus == 0)
        out->cpus = seed % 2 == 0 ? scenario->cpus : least + (unsigned)(seed / 2 % (most - least + 1));
}

static void on_interrupt(int number)
{
    (void)signal(number, SIG_DFL); /* a second one does not wait */
    interrupted = 1;
}

static void amount(uint64_t steps, char out[32])
{
    if (steps < 10000)
        (void)snprintf(out, 32, "%llu", (unsigned long long)steps);
    else if (steps < 1000000)
        (void)snprintf(out, 32, "%.0f thousand", (double)steps / 1e3);
    else
        (void)snprintf(out, 32, "%.2f million", (double)steps / 1e6);
}

static void line_clear(void)
{
    if (show.is_terminal)
        (void)printf("\r\x1b[K");
}

/* Where the campaign is, on one line. */
static void line_show(double now)
{
    struct workers *workers = show.workers;
    const struct options *options = workers->options;
    uint64_t steps = atomic_load(&workers->steps);
    uint64_t per_seed = (uint64_t)options->scenario_count * options->strategy_count * options->cpu_counts;
    double every = show.is_terminal ? LINE_SECONDS_TERMINAL : LINE_SECONDS;
    char total[32], rate[32];

    if (now - show.line_at < every)
        return;
    amount(steps, total);
    amount((uint64_t)((double)(steps - show.line_steps) / (now - show.line_at)), rate);
    line_clear();
    (void)printf("%.0f s: %llu seeds, %llu runs, %s steps, %s steps/s, %u failures", now - show.start,
                 (unsigned long long)(atomic_load(&workers->runs) / per_seed),
                 (unsigned long long)atomic_load(&workers->runs), total, rate, atomic_load(&workers->failure_count));
    (void)printf("%s", show.is_terminal ? "" : "\n");
    (void)fflush(stdout);
    show.line_at = now;
    show.line_steps = steps;
}

static void table_print(FILE *to)
{
    const struct options *options = show.workers->options;

    (void)fprintf(to, "%-20s %10s %15s %8s  %s\n", "scenario", "runs", "steps", "failures", "first failing run");
    for (unsigned i = 0; i < options->scenario_count; i++) {
        struct tally *tally = &show.workers->tally[i];

        (void)fprintf(to, "%-20s %10llu %15llu %8llu  ", options->scenario[i]->name,
                      (unsigned long long)atomic_load(&tally->runs), (unsigned long long)atomic_load(&tally->steps),
                      (unsigned long long)atomic_load(&tally->failures));
        if (show.first[i][0] != '\0')
            (void)fprintf(to, "%s (%s)\n", show.first[i], sim_promise_name(show.first_broken[i]));
        else
            (void)fprintf(to, "-\n");
    }
}

static void summary_print(FILE *to, const char *state)
{
    struct workers *workers = show.workers;
    const struct options *options = workers->options;
    double seconds = clock_seconds() - show.start;
    uint64_t steps = atomic_load(&workers->steps);

    table_print(to);
    if (options->cpu_counts > 1)
        cells_print(to, workers);
    (void)fprintf(to, "strategies:");
    for (unsigned i = 0; i < options->strategy_count; i++)
        (void)fprintf(to, " %s", host_strategy_name(options->strategy[i]));
    (void)fprintf(to, "; seeds from %llu\n", (unsigned long long)options->seed_first);
    if (options->skipped != 0)
        (void)fprintf(to, "skipped: %u scenarios that need more than %u CPU%s\n", options->skipped, options->cpus,
                      options->cpus == 1 ? "" : "s");
    (void)fprintf(to, "%s: %llu runs, %llu steps, %.0f s, %.0f steps/s with %u jobs", state,
                  (unsigned long long)atomic_load(&workers->runs), (unsigned long long)steps, seconds,
                  (double)steps / MAX(seconds, 1e-3), options->jobs);
    (void)fprintf(to, ", %llu runs told twice, %u failures\n", (unsigned long long)atomic_load(&workers->twice),
                  atomic_load(&workers->failure_count));
}

/* Rewritten in one piece, so that whoever reads it finds a whole one. */
static void report_write(const char *state)
{
    const char *name = show.workers->options->report;
    char temporary[4096];
    char line[512];
    time_t now = time(NULL);
    FILE *file;

    if (name == NULL)
        return;
    (void)snprintf(temporary, sizeof temporary, "%s.new", name);
    file = fopen(temporary, "w");
    if (file == NULL) {
        perror(temporary);
        return;
    }
    (void)fprintf(file, "Campaign of the simulator%s%s, %s\n", show.workers->options->label != NULL ? ", " : "",
                  show.workers->options->label != NULL ? show.workers->options->label : "", ctime(&now));
    summary_print(file, state);
    rewind(show.failures);
    while (fgets(line, (int)sizeof line, show.failures) != NULL)
        (void)fputs(line, file);
    (void)fseek(show.failures, 0, SEEK_END);
    if (fclose(file) != 0 || rename(temporary, name) != 0)
        perror(name);
}

/* The whole story of a failure, and of a smaller one like it. */
static void failure_tell(FILE *to, const struct failure *failure)
{
    static struct sim_outcome outcome;
    const struct options *options = show.workers->options;
    struct sim_run small = failure->run;
    char name[4096];

    outcome.broken = failure->broken;
    memcpy(outcome.what, failure->what, sizeof outcome.what);
    outcome.result.hash = failure->hash;
    report_failure(to, &failure->run, &outcome);
    if (!options->shrinks || !shrink(to, &small, failure->broken))
        return;
    (void)snprintf(name, sizeof name, "%s/%s-%s-%llu.sim", options->save, small.scenario->name,
                   sim_promise_name(failure->broken), (unsigned long long)failure->run.seed);
    if (spec_write(name, &small, failure->what))
        (void)fprintf(to, "the smaller run: ./verdant sim%s --replay %s\n", sanitizer_option(), name);
    free((void *)(uintptr_t)small.script);
}

static void failure_show(const struct failure *failure)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to;

    if (show.shown[failure->which]++ == 0) {
        spec_print(&failure->run, show.first[failure->which]);
        show.first_broken[failure->which] = failure->broken;
    }
    if (show.shown[failure->which] > SHOWN_PER_SCENARIO)
        return;
    to = open_memstream(&text, &bytes);
    if (to == NULL)
        return;
    failure_tell(to, failure);
    (void)fclose(to);
    line_clear();
    (void)printf("\n%s\n", text);
    (void)fflush(stdout);
    (void)fprintf(show.failures, "\n%s", text);
    free(text);
}

static void failures_look(void)
{
    struct workers *workers = show.workers;

    while (show.seen < FAILURES_MAX && atomic_load(&workers->failure[show.seen].is_set)) {
        failure_show(&workers->failure[show.seen++]);
        report_write("so far");
        show.report_at = clock_seconds();
    }
}

static void watch_workers(void)
{
    const struct timespec nap = { .tv_nsec = LOOK_NS };

    while (workers_left() != 0) {
        double now;

        (void)nanosleep(&nap, NULL);
        if (interrupted)
            atomic_store(&show.workers->is_stopping, true);
        failures_look();
        now = clock_seconds();
        line_show(now);
        if (now - show.report_at >= REPORT_SECONDS) {
            report_write("so far");
            show.report_at = now;
        }
    }
    failures_look();
}

int campaign(const struct options *options)
{
    const char *state;

    show.workers = workers_create(options);
    show.failures = tmpfile();
    if (show.failures == NULL) {
        perror("sim: temporary file");
        return 2;
    }
    show.is_terminal = isatty(STDOUT_FILENO) == 1;
    show.start = show.line_at = show.report_at = clock_seconds();
    workers_start(show.workers, workers_body);
    (void)signal(SIGINT, on_interrupt);
    (void)signal(SIGTERM, on_interrupt);
    watch_workers();
    state = workers_died() != 0 ? "WORKERS DIED" : interrupted ? "stopped" : "done";
    line_clear();
    summary_print(stdout, state);
    report_write(state);
    return atomic_load(&show.workers->failure_count) != 0 || workers_died() != 0 ? 1 : 0;
}
