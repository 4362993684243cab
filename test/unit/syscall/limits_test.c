/* SPDX-License-Identifier: MIT */
/* core/syscall/limits.c: structs as programs see them, and whom a program may limit. */
#include "program.h"
#include "unit.h"

#define OLD PROGRAM_MEMORY
#define NEW (PROGRAM_MEMORY + 64)
#define NOFILE 7

static void asks(uintptr_t arg)
{
    (void)arg;
    CHECK(program_call("prlimit64", 0, NOFILE, 0, OLD) == 0);
    CHECK(program_load(OLD) == 1024 && program_load(OLD + 8) == 4096);
    program_store(NEW, 100);
    program_store(NEW + 8, 200);
    CHECK(program_call("prlimit64", 0, NOFILE, NEW, OLD) == 0 && program_load(OLD) == 1024);
    CHECK(program_call("getrlimit", NOFILE, OLD) == 0 && program_load(OLD) == 100 && program_load(OLD + 8) == 200);
    program_store(NEW, 50);
    CHECK(program_call("setrlimit", NOFILE, NEW) == 0 && program_call("getrlimit", NOFILE, OLD) == 0);
    CHECK(program_load(OLD) == 50 && program_call("getrlimit", 16, OLD) == -EINVAL);
    CHECK(program_call("getrlimit", NOFILE, 8) == -EFAULT && program_call("setrlimit", NOFILE, 8) == -EFAULT);
    CHECK(program_call("prlimit64", 99999, NOFILE, 0, OLD) == -ESRCH);
    CHECK(program_call("getrusage", 0, OLD) == 0 && program_call("getrusage", -1UL, OLD) == 0);
    CHECK(program_call("getrusage", 1, OLD) == 0 && program_call("getrusage", 2, OLD) == -EINVAL);
    CHECK(program_call("times", OLD) >= 0 && program_call("times", 0) >= 0 && program_call("times", 8) == -EFAULT);
    program_exit(0);
}

static void spins(uintptr_t arg)
{
    (void)arg;
    for (;;)
        (void)program_call("sched_yield");
}

static _Atomic(pid_t) other;

/* Somebody else's process is none of a user's business. */
static void may_not(uintptr_t arg)
{
    (void)arg;
    CHECK(program_call("prlimit64", (uintptr_t)load_relaxed(&other), NOFILE, 0, OLD) == 0);
    CHECK(program_call("setresuid", 5, 5, 5) == 0);
    CHECK(program_call("prlimit64", (uintptr_t)load_relaxed(&other), NOFILE, 0, OLD) == -EPERM);
    CHECK(program_call("prlimit64", (uintptr_t)program_call("getpid"), NOFILE, 0, OLD) == 0);
    program_exit(0);
}

static void struct_test(void)
{
    program_run(asks);
}

static void rights_test(void)
{
    struct process *process = program_start(spins, 0);

    store_relaxed(&other, process->pid);
    CHECK(program_finish(program_start(may_not, 0)) == 0);
    CHECK(process_kill(process) == 0);
    CHECK(program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
}

const struct kernel_test booted_tests[] = {
    { "struct", struct_test },
    { "rights", rights_test },
    { NULL, NULL },
};

static void limits_and_usage_are_told_as_linux_tells_them(void **state)
{
    (void)state;
    booted_run("struct", 8);
}

static void nobody_limits_what_is_anothers(void **state)
{
    (void)state;
    booted_run("rights", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_and_usage_are_told_as_linux_tells_them),
        cmocka_unit_test(nobody_limits_what_is_anothers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
