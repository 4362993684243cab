/* SPDX-License-Identifier: MIT */
/* core/proc/wait.c: which children a wait is about, what it reports, and what stays. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <proc/signo.h>

#include "proc_priv.h"

#define INFO (PROGRAM_MEMORY + 256)
#define STATUS (PROGRAM_MEMORY + 192)
#define CLONE_CHILD 0u /* a child whose end is no SIGCHLD */
enum { P_ALL, P_PID, P_PGID };

static intptr_t wait_id(uintptr_t kind, intptr_t id, uint64_t options)
{
    program_store(INFO, 0);
    program_store(INFO + 8, 0);
    program_store(INFO + 16, 0);
    return program_call("waitid", kind, (uintptr_t)id, INFO, options);
}

static intptr_t told_pid(void)
{
    return (int32_t)program_load(INFO + 16);
}

static void waits(uintptr_t arg)
{
    if (arg == PROGRAM_FORK || arg == (CLONE_CHILD | CLONE_VM | CLONE_VFORK))
        program_exit(20);
    intptr_t pid = program_call("clone", PROGRAM_FORK);

    CHECK(wait_id(P_PID, pid, WEXITED | WNOWAIT) == 0 && told_pid() == pid); /* it stays, */
    CHECK(program_load(INFO) == PROCESS_SIGCHLD && (uint32_t)program_load(INFO + 8) == 1);
    CHECK((uint32_t)program_load(INFO + 24) == 20);
    CHECK(wait_id(P_PGID, program_call("getpgid", (uintptr_t)pid), WEXITED | WNOWAIT) == 0 && told_pid() == pid);
    CHECK(wait_id(P_PGID, pid, WEXITED) == -ECHILD); /* no such group */
    CHECK(wait_id(P_ALL, 0, WUNTRACED | WNOHANG) == 0 && told_pid() == 0); /* its end is not asked for */
    CHECK(wait_id(P_ALL, 0, WEXITED | WCLONE) == -ECHILD);
    CHECK(wait_id(P_ALL, 0, WEXITED) == 0 && told_pid() == pid); /* and goes */
    CHECK(wait_id(P_ALL, 0, WEXITED) == -ECHILD);

    pid = program_call("clone", CLONE_CHILD | CLONE_VM | CLONE_VFORK);
    CHECK(wait_id(P_ALL, 0, WEXITED) == -ECHILD && wait_id(P_ALL, 0, WEXITED | WCLONE | WNOWAIT) == 0);
    CHECK(wait_id(P_PID, pid, WEXITED | WALL) == 0 && told_pid() == pid);

    CHECK(wait_id(P_ALL, 0, 0) == -EINVAL && wait_id(P_ALL, 0, WEXITED | 0x10) == -EINVAL);
    CHECK(wait_id(3, 1, WEXITED) == -EINVAL && wait_id(P_PID, 0, WEXITED) == -EINVAL);
    CHECK(program_call("wait4", -1UL, 0, 0x10) == -EINVAL && program_call("wait4", INT32_MIN) == -ESRCH);
    program_exit(0);
}

static void kinds_test(void)
{
    program_run(waits);
}

static int forever(void *arg)
{
    (void)arg;
    while (task_sleep_for(NS_PER_MS) == 0)
        continue;
    return 3;
}

/* As the last of its threads does that stops, or the first that goes on. */
static void tell(struct process *process, int code, int status)
{
    spin_lock(&proc_tree_lock);
    signal_tell_parent_locked(process, code, status);
    spin_unlock(&proc_tree_lock);
}

static pid_t wait_now(unsigned options, struct wait_result *out)
{
    const struct wait_request request = { .which = WAIT_ANY, .options = options | WNOHANG };

    return process_wait_for(&process_kernel, &request, out);
}

/* News of a child that lives is heard once, by who asks for it, and not any more once it has other news. */
static void news_test(void)
{
    const struct thread_spec spec = {
        .name = "child", .entry = forever, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    struct wait_result found;

    CHECK(process_create(&process_kernel, "child", &process) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    CHECK(wait_now(WUNTRACED | WCONTINUED | WEXITED, &found) == 0);
    tell(process, CLD_STOPPED, 19);
    CHECK(wait_now(WCONTINUED | WEXITED, &found) == 0);
    CHECK(wait_now(WUNTRACED | WNOWAIT, &found) == process->pid && found.status == 0x137f);
    CHECK(wait_now(WUNTRACED, &found) == process->pid && wait_now(WUNTRACED, &found) == 0);
    tell(process, CLD_STOPPED, 20);
    tell(process, CLD_CONTINUED, SIGCONT);
    CHECK(wait_now(WUNTRACED, &found) == 0);
    CHECK(wait_now(WCONTINUED, &found) == process->pid && found.status == 0xffff);
    tell(process, CLD_STOPPED, 20);
    CHECK(process_kill(process) == 0);
    int status = 0;

    CHECK(process_wait(&process_kernel, process->pid, 0, &status) == process->pid);
    CHECK(status == WAIT_STATUS_EXITED(3));
    tell(process, CLD_CONTINUED, SIGCONT); /* too late: nothing */
    thread_put(thread);
    process_put(process);
}

const struct kernel_test booted_tests[] = { { "kinds", kinds_test }, { "news", news_test }, { NULL, NULL } };

static void a_wait_is_about_the_children_it_names(void **state)
{
    (void)state;
    booted_run("kinds", 16);
}

static void news_of_the_living_is_heard_once(void **state)
{
    (void)state;
    booted_run("news", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_about_the_children_it_names),
        cmocka_unit_test(news_of_the_living_is_heard_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
