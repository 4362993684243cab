/* SPDX-License-Identifier: MIT */
/* core/syscall/barrier.c: who asks for barriers gets them on all CPUs, and a policy that is not there is refused. */
#include "call_world.h"

#include <smp/topology.h>

#define NODES PAGE0
#define MODE (PAGE0 + 256)

/* Two threads of Dekker's: each stores, has a barrier made (one by the call, one by nothing but the compiler), and
 * loads. At least one of them sees the other. */
static _Atomic(uint32_t) flag[2];
static _Atomic(uint32_t) seen[2];

static int light_side(void)
{
    store_relaxed(&flag[0], 1);
    compiler_barrier(); /* PAIRS(membarrier) */
    store_relaxed(&seen[0], load_relaxed(&flag[1]));
    return 0;
}

static int barriers(void)
{
    CHECK(CALL(membarrier, 0, 0) == (1 | 8 | 16 | 512) && CALL(membarrier, 0, 1) == -EINVAL);
    CHECK(CALL(membarrier, 8, 0) == -EPERM && CALL(membarrier, 512, 0) == 0);
    CHECK(CALL(membarrier, 16, 0) == 0 && CALL(membarrier, 512, 0) == 16);
    CHECK(CALL(membarrier, 32, 0) == -EINVAL && CALL(membarrier, 3, 0) == -EINVAL && CALL(membarrier, 1, 0) == 0);
    for (unsigned round = 0; round < 8; round++) {
        store_relaxed(&flag[0], 0);
        store_relaxed(&flag[1], 0);
        struct task *task = world_thread(light_side);

        store_relaxed(&flag[1], 1);
        CHECK(CALL(membarrier, 8, 0) == 0);
        store_relaxed(&seen[1], load_relaxed(&flag[0]));
        CHECK(finish(task) == 0);
        CHECK(load_relaxed(&seen[0]) + load_relaxed(&seen[1]) > 0);
    }
    return 0;
}

static int policies(void)
{
    put64(NODES, 0);
    CHECK(CALL(set_mempolicy, 0, 0, 0) == 0 && CALL(set_mempolicy, 0, NODES, 64) == 0);
    CHECK(CALL(set_mempolicy, 4, 0, 0) == 0 && CALL(set_mempolicy, 2, 0, 0) == -EINVAL);
    CHECK(CALL(set_mempolicy, 0, NOWHERE, 64) == -EFAULT && CALL(set_mempolicy, 0, NODES, UINT64_MAX) == -EINVAL);
    put64(NODES, 1);
    CHECK(CALL(set_mempolicy, 0, NODES, 64) == -EINVAL && CALL(set_mempolicy, 0, NODES, 1) == 0);
    CHECK(CALL(mbind, PAGE0, PAGE_BYTES, 0, 0, 0, 0) == 0 && CALL(mbind, PAGE0 + 1, 1, 0, 0, 0, 0) == -EINVAL);
    CHECK(CALL(mbind, PAGE0, PAGE_BYTES, 3, 0, 0, 0) == -EINVAL && CALL(mbind, PAGE0, 1, 0, 0, 0, 8) == -EINVAL);
    CHECK(CALL(mbind, NOWHERE, PAGE_BYTES, 0, 0, 0, 0) == -EFAULT && CALL(mbind, PAGE0, 0, 0, 0, 0, 0) == 0);
    CHECK(CALL(get_mempolicy, MODE, NODES, 128, 0, 0) == 0 && get32(MODE) == 0 && get64(NODES) == 0);
    CHECK(CALL(get_mempolicy, MODE, NODES, 128, 0, 4) == 0 && get64(NODES) == (UINT64_C(1) << topology_nodes()) - 1);
    CHECK(CALL(get_mempolicy, 0, 0, 0, 0, 0) == 0 && CALL(get_mempolicy, MODE, NODES, 0, 0, 0) == -EINVAL);
    CHECK(CALL(get_mempolicy, MODE, 0, 0, 0, 3) == -EINVAL && CALL(get_mempolicy, NOWHERE, 0, 0, 0, 0) == -EFAULT);
    CHECK(CALL(get_mempolicy, 0, NOWHERE, 64, 0, 0) == -EFAULT);
    return 0;
}

static void run_barriers(void)
{
    world_run(barriers);
}

static void run_policies(void)
{
    world_run(policies);
}

const struct kernel_test booted_tests[] = {
    { "barriers", run_barriers },
    { "policies", run_policies },
    { NULL, NULL },
};

static void barriers_are_for_those_who_registered(void **state)
{
    (void)state;
    booted_run("barriers", 8);
}

static void one_memory_policy_is_there(void **state)
{
    (void)state;
    booted_run("policies", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(barriers_are_for_those_who_registered),
        cmocka_unit_test(one_memory_policy_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
