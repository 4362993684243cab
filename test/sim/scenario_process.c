/* SPDX-License-Identifier: MIT */
/* Programs that become others and end while their threads do as well: host functions that make system calls. */
#include "scenario.h"

#include "program.h"

#include <proc/signal.h>
#include <proc/signo.h>

#define THREADS 4
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define PATH "/next"
#define JOB PROGRAM_MEMORY
#define PATH_AT (PROGRAM_MEMORY + 64)
#define STATUS (PROGRAM_MEMORY + 128)
#define DONE 16

static _Atomic(uint32_t) arrived; /* at the next program */

static void next_program(uintptr_t arg)
{
    CHECK(arg == 0 && program_call("gettid") == program_call("getpid"));
    CHECK(process_current()->threads_alive == 1 && process_current()->executing == NULL);
    store_relaxed(&arrived, 1);
    program_exit(DONE);
}

static void put_path(void)
{
    uint64_t word = 0;

    (void)memcpy(&word, PATH, sizeof PATH);
    program_store(PATH_AT, word);
}

/* Some execute, some make threads, some spin: only one exec happens, and all others end. */
static void crowd(uintptr_t arg)
{
    if (arg == 0) {
        put_path();
        for (unsigned i = 0; i < THREADS; i++)
            (void)program_call("clone", THREAD);
    }
    for (;;) {
        if (arg == 0 || sim_chance(3))
            CHECK(program_call("execve", PATH_AT) == -EINTR); /* somebody was faster, or it was killed */
        if (sim_chance(4))
            (void)program_call("clone", THREAD);
        (void)program_call("sched_yield");
    }
}

static void exec_threads(void)
{
    program_file(PATH, next_program, false, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--)
        CHECK(program_finish(program_start(crowd, 0)) == WAIT_STATUS_EXITED(DONE));
    program_remove(PATH);
}

/* A kill from outside meets an exec wherever it is. */
static void exec_killed(void)
{
    program_file(PATH, next_program, false, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct process *process = program_start(crowd, 0);

        for (uint64_t pauses = sim_random_below(30); pauses > 0; pauses--)
            sim_pause();
        (void)process_kill(process);
        int status = program_finish(process);

        CHECK(status == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL) || status == WAIT_STATUS_EXITED(DONE));
    }
    program_remove(PATH);
}

static void send(struct process *process, int number)
{
    const struct signal_info info = { .number = number, .code = SI_KERNEL };

    (void)signal_send_process(process, &info);
}

static void crowd_that_stops(uintptr_t arg)
{
    if (arg == 0) {
        put_path();
        for (unsigned i = 0; i < THREADS; i++)
            (void)program_call("clone", THREAD);
    }
    for (;;) {
        if (sim_chance(4))
            CHECK(program_call("execve", PATH_AT) == -EINTR);
        if (sim_chance(4))
            (void)program_call("kill", (uintptr_t)program_call("getpid"), SIGSTOP);
        (void)program_call("sched_yield");
    }
}

/* A stop meets an exec wherever it is: also in threads that it is about to end, and that nothing else lets go on. */
static void exec_stopped(void)
{
    program_file(PATH, next_program, false, NULL);
    for (unsigned round = sim_rounds(); round > 0; round--) {
        store_relaxed(&arrived, 0);
        struct process *process = program_start(crowd_that_stops, 0);

        while (load_relaxed(&arrived) == 0) {
            sim_pause();
            send(process, SIGCONT);
        }
        CHECK(program_finish(process) == WAIT_STATUS_EXITED(DONE));
    }
    program_remove(PATH);
}

/* Threads fork while one of them ends them all: no child is lost, none has two makers. */
static void forks_for_ever(uintptr_t arg)
{
    if (arg == PROGRAM_FORK)
        program_exit(1);
    if (arg == 0)
        for (unsigned i = 0; i < THREADS; i++)
            (void)program_call("clone", THREAD);
    for (;;) {
        intptr_t pid = program_call("clone", PROGRAM_FORK);

        CHECK(pid > 0 || pid == -EINTR);
        if (sim_chance(6))
            program_exit(DONE);
        if (sim_chance(2))
            (void)program_call("wait4", -1UL, 0, sim_chance(2) ? WNOHANG : 0);
    }
}

static void fork_end(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(program_finish(program_start(forks_for_ever, 0)) == WAIT_STATUS_EXITED(DONE));
        WAIT_FOR((proc_reclaim_all(), process_count() == 0)); /* orphans of the kernel's */
    }
}

const struct sim_scenario sim_scenarios_process[] = {
    { .name = "exec-threads", .aim = "threads of a process that executes survive, or two of them execute",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = exec_threads },
    { .name = "exec-killed", .aim = "a process is killed while it executes, and hangs or goes on",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = exec_killed },
    { .name = "exec-stopped", .aim = "a process is stopped while it executes, and a thread neither stops nor ends",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = exec_stopped },
    { .name = "fork-end", .aim = "a process ends while its threads fork, and a child or a page is lost",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = fork_end },
    { .name = NULL },
};
