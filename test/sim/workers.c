/* SPDX-License-Identifier: MIT */
/*
 * The processes of a campaign: each takes the next run's number from shared memory, runs it in a child of its own, and
 * adds up what came out. They leave interrupts from the terminal to the process that started them, and end when it says
 * so or has gone. Shared words are atomic; a failure's record is written before its flag.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "campaign.h"

/* One run in so many is told twice: the same words must give the same steps. */
#define TWICE_ONE_IN 64u

static unsigned started;
static unsigned ended;
static unsigned died;

double clock_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct workers *workers_create(const struct options *options)
{
    struct workers *workers = host_shared_alloc(sizeof *workers);

    if (workers == NULL) {
        (void)fprintf(stderr, "sim: out of memory\n");
        exit(2);
    }
    workers->options = options;
    workers->deadline = options->seconds != 0 ? clock_seconds() + (double)options->seconds : 0;
    return workers;
}

static void be_worker(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    sim_outcome_now = NULL; /* each process asks for its own */
}

void workers_start(struct workers *workers, void (*body)(struct workers *, unsigned))
{
    (void)fflush(NULL);
    started = ended = 0;
    for (unsigned i = 0; i < workers->options->jobs; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            be_worker();
            body(workers, i);
            _exit(0);
        }
        if (pid < 0)
            break;
        started++;
    }
    if (started == 0) {
        perror("sim: fork");
        exit(2);
    }
}

static void count_ended(int how)
{
    int status = 0;

    while (ended < started && waitpid(-1, &status, how) > 0) {
        ended++;
        died += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
}

unsigned workers_left(void)
{
    count_ended(WNOHANG);
    return started - ended;
}

void workers_wait(void)
{
    count_ended(0);
}

unsigned workers_died(void)
{
    return died;
}

bool workers_must_stop(struct workers *workers)
{
    return atomic_load(&workers->is_stopping) || (workers->deadline != 0 && clock_seconds() >= workers->deadline);
}

/* With several numbers of CPUs the steps are for all cells alike, though a run on many CPUs takes many more. */
static bool is_full(struct workers *workers, unsigned way, unsigned column)
{
    const struct options *options = workers->options;
    uint64_t cells = (uint64_t)options->strategy_count * options->cpu_counts;

    return options->cpu_counts > 1 && options->steps != 0 &&
           atomic_load(&workers->cell[way][column].steps) >= options->steps / cells;
}

static bool are_all_full(struct workers *workers)
{
    const struct options *options = workers->options;

    for (unsigned way = 0; way < options->strategy_count; way++)
        for (unsigned column = 0; column < options->cpu_counts; column++)
            if (!is_full(workers, way, column))
                return false;
    return true;
}

static bool is_over(struct workers *workers)
{
    const struct options *options = workers->options;

    if (options->cpu_counts > 1 && options->steps != 0)
        return workers_must_stop(workers) || are_all_full(workers);
    return workers_must_stop(workers) || (options->steps != 0 && atomic_load(&workers->steps) >= options->steps);
}

void workers_add_failure(struct workers *workers, unsigned which, const struct sim_run *run,
                         const struct sim_outcome *outcome)
{
    unsigned at = atomic_fetch_add(&workers->failure_count, 1);
    struct failure *failure = &workers->failure[at];

    (void)atomic_fetch_add(&workers->tally[which].failures, 1);
    if (workers->options->stops_at_failure)
        atomic_store(&workers->is_stopping, true);
    if (at >= FAILURES_MAX)
        return;
    failure->which = which;
    failure->run = *run;
    failure->broken = outcome->broken;
    failure->hash = outcome->result.hash;
    memcpy(failure->what, outcome->what, sizeof failure->what);
    atomic_store(&failure->is_set, true);
}

static void compare(struct workers *workers, unsigned which, const struct sim_run *run, const struct sim_outcome *first)
{
    static struct sim_outcome second;

    (void)atomic_fetch_add(&workers->twice, 1);
    (void)sim_execute(run, &second);
    if (second.result.hash == first->result.hash && second.result.steps == first->result.steps)
        return;
    second.broken = PROMISE_SANITY;
    (void)snprintf(second.what, sizeof second.what, "the same words gave two runs, of hashes %016llx and %016llx",
                   (unsigned long long)first->result.hash, (unsigned long long)second.result.hash);
    workers_add_failure(workers, which, run, &second);
}

static void count(struct tally *tally, uint64_t steps, bool is_failure)
{
    (void)atomic_fetch_add(&tally->runs, 1);
    (void)atomic_fetch_add(&tally->steps, steps);
    (void)atomic_fetch_add(&tally->failures, is_failure);
}

/* Run number n: scenarios alternate, then strategies, then numbers of CPUs, then seeds. Each number of CPUs begins with
 * another scenario: where steps end a campaign of many CPUs early, it has not been the same ones everywhere. */
static void work(struct workers *workers, uint64_t n)
{
    static struct sim_outcome outcome;
    const struct options *options = workers->options;
    unsigned way = (unsigned)(n / options->scenario_count % options->strategy_count);
    uint64_t turn = n / options->scenario_count / options->strategy_count;
    unsigned column = (unsigned)(turn % options->cpu_counts);
    unsigned shift = (way * options->cpu_counts + column) * options->scenario_count /
                     (options->strategy_count * options->cpu_counts);
    unsigned which = (unsigned)((n + (options->cpu_counts > 1 ? shift : 0)) % options->scenario_count);
    const struct sim_scenario *scenario = options->scenario[which];
    struct tally *cell = &workers->cell[way][column];
    enum sim_promise broken;
    struct sim_run run;

    if (is_full(workers, way, column) || (options->cpu_counts > 1 && scenario->cpus_min > options->cpu_count[column]))
        return;
    run_choose(options, scenario, options->strategy[way],
               options->cpu_counts > 1 ? options->cpu_count[column] : options->cpus,
               options->seed_first + turn / options->cpu_counts, &run);
    broken = sim_execute(&run, &outcome);
    if (broken != PROMISE_NONE)
        workers_add_failure(workers, which, &run, &outcome);
    else if (n % TWICE_ONE_IN == 0)
        compare(workers, which, &run, &outcome);
    count(&workers->tally[which], outcome.result.steps, false); /* its failures count where they are told */
    count(cell, outcome.result.steps, broken != PROMISE_NONE);
    (void)atomic_fetch_add(&workers->runs, 1);
    (void)atomic_fetch_add(&workers->steps, outcome.result.steps);
}

void workers_body(struct workers *workers, unsigned index)
{
    const struct options *options = workers->options;
    uint64_t per_seed = (uint64_t)options->scenario_count * options->strategy_count * options->cpu_counts;

    (void)index;
    while (!is_over(workers)) {
        uint64_t n = atomic_fetch_add(&workers->next, 1);

        if (n / per_seed >= options->seed_count)
            return;
        work(workers, n);
    }
}
