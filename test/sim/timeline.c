/* SPDX-License-Identifier: MIT */
/*
 * A timeline of one run, in virtual time, in Chrome's trace event format (JSON; Perfetto and chrome://tracing read it).
 * Two tracks per CPU: which task it runs, and what else keeps it (interrupts, spinning, waiting for one). The run, in a
 * child or here, leaves its events in shared memory; the file is written afterwards. No lock: one run at a time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <k/limits.h>
#include <sched/task.h>

#include "campaign.h"
#include "watch.h"

#define EVENTS_MAX ((size_t)2 << 20)
#define OPEN_MAX 8u
#define WORDS_BYTES 96u

struct record {
    uint64_t ns, step, value;
    const void *object;
    int tid;
    uint16_t cpu;
    uint8_t event;
    char name[TASK_NAME_BYTES]; /* of the task that the event is about */
};

struct log {
    size_t count; /* may exceed what was kept */
    struct record record[EVENTS_MAX];
};

/* Something that a CPU is at: begun, not ended. */
struct open {
    enum trace_event kind;
    uint64_t ns;
    char name[WORDS_BYTES];
};

static struct {
    struct log *log;
    FILE *file;
    bool is_first;
    uint64_t end_ns;
    uint64_t wake_of[TID_MAX]; /* number of the wake that has not led to a run yet; 0: none */
    uint64_t wakes;
    struct {
        bool is_used;
        struct open task;            /* name "": none yet */
        struct open stack[OPEN_MAX];
        unsigned depth;
    } cpu[CPU_MAX];
} line;

static void hear(uint64_t step, uint64_t ns, cpu_id_t cpu, enum trace_event event, const void *object, uint64_t value,
                 const char *task_name)
{
    const struct task *task = object;
    struct record *record;

    (void)task_name;
    if (event >= TRACE_PAGES_ALLOC || cpu >= CPU_MAX || line.log->count++ >= EVENTS_MAX)
        return;
    record = &line.log->record[line.log->count - 1];
    *record = (struct record){
        .ns = ns, .step = step, .value = value, .object = object, .cpu = (uint16_t)cpu, .event = (uint8_t)event
    };
    if (event <= TRACE_TASK_FREE) {
        record->tid = task->tid;
        memcpy(record->name, task->name, sizeof record->name);
    }
}

void timeline_begin(void)
{
    line.log = host_shared_alloc(sizeof *line.log);
    if (line.log != NULL)
        sim_watch_tap(hear);
}

/* One event's beginning: what all of them have. */
static void event_begin(const char *phase, const char *name, unsigned track, uint64_t ns)
{
    (void)fprintf(line.file, "%s\n{\"ph\":\"%s\",\"pid\":1,\"tid\":%u,\"ts\":%" PRIu64 ".%03u,\"name\":\"",
                  line.is_first ? "" : ",", phase, track, ns / 1000, (unsigned)(ns % 1000));
    line.is_first = false;
    for (; *name != '\0'; name++)
        if (*name >= ' ' && *name <= '~' && *name != '"' && *name != '\\')
            (void)fputc(*name, line.file);
    (void)fputc('"', line.file);
}

static void event_end(void)
{
    (void)fputc('}', line.file);
}

static void slice(const struct open *open, unsigned track, uint64_t until)
{
    uint64_t ns = until - open->ns;

    event_begin("X", open->name, track, open->ns);
    (void)fprintf(line.file, ",\"dur\":%" PRIu64 ".%03u", ns / 1000, (unsigned)(ns % 1000));
    event_end();
}

static unsigned task_track(unsigned cpu)
{
    return 2 * cpu + 1;
}

static void pop(unsigned cpu, uint64_t ns)
{
    slice(&line.cpu[cpu].stack[--line.cpu[cpu].depth], task_track(cpu) + 1, ns);
}

static void push(unsigned cpu, enum trace_event kind, uint64_t ns, const char *name)
{
    struct open *open = &line.cpu[cpu].stack[line.cpu[cpu].depth];

    if (line.cpu[cpu].depth == OPEN_MAX)
        return;
    *open = (struct open){ .kind = kind, .ns = ns };
    (void)snprintf(open->name, sizeof open->name, "%s", name);
    line.cpu[cpu].depth++;
}

static bool is_at(unsigned cpu, enum trace_event kind)
{
    return line.cpu[cpu].depth != 0 && line.cpu[cpu].stack[line.cpu[cpu].depth - 1].kind == kind;
}

static void activity(const struct record *record)
{
    static const char *const reasons[] = { "reschedule", "call", "quiesce", "stop", "timer" };
    char name[WORDS_BYTES] = "interrupt: timer";
    unsigned cpu = record->cpu;

    if (is_at(cpu, TRACE_IDLE_ENTER))
        pop(cpu, record->ns); /* whatever happens ends it */
    switch ((enum trace_event)record->event) {
    case TRACE_IRQ_ENTER:
        if (record->value != 0)
            (void)snprintf(name, sizeof name, "interrupt:");
        for (unsigned i = 0; i < ARRAY_COUNT(reasons); i++)
            if ((record->value >> i & 1) != 0)
                (void)snprintf(name + strlen(name), sizeof name - strlen(name), " %s", reasons[i]);
        push(cpu, TRACE_IRQ_ENTER, record->ns, name);
        break;
    case TRACE_SPIN_ENTER:
        (void)snprintf(name, sizeof name, "spins for a lock: %s", sim_lock_name((unsigned)record->value));
        push(cpu, TRACE_SPIN_ENTER, record->ns, name);
        break;
    case TRACE_IDLE_ENTER:
        push(cpu, TRACE_IDLE_ENTER, record->ns, "waits for an interrupt");
        break;
    case TRACE_IRQ_EXIT:
        if (is_at(cpu, TRACE_IRQ_ENTER))
            pop(cpu, record->ns);
        break;
    case TRACE_SPIN_EXIT:
        if (is_at(cpu, TRACE_SPIN_ENTER))
            pop(cpu, record->ns);
        break;
    default:
        break;
    }
}

/* An arrow from a wake to the run that follows it. */
static void arrow(const char *phase, uint64_t number, const struct record *record)
{
    event_begin(phase, "wake", task_track(record->cpu), record->ns);
    (void)fprintf(line.file, ",\"cat\":\"wake\",\"id\":%" PRIu64 "%s", number, *phase == 'f' ? ",\"bp\":\"e\"" : "");
    event_end();
}

static void task_runs(const struct record *record)
{
    struct open *task = &line.cpu[record->cpu].task;

    if (task->name[0] != '\0')
        slice(task, task_track(record->cpu), record->ns);
    *task = (struct open){ .ns = record->ns };
    if (record->value != 0)
        (void)snprintf(task->name, sizeof task->name, "idle");
    else
        (void)snprintf(task->name, sizeof task->name, "%s (%d)", record->name, record->tid);
    if (record->tid > 0 && record->tid < TID_MAX && line.wake_of[record->tid] != 0) {
        arrow("f", line.wake_of[record->tid], record);
        line.wake_of[record->tid] = 0;
    }
}

static void instant(const struct record *record)
{
    char words[WORDS_BYTES];

    sim_event_words((enum trace_event)record->event, record->object, record->value, record->name, record->tid, words,
                    sizeof words);
    event_begin("i", words, task_track(record->cpu), record->ns);
    (void)fprintf(line.file, ",\"s\":\"t\",\"args\":{\"step\":%" PRIu64 "}", record->step);
    event_end();
    if ((record->event == TRACE_TASK_WAKE || record->event == TRACE_TASK_START) && record->tid > 0 &&
        record->tid < TID_MAX) {
        line.wake_of[record->tid] = ++line.wakes;
        arrow("s", line.wakes, record);
    }
}

static void convert(const struct record *record)
{
    line.cpu[record->cpu].is_used = true;
    activity(record);
    switch ((enum trace_event)record->event) {
    case TRACE_TASK_RUN:
        task_runs(record);
        break;
    case TRACE_TASK_INIT:
    case TRACE_TASK_START:
    case TRACE_TASK_REQUEUE:
    case TRACE_TASK_BLOCK:
    case TRACE_TASK_WAKE:
    case TRACE_TASK_LATCH:
    case TRACE_TASK_MIGRATE:
    case TRACE_TASK_EXIT:
    case TRACE_TASK_FREE:
        instant(record);
        break;
    default:
        break;
    }
}

static void name_track(unsigned track, unsigned cpu, const char *what)
{
    static const char *const begin = "{\"ph\":\"M\",\"pid\":1";

    (void)fprintf(line.file, "%s\n%s,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":\"CPU %u%s\"}}",
                  line.is_first ? "" : ",", begin, track, cpu, what);
    (void)fprintf(line.file, ",\n%s,\"tid\":%u,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}", begin,
                  track, track);
    line.is_first = false;
}

static void close_all(void)
{
    for (unsigned cpu = 0; cpu < CPU_MAX; cpu++) {
        if (!line.cpu[cpu].is_used)
            continue;
        while (line.cpu[cpu].depth != 0)
            pop(cpu, line.end_ns);
        if (line.cpu[cpu].task.name[0] != '\0')
            slice(&line.cpu[cpu].task, task_track(cpu), line.end_ns);
        name_track(task_track(cpu), cpu, "");
        name_track(task_track(cpu) + 1, cpu, ": interrupts, locks, waiting");
    }
}

bool timeline_write(const char *name, const struct sim_run *run)
{
    size_t count = line.log != NULL ? MIN(line.log->count, EVENTS_MAX) : 0;
    char spec[SPEC_BYTES];

    sim_watch_tap(NULL);
    line.file = fopen(name, "w");
    if (line.file == NULL) {
        perror(name);
        return false;
    }
    spec_print(run, spec);
    (void)fprintf(line.file, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"run\":\"%s\"},\"traceEvents\":[", spec);
    line.is_first = true;
    for (size_t i = 0; i < count; i++) {
        line.end_ns = MAX(line.end_ns, line.log->record[i].ns);
        convert(&line.log->record[i]);
    }
    close_all();
    (void)fprintf(line.file, "\n]}\n");
    if (ferror(line.file) != 0 || fclose(line.file) != 0) {
        perror(name);
        return false;
    }
    if (line.log != NULL && line.log->count > EVENTS_MAX)
        (void)fprintf(stderr, "sim: %s has the first %zu events of %zu\n", name, EVENTS_MAX, line.log->count);
    return true;
}
