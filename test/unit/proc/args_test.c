/* SPDX-License-Identifier: MIT */
/* core/proc/args.c: strings arrive as they were, within limits, in a space that is built here. */
#include "program.h"
#include "unit.h"

#include <mm/user.h>
#include <parse/script.h>
#include <vm/space.h>

#include "proc_priv.h"

#define AT ((vaddr_t)0x200000)
#define TABLE ((vaddr_t)0x300000)
#define BIG ((vaddr_t)0x400000)
#define BIG_BYTES ((size_t)4 << 20)

/* The functions work on the running task's memory: that of a thread of the kernel's in a process of its own. */
static int run_in_space(void *arg)
{
    void (*body)(void) = *(void (**)(void))arg;

    body();
    return 0;
}

static void in_a_space(void (*body)(void))
{
    const struct thread_spec spec = {
        .name = "args", .entry = run_in_space, .arg = &body, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
    const struct space_request small = {
        .at = AT, .bytes = TABLE - AT + 64 * PAGE_BYTES, .rights = VM_READ | VM_WRITE,
        .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    const struct space_request big = {
        .at = BIG, .bytes = BIG_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    vaddr_t at;

    CHECK(process_create(&process_kernel, "args", &process) == 0);
    CHECK(space_map(process->space, &small, &at) == 0 && space_map(process->space, &big, &at) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    CHECK(process_wait(&process_kernel, process->pid, 0, NULL) == process->pid);
    thread_put(thread);
    process_put(process);
}

/* Entry i of the table must point at that text. */
static void expect(unsigned i, const char *text)
{
    char found[600];
    vaddr_t at = 0;

    CHECK(user_copy_in(&at, TABLE + i * sizeof at, sizeof at) == 0);
    if (text == NULL)
        CHECK(at == 0);
    else
        CHECK(at >= AT && user_copy_string(found, at, sizeof found) >= 0 && strcmp(found, text) == 0);
}

static char long_text[520]; /* several pieces of a copy */

static void kernel_strings(void)
{
    const char *const argv[] = { "program", "", long_text, NULL };
    const char *const envp[] = { "A=1", "B=2", NULL };
    const struct exec_request request = { .kernel_argv = argv, .kernel_envp = envp };
    struct exec_args args;

    CHECK(args_begin(&args, 0) == 0 && args_add_all(&args, &request) == 0);
    CHECK(args.argc == 3 && args.envc == 2 && args_bytes(&args) == 8 + 1 + sizeof long_text + 4 + 4);
    CHECK(args_put(&args, AT, TABLE) == 0);
    expect(0, "program");
    expect(1, "");
    expect(2, long_text);
    expect(3, NULL);
    expect(4, "A=1");
    expect(5, "B=2");
    expect(6, NULL);
    args_end(&args);
}

/* Of two scripts, one the other's interpreter. */
static void scripts(void)
{
    const char *const argv[] = { "gone", "last", NULL };
    const struct exec_request request = { .kernel_argv = argv };
    const struct script outer = { .interpreter = "/inner", .has_argument = false };
    const struct script inner = { .interpreter = "/sh", .has_argument = true, .argument = "-e x" };
    struct exec_args args;

    CHECK(args_begin(&args, 0) == 0 && args_add_all(&args, &request) == 0);
    CHECK(args_add_script(&args, &outer, "/outer") == 0 && args_add_script(&args, &inner, "/outer") == 0);
    CHECK(args.argc == 5 && args_put(&args, AT, TABLE) == 0);
    expect(0, "/sh");
    expect(1, "-e x");
    expect(2, "/inner");
    expect(3, "/outer");
    expect(4, "last");
    expect(5, NULL);
    expect(6, NULL);
    args_end(&args);
}

/* What the user has: vectors and strings at the edges of what may be. */
static int64_t add_user(const vaddr_t *vector, size_t count, uint64_t stack_limit)
{
    const struct exec_request request = { .argv = TABLE };
    struct exec_args args;

    CHECK(user_copy_out(TABLE, vector, count * sizeof vector[0]) == 0);
    CHECK(args_begin(&args, stack_limit) == 0);
    int64_t result = args_add_all(&args, &request);

    if (result == 0)
        result = args.argc;
    args_end(&args);
    return result;
}

static void fill(vaddr_t at, size_t bytes)
{
    static char text[PAGE_BYTES];

    (void)memset(text, 'x', sizeof text);
    for (size_t done = 0; done < bytes; done += sizeof text)
        CHECK(user_copy_out(at + done, text, MIN(bytes - done, sizeof text)) == 0);
    CHECK(user_clear(at + bytes, 1) == 0);
}

static void user_limits(void)
{
    const vaddr_t none[] = { 0 }, one[] = { BIG, 0 }, bad[] = { 8, 0 };
    const vaddr_t edge[] = { BIG + BIG_BYTES - 3, 0 }, beyond[] = { BIG + BIG_BYTES - 2, 0 };

    CHECK(add_user(none, 1, 0) == 1); /* an empty argv[0] */
    CHECK(add_user(bad, 2, 0) == -EFAULT);
    CHECK(user_copy_out(BIG + BIG_BYTES - 3, "ab", 3) == 0);
    CHECK(add_user(edge, 2, 0) == 1); /* the last bytes of memory, and not one behind */
    CHECK(user_copy_out(BIG + BIG_BYTES - 2, "ab", 2) == 0);
    CHECK(add_user(beyond, 2, 0) == -EFAULT);
    fill(BIG, EXEC_STRING_BYTES_MAX - 1);
    CHECK(add_user(one, 2, 8 << 20) == 1);
    CHECK(add_user(one, 2, 0) == -E2BIG); /* with its pointer it is more than the least limit */
    fill(BIG, EXEC_STRING_BYTES_MAX);
    CHECK(add_user(one, 2, 8 << 20) == -E2BIG);
    /* Many short ones: their pointers count. */
    CHECK(user_copy_out(BIG, "", 1) == 0);
    for (size_t i = 0; i < 32 * PAGE_BYTES / 9 + 2; i++)
        CHECK(user_copy_out(TABLE + i * 8, &one[0], 8) == 0);
    const struct exec_request request = { .argv = TABLE };
    struct exec_args args;

    CHECK(args_begin(&args, 0) == 0 && args_add_all(&args, &request) == -E2BIG);
    args_end(&args);
}

static void kernel_test_body(void)
{
    (void)memset(long_text, 'l', sizeof long_text - 1);
    in_a_space(kernel_strings);
}

static void script_test(void)
{
    in_a_space(scripts);
}

static void limit_test(void)
{
    in_a_space(user_limits);
}

const struct kernel_test booted_tests[] = {
    { "kernel", kernel_test_body }, { "script", script_test }, { "limit", limit_test }, { NULL, NULL },
};

static void strings_arrive_with_their_pointers(void **state)
{
    (void)state;
    booted_run("kernel", 8);
}

static void scripts_stand_before_the_arguments(void **state)
{
    (void)state;
    booted_run("script", 8);
}

static void what_is_too_big_or_not_there_is_refused(void **state)
{
    (void)state;
    booted_run("limit", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_arrive_with_their_pointers),
        cmocka_unit_test(scripts_stand_before_the_arguments),
        cmocka_unit_test(what_is_too_big_or_not_there_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
