/* SPDX-License-Identifier: MIT */
/* core/proc/show.c: what /proc/NUMBER says of a program that rests, of a zombie, and of one that goes meanwhile. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <fs/path.h>
#include <lib/fmt.h>
#include <proc/group.h>

#define STRINGS PROGRAM_MEMORY
#define VECTOR (PROGRAM_MEMORY + 64)
#define MASK (PROGRAM_MEMORY + 128)
#define STAT_FIELDS 52u /* proc(5) */

static struct fs_context *context;
static char text[2048]; /* one task of a test reads at a time, but in the race */

static struct path_place place_of(void)
{
    return (struct path_place){ .context = context, .cred = &cred_root };
}

static const char *path_of(pid_t pid, const char *name, char to[64])
{
    (void)fmt_print(to, 64, "/proc/%d/%s", pid, name);
    return to;
}

static int64_t read_all(struct file *file, char *to, size_t room)
{
    struct io_span span;

    io_span_kernel(&span, to, room - 1);
    int64_t bytes = file_read(file, &span);

    to[MAX(bytes, 0)] = '\0';
    return bytes;
}

/* The file's text, or "" if it does not open. */
static const char *shown(pid_t pid, const char *name)
{
    const struct path_place place = place_of();
    struct file *file = NULL;
    char path[64];

    text[0] = '\0';
    if (path_open(&place, path_of(pid, name, path), O_RDONLY, 0, &file) == 0) {
        CHECK(read_all(file, text, sizeof text) >= 0);
        file_put(file);
    }
    return text;
}

static bool link_leads(pid_t pid, const char *name, const char *to)
{
    const struct path_place place = place_of();
    char path[64], target[64];
    int64_t bytes = path_read_link(&place, path_of(pid, name, path), target, sizeof target);

    return bytes == (int64_t)strlen(to) && memcmp(target, to, strlen(to)) == 0;
}

static bool has_line(const char *line)
{
    size_t bytes = strlen(line);

    for (const char *at = text; *at != '\0'; at++)
        if ((at == text || at[-1] == '\n') && memcmp(at, line, MIN(bytes, strlen(at))) == 0 && strlen(at) >= bytes)
            return true;
    return false;
}

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

static void become(uintptr_t arg)
{
    static const char words[24] = "/second\0one\0\0\0\0\0\0\0\0\0\0\0"; /* at 0 and 8 */

    (void)arg;
    for (unsigned i = 0; i < 24; i += 8) {
        uint64_t word = 0;

        memcpy(&word, words + i, 8);
        program_store(STRINGS + i, word);
    }
    program_store(VECTOR, STRINGS);
    program_store(VECTOR + 8, STRINGS + 8);
    program_store(VECTOR + 16, 0);
    (void)program_call("execve", STRINGS, VECTOR, VECTOR + 16);
    program_exit(1);
}

/* Once executed there is no more memory at PROGRAM_MEMORY: it rests without. */
static void second(uintptr_t arg)
{
    (void)arg;
    for (;;)
        (void)program_call("sched_yield");
}

static bool begins(const char *of, const char *with)
{
    return strlen(of) >= strlen(with) && memcmp(of, with, strlen(with)) == 0;
}

static void living(pid_t pid)
{
    char expected[96];

    WAIT_FOR((shown(pid, "status"), has_line("State:\tS (sleeping)") && has_line("SigBlk:\t0000000000000200")));
    (void)fmt_print(expected, sizeof expected, "%d (program) S 0 %d %d 0 -1 0 ", pid, pid, pid);
    CHECK(begins(shown(pid, "stat"), expected) && fields(text) == STAT_FIELDS);
    (void)fmt_print(expected, sizeof expected,
                    "Name:\tprogram\nState:\tS (sleeping)\nTgid:\t%d\nPid:\t%d\nPPid:\t0\n", pid, pid);
    CHECK(begins(shown(pid, "status"), expected));
    CHECK(has_line("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n") && has_line("Threads:\t1\n"));
    CHECK(has_line("VmSize:\t      64 kB\n"));
    CHECK(begins(shown(pid, "statm"), "16 16 0 0 0 0 0\n") && begins(shown(pid, "comm"), "program\n"));
    CHECK(shown(pid, "cmdline")[0] == '\0'); /* it has never executed a file */
    CHECK(link_leads(pid, "cwd", "/") && link_leads(pid, "root", "/") && !link_leads(pid, "exe", "/"));
}

static void begin(void)
{
    CHECK(fs_context_create(&context) == 0);
}

static void end(void)
{
    fs_context_put(context);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
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

static void exec_test(void)
{
    struct process *process;

    begin();
    program_file("/second", second, false, NULL);
    process = program_start(become, 0);
    WAIT_FOR(shown(process->pid, "cmdline")[0] != '\0');
    CHECK(memcmp(text, "/second\0one\0", 13) == 0 && link_leads(process->pid, "exe", "/second"));
    CHECK(begins(shown(process->pid, "comm"), "second\n"));
    CHECK(process_kill(process) == 0 && program_finish(process) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    program_remove("/second");
    end();
}

/* ---- It goes while others look ---- */

static int look(void *arg)
{
    static const char *const names[] = { "stat", "status", "statm", "comm", "cmdline", "mounts" };
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
    { "life", life_test }, { "exec", exec_test }, { "race", race_test }, { NULL, NULL },
};

static void a_program_is_shown_from_its_life_to_its_end(void **state)
{
    (void)state;
    booted_run("life", 8);
}

static void what_was_executed_is_shown(void **state)
{
    (void)state;
    booted_run("exec", 8);
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
        cmocka_unit_test(what_was_executed_is_shown),
        cmocka_unit_test(a_process_may_go_while_it_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
