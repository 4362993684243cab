/* SPDX-License-Identifier: MIT */
/* core/proc/exec.c: a program becomes another at one point, or stays what it was. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <fs/path.h>
#include <mm/fail.h>
#include <proc/oom.h>
#include <vm/space.h>

#define JOB PROGRAM_MEMORY
#define TID (PROGRAM_MEMORY + 128)
#define STATUS (PROGRAM_MEMORY + 192)
#define VECTORS (PROGRAM_MEMORY + 256)
#define STRINGS (PROGRAM_MEMORY + PAGE_BYTES)

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

static vaddr_t put_string(vaddr_t *at, const char *text)
{
    vaddr_t start = *at;
    size_t bytes = strlen(text) + 1;

    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = 0;

        (void)memcpy(&word, text + i, MIN(bytes - i, sizeof word));
        program_store(*at, word);
        *at += 8;
    }
    return start;
}

/* execve(path, { path, one, two }, { "E=1" }); one and two may be NULL. */
static intptr_t execute(const char *path, const char *one, const char *two)
{
    vaddr_t strings = STRINGS;
    vaddr_t path_at = put_string(&strings, path);

    program_store(VECTORS, path_at);
    program_store(VECTORS + 8, one != NULL ? put_string(&strings, one) : 0);
    program_store(VECTORS + 16, two != NULL ? put_string(&strings, two) : 0);
    program_store(VECTORS + 24, 0);
    program_store(VECTORS + 32, put_string(&strings, "E=1"));
    program_store(VECTORS + 40, 0);
    return program_call("execve", path_at, VECTORS, VECTORS + 32);
}

/* A byte of the running program, wherever it is. */
static char load_byte(vaddr_t at)
{
    return (char)(program_load(ROUND_DOWN(at, (vaddr_t)8)) >> 8 * (at % 8));
}

static bool is_text(vaddr_t at, const char *text)
{
    size_t i = 0;

    while (text[i] != '\0' && load_byte(at + i) == text[i])
        i++;
    return load_byte(at + i) == text[i];
}

static uint64_t word_of_stack(unsigned index)
{
    return program_load(HAL_USER_SP(task_user_trap(current_task())) + index * 8);
}

/* ---- The whole of it ---- */

/* It has: its arguments, the file's data and zeros behind it; not: the old memory. */
static void second_life(uintptr_t arg)
{
    uint64_t value;

    CHECK(arg == 0 && word_of_stack(0) == 3 && word_of_stack(4) == 0 && word_of_stack(6) == 0);
    CHECK(is_text(word_of_stack(1), "/second"));
    CHECK(is_text(word_of_stack(2), "one") && is_text(word_of_stack(3), "two"));
    CHECK(is_text(word_of_stack(5), "E=1"));
    CHECK(program_load(PROGRAM_DATA) == UINT64_C(0x0807060504030201));
    for (vaddr_t at = PROGRAM_DATA + 16; at < PROGRAM_DATA + PROGRAM_DATA_BYTES - 16; at += 1000)
        CHECK(program_load(ROUND_DOWN(at, (vaddr_t)8)) == 0);
    CHECK(!host_user_load(PROGRAM_MEMORY, &value));
    CHECK(strcmp(current_task()->name, "second") == 0 && strcmp(process_current()->name, "second") == 0);
    CHECK(process_current()->has_executed && !host_vector_is_on());
    program_exit(12);
}

static void first_life(uintptr_t arg)
{
    (void)arg;
    host_fpu_use(2, 99);
    host_vector_use(2, 98);
    CHECK(execute("/second", "one", "two") == 0);
    program_exit(1); /* never */
}

static void run_and_expect(host_user_program *program, int status)
{
    CHECK(program_finish(program_start(program, 0)) == WAIT_STATUS_EXITED(status));
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
}

static void whole_test(void)
{
    program_file("/second", second_life, false, NULL);
    run_and_expect(first_life, 12);
    program_remove("/second");
}

/* ---- Scripts ---- */

static void of_a_script(uintptr_t arg)
{
    (void)arg;
    CHECK(word_of_stack(0) == 6 && word_of_stack(7) == 0);
    CHECK(is_text(word_of_stack(1), "/second") && is_text(word_of_stack(2), "a b"));
    CHECK(is_text(word_of_stack(3), "/one"));
    CHECK(is_text(word_of_stack(4), "/two") && is_text(word_of_stack(5), "x") && is_text(word_of_stack(6), "y"));
    program_exit(13);
}

static void executes_a_script(uintptr_t arg)
{
    (void)arg;
    CHECK(execute("/two", "x", "y") == 0);
    program_exit(1);
}

static void script_test(void)
{
    program_file("/second", of_a_script, true, NULL);
    program_text_file("/one", "#!/second a b\n", 14, 0755);
    program_text_file("/two", "#! /one \nno matter", 18, 0755);
    run_and_expect(executes_a_script, 13);
    program_remove("/one");
    program_remove("/two");
    program_remove("/second");
}

/* ---- Interpreters ---- */

static void never(uintptr_t arg)
{
    (void)arg;
    CHECK(arg == UINTPTR_MAX);
}

static void be_interpreter(uintptr_t arg)
{
    uint64_t base = 0, entry = 0, headers = 0;
    unsigned at = 1;

    (void)arg;
    while (word_of_stack(at) != 0)
        at++;
    for (at++; word_of_stack(at) != 0; at++)
        continue;
    for (at++; word_of_stack(at) != 0; at += 2) {
        base = word_of_stack(at) == 7 ? word_of_stack(at + 1) : base;
        entry = word_of_stack(at) == 9 ? word_of_stack(at + 1) : entry;
        headers = word_of_stack(at) == 3 ? word_of_stack(at + 1) : headers;
    }
    /* The program is there, where it says; the interpreter runs. */
    CHECK(base != 0 && base % PAGE_BYTES == 0 && task_user_trap(current_task())->pc - base < PAGE_BYTES);
    CHECK(entry % PAGE_BYTES == 0x200 && headers == entry - 0x200 + 64 && program_load(entry) == (uintptr_t)never);
    program_exit(14);
}

static void executes_with_interpreter(uintptr_t arg)
{
    (void)arg;
    CHECK(execute("/second", NULL, NULL) == 0);
    program_exit(1);
}

static void interpreter_test(void)
{
    program_file("/ld", be_interpreter, true, NULL);
    program_file("/second", never, true, "/ld");
    run_and_expect(executes_with_interpreter, 14);
    program_remove("/ld");
    program_remove("/second");
}

/* ---- What is refused, and changes nothing ---- */

static void is_refused(uintptr_t arg)
{
    (void)arg;
    program_store(JOB, 77);
    CHECK(execute("/nothing", NULL, NULL) == -ENOENT);
    CHECK(execute("/dev", NULL, NULL) == -EACCES || execute("/", NULL, NULL) == -EACCES);
    CHECK(execute("/plain", NULL, NULL) == -EACCES);
    CHECK(execute("/empty", NULL, NULL) == -ENOEXEC);
    CHECK(execute("/text", NULL, NULL) == -ENOEXEC);
    CHECK(execute("/loop", NULL, NULL) == -ELOOP);
    CHECK(execute("/orphan", NULL, NULL) == -ENOENT);
    CHECK(execute("/lost", NULL, NULL) == -ENOENT);
    CHECK(program_call("execve", 8, 0, 0) == -EFAULT);
    CHECK(program_call("execve", STRINGS, 8, 0) == -EFAULT);
    CHECK(program_call("execve", STRINGS, 0, 8) == -EFAULT);
    CHECK(program_load(JOB) == 77 && !process_current()->has_executed);
    CHECK(strcmp(process_current()->name, "program") == 0);
    program_exit(15);
}

static void refusal_test(void)
{
    static const char *const paths[] = { "/plain", "/empty", "/text", "/loop", "/orphan", "/lost" };

    program_text_file("/plain", "#!/loop\n", 8, 0644);
    program_text_file("/empty", "", 0, 0755);
    program_text_file("/text", "no program at all, but longer than a header of ELF is: 64 bytes!", 64, 0755);
    program_text_file("/loop", "#!/loop\n", 8, 0755);
    program_text_file("/orphan", "#!/nobody\n", 10, 0755);
    program_file("/lost", never, true, "/nobody");
    run_and_expect(is_refused, 15);
    for (unsigned i = 0; i < ARRAY_COUNT(paths); i++)
        program_remove(paths[i]);
}

/* ---- Nobody writes to what is executed ---- */

static struct path_place root_place; /* set by the test */

static int open_and_close(const char *path, uint32_t flags)
{
    struct file *file;
    int error = path_open(&root_place, path, flags, 0, &file);

    if (error == 0)
        file_put(file);
    return error;
}

static void is_executed(uintptr_t arg)
{
    (void)arg;
    CHECK(open_and_close("/second", O_WRONLY) == -ETXTBSY && open_and_close("/second", O_RDONLY) == 0);
    CHECK(path_truncate(&root_place, "/second", 0) == -ETXTBSY);
    program_exit(18);
}

static void finds_it_busy(uintptr_t arg)
{
    struct file *file;

    (void)arg;
    CHECK(path_open(&root_place, "/second", O_WRONLY, 0, &file) == 0);
    CHECK(execute("/second", NULL, NULL) == -ETXTBSY && execute("/script", NULL, NULL) == -ETXTBSY);
    file_put(file);
    CHECK(execute("/second", NULL, NULL) == 0);
    program_exit(1);
}

static void busy_test(void)
{
    struct fs_context *context = NULL;

    CHECK(fs_context_create(&context) == 0);
    root_place = (struct path_place){ .context = context, .cred = &cred_root };
    program_file("/second", is_executed, false, NULL);
    program_text_file("/script", "#!/second\n", 10, 0755);
    CHECK(program_finish(program_start(finds_it_busy, 0)) == WAIT_STATUS_EXITED(18));
    /* At once, though the process may be there still: its end has been heard of. */
    CHECK(open_and_close("/second", O_WRONLY) == 0 && open_and_close("/script", O_WRONLY) == 0);
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
    program_remove("/second");
    program_remove("/script");
    fs_context_put(context);
}

/* ---- Other threads ---- */

static void third_life(uintptr_t arg)
{
    CHECK(arg == 0 && program_call("gettid") == program_call("getpid"));
    CHECK(process_current()->threads_alive == 1 && process_current()->executing == NULL);
    program_exit(16);
}

/* Threads that spin, make threads, and execute all at once: one exec wins. */
static void has_threads(uintptr_t arg)
{
    if (arg == 0) {
        for (unsigned i = 0; i < 4; i++) {
            program_store(JOB, i);
            (void)program_call("clone", THREAD);
        }
    }
    if (current_task()->tid % 2 == 0 || arg == 0)
        CHECK(execute("/third", NULL, NULL) == -EINTR); /* somebody was faster; else it does not return */
    for (;;)
        (void)program_call(current_task()->tid % 3 == 0 ? "getpid" : "sched_yield");
}

static void thread_test(void)
{
    program_file("/third", third_life, false, NULL);
    run_and_expect(has_threads, 16);
    program_remove("/third");
}

/* A kill at any moment: it ends, with that status or the program's own. */
static void kill_test(void)
{
    program_file("/third", third_life, false, NULL);
    struct process *process = program_start(has_threads, 0);

    (void)task_sleep_for(booted_seed() % 32 * 20 * NS_PER_US);
    (void)process_kill(process);
    int status = program_finish(process);

    CHECK(status == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL) || status == WAIT_STATUS_EXITED(16));
    WAIT_FOR((proc_reclaim_all(), process_count() == 0));
    program_remove("/third");
}

/* ---- vfork ---- */

#define VFORK (CLONE_VM | CLONE_VFORK | PROCESS_SIGCHLD)

static void vforks(uintptr_t arg)
{
    if (arg == VFORK) {
        program_store(JOB, 21);
        (void)execute("/third", NULL, NULL);
        program_exit(1);
    }
    intptr_t pid = program_call("clone", VFORK);

    CHECK(pid > 0 && program_load(JOB) == 21);
    CHECK(program_call("wait4", (uintptr_t)pid, STATUS) == pid);
    CHECK((uint32_t)program_load(STATUS) == (uint32_t)WAIT_STATUS_EXITED(16));
    program_exit(17);
}

static void vfork_test(void)
{
    program_file("/third", third_life, false, NULL);
    run_and_expect(vforks, 17);
    program_remove("/third");
}

/* ---- Failures ---- */

static _Atomic(uint32_t) tries;

static void last_life(uintptr_t arg)
{
    (void)arg;
    CHECK(!mm_fail_fired());
    program_exit(18);
}

/* The n-th allocation fails, for every n, until none is left to fail: each time it is still the old program. */
static void executes_without_memory(uintptr_t arg)
{
    intptr_t result = -ENOMEM;

    (void)arg;
    (void)execute("/nothing", "one", "two"); /* the strings are in place: what fails then is exec's */
    program_store(VECTORS, STRINGS);
    vaddr_t strings = STRINGS;

    (void)put_string(&strings, "/fourth");
    for (uint32_t n = 1; result == -ENOMEM && n < 300; n++) {
        store_relaxed(&tries, n);
        mm_fail_at(n);
        result = program_call("execve", STRINGS, VECTORS, VECTORS + 32);
        CHECK(mm_fail_fired() && program_load(VECTORS) == STRINGS);
    }
    CHECK(result == 0); /* which it would not tell */
    program_exit(1);
}

static void failure_test(void)
{
    program_file("/fourth", last_life, true, NULL);
    /* It would be the victim of what is missing, being the only one. */
    CHECK(oom_adjust_set(process_current(), OOM_ADJUST_NEVER, true) == 0);
    run_and_expect(executes_without_memory, 18);
    CHECK(oom_adjust_set(process_current(), 0, true) == 0);
    CHECK(load_relaxed(&tries) > 20);
    program_remove("/fourth");
}

const struct kernel_test booted_tests[] = {
    { "whole", whole_test },     { "script", script_test }, { "interpreter", interpreter_test },
    { "refusal", refusal_test }, { "busy", busy_test }, { "thread", thread_test }, { "kill", kill_test },
    { "vfork", vfork_test },     { "failure", failure_test }, { NULL, NULL },
};

static void a_program_becomes_another_with_its_arguments_and_memory(void **state)
{
    (void)state;
    booted_run("whole", 24);
}

static void scripts_name_their_interpreters(void **state)
{
    (void)state;
    booted_run("script", 8);
}

static void an_interpreter_is_loaded_beside_its_program(void **state)
{
    (void)state;
    booted_run("interpreter", 16);
}

static void what_is_no_program_changes_nothing(void **state)
{
    (void)state;
    booted_run("refusal", 8);
}

static void what_is_executed_is_not_written_to(void **state)
{
    (void)state;
    booted_run("busy", 8);
}

static void one_of_many_threads_executes_and_becomes_the_first(void **state)
{
    (void)state;
    booted_run("thread", 64);
}

static void a_kill_during_exec_ends_the_process(void **state)
{
    (void)state;
    booted_run("kill", 64);
}

static void an_exec_gives_borrowed_memory_back(void **state)
{
    (void)state;
    booted_run("vfork", 24);
}

static void a_failure_at_any_allocation_leaves_the_old_program(void **state)
{
    (void)state;
    booted_run("failure", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_becomes_another_with_its_arguments_and_memory),
        cmocka_unit_test(scripts_name_their_interpreters),
        cmocka_unit_test(an_interpreter_is_loaded_beside_its_program),
        cmocka_unit_test(what_is_no_program_changes_nothing),
        cmocka_unit_test(what_is_executed_is_not_written_to),
        cmocka_unit_test(one_of_many_threads_executes_and_becomes_the_first),
        cmocka_unit_test(a_kill_during_exec_ends_the_process),
        cmocka_unit_test(an_exec_gives_borrowed_memory_back),
        cmocka_unit_test(a_failure_at_any_allocation_leaves_the_old_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
