/* SPDX-License-Identifier: MIT */
/* core/proc/oom.c: who is chosen, that the others go on, and that the memory comes back. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <mm/phys.h>
#include <proc/oom.h>
#include <vm/space.h>

static void points_test(void)
{
    CHECK(oom_points(10, 0, 10000) == OOM_SMALL_PAGES);
    CHECK(oom_points(5000, 0, 10000) == 5000);
    CHECK(oom_points(5000, 100, 10000) == 6000);
    CHECK(oom_points(5000, -1000, 10000) == 0 && oom_points(5000, -999, 10000) == OOM_SMALL_PAGES);
}

/* Maps and touches without end. */
static void hog(uintptr_t arg)
{
    (void)arg;
    for (;;) {
        struct space_request request = { .bytes = 64 * PAGE_BYTES, .rights = VM_READ | VM_WRITE,
                                         .flags = SPACE_PRIVATE };
        vaddr_t va = 0;

        CHECK(space_map(space_current(), &request, &va) == 0);
        for (vaddr_t at = va; at < va + 64 * PAGE_BYTES; at += PAGE_BYTES)
            program_store(at, 1);
    }
}

/* It asks for memory when there is none: the hog goes. */
static void asks(uintptr_t arg)
{
    (void)arg;
    for (;;)
        (void)program_call("sched_yield");
}

static void choice_test(void)
{
    struct process *bystander = program_start(asks, 0), *protected = program_start(asks, 0);
    struct process *hungry = program_start(hog, 0);

    CHECK(oom_adjust_set(protected, OOM_ADJUST_NEVER, false) == -EACCES && oom_adjust_get(protected) == 0);
    CHECK(oom_adjust_set(protected, OOM_ADJUST_NEVER - 1, true) == -EINVAL);
    CHECK(oom_adjust_set(protected, OOM_ADJUST_NEVER, true) == 0 && oom_score_get(protected) == 0);
    CHECK(program_finish(hungry) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    CHECK(process_kill(bystander) == 0 && program_finish(bystander) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
    CHECK(process_kill(protected) == 0 && program_finish(protected) == WAIT_STATUS_SIGNALED(PROCESS_SIGKILL));
}

const struct kernel_test booted_tests[] = { { "points", points_test }, { "choice", choice_test }, { NULL, NULL } };

static void adjustments_count_in_thousandths_and_small_ones_are_equal(void **state)
{
    (void)state;
    booted_run("points", 1);
}

static void the_largest_is_the_victim_and_the_others_live(void **state)
{
    (void)state;
    booted_run("choice", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjustments_count_in_thousandths_and_small_ones_are_equal),
        cmocka_unit_test(the_largest_is_the_victim_and_the_others_live),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
