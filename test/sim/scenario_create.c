/* SPDX-License-Identifier: MIT */
/* Creation: in storms, with little memory, with each of its steps failing, and very many. */
#include "scenario.h"

#include <mm/fail.h>
#include <mm/kstack.h>
#include <mm/phys.h>
#include <proc/id.h>

static _Atomic(unsigned) leaves;

/* A tree of tasks: each joins its first child and leaves the second to its fate. */
static int grow(void *arg)
{
    uintptr_t depth = (uintptr_t)arg;

    if (depth == 0) {
        (void)fetch_add_relaxed(&leaves, 1);
        return 1;
    }
    struct task *first = spawn("branch", grow, (void *)(depth - 1), sim_some_fair_priority(), NULL);
    struct task *second = spawn("branch", grow, (void *)(depth - 1), sim_some_fair_priority(), NULL);

    if (second != NULL)
        task_put(second);
    return finish(first);
}

static void fork_storm(void)
{
    uint64_t tasks = count_tasks();

    for (unsigned round = sim_rounds(); round > 0; round--) {
        store_relaxed(&leaves, 0);
        CHECK(finish(spawn("root", grow, (void *)4, PRIORITY_DEFAULT, NULL)) == 1);
        wait_for_tasks(tasks);
        CHECK(load_relaxed(&leaves) == 16);
    }
}

static int multiply(void *arg)
{
    uintptr_t depth = (uintptr_t)arg;
    int sum = 1;

    if (depth == 0)
        return 1;
    for (unsigned i = 0; i < 2; i++)
        CHECK(sim_child(process_current(), multiply, (void *)(depth - 1)) > 0);
    for (unsigned i = 0; i < 2; i++) {
        int status = 0;

        CHECK(process_wait(process_current(), -1, 0, &status) > 0);
        sum += status >> 8;
    }
    CHECK(process_wait(process_current(), -1, 0, NULL) == -ECHILD);
    return sum;
}

/* A tree of processes, each of which counts itself and those below. */
static void process_storm(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        int status = 0;
        pid_t pid = sim_child(&process_kernel, multiply, (void *)3);

        CHECK(pid > 0 && process_wait(&process_kernel, pid, 0, &status) == pid);
        CHECK(status == WAIT_STATUS_EXITED(15));
    }
}

struct counts {
    uint64_t tasks;
    unsigned ids, stacks, processes;
};

/* What a failed creation must leave as it was, at once. */
static struct counts counts_now(void)
{
    struct proc_stats stats;

    proc_stats_get(&stats);
    return (struct counts){ stats.tasks_alive, id_used_count(), kstack_used_count(), process_count() };
}

static void check_unchanged(const struct counts *before)
{
    struct counts now = counts_now();

    CHECK(now.tasks == before->tasks && now.ids == before->ids && now.stacks == before->stacks &&
          now.processes == before->processes);
}

static const struct task_spec fallible_task = {
    .name = "fallible",
    .entry = sim_end_with,
    .arg = (void *)3,
    .stack_bytes = STACK_BYTES_DEFAULT,
    .priority = PRIORITY_DEFAULT,
    .uses_fpu = true,
};

static const struct thread_spec fallible_thread = {
    .name = "fallible",
    .entry = sim_end_with,
    .arg = (void *)3,
    .stack_bytes = STACK_BYTES_DEFAULT,
    .priority_number = 65,
    .uses_fpu = true,
};

/* 0 or -ENOMEM; with `alone` nobody else creates or ends anything meanwhile. */
static bool try_task(bool alone, uint32_t nth)
{
    struct counts before = counts_now();
    struct task *task = NULL;

    mm_fail_at(nth);
    tid_t tid = task_try_create(&fallible_task, &task);
    bool fired = mm_fail_fired();

    CHECK(tid > 0 || (tid == -ENOMEM && fired));
    if (tid > 0)
        CHECK(finish(task) == 3);
    else if (alone)
        check_unchanged(&before);
    return fired;
}

static bool try_process(bool alone, uint32_t nth)
{
    struct counts before = counts_now();
    struct process *process = NULL;

    mm_fail_at(nth);
    int result = process_create(&process_kernel, "fallible", &process);
    bool fired = mm_fail_fired();

    CHECK(result == 0 || (result == -ENOMEM && fired));
    if (result == 0) {
        CHECK(process_discard(process) == 0);
        process_put(process);
    } else if (alone) {
        check_unchanged(&before);
    }
    return fired;
}

/* The second thread of a process, with an id of its own; what fails is its creation or its task's. */
static bool try_thread(struct process *process, bool alone, uint32_t nth)
{
    struct counts before = counts_now();
    struct thread *thread = NULL;

    mm_fail_at(nth);
    int result = thread_create(process, &fallible_thread, &thread);
    bool is_created = result == 0;

    if (is_created)
        result = thread_schedule(process->pid, thread->tid, thread);
    bool fired = mm_fail_fired();

    CHECK(result == 0 || (result == -ENOMEM && fired));
    if (is_created && result != 0)
        CHECK(thread_discard(thread) == 0);
    if (is_created)
        thread_put(thread);
    if (result != 0 && alone)
        check_unchanged(&before);
    return fired;
}

/* Every step fails in turn, until none is left to fail. */
static void fail_each_step(bool alone)
{
    struct process *process = NULL;
    uint32_t nth = 1;

    while (try_task(alone, nth++))
        if (alone)
            proc_reclaim_all();
    CHECK(nth > 3); /* object, stack, id at least */
    if (alone)
        proc_reclaim_all();
    for (nth = 1; try_process(alone, nth++);)
        if (alone)
            proc_reclaim_all();
    CHECK(nth > 3);
    if (!CHECK(process_create(&process_kernel, "crowd", &process) == 0))
        return;
    struct thread *first = sim_thread(process, sim_sleep_until_killed, (void *)1, NULL);

    if (alone)
        proc_reclaim_all();
    for (nth = 1; try_thread(process, alone, nth++);)
        if (alone)
            proc_reclaim_all();
    CHECK(nth > 3);
    CHECK(process_kill(process) == 0);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    if (first != NULL)
        thread_put(first);
    process_put(process);
}

static void create_fails(void)
{
    fail_each_step(true);
}

static _Atomic(bool) churn_stop;

static int churn(void *arg)
{
    (void)arg;
    while (!load_relaxed(&churn_stop)) {
        CHECK(finish(spawn("churn", sim_end_with, (void *)2, PRIORITY_DEFAULT, NULL)) == 2);
        pid_t pid = sim_child(&process_kernel, sim_end_with, (void *)4);

        CHECK(pid > 0 && process_wait(&process_kernel, pid, 0, NULL) == pid);
    }
    return 0;
}

/* The same while others, whose allocations do not fail, come and go. */
static void create_fails_busy(void)
{
    struct task *task[2];

    store_relaxed(&churn_stop, false);
    for (unsigned i = 0; i < 2; i++)
        task[i] = spawn("churner", churn, NULL, PRIORITY_USER_LOW, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--)
        fail_each_step(false);
    store_relaxed(&churn_stop, true);
    CHECK(sim_finish_all(task, 2) == 0);
}

static _Atomic(unsigned) refused;

static int create_in_need(void *arg)
{
    const struct task_spec spec = {
        .name = "brief", .entry = sim_end_with, .arg = arg, .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = PRIORITY_DEFAULT,
    };
    int sum = 0;

    for (unsigned made = 0; made < 4 * sim_rounds();) {
        struct task *task = NULL;
        tid_t tid = task_create(&spec, &task);

        if (tid > 0) {
            sum += finish(task);
            made++;
            continue;
        }
        CHECK(tid == -ENOMEM);
        (void)fetch_add_relaxed(&refused, 1);
        sim_pause();
    }
    return sum;
}

/* There is memory for a few tasks only: creation waits for the reaper, is refused, and goes on when some have died. */
static void create_in_little_memory(void)
{
    paddr_t hoarded = 0;
    struct task *task[4];

    store_relaxed(&refused, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(task); i++)
        task[i] = sim_spawn_nth("creator", create_in_need, (void *)1, i);
    CHECK(sim_hoard(&hoarded, 24) > 0);
    int64_t sum = sim_finish_all(task, ARRAY_COUNT(task));

    sim_give_back(hoarded);
    CHECK(sum == 4 * 4 * (int64_t)sim_rounds());
}

#define THOUSAND 1000

static struct {
    struct sim_line line;
    _Atomic(unsigned) ended;
} many;

static int be_one_of_many(void *arg)
{
    (void)arg;
    sim_line_wait(&many.line);
    (void)fetch_add_relaxed(&many.ended, 1);
    return 0;
}

/* So many tasks alive and asleep at the same time: then all wake, end, and give everything back. */
static void create_many(void)
{
    const struct task_spec spec = {
        .name = "many",
        .entry = be_one_of_many,
        .stack_bytes = STACK_BYTES_DEFAULT, /* of this size stacks are given back in batches, not one by one */
        .priority = PRIORITY_DEFAULT,
    };
    unsigned wanted = THOUSAND * sim_rounds();
    uint64_t tasks = count_tasks();
    struct sched_census census;

    sim_line_init(&many.line);
    store_relaxed(&many.ended, 0);
    for (unsigned i = 0; i < wanted; i++)
        if (!CHECK(task_create(&spec, NULL) > 0)) {
            wanted = i;
            break;
        }
    sched_census_get(&census);
    CHECK(census.queued + census.running + census.blocked >= wanted);
    sim_line_open(&many.line, wanted);
    wait_for_tasks(tasks);
    CHECK(load_relaxed(&many.ended) == wanted);
}

const struct sim_scenario sim_scenarios_create[] = {
    { .name = "fork-storm", .aim = "tasks that create tasks, joined or not, are lost or kept",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = fork_storm },
    { .name = "process-storm", .aim = "processes that create processes and wait for them lose count",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = process_storm },
    { .name = "create-fails", .aim = "a step of a creation fails, and something is left behind",
      .cpus = 2, .cpus_min = 1, .rounds = 1, .run = create_fails },
    { .name = "create-fails-busy", .aim = "a step of a creation fails while others create and end",
      .cpus = 4, .cpus_min = 1, .rounds = 2, .run = create_fails_busy },
    { .name = "create-pressure", .aim = "memory runs out, and creation does not wait for what the dead leave",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .memory_bytes = 8 << 20, .run = create_in_little_memory },
    { .name = "many", .aim = "rounds times 1,000 tasks live at once, and something does not scale",
      .cpus = 4, .cpus_min = 1, .rounds = 1, .memory_bytes = UINT64_C(3) << 30, .run = create_many },
    { .name = NULL },
};
