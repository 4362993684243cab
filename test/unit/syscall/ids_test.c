/* SPDX-License-Identifier: MIT */
/* core/syscall/ids.c: what programs are told of who they are. */
#include "program.h"
#include "unit.h"

#define WORD PROGRAM_MEMORY

static void asks(uintptr_t arg)
{
    struct task *self = current_task();
    intptr_t parent = program_call("getpid");

    if (arg == PROGRAM_FORK) {
        CHECK(program_call("getppid") == (intptr_t)program_load(WORD));
        CHECK(program_call("getpgid", 0) == (intptr_t)program_load(WORD) && program_call("getsid", 0) != parent);
        CHECK(program_call("setsid") == parent && program_call("getsid", 0) == parent);
        CHECK(program_call("getpgid", 0) == parent && program_call("setsid") == -EPERM);
        program_exit(0);
    }
    CHECK(parent == self->pid && program_call("gettid") == self->tid);
    CHECK(program_call("getppid") == 0 && program_call("getsid", (uintptr_t)parent) == parent);
    CHECK(program_call("getpgid", 99999) == -ESRCH && program_call("getsid", -5UL) == -ESRCH);
    CHECK(program_call("setpgid", 0, 0) == -EPERM); /* it leads a session */
    CHECK(program_call("setpgid", 0, -1UL) == -EINVAL && program_call("setpgid", 99999, 0) == -ESRCH);
    program_store(WORD, (uint64_t)parent);
    intptr_t pid = program_call("clone", PROGRAM_FORK);

    CHECK(program_call("wait4", (uintptr_t)pid, WORD + 8) == pid && program_load(WORD + 8) == 0);
    program_exit(0);
}

static void ids_test(void)
{
    program_run(asks);
}

const struct kernel_test booted_tests[] = {
    { "ids", ids_test },
    { NULL, NULL },
};

static void programs_are_told_who_they_are(void **state)
{
    (void)state;
    booted_run("ids", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_told_who_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
