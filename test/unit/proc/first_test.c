/* SPDX-License-Identifier: MIT */
/* core/proc/first.c: the first process gets pid 1, the orphans, and the last word. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <hal/cpu.h>
#include <proc/first.h>
#include <proc/id.h>

#define STATUS (PROGRAM_DATA + 64)
#define JOB (PROGRAM_DATA + 72)

/* The test goes on in the first process; the kernel's init waits for the machine's end. */
static void ended(int wait_status)
{
    hal_machine_exit(check_failures() == 0 && wait_status == WAIT_STATUS_EXITED(33) ? 0 : 1);
}

static void sleep_until_the_end(void)
{
    for (;;)
        (void)task_sleep_for(NS_PER_SEC);
}

static void adopts(uintptr_t arg)
{
    if (arg == PROGRAM_FORK && program_load(JOB) == 1) { /* a child, whose own child loses it */
        program_store(JOB, 2);
        (void)program_call("clone", PROGRAM_FORK);
        program_exit(1);
    }
    if (arg == PROGRAM_FORK) {
        while (program_call("getppid") != PID_INIT)
            (void)program_call("sched_yield");
        program_exit(2);
    }
    CHECK(program_call("getpid") == PID_INIT && program_call("gettid") == PID_INIT && program_call("getppid") == 0);
    CHECK(program_call("getsid", 0) == PID_INIT && program_call("getpgid", 0) == PID_INIT);
    CHECK(program_call("clone", CLONE_PARENT | PROCESS_SIGCHLD) == -EINVAL);
    program_store(JOB, 1);
    CHECK(program_call("clone", PROGRAM_FORK) > 1);
    uint64_t sum = 0;

    for (unsigned i = 0; i < 2; i++) {
        program_store(STATUS, 0);
        CHECK(program_call("wait4", -1UL, STATUS) > 1);
        sum += (uint32_t)program_load(STATUS) >> 8;
    }
    CHECK(sum == 3 && program_call("wait4", -1UL) == -ECHILD);
    program_exit(33);
}

static void start(const char *path)
{
    static const char *arguments[] = { NULL };
    static struct first_spec spec = { .arguments = arguments, .ended = ended };

    spec.path = path;
    CHECK(first_start(&spec) == 0);
    sleep_until_the_end();
}

static void adopt_test(void)
{
    program_file("/init", adopts, false, NULL);
    start(NULL);
}

/* A child with PR_SET_CHILD_SUBREAPER is nearer than the first process. */
static void has_subreaper(uintptr_t arg)
{
    uint64_t job = program_load(JOB);

    if (arg != PROGRAM_FORK) {
        program_store(JOB, 1);
        intptr_t pid = program_call("clone", PROGRAM_FORK);

        CHECK(program_call("wait4", (uintptr_t)pid, STATUS) == pid);
        CHECK((uint32_t)program_load(STATUS) == (uint32_t)WAIT_STATUS_EXITED(5));
        CHECK(program_call("wait4", -1UL) == -ECHILD);
        program_exit(33);
    }
    program_store(JOB, job + 1);
    if (job == 1) {
        CHECK(program_call("prctl", 36, 1) == 0 && program_call("clone", PROGRAM_FORK) > 1);
        CHECK(program_call("wait4", -1UL) > 1 && program_call("wait4", -1UL) > 1);
        CHECK(program_call("wait4", -1UL) == -ECHILD);
        program_exit(5);
    }
    if (job == 2) {
        intptr_t own = program_call("getpid");

        program_store(JOB + 8, (uint64_t)own);
        CHECK(program_call("clone", PROGRAM_FORK) > 1);
        program_exit(0);
    }
    while (program_call("getppid") == (intptr_t)program_load(JOB + 8))
        (void)program_call("sched_yield");
    CHECK(program_call("getppid") != PID_INIT);
    program_exit(0);
}

static void subreaper_test(void)
{
    program_file("/sbin", has_subreaper, false, NULL);
    start("/sbin");
}

static void nothing(int wait_status)
{
    hal_machine_exit(check_failures() == 0 && wait_status == -1 ? 0 : 1);
}

static void nothing_test(void)
{
    static const char *arguments[] = { NULL };
    static const struct first_spec spec = { .arguments = arguments, .ended = nothing };

    CHECK(first_start(&spec) == 0);
    sleep_until_the_end();
}

const struct kernel_test booted_tests[] = {
    { "adopt", adopt_test }, { "subreaper", subreaper_test }, { "nothing", nothing_test }, { NULL, NULL },
};

static void the_first_process_adopts_and_its_end_is_the_machines(void **state)
{
    (void)state;
    booted_run("adopt", 24);
}

static void a_subreaper_is_nearer_than_the_first_process(void **state)
{
    (void)state;
    booted_run("subreaper", 24);
}

static void without_a_program_the_machine_ends(void **state)
{
    (void)state;
    booted_run("nothing", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_process_adopts_and_its_end_is_the_machines),
        cmocka_unit_test(a_subreaper_is_nearer_than_the_first_process),
        cmocka_unit_test(without_a_program_the_machine_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
