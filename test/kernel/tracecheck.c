/* SPDX-License-Identifier: MIT */
/*
 * The program `trace`: the scheduling events of one fixed workload on one CPU, printed one per line. No event carries a
 * time or an address, and the workload's order does not depend on time, so every machine prints the same lines: those
 * of trace.golden. A difference is a bug of that machine's HAL. Refuses to run on more CPUs, without tracepoints (a
 * release build), and with fair slices that could end (boot with slice=100000).
 *
 * Owns the record. No lock: one CPU, and an interrupted listener has its entry already.
 */
#include "tracecheck.h"

#include <boot/options.h>
#include <boot/program.h>
#include <hal/irq.h>
#include <k/trace.h>
#include <lib/fmt.h>
#include <lib/string.h>
#include <time/clock.h>

#include "check.h"

#define EVENTS_MAX 6144
#define NAMED_MAX 1024 /* tids up to here have a name */
#define WAITS_MAX 64   /* waits at one time */
#define PHASES_MAX 32

/* A slice that no run reaches the end of. */
#define SLICE_NS_MIN (100 * NS_PER_SEC)

/* The reaper's first timer, armed before the program set its patience, is over after this: timers fire in order. */
#define REAPER_PATIENCE_NS (3 * NS_PER_MS)

/* What an entry is: an event, or one of the workload's own. */
enum { ENTRY_PHASE = TRACE_EVENT_COUNT, ENTRY_RESULT, ENTRY_KINDS };

struct entry {
    uint16_t tid; /* ENTRY_PHASE: its number */
    uint8_t kind;
    int32_t value;
};

static struct {
    _Atomic(uint32_t) count; /* of events; beyond EVENTS_MAX they are counted only */
    uint32_t unknown;        /* events of tasks or waits that did not fit into the tables */
    struct entry entry[EVENTS_MAX];
    char name[NAMED_MAX][TASK_NAME_BYTES];
    struct {
        const void *waiter; /* NULL: free */
        tid_t tid;
    } wait[WAITS_MAX];
    const char *phase[PHASES_MAX];
    unsigned phases;
    uint64_t hash;
} record;

static void note(unsigned kind, tid_t tid, uint64_t value)
{
    /* Not a step of the simulated machine: listening must not change what is listened to. */
    uint32_t slot = atomic_fetch_add_explicit(&record.count, 1, memory_order_relaxed);

    if (slot < EVENTS_MAX)
        record.entry[slot] = (struct entry){ .tid = (uint16_t)tid, .kind = (uint8_t)kind, .value = (int32_t)value };
}

/* The task's name is kept: it is printed when the task may be long gone. */
static tid_t tid_of(const struct task *task)
{
    if (task->tid < 0 || task->tid >= NAMED_MAX) {
        record.unknown++;
        return 0;
    }
    if (record.name[task->tid][0] == '\0')
        (void)str_copy(record.name[task->tid], task->name, TASK_NAME_BYTES);
    return task->tid;
}

/* Whose wait is it? Waits come and go with interrupts disabled. */
static tid_t wait_find(const void *waiter, bool ends)
{
    for (unsigned i = 0; i < WAITS_MAX; i++)
        if (record.wait[i].waiter == waiter) {
            if (ends)
                record.wait[i].waiter = NULL;
            return record.wait[i].tid;
        }
    record.unknown++;
    return 0;
}

static tid_t wait_begin(const void *waiter, const struct task *task)
{
    tid_t tid = tid_of(task);

    for (unsigned i = 0; i < WAITS_MAX; i++)
        if (record.wait[i].waiter == NULL) {
            record.wait[i].waiter = waiter;
            record.wait[i].tid = tid;
            return tid;
        }
    record.unknown++;
    return tid;
}

static void listen(enum trace_event event, const void *object, uint64_t value)
{
    switch (event) {
    case TRACE_TASK_RUN:
        if (value == 0) /* how often an idle CPU looks around is not the workload's */
            note(event, tid_of(object), 0);
        break;
    case TRACE_TASK_INIT:
    case TRACE_TASK_START:
    case TRACE_TASK_WAKE:
    case TRACE_TASK_LATCH:
    case TRACE_TASK_EXIT:
    case TRACE_TASK_FREE:
        note(event, tid_of(object), 0);
        break;
    case TRACE_TASK_REQUEUE:
    case TRACE_TASK_BLOCK:
    case TRACE_TASK_MIGRATE:
        note(event, tid_of(object), value);
        break;
    case TRACE_WAIT_BEGIN:
        note(event, wait_begin(object, (const struct task *)(uintptr_t)value), 0);
        break;
    case TRACE_WAIT_SETTLE:
        note(event, wait_find(object, false), value);
        break;
    case TRACE_WAIT_END:
        note(event, wait_find(object, true), value);
        break;
    default: /* interrupts, idling, spinning, memory: each machine's own */
        break;
    }
}

void trace_phase(const char *name)
{
    unsigned number = record.phases++;

    if (CHECK(number < PHASES_MAX))
        record.phase[number] = name;
    note(ENTRY_PHASE, (tid_t)number, 0);
}

void trace_result(int32_t value)
{
    note(ENTRY_RESULT, 0, (uint64_t)(int64_t)value);
}

/* ---- Printing ---- */

static const char *const kind_names[ENTRY_KINDS] = {
    [TRACE_TASK_INIT] = "init",     [TRACE_TASK_START] = "start",   [TRACE_TASK_RUN] = "run",
    [TRACE_TASK_REQUEUE] = "requeue", [TRACE_TASK_BLOCK] = "block", [TRACE_TASK_WAKE] = "wake",
    [TRACE_TASK_LATCH] = "latch",   [TRACE_TASK_MIGRATE] = "migrate", [TRACE_TASK_EXIT] = "exit",
    [TRACE_TASK_FREE] = "free",     [TRACE_WAIT_BEGIN] = "wait",    [TRACE_WAIT_SETTLE] = "settle",
    [TRACE_WAIT_END] = "end",       [ENTRY_PHASE] = "phase",        [ENTRY_RESULT] = "result",
};

static void entry_format(const struct entry *entry, char *out, size_t bytes)
{
    const char *kind = kind_names[entry->kind];

    if (entry->kind == ENTRY_PHASE)
        (void)fmt_print(out, bytes, "%s %s", kind, entry->tid < PHASES_MAX ? record.phase[entry->tid] : "?");
    else if (entry->kind == ENTRY_RESULT)
        (void)fmt_print(out, bytes, "%s %d", kind, entry->value);
    else if (entry->kind == TRACE_TASK_REQUEUE)
        (void)fmt_print(out, bytes, "%s %s/%u %s", kind, record.name[entry->tid], entry->tid,
                        entry->value ? "yielded" : "preempted");
    else if (entry->kind == TRACE_TASK_BLOCK)
        (void)fmt_print(out, bytes, "%s %s/%u %s", kind, record.name[entry->tid], entry->tid,
                        task_state_name((enum task_state)entry->value));
    else if (entry->kind == TRACE_WAIT_SETTLE || entry->kind == TRACE_WAIT_END)
        (void)fmt_print(out, bytes, "%s %s/%u %s", kind, record.name[entry->tid], entry->tid,
                        waiter_status_name((uint64_t)entry->value));
    else
        (void)fmt_print(out, bytes, "%s %s/%u", kind, record.name[entry->tid], entry->tid);
}

/* FNV-1a, line ends included. */
static void hash_line(const char *line)
{
    for (; *line != '\0'; line++)
        record.hash = (record.hash ^ (uint8_t)*line) * UINT64_C(0x100000001b3);
    record.hash = (record.hash ^ '\n') * UINT64_C(0x100000001b3);
}

/* Lines of events begin with "ev ", for whoever compares them. */
static void print_record(uint32_t count)
{
    char line[96];

    record.hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < MIN(count, (uint32_t)EVENTS_MAX); i++) {
        entry_format(&record.entry[i], line, sizeof line);
        hash_line(line);
        log_info("ev %s", line);
    }
}

/* ---- The program ---- */

static const char *why_not(void)
{
    if (!KERNEL_DEBUG)
        return "a release build has no tracepoints";
    if (online_count() != 1)
        return "needs one CPU: boot with cpus=1";
    if (boot_report.options->fair_slice_ns < SLICE_NS_MIN)
        return "a fair task's slice could end: boot with slice=100000";
    return NULL;
}

/* Nobody is more urgent than this task, no slice of its own ends, nothing of the reaper's is on its way. */
static void prepare(void)
{
    CHECK(task_set_priority(current_task(), PRIORITY_REALTIME_HIGH) == 0);
    CHECK(task_set_policy(current_task(), SCHED_POLICY_FIFO) == 0);
    reaper_set_patience(TIME_NEVER);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(task_sleep_for(REAPER_PATIENCE_NS) == 0);
        proc_reclaim_all();
    }
}

static void set_listener(trace_listener_fn *listener)
{
    uintptr_t state = hal_irq_save();

    atomic_store_explicit(&trace_listener, listener, memory_order_relaxed);
    hal_irq_restore(state);
}

int trace_main(const char *argument)
{
    const char *reason = why_not();

    (void)argument;
    if (reason != NULL) {
        log_error("trace: %s", reason);
        return 2;
    }
    prepare();
    set_listener(listen);
    reaper_wait_pass(); /* so that the wait that the reaper is in is a known one */
    atomic_store_explicit(&record.count, 0, memory_order_relaxed);
    record.unknown = 0;
    trace_workload();
    set_listener(NULL);
    uint32_t count = atomic_load_explicit(&record.count, memory_order_relaxed);

    print_record(count);
    CHECK(count <= EVENTS_MAX && record.unknown == 0);
    log_info("trace: %u events, %u lost, %u unknown, %u checks failed, hash %#llx", count,
             count > EVENTS_MAX ? count - EVENTS_MAX : 0, record.unknown, check_failures(),
             (unsigned long long)record.hash);
    return check_failures() == 0 ? 0 : 1;
}
