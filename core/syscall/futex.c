/* SPDX-License-Identifier: MIT */
/* futex(2) and what goes with it. No state. */
#include <syscall/table.h>

#include <k/errno.h>
#include <mm/user.h>
#include <proc/clock.h>
#include <proc/futex.h>
#include <proc/signal.h>
#include <time/clock.h>
#include <time/wall.h>

#include "syscall_priv.h"

enum {
    FUTEX_WAIT = 0,
    FUTEX_WAKE = 1,
    FUTEX_REQUEUE = 3,
    FUTEX_CMP_REQUEUE = 4,
    FUTEX_WAKE_OP = 5,
    FUTEX_LOCK_PI = 6,
    FUTEX_UNLOCK_PI = 7,
    FUTEX_TRYLOCK_PI = 8,
    FUTEX_WAIT_BITSET = 9,
    FUTEX_WAKE_BITSET = 10,
    FUTEX_WAIT_REQUEUE_PI = 11,
    FUTEX_CMP_REQUEUE_PI = 12,
    FUTEX_LOCK_PI2 = 13,
};

#define FUTEX_PRIVATE_FLAG 128u
#define FUTEX_CLOCK_REALTIME 256u

/* What a wait with a time was asked for. */
struct timed_wait {
    struct futex_word word;
    uint32_t expected, bitset;
    bool is_wall;
    uint64_t until_ns; /* of that clock */
};

/* A wait until a time of day that was put back meanwhile goes on; one that was put forward ends when it would have. */
static int wait_by_wall(const struct timed_wait *wait)
{
    int result;

    do
        result = futex_wait(wait->word, wait->expected, wait->bitset, clock_deadline(CLOCK_REALTIME, wait->until_ns));
    while (result == -ETIMEDOUT && wall_ns() < wait->until_ns);
    return result;
}

#define AGAIN_PRIVATE 0x1u
#define AGAIN_WALL 0x2u

static int64_t wait_until(const struct timed_wait *wait);

static int64_t wait_again(struct signal_restart *restart)
{
    const struct timed_wait wait = {
        .word = { .at = restart->word[0], .is_private = (restart->word[3] & AGAIN_PRIVATE) != 0 },
        .expected = (uint32_t)restart->word[1],
        .bitset = (uint32_t)(restart->word[1] >> 32),
        .is_wall = (restart->word[3] & AGAIN_WALL) != 0,
        .until_ns = restart->word[2],
    };

    return wait_until(&wait);
}

/* Made anew only if no handler was entered, as after a stop, and then ends when it would have. That of an absolute time
 * could be made anew after a handler with SA_RESTART, too, but Linux does not. */
static int64_t wait_until(const struct timed_wait *wait)
{
    int result = wait->is_wall ? wait_by_wall(wait)
                               : futex_wait(wait->word, wait->expected, wait->bitset, wait->until_ns);

    if (result != -ERESTARTSYS)
        return result;
    struct signal_restart *restart = signal_restart_current();

    restart->again = wait_again;
    restart->word[0] = wait->word.at;
    restart->word[1] = wait->expected | (uint64_t)wait->bitset << 32;
    restart->word[2] = wait->until_ns;
    restart->word[3] = (wait->word.is_private ? AGAIN_PRIVATE : 0) | (wait->is_wall ? AGAIN_WALL : 0);
    return -ERESTART_RESTARTBLOCK;
}

static int64_t do_wait(const struct syscall_args *args, struct futex_word word, uint32_t bitset, bool is_absolute)
{
    struct timed_wait wait = {
        .word = word, .expected = (uint32_t)args->arg[2], .bitset = bitset,
        .is_wall = (args->arg[1] & FUTEX_CLOCK_REALTIME) != 0,
    };

    if (args->arg[3] == 0)
        return futex_wait(word, wait.expected, bitset, TIME_NEVER);
    int result = timespec_copy_in(args->arg[3], &wait.until_ns);

    if (result != 0)
        return result;
    if (!is_absolute)
        wait.until_ns = clock_later(clock_ns(), wait.until_ns);
    wait.until_ns = MIN(wait.until_ns, TIME_NEVER - 1);
    return wait_until(&wait);
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

/* ---- Locks with inheritance ---- */

/* The absolute time of the call's fourth argument, if it has one. */
struct until {
    bool is_wall;
    uint64_t ns; /* of that clock; TIME_NEVER: none */
};

static int until_copy_in(uint64_t from, bool is_wall, struct until *out)
{
    *out = (struct until){ .is_wall = is_wall, .ns = TIME_NEVER };
    if (from == 0)
        return 0;
    int result = timespec_copy_in(from, &out->ns);

    out->ns = MIN(out->ns, TIME_NEVER - 1);
    return result;
}

static uint64_t until_deadline(const struct until *until)
{
    return until->is_wall && until->ns != TIME_NEVER ? clock_deadline(CLOCK_REALTIME, until->ns) : until->ns;
}

/* It was put back meanwhile. */
static bool until_is_ahead(const struct until *until)
{
    return until->is_wall && wall_ns() < until->ns;
}

static int64_t do_lock(const struct syscall_args *args, struct futex_word word, bool is_wall)
{
    struct until until;
    int result = until_copy_in(args->arg[3], is_wall, &until);

    if (result != 0)
        return result;
    do
        result = futex_lock_pi(word, until_deadline(&until));
    while (result == -ETIMEDOUT && until_is_ahead(&until));
    return result;
}

static int64_t do_wait_requeue(const struct syscall_args *args, struct futex_word word, struct futex_word lock)
{
    struct until until;
    int result = until_copy_in(args->arg[3], (args->arg[1] & FUTEX_CLOCK_REALTIME) != 0, &until);

    return result != 0 ? result : futex_wait_requeue_pi(word, (uint32_t)args->arg[2], until_deadline(&until), lock);
}

static int64_t do_requeue_pi(const struct syscall_args *args, struct futex_word word, struct futex_word lock)
{
    int32_t wake = (int32_t)args->arg[2], move = (int32_t)args->arg[3];

    if (wake != 1 || move < 0)
        return -EINVAL;
    return futex_requeue_pi(word, lock, (uint32_t)move, (uint32_t)args->arg[5]);
}

/* ---- The call ---- */

static bool command_has_clock(unsigned command)
{
    return command == FUTEX_WAIT_BITSET || command == FUTEX_WAIT_REQUEUE_PI || command == FUTEX_LOCK_PI2;
}

static int64_t do_owned(const struct syscall_args *args, unsigned command, struct futex_word word,
                        struct futex_word word2)
{
    switch (command) {
    case FUTEX_LOCK_PI:
        return do_lock(args, word, true);
    case FUTEX_LOCK_PI2:
        return do_lock(args, word, (args->arg[1] & FUTEX_CLOCK_REALTIME) != 0);
    case FUTEX_TRYLOCK_PI:
        return futex_try_lock_pi(word);
    case FUTEX_UNLOCK_PI:
        return futex_unlock_pi(word);
    case FUTEX_WAIT_REQUEUE_PI:
        return do_wait_requeue(args, word, word2);
    case FUTEX_CMP_REQUEUE_PI:
        return do_requeue_pi(args, word, word2);
    default:
        return -ENOSYS;
    }
}

SYSCALL(futex)
{
    unsigned operation = (unsigned)args->arg[1];
    bool is_private = (operation & FUTEX_PRIVATE_FLAG) != 0;
    const struct futex_word word = { .at = args->arg[0], .is_private = is_private };
    const struct futex_word word2 = { .at = args->arg[4], .is_private = is_private };
    unsigned command = operation & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

    /* Most calls of all C libraries. */
    if (LIKELY(operation == (FUTEX_WAKE | FUTEX_PRIVATE_FLAG)))
        return futex_wake(word, (uint32_t)args->arg[2], FUTEX_BITSET_ALL);
    if (LIKELY(operation == (FUTEX_WAIT | FUTEX_PRIVATE_FLAG) && args->arg[3] == 0))
        return futex_wait(word, (uint32_t)args->arg[2], FUTEX_BITSET_ALL, TIME_NEVER);
    if ((operation & FUTEX_CLOCK_REALTIME) != 0 && !command_has_clock(command))
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
        return do_owned(args, command, word, word2);
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
