/* SPDX-License-Identifier: MIT */
/* core/syscall/copy.c: structs that have grown. */
#include "program.h"
#include "unit.h"

#include <mm/user.h>
#include <vm/space.h>

#include "syscall_priv.h"

#define AT PROGRAM_MEMORY

/* In the space of a thread of the kernel's: the function is the kernel's own. */
static int body(void *arg)
{
    uint64_t word[3] = { 9, 9, 9 };

    (void)arg;
    CHECK(copy_in_versioned(word, sizeof word, AT, 16) == 0 && word[0] == 0 && word[2] == 0);
    word[2] = 9;
    CHECK(copy_in_versioned(word, sizeof word, AT, 24) == 0 && word[2] == 0);
    CHECK(copy_in_versioned(word, sizeof word, AT, PAGE_BYTES) == 0); /* what there is more is zero */
    CHECK(copy_in_versioned(word, 8, AT, PAGE_BYTES + 1) == -E2BIG);
    const uint64_t one = 1;

    CHECK(user_copy_out(AT + 24, &one, sizeof one) == 0);
    CHECK(copy_in_versioned(word, sizeof word, AT, 32) == -E2BIG);
    CHECK(copy_in_versioned(word, 8, AT, PAGE_BYTES) == -E2BIG && copy_in_versioned(word, 8, 8, 8) == -EFAULT);
    CHECK(copy_in_versioned(word, 8, AT + PROGRAM_MEMORY_BYTES - 8, 16) == -EFAULT);
    return 0;
}

static void copy_test(void)
{
    const struct thread_spec spec = {
        .name = "copy", .entry = body, .stack_bytes = STACK_BYTES_DEFAULT, .priority_number = 65,
    };
    const struct space_request request = {
        .at = AT, .bytes = PROGRAM_MEMORY_BYTES, .rights = VM_READ | VM_WRITE, .flags = SPACE_PRIVATE | SPACE_FIXED,
    };
    struct process *process = NULL;
    struct thread *thread = NULL;
    vaddr_t at;

    CHECK(process_create(&process_kernel, "copy", &process) == 0 && space_map(process->space, &request, &at) == 0);
    CHECK(thread_create(process, &spec, &thread) == 0);
    CHECK(thread_schedule(process->pid, thread->tid, thread) == 0);
    thread_put(thread);
    CHECK(program_finish(process) == 0);
}

const struct kernel_test booted_tests[] = {
    { "copy", copy_test },
    { NULL, NULL },
};

static void what_the_user_has_more_must_be_zero(void **state)
{
    (void)state;
    booted_run("copy", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_user_has_more_must_be_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
