/* SPDX-License-Identifier: MIT */
/* core/proc/image.c: what is where in a new program's memory, with which rights, and that it is not always there. */
#include "program.h"
#include "unit.h"

#include <vm/space.h>

#define STRING (PROGRAM_MEMORY + PAGE_BYTES)

static bool region_at(vaddr_t va, struct space_region *out)
{
    return space_query(process_current()->space, va, out) == 0 && out->start <= va;
}

static unsigned rights_at(vaddr_t va)
{
    struct space_region region;

    return region_at(va, &region) ? region.rights : UINT32_MAX;
}

static uint64_t aux(uint64_t type)
{
    vaddr_t at = HAL_USER_SP(task_user_trap(current_task()));

    for (at += 8; program_load(at) != 0; at += 8)
        continue;
    for (at += 8; program_load(at) != 0; at += 8)
        continue;
    for (at += 8; program_load(at) != 0; at += 16)
        if (program_load(at) == type)
            return program_load(at + 8);
    return 0;
}

static uint64_t seen_entry[2], seen_stack[2], seen_random[2];
static unsigned lives;

static void check_layout(vaddr_t base)
{
    struct space *space = process_current()->space;
    vaddr_t sp = HAL_USER_SP(task_user_trap(current_task()));
    struct space_region stack;

    CHECK(sp % 16 == 0 && region_at(sp, &stack) && stack.rights == (VM_READ | VM_WRITE));
    CHECK((stack.flags & VM_GROWS_DOWN) != 0 && space->map_top < stack.end - space->stack_bytes_max);
    CHECK(rights_at(base) == (VM_READ | VM_EXEC) && rights_at(base + PAGE_BYTES) == UINT32_MAX);
    CHECK(rights_at(base + 0x2000) == (VM_READ | VM_WRITE));
    CHECK(rights_at(base + 0x2000 + PROGRAM_DATA_BYTES - 1) == (VM_READ | VM_WRITE));
    CHECK(space->heap_start >= base + 0x2000 + PROGRAM_DATA_BYTES && space->heap_start == space->heap_end);
    /* Its stack grows: a page far below, and below that nothing. */
    CHECK(program_load(stack.end - space->stack_bytes_max + PAGE_BYTES) == 0);
    CHECK(program_call("getresuid", stack.end - space->stack_bytes_max - PAGE_BYTES) == -EFAULT);
    CHECK(aux(6) == PAGE_BYTES && aux(4) == 56 && aux(5) == 2 && aux(3) == base + 64 && aux(9) == base + 0x200);
    CHECK(aux(7) == 0 && aux(17) == 100 && aux(11) == 0 && aux(23) == 0);
    CHECK(aux(31) > sp && aux(15) > sp && aux(25) > sp && aux(25) % 8 == 0);
}

static void movable(uintptr_t arg)
{
    (void)arg;
    check_layout(ROUND_DOWN(task_user_trap(current_task())->pc, PAGE_BYTES));
    seen_entry[lives] = aux(9);
    seen_stack[lives] = HAL_USER_SP(task_user_trap(current_task()));
    seen_random[lives] = program_load(aux(25));
    program_exit(1);
}

static void fixed(uintptr_t arg)
{
    (void)arg;
    check_layout(PROGRAM_BASE);
    program_exit(1);
}

static void executes(uintptr_t arg)
{
    (void)arg;
    program_store(STRING, UINT64_C(0x676f72702f)); /* "/prog" */
    (void)program_call("execve", STRING, 0, 0);
    program_exit(2);
}

static void run(host_user_program *program, bool is_movable)
{
    program_file("/prog", program, is_movable, NULL);
    CHECK(program_finish(program_start(executes, 0)) == WAIT_STATUS_EXITED(1));
    program_remove("/prog");
}

static void movable_test(void)
{
    for (lives = 0; lives < 2; lives++)
        run(movable, true);
    /* By chance the same: once in 2^60 or so. */
    CHECK(seen_entry[0] != seen_entry[1] || seen_stack[0] != seen_stack[1]);
    CHECK(seen_random[0] != seen_random[1]);
}

static void fixed_test(void)
{
    run(fixed, false);
}

const struct kernel_test booted_tests[] = { { "movable", movable_test }, { "fixed", fixed_test }, { NULL, NULL } };

static void a_movable_program_is_somewhere_else_each_time(void **state)
{
    (void)state;
    booted_run("movable", 16);
}

static void a_fixed_program_is_where_it_says(void **state)
{
    (void)state;
    booted_run("fixed", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_movable_program_is_somewhere_else_each_time),
        cmocka_unit_test(a_fixed_program_is_where_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
