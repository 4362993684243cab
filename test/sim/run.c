/* SPDX-License-Identifier: MIT */
/*
 * One run: from what a replay needs to the machine's configuration, and from the machine's result to a promise. Owns
 * the kernel's table of programs, with the one that tells a scenario. Refuses to decide anything by the host: time,
 * addresses and process numbers stay out of a run. No lock: one run at a time per process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <boot/program.h>

#include "counts.h"
#include "run.h"
#include "watch.h"

struct sim_run sim_run_now;
struct sim_outcome *sim_outcome_now;

/* Inside the kernel. */

/* The argument is NAME:ROUNDS; sim_rounds() reads the second word. */
static int sim_main(const char *argument)
{
    static struct sim_counts objects_before, objects_after;
    struct check_counts before, after;
    size_t length = strlen(sim_run_now.scenario->name);

    if (!CHECK(strncmp(argument, sim_run_now.scenario->name, length) == 0 && argument[length] == ':'))
        return 2;
    check_counts_get(&before);
    sim_counts_get(&objects_before);
    sim_run_now.scenario->run();
    check_counts_get(&after);
    sim_counts_get(&objects_after);
    if (check_counts_compare(&before, &after) + sim_counts_compare(&objects_before, &objects_after) != 0)
        sim_broken(PROMISE_CONSERVED, "counts of pages, tasks, ids, stacks or objects differ, see the console");
    if (!check_census())
        sim_broken(PROMISE_CENSUS, "the scheduler's sum does not add up, see the console");
    if (check_failures() != 0)
        sim_broken(PROMISE_STORY, "%u checks of the scenario failed, see the console", check_failures());
    return 0;
}

const struct boot_program boot_programs[] = {
    { "sim", "one of sim_scenarios", sim_main },
    { NULL, NULL, NULL },
};

/* Outside. */

#define MEMORY_BYTES_DEFAULT (UINT64_C(16) << 20)
/* With more CPUs than any scenario's own, each brings what the boot takes for it: run queue, idle task, tables. */
#define CPUS_IN_DEFAULT 64u
#define MEMORY_BYTES_PER_CPU (UINT64_C(64) << 10)
/* A run of a scenario takes some hundred thousand steps, a boot some hundreds per CPU; much more is a hang. Where all
 * CPUs spin for one lock and take turns at it, each step of its owner costs two of each of them. */
#define STEPS_MAX UINT64_C(4000000)
#define STEPS_MAX_PER_CPU UINT64_C(400000)
#define WALL_SECONDS 120u

static uint64_t run_stop_at_step;
static bool run_console_echo;

void sim_stop_at(uint64_t step)
{
    run_stop_at_step = step;
}

void sim_console_echo(bool is_on)
{
    run_console_echo = is_on;
}

/* A recorder beside the checkers: called after each step, before they are. */
static struct {
    void (*step)(void);
    void (*watch_step)(void *arg);
} recorder;

void sim_also(void (*step)(void))
{
    recorder.step = step;
}

static void recorder_step(void *arg)
{
    recorder.step();
    if (recorder.watch_step != NULL)
        recorder.watch_step(arg);
}

static void recorder_begin(struct host_config *config)
{
    if (recorder.step == NULL)
        return;
    recorder.watch_step = config->after_step;
    config->after_step = recorder_step;
}

/* How a strategy explores is the seed's choice, too: one set of numbers would see one kind of bug. A boot takes about
 * 40,000 steps, mostly of one CPU; of the points at which PCT changes its mind only those behind it meet the story. */
static void config_vary(struct host_config *config)
{
    static const unsigned switch_one_in[] = { 4, 2, 8, 3, 16, 5, 64, 32 };
    static const unsigned depth[] = { 16, 8, 32, 12, 64, 24, 48, 4 };
    static const uint64_t steps[] = { 50000, 45000, 60000, 100000, 240000 };
    static const unsigned ipi_delay[] = { 2000, 200, 20000 };
    /* Many address-space ids, none, too few for the core to use, and as many as it needs at least. */
    const unsigned asids[] = { 256, 1, 256, 2 * config->cpus + 1, 256, 2 * config->cpus };

    static const uint8_t shape[][3] = { { 0, 0, 0 }, { 2, 0, 0 }, { 1, 2, 0 }, { 1, 1, 2 }, { 2, 1, 1 }, { 2, 2, 1 } };

    config->switch_one_in = switch_one_in[config->seed % ARRAY_COUNT(switch_one_in)];
    config->pct_depth = depth[config->seed % ARRAY_COUNT(depth)];
    config->pct_steps = steps[config->seed % ARRAY_COUNT(steps)];
    config->ipi_delay_ns_max = ipi_delay[config->seed % ARRAY_COUNT(ipi_delay)];
    config->asids = asids[config->seed / 2 % ARRAY_COUNT(asids)];
    /* Flat, threads, caches, nodes, all of them. */
    config->threads = shape[config->seed / 3 % ARRAY_COUNT(shape)][0];
    config->cores = shape[config->seed / 3 % ARRAY_COUNT(shape)][1];
    config->caches = shape[config->seed / 3 % ARRAY_COUNT(shape)][2];
    config->has_remote_flush = config->seed / 4 % 2 == 1;
}

static uint64_t memory_bytes(const struct sim_run *run)
{
    uint64_t bytes = run->scenario->memory_bytes != 0 ? run->scenario->memory_bytes : MEMORY_BYTES_DEFAULT;

    return bytes + (run->cpus > CPUS_IN_DEFAULT ? run->cpus * MEMORY_BYTES_PER_CPU : 0);
}

static char run_cmdline[256];

static void config_fill(const struct sim_run *run, struct host_config *config)
{
    const struct sim_scenario *scenario = run->scenario;
    int length;
    /* A story that is told at greater length than usual may take as much longer. */
    uint64_t longer = MAX(run->rounds / MAX(scenario->rounds, 1u), 1u);

    *config = (struct host_config){
        .cpus = run->cpus,
        .seed = run->seed,
        .strategy = run->strategy,
        .script = run->script,
        .script_count = run->script_count,
        .record = run->record,
        .stop_at_step = run_stop_at_step,
        .memory_bytes = memory_bytes(run),
        .max_steps = longer * (STEPS_MAX + STEPS_MAX_PER_CPU * run->cpus),
        .wall_seconds = (unsigned)(longer * WALL_SECONDS),
        .cmdline = run_cmdline,
        .console_echo = run_console_echo,
    };
    config_vary(config);
    length = snprintf(run_cmdline, sizeof run_cmdline, "init=sim:%s:%u seed=%llu loglevel=%u %s", scenario->name,
                      run->rounds, (unsigned long long)run->seed, run_console_echo ? 2 : 1,
                      scenario->options != NULL ? scenario->options : "");
    if (length < 0 || (size_t)length >= sizeof run_cmdline) {
        (void)fprintf(stderr, "sim: the options of %s are too long\n", scenario->name);
        exit(2);
    }
}

static void copy_line(char *to, size_t bytes, const char *from)
{
    size_t length = strcspn(from, "\r\n");

    length = length < bytes ? length : bytes - 1;
    memcpy(to, from, length);
    to[length] = '\0';
}

/* A run that ended by exit, and whose end named no promise. */
static void classify_exit(struct sim_outcome *out)
{
    const char *line = strstr(out->result.console, "panic: ");

    if (line != NULL) {
        copy_line(out->what, sizeof out->what, line);
        out->broken = sim_promise_of_console(out->result.console);
    } else if (out->result.code != 0) {
        (void)snprintf(out->what, sizeof out->what, "the machine was left with code %d", out->result.code);
        out->broken = PROMISE_SANITY;
    }
}

/* A run that named no promise, and was wrong nevertheless. */
static void classify(struct sim_outcome *out)
{
    /* A panic may not come to its end: it waits for CPUs that may wait for a lock of the one that panicked. */
    if (out->result.end == HOST_END_EXIT ||
        (out->result.end <= HOST_END_STEPS && strstr(out->result.console, "panic: ") != NULL)) {
        classify_exit(out);
        if (out->what[0] == '\0')
            return;
    } else if (out->result.end == HOST_END_CRASH) {
        out->broken = sanitizer_promise(out->result.code);
    } else if (out->result.end == HOST_END_CONTRACT) {
        out->broken = sim_promise_of_report(out->result.report);
    } else {
        out->broken = PROMISE_LIVENESS;
    }
    if (out->broken == PROMISE_NONE)
        out->broken = PROMISE_SANITY;
    if (out->what[0] == '\0')
        copy_line(out->what, sizeof out->what, out->result.report);
}

static enum sim_promise execute(const struct sim_run *run, struct sim_outcome *out,
                                int (*how)(const struct host_config *, struct host_result *))
{
    struct host_config config;

    memset(out, 0, offsetof(struct sim_outcome, result));
    if (sim_outcome_now == NULL)
        sim_outcome_now = host_shared_alloc(sizeof *sim_outcome_now);
    if (sim_outcome_now == NULL) {
        (void)fprintf(stderr, "sim: out of memory\n");
        exit(2);
    }
    memset(sim_outcome_now, 0, offsetof(struct sim_outcome, result));
    sim_run_now = *run;
    config_fill(run, &config);
    sim_watch(&config);
    recorder_begin(&config);
    sanitizer_begin();
    (void)how(&config, &out->result);
    out->broken = sim_outcome_now->broken;
    memcpy(out->what, sim_outcome_now->what, sizeof out->what);
    if (out->broken == PROMISE_NONE)
        classify(out);
    return out->broken;
}

enum sim_promise sim_execute(const struct sim_run *run, struct sim_outcome *out)
{
    return execute(run, out, host_machine_run_forked);
}

enum sim_promise sim_execute_here(const struct sim_run *run, struct sim_outcome *out)
{
    return execute(run, out, host_machine_run);
}
