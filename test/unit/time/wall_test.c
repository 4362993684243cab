/* SPDX-License-Identifier: MIT */
/* core/time/wall.c: the time of day is what it was set to, and goes on from there with the clock. */
#include "unit.h"

#include <host/machine.h>
#include <smp/cpu.h>
#include <time/wall.h>

static struct cpu cpu;
static struct task_base task;

static int enter(void **state)
{
    struct host_config config = { .cpus = 1, .memory_bytes = 4 << 20 };

    (void)state;
    host_unit_setup(&config);
    store_relaxed(&task.cpu, &cpu);
    host_unit_enter((struct task *)&task);
    clock_init(NS_PER_SEC);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    host_unit_teardown();
    return 0;
}

static void it_begins_with_the_clock(void **state)
{
    (void)state;
    uint64_t before = clock_ns(), wall = wall_ns(), after = clock_ns();

    assert_true(wall >= before && wall <= after);
}

/* What the machine read at boot, some time ago; and a clock that was at 1970 later than it was switched on is wrong. */
static void it_was_what_it_was_at_those_ticks(void **state)
{
    (void)state;
    wall_set_at(1000 * NS_PER_SEC, hal_clock_ticks());
    uint64_t before = clock_ns(), wall = wall_ns(), after = clock_ns();

    assert_true(wall >= 1000 * NS_PER_SEC && wall <= 1000 * NS_PER_SEC + after);
    wall_set_at(1000 * NS_PER_SEC, 5 * NS_PER_SEC);
    before = clock_ns();
    wall = wall_ns();
    after = clock_ns();
    assert_true(wall >= before + 995 * NS_PER_SEC && wall <= after + 995 * NS_PER_SEC);
    wall_set_at(NS_PER_SEC, 5 * NS_PER_SEC);
    assert_true(wall_ns() >= 995 * NS_PER_SEC); /* nothing has changed */
    wall_set(clock_ns());
}

static void it_goes_on_from_what_it_was_set_to(void **state)
{
    const uint64_t set = 1700000000 * NS_PER_SEC;

    (void)state;
    uint64_t before = clock_ns();

    wall_set(set);
    uint64_t wall = wall_ns(), after = clock_ns();

    assert_true(wall >= set && wall - set <= after - before);
    wall_set(5); /* back, too */
    assert_true(wall_ns() >= 5 && wall_ns() < set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_with_the_clock),
        cmocka_unit_test(it_was_what_it_was_at_those_ticks),
        cmocka_unit_test(it_goes_on_from_what_it_was_set_to),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
