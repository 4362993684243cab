/* SPDX-License-Identifier: MIT */
/* futex(2) and what goes with it. No state. */
#include <syscall/table.h>

#include <k/errno.h>
#include <mm/user.h>
#include <proc/clock.h>
#include <proc/futex.h>
#include <time/clock.h>
#include <time/wall.h>

#include "syscall_priv.h"

enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
};

#define FUTEX_PRIVATE_FLAG 128u
#define FUTEX_CLOCK_REALTIME 256u

/* A wait until a time of day that was put back meanwhile goes on; one that was put forward ends when it would have. */
static int64_t wait_by_wall(struct futex_word word, uint32_t expected, uint32_t bitset, uint64_t wall_deadline_ns)
{
    int result;

    do
        result = futex_wait(word, expected, bitset, clock_deadline(CLOCK_REALTIME, wall_deadline_ns));
    while (result == -ETIMEDOUT && wall_ns() < wall_deadline_ns);
    return result;
}

static int64_t do_wait(const struct syscall_args *args, struct futex_word word, uint32_t bitset, bool is_absolute)
{
    uint32_t expected = (uint32_t)args->arg[2];
    bool is_wall = (args->arg[1] & FUTEX_CLOCK_REALTIME) != 0;
    uint64_t ns = 0;

    if (args->arg[3] == 0)
        return futex_wait(word, expected, bitset, TIME_NEVER);
    int result = timespec_copy_in(args->arg[3], &ns);

    if (result != 0)
        return result;
    if (is_wall)
        return wait_by_wall(word, expected, bitset, ns);
    if (!is_absolute) {
        uint64_t now = clock_ns();

        ns = ns < TIME_NEVER - 1 - now ? now + ns : TIME_NEVER - 1;
    }
    result = futex_wait(word, expected, bitset, MIN(ns, TIME_NEVER - 1));
    /* Made anew, a relative wait would begin again from its full length. */
    return result == -ERESTARTSYS && !is_absolute ? -EINTR : result;
}

static int64_t do_requeue(const struct syscall_args *args, struct futex_word word, struct futex_word word2,
                          bool compares)
{
    int32_t wake = (int32_t)args->arg[2], move = (int32_t)args->arg[3];
    uint32_t expected = (uint32_t)args->arg[5];

    if (wake < 0 || move < 0)
        return -EINVAL;
    return futex_requeue(word, word2, (uint32_t)wake, (uint32_t)move, compares ? &expected : NULL);
}

SYSCALL(futex)
{
    unsigned operation = (unsigned)args->arg[1];
    bool is_private = (operation & FUTEX_PRIVATE_FLAG) != 0;
    const struct futex_word word = { .at = args->arg[0], .is_private = is_private };
    const struct futex_word word2 = { .at = args->arg[4], .is_private = is_private };
    unsigned command = operation & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

    if ((operation & FUTEX_CLOCK_REALTIME) != 0 && command != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    switch (command) {
    case FUTEX_WAIT:
        return do_wait(args, word, FUTEX_BITSET_ALL, false);
    case FUTEX_WAIT_BITSET:
        return do_wait(args, word, (uint32_t)args->arg[5], true);
    case FUTEX_WAKE:
        return futex_wake(word, (uint32_t)args->arg[2], FUTEX_BITSET_ALL);
    case FUTEX_WAKE_BITSET:
        return futex_wake(word, (uint32_t)args->arg[2], (uint32_t)args->arg[5]);
    case FUTEX_REQUEUE:
        return do_requeue(args, word, word2, false);
    case FUTEX_CMP_REQUEUE:
        return do_requeue(args, word, word2, true);
    case FUTEX_WAKE_OP:
        return futex_wake_op(word, word2, (uint32_t)args->arg[2], (uint32_t)args->arg[3], (uint32_t)args->arg[5]);
    default:
        return -ENOSYS;
    }
}

/* ---- Robust lists ---- */

SYSCALL(set_robust_list)
{
    if (args->arg[1] != FUTEX_ROBUST_HEAD_BYTES)
        return -EINVAL;
    futex_set_robust_list(args->arg[0]);
    return 0;
}

SYSCALL(get_robust_list)
{
    const uint64_t bytes = FUTEX_ROBUST_HEAD_BYTES;
    vaddr_t head = 0;
    int result = futex_get_robust_list((tid_t)args->arg[0], &head);

    if (result == 0)
        result = user_copy_out(args->arg[2], &bytes, sizeof bytes);
    if (result == 0)
        result = user_copy_out(args->arg[1], &head, sizeof head);
    return result;
}
