/* SPDX-License-Identifier: MIT */
/* core/syscall/time.c: clocks go on, sleeps are long enough, and what a program may not have is refused. */
#include "call_world.h"

#include <time/wall.h>

#define TIME PAGE0 /* struct timespec or timeval */
#define LEFT (PAGE0 + 64)

static uint64_t time_ns(vaddr_t at)
{
    return get64(at) * NS_PER_SEC + get64(at + 8);
}

static int clocks(void)
{
    static const int ids[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, -6 /* the caller's CPU time, by process */ };

    for (unsigned i = 0; i < ARRAY_COUNT(ids); i++) {
        CHECK(CALL(clock_gettime, U(ids[i]), TIME) == 0);
        uint64_t before = time_ns(TIME);

        CHECK(task_sleep_for(10 * NS_PER_US) == 0);
        CHECK(CALL(clock_gettime, U(ids[i]), TIME) == 0);
        CHECK(time_ns(TIME) >= before && get64(TIME + 8) < NS_PER_SEC);
        CHECK(CALL(clock_getres, U(ids[i]), TIME) == 0 && time_ns(TIME) == 1);
        CHECK(CALL(clock_getres, U(ids[i]), 0) == 0);
    }
    /* Its own process and thread by number: (~id << 3) | kind. */
    CHECK(CALL(clock_gettime, U(~(int64_t)world_process->pid * 8 + 2), TIME) == 0);
    CHECK(CALL(clock_gettime, U(~(int64_t)current_task()->tid * 8 + 6), TIME) == 0);
    CHECK(CALL(clock_gettime, U(~(int64_t)(TID_MAX - 1) * 8 + 2), TIME) == -EINVAL);
    CHECK(CALL(clock_gettime, U(~(int64_t)1 * 8 + 6), TIME) == -EINVAL); /* another process's thread */
    CHECK(CALL(clock_gettime, U(-1), TIME) == -EINVAL);
    CHECK(CALL(clock_gettime, 10, TIME) == -EINVAL && CALL(clock_gettime, 12, TIME) == -EINVAL);
    CHECK(CALL(clock_gettime, 1, NOWHERE) == -EFAULT && CALL(clock_getres, 1, HAL_USER_END) == -EFAULT);
    CHECK(CALL(clock_getres, 99, 0) == -EINVAL);
    return 0;
}

static int setting(void)
{
    put_time(TIME, 1000000000, 5);
    CHECK(CALL(clock_settime, 1, TIME) == -EINVAL && CALL(clock_settime, 0, NOWHERE) == -EFAULT);
    CHECK(CALL(clock_settime, 0, TIME) == 0);
    CHECK(CALL(clock_gettime, 0, TIME) == 0 && get64(TIME) == 1000000000);
    CHECK(CALL(time, LEFT) == 1000000000 && get64(LEFT) == 1000000000 && CALL(time, 0) == 1000000000);
    CHECK(CALL(time, NOWHERE) == -EFAULT);
    put_time(TIME, 5, -1);
    CHECK(CALL(clock_settime, 0, TIME) == -EINVAL);
    put_time(TIME, 5, (int64_t)NS_PER_SEC);
    CHECK(CALL(clock_settime, 0, TIME) == -EINVAL);
    put_time(TIME, -5, 0);
    CHECK(CALL(clock_settime, 0, TIME) == -EINVAL);
    put_time(TIME, 0, 0); /* 1970 would have begun after boot */
    CHECK(CALL(clock_settime, 0, TIME) == -EINVAL);
    put_time(TIME, 2000000000, 999999);
    put32(LEFT, 60);
    put32(LEFT + 4, 1);
    CHECK(CALL(settimeofday, TIME, LEFT) == 0);
    CHECK(CALL(gettimeofday, TIME, LEFT + 8) == 0 && get64(TIME) >= 2000000000 && get64(TIME + 8) < 1000000);
    CHECK(get32(LEFT + 8) == 60 && get32(LEFT + 12) == 1);
    CHECK(CALL(gettimeofday, 0, 0) == 0 && CALL(gettimeofday, NOWHERE, 0) == -EFAULT);
    put_time(TIME, 1, 1000000);
    CHECK(CALL(settimeofday, TIME, 0) == -EINVAL && CALL(settimeofday, NOWHERE, 0) == -EFAULT);
    put32(LEFT, 16 * 60);
    CHECK(CALL(settimeofday, 0, LEFT) == -EINVAL);
    world_become(1000);
    put_time(TIME, 2000000000, 0);
    CHECK(CALL(clock_settime, 0, TIME) == -EPERM && CALL(settimeofday, TIME, 0) == -EPERM);
    return 0;
}

static int sleeping(void)
{
    uint64_t before = clock_ns();

    put_time(TIME, 0, 50 * (int64_t)NS_PER_US);
    CHECK(CALL(nanosleep, TIME, 0) == 0 && clock_ns() >= before + 50 * NS_PER_US);
    before = clock_ns();
    CHECK(CALL(clock_nanosleep, 7, 0, TIME, 0) == 0 && clock_ns() >= before + 50 * NS_PER_US);
    put_time(TIME, 0, (int64_t)(clock_ns() + 80 * NS_PER_US));
    CHECK(CALL(clock_nanosleep, 1, 1, TIME, 0) == 0 && clock_ns() >= get64(TIME + 8));
    CHECK(CALL(clock_nanosleep, 1, 1, TIME, 0) == 0); /* long past */
    CHECK(CALL(clock_nanosleep, 4, 0, TIME, 0) == -EOPNOTSUPP && CALL(clock_nanosleep, 3, 0, TIME, 0) == -EOPNOTSUPP);
    CHECK(CALL(clock_nanosleep, 77, 0, TIME, 0) == -EINVAL && CALL(nanosleep, NOWHERE, 0) == -EFAULT);
    put_time(TIME, 0, (int64_t)NS_PER_SEC);
    CHECK(CALL(nanosleep, TIME, 0) == -EINVAL);
    return 0;
}

static _Atomic(int64_t) slept;

static int sleeper(void)
{
    put_time(TIME, INT64_MAX, 0);
    store_relaxed(&slept, CALL(nanosleep, TIME, LEFT));
    return 0;
}

static int wall_sleeper(void)
{
    put_time(TIME, 3000000000, 0);
    store_relaxed(&slept, CALL(clock_nanosleep, 0, 1, TIME, LEFT));
    return 0;
}

static int interrupted(void)
{
    store_relaxed(&slept, 1);
    struct task *task = world_thread(sleeper);

    WAIT_FOR(is_blocked(task));
    CHECK(load_relaxed(&slept) == 1 && task_notify(task, TASK_NOTICE_SIGNAL) == 0);
    CHECK(finish(task) == 0 && load_relaxed(&slept) == -ERESTART_RESTARTBLOCK && get64(LEFT) > 1000000000);
    task = world_thread(wall_sleeper);
    WAIT_FOR(is_blocked(task));
    CHECK(task_notify(task, TASK_NOTICE_SIGNAL) == 0);
    CHECK(finish(task) == 0 && load_relaxed(&slept) == -ERESTARTNOHAND);
    return 0;
}

/* Nobody waits for the clock to come there: it is set. */
static int clock_jumps(void)
{
    store_relaxed(&slept, 1);
    struct task *task = world_thread(wall_sleeper);

    WAIT_FOR(is_blocked(task));
    put_time(LEFT, 2500000000, 0);
    CHECK(CALL(clock_settime, 0, LEFT) == 0);
    WAIT_FOR(is_blocked(task));
    CHECK(load_relaxed(&slept) == 1);
    put_time(LEFT, 3000000001, 0);
    CHECK(CALL(clock_settime, 0, LEFT) == 0);
    CHECK(finish(task) == 0 && load_relaxed(&slept) == 0);
    return 0;
}

#define STORY(name) \
    static void run_##name(void) { world_run(name); }
STORY(clocks)
STORY(setting)
STORY(sleeping)
STORY(interrupted)
STORY(clock_jumps)

const struct kernel_test booted_tests[] = {
    { "clocks", run_clocks },           { "setting", run_setting },         { "sleeping", run_sleeping },
    { "interrupted", run_interrupted }, { "clock-jumps", run_clock_jumps }, { NULL, NULL },
};

static void clocks_are_read_and_set_by_the_rules(void **state)
{
    (void)state;
    booted_run("clocks", 8);
    booted_run("setting", 8);
}

static void sleeps_end_when_they_should(void **state)
{
    (void)state;
    booted_run("sleeping", 8);
    booted_run("interrupted", 8);
    booted_run("clock-jumps", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_are_read_and_set_by_the_rules),
        cmocka_unit_test(sleeps_end_when_they_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
