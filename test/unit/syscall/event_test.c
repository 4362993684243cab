/* SPDX-License-Identifier: MIT */
/* core/syscall/event.c: flags and descriptors. */
#include "call_world.h"

#include <fs/abi.h>

static int events(void)
{
    const struct process_limit some = { .soft = 16, .hard = 16 };

    CHECK(process_limit_change(world_process, LIMIT_NOFILE, &some, true, NULL) == 0);
    CHECK(CALL(eventfd2, 0, 2) == -EINVAL && CALL(eventfd2, 0, O_APPEND) == -EINVAL);
    int64_t plain = CALL(eventfd, 5), semaphore = CALL(eventfd2, 5, 1 | O_NONBLOCK | O_CLOEXEC);

    CHECK(plain >= 0 && semaphore >= 0 && plain != semaphore);
    CHECK(CALL(read, U(plain), PAGE0, 8) == 8 && get64(PAGE0) == 5);
    CHECK(CALL(read, U(semaphore), PAGE0, 8) == 8 && get64(PAGE0) == 1);
    CHECK(CALL(fcntl, U(plain), 1, 0) == 0 && CALL(fcntl, U(semaphore), 1, 0) == 1);
    CHECK(CALL(write, U(plain), NOWHERE, 8) == -EFAULT);
    CHECK(CALL(close, U(plain)) == 0 && CALL(close, U(semaphore)) == 0);
    return 0;
}

static void run_events(void)
{
    world_run(events);
}

const struct kernel_test booted_tests[] = { { "events", run_events }, { NULL, NULL } };

static void events_are_descriptors(void **state)
{
    (void)state;
    booted_run("events", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(events_are_descriptors) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
