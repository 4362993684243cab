/* SPDX-License-Identifier: MIT */
/*
 * The self-checks of test/kernel on the simulated machine: "selftest GROUP" boots `init=selftest:GROUP` on 1 to 8 CPUs,
 * seed after seed, until its share of time is used up; there is a least number of seeds that must pass.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <host/machine.h>

#define SEEDS_MIN 4
#define SEEDS_MAX 200
#define SECONDS 6

static struct host_result result;

static double now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_seed(const char *group, unsigned seed)
{
    static const unsigned cpus[] = { 2, 4, 1, 8, 3 };
    char cmdline[96];
    struct host_config config = {
        .cpus = cpus[seed % (sizeof cpus / sizeof cpus[0])],
        .seed = seed,
        .cmdline = cmdline,
        .max_steps = 400000000,
    };

    (void)snprintf(cmdline, sizeof cmdline, "init=selftest:%s seed=%u loglevel=2", group, seed);
    int code = host_machine_run_forked(&config, &result);

    if (code != 0)
        host_result_print(&config, &result);
    return code;
}

int main(int argc, char **argv)
{
    double end = now_seconds() + SECONDS;
    unsigned seed = 0;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s GROUP\n", argv[0]);
        return 2;
    }
    while (seed < SEEDS_MIN || (seed < SEEDS_MAX && now_seconds() < end))
        if (run_seed(argv[1], seed++) != 0)
            return 1;
    (void)printf("%s: %u seeds passed\n", argv[1], seed);
    return 0;
}
