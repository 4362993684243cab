/* SPDX-License-Identifier: MIT */
/* The command line of `sim`: every wrong word gets one line that says what would be right, and exit status 2. */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <k/limits.h>

#define SEEDS_DEFAULT 100
#define BOUND_DEFAULT 2
#define JOBS_MAX 256
#define MINUTES_MAX (60 * 24 * 30)
#define ROUNDS_MAX 1000000

void wrong_words(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("sim: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(2);
}

bool number_parse(const char *text, uint64_t max, uint64_t *out)
{
    char *end = NULL;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out <= max;
}

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;

    if (!number_parse(text, max, &value) || value < min)
        wrong_words("%s %s: give a number from %llu to %llu", option, text, (unsigned long long)min,
                    (unsigned long long)max);
    return value;
}

/* Steps are counted in billions: 1e9 is a number here. */
static uint64_t big_number(const char *option, const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 1) || value > 1e18)
        wrong_words("%s %s: give a number such as 1000000 or 1e9", option, text);
    return (uint64_t)value;
}

static void seeds(const char *text, struct options *out)
{
    char first[32];
    const char *dots = strstr(text, "..");

    if (dots == NULL) {
        out->seed_count = number("--seeds", text, 1, UINT64_MAX - 1);
        return;
    }
    (void)snprintf(first, sizeof first, "%.*s", (int)(dots - text), text);
    out->seed_first = number("--seeds", first, 0, UINT64_MAX - 1);
    out->seed_count = number("--seeds", dots + 2, out->seed_first, UINT64_MAX - 1) - out->seed_first + 1;
}

/* One number, or several for campaigns that are to see each: "4", "1,2,64". */
static void cpu_counts(const char *text, struct options *out)
{
    char copy[128], *rest = copy;

    out->cpu_counts = 0;
    if (strlen(text) >= sizeof copy)
        wrong_words("--cpus %s: too long", text);
    memcpy(copy, text, strlen(text) + 1);
    for (const char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
        if (out->cpu_counts == CPU_COUNTS_MAX)
            wrong_words("--cpus %s: at most %u numbers", text, CPU_COUNTS_MAX);
        out->cpu_count[out->cpu_counts++] = (unsigned)number("--cpus", word, 1, CPU_MAX);
    }
    out->cpus = out->cpu_counts == 1 ? out->cpu_count[0] : 0;
}

static const char *strategy_names(void)
{
    static char names[256];
    size_t used = 0;

    for (enum host_strategy way = 0; way < HOST_SCRIPT && used < sizeof names; way++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", way == 0 ? "" : ", ",
                                 host_strategy_name(way));
    return names;
}

static void strategy(const char *text, struct options *out)
{
    enum host_strategy found = host_strategy_by_name(text);

    out->is_exhaustive = strcmp(text, "exhaustive") == 0;
    if (out->is_exhaustive)
        return;
    if (strcmp(text, "all") == 0)
        out->strategy_count = 0;
    else if (found == HOST_STRATEGY_COUNT || found == HOST_SCRIPT)
        wrong_words("--strategy %s: right are: all, %s, exhaustive", text, strategy_names());
    else
        out->strategy[out->strategy_count++ % HOST_STRATEGY_COUNT] = found;
}

static void scenario(const char *word, struct options *out)
{
    const struct sim_scenario *found = sim_scenario_find(word);

    if (found == NULL)
        wrong_words("%s: no such scenario; --list names them", word);
    if (out->scenario_count == SCENARIOS_MAX)
        wrong_words("more than %u scenarios", SCENARIOS_MAX);
    out->scenario[out->scenario_count++] = found;
}

/* Options without a value. False: it is none. */
static bool flag(const char *word, struct options *out)
{
    if (strcmp(word, "--here") == 0)
        return out->is_here = true;
    if (strcmp(word, "--list") == 0)
        return out->is_list = true;
    if (strcmp(word, "--twice") == 0)
        return out->is_twice = true;
    if (strcmp(word, "--first") == 0)
        return out->stops_at_failure = true;
    if (strcmp(word, "--no-shrink") == 0) {
        out->shrinks = false;
        return true;
    }
    return false;
}

static void with_value(const char *word, const char *value, struct options *out)
{
    if (strcmp(word, "--seeds") == 0)
        seeds(value, out);
    else if (strcmp(word, "--strategy") == 0)
        strategy(value, out);
    else if (strcmp(word, "--cpus") == 0)
        cpu_counts(value, out);
    else if (strcmp(word, "--rounds") == 0)
        out->rounds = (unsigned)number(word, value, 1, ROUNDS_MAX);
    else if (strcmp(word, "--minutes") == 0)
        out->seconds = 60 * number(word, value, 1, MINUTES_MAX);
    else if (strcmp(word, "--steps") == 0)
        out->steps = big_number(word, value);
    else if (strcmp(word, "--jobs") == 0)
        out->jobs = (unsigned)number(word, value, 1, JOBS_MAX);
    else if (strcmp(word, "--bound") == 0)
        out->bound = (unsigned)number(word, value, 0, BOUND_MAX);
    else if (strcmp(word, "--stop-at") == 0)
        out->stop_at_step = number(word, value, 1, UINT64_MAX - 1);
    else if (strcmp(word, "--label") == 0)
        out->label = value;
    else if (strcmp(word, "--save") == 0)
        out->save = value;
    else if (strcmp(word, "--report") == 0)
        out->report = value;
    else if (strcmp(word, "--replay") == 0)
        out->replay = value;
    else if (strcmp(word, "--trace") == 0)
        out->trace = value;
    else
        wrong_words("%s: no such option; right are: --seeds --strategy --cpus --rounds --minutes --steps --jobs "
                    "--bound --report --label --save --first --no-shrink --replay --trace --stop-at --here --twice "
                    "--list", word);
}

static bool is_too_few(const struct sim_scenario *scenario, unsigned cpus)
{
    return cpus != 0 && cpus < scenario->cpus_min;
}

static void check_together(const struct options *options)
{
    if (options->replay != NULL && options->scenario_count != 0)
        wrong_words("--replay names its scenario itself");
    if (options->replay == NULL &&
        (options->trace != NULL || options->stop_at_step != 0 || options->is_here || options->is_twice))
        wrong_words("--trace, --stop-at, --here and --twice need --replay SPEC");
    if (options->cpu_counts > 1 && (options->is_exhaustive || options->replay != NULL))
        wrong_words("--cpus: several numbers are for campaigns");
    if (options->is_exhaustive && options->strategy_count != 0)
        wrong_words("an exhaustive search is no strategy among others");
    for (unsigned i = 0; options->is_exhaustive && i < options->scenario_count; i++)
        if (!options->scenario[i]->is_small)
            wrong_words("%s: too long for an exhaustive search; --list marks the small ones",
                        options->scenario[i]->name);
    for (unsigned i = 0; options->cpu_counts > 1 && i < options->cpu_counts; i++) {
        unsigned enough = options->scenario_count == 0;

        for (unsigned at = 0; at < options->scenario_count; at++)
            enough += !is_too_few(options->scenario[at], options->cpu_count[i]);
        if (enough == 0)
            wrong_words("--cpus: none of the scenarios says anything with %u CPUs", options->cpu_count[i]);
    }
    for (unsigned i = 0; i < options->scenario_count; i++)
        if (is_too_few(options->scenario[i], options->cpus))
            wrong_words("--cpus %u: %s says nothing with fewer than %u CPUs", options->cpus,
                        options->scenario[i]->name, options->scenario[i]->cpus_min);
}

/* Nobody named scenarios: all that make sense with what was said. */
static void choose(struct options *out)
{
    for (const struct sim_scenario *const *table = sim_scenarios; *table != NULL; table++) {
        for (const struct sim_scenario *at = *table; at->name != NULL; at++) {
            if (out->is_exhaustive && !at->is_small)
                continue;
            if (is_too_few(at, out->cpus))
                out->skipped++;
            else
                scenario(at->name, out);
        }
    }
    if (out->scenario_count == 0)
        wrong_words("--cpus %u: no scenario says anything with so few CPUs", out->cpus);
}

/* What was not said. */
static void fill(struct options *out)
{
    if (out->scenario_count == 0)
        choose(out);
    if (out->strategy_count == 0)
        for (enum host_strategy way = 0; way < HOST_SCRIPT; way++)
            out->strategy[out->strategy_count++] = way;
    if (out->cpu_counts == 0)
        out->cpu_counts = 1; /* by scenario and seed */
    if (out->seed_count == 0)
        out->seed_count = out->is_exhaustive                     ? 1
                          : out->seconds != 0 || out->steps != 0 ? UINT64_MAX - out->seed_first
                                                                 : SEEDS_DEFAULT;
    if (out->jobs == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);

        out->jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : (unsigned)cores;
    }
}

void options_parse(int count, char **words, struct options *out)
{
    *out = (struct options){ .bound = BOUND_DEFAULT, .shrinks = true, .save = "." };
    for (int i = 1; i < count; i++) {
        if (words[i][0] != '-') {
            scenario(words[i], out);
        } else if (!flag(words[i], out)) {
            if (i + 1 == count)
                wrong_words("%s: a value is missing, or there is no such option", words[i]);
            with_value(words[i], words[i + 1], out);
            i++;
        }
    }
    check_together(out);
    fill(out);
}
