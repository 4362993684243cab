/* SPDX-License-Identifier: MIT */
/*
 * Where the preemptions of a script strike: the task, the place in the source, and the last event of the CPU that is
 * stopped and of the one that goes on. A child runs the script again and leaves what it saw in shared memory; names for
 * addresses come from llvm-symbolizer, if it is there. No lock: one run at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <k/compiler.h>
#include <k/limits.h>
#include <sched/task.h>

#include "campaign.h"
#include "watch.h"

#define SHOWN_MAX 40u
#define FRAMES 10u
#define WORDS_BYTES 96u
#define SYMBOLIZER "llvm-symbolizer-19"

struct strike {
    bool has_struck;
    uint64_t step, ns;
    char task[TASK_NAME_BYTES];
    char did[WORDS_BYTES];      /* last event of the CPU that is stopped */
    char other_did[WORDS_BYTES];
    uintptr_t frame[FRAMES];    /* relative to the program's start */
};

static struct {
    const struct sim_run *run;
    struct strike *strike; /* shared; one per preemption */
    char last[CPU_MAX][WORDS_BYTES];
} explain;

extern const char __executable_start[]; /* the linker's */

static void hear(uint64_t step, uint64_t ns, cpu_id_t cpu, enum trace_event event, const void *object, uint64_t value,
                 const char *task_name)
{
    const struct task *task = object;
    bool is_task = event <= TRACE_TASK_FREE;

    (void)step;
    (void)ns;
    (void)task_name;
    if (cpu < CPU_MAX && event < TRACE_PAGES_ALLOC)
        sim_event_words(event, object, value, is_task ? task->name : "", is_task ? task->tid : 0, explain.last[cpu],
                        WORDS_BYTES);
}

/* Frame records lead from the recorder through the machine to the core. */
__attribute__((no_sanitize("address"))) static void walk(struct strike *strike)
{
    const uintptr_t *frame = __builtin_frame_address(0);

    for (unsigned i = 0; i < FRAMES && frame != NULL && frame[1] != 0; i++) {
        strike->frame[i] = frame[1] - (uintptr_t)__executable_start;
        frame = (const uintptr_t *)frame[0];
    }
}

static void see_step(void)
{
    cpu_id_t cpu = host_cpu_id();
    uint64_t at = host_cpu_steps(cpu);

    for (size_t i = 0; i < explain.run->script_count && i < SHOWN_MAX; i++) {
        const struct host_preemption *entry = &explain.run->script[i];
        struct strike *strike = &explain.strike[i];
        const struct task *task = hal_current();

        if (entry->cpu != cpu || entry->at != at)
            continue;
        strike->has_struck = true;
        strike->step = host_trace_steps();
        strike->ns = host_virtual_ns();
        (void)snprintf(strike->task, sizeof strike->task, "%s", task != NULL ? task->name : "nobody");
        memcpy(strike->did, explain.last[cpu], WORDS_BYTES);
        memcpy(strike->other_did, explain.last[entry->to], WORDS_BYTES);
        walk(strike);
    }
}

/* "function at file:line" of the innermost frame of core/ or test/, by the symbolizer. */
static void place_print(FILE *to, const struct strike *strike)
{
    char command[1024];
    char line[512], function[256] = "";
    int used = snprintf(command, sizeof command, SYMBOLIZER " --relative-address --obj=/proc/%d/exe", getpid());
    unsigned shown = 0;
    FILE *pipe;

    for (unsigned i = 0; i < FRAMES && strike->frame[i] != 0; i++) /* a return address: one back is the call */
        used += snprintf(command + used, sizeof command - (size_t)used, " %#lx", strike->frame[i] - 1);
    (void)snprintf(command + used, sizeof command - (size_t)used, " 2>/dev/null");
    pipe = popen(command, "r");
    if (pipe == NULL)
        return;
    while (fgets(line, (int)sizeof line, pipe) != NULL) {
        const char *file = strstr(line, "core/");

        line[strcspn(line, "\n")] = '\0';
        if (strchr(line, ':') == NULL)
            (void)snprintf(function, sizeof function, "%s", line);
        else if (file != NULL && shown++ < 3)
            (void)fprintf(to, "%s%s (%.*s)", shown == 1 ? "      in " : ", from ", function,
                          (int)(strrchr(file, ':') - file), file);
    }
    (void)pclose(pipe);
    if (shown != 0)
        (void)fputc('\n', to);
}

static void strike_print(FILE *to, const struct host_preemption *entry, const struct strike *strike)
{
    if (!strike->has_struck) {
        (void)fprintf(to, "  CPU %u never took its step %llu\n", entry->cpu, (unsigned long long)entry->at);
        return;
    }
    (void)fprintf(to, "  step %llu, %llu ns: CPU %u stops at its step %llu in task '%s'%s%s; CPU %u goes on%s%s\n",
                  (unsigned long long)strike->step, (unsigned long long)strike->ns, entry->cpu,
                  (unsigned long long)entry->at, strike->task, strike->did[0] != '\0' ? "; last: " : "", strike->did,
                  entry->to, strike->other_did[0] != '\0' ? "; last: " : "", strike->other_did);
    place_print(to, strike);
}

void explain_script(FILE *to, const struct sim_run *run)
{
    static struct sim_outcome outcome;
    size_t bytes = SHOWN_MAX * sizeof *explain.strike;

    explain.run = run;
    explain.strike = host_shared_alloc(bytes);
    if (explain.strike == NULL)
        return;
    sim_watch_tap(hear);
    sim_also(see_step);
    (void)sim_execute(run, &outcome);
    sim_also(NULL);
    sim_watch_tap(NULL);
    (void)fprintf(to, "%s: %s; last events of each CPU of the smaller run:\n", sim_promise_name(outcome.broken),
                  outcome.what);
    sim_events_print(to);
    (void)fprintf(to, "its %zu choices, where they are not the next CPU that can run:\n", run->script_count);
    for (size_t i = 0; i < run->script_count && i < SHOWN_MAX; i++)
        strike_print(to, &run->script[i], &explain.strike[i]);
    if (run->script_count > SHOWN_MAX)
        (void)fprintf(to, "  and %zu more\n", run->script_count - SHOWN_MAX);
    host_shared_free(explain.strike, bytes);
}
