/* SPDX-License-Identifier: MIT */
/*
 * Booting the kernel for a test, under the simulator's watch. Owns the state of one run; no lock, one host thread.
 */
#include "booted.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <boot/options.h>
#include <boot/program.h>
#include <host/machine.h>

#include "sim.h"

struct sim_outcome *sim_outcome_now; /* nobody asks: a broken promise goes to standard error */

struct booted_machine booted_machine;

/* Inside the kernel. */

uint64_t booted_seed(void)
{
    return boot_report.options->seed;
}

static int booted_main(const char *argument)
{
    struct check_counts before, after;
    const struct kernel_test *test = booted_tests;

    while (test->name != NULL && strcmp(test->name, argument) != 0)
        test++;
    if (!CHECK(test->name != NULL))
        return 2;
    if (booted_machine.prepare != NULL)
        booted_machine.prepare();
    check_counts_get(&before);
    test->run();
    check_counts_get(&after);
    CHECK(check_counts_compare(&before, &after) == 0);
    CHECK(check_census());
    return check_failures() == 0 ? 0 : 1;
}

const struct boot_program boot_programs[] = {
    { "test", "one of booted_tests", booted_main },
    { NULL, NULL, NULL },
};

/* Outside. */

static struct host_result result;

/* A quiet machine boots a kernel in well under this time; where it takes longer (a sanitizer, a busy machine) there are
 * fewer seeds, down to one for each number of CPUs, so that no test takes minutes. */
#define BOOT_SHARE_MS 20
#define SEEDS_MIN 8

static double now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Is it time to leave the rest of the seeds out? */
static bool is_late(const char *name, double start_ms, unsigned seed, unsigned seeds)
{
    if (seed < SEEDS_MIN || now_ms() - start_ms < (double)seeds * BOOT_SHARE_MS)
        return false;
    print_message("%s: slow machine, %u of %u seeds\n", name, seed, seeds);
    return true;
}

static int boot(unsigned cpus, const char *name, const char *more, uint64_t seed)
{
    char cmdline[256];
    struct host_config config = {
        .cpus = cpus,
        .seed = seed,
        .memory_bytes = 16 << 20,
        .cmdline = cmdline,
        .step_ns = booted_machine.step_ns,
        .threads = booted_machine.threads,
        .cores = booted_machine.cores,
        .caches = booted_machine.caches,
    };

    (void)snprintf(cmdline, sizeof cmdline, "init=test:%s seed=%llu loglevel=1 %s", name,
                   (unsigned long long)seed, more);
    sim_watch(&config);
    return host_machine_run_forked(&config, &result);
}

void booted_run_on(unsigned cpus, const char *name, const char *more, unsigned seeds)
{
    double start_ms = now_ms();

    for (unsigned seed = 0; seed < seeds && !is_late(name, start_ms, seed, seeds); seed++) {
        int code = boot(cpus, name, more, seed);

        if (code != 0)
            fail_msg("%s, %u CPUs, seed %u: code %d\n%s\n%s", name, cpus, seed, code, result.report, result.console);
    }
}

void booted_run(const char *name, unsigned seeds)
{
    static const unsigned cpus[SEEDS_MIN] = { 2, 4, 1, 3, 2, 8, 4, 5 };
    double start_ms = now_ms();

    for (unsigned seed = 0; seed < seeds && !is_late(name, start_ms, seed, seeds); seed++) {
        unsigned count = cpus[seed % ARRAY_COUNT(cpus)];
        int code = boot(count, name, "", seed);

        if (code != 0)
            fail_msg("%s, %u CPUs, seed %u: code %d\n%s\n%s", name, count, seed, code, result.report, result.console);
    }
}

void booted_panics_with_seed(unsigned cpus, const char *name, const char *words, uint64_t seed)
{
    int code = boot(cpus, name, "", seed);

    if (result.end != HOST_END_EXIT || code != 1 || strstr(result.console, words) == NULL)
        fail_msg("%s, %u CPUs, seed %llu: no panic with \"%s\", code %d\n%s\n%s", name, cpus, (unsigned long long)seed,
                 words, code, result.report, result.console);
}

void booted_panics(unsigned cpus, const char *name, const char *words, unsigned seeds)
{
    for (unsigned seed = 0; seed < seeds; seed++)
        booted_panics_with_seed(cpus, name, words, seed);
}

const char *booted_console(void)
{
    return result.console;
}
