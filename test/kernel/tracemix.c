/* SPDX-License-Identifier: MIT */
/*
 * The longer stories of the workload of the program `trace`: processes, and a mixture of everything by real-time FIFO
 * tasks whose choices come from a fixed seed. traceload.c says what keeps time out of their order.
 */
#include "tracecheck.h"

#include <k/atomic.h>
#include <k/errno.h>
#include <lib/fmt.h>
#include <mm/fail.h>
#include <proc/id.h>
#include <proc/process.h>
#include <sched/event.h>
#include <sched/mutex.h>
#include <time/clock.h>

#include "check.h"

/* ---- Processes ---- */

static int return_number(void *arg)
{
    return (int)(intptr_t)arg;
}

static int sleep_until_killed(void *arg)
{
    while (task_sleep_for(3600 * NS_PER_SEC) == 0)
        continue;
    return (int)(intptr_t)arg;
}

/* `level` is of the thread scale; one above 30 makes a fair task. NULL if out of memory. */
static struct thread *add_thread(struct process *process, const char *name, int (*entry)(void *), int code, int level)
{
    const struct thread_spec spec = {
        .name = name, .entry = entry, .arg = (void *)(intptr_t)code, .stack_bytes = STACK_BYTES_DEFAULT,
        .priority_number = level,
    };
    struct thread *thread = NULL;
    int result = thread_create(process, &spec, &thread);

    trace_result(result);
    return result == 0 ? thread : NULL;
}

/* Its task is ready; a thread that several calls are about is put by the caller. */
static void start_thread(struct thread *thread)
{
    if (thread != NULL)
        trace_result(thread_schedule(thread->process->pid, thread->tid, thread));
}

static void start_and_put(struct thread *thread)
{
    start_thread(thread);
    if (thread != NULL)
        thread_put(thread);
}

static void wait_for_child(struct process *parent, pid_t pid, unsigned options)
{
    int status = -1;

    trace_result(process_wait(parent, pid, options, &status));
    trace_result(status);
}

static void one_child(void)
{
    struct process *process = NULL;

    if (!CHECK(process_create(&process_kernel, "child", &process) == 0))
        return;
    struct thread *thread = add_thread(process, "child", return_number, 0x123, 65);

    wait_for_child(&process_kernel, process->pid, WNOHANG);
    start_thread(thread);
    start_thread(thread); /* it has its task */
    wait_for_child(&process_kernel, process->pid, 0);
    wait_for_child(&process_kernel, process->pid, 0); /* the record is gone */
    trace_result(process_lookup(process->pid) == NULL);
    start_and_put(thread); /* it is dead */
    process_put(process);
}

/* Threads of several classes; a kill reaches all of them. */
static void many_threads(void)
{
    struct process *process = NULL;

    if (!CHECK(process_create(&process_kernel, "family", &process) == 0))
        return;
    start_and_put(add_thread(process, "mother", sleep_until_killed, 9, 45));
    start_and_put(add_thread(process, "father", sleep_until_killed, 8, 55));
    start_and_put(add_thread(process, "son", return_number, 7, 65));
    start_and_put(add_thread(process, "daughter", sleep_until_killed, 6, 75));
    start_and_put(add_thread(process, "pet", return_number, 5, 15));
    trace_let_others_run();
    wait_for_child(&process_kernel, -1, WNOHANG);
    trace_result(process_kill(process));
    wait_for_child(&process_kernel, -1, 0);
    trace_result(process_kill(process));
    process_put(process);
}

static int leave_orphans(void *arg)
{
    for (intptr_t i = 0; i < (intptr_t)arg; i++) {
        struct process *child = NULL;

        if (!CHECK(process_create(process_current(), "orphan", &child) == 0))
            return 1;
        start_and_put(add_thread(child, "orphan", return_number, 2, i == 0 ? 45 : 75));
        if (i == 0)
            wait_for_child(process_current(), -1, 0);
        process_put(child);
    }
    return 0;
}

static void orphans(void)
{
    struct process *process = NULL;

    if (!CHECK(process_create(&process_kernel, "parent", &process) == 0))
        return;
    start_and_put(add_thread(process, "parent", leave_orphans, 3, 25));
    wait_for_child(&process_kernel, -1, 0);
    wait_for_child(&process_kernel, -1, 0); /* orphans are not ours */
    process_put(process);
}

static void unfinished(void)
{
    struct process *process = NULL;

    mm_fail_at(1);
    trace_result(process_create(&process_kernel, "none", &process));
    trace_result(mm_fail_fired());
    if (!CHECK(process_create(&process_kernel, "brief", &process) == 0))
        return;
    trace_result(process_discard(process));
    trace_result(process_discard(process));
    process_put(process);
}

void trace_processes(void)
{
    one_child();
    trace_let_others_run(); /* fair tasks that come to one that has run would go by how long that was */
    reaper_wait_pass();
    many_threads();
    trace_let_others_run();
    reaper_wait_pass();
    orphans();
    trace_let_others_run();
    reaper_wait_pass();
    unfinished();
    reaper_wait_pass();
}

/* ---- The mixture ---- */

#define MIXERS 9
#define MIXER_STEPS 16
#define OBJECTS 3

static struct {
    struct mutex mutex[OBJECTS];
    struct event event[OBJECTS];
    struct waitq gate;
    struct task *mixer[MIXERS];
    unsigned alive;
} mix;

static const int levels[] = { 4, 8, 8, 12, 12, 12, 16, 20 };

/* One thing that tasks do, chosen by `random`; its result. */
static int mix_step(uint64_t random)
{
    unsigned object = (unsigned)(random >> 8) % OBJECTS;
    struct task *peer = mix.mixer[(random >> 16) % MIXERS];
    int level = levels[(random >> 24) % ARRAY_COUNT(levels)];

    switch (random % 12) {
    case 0:
    case 1:
        mutex_lock(&mix.mutex[object]);
        if (random >> 32 & 1)
            task_yield();
        mutex_unlock(&mix.mutex[object]);
        return 0;
    case 2:
    case 3:
        return event_wait(&mix.event[object], TIME_NEVER, WAIT_KILLABLE);
    case 4:
    case 5:
        event_signal(&mix.event[object]);
        return 0;
    case 6:
        return (int)waitq_wake(&mix.gate, 1 + (unsigned)(random >> 32 & 1));
    case 7:
        return task_set_priority(current_task(), level);
    case 8:
        return task_set_priority(peer, level);
    case 9:
        return task_wake(peer);
    case 10:
        return finish(spawn("child", return_number, (void *)(intptr_t)level, PRIORITY_USER_NORMAL, NULL));
    default:
        task_yield();
        return 1;
    }
}

static int mix_main(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    uint32_t sum = 0;

    for (unsigned i = 0; i < MIXER_STEPS; i++)
        sum = sum * 31 + (uint32_t)mix_step(random_next(&seed));
    mix.alive--;
    return (int)(sum & 0xffff);
}

/* Runs when all others are blocked or dead: lets go whoever waits for a signal. */
static int pump_main(void *arg)
{
    (void)arg;
    for (unsigned i = 0; mix.alive > 0; i++)
        event_signal(&mix.event[i % OBJECTS]);
    return 0;
}

void trace_mixture(void)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        mutex_init(&mix.mutex[i]);
        event_init(&mix.event[i]);
    }
    waitq_init(&mix.gate);
    mix.alive = MIXERS;
    for (unsigned i = 0; i < MIXERS; i++) {
        char name[TASK_NAME_BYTES];

        (void)fmt_print(name, sizeof name, "mixer-%u", i);
        mix.mixer[i] = spawn(name, mix_main, (void *)(uintptr_t)(4711 + 97 * i), levels[i % ARRAY_COUNT(levels)], NULL);
        if (mix.mixer[i] == NULL)
            return;
        CHECK(task_set_policy(mix.mixer[i], SCHED_POLICY_FIFO) == 0);
    }
    trace_result(finish(spawn("pump", pump_main, NULL, PRIORITY_IDLE, NULL)));
    for (unsigned i = 0; i < MIXERS; i++)
        trace_result(finish(mix.mixer[i]));
    reaper_wait_pass();
}
