/* SPDX-License-Identifier: MIT */
/* Look-ups: against death, reclaim, and numbers that are used again. */
#include "scenario.h"

#include <boot/program.h>
#include <hal/cpu.h>
#include <k/limits.h>
#include <proc/id.h>
#include <smp/preempt.h>

#define SLOTS 8

static struct {
    struct sim_line line;      /* creators begin when everybody has a number: they may take all that are left */
    _Atomic(tid_t) tid[SLOTS]; /* of tasks that live, or did */
    _Atomic(unsigned) creators;
    _Atomic(unsigned) births;
    _Atomic(unsigned) found, missed;
} numbers;

static void numbers_begin(unsigned creators)
{
    for (unsigned i = 0; i < SLOTS; i++)
        store_relaxed(&numbers.tid[i], 0);
    sim_line_init(&numbers.line);
    store_relaxed(&numbers.creators, creators);
    store_relaxed(&numbers.births, 0);
    store_relaxed(&numbers.found, 0);
    store_relaxed(&numbers.missed, 0);
}

static int end_or_sleep_a_little(void *arg)
{
    sim_delay();
    if (sim_chance(3))
        sim_nap(3 * NS_PER_US);
    return (int)(uintptr_t)arg;
}

static int create_and_publish(void *arg)
{
    const struct task_spec spec = {
        .name = "numbered", .entry = end_or_sleep_a_little, .arg = (void *)1, .stack_bytes = STACK_BYTES_DEFAULT,
        .priority = PRIORITY_DEFAULT,
    };

    sim_line_wait(&numbers.line);
    for (unsigned left = (unsigned)(uintptr_t)arg; left > 0;) {
        bool is_joined = sim_chance(2);
        struct task *task = NULL;
        tid_t tid = task_create(&spec, is_joined ? &task : NULL);

        if (tid == -EAGAIN) { /* all numbers are taken, by the dead or the living */
            sim_pause();
            continue;
        }
        if (!CHECK(tid > 0))
            break;
        store_relaxed(&numbers.tid[sim_random_below(SLOTS)], tid);
        (void)fetch_add_relaxed(&numbers.births, 1);
        if (is_joined)
            CHECK(finish(task) == 1);
        left--;
    }
    (void)fetch_sub_relaxed(&numbers.creators, 1);
    return 0;
}

/* What is found is what the number says, stays while it is held, and may be woken, killed, joined. */
static void use_found(struct task *task, tid_t tid)
{
    int code = 0;
    int result;

    CHECK(task->tid == tid);
    switch (sim_random_below(4)) {
    case 0:
        (void)task_wake(task);
        break;
    case 1:
        result = task_join(task, &code, clock_ns() + sim_random_below(3000));
        CHECK((result == 0 && code == 1) || result == -ETIMEDOUT);
        break;
    case 2:
        result = task_set_priority(task, sim_some_fair_priority());
        CHECK(result == 0 || result == -ESRCH);
        break;
    default:
        sim_delay();
        break;
    }
    CHECK(task->tid == tid);
    task_put(task);
}

static int look_up(void *arg)
{
    (void)arg;
    while (load_relaxed(&numbers.creators) > 0) {
        tid_t tid = load_relaxed(&numbers.tid[sim_random_below(SLOTS)]);
        struct task *task = task_lookup(tid);

        (void)fetch_add_relaxed(task != NULL ? &numbers.found : &numbers.missed, 1);
        if (task != NULL)
            use_found(task, tid);
        sim_pause();
    }
    return 0;
}

static void tell_lookups(unsigned lives)
{
    uint64_t tasks = count_tasks();
    struct task *creator[2], *reader[2];

    numbers_begin(2);
    for (unsigned i = 0; i < 2; i++) {
        creator[i] = spawn("creator", create_and_publish, (void *)(uintptr_t)lives, PRIORITY_DEFAULT, NULL);
        reader[i] = spawn("reader", look_up, NULL, PRIORITY_DEFAULT, NULL);
    }
    sim_line_open(&numbers.line, 2);
    CHECK(sim_finish_all(creator, 2) == 0);
    CHECK(sim_finish_all(reader, 2) == 0);
    wait_for_tasks(tasks);
    for (unsigned i = 0; i < SLOTS; i++)
        CHECK(task_lookup(load_relaxed(&numbers.tid[i])) == NULL);
}

static void lookup_reap(void)
{
    tell_lookups(8 * sim_rounds());
}

/*
 * Numbers come round after TID_MAX others. So all but a few are reserved first: then every death soon gives its number
 * to a birth. No step of the machine is spent on that. It is done while all other CPUs wait for an interrupt, so that
 * nobody holds a lock, and with preemption disabled, since a switch must not be made while the machine holds still.
 */
static _Atomic(uint8_t) is_ours[TID_MAX];

#define FREE_NUMBERS 12

static bool all_others_idle(void)
{
    for (cpu_id_t cpu = 0; cpu < boot_report.cpus_online; cpu++)
        if (cpu != host_cpu_id() && !host_cpu_is_idle(cpu))
            return false;
    return true;
}

/* Returns what host_quiet() is to be called with at the end. */
static bool hold_still(void)
{
    for (;;) {
        bool was_quiet = host_quiet(true);

        if (all_others_idle())
            return was_quiet;
        (void)host_quiet(was_quiet);
        sim_pause();
    }
}

static void reserve_all_but_a_few(void)
{
    bool was_quiet = hold_still();
    tid_t id = 0;
    int result;
    unsigned given = 0;

    while ((result = id_alloc(&id)) == 0)
        store_relaxed(&is_ours[id], 1);
    preempt_disable();
    for (id = TID_MAX - 1; id > 0 && given < FREE_NUMBERS; id -= 7)
        if (load_relaxed(&is_ours[id]) != 0) {
            store_relaxed(&is_ours[id], 0);
            id_release(id);
            given++;
        }
    (void)host_quiet(was_quiet);
    preempt_enable();
    CHECK(result == -EAGAIN && given == FREE_NUMBERS);
}

static void release_all(void)
{
    bool was_quiet = hold_still();

    preempt_disable();
    for (tid_t id = 1; id < TID_MAX; id++)
        if (load_relaxed(&is_ours[id]) != 0) {
            store_relaxed(&is_ours[id], 0);
            id_release(id);
        }
    (void)host_quiet(was_quiet);
    preempt_enable();
}

/* Hazard 26: a number is used again while somebody still asks for its last owner. */
static void lookup_reuse(void)
{
    reserve_all_but_a_few();
    tell_lookups(8 * sim_rounds());
    release_all();
}

/*
 * A reader is stopped wherever it stands, for so long that whoever it was about to take is dead and freed, and its
 * number another one's. Readers and those who stop them share a CPU that nobody else needs.
 */
#define STOP_BIRTHS (2 * FREE_NUMBERS)
#define STOP_LOOKS 600

static int stop_reader(void *arg)
{
    (void)arg;
    while (load_relaxed(&numbers.creators) > 0) {
        unsigned births = load_relaxed(&numbers.births);

        for (unsigned looks = 0; looks < STOP_LOOKS && load_relaxed(&numbers.births) - births < STOP_BIRTHS; looks++)
            hal_cpu_relax();
        sim_nap(NS_PER_US);
    }
    return 0;
}

static void lookup_stopped(void)
{
    uint64_t tasks = count_tasks();
    struct task *creator, *reader, *stopper;

    reserve_all_but_a_few();
    numbers_begin(1);
    creator = sim_spawn_nth("creator", create_and_publish, (void *)(uintptr_t)(16 * sim_rounds()), 0);
    sim_line_open(&numbers.line, 1);
    reader = sim_spawn_nth("reader", look_up, NULL, 1);
    stopper = spawn_on("stopper", stop_reader, NULL, PRIORITY_REALTIME_NORMAL, online_cpu(1));
    CHECK(finish(creator) == 0);
    CHECK(finish(reader) == 0);
    CHECK(finish(stopper) == 0);
    wait_for_tasks(tasks);
    release_all();
}

static struct {
    _Atomic(pid_t) pid;
    _Atomic(bool) stop;
} public_process;

static int look_up_process(void *arg)
{
    (void)arg;
    while (!load_relaxed(&public_process.stop)) {
        pid_t pid = load_relaxed(&public_process.pid);
        struct process *process = process_lookup(pid);

        if (process != NULL) {
            CHECK(process->pid == pid);
            int result = sim_chance(3) ? process_kill(process) : 0;

            CHECK(result == 0 || result == -ESRCH);
            process_put(process);
        }
        sim_pause();
    }
    return 0;
}

/* Processes are looked up, and killed, while they end, are waited for and are freed. */
static void lookup_process(void)
{
    struct task *reader[2];

    store_relaxed(&public_process.pid, 0);
    store_relaxed(&public_process.stop, false);
    for (unsigned i = 0; i < 2; i++)
        reader[i] = spawn("reader", look_up_process, NULL, PRIORITY_DEFAULT, NULL);
    for (unsigned i = 0; i < 4 * sim_rounds(); i++) {
        int status = 0;
        pid_t pid = sim_child(&process_kernel, end_or_sleep_a_little, (void *)1);

        if (pid == 0)
            break;
        store_relaxed(&public_process.pid, pid);
        CHECK(process_wait(&process_kernel, pid, 0, &status) == pid);
        CHECK(status == WAIT_STATUS_EXITED(1));
    }
    store_relaxed(&public_process.stop, true);
    CHECK(sim_finish_all(reader, 2) == 0);
}

const struct sim_scenario sim_scenarios_lookup[] = {
    { .name = "lookup-reap", .aim = "a task is found by its number while it dies, and used after it is freed",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = lookup_reap },
    { .name = "lookup-reuse", .aim = "a number gets a new owner while somebody asks for the old one",
      .cpus = 4, .cpus_min = 1, .rounds = 4, .run = lookup_reuse },
    { .name = "lookup-stopped", .aim = "a look-up stands still half way, until its task is freed and its number reused",
      .cpus = 3, .cpus_min = 2, .rounds = 4, .run = lookup_stopped },
    { .name = "lookup-process", .aim = "a process is found by its number while it is waited for and freed",
      .cpus = 4, .cpus_min = 1, .rounds = 6, .run = lookup_process },
    { .name = NULL },
};
