/* SPDX-License-Identifier: MIT */
/* core/proc/user.c: what a user's faults are to it. */
#include "signal_program.h"
#include "unit.h"

static _Atomic(unsigned) calls;
static struct signal_info seen_info;

static void note(uintptr_t number, uintptr_t info, uintptr_t frame)
{
    (void)number;
    (void)frame;
    get(&seen_info, info, sizeof seen_info);
    (void)fetch_add_relaxed(&calls, 1);
}

static int run(host_user_program *program)
{
    struct process *process = NULL;
    struct begun begun;

    store_relaxed(&calls, 0);
    CHECK(process_create(&process_kernel, "program", &process) == 0);
    struct task *task = program_thread(process, program, 0, &begun, NULL);

    return program_bury(process, task);
}

static void faults(uintptr_t area)
{
    const struct fault_info page = { .kind = FAULT_PAGE, .address = 0x5000, .name = "page fault" };
    const struct fault_info illegal = { .kind = FAULT_ILLEGAL, .name = "illegal" };

    CHECK(handle(area, SIGSEGV, (uintptr_t)note, SA_SIGINFO, 0) == 0);
    CHECK(handle(area, SIGILL, (uintptr_t)note, SA_SIGINFO, 0) == 0);
    host_user_fault(&page);
    CHECK(load_relaxed(&calls) == 1 && seen_info.number == SIGSEGV && seen_info.code == SEGV_MAPERR);
    CHECK(seen_info.address == 0x5000);
    host_user_fault(&illegal);
    CHECK(load_relaxed(&calls) == 2 && seen_info.number == SIGILL && seen_info.code == 2);
    CHECK(seen_info.address == (uintptr_t)faults);
    (void)mask_change(area, BLOCK, signal_bit(SIGSEGV)); /* then it is the end */
    host_user_fault(&page);
    CHECK(false);
}

/* A handler that is ignored is no way out, and init dies of it, too. */
static void ignored_fault(uintptr_t area)
{
    const struct fault_info page = { .kind = FAULT_PAGE, .address = 0x5000, .is_write = true, .name = "page fault" };

    CHECK(handle(area, SIGSEGV, SIG_IGN, 0, 0) == 0);
    process_current()->signals.is_protected = true;
    host_user_fault(&page);
    CHECK(false);
}

static void faults_are_signals(void)
{
    CHECK(run(faults) == SIGSEGV);
    CHECK(load_relaxed(&calls) == 2);
    CHECK(run(ignored_fault) == SIGSEGV);
}

const struct kernel_test booted_tests[] = {
    { "faults", faults_are_signals },
    { NULL, NULL },
};

static void a_fault_is_a_signal_and_a_blocked_or_ignored_one_the_end(void **state)
{
    (void)state;
    booted_run("faults", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_is_a_signal_and_a_blocked_or_ignored_one_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
