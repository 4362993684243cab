/* SPDX-License-Identifier: MIT */
/* core/proc/show.c: what /proc/NUMBER says of a program that rests, of a zombie, and of one that goes meanwhile. */
#include "show_world.h"

#include <proc/group.h>

#define MASK (PROGRAM_MEMORY + 128)
#define STAT_FIELDS 52u /* proc(5) */

static unsigned fields(const char *of)
{
    unsigned count = 1;

    for (; *of != '\0'; of++)
        count += *of == ' ';
    return count;
}

static void rest(uintptr_t arg)
{
    (void)arg;
    program_store(MASK, UINT64_C(1) << 9); /* SIGUSR1 */
    CHECK(program_call("rt_sigprocmask", 0, MASK, 0, 8) == 0);
    for (;;)
        (void)program_call("rt_sigsuspend", MASK, 8);
}

static void living(pid_t pid)
{
    char expected[96];

    WAIT_FOR((shown(pid, "status"), has_line("State:\tS (sleeping)") && has_line("SigBlk:\t0000000000000200")));
    (void)fmt_print(expected, sizeof expected, "%d (program) S 0 %d %d 0 -1 0 ", pid, pid, pid);
    CHECK(begins(shown(pid, "stat"), expected) && fields(text) == STAT_FIELDS && has_text(" 20 0 1 0 "));
    (void)fmt_print(expected, sizeof expected,
                    "Name:\tprogram\nState:\tS (sleeping)\nTgid:\t%d\nPid:\t%d\nPPid:\t0\n", pid, pid);
    CHECK(begins(shown(pid, "status"), expected));
    CHECK(has_line("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n") && has_line("Threads:\t1\n"));
    CHECK(has_line("VmSize:\t      64 kB\n"));
    CHECK(begins(shown(pid, "statm"), "16 16 0 0 0 0 0\n") && begins(shown(pid, "comm"), "program\n"));
    CHECK(shown(pid, "cmdline")[0] == '\0'); /* it has never executed a file */
    CHECK(link_leads(pid, "cwd", "/") && link_leads(pid, "root", "/") && !link_leads(pid, "exe", "/"));
}

/* The same process by the number of its thread. */
static void thread_of(pid_t pid)
{
    char name[32], expected[64];

    (void)fmt_print(name, sizeof name, "task/%d/status", pid);
    (void)fmt_print(expected, sizeof expected, "Tgid:\t%d\nPid:\t%d\n", pid, pid);
    (void)shown(pid, name);
    CHECK(has_line("Name:\tprogram\n") && has_line(expected));
    (void)fmt_print(name, sizeof name, "task/%d/comm", pid + 1);
    CHECK(shown(pid, name)[0] == '\0');
}

static void life_test(void)
{
    struct process *process;
    struct file *file = NULL;
    char path[64];
    pid_t pid;

    begin();
    const struct path_place place = place_of();

    process = program_start(rest, 0);
    pid = process->pid;
    living(pid);
    thread_of(pid);
    CHECK(path_open(&place, path_of(pid, "comm", path), O_RDONLY, 0, &file) == 0);
    CHECK(process_kill(process) == 0);
    WAIT_FOR((shown(pid, "status"), has_line("State:\tZ (zombie)")));
    CHECK(fields(shown(pid, "stat")) == STAT_FIELDS && !link_leads(pid, "cwd", "/"));
    CHECK(begins(shown(pid, "statm"), "0 0 0 0 0 0 0\n"));
    CHECK(program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    CHECK(read_all(file, text, sizeof text) == 8 && begins(text, "program\n")); /* as it was when it was opened */
    file_put(file);
    CHECK(path_open(&place, path_of(pid, "stat", path), O_RDONLY, 0, &file) == -ENOENT);
    end();
}

/* ---- It goes while others look ---- */

static int look(void *arg)
{
    static const char *const names[] = { "stat", "status", "statm", "comm", "cmdline", "mounts",
                                         "maps", "environ", "auxv", "limits" };
    const struct path_place place = place_of();
    pid_t pid = (pid_t)(uintptr_t)arg;
    char path[64], line[32];
    unsigned seen = 0;
    int error = 0;

    for (unsigned i = 0; error == 0; i++) {
        struct file *file = NULL;

        error = path_open(&place, path_of(pid, names[i % ARRAY_COUNT(names)], path), O_RDONLY, 0, &file);
        if (error != 0)
            break;
        CHECK(read_all(file, line, sizeof line) >= 0);
        file_put(file);
        (void)path_read_link(&place, path_of(pid, i % 2 == 0 ? "cwd" : "exe", path), line, sizeof line);
        seen++;
    }
    CHECK(seen > 0 && (error == -ENOENT || error == -ESRCH));
    return 0;
}

static void race_test(void)
{
    struct process *process;
    struct task *looker[2];

    begin();
    process = program_start(rest, 0);
    for (unsigned i = 0; i < 2; i++)
        looker[i] = spawn("looker", look, (void *)(uintptr_t)process->pid, 60, NULL);
    CHECK(task_sleep_for((booted_seed() % 7 + 1) * 100 * NS_PER_US) == 0);
    CHECK(process_kill(process) == 0 && program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    for (unsigned i = 0; i < 2; i++)
        CHECK(finish(looker[i]) == 0);
    end();
}

const struct kernel_test booted_tests[] = {
    { "life", life_test }, { "race", race_test }, { NULL, NULL },
};

static void a_program_is_shown_from_its_life_to_its_end(void **state)
{
    (void)state;
    booted_run("life", 8);
}

static void a_process_may_go_while_it_is_looked_at(void **state)
{
    (void)state;
    booted_run("race", 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_shown_from_its_life_to_its_end),
        cmocka_unit_test(a_process_may_go_while_it_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
