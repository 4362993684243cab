/* SPDX-License-Identifier: MIT */
/* One run again: in a child or here for a debugger, with a timeline if asked for, or twice to compare. No state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign.h"

/* The same words in a child and in this process give the same run, or the exit status is 1. */
static int replay_twice(const struct sim_run *run)
{
    static struct sim_outcome outcome[3];
    char spec[SPEC_BYTES];

    for (unsigned i = 0; i < 3; i++)
        (void)(i < 2 ? sim_execute : sim_execute_here)(run, &outcome[i]);
    spec_print(run, spec);
    for (unsigned i = 0; i < 3; i++)
        (void)printf("%s: %s, %s, %llu steps, %llu ns, hash %016llx\n", spec, i < 2 ? "in a child" : "here",
                     sim_promise_name(outcome[i].broken), (unsigned long long)outcome[i].result.steps,
                     (unsigned long long)outcome[i].result.virtual_ns, (unsigned long long)outcome[i].result.hash);
    for (unsigned i = 1; i < 3; i++)
        if (outcome[i].result.hash != outcome[0].result.hash || outcome[i].broken != outcome[0].broken ||
            outcome[i].result.virtual_ns != outcome[0].result.virtual_ns) {
            (void)printf("not the same run\n");
            return 1;
        }
    return 0;
}

int replay(const struct options *options)
{
    static struct sim_outcome outcome;
    struct sim_run run;
    char spec[SPEC_BYTES];

    if (!spec_parse(options->replay, &run))
        return 2;
    if (options->is_twice)
        return replay_twice(&run);
    sim_stop_at(options->stop_at_step);
    if (options->trace != NULL)
        timeline_begin();
    (void)(options->is_here ? sim_execute_here : sim_execute)(&run, &outcome);
    if (options->trace != NULL && !timeline_write(options->trace, &run))
        return 2;
    if (outcome.broken != PROMISE_NONE) {
        report_outcome(stdout, &run, &outcome);
        if (run.strategy == HOST_SCRIPT && !options->is_here)
            explain_script(stdout, &run);
        return 1;
    }
    spec_print(&run, spec);
    (void)printf("%s: every promise was kept, %llu steps, %llu ns, hash %016llx\n", spec,
                 (unsigned long long)outcome.result.steps, (unsigned long long)outcome.result.virtual_ns,
                 (unsigned long long)outcome.result.hash);
    return 0;
}
