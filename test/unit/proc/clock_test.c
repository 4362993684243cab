/* SPDX-License-Identifier: MIT */
/* core/proc/clock.c: CPU time is that of who ran; deadlines by the time of day. The rest:
 * test/unit/syscall/time_test.c. */
#include "futex_world.h"

#include <host/machine.h>
#include <proc/clock.h>
#include <time/wall.h>

#define ROUNDS 2000

static uint64_t clock_now(int32_t id)
{
    uint64_t ns = 0;

    CHECK(clock_get(id, &ns) == 0);
    return ns;
}

static void work(void)
{
    static _Atomic(unsigned) count;

    for (unsigned i = 0; i < ROUNDS; i++)
        (void)fetch_add_relaxed(&count, 1);
}

static int worker(void *arg)
{
    (void)arg;
    work();
    return 0;
}

static struct process *world;

static int measures(void *arg)
{
    (void)arg;
    uint64_t process = clock_now(CLOCK_PROCESS_CPUTIME_ID), thread = clock_now(CLOCK_THREAD_CPUTIME_ID);

    CHECK(finish(world_start(world, worker, NULL, WORLD_NORMAL)) == 0);
    uint64_t thread_after = clock_now(CLOCK_THREAD_CPUTIME_ID), process_after = clock_now(CLOCK_PROCESS_CPUTIME_ID);

    /* The other thread's work counts for the process, though it has ended. */
    CHECK(process_after - process > thread_after - thread && thread_after >= thread);
    work();
    CHECK(clock_now(CLOCK_THREAD_CPUTIME_ID) > thread_after);
    return 0;
}

static void cpu_time_is_counted_where_it_was_spent(void)
{
    world = world_create();
    CHECK(finish(world_start(world, measures, NULL, WORLD_NORMAL)) == 0);
    world_bury(world);
}

static void deadlines_follow_the_offset(void)
{
    uint64_t now = clock_ns();

    CHECK(clock_deadline(CLOCK_MONOTONIC, 5) == 5);
    CHECK(clock_deadline(CLOCK_MONOTONIC, TIME_NEVER) == TIME_NEVER - 1);
    CHECK(clock_deadline(CLOCK_REALTIME, TIME_NEVER) == TIME_NEVER - HOST_WALL_NS);
    CHECK(clock_set(CLOCK_MONOTONIC, now + 7 * NS_PER_SEC) == -EINVAL && clock_set(CLOCK_REALTIME, 0) == -EINVAL);
    CHECK(clock_set(CLOCK_REALTIME, 1000 * NS_PER_SEC) == 0);
    uint64_t deadline = clock_deadline(CLOCK_REALTIME, 1001 * NS_PER_SEC);

    CHECK(deadline >= now + NS_PER_SEC && deadline <= clock_ns() + NS_PER_SEC);
    CHECK(clock_deadline(CLOCK_REALTIME, NS_PER_SEC) == 0); /* long past */
}

const struct kernel_test booted_tests[] = {
    { "cpu-time", cpu_time_is_counted_where_it_was_spent },
    { "deadlines", deadlines_follow_the_offset },
    { NULL, NULL },
};

static void cpu_time_is_that_of_who_ran(void **state)
{
    (void)state;
    booted_run("cpu-time", 8);
}

static void times_of_day_become_deadlines(void **state)
{
    (void)state;
    booted_run("deadlines", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_time_is_that_of_who_ran),
        cmocka_unit_test(times_of_day_become_deadlines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
