/* SPDX-License-Identifier: MIT */
/* Processes that end: against a parent that waits, against each other, with many threads at once, without a parent. */
#include "scenario.h"

#include <smp/preempt.h>

#define CHILDREN 4

/* Hazard 6: whoever polls sees a child running or ended, never absent, and each one once. */
static pid_t wait_somehow(const pid_t *pid, uint64_t reported, int *out_status)
{
    unsigned chosen = (unsigned)sim_random_below(CHILDREN);

    while (reported >> chosen & 1)
        chosen = (chosen + 1) % CHILDREN;
    pid_t which = sim_chance(2) ? -1 : pid[chosen];
    unsigned options = sim_chance(2) ? WNOHANG : 0;

    return process_wait(&process_kernel, which, options, out_status);
}

static void exit_wait(void)
{
    pid_t pid[CHILDREN];

    for (unsigned round = sim_rounds(); round > 0; round--) {
        uint64_t reported = 0;

        for (uintptr_t i = 0; i < CHILDREN; i++) {
            pid[i] = sim_child(&process_kernel, sim_end_with, (void *)(i + 1));
            if (pid[i] == 0)
                return;
        }
        while (reported != (1u << CHILDREN) - 1) {
            int status = -1;
            pid_t ended = wait_somehow(pid, reported, &status);

            if (!CHECK(ended >= 0))
                return;
            if (ended == 0) {
                sim_pause();
                continue;
            }
            unsigned index = (unsigned)(status >> 8) - 1;

            if (!CHECK(index < CHILDREN && pid[index] == ended && (reported >> index & 1) == 0))
                return;
            reported |= UINT64_C(1) << index;
        }
        CHECK(process_wait(&process_kernel, -1, 0, NULL) == -ECHILD);
    }
}

static struct {
    struct sim_line line;
    _Atomic(unsigned) reported;
    _Atomic(unsigned) code_sum;
} waiters;

static int wait_until_none(void *arg)
{
    int status = 0;
    unsigned mine = 0;
    pid_t ended;

    (void)arg;
    sim_line_wait(&waiters.line);
    while ((ended = process_wait(&process_kernel, -1, 0, &status)) > 0) {
        (void)fetch_add_relaxed(&waiters.reported, 1);
        (void)fetch_add_relaxed(&waiters.code_sum, (unsigned)(status >> 8));
        mine++;
    }
    CHECK(ended == -ECHILD);
    return (int)mine;
}

static int wait_at_line_and_end(void *code)
{
    sim_line_wait(&waiters.line);
    sim_delay();
    return (int)(intptr_t)code;
}

/* Several waiters share the children of one parent. */
static void wait_wait(void)
{
    struct task *waiter[3];

    for (unsigned round = sim_rounds(); round > 0; round--) {
        sim_line_init(&waiters.line);
        store_relaxed(&waiters.reported, 0);
        store_relaxed(&waiters.code_sum, 0);
        for (unsigned i = 0; i < ARRAY_COUNT(waiter); i++)
            waiter[i] = sim_spawn_nth("waiter", wait_until_none, NULL, i);
        for (uintptr_t i = 1; i <= CHILDREN; i++)
            CHECK(sim_child(&process_kernel, wait_at_line_and_end, (void *)i) > 0);
        sim_line_open(&waiters.line, CHILDREN + ARRAY_COUNT(waiter));
        CHECK(sim_finish_all(waiter, ARRAY_COUNT(waiter)) == CHILDREN);
        CHECK(load_relaxed(&waiters.reported) == CHILDREN);
        CHECK(load_relaxed(&waiters.code_sum) == CHILDREN * (CHILDREN + 1) / 2);
    }
}

#define THREADS 6

/* All threads of a process end at once: one of them ends the process, once. */
static void exit_threads(void)
{
    struct thread *thread[THREADS];
    struct process *process = NULL;
    struct cpumask here;

    for (unsigned round = sim_rounds(); round > 0; round--) {
        int status = 0;

        sim_line_init(&waiters.line);
        if (!CHECK(process_create(&process_kernel, "crowd", &process) == 0))
            return;
        for (unsigned i = 0; i < THREADS; i++) {
            cpumask_set_single(&here, online_cpu(i));
            thread[i] = sim_thread(process, wait_at_line_and_end, (void *)(uintptr_t)(i + 1), &here);
            if (thread[i] == NULL)
                return;
        }
        sim_line_open(&waiters.line, THREADS);
        CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
        CHECK(status >> 8 >= 1 && status >> 8 <= THREADS);
        for (unsigned i = 0; i < THREADS; i++) {
            CHECK(load_acquire(&thread[i]->exit_code) == (int)i + 1); /* PAIRS(thread_exit) */
            thread_put(thread[i]);
        }
        CHECK(process_kill(process) == -ESRCH);
        process_put(process);
    }
}

static int be_parent(void *arg)
{
    unsigned depth = (unsigned)(uintptr_t)arg;
    unsigned waited = 0;

    for (unsigned i = 0; i < 2; i++)
        if (depth > 0)
            CHECK(sim_child(process_current(), be_parent, (void *)(uintptr_t)(depth - 1)) > 0);
    sim_delay();
    if (depth > 0 && sim_chance(2))
        waited += process_wait(process_current(), -1, 0, NULL) > 0;
    if (sim_chance(2))
        sim_nap(5 * NS_PER_US);
    return (int)waited;
}

/* Parents end before, while and after their children do; nobody waits for the orphans, and all are buried. */
static void exit_orphans(void)
{
    unsigned before = process_count();

    for (unsigned round = sim_rounds(); round > 0; round--) {
        pid_t pid = sim_child(&process_kernel, be_parent, (void *)2);

        if (pid == 0)
            return;
        CHECK(process_wait(&process_kernel, pid, 0, NULL) == pid);
        CHECK(process_wait(&process_kernel, -1, WNOHANG, NULL) == -ECHILD);
    }
    WAIT_FOR((proc_reclaim_all(), process_count() == before));
}

static struct {
    struct process *process;
    _Atomic(unsigned) started;
} victims;

static int sleep_and_count(void *arg)
{
    (void)fetch_add_relaxed(&victims.started, 1);
    return sim_sleep_until_killed(arg);
}

/* Adds threads until the process is dead; how many. */
static int add_threads(void *arg)
{
    struct process *process = victims.process;
    const struct thread_spec spec = {
        .name = "late", .entry = sleep_and_count, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };

    for (int count = 0; count < 8; count++) {
        struct thread *thread = NULL;
        int result = thread_create(process, &spec, &thread);

        if (result != 0) {
            CHECK(result == -ESRCH && count > 0);
            return count;
        }
        sim_delay();
        CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
        thread_put(thread);
    }
    return 8;
}

static int kill_until_dead(void *arg)
{
    int result;

    (void)arg;
    while ((result = process_kill(victims.process)) == 0)
        sim_pause();
    CHECK(result == -ESRCH);
    return 0;
}

/* A process is killed, by two, while it still gets threads: none escapes, and it ends once. */
static void exit_kill(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *task[3];
        int status = 0;

        store_relaxed(&victims.started, 0);
        if (!CHECK(process_create(&process_kernel, "victim", &victims.process) == 0))
            return;
        task[0] = spawn("adder", add_threads, (void *)5, PRIORITY_DEFAULT, NULL);
        task[1] = spawn("killer", kill_until_dead, NULL, PRIORITY_DEFAULT, NULL);
        task[2] = spawn("killer", kill_until_dead, NULL, PRIORITY_DEFAULT, NULL);
        CHECK(process_wait(&process_kernel, victims.process->pid, 0, &status) == victims.process->pid);
        CHECK(status == WAIT_STATUS_EXITED(5));
        int64_t threads = sim_finish_all(task, ARRAY_COUNT(task));

        CHECK(threads > 0 && load_relaxed(&victims.started) == (unsigned)threads);
        process_put(victims.process);
    }
}

static int create_detached(void *arg)
{
    unsigned count = (unsigned)(uintptr_t)arg;
    const struct task_spec spec = {
        .name = "brief",
        .entry = sim_end_with,
        .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = PRIORITY_DEFAULT,
    };

    for (; count > 0; count--)
        CHECK(task_create(&spec, NULL) > 0);
    return 0;
}

static int wait_for_passes(void *arg)
{
    for (uintptr_t passes = (uintptr_t)arg; passes > 0; passes--)
        reaper_wait_pass();
    return 0;
}

/* Tasks die faster than the reaper's passes begin, and several wait for passes at once. */
static void exit_backlog(void)
{
    uint64_t tasks = count_tasks();
    unsigned rounds = sim_rounds();
    struct task *task[6];

    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = i % 2 == 0 ? sim_spawn_nth("creator", create_detached, (void *)(uintptr_t)(3 * rounds), i)
                             : spawn("passes", wait_for_passes, (void *)(uintptr_t)rounds, PRIORITY_DEFAULT, NULL);
    CHECK(sim_finish_all(task, ARRAY_COUNT(task)) == 0);
    wait_for_tasks(tasks);
}

const struct sim_scenario sim_scenarios_exit[] = {
    { .name = "exit-wait", .aim = "a child that ends is missed, or reported twice, by a parent that polls and waits",
      .cpus = 3, .cpus_min = 1, .rounds = 12, .run = exit_wait },
    { .name = "wait-wait", .aim = "two who wait for the same children both get one, or neither does",
      .cpus = 4, .cpus_min = 1, .rounds = 9, .run = wait_wait },
    { .name = "exit-threads", .aim = "the threads of a process end at once, and it ends twice or never",
      .cpus = 4, .cpus_min = 1, .rounds = 9, .run = exit_threads },
    { .name = "exit-orphans", .aim = "a child outlives its parent, and its record is lost or freed twice",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = exit_orphans },
    { .name = "exit-kill", .aim = "a process is killed while it gets new threads",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = exit_kill },
    { .name = "exit-backlog", .aim = "the reaper misses work that is queued while a pass runs",
      .cpus = 4, .cpus_min = 1, .rounds = 8, .run = exit_backlog },
    { .name = NULL },
};
