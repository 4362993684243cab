/* SPDX-License-Identifier: MIT */
/* core/proc/schedule.c: limits let a user have so much and no more. Errors and forms: test/unit/syscall/sched_test.c.
 * */
#include "futex_world.h"

#include <fs/cred.h>
#include <proc/limits.h>
#include <proc/schedule.h>

static struct process *world;

static void limit(unsigned which, uint64_t value)
{
    const struct process_limit wanted = { .soft = value, .hard = LIMIT_NONE };

    CHECK(process_limit_change(world, which, &wanted, true, NULL) == 0);
}

static int set_rt(enum sched_policy policy, unsigned linux_priority)
{
    const struct sched_params params = { .policy = policy, .rt_level = (uint8_t)(99 - linux_priority) };

    return thread_policy_set(0, &params);
}

static int user(void *arg)
{
    const struct sched_params normal = { .policy = SCHED_POLICY_FAIR };
    const struct sched_params nice = { .policy = SCHED_POLICY_FAIR, .nice = -5 };
    struct cred *cred = NULL;
    int value = 0;

    (void)arg;
    CHECK(cred_copy(&cred_root, &cred) == 0 && cred_set_all_users(cred, &cred_root, 5, 5, 5) == 0);
    thread_current()->user.cred = cred; /* there was none */
    limit(LIMIT_RTPRIO, 0);
    limit(LIMIT_NICE, 0);
    CHECK(set_rt(SCHED_POLICY_RR, 1) == -EPERM && nice_set(NICE_THREAD, 0, -1) == -EACCES);
    limit(LIMIT_RTPRIO, 10);
    CHECK(set_rt(SCHED_POLICY_RR, 11) == -EPERM && set_rt(SCHED_POLICY_RR, 10) == 0);
    limit(LIMIT_RTPRIO, 5);
    CHECK(set_rt(SCHED_POLICY_RR, 9) == 0); /* lower than it has: always */
    CHECK(set_rt(SCHED_POLICY_FIFO, 9) == 0 && set_rt(SCHED_POLICY_FIFO, 10) == -EPERM);
    limit(LIMIT_RTPRIO, 0);
    CHECK(set_rt(SCHED_POLICY_RR, 1) == -EPERM && set_rt(SCHED_POLICY_FIFO, 1) == 0);
    CHECK(thread_policy_set(0, &nice) == -EPERM && thread_policy_set(0, &normal) == 0);
    limit(LIMIT_NICE, 25);
    CHECK(nice_set(NICE_THREAD, 0, -6) == -EACCES && nice_set(NICE_THREAD, 0, -5) == 0);
    CHECK(nice_get(NICE_USER, 5, &value) == 0 && value == -5);
    CHECK(nice_get(NICE_USER, 6, &value) == -ESRCH);
    return 0;
}

static void limits_are_kept(void)
{
    world = world_create();
    CHECK(finish(world_start(world, user, NULL, WORLD_NORMAL)) == 0);
    world_bury(world);
}

const struct kernel_test booted_tests[] = {
    { "limits", limits_are_kept },
    { NULL, NULL },
};

static void a_user_gets_what_the_limits_say(void **state)
{
    (void)state;
    booted_run("limits", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_user_gets_what_the_limits_say) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
