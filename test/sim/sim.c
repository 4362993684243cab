/* SPDX-License-Identifier: MIT */
/* The `sim` program: reads its words, and lists, replays, searches or campaigns. */
#include <stdio.h>

#include "campaign.h"

static int list(const struct options *options)
{
    for (unsigned i = 0; i < options->scenario_count; i++) {
        const struct sim_scenario *scenario = options->scenario[i];

        (void)printf("%-16s %3u CPUs%s  %s\n", scenario->name, scenario->cpus, scenario->is_small ? ", small" : "",
                     scenario->aim);
    }
    return 0;
}

int main(int count, char **words)
{
    struct options options;

    options_parse(count, words, &options);
    if (options.is_list)
        return list(&options);
    if (options.replay != NULL)
        return replay(&options);
    return options.is_exhaustive ? exhaustive(&options) : campaign(&options);
}
