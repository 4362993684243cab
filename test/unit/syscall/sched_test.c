/* SPDX-License-Identifier: MIT */
/* core/syscall/sched.c: policies, priorities and CPUs by Linux's numbers. */
#include "call_world.h"

#include <smp/cpu.h>

#define PARAM PAGE0
#define ATTR (PAGE0 + 64)

enum { OTHER, FIFO, RR, BATCH, IDLE = 5, DEADLINE, RESETS = 0x40000000 };

static void put_attr(uint32_t size, uint32_t policy, int32_t nice, uint32_t priority, const uint64_t times[3])
{
    put32(ATTR, size);
    put32(ATTR + 4, policy);
    put64(ATTR + 8, 0);
    put32(ATTR + 16, (uint32_t)nice);
    put32(ATTR + 20, priority);
    for (unsigned i = 0; i < 3; i++)
        put64(ATTR + 24 + 8 * i, times != NULL ? times[i] : 0);
    put64(ATTR + 48, 0);
}

static int policies(void)
{
    put32(PARAM, 30);
    CHECK(CALL(sched_getscheduler, 0) == OTHER);
    CHECK(CALL(sched_setscheduler, 0, OTHER, PARAM) == -EINVAL && CALL(sched_setscheduler, 0, 4, PARAM) == -EINVAL);
    CHECK(CALL(sched_setscheduler, 0, DEADLINE, PARAM) == -EINVAL);
    CHECK(CALL(sched_setscheduler, 0, U(-1), PARAM) == -EINVAL && CALL(sched_setscheduler, 0, RR, 0) == -EINVAL);
    CHECK(CALL(sched_setscheduler, U(-1), RR, PARAM) == -EINVAL && CALL(sched_getscheduler, U(-1)) == -EINVAL);
    CHECK(CALL(sched_setscheduler, TID_MAX - 1, RR, PARAM) == -ESRCH);
    CHECK(CALL(sched_getscheduler, TID_MAX - 1) == -ESRCH);
    CHECK(CALL(sched_setscheduler, 0, RR, NOWHERE) == -EFAULT);
    CHECK(CALL(sched_setscheduler, 0, RR, PARAM) == 0 && CALL(sched_getscheduler, 0) == RR);
    CHECK(CALL(sched_getparam, 0, PARAM + 4) == 0 && get32(PARAM + 4) == 30);
    CHECK(CALL(sched_getparam, 0, 0) == -EINVAL && CALL(sched_getparam, 0, NOWHERE) == -EFAULT);
    put32(PARAM, 99);
    CHECK(CALL(sched_setparam, U(current_task()->tid), PARAM) == 0 && CALL(sched_getscheduler, 0) == RR);
    CHECK(CALL(sched_getparam, 0, PARAM + 4) == 0 && get32(PARAM + 4) == 99);
    put32(PARAM, 100);
    CHECK(CALL(sched_setparam, 0, PARAM) == -EINVAL);
    CHECK(CALL(sched_rr_get_interval, 0, PARAM) == 0 && get64(PARAM) == 0 && get64(PARAM + 8) > 0);
    put32(PARAM, 1);
    CHECK(CALL(sched_setscheduler, 0, FIFO, PARAM) == 0 && CALL(sched_getscheduler, 0) == FIFO);
    CHECK(CALL(sched_rr_get_interval, 0, PARAM) == 0 && get64(PARAM) == 0 && get64(PARAM + 8) == 0);
    CHECK(CALL(sched_rr_get_interval, U(-1), PARAM) == -EINVAL && CALL(sched_rr_get_interval, 0, NOWHERE) == -EFAULT);
    put32(PARAM, 0);
    CHECK(CALL(sched_setscheduler, 0, IDLE, PARAM) == 0 && CALL(sched_getscheduler, 0) == IDLE);
    CHECK(CALL(sched_setscheduler, 0, BATCH, PARAM) == 0 && CALL(sched_getscheduler, 0) == BATCH);
    CHECK(CALL(sched_setparam, 0, PARAM) == 0 && CALL(sched_getscheduler, 0) == BATCH);
    CHECK(CALL(sched_setscheduler, 0, OTHER | RESETS, PARAM) == 0 && CALL(sched_getscheduler, 0) == (OTHER | RESETS));
    CHECK(CALL(sched_setscheduler, 0, OTHER, PARAM) == 0 && CALL(sched_getscheduler, 0) == OTHER);
    CHECK(CALL(sched_get_priority_max, RR) == 99 && CALL(sched_get_priority_min, FIFO) == 1);
    CHECK(CALL(sched_get_priority_max, OTHER) == 0 && CALL(sched_get_priority_min, 4) == -EINVAL);
    return 0;
}

static int attributes(void)
{
    static const uint64_t times[3] = { 1000000, 10000000, 20000000 }, slice[3] = { 3000000, 0, 0 };

    put_attr(48, OTHER, 5, 0, slice);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0);
    CHECK(CALL(sched_getattr, 0, PARAM, 56, 0) == 0 && get32(PARAM) == 56 && get32(PARAM + 16) == 5);
    CHECK(get64(PARAM + 24) == 3000000);
    CHECK(CALL(sched_getattr, 0, PARAM, 48, 0) == 0 && get32(PARAM) == 48);
    CHECK(CALL(sched_getattr, 0, PARAM, 47, 0) == -EINVAL && CALL(sched_getattr, 0, PARAM, 48, 1) == -EINVAL);
    CHECK(CALL(sched_getattr, 0, 0, 48, 0) == -EINVAL && CALL(sched_getattr, 0, NOWHERE, 48, 0) == -EFAULT);
    CHECK(CALL(sched_getattr, TID_MAX - 1, PARAM, 48, 0) == -ESRCH);
    put_attr(0, FIFO, 0, 7, NULL); /* as if 48 */
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0 && CALL(sched_getscheduler, 0) == FIFO);
    CHECK(CALL(sched_setattr, 0, ATTR, 1) == -EINVAL && CALL(sched_setattr, 0, 0, 0) == -EINVAL);
    CHECK(CALL(sched_setattr, 0, NOWHERE, 0) == -EFAULT);
    put_attr(47, FIFO, 0, 7, NULL);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == -E2BIG && get32(ATTR) == 56);
    put_attr(64, FIFO, 0, 8, NULL);
    put64(ATTR + 56, 1);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == -E2BIG);
    put_attr(64, FIFO, 0, 8, NULL);
    put64(ATTR + 56, 0);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0);
    put_attr(48, FIFO, 0, 8, NULL);
    put64(ATTR + 8, 1);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0 && CALL(sched_getscheduler, 0) == (FIFO | RESETS));
    CHECK(CALL(sched_getattr, 0, PARAM, 48, 0) == 0 && get64(PARAM + 8) == 1);
    put64(ATTR + 8, 2); /* reclaim */
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == -EINVAL);
    put64(ATTR + 8, 0);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0);
    put64(ATTR + 8, 0x20);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == -EOPNOTSUPP);
    put64(ATTR + 8, 0x18); /* keep all */
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0 && CALL(sched_getscheduler, 0) == FIFO);
    put_attr(48, DEADLINE, 0, 0, times);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0 && CALL(sched_getscheduler, 0) == DEADLINE);
    CHECK(CALL(sched_getattr, 0, PARAM, 48, 0) == 0 && get64(PARAM + 24) == times[0] && get64(PARAM + 40) == times[2]);
    put_attr(48, DEADLINE, 0, 0, NULL);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == -EINVAL);
    put_attr(48, OTHER, 0, 0, NULL);
    CHECK(CALL(sched_setattr, 0, ATTR, 0) == 0);
    return 0;
}

static int cpus(void)
{
    for (unsigned i = 0; i < 256; i += 8)
        put64(PAGE0 + i, 0);
    CHECK(CALL(sched_getaffinity, 0, 8, PAGE0) == 8 && get64(PAGE0) == cpu_online_mask.word[0]);
    CHECK(CALL(sched_getaffinity, 0, 128, PAGE0) == 8 && CALL(sched_getaffinity, 0, 0, PAGE0) == -EINVAL);
    CHECK(CALL(sched_getaffinity, 0, 12, PAGE0) == -EINVAL && CALL(sched_getaffinity, 0, 8, NOWHERE) == -EFAULT);
    CHECK(CALL(sched_getaffinity, TID_MAX - 1, 8, PAGE0) == -ESRCH);
    put64(PAGE0, UINT64_C(1) << (online_count() - 1));
    CHECK(CALL(sched_setaffinity, 0, 8, PAGE0) == 0);
    CHECK(CALL(getcpu, PAGE0 + 16, PAGE0 + 20) == 0 && get32(PAGE0 + 16) == online_count() - 1);
    CHECK(get32(PAGE0 + 20) == 0);
    CHECK(CALL(getcpu, 0, 0) == 0 && CALL(getcpu, NOWHERE, 0) == -EFAULT);
    put64(PAGE0, UINT64_C(1) << 60);
    CHECK(CALL(sched_setaffinity, 0, 8, PAGE0) == -EINVAL && CALL(sched_setaffinity, 0, 0, PAGE0) == -EINVAL);
    CHECK(CALL(sched_setaffinity, 0, 8, NOWHERE) == -EFAULT);
    put64(PAGE0, UINT64_MAX);
    CHECK(CALL(sched_setaffinity, TID_MAX - 1, 8, PAGE0) == -ESRCH && CALL(sched_setaffinity, 0, 8, PAGE0) == 0);
    return 0;
}

static int nice(void)
{
    CHECK(CALL(getpriority, 0, 0) == 20 && CALL(setpriority, 0, 0, 7) == 0 && CALL(getpriority, 0, 0) == 13);
    CHECK(CALL(setpriority, 0, U(current_task()->tid), U(-100)) == 0 && CALL(getpriority, 0, 0) == 40);
    CHECK(CALL(setpriority, 3, 0, 0) == -EINVAL && CALL(getpriority, 3, 0) == -EINVAL);
    CHECK(CALL(setpriority, 0, TID_MAX - 1, 0) == -ESRCH && CALL(getpriority, 1, TID_MAX - 1) == -ESRCH);
    CHECK(CALL(setpriority, 2, 0, 3) == 0 && CALL(getpriority, 2, 0) == 17); /* all of user 0's */
    tid_t kernels = current_task()->parent_tid; /* the task that runs the test */

    world_become(1000);
    CHECK(CALL(setpriority, 0, 0, 2) == -EACCES && CALL(setpriority, 0, 0, 4) == 0);
    CHECK(CALL(setpriority, 2, 0, 5) == 0 && CALL(getpriority, 0, 0) == 15);
    put32(PARAM, 1);
    CHECK(CALL(sched_setscheduler, 0, RR, PARAM) == -EPERM);
    put32(PARAM, 0);
    CHECK(CALL(sched_setscheduler, 0, IDLE, PARAM) == 0 && CALL(sched_setscheduler, 0, OTHER, PARAM) == -EPERM);
    CHECK(CALL(sched_setscheduler, U(kernels), OTHER, PARAM) == -EPERM);
    put64(PAGE0, UINT64_MAX);
    CHECK(CALL(sched_setaffinity, U(kernels), 8, PAGE0) == -EPERM && CALL(sched_setaffinity, 0, 8, PAGE0) == 0);
    CHECK(CALL(setpriority, 0, U(kernels), 19) == -EPERM);
    return 0;
}

#define STORY(name) \
    static void run_##name(void) { world_run(name); }
STORY(policies)
STORY(attributes)
STORY(cpus)
STORY(nice)

const struct kernel_test booted_tests[] = {
    { "policies", run_policies }, { "attributes", run_attributes }, { "cpus", run_cpus }, { "nice", run_nice },
    { NULL, NULL },
};

static void policies_are_set_and_read(void **state)
{
    (void)state;
    booted_run("policies", 8);
    booted_run("attributes", 8);
}

static void cpus_and_nice_values_are_set_and_read(void **state)
{
    (void)state;
    booted_run("cpus", 8);
    booted_run("nice", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_set_and_read),
        cmocka_unit_test(cpus_and_nice_values_are_set_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
