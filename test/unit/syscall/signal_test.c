/* SPDX-License-Identifier: MIT */
/* core/syscall/signal.c: what the calls refuse, and how their arguments lie in memory. */
#include "../proc/signal_program.h"
#include "unit.h"

#define R1 36
#define NOWHERE 0x9000 /* nothing is mapped there */

static void refuses(uintptr_t area)
{
    pid_t pid = process_current()->pid;
    struct signal_info info = queued(R1, 1);
    uint8_t rest[128 - sizeof info] = { 0 };

    CHECK(sys(SYS_rt_sigaction, SIGUSR1, 0, 0, 4) == -EINVAL);
    CHECK(sys(SYS_rt_sigaction, SIGUSR1, NOWHERE, 0, 8) == -EFAULT);
    CHECK(sys(SYS_rt_sigaction, SIGUSR1, 0, NOWHERE, 8) == -EFAULT);
    CHECK(sys(SYS_rt_sigprocmask, 7, area, 0, 8) == -EINVAL && sys(SYS_rt_sigprocmask, 7, 0, 0, 8) == 0);
    CHECK(sys(SYS_rt_sigprocmask, BLOCK, NOWHERE, 0, 8) == -EFAULT);
    CHECK(sys(SYS_rt_sigpending, area, 9, 0, 0) == -EINVAL);
    CHECK(sys(SYS_rt_sigsuspend, area, 4, 0, 0) == -EINVAL && sys(SYS_rt_sigsuspend, NOWHERE, 8, 0, 0) == -EFAULT);
    CHECK(sys(SYS_kill, (uintptr_t)pid, 65, 0, 0) == -EINVAL);
    CHECK(sys(SYS_kill, (uintptr_t)pid, (uintptr_t)-1, 0, 0) == -EINVAL);
    CHECK(sys(SYS_tgkill, 0, (uintptr_t)pid, 1, 0) == -EINVAL && sys(SYS_tkill, 0, 1, 0, 0) == -EINVAL);
    CHECK(sys(SYS_tkill, TID_MAX - 1, 1, 0, 0) == -ESRCH && sys(SYS_tkill, (uintptr_t)pid, 0, 0, 0) == 0);
    info.code = -77; /* no code of the kernel's: then all of it counts */
    put(area, &info, sizeof info);
    rest[sizeof rest - 1] = 1;
    put(area + sizeof info, rest, sizeof rest);
    CHECK(sys(SYS_rt_sigqueueinfo, (uintptr_t)pid, R1, area, 0) == -E2BIG);
    rest[sizeof rest - 1] = 0;
    info.code = SI_USER;
    put(area, &info, sizeof info);
    put(area + sizeof info, rest, sizeof rest);
    CHECK(sys(SYS_rt_sigqueueinfo, (uintptr_t)pid + 1, R1, area, 0) == -EPERM);
    CHECK(sys(SYS_restart_syscall, 0, 0, 0, 0) == -EINTR);
    die(pid, SIGKILL);
}

static void lies_as_linux_has_it(uintptr_t area)
{
    const uint64_t action[4] = { 0x1111, SA_RESTART | SA_RESTORER, 0x2222, ~UINT64_C(0) };
    uint64_t old[4];

    put(area, action, sizeof action);
    CHECK(sys(SYS_rt_sigaction, R1, area, 0, 8) == 0);
    CHECK(sys(SYS_rt_sigaction, R1, 0, area + 64, 8) == 0);
    get(old, area + 64, sizeof old);
    CHECK(old[0] == action[0] && old[1] == action[1] && old[2] == action[2]);
    CHECK(old[3] == ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP)));
    die(process_current()->pid, SIGKILL);
}

static void run(host_user_program *program)
{
    struct process *process = NULL;
    struct begun begun;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    struct task *task = program_thread(process, program, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGKILL);
}

static void refusing(void)
{
    run(refuses);
}

static void layout(void)
{
    run(lies_as_linux_has_it);
}

const struct kernel_test booted_tests[] = {
    { "refuse", refusing },
    { "layout", layout },
    { NULL, NULL },
};

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    booted_run("refuse", 8);
}

static void structures_are_read_and_written_whole(void **state)
{
    (void)state;
    booted_run("layout", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(structures_are_read_and_written_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
