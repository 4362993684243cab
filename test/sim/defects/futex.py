# SPDX-License-Identifier: MIT
"""Mistakes in futexes."""

from .kinds import Defect, edit

FUTEX = (
    Defect(
        "futex-looked-before-queued",
        "A waiter looks at its word, lets go of the bucket, and then joins it.",
        ("liveness",),
        edit("core/proc/futex.c", """
    if (result == 0) {
        waiter.rank = task_own_rank();
""", """
    if (result == 0) {
        spin_unlock(&bucket->lock);
        spin_lock(&bucket->lock);
        waiter.rank = task_own_rank();
"""),
        scenarios=("futex-lock",), hazard=7),
    Defect(
        "futex-timeout-beats-wake",
        "A waiter whose deadline passed says so, though a waker has taken it out already.",
        ("wake-once", "story", "memory", "liveness"),
        edit("core/proc/futex.c", """
    bool is_queued = load_relaxed(&waiter->status) == WAITER_QUEUED;
""", """
    bool is_queued = true;
"""),
        scenarios=("futex-crowd",), hazard=7),
    Defect(
        "futex-requeue-loses-one",
        "A requeue takes one waiter more off the list than it moves.",
        ("liveness", "wake-once", "story"),
        edit("core/proc/futex.c", """
        if (moved == count)
            break;
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);

        if (!futex_key_is_equal(&waiter->key, from) || waiter->target != NULL)
            continue;
        list_remove(node);
""", """
        struct futex_waiter *waiter = list_entry(node, struct futex_waiter, link);

        if (!futex_key_is_equal(&waiter->key, from) || waiter->target != NULL)
            continue;
        list_remove(node);
        if (moved == count)
            break;
"""),
        scenarios=("futex-moves",)),
    Defect(
        "futex-heir-unnamed",
        "The one who gets a lock is woken before the word says that it owns it.",
        ("story", "liveness", "memory"),
        edit("core/proc/futex_pi.c", """
    int result = mutex_hand_over_if(&lock->mutex, name_heir, &unlocking, out_heir);

    if (result != 0)
        return result;
    change_owner_locked(lock, *out_heir, false);
""", """
    (void)unlocking;
    (void)name_heir;
    *out_heir = mutex_hand_over(&lock->mutex);
    change_owner_locked(lock, *out_heir, false);
""") + edit("core/proc/futex_pi.c", """
    if (heir != NULL)
        mutex_heir_wake(heir);
    futex_key_put(&key);
    return result;
""", """
    if (heir != NULL) {
        uint32_t id = (uint32_t)mutex_heir_task(heir)->tid | FUTEX_WAITERS;

        mutex_heir_wake(heir);
        result = store_word(word.at, id);
    }
    futex_key_put(&key);
    return result;
"""),
        scenarios=("futex-owner",), hazard=7),
    Defect(
        "futex-heir-untold",
        "A lock goes to its heir, though the word cannot be written and so says that it is another's.",
        ("story", "liveness", "memory"),
        edit("core/proc/futex_pi.c", """
    int result = mutex_hand_over_if(&lock->mutex, name_heir, &unlocking, out_heir);

    if (result != 0)
        return result;
    change_owner_locked(lock, *out_heir, false);
""", """
    *out_heir = mutex_hand_over(&lock->mutex);
    change_owner_locked(lock, *out_heir, false);
    if (*out_heir != NULL && name_heir(mutex_heir_task(*out_heir), &unlocking) != 0)
        return 0;
"""),
        scenarios=("futex-written",), hazard=7),
    Defect(
        "futex-ends-as-owner",
        "A thread that ends keeps the locks that others wait for.",
        ("liveness", "memory", "inherit", "story"),
        edit("core/proc/futex_pi.c", """
        if (!list_is_empty(&self->futex.owned))
            bucket =""", """
        if (false)
            bucket ="""),
        scenarios=("futex-owner",), hazard=7),
    Defect(
        "futex-waker-touches-record",
        "A waker of one reads the record after it has told the waiter that it is done with it.",
        ("story", "memory", "race"),
        edit("core/proc/futex.c", """
        irq_enable_and_look();
        return 1;
""", """
        irq_enable_and_look();
        return waiter->bitset != 0;
"""),
        scenarios=("futex-crowd", "futex-herd"), hazard=1),
    Defect(
        "futex-settle-relaxed",
        "A waker of one tells the waiter that it is done with the record without release order.",
        ("race",),
        edit("core/proc/futex.c", """
        store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(futex_waiter) */
        unlock_irqoff(bucket);
""", """
        store_relaxed(&waiter->status, WAITER_WOKEN);
        unlock_irqoff(bucket);
"""),
        scenarios=("futex-crowd",), build="thread", hazard=16),
    Defect(
        "futex-claimed-goes-round",
        "A claimed waiter that has a signal goes round without leaving the CPU to who claimed it.",
        ("liveness",),
        edit("core/proc/futex.c", "status == WAITER_CLAIMED ? WAIT_UNINTERRUPTED : WAIT_INTERRUPTIBLE",
             "WAIT_INTERRUPTIBLE"),
        scenarios=("futex-herd",), cpus=1),
    Defect(
        "futex-old-bucket",
        "A waiter that gives up takes the lock of the bucket that it was in, and not where a requeue put it meanwhile.",
        ("race", "wake-once", "story", "memory", "liveness"),
        edit("core/proc/futex.c", "    while (bucket != load_relaxed(&waiter->bucket)) {", "    while (false) {"),
        scenarios=("futex-crowd",), build="thread", hazard=7),
    Defect(
        "futex-buckets-any-order",
        "A requeue locks the buckets in the order in which they were named.",
        ("locks", "liveness"),
        edit("core/proc/futex.c", """
    spin_lock(a < b ? &a->lock : &b->lock);
    if (a != b)
        spin_lock(a < b ? &b->lock : &a->lock);
""", """
    spin_lock(&a->lock);
    if (a != b)
        spin_lock(&b->lock);
"""),
        scenarios=("futex-moves",)),
)
