/* SPDX-License-Identifier: MIT */
/*
 * The last events of each CPU, kept in memory that a run in a child shares with whoever asked for it, and told in
 * words. No lock: one host thread steps one virtual CPU at a time.
 */
#include "events.h"

#include <string.h>
#include <unistd.h>

#include <k/limits.h>
#include <sched/task.h>
#include <smp/lockrank.h>

struct kept {
    uint64_t step;
    uint64_t ns;
    const void *object;
    uint64_t value;
    enum trace_event event;
    tid_t tid;      /* of the task that is spoken of */
    tid_t self_tid; /* of the one that speaks */
    char name[TASK_NAME_BYTES];
    char self_name[TASK_NAME_BYTES];
};

struct rings {
    uint64_t count[CPU_MAX];
    struct kept kept[CPU_MAX][SIM_EVENTS_KEPT];
};

static struct {
    struct rings *rings; /* NULL: there was no memory, and nothing is kept */
    pid_t owner;         /* each process that starts runs has its own */
    unsigned cpus;
} events;

void sim_events_begin(void)
{
    if (events.rings == NULL || events.owner != getpid()) {
        events.rings = host_shared_alloc(sizeof *events.rings);
        events.owner = getpid();
    }
    events.cpus = sim_cpus;
    for (cpu_id_t cpu = 0; events.rings != NULL && cpu < CPU_MAX; cpu++)
        events.rings->count[cpu] = 0;
}

static bool is_about_task(enum trace_event event)
{
    return event <= TRACE_TASK_FREE || event == TRACE_TASK_UNLATCH;
}

static void name_copy(char to[TASK_NAME_BYTES], const char *from)
{
    for (unsigned i = 0; i < TASK_NAME_BYTES; i++)
        to[i] = from[i];
}

void sim_event_keep(enum trace_event event, const void *object, uint64_t value)
{
    if (events.rings == NULL || sim_now.cpu >= CPU_MAX)
        return;
    struct kept *kept = &events.rings->kept[sim_now.cpu][events.rings->count[sim_now.cpu]++ % SIM_EVENTS_KEPT];
    const struct task *about = is_about_task(event) ? object : sim_now.task;

    kept->step = sim_now.step;
    kept->ns = sim_now.ns;
    kept->object = object;
    kept->value = value;
    kept->event = event;
    kept->tid = kept->self_tid = -1;
    if (event == TRACE_WAIT_BEGIN)
        about = (const struct task *)value;
    if (about != NULL) {
        kept->tid = about->tid;
        name_copy(kept->name, about->name);
    }
    if (sim_now.task != NULL) {
        kept->self_tid = sim_now.task->tid;
        name_copy(kept->self_name, sim_now.task->name);
    }
}

const char *sim_lock_name(unsigned rank)
{
    static const char *const names[LOCK_RANK_COUNT] = {
        [LOCK_NONE] = "none",        [LOCK_PROC_TREE] = "process tree", [LOCK_MM] = "mm",
        [LOCK_SLAB] = "slab",        [LOCK_PHYS] = "pages",             [LOCK_TID] = "ids",
        [LOCK_CALL] = "cross call",  [LOCK_MUTEX] = "mutex",            [LOCK_TIMER] = "timer queue",
        [LOCK_WAITQ] = "wait queue", [LOCK_QUIESCE] = "grace period",   [LOCK_ADMIT] = "admission",
        [LOCK_RUNQ] = "run queue",
        [LOCK_LOG] = "log",          [LOCK_OBJECT] = "object",          [LOCK_SPACE] = "space",
        [LOCK_TABLES] = "tables",    [LOCK_ASID] = "asids",             [LOCK_DRAIN] = "page caches",
        [LOCK_PI] = "inheritance",   [LOCK_DEADLOCK] = "deadlock check",
        [LOCK_FILES] = "descriptors", [LOCK_NAMES] = "names",           [LOCK_INODE] = "inode",
        [LOCK_RANDOM] = "random",    [LOCK_FUTEX] = "futexes",          [LOCK_OWNER] = "futexes of an owner",
        [LOCK_SIGNAL] = "signals",   [LOCK_HANDLERS] = "handlers",      [LOCK_ANCHORS] = "anchors",
        [LOCK_LATENCY] = "latencies",
    };

    return rank < LOCK_RANK_COUNT ? names[rank] : "?";
}

static void task_words(enum trace_event event, uint64_t value, const char *name, int tid, char *out, size_t bytes)
{
    static const char *const verb[] = {
        [TRACE_TASK_INIT] = "makes",  [TRACE_TASK_START] = "starts", [TRACE_TASK_RUN] = "runs",
        [TRACE_TASK_WAKE] = "wakes",  [TRACE_TASK_EXIT] = "ends",    [TRACE_TASK_MIGRATE] = "moves",
        [TRACE_TASK_FREE] = "frees",  [TRACE_TASK_LATCH] = "keeps a wake for",
        [TRACE_TASK_REQUEUE] = "queues again", [TRACE_TASK_BLOCK] = "blocks",
    };
    unsigned long long number = (unsigned long long)value;

    if (event == TRACE_TASK_START || event == TRACE_TASK_WAKE)
        (void)snprintf(out, bytes, "%s '%s' (%d) on CPU %llu", verb[event], name, tid, number);
    else if (event == TRACE_TASK_MIGRATE)
        (void)snprintf(out, bytes, "%s '%s' (%d) to CPU %llu", verb[event], name, tid, number);
    else if (event == TRACE_TASK_BLOCK)
        (void)snprintf(out, bytes, "%s '%s' (%d): %s", verb[event], name, tid, task_state_name((enum task_state)value));
    else if (event == TRACE_TASK_REQUEUE)
        (void)snprintf(out, bytes, "%s '%s' (%d): %s", verb[event], name, tid, value != 0 ? "it yielded" : "preempted");
    else
        (void)snprintf(out, bytes, "%s '%s' (%d)", verb[event], name, tid);
}

static void block_words(enum trace_event event, uint64_t value, char *out, size_t bytes)
{
    const char *verb = event == TRACE_PAGES_ALLOC ? "allocates" : event == TRACE_PAGES_FREE ? "frees" : "has freed";

    (void)snprintf(out, bytes, "%s page %#llx, order %u", verb, (unsigned long long)(value & ~UINT64_C(0xfff)),
                   (unsigned)(value & 0xfff));
}

static void irq_words(enum trace_event event, uint64_t value, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s %s%s%s%s%s%s%s", event == TRACE_IRQ_ENTER ? "takes" : "has handled",
                   value == 0 ? "the timer" : "a poke:", (value & IPI_RESCHEDULE) != 0 ? " reschedule" : "",
                   (value & IPI_CALL) != 0 ? " call" : "", (value & IPI_QUIESCE) != 0 ? " quiesce" : "",
                   (value & IPI_STOP) != 0 ? " stop" : "", (value & IPI_TIMER) != 0 ? " timer" : "",
                   (value & IPI_LOOK) != 0 ? " look" : "");
}

void sim_event_words(enum trace_event event, const void *object, uint64_t value, const char *name, int tid, char *out,
                     size_t bytes)
{
    unsigned long long number = (unsigned long long)value;

    out[0] = '\0';
    if (event <= TRACE_TASK_FREE)
        task_words(event, value, name, tid, out, bytes);
    else if (event == TRACE_IRQ_ENTER || event == TRACE_IRQ_EXIT)
        irq_words(event, value, out, bytes);
    else if (event == TRACE_PAGES_ALLOC || event == TRACE_PAGES_FREE || event == TRACE_PAGES_FREED)
        block_words(event, value, out, bytes);
    else if (event == TRACE_WAIT_BEGIN)
        (void)snprintf(out, bytes, "'%s' (%d) waits with record %p", name, tid, object);
    else if (event == TRACE_WAIT_SETTLE || event == TRACE_WAIT_END)
        (void)snprintf(out, bytes, "%s record %p: %s", event == TRACE_WAIT_SETTLE ? "settles" : "ends the wait with",
                       object, waiter_status_name(value));
    else if (event == TRACE_IDLE_ENTER || event == TRACE_IDLE_EXIT)
        (void)snprintf(out, bytes, "%s", event == TRACE_IDLE_ENTER ? "goes idle" : "is idle no more");
    else if (event == TRACE_SPIN_ENTER || event == TRACE_SPIN_EXIT)
        (void)snprintf(out, bytes, "%s the %s lock %p", event == TRACE_SPIN_ENTER ? "waits for" : "has waited for",
                       sim_lock_name((unsigned)value), object);
    else if (event == TRACE_QUIESCE_CALL || event == TRACE_QUIESCE_FREE)
        (void)snprintf(out, bytes, "%s %p", event == TRACE_QUIESCE_CALL ? "asks a grace period for" :
                       "frees after a grace period", object);
    else if (event == TRACE_OBJECT_ALLOC || event == TRACE_OBJECT_FREE)
        (void)snprintf(out, bytes, "%s object %p, %llu bytes", event == TRACE_OBJECT_ALLOC ? "allocates" : "frees",
                       object, number);
    else if (event == TRACE_TASK_UNLATCH)
        (void)snprintf(out, bytes, "'%s' (%d) does not block: %s", name, tid,
                       value != 0 ? "a wake was kept" : "killed");
    else if (event == TRACE_TIMER_ARM || event == TRACE_TIMER_FIRE)
        (void)snprintf(out, bytes, "%s timer %p at tick %llu", event == TRACE_TIMER_ARM ? "arms" : "fires", object,
                       number);
    else if (event == TRACE_TIMER_CANCEL)
        (void)snprintf(out, bytes, "cancels timer %p: %s", object, value != 0 ? "in time" : "it was not armed");
    else if (event == TRACE_PI_CHANGE)
        (void)snprintf(out, bytes, "%s who waits for whom, or how urgently", value != 0 ? "changes" : "has changed");
    else if (event == TRACE_TIMER_MOVE)
        (void)snprintf(out, bytes, "moves timer %p to CPU %llu", object, number);
    else if (event == TRACE_PANIC)
        (void)snprintf(out, bytes, "panics");
    else
        (void)snprintf(out, bytes, "event %u of %p, %llu", (unsigned)event, object, number);
}

void sim_events_print(FILE *out)
{
    char words[160];

    for (cpu_id_t cpu = 0; events.rings != NULL && cpu < events.cpus; cpu++) {
        uint64_t count = events.rings->count[cpu];

        if (count == 0)
            continue;
        (void)fprintf(out, "CPU %u, its last events of %llu:\n", cpu, (unsigned long long)count);
        for (uint64_t i = count - MIN(count, (uint64_t)SIM_EVENTS_KEPT); i < count; i++) {
            const struct kept *kept = &events.rings->kept[cpu][i % SIM_EVENTS_KEPT];

            sim_event_words(kept->event, kept->object, kept->value, kept->name, kept->tid, words, sizeof words);
            (void)fprintf(out, "  step %8llu %10llu ns  %-15s %s\n", (unsigned long long)kept->step,
                          (unsigned long long)kept->ns, kept->self_tid >= 0 ? kept->self_name : "", words);
        }
    }
}
