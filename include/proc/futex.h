/* SPDX-License-Identifier: MIT */
/*
 * Futexes: threads wait until somebody wakes those that wait at a word of user memory. Linux's futex(2),
 * set_robust_list(2) and set_tid_address(2) are the contract.
 *
 * A word is known by its key: with `is_private`, or where its region is private, (space, address); else (object,
 * offset), so that all spaces that map the object mean the same word. Waiters hang in a bucket that the key hashes to.
 * Under the bucket's lock a waiter compares the word with what it expects and joins; a waker takes it out. So whoever
 * changes the word and then wakes misses nobody who saw the old value. The user's word is read under that lock only
 * where it is present; otherwise the lock is dropped, the page brought in, and all is done again.
 *
 *   a waiter's record   from                 to          who                                    under
 *                       (its stack)          QUEUED      futex_wait()                           bucket's lock
 *                       QUEUED               QUEUED      requeue: key and bucket change         both buckets' locks
 *                       QUEUED               CLAIMED     a waker of several takes it out        bucket's lock
 *                       QUEUED               WOKEN       a waker of one, its last touch         bucket's lock, release
 *                       QUEUED               TIMED_OUT,  the waiter itself                      bucket's lock
 *                                            KILLED
 *                       CLAIMED              WOKEN       the waker of several, its last touch   release store
 *
 * So a wake wins over a timeout or signal that came meanwhile: the waits that return 0 are as many as wakes say. Who
 * waits is woken in the order of urgency at the time it began, equals in the order in which they came.
 *
 * Order of locks: a space's regions, then LOCK_FUTEX (two of them by address), then what a wake takes. Preemption is
 * disabled under it, interrupts are not.
 *
 * Context of all: task, with a space, may sleep. -EINVAL: the word is not aligned. -EFAULT: it is not the user's, or
 * may not be accessed as needed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <k/compiler.h>
#include <k/list.h>
#include <k/types.h>
#include <smp/spinlock.h>

#define FUTEX_BITSET_ALL UINT32_MAX

/* Of a futex's word, where it is a lock: the owner's id and two bits. */
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu

struct futex_word {
    vaddr_t at;
    bool is_private; /* the caller promises that only its own space uses it */
};

/* Wait to be woken with one of the bits of `bitset`. 0: woken. -EAGAIN: the word is not `expected`. -EINVAL: no bit.
 * -ETIMEDOUT: deadline_ns (monotonic, TIME_NEVER: none) passed. -ERESTARTSYS: a signal or kill. */
int futex_wait(struct futex_word word, uint32_t expected, uint32_t bitset, uint64_t deadline_ns) MUST_USE;

/* Wake up to `count` of those who wait with one of these bits; returns how many. -EINVAL: no bit. */
int64_t futex_wake(struct futex_word word, uint32_t count, uint32_t bitset) MUST_USE;

/* Wake up to `wake` waiters of the first word and let up to `move` more wait for the second; returns how many in all.
 * `expected` not NULL and not what the first word is: -EAGAIN, nothing done. */
int64_t futex_requeue(struct futex_word from, struct futex_word to, uint32_t wake, uint32_t move,
                      const uint32_t *expected) MUST_USE;

/* Change the second word by `operation` (FUTEX_OP() of futex(2)), wake up to `count` waiters of the first and, if the
 * old value of the second compares as the operation says, up to `count2` of the second; returns how many in all.
 * -ENOSYS: no such operation; nothing was done. */
int64_t futex_wake_op(struct futex_word word, struct futex_word word2, uint32_t count, uint32_t count2,
                      uint32_t operation) MUST_USE;

/* ---- Locks with inheritance ---- */

/*
 * The word holds the owner's thread id, or 0, and the two bits; programs lock and unlock it themselves while nobody
 * waits. Who must wait makes a lock of the kernel's for it, owned by the thread that the word names: a mutex
 * (sched/mutex.h), which lends the owner the urgency of all who wait. There is one for a key, from when somebody joins
 * until nobody waits; FUTEX_WAITERS is set in the word before the first joins, so that the owner's unlock comes here.
 *
 *   who owns the mutex   from         to         who, under the bucket's lock
 *                        (none)       thread     futex_lock_pi(): the thread whose id the word holds
 *                        thread       heir       its futex_unlock_pi(), which stores the heir's id in the word at the
 *                                                same moment, or has changed nothing (-EFAULT); or its end, after
 *                                                which the heir stores its own
 *                        thread       nobody     the same, if nobody waits; the lock is out of the table, and who had
 *                                                been about to wait begins again
 *
 * While there is such a lock, who comes waits for it, whatever the word says. Heirs find FUTEX_OWNER_DIED in the word
 * after an owner that ended. Order of locks: LOCK_FUTEX, then LOCK_OWNER, or LOCK_MUTEX. Context of all: as above.
 */

/* Lock. 0: the word holds the caller's id. -EDEADLK: it did already, or the wait would close a circle. -ESRCH: nobody
 * has the id that it holds. -EPERM: it is a thread of the kernel's. -ETIMEDOUT: as futex_wait(). -ERESTARTNOINTR. */
int futex_lock_pi(struct futex_word word, uint64_t deadline_ns) MUST_USE;
/* The same without waiting: -EAGAIN. */
int futex_try_lock_pi(struct futex_word word) MUST_USE;
/* Unlock. -EPERM: the word does not hold the caller's id. -EINVAL: it does, but others wait for another owner.
 * -EFAULT, -EINTR (killed): the caller owns it as before. */
int futex_unlock_pi(struct futex_word word) MUST_USE;

/* A condition variable's half: wait as futex_wait() until futex_requeue_pi() passes the wait on to `lock`, which is
 * then locked; in the order of urgency among all who want it. 0: locked. -EAGAIN: the word was not `expected`, or a
 * signal came after the wait was passed on. -EINVAL: both are the same word. -ERESTARTNOINTR: a signal came before.
 * Otherwise as futex_wait() and futex_lock_pi(). Wakes and requeues of other kinds do not find who waits so. */
int futex_wait_requeue_pi(struct futex_word word, uint32_t expected, uint64_t deadline_ns, struct futex_word lock)
    MUST_USE;
/* Pass up to 1 + `move` of them on; returns how many. -EAGAIN: the first word is not `expected`. -EINVAL: the first
 * in line waits for something else. */
int64_t futex_requeue_pi(struct futex_word from, struct futex_word lock, uint32_t move, uint32_t expected) MUST_USE;

/* What a thread carries. The list of robust locks is its own; get_robust_list(2) of others reads it as it is at the
 * moment. */
struct thread_futex {
    _Atomic(uint64_t) robust_list; /* user address of struct robust_list_head; 0: none */
    struct spinlock lock;    /* LOCK_OWNER */
    struct list_node owned;  /* guarded by lock: locks with inheritance that others wait for */
    bool has_ended;          /* guarded by lock: it owns none any more */
};

void thread_futex_init(struct thread_futex *futex);

struct thread;
/* The running thread, its robust list done, lets go of all that others wait for. begin: after an exec it may own
 * again. */
void futex_owner_end(struct thread *self);
void futex_owner_begin(struct thread *self);

#define FUTEX_ROBUST_HEAD_BYTES 24u
#define FUTEX_ROBUST_ENTRIES_MAX 2048u /* Linux's: a circle ends there */

/* Of the running thread. */
void futex_set_robust_list(vaddr_t head);

/* Of the thread `tid`, 0: the running one. -ESRCH: there is none. -EPERM: the running one may not look into it. */
int futex_get_robust_list(tid_t tid, vaddr_t *out_head) MUST_USE;

/* The running thread ends, and is still in its space: locks on its robust list are marked OWNER_DIED and one waiter
 * each is woken; then, if clear_tid is not 0 (set_tid_address(2), CLONE_CHILD_CLEARTID), 0 is stored there and one
 * waiter woken. What is damaged in user memory ends the walk and harms nobody. Called by exit, and by exec before the
 * space changes. */
void futex_thread_exit(struct thread_futex *futex, tid_t tid, vaddr_t clear_tid);
