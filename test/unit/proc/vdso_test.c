/* SPDX-License-Identifier: MIT */
/* core/proc/vdso.c: every space can have the page; it holds the machine's code, and nobody writes to it. */
#include "signal_program.h"
#include "unit.h"

#include <proc/vdso.h>

static void the_page_is_there(void)
{
    const uint8_t want[] = HAL_SIGNAL_RETURN_CODE;
    struct space *space[2];
    vaddr_t va[2];

    for (unsigned i = 0; i < 2; i++) {
        struct space_region region;

        CHECK(space_create(&space[i]) == 0 && vdso_map(space[i], &va[i]) == 0);
        CHECK(space_query(space[i], va[i], &region) == 0 && region.start <= va[i]);
        CHECK(region.end - region.start == PAGE_BYTES && region.rights == (VM_READ | VM_EXEC));
        CHECK(space_fault(space[i], va[i], VM_EXEC) == 0 && space_fault(space[i], va[i], VM_WRITE) == -EACCES);
        CHECK(va[i] % sizeof(uint32_t) == 0 && va[i] % PAGE_BYTES + sizeof want <= PAGE_BYTES);
    }
    for (unsigned i = 0; i < 2; i++)
        space_put(space[i]);
}

static struct process *process;
static vaddr_t code;

static void reads(uintptr_t area)
{
    const uint8_t want[] = HAL_SIGNAL_RETURN_CODE;
    uint8_t got[sizeof want] = { 0xff };

    (void)area;
    get(got, code, sizeof got);
    for (unsigned i = 0; i < sizeof want; i++)
        CHECK(got[i] == want[i]);
    CHECK(user_copy_out(code, want, sizeof want) == -EFAULT);
    die(process->pid, SIGKILL);
}

static void a_program_reads_it(void)
{
    struct begun begun;

    CHECK(process_create(&process_kernel, "program", &process) == 0);
    CHECK(vdso_map(process->space, &code) == 0);
    struct task *task = program_thread(process, reads, 0, &begun, NULL);

    CHECK(program_bury(process, task) == SIGKILL);
}

const struct kernel_test booted_tests[] = {
    { "page", the_page_is_there },
    { "read", a_program_reads_it },
    { NULL, NULL },
};

static void each_space_maps_the_page_to_execute_it(void **state)
{
    (void)state;
    booted_run("page", 8);
}

static void a_program_finds_the_code_and_cannot_change_it(void **state)
{
    (void)state;
    booted_run("read", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_space_maps_the_page_to_execute_it),
        cmocka_unit_test(a_program_finds_the_code_and_cannot_change_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
