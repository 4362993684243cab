/* SPDX-License-Identifier: MIT */
/* core/fs/timerfd.c: reads take how often a timer was due; waits, readiness, and the time of day that is set. */
#include "fs_test.h"

#include <fs/timerfd.h>
#include <time/wall.h>

static struct file *timer;

static int set(uint32_t flags, uint64_t value_ns, uint64_t period_ns)
{
    const struct timer_setting setting = {.value_ns = value_ns, .period_ns = period_ns};
    struct timer_setting old;

    return timerfd_set(timer, flags, &setting, &old);
}

static struct timer_setting get(void)
{
    struct timer_setting setting;

    CHECK(timerfd_get(timer, &setting) == 0);
    return setting;
}

static int64_t take(uint64_t *taken)
{
    return read_into(timer, taken, sizeof *taken);
}

static void once(void)
{
    uint64_t taken = 0, begun = clock_ns();
    char small[7];

    CHECK(timerfd_create(false, 0, &timer) == 0);
    CHECK(file_poll(timer, NULL) == 0 && get().value_ns == 0);
    CHECK(set(0, 2000000, 0) == 0);
    CHECK(get().value_ns <= 2000000 && get().period_ns == 0);
    CHECK(read_into(timer, small, sizeof small) == -EINVAL && write_from(timer, &taken, sizeof taken) == -EINVAL);
    CHECK(take(&taken) == 8 && taken == 1 && clock_ns() - begun >= 2000000);
    CHECK(file_poll(timer, NULL) == 0 && get().value_ns == 0);
    file_set_flags(timer, O_NONBLOCK);
    CHECK(take(&taken) == -EAGAIN);
    CHECK(set(TIMERFD_ABSOLUTE, begun + 1, 0) == 0 && take(&taken) == 8 && taken == 1);
    CHECK(set(0, NS_PER_SEC, 0) == 0 && set(0, 0, 0) == 0 && get().value_ns == 0 && take(&taken) == -EAGAIN);
    file_put(timer);
}

/* However late it is read, each time that it was due counts once. */
static void again_and_again(void)
{
    const uint64_t period = 100000;
    uint64_t taken, total = 0, begun = clock_ns() + 1;

    CHECK(timerfd_create(false, 0, &timer) == 0);
    CHECK(set(TIMERFD_ABSOLUTE, begun, period) == 0);
    while (total < 30) {
        uint64_t least = (clock_ns() - begun) / period;

        CHECK(take(&taken) == 8);
        total += taken;
        CHECK(total > least && total <= (clock_ns() - begun) / period + 1);
        CHECK(get().period_ns == period);
    }
    file_put(timer);
}

static int wait_for_it(void *arg)
{
    uint64_t *taken = arg;

    return (int)take(taken);
}

static void wall(void)
{
    uint64_t taken = 0, hour = 3600 * NS_PER_SEC;

    CHECK(timerfd_create(true, 0, &timer) == 0);
    CHECK(set(TIMERFD_ABSOLUTE, wall_ns() + hour, 0) == 0);
    struct task *waiter = spawn("waiter", wait_for_it, &taken, 60, NULL);

    wall_set(wall_ns() + 2 * hour);
    timerfd_wall_was_set();
    CHECK(finish(waiter) == 8 && taken == 1);
    CHECK(set(TIMERFD_ABSOLUTE | TIMERFD_CANCEL_ON_SET, wall_ns() + hour, 0) == 0);
    waiter = spawn("waiter", wait_for_it, &taken, 60, NULL);
    wall_set(wall_ns() - hour);
    timerfd_wall_was_set();
    CHECK(finish(waiter) == -ECANCELED && file_poll(timer, NULL) == 0 && get().value_ns > hour);
    CHECK(set(0, hour, 0) == 0); /* so long from now, whatever day it is */
    wall_set(wall_ns() + 2 * hour);
    timerfd_wall_was_set();
    CHECK(file_poll(timer, NULL) == 0 && get().value_ns <= hour);
    file_put(timer);
}

static int try_create(void *arg)
{
    (void)arg;
    int error = timerfd_create(true, 0, &timer);

    if (error == 0)
        file_put(timer);
    return error;
}

static void memory(void)
{
    fail_each(try_create, NULL);
}

const struct kernel_test booted_tests[] = {
    {"once", once}, {"again-and-again", again_and_again}, {"wall", wall}, {"memory", memory}, {NULL, NULL},
};

BOOTED(a_timer_is_due_once, "once", 4)
BOOTED(no_period_is_lost, "again-and-again", 40)
BOOTED(the_time_of_day_is_followed, "wall", 40)
BOOTED(without_memory_nothing_is_left, "memory", 4)

FS_TEST_MAIN(cmocka_unit_test(a_timer_is_due_once), cmocka_unit_test(no_period_is_lost),
             cmocka_unit_test(the_time_of_day_is_followed), cmocka_unit_test(without_memory_nothing_is_left))
