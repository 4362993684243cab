/* SPDX-License-Identifier: MIT */
/*
 * check-calls - time, memory, scheduling and futexes as a program sees them, without files: it tells by its exit
 * status. As /init of a machine it ends with 42 if all is well, else with the number of the check that failed. With an
 * argument "measure" it ends with what a round trip of two threads through two futexes costs, in nanoseconds / 16.
 */
#include "bare.h"

#define EAGAIN 11
#define EFAULT 14
#define EINVAL 22
#define ETIMEDOUT 110

#define THREAD_FLAGS 0x3d0f00L /* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID */
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define PRIVATE 128
#define ROUNDS 200

struct timespec_words {
    long seconds, nanoseconds;
};

static volatile int ping, pong, tid_word;
static unsigned long tls_word = 0x746c73;
static char thread_stack[16384] __attribute__((aligned(16)));

static void leave(int status)
{
    for (;;)
        CALL(exit_group, status);
}

#define CHECK(number, condition) \
    do {                         \
        if (!(condition))        \
            leave(number);       \
    } while (0)

static long now(int clock)
{
    struct timespec_words time = { -1, -1 };

    CHECK(9, CALL(clock_gettime, clock, &time) == 0 && time.nanoseconds >= 0);
    return time.seconds * 1000000000 + time.nanoseconds;
}

static void times(void)
{
    struct timespec_words wanted = { 0, 3000000 }, set = { 1700000000, 0 };
    long before = now(1);

    CHECK(10, CALL(nanosleep, &wanted, 0) == 0 && now(1) - before >= 3000000);
    CHECK(11, CALL(clock_nanosleep, 1, 1, &wanted, 0) == 0);
    CHECK(12, CALL(clock_settime, 0, &set) == 0 && now(0) / 1000000000 == 1700000000);
    CHECK(13, now(2) > 0 && now(3) > 0 && CALL(clock_gettime, 1, 1L << 60) == -EFAULT);
}

static void memory(void)
{
    long at = CALL(mmap, 0, 8 * 4096, 3, 0x22, -1);
    long heap = CALL(brk, 0);

    CHECK(20, at > 0);
    *(volatile long *)at = 5;
    long moved = CALL(mremap, at, 8 * 4096, 512 * 4096, 1);

    CHECK(21, moved > 0 && *(volatile long *)moved == 5 && *(volatile long *)(moved + 511 * 4096) == 0);
    CHECK(22, CALL(madvise, moved, 4096, 4) == 0 && *(volatile long *)moved == 0);
    CHECK(23, CALL(mprotect, moved, 4096, 1) == 0 && CALL(clock_gettime, 1, moved) == -EFAULT);
    CHECK(24, CALL(munmap, moved, 512 * 4096) == 0 && CALL(clock_gettime, 1, moved) == -EFAULT);
    CHECK(25, CALL(brk, heap + 100000) == heap + 100000);
    ((volatile char *)heap)[99999] = 1;
    CHECK(26, CALL(brk, heap) == heap);
}

static void scheduling(void)
{
    unsigned long mask[2] = { 0, 0 };
    int priority = 7;

    CHECK(30, CALL(sched_getaffinity, 0, 16, mask) >= 8 && (mask[0] & 1) != 0);
    CHECK(31, CALL(sched_getscheduler, 0) == 0 && CALL(sched_setscheduler, 0, 1, &priority) == 0);
    CHECK(32, CALL(sched_getscheduler, 0) == 1 && CALL(getpriority, 0, 0) == 20);
    priority = 0;
    CHECK(33, CALL(sched_setscheduler, 0, 0, &priority) == 0 && CALL(setpriority, 0, 0, 5) == 0);
    CHECK(34, CALL(getpriority, 0, 0) == 15 && CALL(setpriority, 0, 0, 0) == 0);
}

/* Wait until *word is `value`. */
static void wait_for(volatile int *word, int value)
{
    int seen;

    while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != value) {
        long result = CALL(futex, word, FUTEX_WAIT | PRIVATE, seen, 0);

        CHECK(40, result == 0 || result == -EAGAIN);
    }
}

static void say(volatile int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    CHECK(41, CALL(futex, word, FUTEX_WAKE | PRIVATE, 1) >= 0);
}

static void answer(void)
{
    for (int i = 1; i <= ROUNDS; i++) {
        wait_for(&ping, i);
        say(&pong, i);
    }
    for (;;)
        CALL(exit, 9);
}

/* Returns what the later half of the rounds took. */
static long futexes(void)
{
    struct timespec_words soon = { 0, 1000000 };
    unsigned long one = 1;
    long began = 0;

    CHECK(42, CALL(sched_setaffinity, 0, sizeof one, &one) == 0); /* the other thread inherits it */
    CHECK(43, CALL(futex, &ping, FUTEX_WAIT, 0, &soon) == -ETIMEDOUT);
    CHECK(44, CALL(futex, &ping, FUTEX_WAIT, 1, 0) == -EAGAIN);
    CHECK(45, CALL(futex, (long)&ping + 1, FUTEX_WAIT, 1, 0) == -EINVAL);
    tid_word = -1;
    CHECK(46, sys_thread(THREAD_FLAGS & ~0x100000L, thread_stack + sizeof thread_stack, (void *)&tid_word, answer,
                         (long)&tls_word) > 0);
    for (int i = 1; i <= ROUNDS; i++) {
        if (i == ROUNDS / 2 + 1)
            began = now(1);
        say(&ping, i);
        wait_for(&pong, i);
    }
    long took = now(1) - began;
    int seen;

    while ((seen = tid_word) != 0) /* as pthread_join() does: its end clears it and wakes */
        CHECK(47, CALL(futex, &tid_word, FUTEX_WAIT, seen, 0) <= 0);
    return took;
}

long start(long *stack)
{
    char **argv = (char **)(stack + 1);

    if (stack[0] > 1 && is_text(argv[1], "measure"))
        leave((int)(futexes() / (ROUNDS / 2) / 16));
    times();
    memory();
    scheduling();
    (void)futexes();
    leave(42);
    return 0;
}
