/* SPDX-License-Identifier: MIT */
/* core/proc/limits.c: limits go down freely and up with the right, children have their maker's; usage adds up. */
#include "booted.h"
#include "program.h"
#include "unit.h"

#include <proc/clone.h>
#include <proc/limits.h>
#include <vm/space.h>

#define STATUS (PROGRAM_MEMORY + 192)
#define VFORK (CLONE_VM | CLONE_VFORK | PROCESS_SIGCHLD)
#define USAGE_AT (PROGRAM_MEMORY + 512)

static void limits(uintptr_t arg)
{
    struct process *self = process_current();
    struct process_limit lower = { .soft = 10, .hard = 20 }, higher = { .soft = 10, .hard = 21 }, bad = { 3, 2 }, old;
    const struct process_limit none = { .soft = 10, .hard = LIMIT_NONE };

    if (arg == PROGRAM_FORK)
        program_exit(process_limit_get(self, LIMIT_NOFILE) == 10 ? 0 : 1);
    CHECK(process_limit_get(self, LIMIT_STACK) == (8 << 20));
    CHECK(process_limit_change(self, PROCESS_LIMITS, NULL, true, &old) == -EINVAL);
    CHECK(process_limit_change(self, LIMIT_NOFILE, &bad, true, NULL) == -EINVAL);
    CHECK(process_limit_change(self, LIMIT_NOFILE, &lower, false, &old) == 0 && old.soft == 1024 && old.hard == 4096);
    CHECK(process_limit_change(self, LIMIT_NOFILE, &higher, false, &old) == -EPERM && old.hard == 20);
    intptr_t pid = program_call("clone", PROGRAM_FORK);

    CHECK(program_call("wait4", (uintptr_t)pid, STATUS) == pid && program_load(STATUS) == 0);
    CHECK(process_limit_change(self, LIMIT_NOFILE, &higher, true, NULL) == 0);
    CHECK(process_limit_change(self, LIMIT_NOFILE, NULL, false, &old) == 0 && old.hard == 21);
    CHECK(process_limit_change(self, LIMIT_NOFILE, &none, true, NULL) == -EPERM); /* nobody may have so many */
    program_exit(0);
}

/* How far a stack grows is what the limit says now; memory that is lent has its owner's. */
static void stacks(uintptr_t arg)
{
    const struct process_limit more = { .soft = 64 << 20, .hard = LIMIT_NONE }, less = { 1 << 20, LIMIT_NONE };
    struct process *self = process_current();
    struct space *space = self->space;

    if (arg == PROGRAM_FORK || arg == VFORK) {
        CHECK(process_limit_change(self, LIMIT_STACK, &less, false, NULL) == 0);
        program_exit(0);
    }
    CHECK(space->stack_bytes_max == 8 << 20);
    CHECK(process_limit_change(self, LIMIT_STACK, &more, false, NULL) == 0 && space->stack_bytes_max == 64 << 20);
    for (unsigned lends = 0; lends < 2; lends++) {
        intptr_t pid = program_call("clone", lends != 0 ? VFORK : PROGRAM_FORK);

        CHECK(program_call("wait4", (uintptr_t)pid, STATUS) == pid && program_load(STATUS) == 0);
        CHECK(space->stack_bytes_max == 64 << 20);
    }
    CHECK(process_limit_change(self, LIMIT_STACK, &less, false, NULL) == 0 && space->stack_bytes_max == 1 << 20);
    program_exit(0);
}

static void stack_test(void)
{
    program_run(stacks);
}

static void limit_test(void)
{
    program_run(limits);
}

/* What a child used is its parent's children's once it has been waited for, with what its own children used. */
static void uses(uintptr_t arg)
{
    struct process_usage own, before, after;

    if (arg == PROGRAM_FORK) {
        program_store(PROGRAM_MEMORY, 1); /* a fault */
        host_compute(100 * NS_PER_US);
        program_exit(0);
    }
    process_children_usage_get(process_current(), &before);
    intptr_t pid = program_call("clone", PROGRAM_FORK);

    CHECK(program_call("wait4", (uintptr_t)pid, 0, 0, USAGE_AT) == pid);
    process_children_usage_get(process_current(), &after);
    process_usage_get(process_current(), &own);
    CHECK(before.user_ticks == 0 && after.user_ticks >= clock_ns_to_ticks(100 * NS_PER_US) / 2);
    CHECK(program_load(USAGE_AT + 8) >= 50 && after.faults > 0 && after.resident_pages_max > 0);
    CHECK(own.user_ticks > 0 && own.resident_pages_max >= PROGRAM_MEMORY_BYTES / PAGE_BYTES);
    program_exit(0);
}

static void usage_test(void)
{
    program_run(uses);
}

const struct kernel_test booted_tests[] = { { "limit", limit_test }, { "stack", stack_test },
                                           { "usage", usage_test }, { NULL, NULL } };

static void limits_go_down_and_with_the_right_up(void **state)
{
    (void)state;
    booted_run("limit", 8);
    booted_run("stack", 4);
}

static void what_children_used_is_told_when_they_are_waited_for(void **state)
{
    (void)state;
    booted_run("usage", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_go_down_and_with_the_right_up),
        cmocka_unit_test(what_children_used_is_told_when_they_are_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
