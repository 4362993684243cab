/* SPDX-License-Identifier: MIT */
/* core/syscall/process.c: arguments that are refused before anything is done; the rest is in test/unit/proc. */
#include "program.h"
#include "unit.h"

#define ARGS PROGRAM_MEMORY
#define STATUS (PROGRAM_MEMORY + 192)
#define CLONE_ARGS 88

static void zero_args(void)
{
    for (unsigned i = 0; i < CLONE_ARGS + 16; i += 8)
        program_store(ARGS + i, 0);
}

/* flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup */
static intptr_t clone3_with(unsigned index, uint64_t value, size_t bytes)
{
    zero_args();
    program_store(ARGS + 4 * 8, PROCESS_SIGCHLD);
    program_store(ARGS + index * 8, value);
    return program_call("clone3", ARGS, bytes);
}

static void clones(uintptr_t arg)
{
    if (arg == ARGS)
        program_exit(9);
    CHECK(clone3_with(0, 1, CLONE_ARGS) == -EINVAL);     /* a signal among the flags */
    CHECK(clone3_with(0, CLONE_DETACHED, CLONE_ARGS) == -EINVAL);
    CHECK(clone3_with(0, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, CLONE_ARGS) == -EINVAL); /* and a signal */
    CHECK(clone3_with(4, 65, CLONE_ARGS) == -EINVAL);
    CHECK(clone3_with(5, ARGS, CLONE_ARGS) == -EINVAL);  /* a stack without a size */
    CHECK(clone3_with(6, 4096, CLONE_ARGS) == -EINVAL);  /* and the other way round */
    CHECK(clone3_with(8, ARGS, CLONE_ARGS) == -EINVAL);
    CHECK(clone3_with(0, 0, 56) == -EINVAL);
    CHECK(clone3_with(11, 1, CLONE_ARGS + 8) == -E2BIG); /* something that is not known here */
    CHECK(program_call("clone3", 8, CLONE_ARGS) == -EFAULT);
    CHECK(program_call("wait4", -1UL) == -ECHILD);
    intptr_t pid = clone3_with(11, 0, CLONE_ARGS + 8);

    CHECK(pid > 0 && program_call("wait4", (uintptr_t)pid, STATUS) == pid);
    CHECK((uint32_t)program_load(STATUS) == (uint32_t)WAIT_STATUS_EXITED(9));
    pid = clone3_with(2, 0, 64);
    CHECK(pid > 0 && program_call("wait4", (uintptr_t)pid, 8) == -EFAULT); /* reaped all the same */
    CHECK(program_call("wait4", -1UL) == -ECHILD);
    program_exit(0);
}

static void clone_test(void)
{
    program_run(clones);
}

static void refused(uintptr_t arg)
{
    (void)arg;
    CHECK(program_call("execveat", 99, ARGS, 0, 0, 1) == -EINVAL);
    program_store(ARGS, 'x');
    CHECK(program_call("execveat", 99, ARGS, 0, 0, 0) == -EBADF);
    CHECK(program_call("execveat", 99, 8, 0, 0, 0) == -EFAULT);
    CHECK(program_call("execveat", -100UL, ARGS, 0, 0, 0) == -ENOENT);
    program_exit(300); /* the low byte counts */
}

static void refusal_test(void)
{
    CHECK(program_finish(program_start(refused, 0)) == WAIT_STATUS_EXITED(44));
}

const struct kernel_test booted_tests[] = {
    { "clone", clone_test },
    { "refusal", refusal_test },
    { NULL, NULL },
};

static void clone3_checks_its_struct(void **state)
{
    (void)state;
    booted_run("clone", 16);
}

static void bad_arguments_of_execveat_are_refused(void **state)
{
    (void)state;
    booted_run("refusal", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clone3_checks_its_struct),
        cmocka_unit_test(bad_arguments_of_execveat_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
