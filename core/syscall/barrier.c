/* SPDX-License-Identifier: MIT */
/* membarrier(2), and the memory policy of a kernel that has one: take the nearest node. No state but that of the
 * spaces. */
#include <syscall/table.h>

#include <k/atomic.h>
#include <k/errno.h>
#include <lib/string.h>
#include <mm/user.h>
#include <smp/call.h>
#include <smp/topology.h>
#include <vm/space.h>

#include "syscall_priv.h"

enum {
    MEMBARRIER_QUERY = 0,
    MEMBARRIER_GLOBAL = 1,
    MEMBARRIER_PRIVATE = 8,
    MEMBARRIER_REGISTER_PRIVATE = 16,
    MEMBARRIER_GET_REGISTRATIONS = 512,
};

static void barrier_here(void *arg)
{
    (void)arg;
    fence_seq_cst(); /* PAIRS(membarrier): with where a program only keeps its compiler from reordering */
}

SYSCALL(membarrier)
{
    struct space *space = space_current();

    if ((uint32_t)args->arg[1] != 0)
        return -EINVAL;
    switch ((int32_t)args->arg[0]) {
    case MEMBARRIER_QUERY:
        return MEMBARRIER_GLOBAL | MEMBARRIER_PRIVATE | MEMBARRIER_REGISTER_PRIVATE | MEMBARRIER_GET_REGISTRATIONS;
    case MEMBARRIER_REGISTER_PRIVATE:
        store_relaxed(&space->uses_barriers, true);
        return 0;
    case MEMBARRIER_GET_REGISTRATIONS:
        return load_relaxed(&space->uses_barriers) ? MEMBARRIER_REGISTER_PRIVATE : 0;
    case MEMBARRIER_PRIVATE:
        if (!load_relaxed(&space->uses_barriers))
            return -EPERM;
        break;
    case MEMBARRIER_GLOBAL:
        break;
    default:
        return -EINVAL;
    }
    /* PAIRS(membarrier): a thread that does not run has passed a barrier when it was switched away. */
    smp_call_all(barrier_here, NULL);
    return 0;
}

/* ---- Memory policy ---- */

enum { MPOL_DEFAULT = 0, MPOL_LOCAL = 4, MPOL_F_MEMS_ALLOWED = 4 };

#define NODE_WORDS (NODES_MAX / 64)

/* A set of nodes of `bits` - 1 bits: is there any in it? */
static int nodes_copy_in(vaddr_t from, uint64_t bits, bool *out_any)
{
    *out_any = false;
    if (from == 0 || bits <= 1)
        return 0;
    if (bits - 1 > PAGE_BYTES * 8)
        return -EINVAL;
    for (uint64_t at = 0; at < bits - 1; at += 64) {
        uint64_t word = 0;

        if (user_copy_in(&word, from + at / 8, sizeof word) != 0)
            return -EFAULT;
        if (bits - 1 - at < 64)
            word &= (UINT64_C(1) << (bits - 1 - at)) - 1;
        *out_any = *out_any || word != 0;
    }
    return 0;
}

static int check_policy(int32_t mode, vaddr_t nodes, uint64_t bits)
{
    bool any = false;

    if (mode != MPOL_DEFAULT && mode != MPOL_LOCAL)
        return -EINVAL;
    int result = nodes_copy_in(nodes, bits, &any);

    return result != 0 ? result : any ? -EINVAL : 0;
}

SYSCALL(set_mempolicy)
{
    return check_policy((int32_t)args->arg[0], args->arg[1], args->arg[2]);
}

SYSCALL(mbind)
{
    vaddr_t at = args->arg[0];
    uint64_t bytes = args->arg[1];

    if (!IS_ALIGNED(at, PAGE_BYTES) || (uint32_t)args->arg[5] > 7 || at + bytes < at)
        return -EINVAL;
    int result = check_policy((int32_t)args->arg[2], args->arg[3], args->arg[4]);

    if (result != 0 || bytes == 0)
        return result;
    return space_is_mapped(space_current(), at, bytes) ? 0 : -EFAULT;
}

SYSCALL(get_mempolicy)
{
    const int32_t mode = MPOL_DEFAULT;
    uint64_t bits = args->arg[2], nodes[NODE_WORDS] = { 0 };
    uint64_t flags = args->arg[4];

    if ((flags & ~(uint64_t)MPOL_F_MEMS_ALLOWED) != 0 || args->arg[3] != 0)
        return -EINVAL;
    if (args->arg[1] != 0 && bits < topology_nodes())
        return -EINVAL;
    if (flags == MPOL_F_MEMS_ALLOWED)
        for (unsigned node = 0; node < topology_nodes(); node++)
            nodes[node / 64] |= UINT64_C(1) << node % 64;
    if (args->arg[0] != 0 && user_copy_out(args->arg[0], &mode, sizeof mode) != 0)
        return -EFAULT;
    if (args->arg[1] == 0)
        return 0;
    size_t all = (size_t)ROUND_UP(MIN(bits, (uint64_t)PAGE_BYTES * 8), 64) / 8, own = MIN(all, sizeof nodes);

    if (user_copy_out(args->arg[1], nodes, own) != 0 || user_clear(args->arg[1] + own, all - own) != 0)
        return -EFAULT;
    return 0;
}
