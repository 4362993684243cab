/* SPDX-License-Identifier: MIT */
/*
 * The kit on the simulated machine: one run per seed, each in a child process, because the kit's own data is new only
 * once. Shows the levels of the first seed, and what a failing seed printed.
 *
 * port_check [--cpus N] [--seeds N|A..B] [--append WORDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <host/machine.h>
#include <k/compiler.h>
#include <k/limits.h>

#define WRONG_WORDS 2
#define RAM_BYTES (UINT64_C(32) << 20)
#define RAM_BYTES_PER_CPU (UINT64_C(128) << 10) /* two stacks and an area, and as much again */

struct options {
    unsigned cpus;
    uint64_t first, last;
    const char *append;
};

static bool parse_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;

    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && *out <= most;
}

static bool parse_seeds(const char *text, struct options *options)
{
    const char *dots = strstr(text, "..");
    char first[24] = "1";

    if (dots != NULL && (size_t)(dots - text) < sizeof first) {
        memcpy(first, text, (size_t)(dots - text));
        first[dots - text] = '\0';
    }
    return parse_number(first, UINT64_MAX, &options->first) &&
           parse_number(dots != NULL ? dots + 2 : text, UINT64_MAX, &options->last) && options->first <= options->last;
}

static bool parse(int argc, char **argv, struct options *options)
{
    uint64_t cpus;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--cpus") == 0) {
            if (!parse_number(argv[i + 1], CPU_MAX, &cpus) || cpus == 0)
                return false;
            options->cpus = (unsigned)cpus;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            if (!parse_seeds(argv[i + 1], options))
                return false;
        } else if (strcmp(argv[i], "--append") == 0) {
            options->append = argv[i + 1];
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    static struct host_result result;
    struct options options = { .cpus = 4, .first = 1, .last = 1, .append = "" };

    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: port_check [--cpus 1..%d] [--seeds N|A..B] [--append WORDS]\n", CPU_MAX);
        return WRONG_WORDS;
    }
    for (uint64_t seed = options.first; seed <= options.last; seed++) {
        static const unsigned asids[] = { 256, 65536, 1, 3 };
        const struct host_config config = {
            .cpus = options.cpus,
            .seed = seed,
            .cmdline = options.append,
            .console_echo = seed == options.first,
            .memory_bytes = RAM_BYTES + options.cpus * RAM_BYTES_PER_CPU,
            .asids = asids[seed % ARRAY_COUNT(asids)],
            .has_remote_flush = seed % 2 == 1,
        };

        if (host_machine_run_forked(&config, &result) != 0) {
            host_result_print(&config, &result);
            return 1;
        }
    }
    if (options.last > options.first)
        (void)printf("port-check: %u CPUs, seeds %llu..%llu passed\n", options.cpus, (unsigned long long)options.first,
                     (unsigned long long)options.last);
    return 0;
}
