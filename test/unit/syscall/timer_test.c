/* SPDX-License-Identifier: MIT */
/* core/syscall/timer.c: how the structures lie in memory, and what is refused before anything is done. */
#include "call_world.h"

#include <proc/signo.h>
#include <proc/timers.h>

#define EVENT PAGE0
#define ID (PAGE0 + 128)
#define SET (PAGE0 + 256)
#define OLD (PAGE0 + 320)

static void put_event(uint64_t value, uint32_t number, uint32_t notify)
{
    put64(EVENT, value);
    put32(EVENT + 8, number);
    put32(EVENT + 12, notify);
    put32(EVENT + 16, 0);
}

static int posix_timers(void)
{
    put_event(1, SIGUSR1, TIMER_EVENT_NONE);
    CHECK(CALL(timer_create, 1, NOWHERE, ID) == -EFAULT && CALL(timer_create, 1, EVENT, NOWHERE) == -EFAULT);
    CHECK(timers_count() == 0);
    CHECK(CALL(timer_create, 1, EVENT, ID) == 0);
    uint64_t id = get32(ID);

    put_time(SET, 5, 6); /* the interval first */
    put_time(SET + 16, 7, 8);
    CHECK(CALL(timer_settime, id, 0, SET, 0) == 0 && CALL(timer_gettime, id, OLD) == 0);
    CHECK(get64(OLD) == 5 && get64(OLD + 8) == 6 && get64(OLD + 16) <= 7 && get64(OLD + 16) >= 6);
    put_time(SET + 16, 0, 0);
    CHECK(CALL(timer_settime, id, 0, SET, OLD) == 0 && get64(OLD) == 5 && get64(OLD + 16) >= 6);
    CHECK(CALL(timer_gettime, id, OLD) == 0 && get64(OLD + 16) == 0 && get64(OLD + 24) == 0);
    CHECK(CALL(timer_settime, id, 0, 0, 0) == -EINVAL && CALL(timer_settime, id, 0, NOWHERE, 0) == -EFAULT);
    CHECK(CALL(timer_settime, id, 0, SET, NOWHERE) == -EFAULT && CALL(timer_gettime, id, NOWHERE) == -EFAULT);
    put_time(SET, 0, (int64_t)NS_PER_SEC);
    CHECK(CALL(timer_settime, id, 0, SET, 0) == -EINVAL);
    put_time(SET, 0, -1);
    CHECK(CALL(timer_settime, id, 0, SET, 0) == -EINVAL);
    CHECK(CALL(timer_getoverrun, id) == 0 && CALL(timer_delete, id) == 0 && CALL(timer_delete, id) == -EINVAL);
    return 0;
}

static int interval_timers(void)
{
    put_time(SET, 1, 2);
    put_time(SET + 16, 100, 3);
    for (unsigned which = 0; which <= 2; which++) {
        CHECK(CALL(getitimer, which, OLD) == 0 && get64(OLD + 16) == 0 && get64(OLD + 24) == 0);
        CHECK(CALL(setitimer, which, SET, OLD) == 0 && get64(OLD + 16) == 0);
        CHECK(CALL(getitimer, which, OLD) == 0 && get64(OLD) == 1 && get64(OLD + 8) == 2);
        CHECK(get64(OLD + 16) <= 100 && get64(OLD + 16) >= 99);
        CHECK(CALL(setitimer, which, 0, OLD) == 0 && get64(OLD + 16) >= 99);
        CHECK(CALL(setitimer, which, NOWHERE, 0) == -EFAULT && CALL(getitimer, which, 0) == -EFAULT);
    }
    CHECK(CALL(setitimer, 3, SET, 0) == -EINVAL && CALL(getitimer, U(-1), OLD) == -EINVAL);
    CHECK(CALL(alarm, 50) == 0 && CALL(alarm, 0) == 50 && CALL(alarm, 0) == 0);
    return 0;
}

#define STORY(name) \
    static void run_##name(void) { world_run(name); }
STORY(posix_timers)
STORY(interval_timers)

const struct kernel_test booted_tests[] = {
    { "posix", run_posix_timers }, { "interval", run_interval_timers }, { NULL, NULL },
};

static void timers_are_set_as_memory_says(void **state)
{
    (void)state;
    booted_run("posix", 8);
    booted_run("interval", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(timers_are_set_as_memory_says) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
