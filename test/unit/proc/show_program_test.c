/* SPDX-License-Identifier: MIT */
/* core/proc/show_program.c: what a program was given, before and after it has executed a file, and after its end. */
#include "show_world.h"

#define STRINGS PROGRAM_MEMORY
#define VECTOR (PROGRAM_MEMORY + 64)

static void rest(uintptr_t arg)
{
    (void)arg;
    for (;;)
        (void)program_call("sched_yield");
}

static void become(uintptr_t arg)
{
    static const char words[24] = "/second\0one\0\0\0\0\0A=b\0\0\0\0"; /* at 0, 8 and 16 */

    (void)arg;
    for (unsigned i = 0; i < 24; i += 8) {
        uint64_t word = 0;

        memcpy(&word, words + i, 8);
        program_store(STRINGS + i, word);
    }
    program_store(VECTOR, STRINGS);
    program_store(VECTOR + 8, STRINGS + 8);
    program_store(VECTOR + 16, 0);
    program_store(VECTOR + 24, STRINGS + 16);
    program_store(VECTOR + 32, 0);
    (void)program_call("execve", STRINGS, VECTOR, VECTOR + 24);
    program_exit(1);
}

/* Once executed there is no more memory at PROGRAM_MEMORY: it rests without. */
static void second(uintptr_t arg)
{
    (void)arg;
    for (;;)
        (void)program_call("sched_yield");
}

/* What is read of it without looking for lines. */
static void memory_of(pid_t pid)
{
    char expected[96];

    (void)fmt_print(expected, sizeof expected, "%08llx-%08llx rw-p 00000000 00:00 0\n",
                    (unsigned long long)PROGRAM_MEMORY, (unsigned long long)PROGRAM_MEMORY + (64u << 10));
    if (!CHECK(strcmp(shown(pid, "maps"), expected) == 0))
        log_error("%s", text);
    CHECK(shown(pid, "environ")[0] == '\0' && shown(pid, "auxv")[0] == '\0');
    (void)shown(pid, "limits");
    CHECK(begins(text, "Limit                     Soft Limit           Hard Limit           Units     \n"));
    CHECK(has_line("Max open files            1024                 4096                 files     \n"));
    CHECK(has_line("Max cpu time              unlimited            unlimited            seconds   \n"));
    CHECK(strcmp(shown(pid, "oom_score_adj"), "0\n") == 0);
}

static void life_test(void)
{
    struct process *process;

    begin();
    process = program_start(rest, 0);
    memory_of(process->pid);
    CHECK(process_kill(process) == 0 && program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    end();
}

static void exec_test(void)
{
    struct process *process;

    begin();
    program_file("/second", second, false, NULL);
    process = program_start(become, 0);
    WAIT_FOR(shown(process->pid, "cmdline")[0] != '\0');
    CHECK(memcmp(text, "/second\0one\0", 13) == 0 && link_leads(process->pid, "exe", "/second"));
    CHECK(begins(shown(process->pid, "comm"), "second\n"));
    CHECK(memcmp(shown(process->pid, "environ"), "A=b", 4) == 0);
    (void)shown(process->pid, "auxv");
    CHECK(memcmp(text, (const uint64_t[]){ 33 }, 8) == 0); /* AT_SYSINFO_EHDR is the first */
    (void)shown(process->pid, "maps");
    CHECK(has_text(" /second\n") && has_text(" [stack]\n") && has_text(" [vdso]\n") && !has_text(" [heap]\n"));
    CHECK(process_kill(process) == 0 && program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    CHECK(shown(process->pid, "maps")[0] == '\0');
    program_remove("/second");
    end();
}

const struct kernel_test booted_tests[] = { { "life", life_test }, { "exec", exec_test }, { NULL, NULL } };

static void a_program_has_memory_and_limits(void **state)
{
    (void)state;
    booted_run("life", 4);
}

static void what_was_executed_is_shown(void **state)
{
    (void)state;
    booted_run("exec", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_has_memory_and_limits),
        cmocka_unit_test(what_was_executed_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
