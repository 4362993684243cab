/* SPDX-License-Identifier: MIT */
/* The words that name a run, so that it can be told again: in one line, or in a file with its preemptions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <k/limits.h>

#include "campaign.h"

#define SCRIPT_MAX 1000000u

void spec_print(const struct sim_run *run, char out[SPEC_BYTES])
{
    (void)snprintf(out, SPEC_BYTES, "%s:%s:%u:%u:%llu", run->scenario->name, host_strategy_name(run->strategy),
                   run->cpus, run->rounds, (unsigned long long)run->seed);
}

static bool refuse(const char *spec, const char *why)
{
    (void)fprintf(stderr, "sim: %s: %s; a run is SCENARIO:STRATEGY:CPUS:ROUNDS:SEED, or a file that shrinking left\n",
                  spec, why);
    return false;
}

static bool parse_words(const char *text, char *copy, struct sim_run *out)
{
    char *rest = copy;
    const char *scenario = strsep(&rest, ":");
    const char *strategy = strsep(&rest, ":");
    const char *cpus = strsep(&rest, ":");
    const char *rounds = strsep(&rest, ":");
    const char *seed = strsep(&rest, ":");
    uint64_t number = 0;

    if (seed == NULL || rest != NULL)
        return refuse(text, "not five words");
    out->scenario = sim_scenario_find(scenario);
    if (out->scenario == NULL)
        return refuse(text, "no such scenario");
    out->strategy = host_strategy_by_name(strategy);
    if (out->strategy == HOST_STRATEGY_COUNT)
        return refuse(text, "no such strategy");
    if (!number_parse(cpus, CPU_MAX, &number) || number == 0)
        return refuse(text, "no such number of CPUs");
    out->cpus = (unsigned)number;
    if (!number_parse(rounds, UINT32_MAX, &number) || number == 0)
        return refuse(text, "no such number of rounds");
    out->rounds = (unsigned)number;
    return number_parse(seed, UINT64_MAX, &out->seed) || refuse(text, "the seed is no number");
}

/* One line "preempt CPU AT TO" each. */
static bool parse_script(const char *name, FILE *file, struct sim_run *out)
{
    struct host_preemption *script = NULL;
    char line[128];

    while (fgets(line, (int)sizeof line, file) != NULL) {
        unsigned cpu = 0, to = 0;
        unsigned long long at = 0;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (sscanf(line, "preempt %u at %llu to %u", &cpu, &at, &to) != 3 || cpu >= CPU_MAX || to >= CPU_MAX)
            return refuse(name, "a line is no preemption");
        if (out->script_count == SCRIPT_MAX)
            return refuse(name, "too many preemptions");
        struct host_preemption *more = realloc(script, (out->script_count + 1) * sizeof *script);

        if (more == NULL)
            return refuse(name, "out of memory");
        script = more;
        script[out->script_count++] = (struct host_preemption){ .cpu = cpu, .to = to, .at = at };
    }
    out->script = script;
    return true;
}

static bool parse_file(const char *name, FILE *file, struct sim_run *out)
{
    char line[SPEC_BYTES];

    while (fgets(line, (int)sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "run ", 4) == 0)
            return parse_words(name, line + 4, out) && parse_script(name, file, out);
        if (line[0] != '#' && line[0] != '\0')
            break;
    }
    return refuse(name, "no line \"run SCENARIO:script:CPUS:ROUNDS:SEED\"");
}

bool spec_parse(const char *text, struct sim_run *out)
{
    char copy[SPEC_BYTES];
    FILE *file;
    bool is_good;

    *out = (struct sim_run){ .scenario = NULL };
    if (strchr(text, ':') != NULL) {
        (void)snprintf(copy, sizeof copy, "%s", text);
        return parse_words(text, copy, out);
    }
    file = fopen(text, "r");
    if (file == NULL)
        return refuse(text, "neither a run nor a file that can be read");
    is_good = parse_file(text, file, out);
    (void)fclose(file);
    return is_good;
}

bool spec_write(const char *name, const struct sim_run *run, const char *why)
{
    FILE *file = fopen(name, "w");
    char spec[SPEC_BYTES];

    if (file == NULL) {
        perror(name);
        return false;
    }
    spec_print(run, spec);
    (void)fprintf(file, "# %s\nrun %s\n", why, spec);
    for (size_t i = 0; i < run->script_count; i++)
        (void)fprintf(file, "preempt %u at %llu to %u\n", run->script[i].cpu, (unsigned long long)run->script[i].at,
                      run->script[i].to);
    if (fclose(file) != 0) {
        perror(name);
        return false;
    }
    return true;
}
