/* SPDX-License-Identifier: MIT */
/*
 * HOST_SCRIPT: the default choice, but where the script names another. Owns a copy of the script, sorted by CPU and
 * step; a CPU's own steps only rise, so each CPU has a place in it and a look-up is one comparison. No lock.
 */
#include "host_priv.h"

#include <stdlib.h>
#include <string.h>

#include "os.h"

static struct {
    struct host_preemption *entry;
    size_t bytes;
    size_t next[CPU_MAX]; /* the first entry of this CPU that is not behind it */
    size_t end[CPU_MAX];
} script;

static int entry_compare(const void *a, const void *b)
{
    const struct host_preemption *left = a;
    const struct host_preemption *right = b;

    if (left->cpu != right->cpu)
        return left->cpu < right->cpu ? -1 : 1;
    if (left->at != right->at)
        return left->at < right->at ? -1 : 1;
    return (left->to > right->to) - (left->to < right->to);
}

static void script_reset(void)
{
    size_t count = host.config.script_count;

    if (script.entry != NULL)
        os_release(script.entry, script.bytes);
    memset(&script, 0, sizeof script);
    if (count == 0)
        return;
    script.bytes = count * sizeof *script.entry;
    script.entry = os_alloc(script.bytes, false);
    if (script.entry == NULL)
        os_die("script");
    memcpy(script.entry, host.config.script, script.bytes);
    qsort(script.entry, count, sizeof *script.entry, entry_compare);
    for (size_t i = 0; i < count; i++) {
        cpu_id_t cpu = script.entry[i].cpu;

        if (cpu >= CPU_MAX)
            break;
        if (script.end[cpu] == 0)
            script.next[cpu] = i;
        script.end[cpu] = i + 1;
    }
}

static bool may_go_to(const struct host_cpu *self, enum host_why why, cpu_id_t to)
{
    return to < CPU_MAX && host_cpus[to].state == HOST_CPU_RUNNABLE && (why != HOST_WHY_RELAX || to != self->id);
}

static struct host_cpu *script_next(struct host_cpu *self, enum host_why why, uintptr_t word)
{
    size_t at = script.next[self->id];
    size_t end = script.end[self->id];

    (void)word;
    while (at < end && script.entry[at].at < self->steps)
        at++;
    script.next[self->id] = at;
    if (at < end && script.entry[at].at == self->steps && may_go_to(self, why, script.entry[at].to))
        return &host_cpus[script.entry[at].to];
    return host_schedule_default(self, why);
}

const struct host_strategy_ops host_strategy_script = {
    .name = "script",
    .next = script_next,
    .reset = script_reset,
};
