/* SPDX-License-Identifier: MIT */
/* core/proc/clone.c: what children share with their makers, who waits for whom, and that a failure leaves nothing. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <mm/fail.h>

#define JOB PROGRAM_MEMORY         /* what the child is to do */
#define WORD (PROGRAM_MEMORY + 64) /* what is written */
#define TID (PROGRAM_MEMORY + 128)
#define STATUS (PROGRAM_MEMORY + 192)

static intptr_t fork_with(uint64_t job)
{
    program_store(JOB, job);
    return program_call("clone", PROGRAM_FORK);
}

static int status_of(intptr_t pid)
{
    program_store(STATUS, 0);
    if (program_call("wait4", (uintptr_t)pid, STATUS) != pid)
        return -1;
    return (int)(uint32_t)program_load(STATUS);
}

/* ---- fork ---- */

static void forks(uintptr_t arg)
{
    if (arg == PROGRAM_FORK) {
        CHECK(program_load(WORD) == 5);
        program_store(WORD, 6);
        CHECK(program_call("gettid") == program_call("getpid"));
        program_exit(program_call("getppid") == (intptr_t)program_load(JOB) ? 7 : 8);
    }
    program_store(WORD, 5);
    intptr_t own = program_call("getpid");
    intptr_t pid = fork_with((uint64_t)own);

    CHECK(pid > 0 && pid != own && status_of(pid) == WAIT_STATUS_EXITED(7));
    CHECK(program_load(WORD) == 5);
    CHECK(program_call("wait4", (uintptr_t)pid) == -ECHILD);
    program_exit(0);
}

static void fork_test(void)
{
    program_run(forks);
}

/* The floating-point unit's words, those not saved yet among them, are the child's; the vector unit's are not. */
static void forks_with_words(uintptr_t arg)
{
    if (arg == PROGRAM_FORK)
        program_exit(host_fpu_peek(3) == 0x1234 && !host_vector_is_on() && host_vector_peek(5) == 0 ? 1 : 2);
    host_fpu_use(3, 0x1234);
    host_vector_use(5, 0x4321);
    intptr_t pid = fork_with(0);

    CHECK(status_of(pid) == WAIT_STATUS_EXITED(1) && host_fpu_peek(3) == 0x1234);
    CHECK(host_vector_is_on() && host_vector_peek(5) == 0x4321);
    program_exit(0);
}

static void fpu_test(void)
{
    program_run(forks_with_words);
}

/* ---- vfork ---- */

#define VFORK (CLONE_VM | CLONE_VFORK | PROCESS_SIGCHLD)

static void vforks(uintptr_t arg)
{
    if (arg == VFORK) {
        for (unsigned i = 0; i < 20; i++)
            (void)program_call("sched_yield");
        program_store(WORD, 9);
        program_exit(1);
    }
    program_store(WORD, 5);
    intptr_t pid = program_call("clone", VFORK);

    CHECK(program_load(WORD) == 9 && status_of(pid) == WAIT_STATUS_EXITED(1));
    program_exit(0);
}

static void vfork_test(void)
{
    program_run(vforks);
}

/* ---- Threads ---- */

#define THREAD                                                                                                      \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID)

static intptr_t start_thread(uint64_t job)
{
    program_store(JOB, job);
    program_store(TID, UINT64_MAX);
    return program_call("clone", THREAD, 0, 0, 0, TID);
}

static uint32_t tid_word(void)
{
    return (uint32_t)program_load(TID);
}

static void be_thread(void)
{
    uint64_t job = program_load(JOB);

    CHECK(tid_word() == (uint32_t)program_call("gettid") && program_call("gettid") != program_call("getpid"));
    program_store(WORD, 11);
    if (job == 2)
        program_exit(3);
    for (;;)
        (void)program_call("exit", 9);
}

static void makes_threads(uintptr_t arg)
{
    if (arg == THREAD)
        be_thread();
    for (unsigned i = 0; i < 3; i++) {
        program_store(WORD, 5);
        intptr_t tid = start_thread(1);

        CHECK(tid > 0);
        while (tid_word() != 0)
            (void)program_call("sched_yield");
        CHECK(program_load(WORD) == 11);
        CHECK(program_call("wait4", (uintptr_t)tid, 0, WALL) == -ECHILD); /* a thread is no child */
    }
    (void)start_thread(2); /* its exit_group() is ours */
    for (;;)
        (void)program_call("sched_yield");
}

static void thread_test(void)
{
    CHECK(program_finish(program_start(makes_threads, 0)) == WAIT_STATUS_EXITED(3));
}

/* A kill ends all threads, and is the status; also where a thread is being made. */
static void makes_threads_for_ever(uintptr_t arg)
{
    while (arg == 0)
        (void)start_thread(1);
    for (;;)
        (void)program_call("sched_yield");
}

static void kill_test(void)
{
    struct process *process = program_start(makes_threads_for_ever, 0);

    (void)task_sleep_for((booted_seed() % 16 + 1) * 10 * NS_PER_US);
    CHECK(process_kill(process) == 0);
    CHECK(program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
}

/* ---- What is refused ---- */

static void asks_for_nonsense(uintptr_t arg)
{
    static const uint64_t flags[] = {
        CLONE_THREAD, CLONE_SIGHAND, CLONE_THREAD | CLONE_SIGHAND, CLONE_NEWNS, CLONE_PIDFD, 0x02000000 /* NEWCGROUP */,
        0x7f, /* a signal that is none */
    };

    (void)arg;
    for (unsigned i = 0; i < ARRAY_COUNT(flags); i++)
        CHECK(program_call("clone", flags[i]) == -EINVAL);
    CHECK(program_call("wait4", -1UL) == -ECHILD);
    program_exit(0);
}

static void refusal_test(void)
{
    program_run(asks_for_nonsense);
}

/* ---- Failures ---- */

/* The n-th allocation fails, for every n: the maker goes on, there is no child, and in the end all is as it was. */
static void forks_without_memory(uintptr_t arg)
{
    uint32_t failed = 0;
    intptr_t pid = -ENOMEM;

    if (arg == PROGRAM_FORK)
        program_exit(4);
    for (; pid == -ENOMEM && failed < 200; failed++) {
        program_store(JOB, failed);
        mm_fail_at(failed + 1);
        pid = program_call("clone", arg == 0 ? PROGRAM_FORK : THREAD);
        bool has_fired = mm_fail_fired();

        CHECK(has_fired == (pid == -ENOMEM));
        if (has_fired)
            CHECK(program_call("wait4", -1UL) == -ECHILD);
    }
    CHECK(failed > 10 && pid > 0 && status_of(pid) == WAIT_STATUS_EXITED(4));
    program_exit(0);
}

static void failure_test(void)
{
    program_run(forks_without_memory);
}

/* ---- A model of the tree ---- */

/* What a node does is a function of its number; its parent knows the status to expect, and who is left. */
#define DEPTH_SHIFT 56
#define NODE_BITS ((UINT64_C(1) << DEPTH_SHIFT) - 1)

static int code_of(uint64_t node)
{
    return (int)(node * UINT64_C(0x9e3779b97f4a7c15) >> 40 & 0x7f);
}

static uint64_t child_of(uint64_t node, unsigned index)
{
    return ((node >> DEPTH_SHIFT) - 1) << DEPTH_SHIFT | ((node * 5 + index + 1) & NODE_BITS);
}

static void grow(uint64_t node)
{
    uint64_t random = node * 77 + booted_seed() + 1;
    unsigned children = node >> DEPTH_SHIFT == 0 ? 0 : (unsigned)(random_next(&random) % 4);
    unsigned waits = children == 0 ? 0 : (unsigned)(random_next(&random) % (children + 1));
    intptr_t pid[4];

    for (unsigned i = 0; i < children; i++) {
        pid[i] = fork_with(child_of(node, i));
        CHECK(pid[i] > 0);
        if (random_next(&random) % 2 == 0)
            CHECK(program_call("setpgid", (uintptr_t)pid[i], 0) == 0 || true); /* it may have ended */
    }
    for (unsigned i = 0; i < waits; i++)
        CHECK(status_of(pid[i]) == WAIT_STATUS_EXITED(code_of(child_of(node, i))));
    if (waits == children)
        CHECK(program_call("wait4", -1UL, 0, WNOHANG) == -ECHILD);
    program_exit(code_of(node));
}

static void grows(uintptr_t arg)
{
    grow(arg == PROGRAM_FORK ? program_load(JOB) : arg);
}

static void tree_test(void)
{
    uint64_t root = UINT64_C(3) << DEPTH_SHIFT | booted_seed();

    CHECK(program_finish(program_start(grows, root)) == WAIT_STATUS_EXITED(code_of(root)));
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
}

const struct kernel_test booted_tests[] = {
    { "fork", fork_test },       { "fpu", fpu_test },         { "vfork", vfork_test }, { "thread", thread_test },
    { "kill", kill_test },       { "refusal", refusal_test }, { "failure", failure_test },
    { "tree", tree_test },       { NULL, NULL },
};

static void a_forked_child_has_memory_of_its_own_and_is_waited_for(void **state)
{
    (void)state;
    booted_run("fork", 32);
}

static void a_child_begins_with_the_floating_point_words_of_its_maker(void **state)
{
    (void)state;
    booted_run("fpu", 16);
}

static void a_vfork_waits_until_its_memory_is_back(void **state)
{
    (void)state;
    booted_run("vfork", 32);
}

static void threads_clear_their_tid_and_end_together(void **state)
{
    (void)state;
    booted_run("thread", 32);
}

static void a_kill_ends_a_process_that_makes_threads(void **state)
{
    (void)state;
    booted_run("kill", 48);
}

static void flags_that_do_not_go_together_are_refused(void **state)
{
    (void)state;
    booted_run("refusal", 8);
}

static void a_failure_at_any_allocation_leaves_no_child(void **state)
{
    (void)state;
    booted_run("failure", 8);
}

static void random_trees_of_programs_end_as_their_model_says(void **state)
{
    (void)state;
    booted_run("tree", 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_child_has_memory_of_its_own_and_is_waited_for),
        cmocka_unit_test(a_child_begins_with_the_floating_point_words_of_its_maker),
        cmocka_unit_test(a_vfork_waits_until_its_memory_is_back),
        cmocka_unit_test(threads_clear_their_tid_and_end_together),
        cmocka_unit_test(a_kill_ends_a_process_that_makes_threads),
        cmocka_unit_test(flags_that_do_not_go_together_are_refused),
        cmocka_unit_test(a_failure_at_any_allocation_leaves_no_child),
        cmocka_unit_test(random_trees_of_programs_end_as_their_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
