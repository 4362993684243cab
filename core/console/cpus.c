/* SPDX-License-Identifier: MIT */
/* sched and latency: what each CPU's run queue and ledger say. */
#include <k/errno.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <sched/latency.h>
#include <sched/sched.h>

#include "console_priv.h"

/* Which classes have queued tasks: "real-time,fair", or "-". */
static void format_classes(uint32_t ready, char *to, size_t room)
{
    size_t used = 0;

    (void)str_copy(to, "-", room);
    for (unsigned i = 0; sched_class_name(i) != NULL && used < room; i++)
        if ((ready >> i & 1) != 0)
            used += (size_t)fmt_print(to + used, room - used, "%s%s", used != 0 ? "," : "", sched_class_name(i));
}

static void print_cpu(cpu_id_t id)
{
    struct sched_cpu_stats now;
    char classes[40];
    unsigned permille;

    sched_cpu_stats_get(id, &now);
    permille = util_permille(now.utilisation);
    format_classes(now.ready_classes, classes, sizeof classes);
    console_print("%4u %-15s %6u %-16s %9llu %9llu %9llu %9llu %8llu %8llu %3u.%u\n", id,
                  now.running_tid == 0 ? "(idle)" : now.running_name, now.queued, classes, console_ms(now.run_ticks),
                  console_ms(now.idle_ticks), (unsigned long long)now.switches, (unsigned long long)now.preemptions,
                  (unsigned long long)now.steals, (unsigned long long)now.migrations_in, permille / 10, permille % 10);
}

static void print_latency(cpu_id_t id)
{
    for (enum latency_kind kind = 0; kind < LATENCY_KIND_COUNT; kind++) {
        struct latency_entry worst[LATENCY_WORST];
        char line[224];

        latency_get(id, kind, worst);
        for (unsigned i = 0; i < LATENCY_WORST && worst[i].ticks != 0; i++) {
            (void)latency_format(id, kind, &worst[i], line, sizeof line);
            console_print("%s\n", line);
        }
    }
}

int command_latency(const struct console_words *words)
{
    if (words->count > 2 || (words->count == 2 && strcmp(words->word[1], "reset") != 0))
        return -EINVAL;
    for_each_started_cpu(id) {
        if (words->count == 2)
            latency_reset(id);
        else
            print_latency(id);
    }
    return 0;
}

int command_sched(const struct console_words *words)
{
    struct sched_census census;

    if (words->count != 1)
        return -EINVAL;
    console_print("%4s %-15s %6s %-16s %9s %9s %9s %9s %8s %8s %5s\n", "CPU", "RUNNING", "QUEUED", "CLASSES", "RUN-ms",
                  "IDLE-ms", "SWITCHES", "PREEMPTED", "STEALS", "MIGR-IN", "UTIL%");
    for_each_started_cpu(id) {
        if (cpu_is_online(id))
            print_cpu(id);
        else
            console_print("%4u %s\n", id, "off");
    }
    sched_census_get(&census);
    console_print("%llu started, %llu died, %llu queued, %llu run, %llu blocked\n", (unsigned long long)census.started,
                  (unsigned long long)census.died, (unsigned long long)census.queued,
                  (unsigned long long)census.running, (unsigned long long)census.blocked);
    for_each_started_cpu(id)
        print_latency(id);
    return 0;
}
