/* SPDX-License-Identifier: MIT */
/* What is printed of a run that broke a promise: which, how, what the machine and its CPUs did last, and how to see it
 * again. No state. */
#include <string.h>

#include "campaign.h"
#include "watch.h"

#define CONSOLE_TAIL_BYTES 3000u

static void console_print(FILE *to, const struct host_result *result)
{
    size_t kept = strlen(result->console);
    const char *from = result->console;

    if (kept > CONSOLE_TAIL_BYTES) {
        from += kept - CONSOLE_TAIL_BYTES;
        from += strcspn(from, "\n");
    }
    (void)fprintf(to, "console%s:\n", from != result->console ? ", its end" : "");
    for (; *from != '\0'; from++)
        if (*from != '\r')
            (void)fputc(*from, to);
    (void)fputc('\n', to);
}

static void replay_print(FILE *to, const char *spec)
{
    const char *option = sanitizer_option();

    (void)fprintf(to, "replay:   ./verdant sim%s --replay %s\n", option, spec);
    (void)fprintf(to, "timeline: ./verdant sim%s --replay %s --trace FILE\n", option, spec);
    (void)fprintf(to, "debugger: ./verdant sim%s --replay %s --gdb\n", option, spec);
}

void report_outcome(FILE *to, const struct sim_run *run, const struct sim_outcome *outcome)
{
    char spec[SPEC_BYTES];

    spec_print(run, spec);
    (void)fprintf(to, "%s: %s: %s\n", spec, sim_promise_name(outcome->broken), outcome->what);
    (void)fprintf(to, "broken promise: %s\n", sim_promise_sentence(outcome->broken));
    (void)fprintf(to, "seed %llu, scenario %s (%s), strategy %s, %u CPUs, %u rounds\n", (unsigned long long)run->seed,
                  run->scenario->name, run->scenario->aim, host_strategy_name(run->strategy), run->cpus, run->rounds);
    (void)fprintf(to, "ended after %llu steps, %llu ns, hash %016llx\n", (unsigned long long)outcome->result.steps,
                  (unsigned long long)outcome->result.virtual_ns, (unsigned long long)outcome->result.hash);
    if (outcome->result.report[0] != '\0')
        (void)fprintf(to, "%s", outcome->result.report);
    sanitizer_print(to);
    (void)fprintf(to, "last events of each CPU:\n");
    sim_events_print(to);
    if (outcome->result.console[0] != '\0')
        console_print(to, &outcome->result);
    if (run->strategy != HOST_SCRIPT)
        replay_print(to, spec);
}

void report_failure(FILE *to, const struct sim_run *run, const struct sim_outcome *expected)
{
    static struct sim_outcome again;

    (void)sim_execute(run, &again);
    if (again.broken != expected->broken || again.result.hash != expected->result.hash) {
        (void)fprintf(to, "the run did not repeat itself: first %s, %s, hash %016llx; now %s, hash %016llx\n",
                      sim_promise_name(expected->broken), expected->what, (unsigned long long)expected->result.hash,
                      sim_promise_name(again.broken), (unsigned long long)again.result.hash);
        if (again.broken == PROMISE_NONE)
            again.broken = expected->broken;
    }
    report_outcome(to, run, &again);
}
