/* SPDX-License-Identifier: MIT */
/* futex(2), and threads as far as C libraries build them of it: set_tid_address(2), robust lists, joins. */
#include "check.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

static long futex(void *word, int op, unsigned value, const void *timeout, void *other, unsigned value3)
{
    return syscall(SYS_futex, word, op, value, timeout, other, value3);
}

CHECK(futex, does_not_wait_for_a_value_that_is_gone)
{
    uint32_t word = 1;

    FAILS(EAGAIN, futex(&word, FUTEX_WAIT, 2, NULL, NULL, 0));
    FAILS(EAGAIN, futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, NULL, NULL, 0));
    EQUAL(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
}

CHECK(futex, time_runs_out)
{
    uint32_t word = 1;
    struct timespec little = {.tv_nsec = 1000000}, past = {0}, wrong = {.tv_nsec = 1000000000};
    struct timespec before, after;

    GOOD(clock_gettime(CLOCK_MONOTONIC, &before));
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT, 1, &little, NULL, 0));
    GOOD(clock_gettime(CLOCK_MONOTONIC, &after));
    TRUE((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= little.tv_nsec);
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET, 1, &past, NULL, FUTEX_BITSET_MATCH_ANY)); /* an absolute time */
    FAILS(ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &past, NULL, FUTEX_BITSET_MATCH_ANY));
    FAILS(EINVAL, futex(&word, FUTEX_WAIT, 1, &wrong, NULL, 0));
    wrong = (struct timespec){.tv_sec = -1};
    FAILS(EINVAL, futex(&word, FUTEX_WAIT, 1, &wrong, NULL, 0));
}

CHECK(futex, refuses_what_is_wrong)
{
    uint32_t words[2] = {0};
    struct timespec none = {0};

    FAILS(ENOSYS, futex(words, 99, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex((char *)words + 1, FUTEX_WAIT, 0, &none, NULL, 0));
    FAILS(EINVAL, futex((char *)words + 2, FUTEX_WAKE, 1, NULL, NULL, 0));
    FAILS(EINVAL, futex(words, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    FAILS(EFAULT, futex(NULL, FUTEX_WAIT, 0, &none, NULL, 0));
    FAILS(EFAULT, futex((void *)0xffff888000000000, FUTEX_WAIT, 0, &none, NULL, 0));
    FAILS(EFAULT, futex((void *)0xffff888000000000, FUTEX_WAKE, 1, NULL, NULL, 0));
    FAILS(EFAULT, futex(check_pages(PAGE, PROT_NONE), FUTEX_WAIT, 0, &none, NULL, 0));
    BAD_SOURCES(sizeof(none), UNLESS_NULL(bad, futex(words, FUTEX_WAIT, 0, bad, NULL, 0)));
    FAILS(EAGAIN, futex(words, FUTEX_CMP_REQUEUE, 1, (void *)1, words + 1, 7));
    FAILS(EINVAL, futex(words, FUTEX_CMP_REQUEUE, -1, (void *)1, words + 1, 0));
}

static _Atomic uint32_t word, other;
static _Atomic unsigned awake;
static _Atomic int waiting_tid[4];

static void *wait_once(void *arg)
{
    intptr_t index = (intptr_t)arg;

    atomic_store(&waiting_tid[index], (int)syscall(SYS_gettid));
    if (futex(&word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 1u << index) != 0)
        return (void *)1;
    atomic_fetch_add(&awake, 1);
    return NULL;
}

static bool has_gone_to_sleep(void *arg)
{
    int tid = atomic_load((_Atomic int *)arg);

    return tid != 0 && check_sleeps(tid);
}

static void start_waiters(pthread_t threads[4])
{
    for (intptr_t i = 0; i < 4; i++)
        EQUAL(pthread_create(&threads[i], NULL, wait_once, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        check_until(has_gone_to_sleep, &waiting_tid[i]);
}

static void join_waiters(pthread_t threads[4])
{
    void *result;

    for (int i = 0; i < 4; i++) {
        EQUAL(pthread_join(threads[i], &result), 0);
        TRUE(result == NULL);
    }
    EQUAL(atomic_load(&awake), 4);
}

CHECK(futex, wakes_as_many_as_it_is_told)
{
    pthread_t threads[4];

    start_waiters(threads);
    EQUAL(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0), 1);
    EQUAL(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 2, NULL, NULL, 0), 2);
    EQUAL(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NULL, NULL, 0), 1);
    join_waiters(threads);
}

CHECK(futex, wakes_those_whose_bits_match)
{
    pthread_t threads[4];

    start_waiters(threads);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 1 << 4), 0);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 1 << 2), 1);
    EQUAL(pthread_join(threads[2], NULL), 0);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0xff), 3);
    for (int i = 0; i < 4; i++)
        if (i != 2)
            EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(atomic_load(&awake), 4);
}

CHECK(futex, moves_waiters_to_another_word)
{
    pthread_t threads[4];

    start_waiters(threads);
    EQUAL(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)2, &other, 0), 3); /* one awake, two moved */
    EQUAL(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0), 1);
    EQUAL(futex(&other, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9, NULL, NULL, 0), 2);
    join_waiters(threads);
}

CHECK(futex, wake_op_changes_the_second_word)
{
    pthread_t threads[4];

    start_waiters(threads);
    atomic_store(&other, 5);
    EQUAL(futex(&other, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 1, (void *)9, &word,
                FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)), 4);
    EQUAL(atomic_load(&word), 3);
    join_waiters(threads);
}

/* ---- Locks with inheritance ---- */

static int tid_of_caller(void)
{
    return (int)syscall(SYS_gettid);
}

CHECK(futex, locks_with_owners_refuse_what_is_wrong)
{
    const struct timespec past = {0, 1}, wrong = {0, 1000000000};
    uint32_t lock = 0;

    FAILS(EPERM, futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    EQUAL(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0);
    EQUAL(lock, (uint32_t)tid_of_caller());
    FAILS(EDEADLK, futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    FAILS(EDEADLK, futex(&lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    EQUAL(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    EQUAL(lock, 0);
    EQUAL(futex(&lock, FUTEX_TRYLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), 0);
    lock = 1; /* init's, which has nothing to do with it */
    FAILS(ETIMEDOUT, futex(&lock, FUTEX_LOCK_PI, 0, &past, NULL, 0));
    FAILS(ETIMEDOUT, futex(&lock, FUTEX_LOCK_PI2, 0, &past, NULL, 0));
    FAILS(EAGAIN, futex(&lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex(&lock, FUTEX_LOCK_PI, 0, &wrong, NULL, 0));
    lock = 0x3ffffff0; /* nobody's */
    FAILS(ESRCH, futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex((char *)&lock + 1, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    FAILS(EFAULT, futex(NULL, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    FAILS(EFAULT, futex((void *)0xffff888000000000, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    FAILS(EINVAL, futex(&lock, FUTEX_CMP_REQUEUE_PI, 2, (void *)1, &other, lock));
    FAILS(EINVAL, futex(&lock, FUTEX_WAIT_REQUEUE_PI, lock, NULL, &lock, 0));
}

static _Atomic int locking_tid;

static void *lock_once(void *arg)
{
    atomic_store(&locking_tid, tid_of_caller());
    if (futex(arg, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0) != 0)
        return (void *)1;
    if ((*(_Atomic uint32_t *)arg & FUTEX_TID_MASK) != (uint32_t)tid_of_caller())
        return (void *)2;
    return (void *)(futex(arg, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0) == 0 ? 0L : 3L);
}

CHECK(futex, a_lock_passes_to_who_waits)
{
    static _Atomic uint32_t lock;
    pthread_t thread;
    void *result;

    atomic_store(&lock, (uint32_t)tid_of_caller()); /* as a library does, without a call */
    EQUAL(pthread_create(&thread, NULL, lock_once, (void *)&lock), 0);
    check_until(has_gone_to_sleep, &locking_tid);
    EQUAL(atomic_load(&lock), (uint32_t)tid_of_caller() | FUTEX_WAITERS);
    EQUAL(futex(&lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), 0);
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((intptr_t)result, 0);
    EQUAL(atomic_load(&lock), 0);
}

CHECK(futex, an_owner_that_cannot_write_the_word_stays_one)
{
    _Atomic uint32_t *lock = check_pages(PAGE, PROT_READ | PROT_WRITE);
    uint32_t own = (uint32_t)tid_of_caller();
    pthread_t thread;
    void *result;

    atomic_store(lock, own);
    EQUAL(pthread_create(&thread, NULL, lock_once, (void *)lock), 0);
    check_until(has_gone_to_sleep, &locking_tid);
    GOOD(mprotect(lock, PAGE, PROT_READ));
    FAILS(EFAULT, futex(lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
    EQUAL(atomic_load(lock), own | FUTEX_WAITERS);
    GOOD(mprotect(lock, PAGE, PROT_READ | PROT_WRITE));
    EQUAL(futex(lock, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), 0);
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((intptr_t)result, 0);
    EQUAL(atomic_load(lock), 0);
}

static void *end_with_lock(void *arg)
{
    pthread_mutex_lock(arg);
    return NULL;
}

CHECK(futex, inheriting_mutexes_of_the_library)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t robust;
    pthread_t thread;

    EQUAL(pthread_mutexattr_init(&attributes), 0);
    NEEDS(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0, "no inheritance in the library");
    EQUAL(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), 0);
    EQUAL(pthread_mutex_init(&robust, &attributes), 0);
    EQUAL(pthread_create(&thread, NULL, end_with_lock, &robust), 0);
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(pthread_mutex_lock(&robust), EOWNERDEAD);
    EQUAL(pthread_mutex_consistent(&robust), 0);
    EQUAL(pthread_mutex_unlock(&robust), 0);
}

static int wake_parent(void *arg)
{
    while (!check_sleeps(getppid()))
        ;
    return futex(arg, FUTEX_WAKE, 1, NULL, NULL, 0) == 1 ? 0 : 1;
}

CHECK(futex, shared_between_processes)
{
    uint32_t *shared = check_shared_page();
    int pid = check_fork(wake_parent, shared);

    EQUAL(futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
    EQUAL(check_wait(pid), 0);
}

static void on_signal(int number)
{
    (void)number;
}

static int interrupt_parent(void *arg)
{
    (void)arg;
    while (!check_sleeps(getppid()))
        ;
    return kill(getppid(), SIGUSR1);
}

CHECK(futex, a_signal_interrupts)
{
    struct sigaction action = {.sa_handler = on_signal};
    uint32_t value = 0;
    int pid;

    GOOD(sigaction(SIGUSR1, &action, NULL));
    pid = check_fork(interrupt_parent, NULL);
    FAILS(EINTR, futex(&value, FUTEX_WAIT, 0, NULL, NULL, 0));
    EQUAL(check_wait(pid), 0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static unsigned counter;

static void *count_up(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

CHECK(futex, mutexes_and_conditions_of_the_library)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        EQUAL(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    pthread_mutex_lock(&mutex);
    while (counter < 4000)
        pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 4; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

static void *die_with_mutex(void *arg)
{
    pthread_mutex_lock(arg);
    return NULL;
}

CHECK(set_robust_list, a_dead_owner_is_told_of)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t robust;
    pthread_t thread;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    EQUAL(pthread_mutex_init(&robust, &attributes), 0);
    EQUAL(pthread_create(&thread, NULL, die_with_mutex, &robust), 0);
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(pthread_mutex_lock(&robust), EOWNERDEAD);
    FAILS(EINVAL, syscall(SYS_set_robust_list, NULL, 1ul));
}

static int read_parents_list(void *arg)
{
    void *head = arg;
    size_t bytes = 0;

    GOOD(syscall(SYS_get_robust_list, getppid(), &head, &bytes)); /* of the same user */
    EQUAL(bytes, 24);
    GOOD(syscall(SYS_setresgid, 1000, 1000, 1000));
    GOOD(syscall(SYS_setresuid, 1000, 1000, 1000));
    FAILS(EPERM, syscall(SYS_get_robust_list, getppid(), &head, &bytes));
    GOOD(syscall(SYS_get_robust_list, 0, &head, &bytes));
    GOOD(syscall(SYS_get_robust_list, getpid(), &head, &bytes));
    FAILS(ESRCH, syscall(SYS_get_robust_list, 0x3ffffff, &head, &bytes));
    FAILS(ESRCH, syscall(SYS_get_robust_list, -1, &head, &bytes));
    return 0;
}

CHECK(get_robust_list, of_others_needs_a_right)
{
    void *head;
    size_t bytes;

    GOOD(syscall(SYS_get_robust_list, 0, &head, &bytes));
    BAD_TARGETS(sizeof(bytes), syscall(SYS_get_robust_list, 0, &head, bad));
    BAD_TARGETS(sizeof(head), syscall(SYS_get_robust_list, 0, bad, &bytes));
    NEEDS(geteuid() == 0, "needs to be root, to become somebody else");
    check_child(read_parents_list, NULL);
}

CHECK(set_tid_address, returns_the_tid)
{
    int word_of_mine;

    EQUAL(syscall(SYS_set_tid_address, &word_of_mine), syscall(SYS_gettid));
}
