# SPDX-License-Identifier: MIT
"""Seeded defects: inheritance, and what tasks block on."""

from .kinds import Defect, edit

SYNC = (
    Defect(
        "boost-kept-after-unlock",
        "Who hands a mutex over stays as urgent as its waiters were.",
        ("inherit", "story"),
        edit("core/sched/pi.c", "    (void)inherit(owner); /* from the waiters", "    /* from the waiters"),
        scenarios=("inherit-web", "inherit-chain")),
    Defect(
        "boost-not-passed-on",
        "Urgency stops at an owner that waits itself.",
        ("inherit",),
        edit("core/sched/pi.c", "&& move(waiter, owner, urgency)) {", "&& move(waiter, owner, urgency) && false) {"),
        scenarios=("inherit-chain", "inherit-web")),
    Defect(
        "boost-kept-after-timeout",
        "A waiter that times out or is killed leaves its urgency with the owner.",
        ("inherit",),
        edit("core/sched/pi.c", """
    rb_remove(&mutex->waiters, &waiter->node, NULL);
    return change_end(mutex, owner) == (OWNER_CHANGED | OWNER_BLOCKED);
}

struct mutex_waiter *pi_hand""", """
    rb_remove(&mutex->waiters, &waiter->node, NULL);
    if (first_waiter(mutex) != NULL)
        rb_insert(&owner->pi.donors, &first_waiter(mutex)->donor_node, donor_less, NULL);
    spin_unlock_irqoff(&owner->pi.lock);
    return false;
}

struct mutex_waiter *pi_hand""") +
        edit("core/sched/pi.c", "bool pi_leave(struct mutex_waiter *waiter)\n{",
             "bool pi_leave(struct mutex_waiter *waiter) NO_LOCK_ANALYSIS\n{"),
        scenarios=("inherit-chain", "inherit-web")),
    Defect(
        "boost-of-heir-forgotten",
        "Who is handed a mutex does not inherit from those who go on waiting for it.",
        ("inherit",),
        edit("core/sched/pi.c", """
    task->pi.blocked_on = NULL;
    (void)change_end(mutex, task);
""", """
    task->pi.blocked_on = NULL;
    if (first_waiter(mutex) != NULL)
        rb_insert(&task->pi.donors, &first_waiter(mutex)->donor_node, donor_less, NULL);
    spin_unlock_irqoff(&task->pi.lock);
"""),
        scenarios=("inherit-web",)),
    Defect(
        "priority-of-waiter-not-passed-on",
        "A waiter gets another priority, and the owner of its mutex does not hear of it.",
        ("inherit",),
        edit("core/sched/policy.c", "    if (is_waiter)\n        pi_walk(task);", "    (void)is_waiter;"),
        scenarios=("inherit-web", "inherit-chain")),
    Defect(
        "priority-overwrites-boost",
        "A change of an owner's own priority forgets what it inherits.",
        ("inherit",),
        edit("core/sched/policy.c", "    if (LIKELY(rank >= rank_of(own)) || rank == RANK_DEADLINE)\n",
             "    if (rank >= rank_of(own) || rank == RANK_DEADLINE || task->state == TASK_READY)\n"),
        scenarios=("inherit-web", "inherit-inversion")),
    Defect(
        "circle-not-seen",
        "A task that waits for itself is not refused.",
        ("liveness",),
        edit("core/sched/pi.c", "    if (UNLIKELY(is_so)) {", "    is_so = false;\n    if (UNLIKELY(is_so)) {"),
        scenarios=("inherit-circle",)),
    Defect(
        "heir-gives-up",
        "A waiter whose deadline passes leaves although the mutex has been given to it.",
        ("wake-once", "sanity", "locks", "inherit", "memory", "liveness"),
        edit("core/sched/mutex.c", "    bool is_queued = load_relaxed(&waiter->waiter.status) == WAITER_QUEUED;",
             "    bool is_queued = true;"),
        scenarios=("inherit-web", "inherit-chain")),
    Defect(
        "condvar-unlocked-first",
        "A waiter lets go of the mutex before it joins the queue: a signal in between is lost.",
        ("liveness",),
        edit("core/sched/condvar.c", """
    uintptr_t state = spin_lock_irqsave(&condvar->waiters.lock);

    waiter_join(&waiter, &condvar->waiters);
    mutex_unlock(mutex);
    int result""", """
    mutex_unlock(mutex);
    uintptr_t state = spin_lock_irqsave(&condvar->waiters.lock);

    waiter_join(&waiter, &condvar->waiters);
    int result"""),
        scenarios=("condvar-buffer",)),
    Defect(
        "readers-pass-writers",
        "A reader comes in while a writer waits.",
        ("story", "liveness"),
        edit("core/sched/rwlock.c", "    return rwlock->holders >= 0 && list_is_empty(&rwlock->writers);",
             "    return rwlock->holders >= 0;"),
        scenarios=("rwlock-turns",)),
    Defect(
        "writers-pass-readers",
        "A writer hands the lock to the next writer while readers wait.",
        ("story", "liveness"),
        edit("core/sched/rwlock.c", """
    if (!list_is_empty(&rwlock->readers.waiters))
        admit_readers(rwlock, &admitted);
    else if (!list_is_empty(&rwlock->writers))
        admit_writer(rwlock, &admitted);
""", """
    if (!list_is_empty(&rwlock->writers))
        admit_writer(rwlock, &admitted);
    else
        admit_readers(rwlock, &admitted);
"""),
        scenarios=("rwlock-turns",)),
    Defect(
        "readers-stranded",
        "A writer that gives up leaves the readers waiting that waited for it.",
        ("liveness",),
        edit("core/sched/rwlock.c", "        if (result != 0)\n            pass_on(rwlock);",
             "        if (false)\n            pass_on(rwlock);"),
        scenarios=("rwlock-give-up",)),
    Defect(
        "semaphore-given-and-counted",
        "An up that a waiter has got is counted as well.",
        ("story",),
        edit("core/sched/semaphore.c", """
    if (waiter == NULL) {
        ASSERT(semaphore->count != UINT32_MAX);
        semaphore->count++;
    }
""", """
    semaphore->count++;
"""),
        scenarios=("semaphore-places",)),
    Defect(
        "completion-touched-after-wake",
        "Who completes unlocks after the waiters were woken, who may have freed the completion.",
        ("locks", "memory", "race"),
        edit("core/sched/completion.c", """
    spin_unlock_irqoff(&completion->waiters.lock);
    waitq_finish_all(&claimed); /* the completion may be gone with its waiters from here on */
""", """
    waitq_finish_all(&claimed);
    spin_unlock_irqoff(&completion->waiters.lock);
"""),
        scenarios=("sync-vanishes",), build="address"),
    Defect(
        "lent-deadline-not-applied",
        "An owner is as urgent as real-time tasks that wait for it, but has no deadline of others.",
        ("inherit",),
        edit("core/sched/policy.c", "        if (task->pi.inherited.rank == RANK_DEADLINE)\n",
             "        if (task->pi.inherited.rank == RANK_DEADLINE && false)\n"),
        scenarios=("inherit-deadline",)),
    Defect(
        "lent-deadline-not-updated",
        "An owner that has a deadline of somebody keeps it when an earlier or later one takes its place.",
        ("inherit",),
        edit("core/sched/policy.c", "    if (urgency_is_equal(task->pi.inherited, inherited))\n",
             "    if (task->pi.inherited.rank == inherited.rank)\n"),
        scenarios=("inherit-deadline",)),
    Defect(
        "lent-deadline-kept",
        "Whoever has had a deadline of somebody counts as having one for ever.",
        ("inherit", "order"),
        edit("core/sched/policy.c", """
        if (task->is_inherited)
            deadline_end_inherited(task);
""", "\n"),
        scenarios=("inherit-deadline",)),
    Defect(
        "new-deadline-not-lent",
        "A deadline task that waits gets other numbers, and goes on lending the deadline that it had.",
        ("story",),
        edit("core/sched/deadline.c", "    task->pi.due_ns = task->deadline.due_ns;\n", ""),
        scenarios=("inherit-deadline",)),
    Defect(
        "new-deadline-not-passed-on",
        "A task that waits becomes a deadline task, or one with another deadline, and its mutex's owner does not hear.",
        ("inherit",),
        edit("core/sched/deadline.c", "    if (request.is_waiter)\n        pi_walk(task);",
             "    (void)request.is_waiter;"),
        scenarios=("inherit-deadline",)),
    Defect(
        "throttled-with-lent-deadline",
        "A deadline task is stopped at the end of its runtime although another one waits for what it owns.",
        ("story",),
        edit("core/sched/class_deadline.c", "    if (!task->is_admitted || task->is_inherited)\n",
             "    if (!task->is_admitted)\n") +
        edit("core/sched/class_deadline.c",
             "!is_eligible(task, kind, clock_ns()) && !task->is_inherited) {",
             "!is_eligible(task, kind, clock_ns())) {"),
        scenarios=("inherit-overdraft",)),
    Defect(
        "overdraft-not-paid",
        "What a task runs with the deadline of another is nobody's runtime.",
        ("story",),
        edit("core/sched/class_deadline.c", "    (void)rq;\n    if (!task->is_admitted)\n        return;\n"
             "    task->deadline.left_ticks -=",
             "    (void)rq;\n    if (!task->is_admitted || task->is_inherited)\n        return;\n"
             "    task->deadline.left_ticks -="),
        scenarios=("inherit-overdraft",)),
)
