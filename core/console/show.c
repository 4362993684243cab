/* SPDX-License-Identifier: MIT */
/* The console's output, and how it writes sets and times. */
#include <stdarg.h>

#include <k/cpumask.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <smp/cpu.h>
#include <time/clock.h>
#include <trace/log.h>

#include "console_priv.h"

static console_sink_fn *console_sink = log_write;

void console_set_sink(console_sink_fn *sink)
{
    console_sink = sink != NULL ? sink : log_write;
}

void console_write(const char *text, size_t bytes)
{
    console_sink(text, bytes);
}

void console_print(const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int wanted = fmt_vprint(text, sizeof text, format, args);
    va_end(args);
    console_write(text, MIN((size_t)MAX(wanted, 0), sizeof text - 1));
    if (wanted >= (int)sizeof text)
        console_write("\n", 1);
}

static cpu_id_t last_of_run(const struct cpumask *mask, cpu_id_t id)
{
    while (id + 1 < CPU_MAX && cpumask_contains(mask, id + 1))
        id++;
    return id;
}

void console_format_cpus(const struct cpumask *mask, char *to, size_t room)
{
    bool has_all = true;
    size_t used = 0;

    for_each_online_cpu(id)
        has_all = has_all && cpumask_contains(mask, id);
    if (has_all) {
        (void)str_copy(to, "all", room);
        return;
    }
    to[0] = '\0';
    for_each_cpu_of(id, mask) {
        cpu_id_t last = last_of_run(mask, id);
        char part[24];
        int bytes = id == last ? fmt_print(part, sizeof part, "%s%u", used != 0 ? "," : "", id)
                               : fmt_print(part, sizeof part, "%s%u-%u", used != 0 ? "," : "", id, last);

        if (used + (size_t)bytes + 1 >= room) { /* one is kept for the mark */
            (void)str_copy(to + used, "+", room - used);
            return;
        }
        (void)str_copy(to + used, part, room - used);
        used += (size_t)bytes;
        id = last;
    }
}

unsigned long long console_ms(uint64_t ticks)
{
    return (unsigned long long)(clock_ticks_to_ns(ticks) / NS_PER_MS);
}

unsigned long long console_us(uint64_t ticks)
{
    return (unsigned long long)(clock_ticks_to_ns(ticks) / NS_PER_US);
}
