# SPDX-License-Identifier: MIT
"""Seeded defects: memory order, seen by ThreadSanitizer."""

from .kinds import Defect, edit

ORDER = (
    Defect(
        "unlock-relaxed",
        "A spinlock is released without release order.",
        ("race",),
        edit("include/smp/spinlock.h", """
    /* PAIRS(spinlock): everything stored under the lock is visible to the next holder. */
    store_release(&lock->word, 0);
""", """
    store_relaxed(&lock->word, 0);
"""),
        scenarios=("wake-block",), build="thread", hazard=16),
    Defect(
        "publish-relaxed",
        "A new task is published under its number without release order.",
        ("race",),
        edit("core/proc/id.c",
             "    store_release(&leaf_of(id)->slot[(size_t)id % LEAF_IDS].task, task);",
             "    store_relaxed(&leaf_of(id)->slot[(size_t)id % LEAF_IDS].task, task);"),
        scenarios=("lookup-reap",), build="thread", hazard=16),
    Defect(
        "settle-relaxed",
        "A signaller tells its waiter that it is done with the waiter's record without release order.",
        ("race",),
        edit("core/sched/waitq.c", "    store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(waiter) */",
             "    store_relaxed(&waiter->status, WAITER_WOKEN);"),
        scenarios=("event-vanishes", "event-handover", "mutex-handover"), build="thread", hazard=16),
    Defect(
        "dead-list-relaxed",
        "The reaper takes the list of the dead without acquire order.",
        ("race",),
        edit("core/sched/switch.c",
             "    struct list_node *node = xchg_acquire(&graveyard.dead, NULL); /* PAIRS(sched_dead) */",
             "    struct list_node *node = xchg_relaxed(&graveyard.dead, NULL);"),
        scenarios=("fork-storm", "exit-backlog"), build="thread", hazard=16),
    Defect(
        "call-done-relaxed",
        "A caller of other CPUs sees that they are done without acquire order.",
        ("race",),
        edit("core/smp/call.c", "    while (load_acquire(&call.outstanding) != 0) /* PAIRS(call_done) */",
             "    while (load_relaxed(&call.outstanding) != 0)"),
        scenarios=("call-storm",), build="thread", hazard=16),
    Defect(
        "waker-touches-record",
        "A signaller reads the waiter's record after it has told the waiter that it is done with it.",
        ("race", "memory"),
        edit("core/sched/waitq.c", """
    store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(waiter) */
    (void)task_wake_irqoff(task);
""", """
    store_release(&waiter->status, WAITER_WOKEN); /* PAIRS(waiter) */
    (void)task;
    (void)task_wake_irqoff(waiter->task);
"""),
        scenarios=("event-vanishes",), build="thread", hazard=1),
    Defect(
        "call-slot-reused",
        "The answering CPU reads the call slot again after it said that it was done.",
        ("race", "sanity", "liveness"),
        edit("core/smp/call.c", "        hal_cpu_poke(caller);", "        hal_cpu_poke(call.caller);") +
        edit("core/smp/call.c", """
    cpu_id_t caller = call.caller; /* the slot is the next caller's as soon as the count is 0 */

""", ""),
        scenarios=("call-storm", "kmap-duel"), build="thread", hazard=10),
)
