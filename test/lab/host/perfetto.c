/* SPDX-License-Identifier: MIT */
/* A timeline as a trace: Chrome's trace event format, which ui.perfetto.dev and chrome://tracing read. */
#include <inttypes.h>

#include "schedlab.h"

const char *group_name(const struct timeline *timeline, uint16_t group)
{
    if (group == RECORD_STOP)
        return "stopper";
    return group == RECORD_OTHER ? "kernel" : timeline->workload->group[group].name;
}

/* Names are of letters, digits and dashes: nothing in them needs an escape. */
void perfetto_write(FILE *file, const struct timeline *timeline)
{
    size_t count = 0;

    (void)fprintf(file, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
                        "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"%s\"}}",
                  timeline->name);
    for (unsigned cpu = 0; cpu < timeline->cpus; cpu++)
        (void)fprintf(file,
                      ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"name\":\"thread_name\","
                      "\"args\":{\"name\":\"CPU %u\"}}",
                      cpu + 1, cpu);
    for (size_t i = 0; i < timeline->stretches && count < PERFETTO_MAX; i++) {
        const struct stretch *stretch = &timeline->stretch[i];
        uint64_t ns = stretch->to_ns - stretch->from_ns;

        /* Too many: the first ones of each CPU. */
        if (timeline->stretches > PERFETTO_MAX &&
            i - timeline->first[stretch->cpu] >= PERFETTO_MAX / timeline->cpus)
            continue;
        count++;
        (void)fprintf(file,
                      ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%" PRIu64 ".%03u,\"dur\":%" PRIu64
                      ".%03u,\"name\":\"%s/%u\",\"cat\":\"%s\"}",
                      stretch->cpu + 1u, stretch->from_ns / 1000, (unsigned)(stretch->from_ns % 1000), ns / 1000,
                      (unsigned)(ns % 1000), group_name(timeline, stretch->group), stretch->index,
                      group_name(timeline, stretch->group));
    }
    (void)fputs("\n]}\n", file);
}
