/* SPDX-License-Identifier: MIT */
/* core/proc/user_count.c: who is counted with whom, and what RLIMIT_NPROC refuses (getrlimit(2), setuid(2)). */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <mm/fail.h>
#include <proc/id.h>
#include <proc/limits.h>

#include "proc_priv.h"

#define NPROC 6
#define LIMIT PROGRAM_MEMORY
#define PATH (PROGRAM_MEMORY + 64)
#define MASK (PROGRAM_MEMORY + 128)

static void counts_test(void)
{
    struct user_count *one = NULL, *two = NULL, *other = NULL;

    CHECK(user_count_join(7, 0, &one) == -EAGAIN && one == NULL);
    mm_fail_at(1);
    CHECK(user_count_join(7, 2, &one) == -ENOMEM && one == NULL && mm_fail_fired());
    CHECK(user_count_join(7, 2, &one) == 0 && user_count_join(7, 2, &two) == 0 && one == two && one->tasks == 2);
    CHECK(user_count_join(7, 2, &other) == -EAGAIN && other == NULL && one->tasks == 2);
    CHECK(user_count_join(8, 1, &other) == 0 && other != one && other->tasks == 1);
    user_count_leave(&two);
    CHECK(two == NULL && one->tasks == 1 && user_count_join(7, 2, &two) == 0);
    user_count_leave(&one);
    user_count_leave(&one); /* nothing */
    CHECK(two->tasks == 1);
    user_count_leave(&two);
    user_count_leave(&other);
}

static void limit_to(uint64_t tasks)
{
    program_store(LIMIT, tasks);
    program_store(LIMIT + 8, tasks);
    CHECK(program_call("setrlimit", NPROC, LIMIT) == 0);
}

static intptr_t fork(void)
{
    return program_call("clone", PROCESS_SIGCHLD);
}

static void wait_forever(void)
{
    for (;;)
        (void)program_call("rt_sigsuspend", MASK, 8); /* with no signal blocked */
}

/* A user with three tasks, itself, one that lives and a zombie, has no more, until the zombie is gone; whatever others
 * have does not matter. */
static void forks_to_its_limit(uintptr_t arg)
{
    if (arg == PROCESS_SIGCHLD)
        wait_forever();
    CHECK(fork() > 0); /* still of user 0, not counted below */
    limit_to(3);
    CHECK(fork() > 0); /* and user 0 has no limit */
    CHECK(fork() > 0);
    CHECK(program_call("setresuid", 1000, 1000, 1000) == 0);
    intptr_t first = fork(), second = fork();

    CHECK(first > 0 && second > 0 && fork() == -EAGAIN);
    CHECK(program_call("kill", (uintptr_t)first, PROCESS_SIGKILL) == 0);
    CHECK(program_call("waitid", 1, (uintptr_t)first, 0, WEXITED | WNOWAIT) == 0 && fork() == -EAGAIN);
    CHECK(program_call("wait4", (uintptr_t)first) == first && fork() > 0 && fork() == -EAGAIN);
    program_exit(0);
}

/* Others of that user are there already: it becomes it all the same, but does not execute another program. */
static void executes_beyond_its_limit(uintptr_t arg)
{
    uint64_t word = 0;

    if (arg == PROCESS_SIGCHLD) {
        CHECK(program_call("setresuid", 1000, 1000, 1000) == 0);
        wait_forever();
    }
    (void)memcpy(&word, "/none", 6);
    program_store(PATH, word);
    CHECK(program_call("execve", PATH, 0, 0) == -ENOENT);
    intptr_t child = fork();
    struct process *process = process_lookup((pid_t)child);

    CHECK(child > 0 && process != NULL);
    while (program_call("kill", (uintptr_t)child, 0) == 0 && process_is_of(process, &cred_root))
        (void)program_call("sched_yield");
    process_put(process);
    limit_to(1);
    CHECK(program_call("setresuid", 1000, 1000, 1000) == 0 && program_call("execve", PATH, 0, 0) == -EAGAIN);
    CHECK(fork() == -EAGAIN && program_call("kill", (uintptr_t)child, PROCESS_SIGKILL) == 0);
    CHECK(program_call("wait4", (uintptr_t)child) == child && program_call("execve", PATH, 0, 0) == -ENOENT);
    program_exit(0);
}

/* What it leaves behind ends, too, and everything is counted down: the check of memory at the end says so. */
static void run_and_clean(host_user_program *program)
{
    CHECK(program_finish(program_start(program, 0)) == 0);
    for (struct process *process; (process = process_lookup_next(1)) != NULL; process_put(process)) {
        (void)process_kill(process);
        (void)task_sleep_for(NS_PER_MS);
        proc_reclaim_all();
    }
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
}

static void fork_test(void)
{
    run_and_clean(forks_to_its_limit);
}

static void exec_test(void)
{
    run_and_clean(executes_beyond_its_limit);
}

const struct kernel_test booted_tests[] = {
    { "counts", counts_test }, { "fork", fork_test }, { "exec", exec_test }, { NULL, NULL },
};

static void tasks_are_counted_by_user(void **state)
{
    (void)state;
    booted_run("counts", 2);
}

static void a_user_has_no_more_tasks_than_it_may(void **state)
{
    (void)state;
    booted_run("fork", 8);
}

static void who_becomes_a_user_with_too_many_does_not_execute(void **state)
{
    (void)state;
    booted_run("exec", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_counted_by_user),
        cmocka_unit_test(a_user_has_no_more_tasks_than_it_may),
        cmocka_unit_test(who_becomes_a_user_with_too_many_does_not_execute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
