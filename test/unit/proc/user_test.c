/* SPDX-License-Identifier: MIT */
/* core/proc/user.c: what a thread leaves behind, and its name. */
#include "program.h"
#include "unit.h"

#include <vm/space.h>

#define TID (PROGRAM_MEMORY + 128)
#define NAME (PROGRAM_MEMORY + 256)
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

/* Only memory that somebody else still uses has its word cleared; a bad address is no error. */
static void clears(uintptr_t arg)
{
    if (arg == THREAD) {
        CHECK(program_call("set_tid_address", TID) == program_call("gettid"));
        program_call("exit", 0);
    }
    program_store(TID, UINT64_MAX);
    CHECK(program_call("clone", THREAD) > 0);
    while (program_load(TID) != UINT64_C(0xffffffff00000000))
        (void)program_call("sched_yield");
    CHECK(program_call("set_tid_address", 8) == program_call("gettid"));
    program_exit(0);
}

static void clear_test(void)
{
    program_run(clears);
}

static void is_named(uintptr_t arg)
{
    (void)arg;
    program_store(NAME, UINT64_C(0x6867666564636261)); /* abcdefgh */
    program_store(NAME + 8, UINT64_C(0x706f6e6d6c6b6a69));
    CHECK(program_call("prctl", 15, NAME) == 0);
    CHECK(strcmp(current_task()->name, "abcdefghijklmno") == 0);
    CHECK(strcmp(process_current()->name, "abcdefghijklmno") == 0);
    program_store(NAME + 8, 0);
    CHECK(program_call("prctl", 16, NAME) == 0 && program_load(NAME + 8) == UINT64_C(0x006f6e6d6c6b6a69));
    CHECK(program_call("prctl", 15, 8) == -EFAULT);
    program_exit(0);
}

static void name_test(void)
{
    program_run(is_named);
}

/* A zombie holds no memory and no files. */
static void leaves(uintptr_t arg)
{
    (void)arg;
    program_exit(3);
}

static void zombie_test(void)
{
    struct process *process = program_start(leaves, 0);
    struct wait_result found;
    const struct wait_request request = { .which = WAIT_PID, .id = process->pid, .options = WEXITED | WNOWAIT };

    CHECK(process_wait_for(&process_kernel, &request, &found) == process->pid);
    CHECK(found.status == WAIT_STATUS_EXITED(3) && process->state == PROCESS_ZOMBIE);
    CHECK(process->space == NULL && process_space_get(process) == NULL);
    CHECK(process_kill(process) == -ESRCH && process_parent_pid(process) == 0);
    CHECK(program_finish(process) == WAIT_STATUS_EXITED(3));
}

const struct kernel_test booted_tests[] = {
    { "clear", clear_test }, { "name", name_test }, { "zombie", zombie_test }, { NULL, NULL },
};

static void an_ending_thread_clears_the_word_that_others_look_at(void **state)
{
    (void)state;
    booted_run("clear", 24);
}

static void a_name_is_cut_as_linux_cuts_it(void **state)
{
    (void)state;
    booted_run("name", 8);
}

static void a_zombie_has_no_memory(void **state)
{
    (void)state;
    booted_run("zombie", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ending_thread_clears_the_word_that_others_look_at),
        cmocka_unit_test(a_name_is_cut_as_linux_cuts_it),
        cmocka_unit_test(a_zombie_has_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
