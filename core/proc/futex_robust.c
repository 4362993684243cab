/* SPDX-License-Identifier: MIT */
/*
 * What a thread leaves behind in user memory when it ends: locks on its robust list, and the word that says that it is
 * gone. All of it is the program's own, to be damaged as it likes: each entry is read once, and every error ends the
 * walk. No lock; futex.c's are taken by wakes.
 */
#include <proc/futex.h>

#include <k/atomic.h>
#include <k/errno.h>
#include <mm/user.h>
#include <proc/id.h>
#include <sched/sched.h>

#include "proc_priv.h"

/* struct robust_list_head of Linux's ABI, on 64-bit machines. Bit 0 of an entry: a lock with inheritance. */
struct robust_head {
    uint64_t next;
    int64_t offset; /* from an entry to its word */
    uint64_t pending;
};
static_assert(sizeof(struct robust_head) == FUTEX_ROBUST_HEAD_BYTES);

#define ENTRY_INHERITS UINT64_C(1)

void futex_set_robust_list(vaddr_t head)
{
    struct thread *thread = object_of(current_task())->thread;

    if (thread != NULL)
        store_relaxed(&thread->futex.robust_list, head);
}

int futex_get_robust_list(tid_t tid, vaddr_t *out_head)
{
    struct task *task = task_lookup(tid == 0 ? current_task()->tid : tid);
    int result = -ESRCH;

    if (task == NULL)
        return result;
    spin_lock(&proc_tree_lock);
    const struct thread *thread = object_of(task)->thread;

    if (thread != NULL)
        result = thread_may_read_locked(thread, true) ? 0 : -EPERM;
    if (result == 0)
        *out_head = load_relaxed(&thread->futex.robust_list);
    spin_unlock(&proc_tree_lock);
    task_put(task);
    return result;
}

/* The lock at `word` may be the ending thread's. False: its memory is not what it should be. */
static bool mark_dead(vaddr_t word, tid_t tid, bool is_pending, bool inherits)
{
    struct futex_word futex = { .at = word };
    uint32_t value = 0;

    if (user_read32(word, &value) != 0)
        return false;
    /* It died between the unlocking store and the wake: the lock is free, and whoever waits does not know. */
    if (is_pending && !inherits && value == 0)
        return futex_wake(futex, 1, FUTEX_BITSET_ALL) >= 0;
    for (;;) {
        uint32_t before = value;

        if ((before & FUTEX_TID_MASK) != (uint32_t)tid)
            return true;
        if (user_cas32(word, &value, (before & FUTEX_WAITERS) | FUTEX_OWNER_DIED) != 0)
            return false;
        if (value != before)
            continue;
        /* The heir of a lock with inheritance is found by futex_owner_end(). */
        return inherits || (before & FUTEX_WAITERS) == 0 || futex_wake(futex, 1, FUTEX_BITSET_ALL) >= 0;
    }
}

static bool mark_entry(const struct robust_head *head, uint64_t entry, tid_t tid, bool is_pending)
{
    return mark_dead((entry & ~ENTRY_INHERITS) + (uint64_t)head->offset, tid, is_pending,
                     (entry & ENTRY_INHERITS) != 0);
}

static void walk_robust_list(vaddr_t at, tid_t tid)
{
    struct robust_head head;

    if (user_copy_in(&head, at, sizeof head) != 0)
        return;
    uint64_t entry = head.next;

    for (unsigned i = 0; i < FUTEX_ROBUST_ENTRIES_MAX && (entry & ~ENTRY_INHERITS) != at; i++) {
        uint64_t next = 0;
        /* First the link: who is woken may free the entry. The pending one comes last, once. */
        bool has_next = user_copy_in(&next, entry & ~ENTRY_INHERITS, sizeof next) == 0;

        if ((entry & ~ENTRY_INHERITS) != (head.pending & ~ENTRY_INHERITS) && !mark_entry(&head, entry, tid, false))
            return;
        if (!has_next)
            break;
        entry = next;
    }
    if ((head.pending & ~ENTRY_INHERITS) != 0)
        (void)mark_entry(&head, head.pending, tid, true);
}

void futex_thread_exit(struct thread_futex *futex, tid_t tid, vaddr_t clear_tid)
{
    uint64_t head = load_relaxed(&futex->robust_list);
    const uint32_t zero = 0;

    store_relaxed(&futex->robust_list, 0);
    if (head != 0)
        walk_robust_list(head, tid);
    if (clear_tid != 0 && user_copy_out(clear_tid, &zero, sizeof zero) == 0)
        (void)!futex_wake((struct futex_word){ .at = clear_tid }, 1, FUTEX_BITSET_ALL);
}
