/* SPDX-License-Identifier: MIT */
/* core/sched/semaphore.c: what goes up comes down once, in turn, whoever times out or is killed. */
#include "booted.h"
#include "unit.h"

#include <k/errno.h>
#include <sched/semaphore.h>
#include <time/clock.h>

#define TASKS 6
#define ROUNDS 12
#define PLACES 2

static struct semaphore semaphore = SEMAPHORE_INIT(semaphore, 0);
static _Atomic(int) inside;
static unsigned order[TASKS];
static _Atomic(unsigned) order_count;

static void alone(void)
{
    CHECK(!semaphore_try_down(&semaphore));
    CHECK(semaphore_down(&semaphore, 0, WAIT_KILLABLE) == -ETIMEDOUT);
    semaphore_up(&semaphore);
    semaphore_up(&semaphore);
    CHECK(semaphore_try_down(&semaphore));
    CHECK(semaphore_down(&semaphore, 0, WAIT_UNINTERRUPTED) == 0);
    CHECK(semaphore_down(&semaphore, clock_ns() + 2000, WAIT_UNINTERRUPTED) == -ETIMEDOUT);
    semaphore_init(&semaphore, 3);
    for (unsigned i = 0; i < 3; i++)
        CHECK(semaphore_try_down(&semaphore));
    CHECK(!semaphore_try_down(&semaphore));
}

static int take_turn(void *arg)
{
    int result = semaphore_down(&semaphore, TIME_NEVER, WAIT_KILLABLE);

    if (result == 0)
        order[fetch_add_relaxed(&order_count, 1)] = (unsigned)(uintptr_t)arg;
    return -result;
}

static void in_turn(void)
{
    struct task *task[TASKS];

    for (uintptr_t i = 0; i < TASKS; i++) {
        task[i] = spawn("taker", take_turn, (void *)i, i % 2 == 0 ? 60 : 10, NULL);
        WAIT_FOR(is_blocked(task[i]));
    }
    CHECK(task_kill(task[2]) == 0);
    CHECK(finish(task[2]) == EINTR);
    for (unsigned i = 0; i < TASKS; i++) {
        if (i == 2)
            continue;
        semaphore_up(&semaphore);
        CHECK(!semaphore_try_down(&semaphore)); /* it was the oldest waiter's at once */
        CHECK(finish(task[i]) == 0);
    }
    for (unsigned i = 0; i + 1 < TASKS; i++)
        CHECK(order[i] == (i < 2 ? i : i + 1));
}

static int come_and_go(void *arg)
{
    uint64_t random = booted_seed() * TASKS + (uintptr_t)arg + 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (semaphore_down(&semaphore, clock_ns() + random_next(&random) % 6000, WAIT_KILLABLE) != 0)
            continue;
        int before = fetch_add_relaxed(&inside, 1);

        CHECK(before < PLACES);
        if (!task_is_killed())
            (void)task_sleep_for(random_next(&random) % 3000);
        (void)fetch_sub_relaxed(&inside, 1);
        semaphore_up(&semaphore);
    }
    return 0;
}

static void crowd(void)
{
    struct task *task[TASKS];

    semaphore_init(&semaphore, PLACES);
    for (uintptr_t i = 0; i < TASKS; i++)
        task[i] = spawn("crowd", come_and_go, (void *)i, 10 + 10 * (int)i, NULL);
    (void)task_sleep_for(10 * NS_PER_US);
    int killed = task_kill(task[0]);

    CHECK(killed == 0 || killed == -ESRCH);
    for (unsigned i = 0; i < TASKS; i++)
        CHECK(finish(task[i]) == 0);
    CHECK(semaphore.count == PLACES && list_is_empty(&semaphore.waiters.waiters));
}

static int give_to(void *arg)
{
    semaphore_up(arg);
    return 0;
}

/* On the stack of its waiter, and gone when that goes on. */
static NOINLINE void wait_on_stack(void)
{
    struct semaphore mine = SEMAPHORE_INIT(mine, 0);
    struct task *giver = spawn("giver", give_to, &mine, PRIORITY_DEFAULT, NULL);

    CHECK(semaphore_down(&mine, TIME_NEVER, WAIT_UNINTERRUPTED) == 0);
    mine.waiters.lock.word = 0x5a5a5a5a; /* whoever touches it now hangs, or panics */
    mine.waiters.lock.rank = 0x5a;
    CHECK(finish(giver) == 0);
}

static void vanishes(void)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        wait_on_stack();
}

const struct kernel_test booted_tests[] = {
    { "alone", alone }, { "in-turn", in_turn }, { "crowd", crowd }, { "vanishes", vanishes }, { NULL, NULL },
};

static void it_counts(void **state)
{
    (void)state;
    booted_run("alone", 8);
}

static void an_up_goes_to_the_oldest_waiter(void **state)
{
    (void)state;
    booted_run("in-turn", 80);
}

static void nothing_is_lost_or_made_by_deadlines_and_kills(void **state)
{
    (void)state;
    booted_run("crowd", 150);
}

static void its_waiter_may_free_it(void **state)
{
    (void)state;
    booted_run("vanishes", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts),
        cmocka_unit_test(an_up_goes_to_the_oldest_waiter),
        cmocka_unit_test(nothing_is_lost_or_made_by_deadlines_and_kills),
        cmocka_unit_test(its_waiter_may_free_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
